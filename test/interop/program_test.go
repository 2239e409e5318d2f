package interop

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for an event that has to come. It is far
// above what a busy machine needs; no test waits it out when all is well.
const patience = 15 * time.Second

// transcript collects what a program prints. It is safe for concurrent use.
type transcript struct {
	mu      sync.Mutex
	bytes   []byte
	read    int // offset behind the last line that next or line returned
	closed  bool
	changed chan struct{} // closed and replaced at each change
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

// Write adds b; it never fails.
func (r *transcript) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes = append(r.bytes, b...)
	r.announce()
	return len(b), nil
}

func (r *transcript) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.announce()
}

// announce needs mu.
func (r *transcript) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// String returns everything printed so far.
func (r *transcript) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.bytes)
}

// nextLine returns the next whole line that was not read yet.
func (r *transcript) nextLine(deadline <-chan time.Time) (string, error) {
	for {
		r.mu.Lock()
		rest := r.bytes[r.read:]
		end := bytes.IndexByte(rest, '\n')
		if end >= 0 {
			line := string(rest[:end])
			r.read += end + 1
			r.mu.Unlock()
			return line, nil
		}
		changed, closed := r.changed, r.closed
		r.mu.Unlock()
		if closed {
			return "", io.EOF
		}
		select {
		case <-changed:
		case <-deadline:
			return "", os.ErrDeadlineExceeded
		}
	}
}

// program is a program that a test runs. It ends with the test.
type program struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *transcript
	stderr *transcript
	both   *transcript // stdout and stderr, interleaved as they came
	exited chan struct{}
}

// start runs the program at path. Its HOME is empty, so that no options file of
// the person who runs the tests has a say.
func start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	return startIn(t, t.TempDir(), append([]string{path}, args...)...)
}

// startIn is start with a directory for HOME and XDG_CONFIG_HOME.
func startIn(t *testing.T, home string, command ...string) *program {
	t.Helper()
	p := &program{
		name:   strings.Join(command, " "),
		cmd:    exec.Command(command[0], command[1:]...),
		stdout: newTranscript(), stderr: newTranscript(), both: newTranscript(),
		exited: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home)
	p.cmd.Stdout = io.MultiWriter(p.stdout, p.both)
	p.cmd.Stderr = io.MultiWriter(p.stderr, p.both)
	p.cmd.WaitDelay = patience
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is read from ProcessState
		for _, r := range []*transcript{p.stdout, p.stderr, p.both} {
			r.close()
		}
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		<-p.exited
		if t.Failed() {
			t.Logf("$ %s\n%s", p.name, tail(p.both.String(), 30))
		}
	})
	return p
}

// tail returns the last lines of a text.
func tail(text string, count int) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) <= count {
		return text
	}
	return "…\n" + strings.Join(lines[len(lines)-count:], "")
}

// kill ends the program at once, as a crash would.
func (p *program) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(err)
	}
}

// terminate sends SIGTERM.
func (p *program) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// wait waits for the program's end and returns its exit code, -1 after a signal.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s did not end within %v; it printed:\n%s", p.name, patience, p.both)
		return 0
	}
}

// succeeds waits for the program's end and fails the test unless it exits 0.
func (p *program) succeeds(t *testing.T) {
	t.Helper()
	if code := p.wait(t); code != 0 {
		t.Fatalf("%s: exit code %d, want 0; it printed:\n%s", p.name, code, p.both)
	}
}

// expect waits until the program prints, on either stream, a line that matches
// the expression, and returns that line. Lines before it are passed over.
func (p *program) expect(t *testing.T, expression string) string {
	t.Helper()
	wanted := regexp.MustCompile(expression)
	deadline := time.After(patience)
	for {
		line, err := p.both.nextLine(deadline)
		if err != nil {
			t.Fatalf("%s printed no line like %q (%v); it printed:\n%s", p.name, expression, err, p.both)
		}
		if wanted.MatchString(line) {
			return line
		}
	}
}

// debugLine matches the lines that the option -d adds to standard output.
var debugLine = regexp.MustCompile(`^(Client .* (sending|received) [A-Z]+|Subscribed \(mid: \d+\): )`)

// nextMessage returns the next line of standard output that -d did not add.
func (p *program) nextMessage(t *testing.T) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		line, err := p.stdout.nextLine(deadline)
		if err != nil {
			t.Fatalf("%s printed no further message (%v); it printed:\n%s", p.name, err, p.both)
		}
		if !debugLine.MatchString(line) {
			return line
		}
	}
}

// expectMessages fails the test unless the next messages printed are want.
func (p *program) expectMessages(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := p.nextMessage(t); got != w {
			t.Fatalf("%s printed %q, want %q", p.name, got, w)
		}
	}
}

// printed returns standard output without the lines that -d added.
func (p *program) printed() string {
	var b strings.Builder
	for line := range strings.Lines(p.stdout.String()) {
		if !debugLine.MatchString(line) {
			b.WriteString(line)
		}
	}
	return b.String()
}
