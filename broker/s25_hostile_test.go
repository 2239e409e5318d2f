//go:build unix

package broker_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/proxy"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// Hostile peers over real sockets. Each test holds that the broker goes on serving others
// while they are at it, that they end when they have to, and what they cost in memory.

// target is a broker under attack, and a client that it has to serve meanwhile.
type target struct {
	*testing.T
	broker  *broker.Broker
	address string // where attackers connect

	witness net.Conn
	in      bufio.Reader
	sent    uint32
	before  int // bytes of memory
}

// newTarget starts a broker. Attackers meet what wrap makes of its listener; nil leaves it.
func newTarget(t *testing.T, limits broker.Limits, wrap func(net.Listener) net.Listener) *target {
	a := &target{T: t, broker: mqtest.New(t, broker.Config{Limits: limits})}
	serve := func(wrap func(net.Listener) net.Listener) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if wrap != nil {
			l = wrap(l)
		}
		go a.broker.Serve(l)
		return address
	}
	a.address = serve(wrap)
	witness, err := net.Dial("tcp", serve(nil))
	if err != nil {
		t.Fatal(err)
	}
	a.witness = witness
	a.in.Reset(witness)
	t.Cleanup(func() {
		witness.Close()
		if err := a.broker.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	var b []byte
	for _, p := range []packet.Packet{&packet.Connect{Version: v311, ClientID: "witness", CleanStart: true}, subscribe(1, to("witness", 0))} {
		b, _ = packet.Append(b, p, v311)
	}
	witness.SetDeadline(time.Now().Add(10 * time.Second))
	witness.Write(b)
	if _, err := io.ReadFull(&a.in, make([]byte, 4+5)); err != nil {
		t.Fatalf("CONNACK and SUBACK of the witness: %v", err)
	}
	a.before = memory()
	return a
}

// memory returns the bytes of objects and stacks after a collection.
func memory() int {
	bytes := heap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return bytes + int(m.StackInuse)
}

// serves sends the witness a message, which has to come within two seconds.
func (a *target) serves() {
	a.Helper()
	a.sent++
	b, _ := packet.Append(nil, qos0("witness", fmt.Sprintf("%010d", a.sent)), v311)
	a.witness.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := a.witness.Write(b); err != nil {
		a.Fatalf("the witness is not served: %v", err)
	}
	got := make([]byte, len(b))
	if _, err := io.ReadFull(&a.in, got); err != nil || !bytes.Equal(got, b) {
		a.Fatalf("the witness is not served: got %q and the error %v, want its message %q", got, err, b)
	}
}

// servesUntil has the witness served again and again until done, which has to be within
// twenty seconds. step, unless it is nil, is what the attackers do in between.
func (a *target) servesUntil(what string, done func() bool, step func()) {
	a.Helper()
	for late := time.Now().Add(20 * time.Second); !done(); a.serves() {
		if time.Now().After(late) {
			a.Fatalf("%s: not within twenty seconds; the limits that were reached: %v", what, a.broker.Stats().Limited)
		}
		if step != nil {
			step()
		}
	}
}

// bounded checks what n attackers cost the broker each.
func (a *target) bounded(n, bytesEach int) {
	a.Helper()
	const slack = 4 << 20 // pools, and what the witness has left
	grown := memory() - a.before
	a.Logf("%d attackers: %d bytes each", n, grown/n)
	if grown > n*bytesEach+slack {
		a.Errorf("memory has grown by %d bytes, which is %d for each of %d; want %d at most", grown, grown/n, n, bytesEach)
	}
}

// dial opens connections to the target; the end of the test closes them.
func (a *target) dial(n int) []net.Conn {
	a.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		nc, err := net.Dial("tcp", a.address)
		if err != nil {
			a.Fatal(err)
		}
		a.Cleanup(func() { nc.Close() })
		conns[i] = nc
	}
	return conns
}

// fewer returns n, or a tenth of it with the race detector.
func fewer(n int) int {
	if raced {
		return n / 10
	}
	return n
}

