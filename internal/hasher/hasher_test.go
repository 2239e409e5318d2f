package hasher

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// TestMain lets the test program be what a Hasher starts: "serve" is as it should be, each of
// the others is one way to go wrong.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != "as" {
		os.Exit(m.Run())
	}
	hello := func() { os.Stdout.WriteString(greeting) }
	question := make([]byte, 1<<10)
	switch os.Args[2] {
	case "serve":
		if Serve(os.Stdin, os.Stdout, 1) != nil {
			os.Exit(1)
		}
	case "another program":
		fmt.Println("Usage: cook [FLAGS] [FILE]...")
	case "ends at once":
	case "dies of the question":
		hello()
		os.Stdin.Read(question)
		os.Exit(7)
	case "answers nobody":
		hello()
		os.Stdin.Read(question)
		os.Stdout.Write(appendAnswer(nil, 99, true))
		io.Copy(io.Discard, os.Stdin)
	case "answers maybe":
		hello()
		os.Stdin.Read(question)
		os.Stdout.Write([]byte{0, 0, 0, 1, 2})
		io.Copy(io.Discard, os.Stdin)
	case "does not listen":
		hello()
		os.Stdin.Close()
		time.Sleep(time.Hour) // or the runtime would see that nothing can happen
	case "does not end":
		hello()
		io.Copy(io.Discard, os.Stdin)
		time.Sleep(time.Hour) // or the runtime would see that nothing can happen
	}
	os.Exit(0)
}

// said collects what a Hasher has to say.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) add(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, text)
}

func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// newHasher returns a Hasher whose processes are, in their order, what as says; the last one
// again and again.
func newHasher(t *testing.T, s *said, as ...string) *Hasher {
	t.Helper()
	h := New(func() (*exec.Cmd, error) {
		what := as[0]
		if len(as) > 1 {
			as = as[1:]
		}
		if what == "" {
			return nil, errors.New("there is no program")
		}
		return exec.Command(os.Args[0], "as", what), nil
	}, s.add)
	t.Cleanup(h.Close)
	return h
}

const secret = "correct-horse-battery"

