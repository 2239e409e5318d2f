package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/certtest"
	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// TestTokenCost shows that by default a token costs no hash, whatever name stands beside it, and
// that a wrong one is not tried as a password.
func TestTokenCost(t *testing.T) {
	hash, err := passwd.New(passwd.SHA512, 0, []byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	users := certtest.Write(t, t.TempDir(), "passwords", []byte("anna:"+hash.String()+"\n"))
	b := startConfigured(t, "listener 0 127.0.0.1\npersistence false\nsys_interval 1\ncolibri_login_failures 0\npassword_file "+users+"\ncolibri_jwt_secret "+file(t, tokenSecret)+"\n")
	good, forged := tokenFor(tokenSecret, `{"sub":"alice",`+farAway+`}`), tokenFor("another secret, of somebody who is nobody", `{"sub":"alice",`+farAway+`}`)
	for _, login := range []struct {
		user, password string
		exit           int
	}{{"anna", good, 0}, {"x", good, 0}, {"anna", forged, 5}, {"x", forged, 5}, {"anna", "right", 0}} {
		if exit, _, stderr := publishWith(t, b, "-t", "a", "-u", login.user, "-P", login.password); exit != login.exit {
			t.Errorf("%s with %.10s: got exit code %d and %s, want %d", login.user, login.password, exit, stderr, login.exit)
		}
	}
	host, port, _ := strings.Cut(b.address(), ":")
	_, _, _ = call(t, "colibri", "sub", "-h", host, "-p", port, "-u", "x", "-P", good, "-t", "$SYS/broker/uptime", "-C", "2", "-W", "5")
	if _, stdout, _ := call(t, "colibri", "sub", "-h", host, "-p", port, "-u", "x", "-P", good, "-t", "$SYS/broker/login/password/entered", "-C", "1", "-W", "5"); stdout != "1\n" {
		t.Errorf("got %q comparisons, want that of the password alone", stdout)
	}
	b.end()
}

// TestSysLogins holds the topics that say what logins cost.
func TestSysLogins(t *testing.T) {
	hash, err := passwd.New(passwd.SHA512, 0, []byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	file := certtest.Write(t, t.TempDir(), "passwords", []byte("anna:"+hash.String()+"\n"))
	b := startConfigured(t, "listener 0 127.0.0.1\npersistence false\nallow_anonymous true\nsys_interval 1\npassword_file "+file+
		"\ncolibri_http_auth http://127.0.0.1:9/\ncolibri_ldap_url ldap://127.0.0.1:9/\ncolibri_ldap_bind_dn uid=%u,dc=x\n")
	_, port, _ := strings.Cut(b.address(), ":")
	for _, password := range []string{"right", "wrong", "right"} {
		call(t, "colibri", "pub", "-p", port, "-u", "anna", "-P", password, "-t", "a", "-m", "x")
	}
	got := map[string]string{}
	for late := time.Now().Add(patience); got["password/compared"] != "2" && time.Now().Before(late); { // $SYS comes once a second
		call(t, "colibri", "sub", "-p", port, "-t", "$SYS/broker/uptime", "-C", "2", "-W", "5")
		exit, stdout, stderr := call(t, "colibri", "sub", "-p", port, "-t", "$SYS/broker/login/+/+", "-v", "-C", "8", "-W", "5")
		if exit != 0 {
			t.Fatalf("got exit code %d and %s%s", exit, stdout, stderr)
		}
		for line := range strings.Lines(stdout) {
			topic, n, _ := strings.Cut(strings.TrimSpace(line), " ")
			got[strings.TrimPrefix(topic, "$SYS/broker/login/")] = n
		}
	}
	want := map[string]string{"password/inside": "0", "password/waiting": "0", "password/entered": "2", "password/refused": "0", "password/compared": "2",
		"guard/evicted": "0", "http/turned-away": "0", "ldap/turned-away": "0"}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for topic, n := range want {
		if got[topic] != n {
			t.Errorf("%s: got %q, want %q", topic, got[topic], n)
		}
	}
	b.end()
}
