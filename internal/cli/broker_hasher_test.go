//go:build linux

package cli

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hashers returns the processes that a broker in the process parent has compare passwords.
func hashers(t *testing.T, parent int) (found []int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		_, behind, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(behind)
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) && strings.Contains(string(line), "\x00"+hasherArgument+"\x00") {
			id, _ := strconv.Atoi(filepath.Base(dir))
			found = append(found, id)
		}
	}
	return found
}

// gone waits until a process is not there any more.
func gone(t *testing.T, id int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience); ; <-tick.C {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(id) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("process %d is still there: %s", id, stat)
		}
	}
}

// TestHasher shows that a password with a dear hash is compared by another process, of the
// lowest priority, which has no secrets in its command line and its environment; that
// logins go on when it was killed; and that it is gone after the broker.
func TestHasher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	for _, line := range []string{"-c -H argon2id -b F ann " + secret, "-H sha512 -b F bob two"} {
		if exit, _, stderr := passwdCall(t, path, "", "colibri passwd "+line); exit != 0 {
			t.Fatal(stderr)
		}
	}
	b := startConfigured(t, "listener 0 127.0.0.1\ncolibri_login_remember 0\npassword_file "+path+"\n", "-v")
	address := b.address()
	login := func(user, password string, want int) {
		t.Helper()
		if exit, stderr := pubAs(t, address, "5", user, password); exit != want {
			t.Errorf("%s: got exit code %d and %q, want %d", user, exit, stderr, want)
		}
	}
	login("bob", "two", 0)
	if got := hashers(t, os.Getpid()); len(got) > 0 {
		t.Errorf("after the login of bob, whose hash is cheap: got the processes %d, want none", got)
	}
	login("ann", secret, 0)
	login("ann", "wrong", 135)
	first := hashers(t, os.Getpid())
	if len(first) != 1 {
		t.Fatalf("got the processes %d, want one", first)
	}
	dir := "/proc/" + strconv.Itoa(first[0])
	tasks, _ := filepath.Glob(dir + "/task/*/stat")
	for _, task := range tasks {
		stat, _ := os.ReadFile(task)
		_, behind, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(behind); fields[16] != "19" {
			t.Errorf("%s: got nice %s, want 19", task, fields[16])
		}
	}
	if environment, err := os.ReadFile(dir + "/environ"); len(environment) > 0 || err != nil {
		t.Errorf("got the environment %q and %v, want none", environment, err)
	}
	syscall.Kill(first[0], syscall.SIGKILL)
	login("ann", secret, 0)
	login("ann", "wrong", 135)
	gone(t, first[0])
	second := hashers(t, os.Getpid())
	if len(second) != 1 || second[0] == first[0] {
		t.Fatalf("after kill -9: got the processes %d, want one that is not %d", second, first)
	}
	log := b.end()
	gone(t, second[0])
	if n := strings.Count(log, "The process that compares passwords has ended by itself"); n != 1 || strings.Contains(log, secret) {
		t.Errorf("got %d lines about its end, want one, and no password:\n%s", n, log)
	}
}

// TestHasherDiesWithTheBroker kills a broker, which has no time to end its process then.
func TestHasherDiesWithTheBroker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	if exit, _, stderr := passwdCall(t, path, "", "colibri passwd -c -H argon2id -b F ann "+secret); exit != 0 {
		t.Fatal(stderr)
	}
	conf := "listener 0 127.0.0.1\npersistence false\npassword_file " + path + "\n"
	if me, err := user.Current(); err == nil {
		conf += "user " + me.Username + "\n"
	}
	b := &runningBroker{T: t, exit: make(chan int, 1)}
	c := exec.Command(os.Args[0])
	c.Args = []string{"colibri", "broker", "-c", writeConfig(t, conf)}
	c.Env = append(os.Environ(), beProgram+"=1")
	c.Stderr = &b.stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	if exit, stderr := pubAs(t, b.address(), "5", "ann", secret); exit != 0 {
		t.Errorf("got exit code %d and %q, want 0", exit, stderr)
	}
	found := hashers(t, c.Process.Pid)
	if len(found) != 1 {
		t.Fatalf("got the processes %d, want one", found)
	}
	c.Process.Kill()
	gone(t, found[0])
}
