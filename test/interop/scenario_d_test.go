package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The scenarios of people on their second day: passwords and TLS, as they type them. Each row
// runs with every set of tools against every broker, and with openssl where there is TLS.

// tool starts a tool with these arguments, and with settings NAME=VALUE in its environment.
func (s toolset) tool(t *testing.T, settings []string, name string, args ...string) *program {
	t.Helper()
	return start(t, "/usr/bin/env", slices.Concat(settings, s.command(name), args)...)
}

// toolsets are the tools under test.
func toolsets() (all []toolset) {
	for _, name := range strings.Split(*toolsFlag, ",") {
		all = append(all, toolset(name))
	}
	return all
}

// startWithLines starts a broker of the kind with these lines, in which the first listener is
// one of b.
func (b *broker) startWithLines(t *testing.T, lines ...string) {
	t.Helper()
	configuration := filepath.Join(t.TempDir(), "d.conf")
	lines = append([]string{"user root", "log_type all", "persistence false"}, lines...)
	if err := os.WriteFile(configuration, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	command := map[string][]string{mosquitto: {paths[mosquitto]}, colibri: {paths[colibri], "broker"}}[b.kind]
	b.program = start(t, command[0], append(command[1:], "-c", configuration, "-v")...)
	b.waitUntilReady(t)
}

// TestScenarioD1: a name and a password let in, others do not, and no log shows one.
func TestScenarioD1(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		file := filepath.Join(t.TempDir(), "passwords")
		const right, wrong = "correct-horse", "battery-staple"
		// Mosquitto of Debian 12 does not read argon2id, which is what is written otherwise.
		start(t, paths[colibri], "passwd", "-H", "sha512-pbkdf2", "-c", "-b", file, "ann", right).succeeds(t)
		b := &broker{kind: kind, port: freePort(t)}
		b.startWithLines(t, fmt.Sprintf("listener %d 127.0.0.1", b.port), "password_file "+file)
		for _, tools := range toolsets() {
			for _, c := range []struct {
				args string
				exit int
				says string
			}{
				{"-u ann -P " + right, 0, "sending DISCONNECT"},
				{"-u ann -P " + wrong, 5, "Connection error: Connection Refused: not authorised."},
				{"-u eve -P " + wrong, 5, "Connection error: Connection Refused: not authorised."},
				{"", 5, "Connection error: Connection Refused: not authorised."},
				{"-V 5 -u ann -P " + wrong, 135, "Connection error: Not authorized"},
			} {
				args := append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(b.port), "-d", "-t", "t", "-m", "m", "-q", "1"}, strings.Fields(c.args)...)
				p := tools.tool(t, nil, "pub", args...)
				if code := p.wait(t); code != c.exit || !strings.Contains(p.both.String(), c.says) {
					t.Errorf("%s pub %s: got exit code %d and\n%s\nwant %d and %q", tools, c.args, code, p.both, c.exit, c.says)
				}
				noSecret(t, p.both.String(), right, wrong)
			}
		}
		b.program.terminate(t)
		b.program.wait(t)
		noSecret(t, b.program.both.String(), right, wrong, "$7$")
	})
}

// noSecret fails the test when a text shows one of the secrets.
func noSecret(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%q is shown:\n%s", secret, text)
		}
	}
}

// secureAddress is an address of this machine on which port 8883 is free: people type that
// number, and the tools turn TLS on by it. other is a second one.
func secureAddress(t *testing.T) (address, other string) {
	t.Helper()
	free := func() string {
		n := freePort(t)
		return fmt.Sprintf("127.83.%d.%d", n/250%250, n%250+1)
	}
	address, other = free(), free()
	for _, one := range []string{address, other} {
		if nc, err := net.Dial("tcp", one+":8883"); err == nil {
			nc.Close()
			t.Fatalf("somebody listens on %s:8883", one)
		}
	}
	return address, other
}

