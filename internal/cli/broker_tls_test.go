package cli

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/certtest"
)

// secureFiles are the files of a broker with TLS and of its clients.
type secureFiles struct {
	*testing.T
	dir        string
	authority  *certtest.Authority
	cert, key  string // of the broker
	cafile     string
	clientCert string
	clientKey  string
}

func newSecureFiles(t *testing.T) *secureFiles {
	f := &secureFiles{T: t, dir: t.TempDir(), authority: certtest.NewAuthority(t, "Our CA")}
	f.cafile = certtest.Write(t, f.dir, "ca.crt", f.authority.CertPEM)
	f.cert, f.key = f.authority.Server(t).Save(t, f.dir, "server")
	f.clientCert, f.clientKey = f.authority.Client(t, "sensor").Save(t, f.dir, "client")
	return f
}

// listener returns the lines for a listener on a free port.
func (f *secureFiles) listener(more string) string {
	return fmt.Sprintf("listener 0 127.0.0.1\ncertfile %s\nkeyfile %s\n%s", f.cert, f.key, more)
}

// TestTLSCommands runs the commands against listeners of each kind, and has each check fail
// that people meet; both ends say which it was.
func TestTLSCommands(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	past, future := time.Date(2025, 1, 2, 3, 4, 0, 0, time.UTC), time.Date(2120, 1, 2, 3, 4, 0, 0, time.UTC)
	issue := func(name string, from, to time.Time, names ...string) (cert, key string) {
		return f.authority.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: names, NotBefore: from, NotAfter: to}).Save(t, f.dir, name)
	}
	expiredCert, expiredKey := issue("old", past.AddDate(-1, 0, 0), past, "localhost")
	earlyCert, earlyKey := issue("early", future, future.AddDate(1, 0, 0), "localhost")
	namedCert, namedKey := issue("named", past, future, "broker.example")
	oldCert, oldKey := issue("worn", past.AddDate(-1, 0, 0), past)
	futureCert, futureKey := issue("young", future, future.AddDate(1, 0, 0))
	revoked := f.authority.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "lost"}})
	revokedCert, revokedKey := revoked.Save(t, f.dir, "revoked")
	crl := certtest.Write(t, f.dir, "crl.pem", f.authority.Revoke(t, time.Now().AddDate(1, 0, 0), revoked))
	other := certtest.Write(t, f.dir, "other.crt", certtest.NewAuthority(t, "Other CA").CertPEM)
	foreignCert, foreignKey := certtest.NewAuthority(t, "Other CA").Client(t, "stranger").Save(t, f.dir, "foreign")

	b := startConfigured(t, "persistence false\nallow_anonymous true\n"+f.listener("")+
		f.listener("cafile "+f.cafile+"\ncrlfile "+crl+"\nrequire_certificate true\nuse_identity_as_username true\n")+
		f.listener("protocol websockets\n")+
		fmt.Sprintf("listener 0 127.0.0.1\ncertfile %s\nkeyfile %s\n", expiredCert, expiredKey)+
		fmt.Sprintf("listener 0 127.0.0.1\ncertfile %s\nkeyfile %s\n", earlyCert, earlyKey)+
		fmt.Sprintf("listener 0 127.0.0.1\ncertfile %s\nkeyfile %s\n", namedCert, namedKey)+
		"listener 0 127.0.0.1\n")
	ports := map[string]string{}
	for i, one := range b.until(`127\.0\.0\.1:(\d+) .*, with TLS\n.*127\.0\.0\.1:(\d+) .*, with TLS and a certificate\n.*127\.0\.0\.1:(\d+) .*, by WebSocket, with TLS\n.*127\.0\.0\.1:(\d+) .*, with TLS\n.*127\.0\.0\.1:(\d+) .*, with TLS\n.*127\.0\.0\.1:(\d+) .*, with TLS\n.*127\.0\.0\.1:(\d+) `)[1:] {
		ports[[]string{"tls", "mutual", "wss", "expired", "early", "named", "plain"}[i]] = one
	}
	b.until(`Warning: port 0: the certificate 'old' of certfile '.*' has expired on 2025-01-02 03:04 UTC: clients refuse it; renew it\.`)
	shown := 0 // how much of the log has been looked at

	tlsError := func(text string) string { return "Error: A TLS error occurred.\n" + text + "\n" }
	const (
		closed  = "A connection from ADDRESS was closed: "
		refuses = closed + "the client refuses this broker's certificate: it does not know the CA, or the certificate has expired or is for another name than the one the client connects to; see what the client says."
	)
	for _, c := range []struct {
		name, port, args string
		exit             int
		stderr           string
		log              string
	}{
		{"a private CA", "tls", "--cafile " + f.cafile, 0, "", "New client connected from ADDRESS as pub (p2, c1, k60)."},
		{"a directory of CAs", "tls", "--capath " + f.dir + " --tls-version tlsv1.3 --tls-alpn mqtt", 0, "", "New client connected from ADDRESS as pub (p2, c1, k60)."},
		{"not checked", "tls", "--cafile " + other + " --insecure", 0, "", "New client connected from ADDRESS as pub (p2, c1, k60)."},
		{"mutual", "mutual", "--cafile " + f.cafile + " --cert " + f.clientCert + " --key " + f.clientKey, 0, "", "New client connected from ADDRESS as pub (p2, c1, k60, u'sensor')."},
		{"mutual, with another user name", "mutual", "-u admin -P x --cafile " + f.cafile + " --cert " + f.clientCert + " --key " + f.clientKey, 0, "", "New client connected from ADDRESS as pub (p2, c1, k60, u'sensor')."},
		{"WebSocket", "wss", "--ws --cafile " + f.cafile, 0, "", "New client connected from ADDRESS as pub (p2, c1, k60)."},
		{"the CAs of the system", "tls", "--tls-use-os-certs", exitTLS,
			tlsError("The server's certificate 'broker' is signed by the CA 'Our CA', which is not trusted here: name the certificate of that CA with --cafile."),
			refuses},
		{"another name", "named", "--cafile " + f.cafile, exitTLS,
			tlsError("The server's certificate is for 'broker.example', not for 'localhost': use one of these with -h, or have a certificate made for 'localhost'."), refuses},
		{"expired", "expired", "--cafile " + f.cafile, exitTLS, tlsError("The server's certificate 'old' has expired on 2025-01-02 03:04 UTC: have it renewed."), refuses},
		{"not yet valid", "early", "--cafile " + f.cafile, exitTLS,
			tlsError("The server's certificate 'early' is valid from 2120-01-02 03:04 UTC only: compare the clocks of both machines, or wait."), refuses},
		{"an expired client", "mutual", "--cafile " + f.cafile + " --cert " + oldCert + " --key " + oldKey, exitTLS,
			tlsError("The server refuses the client's certificate because it has expired or is not valid yet: get a new one for --cert and --key, and compare the clocks."),
			closed + "the client's certificate 'worn' has expired on 2025-01-02 03:04 UTC: have it renewed."},
		{"a client that is not valid yet", "mutual", "--cafile " + f.cafile + " --cert " + futureCert + " --key " + futureKey, exitTLS,
			tlsError("The server refuses the client's certificate because it has expired or is not valid yet: get a new one for --cert and --key, and compare the clocks."),
			closed + "the client's certificate 'young' is valid from 2120-01-02 03:04 UTC only: compare the clocks of both machines, or wait."},
		{"no certificate", "mutual", "--cafile " + f.cafile, exitTLS, tlsError("The server requires a certificate of the client: give one with --cert and --key."),
			closed + "the client shows no certificate, and this listener requires one: give the client one with --cert and --key."},
		{"a certificate of another CA", "mutual", "--cafile " + f.cafile + " --cert " + foreignCert + " --key " + foreignKey, exitTLS,
			tlsError("The server refuses the client's certificate because it does not know the CA that has signed it: use another one with --cert and --key, or have the CA added to the server's cafile."),
			closed + "the client's certificate 'stranger' is signed by the CA 'Other CA', which is not in cafile or capath: give the client another one, or add that CA."},
		{"revoked", "mutual", "--cafile " + f.cafile + " --cert " + revokedCert + " --key " + revokedKey, exitTLS,
			tlsError("The server refuses the client's certificate: it may be revoked, not be valid yet, or miss altogether; see --cert and --key, and the server's log."),
			closed + fmt.Sprintf("the client's certificate is refused: the certificate 'lost' (serial number %x) was revoked by its CA on 2026-01-02 03:04 UTC; give the client a new one.", revoked.Certificate.SerialNumber)},
		{"plain to TLS", "tls", "", exitLost,
			"Error: The connection was lost.\nThe server speaks TLS on this port: name its CA with --cafile, or its port without TLS with -p (most often 1883).\n",
			closed + "the client speaks MQTT without TLS, and this port is for TLS only: have it use TLS, or another port."},
		{"TLS to plain", "plain", "--cafile " + f.cafile, exitTLS,
			tlsError("The server has closed the connection instead of answering to TLS: check that this port is one for TLS (most often 8883), and look at the server's log."),
			"Client <unknown> [ADDRESS] refused: first packet: the client speaks TLS, and this port does not (Protocol Error)."},
		{"a file that is not there", "tls", "--cafile /nowhere", exitUsage, "Error: Problem setting TLS options: --cafile '/nowhere' cannot be read: no such file or directory.\n", ""},
		{"an old version", "tls", "--cafile " + f.cafile + " --tls-version tlsv1.1", exitUsage,
			"Error: Problem setting TLS options: --tls-version: 'tlsv1.1' is not safe any more, and this program does not have it: write tlsv1.2 or tlsv1.3.\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"colibri", "pub", "-h", "localhost", "-p", ports[c.port], "-i", "pub", "-t", "t", "-m", "m", "-q", "1"}
			exit, stdout, stderr := call(t, append(args, strings.Fields(c.args)...)...)
			if exit != c.exit || stdout != "" || stderr != c.stderr {
				t.Errorf("got exit %d, %q and\n%s\nwant exit %d and\n%s", exit, stdout, stderr, c.exit, c.stderr)
			}
			if c.log == "" {
				return
			}
			pattern := strings.ReplaceAll(regexp.QuoteMeta(c.log), "ADDRESS", `[0-9a-f.:\[\]]+`)
			b.until(`(?s)^.{` + fmt.Sprint(min(shown, 1000)) + `}.*` + pattern)
			text, _ := b.stderr.now()
			shown = len(text)
		})
	}
	b.end()
}

