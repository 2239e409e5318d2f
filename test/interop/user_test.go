package interop

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestUser starts the broker as root and looks at whom it has become, and at what belongs to
// whom. The user is the one that Debian's package mosquitto makes.
func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("only root can start a program that becomes another user: run this test as root")
	}
	account, err := user.Lookup("mosquitto")
	if err != nil {
		t.Fatal(err)
	}
	other, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	directory, err := os.MkdirTemp("", "colibri-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(directory, name) }
	configure := func(name string, lines ...string) string {
		if err := os.WriteFile(in(name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	lowPort := 1023 // only root may listen there
	for ; lowPort > 600; lowPort-- {
		if nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", lowPort)); err != nil {
			break // nobody does
		} else {
			nc.Close()
		}
	}
	b := &broker{kind: colibri, port: lowPort}
	b.program = start(t, paths[colibri], "broker", "-c", configure("a.conf",
		fmt.Sprintf("listener %d 127.0.0.1", lowPort), "listener 0 "+in("a.sock"), "listener 0 "+in("b.sock"), "colibri_socket_owner nobody", "allow_anonymous true", "user mosquitto",
		"persistence true", "persistence_location "+in("state/new"), "log_dest file "+in("a.log"), "pid_file "+in("a.pid")))
	b.waitUntilReady(t)
	start(t, paths["mosquitto_pub"], "-h", "127.0.0.1", "-p", strconv.Itoa(lowPort), "-q", "1", "-t", "a", "-m", "b", "-r").succeeds(t) // it serves now
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.program.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Uid:\t" + strings.Join([]string{account.Uid, account.Uid, account.Uid, account.Uid}, "\t") + "\n",
		"Gid:\t" + strings.Join([]string{account.Gid, account.Gid, account.Gid, account.Gid}, "\t") + "\n",
		"Groups:\t" + account.Gid + " \n",
		"CapEff:\t0000000000000000\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the status of the process is without %q:\n%s", want, status)
		}
	}
	for name, owner := range map[string]string{"a.log": account.Uid, "a.sock": account.Uid, "b.sock": other.Uid, "state": account.Uid,
		"state/new/colibri": account.Uid, "state/new/colibri/lock": account.Uid, "a.pid": "0", "a.conf": "0"} {
		info, err := os.Stat(in(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)); got != owner {
			t.Errorf("%s belongs to %s, want %s", name, got, owner)
		}
	}
	b.program.terminate(t)
	if exit := b.program.wait(t); exit != 0 {
		t.Errorf("the broker ended with exit code %d:\n%s", exit, b.program.stderr)
	}

	for _, c := range []struct {
		name, user string
		exit       int
		want       string
	}{
		{"a user that does not exist", "no-such-user", 3, "there is no user 'no-such-user' on this machine"},
		{"a user who does not own the state", "nobody", 1, "permission denied"},
	} {
		p := start(t, paths[colibri], "broker", "-c", configure("b.conf", fmt.Sprintf("listener %d 127.0.0.1", lowPort),
			"user "+c.user, "persistence true", "persistence_location "+in("state/new")))
		if exit := p.wait(t); exit != c.exit || !strings.Contains(p.stderr.String(), c.want) {
			t.Errorf("%s: got exit code %d and %q, want %d and %q", c.name, exit, p.stderr, c.exit, c.want)
		}
	}
}
