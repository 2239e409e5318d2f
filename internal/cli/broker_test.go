package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/packet"
)

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

// transcript is an output that a test can wait on.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced by each Write
}

func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return len(b), nil
}

// now returns the text, and a channel that is closed when there is more.
func (o *transcript) now() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.text.String(), o.changed
}

// runningBroker is the command broker, running in this process.
type runningBroker struct {
	*testing.T
	cancel         context.CancelFunc
	stdout, stderr transcript
	exit           chan int
}

// startBroker runs a command line of the broker. The end of the test ends it.
func startBroker(t *testing.T, args ...string) *runningBroker {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &runningBroker{T: t, cancel: cancel, exit: make(chan int, 1)}
	go func() { b.exit <- run(ctx, args, strings.NewReader(""), &b.stdout, &b.stderr) }()
	t.Cleanup(func() { cancel() })
	return b
}

// startConfigured runs the broker with a configuration.
func startConfigured(t *testing.T, text string, args ...string) *runningBroker {
	t.Helper()
	return startBroker(t, append([]string{"colibri", "broker", "-c", writeConfig(t, text)}, args...)...)
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// until waits for text that matches pattern on standard error, and returns the groups.
func (b *runningBroker) until(pattern string) []string {
	b.Helper()
	want := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		text, changed := b.stderr.now()
		if found := want.FindStringSubmatch(text); found != nil {
			return found
		}
		select {
		case <-changed:
		case code := <-b.exit:
			b.exit <- code
			if text, _ := b.stderr.now(); !want.MatchString(text) {
				b.Fatalf("the broker ended with exit code %d before it said %q; it said:\n%s", code, pattern, text)
			}
		case <-late:
			b.Fatalf("the broker did not say %q; it said:\n%s", pattern, text)
		}
	}
}

// address waits for the banner and returns the first address of 127.0.0.1 in it.
func (b *runningBroker) address() string {
	b.Helper()
	return b.until(`listening on +(127\.0\.0\.1:\d+) `)[1]
}

// end ends the broker as a signal does, and returns what it wrote to standard error.
func (b *runningBroker) end() string {
	b.Helper()
	b.cancel()
	select {
	case code := <-b.exit:
		if code != exitOK {
			b.Errorf("exit code: got %d, want 0", code)
		}
	case <-time.After(patience):
		b.Fatal("the broker did not end")
	}
	text, _ := b.stderr.now()
	return text
}

// rawClient is a client that a test drives packet by packet.
type rawClient struct {
	*testing.T
	net.Conn
	version colibri.Version
	unread  []byte
}

func dialRaw(t *testing.T, network, address string, v colibri.Version) *rawClient {
	t.Helper()
	nc, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return newRawClient(t, nc, v)
}

func newRawClient(t *testing.T, nc net.Conn, v colibri.Version) *rawClient {
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &rawClient{T: t, Conn: nc, version: v}
}

func (c *rawClient) send(p packet.Packet) {
	c.Helper()
	b, err := packet.Append(nil, p, c.version)
	if err == nil {
		_, err = c.Write(b)
	}
	if err != nil {
		c.Fatal(err)
	}
}

// receive returns the next packet; nil at the end of the connection.
func (c *rawClient) receive() packet.Packet {
	c.Helper()
	buffer := make([]byte, 4096)
	for {
		p, n, err := packet.Decode(c.unread, c.version)
		if err == nil {
			c.unread = c.unread[n:]
			return p
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			c.Fatal(err)
		}
		n, err = c.Read(buffer)
		c.unread = append(c.unread, buffer[:n]...)
		if n == 0 && (err == io.EOF || errors.Is(err, syscall.ECONNRESET)) {
			return nil
		}
		if n == 0 {
			c.Fatal(err)
		}
	}
}