// TestSlowloris has thousands send a large CONNECT byte by byte.
func TestSlowloris(t *testing.T) {
	n := fewer(3000)
	a := newTarget(t, broker.Limits{ConnectTime: 2 * time.Second}, nil)
	start := time.Now()
	conns := a.dial(n)
	connect, _ := packet.Append(nil, &packet.Connect{Version: v311, ClientID: strings.Repeat("x", 60_000), CleanStart: true}, v311)
	sent := 0
	byteToEach := func() {
		for _, nc := range conns {
			nc.Write(connect[sent : sent+1]) // it fails where the broker has closed
		}
		sent++
	}
	for range 3 { // the Fixed Header says how much there will be
		byteToEach()
	}
	a.bounded(n, 16<<10)
	late := func() int { return int(a.broker.Stats().Limited[broker.LimitConnectTime]) }
	a.servesUntil("the time limit of all", func() bool { return late() == n }, byteToEach)
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("all were closed after %v, want two seconds", took)
	}
	a.closed(conns)
	if got := a.broker.Stats(); got.Connections != 1 || got.Accepted != 1 {
		t.Errorf("got %d connections, %d accepted; want the witness alone", got.Connections, got.Accepted)
	}
}

// closed checks that the broker has closed connections.
func (a *target) closed(conns []net.Conn) {
	a.Helper()
	for _, nc := range conns {
		nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
			a.Fatal("a connection is still open")
		}
	}
}

// holdVariable makes this program the attacker of TestHalfOpen.
const holdVariable = "COLIBRI_TEST_HOLD"

func TestMain(m *testing.M) {
	if address, n, ok := strings.Cut(os.Getenv(holdVariable), " "); ok {
		hold(address, n)
		return
	}
	os.Exit(m.Run())
}

// hold opens n connections, says so, and holds them until its standard input ends.
func hold(address, n string) {
	count, _ := strconv.Atoi(n)
	conns := make([]net.Conn, count)
	var dialing sync.WaitGroup
	for first := range 8 {
		dialing.Go(func() {
			for i := first; i < count; i += 8 {
				var err error
				if conns[i], err = net.Dial("tcp", address); err != nil {
					fmt.Println(err)
					return
				}
			}
		})
	}
	dialing.Wait()
	fmt.Println("all are open")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns)
}

// TestHalfOpen has another process hold 10,000 connections, or as many as the limit for open
// files allows, on which nothing comes.
func TestHalfOpen(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	n := min(fewer(10_000), int(min(files.Cur, 1<<20))-200)
	if n < 500 {
		t.Fatalf("the limit for open files is %d, which is too low for this test: raise it with 'ulimit -n 11000'", files.Cur)
	}
	a := newTarget(t, broker.Limits{Unauthenticated: n - 100, ConnectTime: time.Minute}, nil)
	attacker := exec.Command(os.Args[0])
	attacker.Env = append(os.Environ(), holdVariable+"="+a.address+" "+strconv.Itoa(n))
	attacker.Stderr = os.Stderr
	input, err := attacker.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := attacker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := attacker.Start(); err != nil {
		t.Fatal(err)
	}
	defer attacker.Process.Kill()
	var ready atomic.Pointer[string]
	go func() {
		line, _ := bufio.NewReader(output).ReadString('\n')
		ready.Store(&line)
	}()
	a.servesUntil("opening", func() bool {
		return ready.Load() != nil && a.broker.Stats().Opened == int64(n)+1
	}, nil)
	if got := *ready.Load(); got != "all are open\n" {
		t.Fatalf("the attacker says %q", got)
	}
	refused := func() int { return int(a.broker.Stats().Limited[broker.LimitUnauthenticated]) }
	a.servesUntil("refusing what is too much", func() bool { return refused() >= 100 }, nil)
	if got := refused(); got != 100 {
		t.Errorf("got %d refused, want 100", got)
	}
	a.bounded(n, 16<<10)
	input.Close()
	a.servesUntil("the end of all", func() bool {
		ended := int64(0)
		for _, count := range a.broker.Stats().Refused {
			ended += count
		}
		return ended == int64(n)
	}, nil)
	if err := attacker.Wait(); err != nil {
		t.Errorf("the attacker: %v", err)
	}
}

// webSockets makes a listener one for WebSocket.
func webSockets(l net.Listener) net.Listener {
	return transport.ListenWebSocket(l, "", transport.WebSocketOptions{})
}