// startD2 starts a broker on port 8883 of an address for which its certificate is, and of
// another one. mutual is its port for clients with certificates.
func startD2(t *testing.T, kind string) (b *secureBroker, address, other string) {
	t.Helper()
	address, other = secureAddress(t)
	dir := filepath.Join(t.TempDir(), "pki")
	start(t, paths[colibri], "pki", "init", dir, "--address", address, "--client", "alice").succeeds(t)
	b = &secureBroker{broker: &broker{kind: kind, port: freePort(t)}, mutual: freePort(t),
		file: func(name string) string { return filepath.Join(dir, name) }}
	pair := []string{"certfile " + b.file("server.crt"), "keyfile " + b.file("server.key")}
	lines := []string{"allow_anonymous true"}
	for _, listener := range []string{"8883 " + address, "8883 " + other} {
		lines = append(append(lines, "listener "+listener), pair...)
	}
	lines = append(append(lines, fmt.Sprintf("listener %d %s", b.mutual, address)), pair...)
	lines = append(lines, "cafile "+b.file("ca.crt"), "require_certificate true", "use_identity_as_username true",
		fmt.Sprintf("listener %d 127.0.0.1", b.port))
	b.startWithLines(t, lines...)
	return b, address, other
}

// talk has openssl carry a CONNECT packet over TLS, and returns what it says and what came
// back.
func talk(t *testing.T, settings []string, address string, args ...string) (said, received string) {
	t.Helper()
	command := []string{paths["openssl"], "s_client", "-connect", address, "-verify_return_error", "-brief", "-ign_eof"}
	p := start(t, "/usr/bin/env", slices.Concat(settings, command, args)...)
	fmt.Fprint(p.stdin, "\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02op\xe0\x00")
	p.wait(t) // DISCONNECT, or the failed check, ends it
	return p.stderr.String(), p.stdout.String()
}

// connackAccepted is the CONNACK of a broker of 3.1.1 that lets a client in.
const connackAccepted = "\x20\x02\x00\x00"

// TestScenarioD2: port 8883 alone means TLS with the authorities of the system, and name and
// chain are checked.
func TestScenarioD2(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b, address, other := startD2(t, kind)
		system := []string{"SSL_CERT_FILE=" + b.file("ca.crt")}
		for _, tools := range toolsets() {
			tools.tool(t, system, "pub", "-h", address, "-p", "8883", "-t", "t", "-m", "m", "-q", "1").succeeds(t)
			for what, p := range map[string]*program{
				"a CA that the system does not know": tools.tool(t, nil, "pub", "-h", address, "-p", "8883", "-t", "t", "-m", "m"),
				"an address without a certificate":   tools.tool(t, system, "pub", "-h", other, "-p", "8883", "-t", "t", "-m", "m"),
			} {
				if code := p.wait(t); code == 0 {
					t.Errorf("%s pub, %s: got exit code 0", tools, what)
				}
			}
		}
		if said, got := talk(t, system, address+":8883", "-verify_ip", address); got != connackAccepted {
			t.Errorf("openssl: got %q, want a CONNACK; it said\n%s", got, said)
		}
		for want, args := range map[string][]string{
			"unable to get local issuer certificate": {address + ":8883"},
			"IP address mismatch":                    {other + ":8883", "-verify_ip", other, "-CAfile", b.file("ca.crt")},
		} {
			if said, got := talk(t, nil, args[0], args[1:]...); got != "" || !strings.Contains(said, want) {
				t.Errorf("openssl %q: got %q and\n%s\nwant %q", args, got, said, want)
			}
		}
	})
}

