package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// passwdCall runs a command line in which F is the file, with a standard input.
func passwdCall(t *testing.T, file, stdin, line string) (exit int, stdout, stderr string) {
	t.Helper()
	args := strings.Fields(line)
	for i := range args {
		if args[i] == "F" {
			args[i] = file
		}
	}
	var out, errs bytes.Buffer
	exit = run(context.Background(), args, strings.NewReader(stdin), &out, &errs)
	return exit, strings.ReplaceAll(out.String(), file, "F"), strings.ReplaceAll(errs.String(), file, "F")
}

const asked = "Password: \nReenter password: \n"

func TestPasswdMistakes(t *testing.T) {
	for _, c := range []struct {
		line, stdin string
		exit        int
		want        string // standard error
	}{
		{"-c", "", 1, "Error: -c argument given but password file or username missing.\n"},
		{"-c F", "", 1, "Error: -c argument given but password file or username missing.\n"},
		{"-c -b F u", "", 1, "Error: -c argument given but password file, username, or password missing.\n"},
		{"-D F", "", 1, "Error: -D argument given but password file or username missing.\n"},
		{"-U", "", 1, "Error: -U argument given but password file missing.\n"},
		{"-c -D F u", "", 1, "Error: -c and -D cannot be used together.\n"},
		{"-c -U F", "", 1, "Error: -c and -U cannot be used together.\n"},
		{"-D -U F", "", 1, "Error: -D and -U cannot be used together.\n"},
		{"-b -D F u", "", 1, "Error: -b and -D cannot be used together.\n"},
		{"--scram -U F", "", 1, "Error: --scram and -U cannot be used together.\n"},
		{"--scram -H sha512 F u", "", 1, "Error: --scram and -H cannot be used together.\n"},
		{"-H", "", 1, "Error: -H argument given but not enough other arguments.\n"},
		{"-H md5 F u", "", 1, "Error: Unknown hash type 'md5'\n"},
		{"-I", "", 1, "Error: -I argument given but not enough other arguments.\n"},
		{"-I 0 F u", "", 1, "Error: Number of iterations must be > 0.\n"},
		{"-H argon2id -I 5 F u", "", 1, "Error: -I belongs to '-H sha512-pbkdf2' and to --scram; argon2id has no iterations.\n"},
		{"-I 2000000 -b F u p", "", 1, "Error: Unable to hash password. 2000000 iterations for sha512-pbkdf2: only sha512-pbkdf2 has a number of them, from 1 to 1000000.\n"},
		{"-B F u", "", 1, "Error: Unknown option '-B'; see --help.\n"},
		{"-b F a:b p", "", 1, "Error: Username must not contain the ':' character.\n"},
		{"-b F a\x01b p", "", 1, "Error: Username must not contain control characters.\n"},
		{"-b F #a p", "", 1, "Error: Username must not begin with '#', which begins a comment.\n"},
		{"-b F a\xff p", "", 1, "Error: Username must be written in UTF-8.\n"},
		{"-D F bob", "", 1, "Warning: User bob not found in password file.\n"},
		{"-b Fnone u p", "", 1, "Error: Unable to open password file Fnone. No such file or directory. To make a new one, add -c.\n"},
		{"-c -b /nonexistent/f u p", "", 1, "Error: Unable to open file /nonexistent/f for writing. No such file or directory.\n"},
		{"F u", "secret\nSecret\n", 2, asked + "Error: Passwords do not match.\n"},
		{"F u", "\n", 1, "Password: \nError: Empty password.\n"},
		{"F u", "", 1, "Password: \nError: Empty password.\n"},
	} {
		file := filepath.Join(t.TempDir(), "F")
		const before = "# people\nann:x\n"
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		exit, stdout, stderr := passwdCall(t, file, c.stdin, "mosquitto_passwd "+c.line)
		if exit != c.exit || stderr != c.want || stdout != "" {
			t.Errorf("%s: got exit code %d, %q and %q; want %d and %q", c.line, exit, stdout, stderr, c.exit, c.want)
		}
		if after, _ := os.ReadFile(file); string(after) != before {
			t.Errorf("%s: the file was changed to %q", c.line, after)
		}
	}
	for _, line := range []string{"", "F", "F u p", "-b F u", "-b F u p q"} {
		if exit, stdout, stderr := passwdCall(t, "F", "", "colibri passwd "+line); exit != 1 || stderr != "" || !strings.Contains(stdout, "colibri passwd [-H HASH] [-I N] [-c | -D] FILE USER\n") {
			t.Errorf("%q: got exit code %d, %q and %q; want the usage and 1", line, exit, stdout, stderr)
		}
	}
	if exit, stdout, _ := passwdCall(t, "F", "", "colibri passwd --help"); exit != 0 || !strings.HasPrefix(stdout, "Make and change a file of users") {
		t.Errorf("--help: got exit code %d and %q", exit, stdout)
	}
	corrupt := filepath.Join(t.TempDir(), "F")
	if err := os.WriteFile(corrupt, []byte("ann:x\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, _, stderr := passwdCall(t, corrupt, "", "mosquitto_passwd -D F ann"); exit != 1 || stderr != "Error: Corrupt password file at line 2: there is no ':' between a user and a password.\n" {
		t.Errorf("a corrupt file: got exit code %d and %q", exit, stderr)
	}
}

// TestPasswdStory makes a file and changes it, as a person does.
func TestPasswdStory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "F")
	step := func(line, stdin, wantOut, wantErr string) {
		t.Helper()
		if exit, stdout, stderr := passwdCall(t, file, stdin, "colibri passwd "+line); exit != 0 || stdout != wantOut || stderr != wantErr {
			t.Fatalf("%s: got exit code %d, %q and %q; want 0, %q and %q", line, exit, stdout, stderr, wantOut, wantErr)
		}
	}
	knows := func(user, password string) {
		t.Helper()
		f, err := passwd.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if h, known := f.Lookup(user); !known || !h.Matches([]byte(password)) {
			t.Errorf("%s with %s: known %v, or the password does not match", user, password, known)
		}
	}
	step("-c F ann", "one\none\n", "Adding password for user ann\n", asked)
	knows("ann", "one")
	step("F ann", "two\r\ntwo\r\n", "Updating password for user ann\n", asked)
	knows("ann", "two")
	step("F bob", "alone", "Adding password for user bob\n", asked) // a pipe with one line
	knows("bob", "alone")
	step("-H sha512 -b F eve three", "", "Adding password for user eve\n", "")
	knows("eve", "three")
	step("-I 77 -b F eve four", "", "Updating password for user eve\n", "")
	knows("eve", "four")
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "\neve:$7$77$") || !strings.Contains(string(text), "ann:$argon2id$v=19$m=47104,t=1,p=1$") {
		t.Errorf("got %s, %v, want the hashes that were asked for", text, err)
	}
	step("-D F bob", "", "", "")
	step("-U F", "", "", "")
	if again, _ := os.ReadFile(file); string(again) == string(text) || strings.Contains(string(again), "bob") {
		t.Error("bob is still there")
	}
	knows("ann", "two")

	if err := os.WriteFile(file, []byte("# mine\nann:pass:word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	step("-H sha512-pbkdf2 -U F", "", "", "")
	knows("ann", "pass:word")

	exit, stdout, stderr := passwdCall(t, file, "", "colibri passwd -H sha512 -c -b - ann one")
	if exit != 0 || !strings.HasPrefix(stdout, "ann:$6$") || strings.Count(stdout, "\n") != 1 || stderr != "" {
		t.Errorf("to standard output: got exit code %d, %q and %q", exit, stdout, stderr)
	}

	step("--scram -c -b F Ann secret", "", "Adding password for user Ann\n", "")
	users, err := passwd.ReadScram(file)
	if err != nil || users["Ann"].Iterations != 15_000 {
		t.Errorf("got %v, %v, want Ann with 15,000 iterations", users, err)
	}
}