// connect sends a CONNECT and returns the Reason Code of the CONNACK.
func (c *rawClient) connect(p packet.Connect) colibri.ReasonCode {
	c.Helper()
	p.Version, p.CleanStart = c.version, true
	c.send(&p)
	answer, ok := c.receive().(*packet.Connack)
	if !ok {
		c.Fatal("got no CONNACK")
	}
	return answer.Code
}

func TestBrokerBanner(t *testing.T) {
	for _, test := range []struct{ program, state, file, hint string }{
		{"colibri broker", "in memory only, as its port changes with each start", "colibri broker -c my.conf", "colibri sub -p %s -v -t '#'\n  colibri pub -p %s -t hello -m world\n"},
		{"mosquitto", "in memory only", "mosquitto -c my.conf", "mosquitto_sub -p %s -v -t '#'\n  mosquitto_pub -p %s -t hello -m world\n"},
	} {
		t.Run(test.program, func(t *testing.T) {
			b := startBroker(t, append(strings.Fields(test.program), "-p", "0")...)
			_, port, _ := net.SplitHostPort(b.address())
			banner := b.end()
			for _, want := range []string{
				test.program + " version ",
				" is running.\n  listening on  127.0.0.1:" + port + "  open to anyone on this machine, without a password\n",
				"\n  state         " + test.state + ": it is lost when the broker ends\n",
				"Other machines cannot connect.",
				"\n  listener 1883\n  allow_anonymous true\n",
				"'" + test.file + "'",
				"\n  " + fmt.Sprintf(test.hint, port, port),
				"Shutting down.\n",
			} {
				if !strings.Contains(banner, want) {
					t.Errorf("got\n%s\nwant %q in it", banner, want)
				}
			}
			if text, _ := b.stdout.now(); text != "" {
				t.Errorf("standard output: got %q, want nothing", text)
			}
		})
	}

	t.Run("of a configuration", func(t *testing.T) {
		location := t.TempDir()
		b := startConfigured(t, "listener 0 127.0.0.1\npersistence true\npersistence_location "+location+"\n", "-p", "1")
		banner := b.until(`(?s).*nobody can connect.*\n`)[0]
		for _, want := range []string{
			"  open to nobody: anonymous clients are denied\n",
			"  state         in " + location + "/colibri\n",
			"Warning: -p has no effect, because ",
			"add 'allow_anonymous true'",
		} {
			if !strings.Contains(banner, want) {
				t.Errorf("got\n%s\nwant %q in it", banner, want)
			}
		}
		if strings.Contains(banner, "Other machines") {
			t.Errorf("got\n%s\nwant no hints where a listener is configured", banner)
		}
		b.end()
	})
}

func TestBrokerMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	conf := func(text string) string { return "-c " + writeConfig(t, text) }
	const seeHelp = "\nUse 'colibri broker --help' to see usage.\n"
	for _, test := range []struct {
		args string
		exit int
		want string // standard error; FILE is the configuration
	}{
		{"-p " + port, 1, "Error: Port " + port + " on 127.0.0.1 is in use by another program; stop it or choose another port with -p.\n"},
		{conf("listener " + port + " 127.0.0.1"), 1, "Error: Port " + port + " on 127.0.0.1 is in use by another program; stop it or choose another port in FILE:1.\n"},
		{conf("listener 1884 192.0.2.1"), 1, "Error: 192.0.2.1 is not an address of this machine; choose one that is, or leave it out for all of them.\n"},
		{conf("listener 1884 a..b"), 1, "Error: The host 'a..b' of the listener in FILE:1 is not known; write an address of this machine, or leave it out for all of them.\n"},
		{conf("listener 0 /nonexistent/a.sock"), 1, "Error: Cannot listen on /nonexistent/a.sock: the directory does not exist; make it, or choose another path.\n"},
		{"-p", 3, "Error: '-p' needs a PORT behind it.\n" + seeHelp},
		{"-p 65536", 3, "Error: '65536' is not a port; give a number from 0 to 65535.\n" + seeHelp},
		{"-p mqtt", 3, "Error: 'mqtt' is not a port; give a number from 0 to 65535.\n" + seeHelp},
		{"-x", 3, "Error: Unknown option '-x', see 'colibri broker --help'.\n"},
		{"--prot 1", 3, "Error: Unknown option '--prot'; the nearest is '--port', see 'colibri broker --help'.\n"},
		{"--config my.conf", 3, "Error: Unknown option '--config'; the nearest is '--config-file', see 'colibri broker --help'.\n"},
		{"my.conf", 3, "Error: Unknown option 'my.conf', see 'colibri broker --help'.\n"},
		{"-d", 3, "Error: '-d' is known, but this version does not have it yet. Start it without -d in the background, with '&' or a service manager.\n"},
		{"--tls-keylog /nonexistent/f", 3, "Error: --tls-keylog: the file cannot be written: open /nonexistent/f: no such file or directory\n\nUse 'colibri broker --help' to see usage.\n"},
		{"-c /nonexistent.conf", 3, "Error: /nonexistent.conf: cannot be read: no such file or directory.\n"},
		{conf("\nalow_anonymous true"), 3, "Error: FILE:2: 'alow_anonymous' is not an option; the nearest is 'allow_anonymous'.\n"},
		{conf("acl_file /x") + " --test-config", 3, "Error: FILE:1: the acl_file /x cannot be read: no such file or directory.\n"},
		{conf("password_file /nonexistent") + " --test-config", 3, "Error: The password file /nonexistent cannot be read: no such file or directory.\n"},
		{conf("colibri_scram_file /nonexistent"), 3, "Error: The file of colibri_scram_file /nonexistent cannot be read: no such file or directory.\n"},
		{conf("listener 0 127.0.0.1\npersistence true\npersistence_location /dev/null"), 1, "Error: The state in /dev/null/colibri cannot be opened: open log: stat /dev/null/colibri: not a directory.\n"},
		{"--test-config", 0, ""},
		{conf("log_dest file /nonexistent/a.log"), 1, "Error: The log file cannot be opened: open /nonexistent/a.log: no such file or directory.\n"},
		{conf("listener 0 127.0.0.1\nlog_type error\npid_file /nonexistent/a.pid"), 1, "Error: The pid_file cannot be written: open /nonexistent/a.pid: no such file or directory.\n"},
	} {
		fields := strings.Fields(test.args)
		if i := slices.Index(fields, "-c"); i >= 0 {
			test.want = strings.ReplaceAll(test.want, "FILE", fields[i+1])
		}
		exit, stdout, stderr := call(t, append([]string{"colibri", "broker"}, fields...)...)
		if exit != test.exit || stderr != test.want {
			t.Errorf("%s: got exit code %d and %q; want %d and %q", test.args, exit, stderr, test.exit, test.want)
		}
		if said := stdout == "The configuration is right.\n"; said != (exit == 0) {
			t.Errorf("%s: standard output: got %q", test.args, stdout)
		}
	}
	for _, args := range []string{"colibri broker --help", "colibri broker -h", "mosquitto -h", "colibri help broker"} {
		exit, stdout, _ := call(t, strings.Fields(args)...)
		if exit != 0 || !strings.HasPrefix(stdout, "Run an MQTT broker") || !strings.Contains(stdout, "  --test-config  ") || !strings.Contains(stdout, "not in this version: -d --daemon\n") {
			t.Errorf("%s: got exit code %d and\n%s", args, exit, stdout)
		}
	}
	if exit, stdout, _ := call(t, "mosquitto", "--version"); exit != 0 || !strings.HasPrefix(stdout, "mosquitto version ") {
		t.Errorf("mosquitto --version: got exit code %d and %q", exit, stdout)
	}
}

