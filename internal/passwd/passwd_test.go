package passwd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Hashes of programs that are not ours: mosquitto_passwd 2.0.11, and the test suite of the
// reference implementation of Argon2.
const (
	foreign6      = "$6$cSZ3KmZuy5V0XoN0$7UIRO0v+Cjj5kELVg09+OXhzILN3NgTr2JBwaxbVaBaxw4Oi1Hyj7xKLzSgzXVWNAG7LSomDPTuUnN5A2s806g=="     // pass word
	foreign7      = "$7$101$H1zaIBB7XQCCBcb8$vy+2Yqok9UXSzLYvl8Sesb76VWY4d/DTvI3qz1DbWxeo39I/H6TGUOyJ4wvg7I2EoIHaTf2Lsha4M/LG+2TsKg==" // pass word
	foreignArgon2 = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"                           // password
)

func TestForeignHashes(t *testing.T) {
	for _, c := range []struct{ text, password string }{{foreign6, "pass word"}, {foreign7, "pass word"}, {foreignArgon2, "password"}} {
		h, err := ParseHash(c.text)
		if err != nil {
			t.Fatalf("%s: got %v", c.text, err)
		}
		if !h.Matches([]byte(c.password)) {
			t.Errorf("%s: the password does not match", c.text)
		}
		for _, wrong := range []string{"", "pass", c.password + "x"} {
			if h.Matches([]byte(wrong)) {
				t.Errorf("%s: %q matches", c.text, wrong)
			}
		}
		if got := h.String(); got != c.text {
			t.Errorf("String: got %s, want %s", got, c.text)
		}
	}
}

func TestNew(t *testing.T) {
	for _, kind := range []Kind{SHA512, PBKDF2, Argon2id} {
		one, err := New(kind, 0, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseHash(one.String())
		if err != nil || !again.Matches([]byte("secret")) || again.Matches([]byte("Secret")) {
			t.Errorf("%s: got %s, %v, which does not match its password alone", kind, one, err)
		}
		if two, _ := New(kind, 0, []byte("secret")); two.String() == one.String() {
			t.Errorf("%s: two hashes have one salt", kind)
		}
		if read, ok := ParseKind(kind.String()); !ok || read != kind {
			t.Errorf("ParseKind(%s): got %v, %v", kind, read, ok)
		}
	}
	if h, err := New(PBKDF2, 77, []byte("secret")); err != nil || !strings.HasPrefix(h.String(), "$7$77$") {
		t.Errorf("77 iterations: got %s, %v", h, err)
	}
	for _, c := range []struct {
		kind       Kind
		iterations int
	}{{PBKDF2, -1}, {PBKDF2, MaxIterations + 1}, {SHA512, 5}, {Argon2id, 5}} {
		if _, err := New(c.kind, c.iterations, []byte("secret")); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("New(%s, %d): got %v, want an error", c.kind, c.iterations, err)
		}
	}
	if (Hash{}).Matches(nil) {
		t.Error("the zero Hash matches an empty password")
	}
}

// TestBounds shows that a file cannot ask for more than the stated memory and time.
func TestBounds(t *testing.T) {
	const rest = "$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, c := range []struct{ text, want string }{
		{"$argon2id$v=19$m=65537,t=1,p=1" + rest, "parameter m"},
		{"$argon2id$v=19$m=4294967295,t=1,p=1" + rest, "parameter m"},
		{"$argon2id$v=19$m=99999999999999999999,t=1,p=1" + rest, "parameter m"},
		{"$argon2id$v=19$m=-1,t=1,p=1" + rest, "parameter m"},
		{"$argon2id$v=19$m=7,t=1,p=1" + rest, "parameter m"},
		{"$argon2id$v=19$m=31,t=1,p=4" + rest, "8 times p"},
		{"$argon2id$v=19$m=64,t=0,p=1" + rest, "parameter t"},
		{"$argon2id$v=19$m=64,t=17,p=1" + rest, "parameter t"},
		{"$argon2id$v=19$m=64,t=1,p=0" + rest, "parameter p"},
		{"$argon2id$v=19$m=64,t=1,p=5" + rest, "parameter p"},
		{"$argon2id$v=19$t=1,m=64,p=1" + rest, "parameter m"},
		{"$argon2id$v=19$m=64,t=1" + rest, "parameters"},
		{"$argon2id$v=16$m=64,t=1,p=1" + rest, "version 19"},
		{"$argon2id$m=64,t=1,p=1" + rest, "version 19"},
		{"$argon2id", "version 19"},
		{"$argon2id$v=19$m=64,t=1,p=1$c29tc2FsdA$", "0 bytes"},
		{"$argon2id$v=19$m=64,t=1,p=1$c29tc2FsdA$" + strings.Repeat("AAAA", 22), "66 bytes"},
		{"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("AAAA", 22) + "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "salt"},
		{"$7$0$AAAA$AAAA", "iterations"},
		{"$7$1000001$AAAA$AAAA", "iterations"},
		{"$7$x$AAAA$AAAA", "iterations"},
		{"$7", "iterations"},
		{"$7$10$AAAA", "not complete"},
		{"$6$AAAA", "not complete"},
		{"$6$AAAA$AAAA$AAAA", "not complete"},
		{"$6$AAAA$AAAA", "3 bytes"},
		{"$6$AA!A$AAAA", "base64"},
		{"$6$$" + strings.Repeat("AAAA", 21) + "AA==", "salt"},
		{"$5$AAAA$AAAA", "none of"},
		{"plain", "not hashed"},
		{"", "not hashed"},
	} {
		if h, err := ParseHash(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", c.text, h, err, c.want)
		}
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	path := write(t, "\uFEFF# people\r\n\n  # more\n ann : "+foreign7+" \r\nbob:"+foreign6+":and more\n#eve:"+foreign6+"\nJörg Ö:"+foreign7)
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ann", "bob", "Jörg Ö"} {
		if h, known := f.Lookup(user); !known || !h.Matches([]byte("pass word")) {
			t.Errorf("%s: known %v, or the password does not match", user, known)
		}
	}
	for _, user := range []string{"", "eve", "#eve", "Ann", "ann "} {
		if _, known := f.Lookup(user); known {
			t.Errorf("%q is known", user)
		}
	}
	if f.Users() != 3 {
		t.Errorf("Users: got %d, want 3", f.Users())
	}
}

