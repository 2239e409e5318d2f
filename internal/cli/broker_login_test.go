package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/packet"
)

// secret is a password that must never be seen again.
const secret = "correct-horse-battery"

// passwordFile makes a file with ann, whose password is secret, and bob.
func passwordFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	for _, line := range []string{"-c -b F ann " + secret, "-H sha512 -b F bob two"} {
		if exit, _, stderr := passwdCall(t, path, "", "colibri passwd "+line); exit != 0 {
			t.Fatal(stderr)
		}
	}
	return path
}

// pubAs publishes as a user with a password, and returns what Mosquitto's scripts look at.
func pubAs(t *testing.T, address, version, user, password string) (exit int, stderr string) {
	t.Helper()
	isolate(t)
	host, port, _ := net.SplitHostPort(address)
	args := []string{"colibri", "pub", "-h", host, "-p", port, "-V", version, "-t", "a", "-m", "x"}
	if user != "" {
		args = append(args, "-u", user, "-P", password)
	}
	exit, _, stderr = call(t, args...)
	return exit, stderr
}

func TestPasswordFile(t *testing.T) {
	path := passwordFile(t)
	b := startConfigured(t, "listener 0 127.0.0.1\npassword_file "+path+"\n")
	address := b.address()
	b.until(`open to whom .* lets in\n`)
	for _, c := range []struct {
		version, user, password string
		exit                    int
		want                    string
	}{
		{"311", "ann", secret, 0, ""},
		{"5", "bob", "two", 0, ""},
		{"311", "ann", "wrong", 5, "Connection Refused: not authorised."},
		{"31", "ann", "wrong", 5, "Connection Refused: not authorised."},
		{"5", "ann", "wrong", 135, "Not authorized"},
		{"311", "eve", "two", 5, "Connection Refused: not authorised."},
		{"5", "eve", "two", 135, "Not authorized"},
		{"311", "", "", 5, "Connection Refused: not authorised."},
	} {
		exit, stderr := pubAs(t, address, c.version, c.user, c.password)
		if exit != c.exit || !strings.Contains(stderr, c.want) || (exit == 0) != (stderr == "") {
			t.Errorf("%s as %s with %s: got exit code %d and %q, want %d and %q", c.version, c.user, c.password, exit, stderr, c.exit, c.want)
		}
	}
	if log := b.end(); strings.Contains(log, "nobody can connect") {
		t.Errorf("got\n%s\nwant no warning that nobody can connect", log)
	}
}

// TestAnonymousBesidePasswords shows that allow_anonymous is for those without a User Name
// only.
func TestAnonymousBesidePasswords(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\npassword_file "+passwordFile(t)+"\n")
	address := b.address()
	if exit, stderr := pubAs(t, address, "311", "", ""); exit != 0 {
		t.Errorf("nobody: got exit code %d and %q", exit, stderr)
	}
	if exit, _ := pubAs(t, address, "311", "eve", "x"); exit != 5 {
		t.Errorf("an unknown user: got exit code %d, want 5", exit)
	}
	b.end()
}