func TestBrokerCompletion(t *testing.T) {
	for _, test := range []struct{ args, typed, want string }{
		{"", "--te", "--test-config"},
		{"-p 1", "--ver", "--verbose --version"},
		{"-p", "", ""},
	} {
		offers, _ := completeBroker(strings.Fields(test.args), test.typed)
		var got []string
		for _, offer := range offers {
			name, _, _ := strings.Cut(offer, "\t")
			got = append(got, name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q %q: got %q, want %q", test.args, test.typed, got, test.want)
		}
	}
	if _, directive := completeBroker([]string{"-c"}, ""); directive != cobra.ShellCompDirectiveDefault {
		t.Errorf("-c: got %v, want files", directive)
	}
}

// TestBrokerAnonymous covers who may connect: everybody where nothing is configured, and
// nobody on a listener that does not say so.
func TestBrokerAnonymous(t *testing.T) {
	for _, test := range []struct {
		config string
		want   colibri.ReasonCode
	}{
		{"", colibri.Success},
		{"allow_anonymous false", colibri.NotAuthorized},
		{"listener 0 127.0.0.1", colibri.NotAuthorized},
		{"listener 0 127.0.0.1\nallow_anonymous true", colibri.Success},
		{"allow_anonymous true\nlistener 0 127.0.0.1\nlistener_allow_anonymous false", colibri.NotAuthorized},
		{"listener 0 127.0.0.1\nlistener_allow_anonymous true\nlistener 0 127.0.0.1", colibri.Success},
		{"listener 0 127.0.0.1\nlistener 0 127.0.0.1\nlistener_allow_anonymous true", colibri.NotAuthorized},
	} {
		b := startConfigured(t, test.config, "-p", "0")
		address := b.address()
		for _, connect := range []packet.Connect{
			{ClientID: "anonymous"},
			{ClientID: "named", HasUserName: true, UserName: "me", HasPassword: true, Password: []byte("secret")},
		} {
			if got := dialRaw(t, "tcp", address, colibri.V5).connect(connect); got != test.want {
				t.Errorf("%q: %s: got %v, want %v", test.config, connect.ClientID, got, test.want)
			}
		}
		if test.want == colibri.Success {
			b.until(`New client connected from 127\.0\.0\.1:\d+ as named \(p5, c1, k0, u'me'\)\.\n`)
		} else {
			b.until(`Client anonymous \[127\.0\.0\.1:\d+\] refused: CONNECT: this listener lets nobody in without a User Name \(Not authorized\)\.\n`)
			b.until(`Client named \[127\.0\.0\.1:\d+\] refused: CONNECT: no user is known`)
		}
		if said := b.end(); strings.Contains(said, "secret") {
			t.Errorf("%q: the log holds a Password:\n%s", test.config, said)
		}
	}
}

// TestBrokerShutdown ends the broker as SIGTERM does: 5.0 clients are told.
func TestBrokerShutdown(t *testing.T) {
	b := startBroker(t, "colibri", "broker", "-p", "0")
	address := b.address()
	five, three := dialRaw(t, "tcp", address, colibri.V5), dialRaw(t, "tcp", address, colibri.V311)
	five.connect(packet.Connect{ClientID: "five"})
	three.connect(packet.Connect{ClientID: "three"})
	b.cancel()
	if p, ok := five.receive().(*packet.Disconnect); !ok || p.Code != colibri.ServerShuttingDown {
		t.Errorf("5.0: got %v, want DISCONNECT with 0x8B", p)
	}
	if p := five.receive(); p != nil {
		t.Errorf("5.0: got %v after DISCONNECT, want the end", p)
	}
	if p := three.receive(); p != nil { // [MQTT-3.14.0-1]: 3.1.1 has no DISCONNECT of the Server
		t.Errorf("3.1.1: got %v, want the end", p)
	}
	said := b.end()
	for _, id := range []string{"five", "three"} {
		if want := regexp.MustCompile(`\d+: Client ` + id + ` \[127\.0\.0\.1:\d+\] disconnected: the broker is shutting down\.\n`); !want.MatchString(said) {
			t.Errorf("got\n%s\nwant %q in it", said, want)
		}
	}
	if nc, err := net.Dial("tcp", address); err == nil {
		nc.Close()
		t.Error("someone listens after the end")
	}
}

// TestBrokerLogIsNotForged covers clients whose names hold what would end or repaint a
// line of the log.
func TestBrokerLogIsNotForged(t *testing.T) {
	b := startBroker(t, "colibri", "broker", "-p", "0", "-v")
	c := dialRaw(t, "tcp", b.address(), colibri.V311)
	c.connect(packet.Connect{ClientID: "a\n1: New client connected from 10.0.0.1:1 as root\r\x1b[2K\u2028\u202e", HasUserName: true, UserName: "x'\n)\\"})
	c.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "f\n\x7f\u0085" + strings.Repeat("é", 1000)}}})
	c.receive()
	c.send(&packet.Disconnect{})
	b.until(`disconnected\.\n`)
	said := b.end()
	for _, want := range []string{
		` as a\n1: New client connected from 10.0.0.1:1 as root\r\x1b[2K\u2028\u202e (p2, c1, k0, u'x\'\n)\\').` + "\n",
		` 0 f\n\x7f\u0085éé`,
		"é… (2005 bytes)\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("got\n%s\nwant %q in it", said, want)
		}
	}
	for line := range strings.Lines(said) {
		if len(line) > 1000 || strings.ContainsAny(line, "\r\x1b\x7f\u0085\u2028\u202e") || strings.HasPrefix(line, "1: ") {
			t.Errorf("got the line %q", line)
		}
	}
}

