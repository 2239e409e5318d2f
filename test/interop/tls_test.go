package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// secureBroker is a broker with two listeners for TLS, the second of which requires
// certificates and takes User Names from them.
type secureBroker struct {
	*broker
	mutual int
	file   func(name string) string // of what colibri pki made
}

// startSecureBroker starts a broker of the kind, with the lines in more for its first listener.
func startSecureBroker(t *testing.T, kind string, more ...string) *secureBroker {
	t.Helper()
	dir, _ := makePKI(t)
	b := &secureBroker{broker: &broker{kind: kind, port: freePort(t)}, mutual: freePort(t),
		file: func(name string) string { return filepath.Join(dir, name) }}
	lines := append([]string{"user root", "allow_anonymous true", "log_type all", "persistence false",
		fmt.Sprintf("listener %d 127.0.0.1", b.port), "certfile " + b.file("server.crt"), "keyfile " + b.file("server.key")}, more...)
	lines = append(lines, fmt.Sprintf("listener %d 127.0.0.1", b.mutual), "certfile "+b.file("server.crt"), "keyfile "+b.file("server.key"),
		"cafile "+b.file("ca.crt"), "crlfile "+b.file("ca.crl"), "require_certificate true", "use_subject_as_username true")
	configuration := filepath.Join(t.TempDir(), "tls.conf")
	if err := os.WriteFile(configuration, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	command := map[string][]string{mosquitto: {paths[mosquitto]}, colibri: {paths[colibri], "broker"}}[kind]
	b.program = start(t, command[0], append(command[1:], "-c", configuration, "-v")...)
	b.waitUntilReady(t)
	return b
}

// TestTLSCommands runs the command-line clients of both against the brokers of both, over TLS:
// the server alone is checked, and both are.
func TestTLSCommands(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b := startSecureBroker(t, kind)
		for _, tools := range []toolset{mosquitto, colibri, colibriAsMosquitto} {
			command := func(name string, args ...string) *program {
				words := tools.command(name)
				return start(t, words[0], append(words[1:], args...)...)
			}
			for way, args := range map[string][]string{
				"server":  {"-h", "localhost", "-p", strconv.Itoa(b.port), "--cafile", b.file("ca.crt")},
				"mutual":  {"-h", "localhost", "-p", strconv.Itoa(b.mutual), "--cafile", b.file("ca.crt"), "--cert", b.file("alice.crt"), "--key", b.file("alice.key")},
				"tlsv1.3": {"-h", "localhost", "-p", strconv.Itoa(b.port), "--cafile", b.file("ca.crt"), "--tls-version", "tlsv1.3", "--tls-alpn", "mqtt"},
			} {
				text := string(tools) + " " + way
				sub := command("sub", append(args, "-d", "-i", "sub-"+way, "-t", "tls/#", "-q", "1", "-C", "1", "-F", "%t %p")...)
				sub.expect(t, `^Subscribed \(mid: \d+\)`)
				command("pub", append(args, "-i", "pub-"+way, "-t", "tls/"+way, "-m", text, "-q", "1")...).succeeds(t)
				sub.expectMessages(t, "tls/"+way+" "+text)
				sub.succeeds(t)
			}
			b.program.expect(t, `New client connected from .* as pub-mutual \(p2, c1, k60, u'CN=alice'\)`)

			// Each check that fails is an exit code that is not 0.
			for _, args := range [][]string{
				{"-h", "localhost", "-p", strconv.Itoa(b.port), "--cafile", b.file("alice.crt")},
				{"-h", "localhost", "-p", strconv.Itoa(b.mutual), "--cafile", b.file("ca.crt")},
				{"-h", "localhost", "-p", strconv.Itoa(b.port)},
			} {
				if p := command("pub", append(args, "-t", "t", "-m", "m")...); p.wait(t) == 0 {
					t.Errorf("%s pub %q: got exit code 0", tools, args)
				}
			}
		}
	})
}

