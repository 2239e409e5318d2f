package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startWithPasswords starts a broker of the kind that lets in who is in a password file.
func startWithPasswords(t *testing.T, kind, passwords string) *broker {
	t.Helper()
	if kind == mosquitto {
		lines := []string{"password_file " + passwords}
		if os.Geteuid() == 0 {
			lines = append(lines, "user root") // else it may not read the file
		}
		return startMosquitto(t, lines...)
	}
	b := &broker{kind: kind, port: freePort(t)}
	configuration := filepath.Join(t.TempDir(), "colibri.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\npassword_file %s\n", b.port, passwords)
	if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b.program = start(t, paths[colibri], "broker", "-c", configuration)
	b.waitUntilReady(t)
	return b
}

// passwdTools are the programs that make password files.
func passwdTools() map[string][]string {
	return map[string][]string{mosquitto: {paths["mosquitto_passwd"]}, colibri: {paths[colibri], "passwd"}}
}

// TestPasswordFiles makes a file with each program, changes it with the other, and logs in to
// each broker: what one has written the other accepts.
func TestPasswordFiles(t *testing.T) {
	for maker, make := range passwdTools() {
		for changer, change := range passwdTools() {
			for _, hash := range []string{"sha512", "sha512-pbkdf2"} {
				t.Run(maker+" then "+changer+" with "+hash, func(t *testing.T) {
					t.Parallel()
					file := filepath.Join(t.TempDir(), "passwords")
					run := func(program []string, args ...string) {
						t.Helper()
						command := append(append([]string{}, program...), "-H", hash)
						command = append(command, args...)
						start(t, command[0], command[1:]...).succeeds(t)
					}
					run(make, "-c", "-b", file, "ann", "one")
					run(make, "-b", file, "bob", "pass word: x")
					run(change, "-b", file, "ann", "two")
					run(change, "-b", file, "eve", "three")
					run(change, "-D", file, "eve")
					for _, kind := range strings.Split(*brokersFlag, ",") {
						b := &bench{T: t, broker: startWithPasswords(t, kind, file), tools: mosquitto}
						for _, c := range []struct {
							user, password string
							want           int
						}{
							{"ann", "two", 0}, {"bob", "pass word: x", 0}, {"ann", "one", exitNotAuthorized3}, {"eve", "three", exitNotAuthorized3},
						} {
							p := b.run("pub", "-t", "a", "-m", "x", "-u", c.user, "-P", c.password)
							if code := p.wait(t); code != c.want {
								t.Errorf("%s: %s with %s: got exit code %d, want %d", kind, c.user, c.password, code, c.want)
							}
							if refused := strings.Contains(p.both.String(), "Connection error: Connection Refused: not authorised."); refused != (c.want != 0) {
								t.Errorf("%s: %s with %s printed %q", kind, c.user, c.password, p.both)
							}
						}
						if code := b.run("pub", "-V", "5", "-t", "a", "-m", "x", "-u", "ann", "-P", "one").wait(t); code != exitNotAuthorized5 {
							t.Errorf("%s with 5.0: got exit code %d, want %d", kind, code, exitNotAuthorized5)
						}
					}
				})
			}
		}
	}
}

// TestPasswdExitCodes compares what scripts see of both programs: exit codes, and the line on
// standard error.
func TestPasswdExitCodes(t *testing.T) {
	for _, c := range []struct{ args, stdin string }{
		{"", ""}, {"-c", ""}, {"-c FILE", ""}, {"-c -b FILE u", ""}, {"-D FILE", ""}, {"-U", ""}, {"-b FILE u", ""}, {"-b FILE u p q", ""},
		{"-c -D FILE u", ""}, {"-c -U FILE", ""}, {"-D -U FILE", ""}, {"-b -D FILE u", ""}, {"-H", ""}, {"-H md5 FILE u", ""},
		{"-I", ""}, {"-I 0 FILE u", ""}, {"-b FILE a:b p", ""}, {"-D FILE nobody", ""}, {"-c -b /nonexistent/f u p", ""},
		{"-c -b FILE u p", ""}, {"-b FILE ann p", ""}, {"-D FILE ann", ""}, {"-U FILE", ""},
		{"FILE u", "a\nb\n"}, {"FILE u", "a\na\n"}, {"FILE u", "\n\n"},
	} {
		var got [2]string
		for i, program := range [][]string{{paths["mosquitto_passwd"]}, {paths["colibri as mosquitto_passwd"]}} {
			file := filepath.Join(t.TempDir(), "passwords")
			if err := os.WriteFile(file, []byte("ann:one\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args := strings.Fields(strings.ReplaceAll(c.args, "FILE", file))
			p := start(t, program[0], args...)
			fmt.Fprint(p.stdin, c.stdin)
			p.stdin.Close()
			code := p.wait(t)
			said := ""
			for line := range strings.Lines(p.stderr.String()) {
				if strings.HasPrefix(line, "Error: ") || strings.HasPrefix(line, "Warning: ") {
					said += strings.ReplaceAll(line, file, "FILE")
				}
			}
			got[i] = fmt.Sprintf("exit %d\n%s", code, said)
		}
		if got[0] != got[1] {
			t.Errorf("%s with %q: got %q, Mosquitto's has %q", c.args, c.stdin, got[1], got[0])
		}
	}
}

// TestPasswdOnTerminal types a password on a terminal, which must not show it.
func TestPasswdOnTerminal(t *testing.T) {
	for name, program := range passwdTools() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "passwords")
			command := strings.Join(append(program, "-H", "sha512-pbkdf2", "-c", file, "ann"), " ")
			p := start(t, paths["script"], "-qefc", command, "/dev/null")
			waitForText(t, p, "Password: ")
			fmt.Fprint(p.stdin, "correct-horse\n")
			waitForText(t, p, "Reenter password: ")
			fmt.Fprint(p.stdin, "correct-horse\n")
			p.succeeds(t)
			if name == colibri && strings.Contains(p.both.String(), "horse") { // Mosquitto's asks before it hides
				t.Errorf("the terminal shows the password: %q", p.both)
			}
			content, err := os.ReadFile(file)
			if err != nil || !strings.HasPrefix(string(content), "ann:$7$") {
				t.Errorf("the file: got %q, %v", content, err)
			}
		})
	}
	t.Run("Ctrl-C", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "passwords")
		// The signal reaches the shell, too; without a trap some shells end with it.
		p := start(t, paths["script"], "-qefc", "trap : INT; "+paths[colibri]+" passwd -c "+file+" ann; echo exit $?; stty -a", "/dev/null")
		waitForText(t, p, "Password: ")
		fmt.Fprint(p.stdin, "corr\x03")
		p.expect(t, "exit 130")
		p.expect(t, `[^-]echo\b`) // the terminal shows again what is typed
		p.wait(t)
		if _, err := os.Stat(file); err == nil {
			t.Error("there is a file")
		}
	})
}

// waitForText waits until a program has printed text, which need not be a line.
func waitForText(t *testing.T, p *program, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		p.both.mu.Lock()
		seen, changed := strings.Contains(string(p.both.bytes), text), p.both.changed
		p.both.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-changed:
		case <-p.exited:
			t.Fatalf("%s ended; it printed:\n%s", p.name, p.both)
		case <-deadline:
			t.Fatalf("%s did not print %q; it printed:\n%s", p.name, text, p.both)
		}
	}
}