func TestBrokerLogLevels(t *testing.T) {
	for _, test := range []struct {
		args, config string
		want         []string // lines about one client, in order, with the time cut off
	}{
		{"", "", []string{"New connection", "New client connected", "Client c ["}},
		{"-v", "log_type none", []string{"New connection", "New client connected", "c: Session Present", "c 1 a/b", "c a/b", "Client c ["}},
		{"-q", "", nil},
		{"-q -v", "log_type all", nil},
		{"", "connection_messages false\nlog_type all", []string{"c: Session Present", "c 1 a/b", "c a/b"}},
		{"", "log_type unsubscribe\nlog_type notice\nlog_timestamp false", []string{"New connection", "New client connected", "c a/b", "Client c ["}},
		{"", "log_type subscribe\nlog_timestamp_format 1%%2", []string{"c 1 a/b"}},
	} {
		t.Run(test.args+" "+test.config, func(t *testing.T) {
			directory, err := os.MkdirTemp("", "c") // TempDir is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(directory)
			pid, socket := filepath.Join(directory, "pid"), filepath.Join(directory, "s")
			b := startConfigured(t, fmt.Sprintf("listener 0 %s\nallow_anonymous true\npid_file %s\n%s\n", socket, pid, test.config), strings.Fields(test.args)...)
			c := b.dialWhenReady("unix", socket)
			c.connect(packet.Connect{ClientID: "c"})
			c.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a/b", QoS: 1}}})
			c.receive()
			c.send(&packet.Unsubscribe{PacketID: 2, Filters: []string{"a/b"}})
			c.receive()
			if text, err := os.ReadFile(pid); err != nil || string(text) != fmt.Sprint(os.Getpid()) {
				t.Errorf("pid_file: got %q, %v", text, err)
			}
			c.send(&packet.Disconnect{})
			if p := c.receive(); p != nil {
				t.Errorf("got %v after DISCONNECT", p)
			}
			said := b.end()
			if _, err := os.Stat(pid); err == nil {
				t.Error("pid_file: is there after the end")
			}
			var got []string
			for line := range strings.Lines(said) {
				before, after, stamped := strings.Cut(line, ": ")
				if stamped && regexp.MustCompile(`^\d{10}$|^1%2$`).MatchString(before) {
					line = after
				}
				if regexp.MustCompile(`^(New|c|Client c)\b`).MatchString(line) && !strings.HasPrefix(line, "colibri") {
					got = append(got, line)
				}
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got %q, want lines that begin with %q, of\n%s", got, test.want, said)
			}
			if test.want == nil && said != "" {
				t.Errorf("got\n%s\nwant nothing", said)
			}
		})
	}
}

