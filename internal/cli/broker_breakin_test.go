package cli

import (
	"path/filepath"
	"testing"
)

// scramFile makes a file for SCRAM with ann, whose password is secret.
func scramFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scram")
	if exit, _, stderr := passwdCall(t, path, "", "colibri passwd --scram -I 4096 -c -b F ann "+secret); exit != 0 {
		t.Fatal(stderr)
	}
	return path
}

// TestAnonymousBesideScram shows that where SCRAM proves who users are, nobody is believed
// who only says it.
func TestAnonymousBesideScram(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\ncolibri_scram_file "+scramFile(t)+"\n")
	address := b.address()
	if exit, stderr := pubAs(t, address, "5", "", ""); exit != 0 {
		t.Errorf("nobody: got exit code %d and %q", exit, stderr)
	}
	for _, user := range []string{"ann", "eve"} {
		if exit, _ := pubAs(t, address, "5", user, "x"); exit != 135 {
			t.Errorf("%s, without SCRAM: got exit code %d, want 135", user, exit)
		}
	}
	b.end()
}