// TestPasswordReload shows what SIGHUP does: a new file holds, a broken one does not, and
// connected clients stay.
func TestPasswordReload(t *testing.T) {
	path := passwordFile(t)
	b := startConfigured(t, "listener 0 127.0.0.1\npassword_file "+path+"\nlog_type all\n")
	address := b.address()
	stays := dialRaw(t, "tcp", address, colibri.V311)
	if code := stays.connect(packet.Connect{ClientID: "stays", HasUserName: true, UserName: "bob", HasPassword: true, Password: []byte("two")}); code != 0 {
		t.Fatalf("got %v, want Success", code)
	}
	hangup := func(want string) {
		t.Helper()
		me, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = me.Signal(syscall.SIGHUP)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.until(want)
	}
	if err := os.WriteFile(path, []byte("# half\nbob:"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangup(`Reading the passwords again: .*passwords:2: the password is not hashed; .* The broker goes on with what held before\.`)
	if exit, stderr := pubAs(t, address, "311", "bob", "two"); exit != 0 {
		t.Errorf("after a broken file: got exit code %d and %q, want the old passwords", exit, stderr)
	}
	if exit, _, stderr := passwdCall(t, path, "", "colibri passwd -H sha512 -c -b F bob new"); exit != 0 {
		t.Fatal(stderr)
	}
	hangup(`Reading the passwords again: what stands there holds from now on\.`)
	for password, want := range map[string]int{"two": 5, "new": 0} {
		if exit, stderr := pubAs(t, address, "311", "bob", password); exit != want {
			t.Errorf("bob with %s: got exit code %d and %q, want %d", password, exit, stderr, want)
		}
	}
	if exit, _ := pubAs(t, address, "311", "ann", secret); exit != 5 {
		t.Errorf("ann, who is gone: got exit code %d, want 5", exit)
	}
	stays.send(&packet.Pingreq{})
	if p, ok := stays.receive().(*packet.Pingresp); !ok {
		t.Errorf("who was connected: got %v, want a PINGRESP", p)
	}
	if log := b.end(); strings.Contains(log, secret) {
		t.Error("the log shows a password")
	}
}

// TestListenersHaveTheirPasswords shows per_listener_settings.
func TestListenersHaveTheirPasswords(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for path, user := range map[string]string{one: "ann", two: "bob"} {
		if exit, _, stderr := passwdCall(t, path, "", "colibri passwd -H sha512 -c -b F "+user+" x"); exit != 0 {
			t.Fatal(stderr)
		}
	}
	b := startConfigured(t, fmt.Sprintf("per_listener_settings true\nlistener 0 127.0.0.1\npassword_file %s\nlistener 0 127.0.0.2\npassword_file %s\n", one, two))
	first := b.address()
	second := b.until(`listening on +[^\n]*\n(?:[^\n]*\n)*?[^\n]*(127\.0\.0\.2:\d+)`)[1]
	for _, c := range []struct {
		address, user string
		want          int
	}{{first, "ann", 0}, {first, "bob", 5}, {second, "ann", 5}, {second, "bob", 0}} {
		if exit, stderr := pubAs(t, c.address, "311", c.user, "x"); exit != c.want {
			t.Errorf("%s on %s: got exit code %d and %q, want %d", c.user, c.address, exit, stderr, c.want)
		}
	}
	b.end()
}

// TestBans shows a ban from outside: the answers, one line in the log for many refusals, and
// the counter under $SYS.
func TestBans(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\ncolibri_login_failures 2\ncolibri_login_ban 60\nsys_interval 1\npassword_file "+passwordFile(t)+"\n")
	address := b.address()
	for i := range 3 {
		if exit, _ := pubAs(t, address, "5", "bob", "guess"); exit != 135 {
			t.Errorf("guess %d: got exit code %d, want 135", i, exit)
		}
	}
	for range 20 {
		if exit, stderr := pubAs(t, address, "5", "bob", "two"); exit != 138 || !strings.Contains(stderr, "Banned") {
			t.Fatalf("while the ban lasts: got exit code %d and %q, want 138", exit, stderr)
		}
	}
	if exit, stderr := pubAs(t, address, "311", "bob", "two"); exit != 5 {
		t.Errorf("before 5.0: got exit code %d and %q, want 5", exit, stderr)
	}
	if exit, stderr := pubAs(t, address, "5", "ann", secret); exit != 0 {
		t.Errorf("another user: got exit code %d and %q", exit, stderr)
	}
	b.until(`Banned for failed logins: 1 times, the last time user 'bob' from 127\.0\.0\.1 for 1s\.`)
	b.until(`Limit reached \(failed logins\): 1 times`)
	log := b.end()
	if n := strings.Count(log, "Banned for failed logins"); n != 1 {
		t.Errorf("got %d lines about bans, want one:\n%s", n, log)
	}
}

// TestNoPasswordAnywhere shows that a password is in nothing that the broker writes,
// whatever becomes of it.
func TestNoPasswordAnywhere(t *testing.T) {
	path := passwordFile(t)
	b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\nlog_dest topic\nlog_dest stderr\nsys_interval 1\npassword_file "+path+"\n", "-v")
	address := b.address()
	watcher := dialRaw(t, "tcp", address, colibri.V5)
	watcher.connect(packet.Connect{ClientID: "watcher"})
	watcher.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "$SYS/#"}, {Filter: "#"}}})
	for _, c := range [][2]string{{"ann", secret}, {"bob", secret}, {"eve", secret}, {"ann", secret + "x"}} {
		for _, version := range []string{"311", "5"} {
			if _, stderr := pubAs(t, address, version, c[0], c[1]); strings.Contains(stderr, secret) {
				t.Errorf("the client shows it: %s", stderr)
			}
		}
	}
	for range 5 {
		pubAs(t, address, "5", "bob", secret) // until a ban
	}
	b.until(`Banned for failed logins`)
	log := b.end()
	if !strings.Contains(log, "u'ann'") || strings.Contains(log, secret) {
		t.Errorf("got a log without ann, or with a password:\n%s", log)
	}
	var seen []byte
	buffer := make([]byte, 1<<16)
	for {
		n, err := watcher.Read(buffer)
		seen = append(seen, buffer[:n]...)
		if err != nil {
			break
		}
	}
	if !strings.Contains(string(seen), "$SYS/broker/") || strings.Contains(string(seen), secret) {
		t.Errorf("got %d bytes of messages without $SYS, or with a password", len(seen))
	}
}

