package cli

import (
	"bytes"
	"context"
	goflag "flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

var update = goflag.Bool("update", false, "rewrite testdata/script from what the commands print")

// TestScripts runs testdata/script/*.txt, each against a broker of its own in this
// process. A script is a transcript: lines that begin with one of these marks are
// read, what stands between them is what must come out.
//
//	# text           a comment
//	$ pub -t a …     run a command to its end; words may be in '…' or "…"
//	& NAME sub …     start a command and wait until its Subscriptions are there
//	ready NAME       wait until its Subscriptions are there once more
//	wait NAME        wait for the end of that command
//	interrupt NAME   as Ctrl-C does, then wait for its end
//	< text           a line of standard input of the next command
//	broker stop      the broker goes away
//	broker start     and is back at the same address
//
// Standard output is shown as it is, standard error behind "! ", and an exit code that
// is not 0 as "exit N". The broker lets everybody in but the user mallory, and lets
// nobody publish or subscribe below secret/.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts (%v)", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func runScript(t *testing.T, text string) string {
	s := &script{t: t, running: map[string]*process{}}
	s.changed = sync.NewCond(&s.mu)
	s.start()
	defer func() { s.stop() }()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		mark, rest, _ := strings.Cut(line, " ")
		switch mark {
		case "#", "$", "&", "ready", "wait", "interrupt", "<", "broker":
		case "":
			if line == "" && !strings.HasSuffix(s.out.String(), "\n\n") {
				s.out.WriteByte('\n')
			}
			continue
		default: // what came out when the script was written
			continue
		}
		fmt.Fprintln(&s.out, line)
		switch mark {
		case "<":
			s.stdin += rest + "\n"
		case "$":
			s.show(s.launch(quoted(rest)))
		case "&":
			name, command, _ := strings.Cut(rest, " ")
			s.running[name] = s.launch(quoted(command))
			s.ready(s.running[name])
		case "ready":
			s.ready(s.running[rest])
		case "wait":
			s.show(s.running[rest])
		case "interrupt":
			s.running[rest].cancel()
			s.show(s.running[rest])
		case "broker":
			if rest == "stop" {
				s.stop()
			} else {
				s.start()
			}
		}
	}
	return s.out.String()
}

// script is one script under way.
type script struct {
	t        *testing.T
	out      strings.Builder
	broker   *broker.Broker
	port     int
	stdin    string
	running  map[string]*process
	launched int // commands, which tells their User Names apart

	mu         sync.Mutex
	changed    *sync.Cond
	subscribed map[string]int // Subscriptions answered, by User Name, which tells processes apart
}

// process is one command.
type process struct {
	cancel         context.CancelFunc
	user           string
	filters        int // Subscriptions that it asks for
	done           chan struct{}
	ended          bool // under the lock of the script
	exit           int
	stdout, stderr bytes.Buffer
}

func (s *script) start() {
	t := s.t
	s.mu.Lock()
	s.subscribed = map[string]int{}
	s.mu.Unlock()
	b, err := broker.New(broker.Config{Authenticator: testGate{}, Authorizer: testGate{}, Events: s.event})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	s.broker, s.port = b, listener.Addr().(*net.TCPAddr).Port
	go b.Serve(listener)
	directory := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", directory)
	for _, name := range optionsFileNames {
		lines := fmt.Sprintf("-h 127.0.0.1\n-p %d\n", s.port)
		if err := os.WriteFile(filepath.Join(directory, name), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *script) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.broker.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
}

// event counts the Subscriptions. The broker calls it from many goroutines.
func (s *script) event(e broker.Event) {
	if e, ok := e.(broker.Subscribed); ok {
		s.mu.Lock()
		s.subscribed[e.Client.UserName]++
		s.mu.Unlock()
		s.changed.Broadcast()
	}
}

// launch starts a command in this process. It connects with a User Name of its own,
// unless it is given one.
func (s *script) launch(args []string) *process {
	s.launched++
	p := &process{done: make(chan struct{}), user: fmt.Sprintf("process-%d", s.launched)}
	called := []string{"colibri"}
	if strings.HasPrefix(args[0], "mosquitto") {
		called = nil
	}
	if len(args) > 1 {
		for i, arg := range args {
			if arg == "-t" || arg == "-e" {
				p.filters++
			} else if arg == "-u" {
				p.user = args[i+1]
			}
		}
		words := 1 // of the command
		switch strings.TrimPrefix(args[0], "mosquitto_") {
		case "rr":
			p.filters = 1
		case "topic":
			p.filters, words = 1, 2
		}
		if strings.HasPrefix(p.user, "process-") {
			args = slices.Insert(args, words, "-u", p.user)
		}
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	stdin := strings.NewReader(s.stdin)
	s.stdin = ""
	go func() {
		p.exit = run(ctx, append(called, args...), stdin, &p.stdout, &p.stderr)
		p.cancel()
		s.mu.Lock()
		p.ended = true
		s.mu.Unlock()
		s.changed.Broadcast()
		close(p.done)
	}()
	return p
}

// ready waits until the broker has answered the Subscriptions of p, or p has ended.
func (s *script) ready(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.subscribed[p.user] < p.filters && !p.ended {
		s.changed.Wait()
	}
	delete(s.subscribed, p.user)
}

// show waits for the end of p and writes down what it has printed.
func (s *script) show(p *process) {
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("after\n%sthe command does not end", s.out.String())
	}
	stdout := p.stdout.String()
	if stdout != "" && !strings.HasSuffix(stdout, "\n") {
		stdout += "[no end of line]\n"
	}
	s.out.WriteString(visible.Replace(timestamp.ReplaceAllString(stdout, `"tst":"NOW"`)))
	for line := range strings.Lines(p.stderr.String()) {
		s.out.WriteString("! " + strings.ReplaceAll(line, strconv.Itoa(s.port), "PORT"))
	}
	if p.exit != 0 {
		fmt.Fprintf(&s.out, "exit %d\n", p.exit)
	}
}

// visible shows what a text file cannot, and empty lines, which part the commands.
var visible = strings.NewReplacer("\x1b", "␛", "\x00", "␀", "\n\n", "\n[empty line]\n")

// timestamp is the one thing that differs from run to run.
var timestamp = regexp.MustCompile(`"tst":"[^"]*"`)

// quoted cuts a command line into words as a shell does, without its other magic.
func quoted(line string) []string {
	var list []string
	word, open, quote := "", false, rune(0)
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ':
			if open {
				list = append(list, word)
			}
			word, open = "", false
		default:
			word += string(r)
			open = true
		}
	}
	return list
}

// testGate refuses the user mallory, and everything below secret/.
type testGate struct{}

func (testGate) Authenticate(_ context.Context, r *broker.ConnectRequest) error {
	if r.UserName == "mallory" {
		return colibri.NotAuthorized
	}
	return nil
}

func (testGate) Permissions(broker.ClientInfo) broker.Permissions { return testGate{} }

func (testGate) Receive(string) bool { return true }

func (testGate) Publish(topic string, _ colibri.QoS, _ bool) colibri.ReasonCode {
	if strings.HasPrefix(topic, "secret/") {
		return colibri.NotAuthorized
	}
	return colibri.Success
}

func (testGate) Unsubscribe(string) colibri.ReasonCode { return colibri.Success }

func (testGate) Subscribe(s colibri.Subscription) colibri.ReasonCode {
	if strings.HasPrefix(s.Filter, "secret/") {
		return colibri.NotAuthorized
	}
	return colibri.ReasonCode(s.QoS)
}