// dear returns a hash of secret that the process compares.
func dear(t *testing.T) passwd.Hash {
	t.Helper()
	h, err := passwd.New(passwd.PBKDF2, 6000, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if !h.Dear() {
		t.Fatal("the hash of the test is not dear")
	}
	return h
}

func TestMatch(t *testing.T) {
	var s said
	h := newHasher(t, &s, "serve")
	argon2, err := passwd.New(passwd.Argon2id, 0, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<16-1)
	longest, err := passwd.New(passwd.PBKDF2, 6000, []byte(long))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, c := range []struct {
		hash     passwd.Hash
		password string
		want     bool
	}{
		{dear(t), secret, true}, {dear(t), secret + "x", false}, {dear(t), "", false},
		{argon2, secret, true}, {argon2, "wrong", false}, {longest, long, true}, {longest, long[1:], false},
	} {
		for range 3 {
			all.Go(func() {
				got, err := h.Match(c.hash, []byte(c.password))
				if err != nil || got != c.want {
					t.Errorf("a password of %d bytes: got %v and %v, want %v", len(c.password), got, err, c.want)
				}
			})
		}
	}
	all.Wait()
	p := h.process.Load()
	if p == nil || p.last != 21 || len(p.waiting) > 0 {
		t.Fatalf("got %+v, want one process that was asked 21 times", p)
	}
	h.Close()
	if p.alive() {
		t.Error("the process lives on after Close")
	}
	if _, err := h.Match(argon2, []byte(secret)); !errors.Is(err, errClosed) {
		t.Errorf("after Close: got %v, want %v", err, errClosed)
	}
	if s.all() != "" {
		t.Errorf("it has said: %s", s.all())
	}
}

// TestCheapStaysHere shows that no process is started for a hash that costs little.
func TestCheapStaysHere(t *testing.T) {
	var s said
	h := newHasher(t, &s, "serve")
	for _, kind := range []passwd.Kind{passwd.SHA512, passwd.PBKDF2} {
		hash, err := passwd.New(kind, 0, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		if right, err := h.Match(hash, []byte(secret)); !right || err != nil {
			t.Errorf("%v: got %v and %v", kind, right, err)
		}
	}
	if h.process.Load() != nil {
		t.Error("a process was started")
	}
}

// TestFaults shows what comes of processes that do not do what they should: the password
// is compared all the same, or there is an error, and nothing is said that holds it.
func TestFaults(t *testing.T) {
	const again, never = "has ended by itself", "No process can be started that compares passwords: "
	for _, c := range []struct {
		as    []string
		err   string // empty when the answer is right
		said  string // a part of the first line
		lines int
	}{
		{[]string{""}, "", never + "there is no program.", 1},
		{[]string{"another program"}, "", never + "what was started is another program.", 1},
		{[]string{"ends at once"}, "", never + "its end of the pipe is closed", 1},
		{[]string{"dies of the question", "serve"}, "", again + " (its end of the pipe is closed, exit status 7)", 1},
		{[]string{"dies of the question"}, "exit status 7", again, 1},
		{[]string{"answers nobody", "serve"}, "", "(it has answered what nobody has asked)", 1},
		{[]string{"answers maybe", "serve"}, "", "(it has answered what nobody has asked)", 1},
		{[]string{"does not listen", "serve"}, "", again + " (its end of the pipe is closed, signal: killed)", 1},
		{[]string{"dies of the question", ""}, "", again, 2},
	} {
		var s said
		h := newHasher(t, &s, c.as...)
		right, err := h.Match(dear(t), []byte(secret))
		if right != (c.err == "") || (err == nil) != right || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: got %v and %v, want the error %q", c.as, right, err, c.err)
		}
		if text := s.all(); !strings.Contains(text, c.said) || strings.Count(text, "\n")+1 != c.lines || strings.Contains(text, secret) {
			t.Errorf("%q: it has said %q, want %d lines with %q", c.as, text, c.lines, c.said)
		}
	}
}

// TestStartsAgain shows that a process that could not be started is tried again, but not for each
// password, and that both are said once.
func TestStartsAgain(t *testing.T) {
	var s said
	h := newHasher(t, &s, "", "", "serve")
	now := time.Now()
	h.now = func() time.Time { return now }
	hash := dear(t)
	for i, want := range []bool{false, false, false, true} {
		for range 3 {
			if right, err := h.Match(hash, []byte(secret)); !right || err != nil {
				t.Errorf("step %d: got %v and %v", i, right, err)
			}
		}
		if got := h.process.Load().alive(); got != want {
			t.Errorf("step %d: there is a process: got %v, want %v", i, got, want)
		}
		now = now.Add(pause / 2)
		if i == 2 {
			now = now.Add(pause)
		}
	}
	if got := s.all(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "\nThe process that compares passwords can be started again.") {
		t.Errorf("it has said %q, want that it cannot be started and that it can again", got)
	}
}

// TestKilledMeanwhile kills the process while it compares.
func TestKilledMeanwhile(t *testing.T) {
	var s said
	h := newHasher(t, &s, "serve")
	hash, err := passwd.New(passwd.PBKDF2, 200_000, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Match(dear(t), nil); err != nil {
		t.Fatal(err)
	}
	first := h.process.Load()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if right, err := h.Match(hash, []byte(secret)); !right || err != nil {
			t.Errorf("got %v and %v, want that another one answers", right, err)
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for asked := false; !asked; <-tick.C {
		first.mu.Lock()
		asked = len(first.waiting) > 0
		first.mu.Unlock()
	}
	first.command.Process.Kill()
	<-done
	if h.process.Load() == first || !strings.Contains(s.all(), "signal: killed") {
		t.Errorf("got the same process, or %q", s.all())
	}
}

// TestCloseIsHard shows that a process which does not end is ended.
func TestCloseIsHard(t *testing.T) {
	var s said
	h := newHasher(t, &s, "does not end")
	p, err := h.running()
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if p.alive() {
		t.Error("it is still there")
	}
}

// TestServeGarbage shows that nothing but questions is answered, and that the end of what comes
// is the end.
func TestServeGarbage(t *testing.T) {
	good := appendQuestion(nil, 1, dear(t).String(), []byte(secret))
	for _, c := range []struct {
		name  string
		input []byte
		want  string // the error; empty for none
	}{
		{"nothing", nil, ""},
		{"half a head", good[:3], "unexpected EOF"},
		{"half a question", good[:len(good)-1], "unexpected EOF"},
		{"no hash", appendQuestion(nil, 1, "$6$", nil), "not a hash"},
		{"a hash too long", appendQuestion(nil, 1, strings.Repeat("x", 600), nil), "a hash of 600 bytes is not one"},
		{"text", []byte("hello, hello\r\n"), "is not one"},
	} {
		err := serve(bytes.NewReader(c.input), io.Discard, 1)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzReadQuestion(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(appendQuestion(nil, 7, "$6$a$b", []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		id, hash, password, err := readQuestion(r)
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(r)
		if again := append(appendQuestion(nil, id, hash, password), rest...); !bytes.Equal(again, b) {
			t.Errorf("got %x, want %x", again, b)
		}
	})
}

// BenchmarkMatch compares with a hash as Mosquitto 2.1 writes it, one after the other.
func BenchmarkMatch(b *testing.B) {
	hash, err := passwd.New(passwd.Argon2id, 0, []byte(secret))
	if err != nil {
		b.Fatal(err)
	}
	h := New(func() (*exec.Cmd, error) { return exec.Command(os.Args[0], "as", "serve"), nil }, func(string) {})
	defer h.Close()
	for b.Loop() {
		if right, err := h.Match(hash, []byte(secret)); !right {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hashes/s")
}