// TestScramFile shows that the users of colibri_scram_file log in without telling their
// password, and that nobody else does.
func TestScramFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scram")
	if exit, _, stderr := passwdCall(t, path, "", "colibri passwd --scram -I 4096 -c -b F ann "+secret); exit != 0 {
		t.Fatal(stderr)
	}
	b := startConfigured(t, "listener 0 127.0.0.1\ncolibri_scram_file "+path+"\n", "-v")
	address := b.address()
	login := func(user, password string) error {
		method, err := client.ScramSHA256(user, password)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Dial(t.Context(), "tcp://"+address, client.Options{Version: colibri.V5, Method: method})
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := login("ann", secret); err != nil {
		t.Errorf("the right password: got %v", err)
	}
	for _, c := range [][2]string{{"ann", "wrong"}, {"eve", secret}} {
		if err := login(c[0], c[1]); !errors.Is(err, colibri.NotAuthorized) {
			t.Errorf("%s with %s: got %v, want NotAuthorized", c[0], c[1], err)
		}
	}
	host, port, _ := net.SplitHostPort(address)
	for _, c := range []struct {
		flags string
		exit  int
		want  string // standard error
	}{
		{"-V 5 -u ann -P " + secret, 0, ""},
		{"-V 5 -u ann -P wrong", 135, "Not authorized"},
		{"-u ann -P x", 1, "--auth-method needs MQTT 5.0: add '-V 5'."},
		{"-V 5 -u ann", 1, "--auth-method needs a user name and a password: add -u and -P."},
		{"-V 5 -u ann -P x --auth-method PLAIN", 1, "Unknown authentication method 'PLAIN'; there is SCRAM-SHA-256."},
		{"-V 5 -u ann -P x\x01", 1, "--auth-method does not take this user name and password"},
	} {
		isolate(t)
		args := append(strings.Fields("colibri pub -t a -m x --auth-method SCRAM-SHA-256 "+c.flags), "-h", host, "-p", port)
		if exit, _, stderr := call(t, args...); exit != c.exit || !strings.Contains(stderr, c.want) || (exit == 0) != (stderr == "") {
			t.Errorf("%s: got exit code %d and %q, want %d and %q", c.flags, exit, stderr, c.exit, c.want)
		}
	}
	if exit, _ := pubAs(t, address, "5", "ann", secret); exit != 135 {
		t.Errorf("ann without SCRAM: got exit code %d, want 135", exit)
	}
	for range 6 {
		login("ann", "wrong")
	}
	if err := login("ann", secret); !errors.Is(err, colibri.Banned) {
		t.Errorf("after many failures: got %v, want Banned", err)
	}
	if log := b.end(); !strings.Contains(log, "u'ann'") || strings.Contains(log, secret) {
		t.Errorf("got a log without ann, or with a password:\n%s", log)
	}
}