// dialWhenReady connects to a broker that may say nothing: it tries until someone
// listens.
func (b *runningBroker) dialWhenReady(network, address string) *rawClient {
	b.Helper()
	late := time.After(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if nc, err := net.Dial(network, address); err == nil {
			return newRawClient(b.T, nc, colibri.V311)
		}
		select {
		case <-ticker.C:
		case code := <-b.exit:
			text, _ := b.stderr.now()
			b.Fatalf("the broker ended with exit code %d; it said:\n%s", code, text)
		case <-late:
			b.Fatal("nobody listens")
		}
	}
}

func TestBrokerMaxConnections(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\nmax_connections 1\nallow_anonymous true\n")
	address := b.address()
	first := dialRaw(t, "tcp", address, colibri.V5)
	first.connect(packet.Connect{ClientID: "first"})
	if p := dialRaw(t, "tcp", address, colibri.V5).receive(); p != nil {
		t.Errorf("the second connection: got %v, want the end", p)
	}
	b.until(`A connection from 127\.0\.0\.1:\d+ was closed: 127\.0\.0\.1:\d+ has as many as max_connections allows, 1\.\n`)
	first.Close()
	b.until(`Client first .* disconnected: it closed the connection without a DISCONNECT\.\n`)
	if got := dialRaw(t, "tcp", address, colibri.V5).connect(packet.Connect{ClientID: "third"}); got != colibri.Success {
		t.Errorf("after the first has gone: got %v, want Success", got)
	}
	b.end()
}