// TestTLSKeyLog shows that both ends write the same secrets.
func TestTLSKeyLog(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	ofBroker, ofClient := filepath.Join(f.dir, "broker.log"), filepath.Join(f.dir, "client.log")
	b := startConfigured(t, "persistence false\nallow_anonymous true\n"+f.listener(""), "--tls-keylog", ofBroker)
	_, port, _ := net.SplitHostPort(b.address())
	if exit, _, stderr := call(t, "colibri", "pub", "-p", port, "--cafile", f.cafile, "--tls-keylog", ofClient, "-t", "t", "-m", "m"); exit != exitOK {
		t.Fatalf("got exit %d, %s", exit, stderr)
	}
	lines := func(path string) (last string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "CLIENT_TRAFFIC_SECRET_0 ") {
				last = line
			}
		}
		return last
	}
	if got, want := lines(ofBroker), lines(ofClient); got != want || got == "" {
		t.Errorf("the broker wrote %q, the client %q", got, want)
	}
	b.end()
}

// TestTLSConfiguration shows that a wrong file is found with --test-config, and when the
// broker starts.
func TestTLSConfiguration(t *testing.T) {
	isolate(t)
	f := newSecureFiles(t)
	for _, c := range []struct{ text, want string }{
		{f.listener(""), ""},
		{f.listener("ciphers HIGH\n"), ":2: 'HIGH' is not the name of a cipher suite that this program has: write names such as ECDHE-RSA-AES256-GCM-SHA384 with colons between them, or leave it out for all that are safe.\n"},
		{fmt.Sprintf("listener 0 127.0.0.1\ncertfile %s\nkeyfile %s\n", f.cert, f.clientKey), ":2: keyfile '" + f.clientKey + "' does not belong to certfile '" + f.cert + "': name the key with which the certificate was made.\n"},
		{f.listener("cafile /nowhere\n"), ":2: cafile '/nowhere' cannot be read: no such file or directory.\n"},
	} {
		path := writeConfig(t, c.text)
		exit, stdout, stderr := call(t, "colibri", "broker", "-c", path, "--test-config")
		if c.want == "" && (exit != exitOK || stderr != "") || c.want != "" && (exit != exitConfig || stderr != "Error: "+path+c.want) {
			t.Errorf("%s: got exit %d, %q and\n%s, want\n%s", c.text, exit, stdout, stderr, c.want)
		}
	}
}

// TestTLSPort shows that port 8883 is taken when TLS is asked for, and that it asks for TLS.
func TestTLSPort(t *testing.T) {
	for args, want := range map[string]string{
		"-t a -m b":                           "tcp://localhost:1883",
		"-t a -m b --cafile x":                "tls://localhost:8883",
		"-t a -m b --tls-use-os-certs --ws":   "wss://localhost:8883",
		"-t a -m b -p 8883":                   "tls://localhost:8883",
		"-t a -m b -p 8883 --no-tls":          "tcp://localhost:8883",
		"-t a -m b -p 1234 --capath x":        "tls://localhost:1234",
		"-m b -L mqtts://h/a":                 "tls://h:8883",
		"-m b -L wss://h:1/a":                 "wss://h:1",
		"-t a -m b --cafile x --unix /run/ab": "",
	} {
		o, err := parseOptions(pub, "colibri pub", strings.Fields(args))
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", args, err)
			}
			continue
		}
		if got := o.url(); got != want {
			t.Errorf("%s: got %s, want %s", args, got, want)
		}
	}
}
