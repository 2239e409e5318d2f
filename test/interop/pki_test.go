package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// madePKI is what "colibri pki init --json" prints, as far as it is used here.
type madePKI struct {
	Configuration []string
	Commands      []string
}

// makePKI runs "colibri pki init" in a new directory, for the clients alice and bob.
func makePKI(t *testing.T) (string, madePKI) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a directory")
	p := start(t, paths[colibri], "pki", "init", dir, "--client", "alice", "--client", "bob", "--json")
	p.succeeds(t)
	var made madePKI
	if err := json.Unmarshal([]byte(p.stdout.String()), &made); err != nil {
		t.Fatalf("%v in %s", err, p.stdout)
	}
	return dir, made
}

// TestPKIFiles has openssl look at what "colibri pki" made, as strictly as it can.
func TestPKIFiles(t *testing.T) {
	dir, _ := makePKI(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	openssl := func(args ...string) *program { return start(t, paths["openssl"], args...) }
	verify := func(name, purpose string) *program {
		return openssl("verify", "-x509_strict", "-check_ss_sig", "-crl_check", "-purpose", purpose,
			"-CAfile", file("ca.crt"), "-CRLfile", file("ca.crl"), file(name))
	}
	for name, purpose := range map[string]string{"server.crt": "sslserver", "alice.crt": "sslclient", "bob.crt": "sslclient"} {
		verify(name, purpose).succeeds(t)
	}
	for name, purpose := range map[string]string{"server.crt": "sslclient", "alice.crt": "sslserver"} {
		if p := verify(name, purpose); p.wait(t) == 0 {
			t.Errorf("%s is taken as %s", name, purpose)
		}
	}
	for _, host := range []string{"-verify_hostname localhost", "-verify_ip 127.0.0.1", "-verify_ip ::1"} {
		args := append([]string{"verify"}, strings.Fields(host)...)
		openssl(append(args, "-CAfile", file("ca.crt"), file("server.crt"))...).succeeds(t)
	}
	for _, name := range []string{"ca.key", "server.key", "alice.key"} {
		openssl("pkey", "-check", "-noout", "-in", file(name)).succeeds(t)
		if info, err := os.Stat(file(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want mode 0600", name, info, err)
		}
	}
	openssl("crl", "-noout", "-CAfile", file("ca.crt"), "-in", file("ca.crl")).succeeds(t)
	for name, texts := range map[string][]string{
		"ca.crt":     {"CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "prime256v1"},
		"server.crt": {"CA:FALSE", "TLS Web Server Authentication", "DNS:localhost", "IP Address:127.0.0.1", "X509v3 Authority Key Identifier"},
		"alice.crt":  {"TLS Web Client Authentication", "CN = alice"},
	} {
		p := openssl("x509", "-text", "-noout", "-in", file(name))
		p.succeeds(t)
		for _, text := range texts {
			if !strings.Contains(p.stdout.String(), text) {
				t.Errorf("%s: %q is not in\n%s", name, text, p.stdout)
			}
		}
	}
	// The fingerprint and the serial number are written as openssl writes them.
	p := openssl("x509", "-noout", "-fingerprint", "-sha256", "-serial", "-in", file("bob.crt"))
	p.succeeds(t)
	shown := start(t, paths[colibri], "pki", "show", file("bob.crt"))
	shown.succeeds(t)
	for line := range strings.Lines(p.stdout.String()) {
		if _, value, _ := strings.Cut(strings.TrimSpace(line), "="); !strings.Contains(shown.stdout.String(), " "+value+"\n") {
			t.Errorf("openssl says %q, and pki show\n%s", line, shown.stdout)
		}
	}

	start(t, paths[colibri], "pki", "revoke", "alice", "--dir", dir).succeeds(t)
	if p := verify("alice.crt", "sslclient"); p.wait(t) == 0 || !strings.Contains(p.both.String(), "certificate revoked") {
		t.Errorf("a revoked certificate: openssl said\n%s", p.both)
	}
	verify("bob.crt", "sslclient").succeeds(t)
}

// TestPKIWithMosquitto runs Mosquitto's broker with the lines that "colibri pki" prints,
// and the printed command of mosquitto_pub against it.
func TestPKIWithMosquitto(t *testing.T) {
	dir, made := makePKI(t)
	startTLS := func() *broker {
		b := &broker{kind: mosquitto, port: freePort(t)}
		// The keys are readable for the user of the tests only.
		lines := append([]string{"user root", "log_type all", fmt.Sprintf("listener %d", b.port)}, made.Configuration[1:]...)
		configuration := filepath.Join(t.TempDir(), "tls.conf")
		if err := os.WriteFile(configuration, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		b.program = start(t, paths[mosquitto], "-c", configuration)
		b.waitUntilReady(t)
		return b
	}
	// command is the printed one, for a client and a port.
	command := func(client string, port int) *program {
		line := strings.ReplaceAll(made.Commands[1], "-p 8883", "-p "+strconv.Itoa(port))
		line = strings.ReplaceAll(line, "mosquitto_pub", paths["mosquitto_pub"])
		return start(t, "/bin/sh", "-c", strings.ReplaceAll(line, "alice.", client+"."))
	}
	b := startTLS()
	for _, client := range []string{"alice", "bob"} {
		command(client, b.port).succeeds(t)
		b.program.expect(t, fmt.Sprintf(`New client connected from .* u'%s'`, client))
	}

	start(t, paths[colibri], "pki", "revoke", "alice", "--dir", dir).succeeds(t)
	b = startTLS()
	if p := command("alice", b.port); p.wait(t) == 0 {
		t.Errorf("a client whose certificate is revoked: mosquitto_pub succeeds")
	}
	command("bob", b.port).succeeds(t)
}

// TestUnixSockets publishes over a Unix domain socket, with our clients and Mosquitto's,
// to our broker and Mosquitto's.
func TestUnixSockets(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		directory, err := os.MkdirTemp("", "s") // the path of t.TempDir is too long for a socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(directory) })
		socket := filepath.Join(directory, "s")
		b := &broker{kind: kind, port: freePort(t)}
		configuration := filepath.Join(directory, "unix.conf")
		text := fmt.Sprintf("user root\nallow_anonymous true\nlistener 0 %s\nlistener %d 127.0.0.1\n", socket, b.port)
		if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		command := map[string][]string{mosquitto: {paths[mosquitto]}, colibri: {paths[colibri], "broker"}}[kind]
		b.program = start(t, command[0], append(command[1:], "-c", configuration)...)
		b.waitUntilReady(t) // the second listener is opened after the first
		for name, clients := range map[string][2][]string{
			"ours":        {{paths[colibri], "pub"}, {paths[colibri], "sub"}},
			"Mosquitto's": {{paths["mosquitto_pub"]}, {paths["mosquitto_sub"]}},
		} {
			flags := []string{"--unix", socket, "-V", "mqttv5", "-q", "1", "-t", "by/unix"}
			publisher := append(append(clients[0], flags...), "-m", name, "-r")
			start(t, publisher[0], publisher[1:]...).succeeds(t)
			subscriber := append(append(clients[1], flags...), "-C", "1", "-W", "10")
			p := start(t, subscriber[0], subscriber[1:]...)
			p.succeeds(t)
			if got := p.stdout.String(); got != name+"\n" {
				t.Errorf("got %q, want what %s pub sent", got, name)
			}
		}
	})
}
