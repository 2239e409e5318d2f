package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// issue has openssl make a certificate with a time of its own, signed by the authority that
// "colibri pki" has made in dir. It is for a server when it has names, as subject
// alternative names, else for a client; the files are NAME.crt and NAME.key in dir.
func issue(t *testing.T, dir, name, names, from, to string) {
	t.Helper()
	work := t.TempDir()
	file := func(name string) string { return filepath.Join(work, name) }
	extensions := "extendedKeyUsage=clientAuth\n"
	if names != "" {
		extensions = "extendedKeyUsage=serverAuth\nsubjectAltName=" + names + "\n"
	}
	for path, text := range map[string]string{
		"ca.conf": "[ca]\ndefault_ca=one\n[one]\ndatabase=" + file("index") + "\nnew_certs_dir=" + work + "\nrand_serial=yes\ndefault_md=sha256\n" +
			"policy=any\nx509_extensions=more\n[any]\ncommonName=supplied\n[more]\n" + extensions,
		"index": "",
	} {
		if err := os.WriteFile(file(path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair := func(ending string) string { return filepath.Join(dir, name+ending) }
	start(t, paths["openssl"], "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pair(".key"), "-out", file("request"), "-subj", "/CN="+name).succeeds(t)
	start(t, paths["openssl"], "ca", "-batch", "-notext", "-config", file("ca.conf"), "-cert", filepath.Join(dir, "ca.crt"), "-keyfile", filepath.Join(dir, "ca.key"),
		"-startdate", from, "-enddate", to, "-in", file("request"), "-out", pair(".crt")).succeeds(t)
}

// startD6 starts a broker with a listener for each mistake, and returns their ports by name.
func startD6(t *testing.T, kind string) (b *secureBroker, ports map[string]int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	start(t, paths[colibri], "pki", "init", dir, "--client", "alice", "--client", "lost").succeeds(t)
	start(t, paths[colibri], "pki", "revoke", "lost", "--dir", dir).succeeds(t)
	other := filepath.Join(dir, "other")
	start(t, paths[colibri], "pki", "init", other, "--client", "stranger").succeeds(t)
	const names = "DNS:localhost,IP:127.0.0.1"
	issue(t, dir, "old", names, "20240102030400Z", "20250102030400Z")
	issue(t, dir, "early", names, "20480102030400Z", "20490102030400Z")
	issue(t, dir, "elsewhere", "DNS:broker.example", "20240102030400Z", "20490102030400Z")
	issue(t, dir, "expired", "", "20240102030400Z", "20250102030400Z")
	issue(t, dir, "future", "", "20480102030400Z", "20490102030400Z")

	b = &secureBroker{broker: &broker{kind: kind}, file: func(name string) string { return filepath.Join(dir, name) }}
	ports = map[string]int{}
	lines := []string{"allow_anonymous true"}
	for _, name := range []string{"plain", "server", "old", "early", "elsewhere", "mutual", "new"} {
		ports[name] = freePort(t)
		lines = append(lines, fmt.Sprintf("listener %d 127.0.0.1", ports[name]))
		certificate := name
		switch name {
		case "plain":
			continue
		case "new":
			lines = append(lines, "tls_version tlsv1.3")
			certificate = "server"
		case "mutual":
			lines = append(lines, "cafile "+b.file("ca.crt"), "crlfile "+b.file("ca.crl"), "require_certificate true")
			certificate = "server"
		}
		lines = append(lines, "certfile "+b.file(certificate+".crt"), "keyfile "+b.file(certificate+".key"))
	}
	b.port = ports["new"] // the last that is opened
	b.startWithLines(t, lines...)
	return b, ports
}

// mistakeD6 is a check that fails, and what is said then. CA stands for the name of the
// authority that the certificate at fault is signed by.
type mistakeD6 struct {
	name, port string
	args       string // of a client, with files of colibri pki after an @
	exit       int    // of our client
	ours       string // what our client says to our broker, after its first line
	toTheirs   string // and to Mosquitto's; empty for the same
	log        string // what our broker logs of our client
	ofTheirs   string // and of Mosquitto's; empty for the same
}

const (
	closed = "A connection from 127.0.0.1:PORT was closed: "
	// What a client of Go tells by its alert, and one of OpenSSL by an alert that it does not encrypt.
	refusesD6 = closed + "the client refuses this broker's certificate: it does not know the CA, or the certificate has expired or is for another name than the one the client connects to; see what the client says."
	brokenD6  = closed + "the client has broken off the TLS handshake: perhaps it does not trust the broker's certificate, see what it says."
	lostD6    = "The server ended it without an answer to CONNECT: look at its log; perhaps it refuses the client's certificate, or wants one, see --cert and --key."
)

var mistakesD6 = []mistakeD6{
	{"wrong CA", "server", "--cafile @other/ca.crt", 8,
		"The server's certificate 'HOST' is signed by the CA 'CA', which is not trusted here: name the certificate of that CA with --cafile.", "", refusesD6, brokenD6},
	{"expired", "old", "--cafile @ca.crt", 8,
		"The server's certificate 'old' has expired on 2025-01-02 03:04 UTC: have it renewed.", "", refusesD6, brokenD6},
	{"not yet valid", "early", "--cafile @ca.crt", 8,
		"The server's certificate 'early' is valid from 2048-01-02 03:04 UTC only: compare the clocks of both machines, or wait.", "", refusesD6, brokenD6},
	{"wrong host name", "elsewhere", "--cafile @ca.crt", 8,
		"The server's certificate is for 'broker.example', not for 'localhost': use one of these with -h, or have a certificate made for 'localhost'.", "", refusesD6, brokenD6},
	{"no client certificate", "mutual", "--cafile @ca.crt", 8,
		"The server requires a certificate of the client: give one with --cert and --key.", "",
		closed + "the client shows no certificate, and this listener requires one: give the client one with --cert and --key.", ""},
	{"a client certificate of another CA", "mutual", "--cafile @ca.crt --cert @other/stranger.crt --key @other/stranger.key", 8,
		"The server refuses the client's certificate because it does not know the CA that has signed it: use another one with --cert and --key, or have the CA added to the server's cafile.", "",
		closed + "the client's certificate 'stranger' is signed by the CA 'CA', which is not in cafile or capath: give the client another one, or add that CA.", ""},
	{"an expired client certificate", "mutual", "--cafile @ca.crt --cert @expired.crt --key @expired.key", 8,
		"The server refuses the client's certificate because it has expired or is not valid yet: get a new one for --cert and --key, and compare the clocks.", "",
		closed + "the client's certificate 'expired' has expired on 2025-01-02 03:04 UTC: have it renewed.", ""},
	{"a client certificate that is not valid yet", "mutual", "--cafile @ca.crt --cert @future.crt --key @future.key", 8,
		"The server refuses the client's certificate because it has expired or is not valid yet: get a new one for --cert and --key, and compare the clocks.",
		"The server refuses the client's certificate: it may be revoked, not be valid yet, or miss altogether; see --cert and --key, and the server's log.",
		closed + "the client's certificate 'future' is valid from 2048-01-02 03:04 UTC only: compare the clocks of both machines, or wait.", ""},
	{"revoked", "mutual", "--cafile @ca.crt --cert @lost.crt --key @lost.key", 8,
		"The server refuses the client's certificate: it may be revoked, not be valid yet, or miss altogether; see --cert and --key, and the server's log.",
		"The server refuses the client's certificate because it was revoked: get a new one for --cert and --key.",
		closed + "the client's certificate is refused: the certificate 'lost' (serial number SERIAL) was revoked by its CA on TIME; give the client a new one.", ""},
	{"plain to the TLS port", "server", "", 7,
		"The server speaks TLS on this port: name its CA with --cafile, or its port without TLS with -p (most often 1883).",
		"The server ended it without an answer to CONNECT: look at its log, or whether this port is for TLS, WebSocket or another protocol.",
		closed + "the client speaks MQTT without TLS, and this port is for TLS only: have it use TLS, or another port.", ""},
	{"TLS to the plain port", "plain", "--cafile @ca.crt", 8,
		"The server has closed the connection instead of answering to TLS: check that this port is one for TLS (most often 8883), and look at the server's log.", "",
		"Client <unknown> [127.0.0.1:PORT] refused: first packet: the client speaks TLS, and this port does not (Protocol Error).", ""},
}

// sentence is the pattern of a text with its capital words replaced.
func sentence(text string) string {
	return strings.NewReplacer("HOST", ".+", "'CA'", "'Colibri private CA [0-9a-f]+'", "PORT", `\d+`, "SERIAL", "[0-9a-f]+", "TIME", `[-0-9]+ [0-9:]+ UTC`).
		Replace(regexp.QuoteMeta(text))
}

// TestScenarioD6: each check that fails is named in one sentence, with what to do, by our
// client whatever the broker is, and by our broker whatever the client is.
func TestScenarioD6(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b, ports := startD6(t, kind)
		for _, c := range mistakesD6 {
			for _, tools := range toolsets() {
				args := strings.Fields(strings.ReplaceAll(c.args, "@", b.file("")+"/"))
				p := tools.tool(t, nil, "pub", append(args, "-h", "localhost", "-p", strconv.Itoa(ports[c.port]), "-t", "t", "-m", "m", "-q", "1")...)
				code := p.wait(t)
				exit, says, log := c.exit, c.ours, c.log
				if kind == mosquitto && c.toTheirs != "" {
					says = c.toTheirs
				}
				if tools == mosquitto && c.ofTheirs != "" {
					log = c.ofTheirs
				}
				if code == 0 {
					t.Errorf("%s, %s pub: got exit code 0", c.name, tools)
				}
				if kind == mosquitto && c.port == "mutual" && code == 7 {
					// Mosquitto closes at once, and what it has said is lost with the connection.
					exit, says = 7, lostD6
				}
				first := map[int]string{8: "Error: A TLS error occurred.\n", 7: "Error: The connection was lost.\n"}[exit]
				if tools == colibri && (code != exit || !regexp.MustCompile("^"+first+sentence(says)+"\n$").MatchString(p.both.String())) {
					t.Errorf("%s: got exit code %d and\n%swant %d and\n%s%s", c.name, code, p.both, exit, first, says)
				}
				if kind == colibri {
					b.program.expect(t, sentence(log)+"$")
				}
			}
		}
	})
}

// TestScenarioD6Versions: too old a version of TLS, on either end, and what our broker says
// when openssl refuses its certificate.
func TestScenarioD6Versions(t *testing.T) {
	b, ports := startD6(t, colibri)
	for _, c := range []struct{ port, args, says, log string }{
		{"new", "-tls1_2", "alert protocol version", closed + "the client offers only versions of TLS that are too old for this listener: update the client, or see tls_version."},
		{"old", "-tls1_2", "certificate has expired", closed + "the client refuses this broker's certificate because it has expired or is not valid yet: renew it, and compare the clocks."},
		{"old", "-tls1_3", "certificate has expired", brokenD6},
	} {
		said, got := talk(t, nil, fmt.Sprintf("localhost:%d", ports[c.port]), "-CAfile", b.file("ca.crt"), c.args)
		if got != "" || !strings.Contains(said, c.says) {
			t.Errorf("openssl %s: got %q and\n%s\nwant %q", c.args, got, said, c.says)
		}
		b.program.expect(t, sentence(c.log)+"$")
	}
	port := strconv.Itoa(freePort(t))
	server := start(t, paths["openssl"], "s_server", "-accept", "127.0.0.1:"+port, "-cert", b.file("server.crt"), "-key", b.file("server.key"), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
	server.expect(t, "^ACCEPT")
	p := start(t, paths[colibri], "pub", "-h", "localhost", "-p", port, "--cafile", b.file("ca.crt"), "-t", "t", "-m", "m")
	const want = "Error: A TLS error occurred.\nThe server does not take this version of TLS: update the older of both, or take --tls-version out.\n"
	if code := p.wait(t); code != 8 || p.both.String() != want {
		t.Errorf("a server of TLS 1.1: got exit code %d and\n%swant 8 and\n%s", code, p.both, want)
	}
}
