package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri/internal/pki"
)

// runPKICommand runs "colibri pki" in the directory home and returns what it printed,
// with HOME for home.
func runPKICommand(t *testing.T, home string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(home)
	var out, errors bytes.Buffer
	code = run(t.Context(), append([]string{"colibri", "pki"}, args...), strings.NewReader(""), &out, &errors)
	return code, strings.ReplaceAll(out.String(), home, "HOME"), strings.ReplaceAll(errors.String(), home, "HOME")
}

func TestPKI(t *testing.T) {
	home := t.TempDir()
	code, out, errors := runPKICommand(t, home, "init", "--name", "broker.example", "--address", "192.0.2.77", "--client", "alice", "--client", "the door")
	if code != exitOK || errors != "" {
		t.Fatalf("init: got exit code %d, %q", code, errors)
	}
	for _, want := range []string{
		"Made in HOME/pki:\n",
		"broker.example, 127.0.0.1, ::1",
		"192.0.2.77",
		"the client 'the door'",
		"  certfile HOME/pki/server.crt\n  keyfile HOME/pki/server.key\n  cafile HOME/pki/ca.crt\n  require_certificate true\n  use_identity_as_username true\n  crlfile HOME/pki/ca.crl\n",
		"  colibri pub -h localhost -p 8883 --cafile HOME/pki/ca.crt --cert HOME/pki/alice.crt --key HOME/pki/alice.key -t test -m hello\n",
		"  mosquitto_pub -h localhost -p 8883 --cafile HOME/pki/ca.crt",
		"not for a fleet",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("init: %q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "PRIVATE KEY") {
		t.Error("init prints a key")
	}
	before, err := os.ReadDir(filepath.Join(home, "pki"))
	if err != nil || len(before) != 9 {
		t.Errorf("got %d files, %v, want 9", len(before), err)
	}

	code, _, errors = runPKICommand(t, home, "init", "--client", "alice")
	if want := "Error: The files HOME/pki/ca.crt, HOME/pki/ca.key, HOME/pki/ca.crl, HOME/pki/server.crt, HOME/pki/server.key, HOME/pki/alice.crt, HOME/pki/alice.key " +
		"are there already, and nothing was written: choose another name or directory, or move them away.\n"; code != exitPKIFailed || errors != want {
		t.Errorf("init again: got exit code %d, %q, want 1, %q", code, errors, want)
	}

	code, out, _ = runPKICommand(t, home, "client", "bob")
	if want := regexp.MustCompile(`^Made HOME/pki/bob.crt and bob.key, valid until \d{4}-\d\d-\d\d.\n  colibri pub .* --cert HOME/pki/bob.crt`); code != exitOK || !want.MatchString(out) {
		t.Errorf("client: got exit code %d, %s", code, out)
	}
	code, out, _ = runPKICommand(t, home, "server", "second", "-d", "pki", "--name", "second.example")
	if code != exitOK || !strings.Contains(out, "second.example") || !strings.HasSuffix(out, "  certfile HOME/pki/second.crt\n  keyfile HOME/pki/second.key\n") {
		t.Errorf("server: got exit code %d, %s", code, out)
	}
	code, _, errors = runPKICommand(t, home, "server")
	if want := "Error: The files HOME/pki/server.crt, HOME/pki/server.key are there already"; code != exitPKIFailed || !strings.HasPrefix(errors, want) {
		t.Errorf("server again: got exit code %d, %q", code, errors)
	}

	code, out, _ = runPKICommand(t, home, "revoke", "bob")
	if want := "The certificate of 'bob' is revoked: it is on the list HOME/pki/ca.crl."; code != exitOK || !strings.HasPrefix(out, want) {
		t.Errorf("revoke: got exit code %d, %q", code, out)
	}
	code, out, _ = runPKICommand(t, home, "revoke", "pki/bob.crt")
	if want := "The certificate of 'bob' was revoked before; nothing was changed.\n"; code != exitOK || out != want {
		t.Errorf("revoke again: got exit code %d, %q, want %q", code, out, want)
	}
	_, out, _ = runPKICommand(t, home, "revoke", "the door", "--json")
	var revoked struct{ Serial string }
	if err := json.Unmarshal([]byte(out), &revoked); err != nil || len(revoked.Serial) < 24 {
		t.Errorf("revoke --json: got %s, %v", out, err)
	}

	code, out, _ = runPKICommand(t, home, "show", "pki/alice.crt")
	want := regexp.MustCompile(`^subject      CN=alice
issuer       CN=Colibri private CA [0-9a-f]{8}
names        none
purpose      client
valid        from \d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC: 396 days left
serial       [0-9A-F]{24,32}
SHA-256      ([0-9A-F]{2}:){31}[0-9A-F]{2}
$`)
	if code != exitOK || !want.MatchString(out) {
		t.Errorf("show: got exit code %d,\n%s", code, out)
	}
	code, out, _ = runPKICommand(t, home, "show", "pki/ca.crl")
	if code != exitOK || strings.Count(out, "serial") != 2 || !strings.Contains(out, "serial       "+revoked.Serial+", on ") {
		t.Errorf("show of the list: got exit code %d,\n%s", code, out)
	}
	code, out, _ = runPKICommand(t, home, "show", "--json", "pki/server.crt")
	var shown struct {
		Certificates []struct {
			Names, Purposes []string
			Days            int `json:"days_left"`
			Valid           bool
		}
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != exitOK || len(shown.Certificates) != 1 || !shown.Certificates[0].Valid ||
		shown.Certificates[0].Days != 396 || !cmp.Equal(shown.Certificates[0].Purposes, []string{"server"}) {
		t.Errorf("show --json: got exit code %d, %s, %v", code, out, err)
	}
}

func TestPKIJSON(t *testing.T) {
	home := t.TempDir()
	code, out, _ := runPKICommand(t, home, "init", "here", "--json")
	var made struct {
		Directory         string
		Authority, Server struct {
			File    string
			KeyFile string `json:"key_file"`
		}
		Clients       []struct{ Subject string }
		Configuration []string
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != exitOK || made.Directory != "HOME/here" || made.Server.KeyFile != "HOME/here/server.key" ||
		made.Authority.File != "HOME/here/ca.crt" || len(made.Clients) != 1 || made.Clients[0].Subject != "CN=client" || len(made.Configuration) != 7 {
		t.Errorf("got exit code %d, %v, %s", code, err, out)
	}
}

// show says when a certificate has ended, or has not begun, and exits with 2.
func TestPKIShowEnded(t *testing.T) {
	home := t.TempDir()
	hosts := pki.Hosts{Names: []string{"localhost"}}
	for name, at := range map[string]time.Time{"old": time.Now().Add(-pki.Validity - 3*24*time.Hour), "new": time.Now().Add(48 * time.Hour)} {
		if _, err := pki.Create(filepath.Join(home, name), hosts, nil, at); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{"old/server.crt": "ENDED 3 days ago: make a new one\n", "new/server.crt": "NOT YET VALID: check the clock of this machine\n"} {
		if code, out, _ := runPKICommand(t, home, "show", file); code != exitPKIEnded || !strings.Contains(out, text) {
			t.Errorf("%s: got exit code %d,\n%s", file, code, out)
		}
	}
}

func TestPKIUsage(t *testing.T) {
	const see = "\n\nUse 'colibri pki --help' to see usage.\n"
	home := t.TempDir()
	for _, test := range []struct {
		command string
		code    int
		text    string
	}{
		{"", 3, "Error: Say what to do: init, client, server, revoke or show." + see},
		{"make", 3, "Error: Unknown command 'make'; there are init, client, server, revoke and show." + see},
		{"client", 3, "Error: 'client' needs NAME behind it." + see},
		{"show a b", 3, "Error: 'b' is one too many behind 'show': give one." + see},
		{"show --dir", 3, "Error: '--dir' belongs behind 'init', 'client', 'server' or 'revoke'." + see},
		{"init a --dir b", 3, "Error: The directory is given twice, 'a' and 'b'; give one." + see},
		{"init --name", 3, "Error: '--name' needs a NAME behind it." + see},
		{"init --name 10.0.0.1", 3, "Error: '10.0.0.1' is an IP address and not a name." + see},
		{"init --client a/b", 3, `Error: The name 'a/b' cannot be that of a file: leave out / \ : * ? " < > |.` + see},
		{"init -x", 3, "Error: Unknown option '-x'." + see},
		{"init a/b", 1, "Error: The directory in which HOME/a/b would be does not exist: make it, or choose another one.\n"},
		{"client alice", 1, "Error: There is no authority in HOME/pki, as it has no ca.crt: make one with init, or name its directory.\n"},
		{"client a/b", 1, "Error: There is no authority in HOME/pki, as it has no ca.crt: make one with init, or name its directory.\n"},
		{"show .", 1, "Error: There is a directory by the name of .: name a file in it.\n"},
		{"show nothing.crt", 1, "Error: There is no nothing.crt: check the name.\n"},
	} {
		code, _, got := runPKICommand(t, home, strings.Fields(test.command)...)
		if code != test.code || got != test.text {
			t.Errorf("pki %s: got exit code %d, %q, want %d, %q", test.command, code, got, test.code, test.text)
		}
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if code, out, _ := runPKICommand(t, home, "--help"); code != exitOK || !strings.Contains(out, "colibri pki revoke NAME|FILE [FLAGS]") {
		t.Errorf("--help: got exit code %d and %s", code, out)
	}
	var offers []string
	for _, args := range [][]string{{}, {"init"}, {"show"}} {
		for _, typed := range []string{"", "--"} {
			found, _ := completePKI(args, typed)
			for _, one := range found {
				name, _, _ := strings.Cut(one, "\t")
				offers = append(offers, name)
			}
		}
	}
	if got, want := strings.Join(offers, " "), "init client server revoke show --dir --name --address --client --json --help --json --help"; got != want {
		t.Errorf("completion: got %s, want %s", got, want)
	}
}

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{"/a/b.crt": "/a/b.crt", "/a b": "'/a b'", "it's": `'it'\''s'`, "": "''"} {
		if got := shellWord(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
