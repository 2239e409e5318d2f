package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/certtest"
	"github.com/colibri-mqtt/colibri/internal/passwd"
)

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