// TestBrokerHangup covers SIGHUP: the broker goes on, whatever the file holds now.
func TestBrokerHangup(t *testing.T) {
	path := writeConfig(t, "listener 0 127.0.0.1\nallow_anonymous true\n")
	b := startBroker(t, "colibri", "broker", "-c", path)
	address := b.address()
	me, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := me.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	b.until(`SIGHUP: .*my\.conf is right, but this version takes it over only at the next start\.\n`)
	if err := os.WriteFile(path, []byte("listener x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := me.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	b.until(`SIGHUP: the configuration is wrong now, the broker goes on with the old one: .*my\.conf:1: 'x' is not a port`)
	if got := dialRaw(t, "tcp", address, colibri.V5).connect(packet.Connect{ClientID: "c"}); got != colibri.Success {
		t.Errorf("after SIGHUP: got %v, want Success", got)
	}
	b.end()
}

// blockedOutput is an output that takes nothing until it is opened.
type blockedOutput struct {
	begun  chan struct{} // receives when the first Write has begun
	opened chan struct{}
	transcript
}

func (o *blockedOutput) Write(b []byte) (int, error) {
	select {
	case o.begun <- struct{}{}:
	default:
	}
	<-o.opened
	return o.transcript.Write(b)
}

// TestBrokerLogDoesNotBlock covers a terminal that has stopped: events go on, and what
// was left out is counted.
func TestBrokerLogDoesNotBlock(t *testing.T) {
	out := &blockedOutput{begun: make(chan struct{}, 1), opened: make(chan struct{})}
	settings := config.Default().Log
	log, err := newBrokerLog(settings, nil, io.Discard, out)
	if err != nil {
		t.Fatal(err)
	}
	log.printf(logNotice, "first")
	<-out.begun
	for i := range logLines + 7 {
		log.event(broker.Disconnected{Client: broker.ClientInfo{ClientID: fmt.Sprint(i)}})
	}
	close(out.opened)
	log.close()
	log.printf(logNotice, "after the end")
	text, _ := out.now()
	if got := strings.Count(text, "\n"); got != 1+logLines+1 {
		t.Errorf("got %d lines, want %d and one about what is missing", got, 1+logLines)
	}
	if !strings.Contains(text, ": Warning: 7 lines are missing here") {
		t.Errorf("got\n%.200s…\nwant that 7 lines are missing", text)
	}
}

// TestBrokerLogFile covers the rotation of a log: the file is moved away, and after
// reopen there is a new one.
func TestBrokerLogFile(t *testing.T) {
	directory := t.TempDir()
	path, moved := filepath.Join(directory, "log"), filepath.Join(directory, "log.1")
	settings := config.Default().Log
	settings.File, settings.Stderr, settings.Timestamp = path, false, false
	log, err := newBrokerLog(settings, nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log.printf(logNotice, "before")
	waitForFile(t, path, "before\n")
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	log.reopen()
	waitForFile(t, path, "")
	log.printf(logNotice, "after")
	log.close()
	waitForFile(t, path, "after\n")
	waitForFile(t, moved, "before\n")
}

// waitForFile waits until a file holds text.
func waitForFile(t *testing.T, path, want string) {
	t.Helper()
	late := time.After(patience)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		got, err := os.ReadFile(path)
		if err == nil && string(got) == want {
			return
		}
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
}

// TestBrokerLogTopic covers the lines that are published.
func TestBrokerLogTopic(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_dest topic\nlog_type notice\nlog_type subscribe\nlog_timestamp false\n")
	watcher := dialRaw(t, "tcp", b.address(), colibri.V5)
	watcher.connect(packet.Connect{ClientID: "watcher"})
	watcher.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "$SYS/broker/log/#"}}})
	// until waits for a line under a topic.
	until := func(topic, line string) {
		t.Helper()
		for {
			m, ok := watcher.receive().(*packet.Publish)
			if ok && m.Topic == topic && strings.Contains(string(m.Payload), line) {
				return
			}
		}
	}
	until("$SYS/broker/log/M/subscribe", "watcher 0 $SYS/broker/log/#")
	dialRaw(t, "tcp", b.address(), colibri.V5).connect(packet.Connect{ClientID: "newcomer"})
	until("$SYS/broker/log/N", "newcomer")
}

// TestBrokerLogOfDrops covers a flood of dropped messages: one line, with a count later.
func TestBrokerLogOfDrops(t *testing.T) {
	var out transcript
	log, err := newBrokerLog(config.Default().Log, nil, io.Discard, &out)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		log.event(broker.Dropped{Client: broker.ClientInfo{ClientID: "slow\n"}, Reason: broker.DropSlow, Messages: 1})
	}
	log.event(broker.Dropped{Client: broker.ClientInfo{ClientID: "full"}, Reason: broker.DropQueueFull, Messages: 7})
	log.event(broker.Dropped{Reason: broker.DropNoSubscribers, Messages: 7})
	for range 3 {
		log.event(broker.Limited{Client: broker.ClientInfo{ClientID: "fast"}, Limit: broker.LimitMessageRate})
	}
	log.close()
	text, _ := out.now()
	if lines := strings.Split(strings.TrimSpace(text), "\n"); len(lines) != 5 ||
		!strings.HasSuffix(lines[0], `Messages dropped (slow consumer): 1, the last one at client slow\n.`) ||
		!strings.HasSuffix(lines[1], `Messages dropped (queue full): 7, the last one at client full.`) ||
		!strings.HasSuffix(lines[2], `Limit reached (message rate): 1 times, the last time by client fast.`) ||
		!strings.HasSuffix(lines[3], `Messages dropped (slow consumer): 999 more.`) ||
		!strings.HasSuffix(lines[4], `Limit reached (message rate): 2 times more.`) {
		t.Errorf("got\n%s\nwant a line for each reason, and the rest at the end", text)
	}
}