func TestReadNamesTheLine(t *testing.T) {
	const secret = "correct-horse"
	for _, c := range []struct{ bad, want string }{
		{"ann:" + secret, "not hashed"},
		{secret, "no ':'"},
		{":" + secret, "no user"},
		{"ann:", "no password"},
		{"ann:$7$0$" + secret, "iterations"},
		{"bob:" + foreign7, "line 2 already"},
		{"a\xffn:" + foreign7, "UTF-8"},
	} {
		path := write(t, "# people\nbob:"+foreign6+"\n"+c.bad+"\n")
		_, err := Read(path)
		wrong, ok := errors.AsType[*LineError](err)
		if !ok || wrong.Line != 3 || !strings.HasPrefix(err.Error(), path+":3: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want line 3 and %q", c.bad, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error shows it: %v", c.bad, err)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "none cannot be read") {
		t.Errorf("no file: got %v", err)
	}
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: got %v", err)
	}
}

// TestUnknownUserCosts shows that an unknown user is compared with a hash like those of
// most users, which nothing matches.
func TestUnknownUserCosts(t *testing.T) {
	for _, c := range []struct{ name, file, like string }{
		{"mostly PBKDF2", "a:" + foreign7 + "\nb:" + foreign7 + "\nc:" + foreignArgon2 + "\n", foreign7},
		{"one of each", "a:" + foreign7 + "\nb:" + foreign6 + "\nc:" + foreignArgon2 + "\n", foreignArgon2},
		{"only the old kind", "a:" + foreign6 + "\n", foreign6},
		{"nobody", "", foreign6},
	} {
		f, err := parse("file", c.file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ParseHash(c.like)
		if err != nil {
			t.Fatal(err)
		}
		h, known := f.Lookup("nobody")
		if known || h.cost != want.cost {
			t.Errorf("%s: got %v, %+v, want the cost %+v", c.name, known, h.cost, want.cost)
		}
		if h.Matches([]byte("")) || h.Matches([]byte("pass word")) {
			t.Errorf("%s: a password matches", c.name)
		}
	}
}

func TestScramUser(t *testing.T) {
	key := strings.Repeat("AAAA", 10) + "AAA="
	good := "SCRAM-SHA-256$4096:c2FsdA==$" + key + ":" + key
	users, err := ReadScram(write(t, "# x\nann:"+good+"\n"))
	if err != nil || users["ann"].String() != good || users["ann"].Iterations != 4096 || string(users["ann"].Salt) != "salt" {
		t.Errorf("got %+v, %v", users, err)
	}
	for _, c := range []struct{ bad, want string }{
		{"", "no password"},
		{foreign7, "SCRAM-SHA-256$"},
		{strings.Replace(good, "256", "1", 1), "SCRAM-SHA-256$"},
		{strings.Replace(good, "4096", "4095", 1), "iterations"},
		{strings.Replace(good, "4096", "2000001", 1), "iterations"},
		{strings.Replace(good, "c2FsdA==", "", 1), "length"},
		{strings.Replace(good, "c2FsdA==", "!", 1), "base64"},
		{strings.TrimSuffix(good, key) + "AAAA", "length"},
	} {
		if _, err := ReadScram(write(t, "ann:"+c.bad+"\n")); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), ":1: ") {
			t.Errorf("%q: got %v, want an error with %q", c.bad, err, c.want)
		}
	}
}

// FuzzParse reads what anybody may have written: it must not panic, nor take a hash that
// costs more than the bounds say.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"ann:" + foreign6, "ann:" + foreign7 + "\r\n# x\n\nbob: " + foreignArgon2, ":", "a:$7$", "a:$argon2id$v=19$m=8,t=1,p=1$AA$AA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		file, err := parse("file", content)
		if err != nil {
			if _, ok := errors.AsType[*LineError](err); !ok {
				t.Fatalf("got %v, want a line", err)
			}
			return
		}
		for user, h := range file.users {
			again, err := ParseHash(h.String())
			if err != nil || again.String() != h.String() || user == "" {
				t.Fatalf("%q: %s does not come back: %v", user, h, err)
			}
			if h.MemoryBytes() > MaxMemoryBytes || h.iterations > MaxIterations || h.kind == Argon2id && h.iterations > maxArgon2Time {
				t.Fatalf("%s costs too much", h)
			}
		}
	})
}