// TestTLSTools has openssl shake hands with our broker, and compares what it prints of a
// subject with the User Name that our broker makes of it.
func TestTLSTools(t *testing.T) {
	b := startSecureBroker(t, colibri)
	client := func(port int, args ...string) string {
		p := start(t, paths["openssl"], append([]string{"s_client", "-connect", fmt.Sprintf("localhost:%d", port), "-CAfile", b.file("ca.crt"),
			"-verify_hostname", "localhost", "-alpn", "mqtt"}, args...)...)
		p.expect(t, `Verify return code`) // after what else is looked at
		p.kill()
		return p.both.String()
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for port, args := range map[int][]string{b.port: {version}, b.mutual: {version, "-cert", b.file("alice.crt"), "-key", b.file("alice.key")}} {
			got := client(port, args...)
			for _, want := range []string{"Verify return code: 0 (ok)", "ALPN protocol: mqtt"} {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %q is not in\n%s", version, want, got)
				}
			}
		}
	}
	old := start(t, paths["openssl"], "s_client", "-connect", fmt.Sprintf("localhost:%d", b.port), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
	old.wait(t) // it ends by itself
	if got := old.both.String(); !strings.Contains(got, "alert protocol version") {
		t.Errorf("TLS 1.1: want the alert protocol version in\n%s", got)
	}
	b.program.expect(t, `the client offers only versions of TLS that are too old for this listener`)

	// A certificate of another maker, with a subject that has to be escaped.
	dir := t.TempDir()
	key, request, cert := filepath.Join(dir, "key"), filepath.Join(dir, "request"), filepath.Join(dir, "cert")
	start(t, paths["openssl"], "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-utf8",
		"-subj", `/C=NL/O=Käse, "Sons" & Co; <x>/OU=#1+emailAddress=a@b.example/DC=example/UID=7/serialNumber=12/CN= sensor`).succeeds(t)
	start(t, paths["openssl"], "x509", "-req", "-in", request, "-CA", b.file("ca.crt"), "-CAkey", b.file("ca.key"), "-CAcreateserial", "-days", "2", "-out", cert).succeeds(t)
	shown := start(t, paths["openssl"], "x509", "-in", cert, "-noout", "-subject", "-nameopt", "RFC2253")
	shown.succeeds(t)
	subject := strings.TrimSpace(strings.TrimPrefix(shown.stdout.String(), "subject="))
	sub := start(t, paths[colibri], "pub", "-h", "localhost", "-p", strconv.Itoa(b.mutual), "--cafile", b.file("ca.crt"), "--cert", cert, "--key", key, "-i", "strange", "-t", "t", "-m", "m", "-q", "1")
	sub.succeeds(t)
	line := b.program.expect(t, `New client connected from .* as strange `)
	if want := strings.ReplaceAll(subject, `\`, `\\`); !strings.Contains(line, "u'"+want+"'") {
		t.Errorf("the broker logs\n%s\nand openssl prints\n%s", line, subject)
	}
}

// TestTLSWebSocket has both of our ends meet over WebSocket inside TLS.
func TestTLSWebSocket(t *testing.T) {
	b := startSecureBroker(t, colibri, "protocol websockets")
	url := fmt.Sprintf("wss://localhost:%d/by/wss", b.port)
	sub := start(t, paths[colibri], "sub", "-d", "-L", url, "--cafile", b.file("ca.crt"), "-C", "1")
	sub.expect(t, `^Subscribed \(mid: \d+\)`)
	start(t, paths[colibri], "pub", "-L", url, "--cafile", b.file("ca.crt"), "-m", "text", "-q", "1").succeeds(t)
	sub.expectMessages(t, "text")
	sub.succeeds(t)
}

// TestTLSRefusal has servers refuse the certificate of our clients, which is another
// authority's, or their having none. In TLS 1.3 a client is connected then, as far as it
// knows: it says what the server has against it all the same, each time.
func TestTLSRefusal(t *testing.T) {
	other, _ := makePKI(t)
	refused := func(t *testing.T, port int, file func(string) string) {
		t.Helper()
		for range 2 {
			for _, command := range [][]string{{"pub", "-t", "t", "-m", "m"}, {"sub", "-t", "t"}, {"rr", "-t", "t", "-e", "r", "-m", "m"}} {
				for want, more := range map[string][]string{
					"it does not know the CA that has signed it":    {"--cert", filepath.Join(other, "alice.crt"), "--key", filepath.Join(other, "alice.key")},
					"The server requires a certificate of the clie": nil,
				} {
					args := append(append(command, "-h", "localhost", "-p", strconv.Itoa(port), "--cafile", file("ca.crt")), more...)
					p := start(t, paths[colibri], args...)
					if exit := p.wait(t); exit != 8 || !strings.Contains(p.stderr.String(), want) {
						t.Errorf("%q: got exit code %d and %s, want 8 and %q", command[0], exit, p.stderr, want)
					}
				}
			}
		}
	}
	forEachBroker(t, func(t *testing.T, kind string) {
		b := startSecureBroker(t, kind)
		refused(t, b.mutual, b.file)
	})
	t.Run("openssl", func(t *testing.T) {
		dir, _ := makePKI(t)
		file := func(name string) string { return filepath.Join(dir, name) }
		port := freePort(t)
		s := start(t, paths["openssl"], "s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-cert", file("server.crt"), "-key", file("server.key"),
			"-CAfile", file("ca.crt"), "-Verify", "1", "-verify_return_error", "-tls1_3")
		s.expect(t, "ACCEPT")
		refused(t, port, file)
	})
}