// TestScenarioD3D4: a private CA is named with --cafile, and with --cert and --key the client
// shows who it is, which the broker takes for its User Name.
func TestScenarioD3D4(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b, address, _ := startD2(t, kind)
		ca := []string{"--cafile", b.file("ca.crt")}
		pair := append(ca, "--cert", b.file("alice.crt"), "--key", b.file("alice.key"))
		for _, tools := range toolsets() {
			for row, args := range map[string][]string{
				"D3": append([]string{"-h", address, "-p", "8883"}, ca...),
				"D4": append([]string{"-h", address, "-p", strconv.Itoa(b.mutual)}, pair...),
			} {
				id, text := row+"-"+string(tools), string(tools)+" says "+row
				sub := tools.tool(t, nil, "sub", append(args, "-d", "-i", "sub", "-t", row, "-C", "1")...)
				sub.expect(t, `^Subscribed \(mid: \d+\)`)
				tools.tool(t, nil, "pub", append(args, "-i", id, "-t", row, "-m", text, "-q", "1")...).succeeds(t)
				sub.expectMessages(t, text)
				sub.succeeds(t)
				user := map[string]string{"D3": "", "D4": ", u'alice'"}[row]
				b.program.expect(t, fmt.Sprintf(`New client connected from .* as %s \(p2, c1, k60%s\)`, id, user))
			}
			if p := tools.tool(t, nil, "pub", append(ca, "-h", address, "-p", strconv.Itoa(b.mutual), "-t", "t", "-m", "m")...); p.wait(t) == 0 {
				t.Errorf("%s pub without a certificate: got exit code 0", tools)
			}
		}
		mutual := fmt.Sprintf("%s:%d", address, b.mutual)
		for where, args := range map[string][]string{
			address + ":8883": {"-CAfile", b.file("ca.crt")},
			mutual:            {"-CAfile", b.file("ca.crt"), "-cert", b.file("alice.crt"), "-key", b.file("alice.key")},
		} {
			if said, got := talk(t, nil, where, args...); got != connackAccepted {
				t.Errorf("openssl %s: got %q, want a CONNACK; it said\n%s", where, got, said)
			}
		}
		if said, got := talk(t, nil, mutual, "-CAfile", b.file("ca.crt")); got != "" || !strings.Contains(said, "certificate required") {
			t.Errorf("openssl without a certificate: got %q and\n%s", got, said)
		}
	})
}

// TestScenarioD5: one command makes all files, and the lines that it prints for a person work
// as they stand, but for the number of the port.
func TestScenarioD5(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		dir := filepath.Join(t.TempDir(), "pki")
		made := start(t, paths[colibri], "pki", "init", dir, "--client", "alice")
		made.succeeds(t)
		b := &broker{kind: kind, port: freePort(t)}
		printed := strings.ReplaceAll(made.stdout.String(), "8883", strconv.Itoa(b.port))
		_, rest, _ := strings.Cut(printed, "The lines for the broker's configuration:\n")
		lines, rest, found := strings.Cut(rest, "\n\n")
		if !found || !strings.HasPrefix(lines, "  listener ") {
			t.Fatalf("no lines in\n%s", printed)
		}
		b.startWithLines(t, strings.Split(strings.ReplaceAll(lines, "  ", ""), "\n")...)
		for name, tools := range map[string]toolset{`colibri pub`: colibri, `mosquitto_pub`: mosquitto} {
			typed := regexp.MustCompile(`(?m)^  (` + name + ` .*)$`).FindStringSubmatch(rest)
			if typed == nil {
				t.Fatalf("no command of %s in\n%s", name, rest)
			}
			command := strings.Replace(typed[1], name, strings.Join(tools.command("pub"), " "), 1)
			start(t, "/bin/sh", "-c", command).succeeds(t)
			b.program.expect(t, `New client connected from .* u'alice'\)`)
		}
		address := fmt.Sprintf("localhost:%d", b.port)
		if said, got := talk(t, nil, address, "-CAfile", filepath.Join(dir, "ca.crt"), "-verify_hostname", "localhost",
			"-cert", filepath.Join(dir, "alice.crt"), "-key", filepath.Join(dir, "alice.key")); got != connackAccepted {
			t.Errorf("openssl: got %q, want a CONNACK; it said\n%s", got, said)
		}
		// A second time nothing is overwritten.
		if again := start(t, paths[colibri], "pki", "init", dir); again.wait(t) == 0 {
			t.Errorf("a second init: got exit code 0 and %s", again.both)
		}
	})
}
