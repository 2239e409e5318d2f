//go:build unix

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// shortDirectory returns a directory whose path leaves room for that of a socket, which
// the one of t.TempDir may not.
func shortDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "c")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	return directory
}

// TestSocketListener publishes over a Unix domain socket with the mode and the group of
// the configuration, and shows whom the broker makes way for on its path.
func TestSocketListener(t *testing.T) {
	isolate(t)
	directory := shortDirectory(t)
	socket := filepath.Join(directory, "s")
	start := func(options string) *runningBroker {
		b := startConfigured(t, "allow_anonymous true\nlistener 0 "+socket+"\n"+options)
		b.until(`listening on +` + socket)
		return b
	}
	mode := func() fs.FileMode {
		info, err := os.Lstat(socket)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}

	b := start("")
	if got := mode(); got != fs.ModeSocket|0o660 {
		t.Errorf("mode: got %v, want 0660", got)
	}
	for _, command := range []string{"pub", "rr"} {
		args := []string{"colibri", command, "--unix", socket, "-t", "a", "-m", "b"}
		if command == "rr" {
			args = append(args, "-e", "a", "-W", "10")
		} else {
			args = append(args, "-q", "2")
		}
		if exit, _, stderr := call(t, args...); exit != exitOK || stderr != "" {
			t.Errorf("%s: got exit %d, %q", command, exit, stderr)
		}
	}

	// One in use is refused, and goes on being used.
	second := startConfigured(t, "listener 0 "+socket+"\n")
	second.until(fmt.Sprintf(`Error: Cannot listen on %s: another process listens there: stop it or choose another path\.\n`, socket))
	if code := <-second.exit; code != exitBrokerFailed {
		t.Errorf("a second broker: got exit %d, want %d", code, exitBrokerFailed)
	}
	if exit, _, stderr := call(t, "colibri", "pub", "--unix", socket, "-t", "a", "-m", "b", "-q", "1"); exit != exitOK {
		t.Errorf("after a second broker: got exit %d, %q", exit, stderr)
	}
	b.end()
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end: %v, want no file", err)
	}
	exit, _, stderr := call(t, "colibri", "pub", "--unix", socket, "-t", "a", "-m", "b")
	want := "Error: No such file or directory\nNo broker takes connections on the socket " + socket + ": start one there, or name another with --unix.\n"
	if exit != exitUsage || stderr != want {
		t.Errorf("without a broker: got exit %d, %q, want %d, %q", exit, stderr, exitUsage, want)
	}

	// A stale one is replaced.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	b = start(fmt.Sprintf("colibri_socket_mode 0606\ncolibri_socket_owner %d\ncolibri_socket_group %d\n", os.Getuid(), os.Getgid()))
	if got := mode(); got != fs.ModeSocket|0o606 {
		t.Errorf("mode: got %v, want 0606", got)
	}
	b.end()

	// What is no socket stays.
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	b = startConfigured(t, "listener 0 "+socket+"\n")
	b.until(fmt.Sprintf(`Error: Cannot listen on %s: the file exists and is not a socket: remove it or choose another path\.\n`, socket))
	if text, err := os.ReadFile(socket); string(text) != "precious" {
		t.Errorf("the file: got %q, %v", text, err)
	}
	os.Remove(socket)

	b = startConfigured(t, "listener 0 "+socket+"\ncolibri_socket_group no-such-group\n")
	b.until(fmt.Sprintf(`Error: Cannot listen on %s: this machine has no group 'no-such-group' to give the socket to: make it, or name another one\.\n`, socket))
}

// TestSocketGroup gives a socket to a group that is not the process's, which root may and
// others may not.
func TestSocketGroup(t *testing.T) {
	isolate(t)
	socket := filepath.Join(shortDirectory(t), "s")
	b := startConfigured(t, "listener 0 "+socket+"\ncolibri_socket_group 4321\n")
	if os.Getuid() != 0 {
		b.until(`this user may not give the socket to the group '4321': take a group that it belongs to, or start as root\.\n`)
		return
	}
	b.until(`listening on +` + socket)
	info, err := os.Lstat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Gid; got != 4321 {
		t.Errorf("group: got %d, want 4321", got)
	}
	b.end()
}