// TestHugeHeaders sends HTTP requests that do not end: one long line, and many short ones.
func TestHugeHeaders(t *testing.T) {
	n := fewer(500)
	a := newTarget(t, broker.Limits{}, webSockets)
	conns := a.dial(n)
	piece := []byte(strings.Repeat("x", 1000))
	for i, nc := range conns {
		if i%2 == 0 {
			io.WriteString(nc, "GET / HTTP/1.1\r\n")
			piece = bytes.Repeat([]byte("a: b\r\n"), 150)
		} else {
			io.WriteString(nc, "GET /")
		}
		for range 5 { // 4,096 bytes are taken
			nc.Write(piece)
		}
		if i%10 == 0 {
			a.serves()
		}
	}
	for _, nc := range conns {
		nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		answer, err := io.ReadAll(nc)
		if errors.Is(err, os.ErrDeadlineExceeded) || len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 431 ")) {
			t.Fatalf("got %q and the error %v, want the status 431", answer, err)
		}
	}
	a.serves()
	a.bounded(n, 1<<10) // it keeps nothing of them
	if got := a.broker.Stats().Opened; got != 1 {
		t.Errorf("%d connections have come to the broker, want that of the witness", got)
	}
}

// TestTinyFragments sends a message in WebSocket frames with one byte each, from many at once.
func TestTinyFragments(t *testing.T) {
	n, size := fewer(90), 10_000
	a := newTarget(t, broker.Limits{}, webSockets)
	conns := make([]*webSocket, n)
	var message []byte
	for i, nc := range a.dial(n) {
		conns[i] = openWebSocket(t, nc, v311)
		message = conns[i].encode(&packet.Connect{Version: v311, ClientID: "client", CleanStart: true}, qos1(1, "a", strings.Repeat("x", size)))
	}
	frames := make([]byte, 0, 7*len(message))
	for i, c := range message {
		first := byte(0) // goes on
		if i == 0 {
			first = 2 // begins a binary message
		}
		frames = append(frames, first, 0x81, 0, 0, 0, 0, c)
	}
	piece := 7*100 + 3 // the borders of pieces and frames differ
	for from := 0; from < len(frames); from += piece {
		to := min(from+piece, len(frames))
		for i, w := range conns {
			part := bytes.Clone(frames[from:to])
			if at := 7*(12+2+5) + 6 - from; at >= 0 && at < len(part) { // each has a ClientID of its own
				part[at] = byte('!' + i)
			}
			w.nc.Write(part)
		}
		if from/piece%20 == 10 {
			a.serves()
		}
	}
	a.serves()
	a.bounded(n, 2*size+16<<10)
	for _, w := range conns {
		got := w.receive(4 + 4)
		if want := "\x20\x02\x00\x00\x40\x02\x00\x01"; string(got) != want {
			t.Fatalf("got % x, want CONNACK and PUBACK", got)
		}
	}
	if got := a.broker.Stats().Received.PayloadBytes; got < int64(n*size) {
		t.Errorf("payloads: got %d bytes, want %d at least", got, n*size)
	}
}

// receive returns the payloads of binary frames until they are n bytes.
func (w *webSocket) receive(n int) (b []byte) {
	for len(b) < n {
		_, payload, err := w.frame()
		if err != nil {
			w.t.Fatalf("after % x: %v", b, err)
		}
		b = append(b, payload...)
	}
	return b
}

// TestForgedHeaders sends headers of the PROXY protocol from an address that may not, and
// wrong ones from one that may.
func TestForgedHeaders(t *testing.T) {
	const forged = "PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n"
	for _, c := range []struct{ name, from, sends string }{
		{"from elsewhere", "203.0.113.0/24", forged},
		{"from elsewhere, nothing", "203.0.113.0/24", ""},
		{"a line without an end", "127.0.0.0/8", "PROXY UNKNOWN" + strings.Repeat(" x", 500)},
		{"a length without the bytes", "127.0.0.0/8", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xFF\xFF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := fewer(1000)
			var refused atomic.Int64
			a := newTarget(t, broker.Limits{}, func(l net.Listener) net.Listener {
				return proxy.Listen(l, proxy.Options{Version: 1, From: []netip.Prefix{netip.MustParsePrefix(c.from)},
					Refused: func(net.Addr, error) { refused.Add(1) }})
			})
			conns := make([]net.Conn, 0, n)
			for range n / 100 {
				for _, nc := range a.dial(100) {
					io.WriteString(nc, c.sends+"\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00")
					conns = append(conns, nc)
				}
				a.serves()
			}
			a.servesUntil("refusing", func() bool { return int(refused.Load()) == len(conns) }, nil)
			a.closed(conns)
			a.bounded(n, 1<<10)
			if got := a.broker.Stats(); got.Opened != 1 || got.Accepted != 1 {
				t.Errorf("got %d connections in the broker, %d accepted; want that of the witness", got.Opened, got.Accepted)
			}
		})
	}
}
