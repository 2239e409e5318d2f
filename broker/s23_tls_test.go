package broker_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/certtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// secureBroker serves a broker with TLS, or WebSocket inside TLS, on a port of loopback, and
// returns its address and what clients need.
func secureBroker(t *testing.T, scheme string, c broker.Config) (string, *tls.Config) {
	t.Helper()
	authority := certtest.NewAuthority(t, "a CA")
	pair := authority.Server(t)
	b, err := broker.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(scheme+"://127.0.0.1:0", transport.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair.TLS()}}})
	if err != nil {
		t.Fatal(err)
	}
	go b.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		b.Shutdown(ctx)
	})
	return scheme + "://" + l.Addr().String(), &tls.Config{RootCAs: authority.Pool()}
}

// securePeer is a client that speaks over any connection, with a deadline for all of it.
type securePeer struct {
	t  *testing.T
	nc net.Conn
	in []byte
}

func dialSecure(t *testing.T, url string, config *tls.Config, connect *packet.Connect) *securePeer {
	t.Helper()
	nc, err := transport.Dial(t.Context(), url, transport.Options{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	p := &securePeer{t: t, nc: nc}
	p.send(connect)
	if got := p.next(); got.Type() != packet.CONNACK {
		t.Fatalf("got %v, want a CONNACK", got)
	}
	return p
}

func (p *securePeer) send(packets ...packet.Packet) {
	p.t.Helper()
	var b []byte
	for _, one := range packets {
		b, _ = packet.Append(b, one, colibri.V5)
	}
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *securePeer) next() packet.Packet {
	p.t.Helper()
	for {
		got, n, err := packet.Decode(p.in, colibri.V5)
		if err == nil {
			p.in = p.in[n:]
			return got
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			p.t.Fatal(err)
		}
		more := make([]byte, 32<<10)
		n, err = p.nc.Read(more)
		if n == 0 && err != nil {
			p.t.Fatal(err)
		}
		p.in = append(p.in, more[:n]...)
	}
}

// TestTLS sends messages of many sizes through the broker, over TLS and over WebSocket in it:
// in one write each, and in pieces that cut records and packets anywhere.
func TestTLS(t *testing.T) {
	for _, scheme := range []string{"tls", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			url, config := secureBroker(t, scheme, broker.Config{})
			sub := dialSecure(t, url, config, &packet.Connect{Version: colibri.V5, ClientID: "sub", CleanStart: true})
			sub.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "#"}}})
			sub.next()
			pub := dialSecure(t, url, config, &packet.Connect{Version: colibri.V5, ClientID: "pub", CleanStart: true})
			for i, size := range []int{0, 1, 100, 4_000, 16_000, 17_000, 70_000, 300_000} {
				payload := slices.Repeat([]byte{byte('a' + i)}, size)
				m := &packet.Publish{Topic: "t", Payload: payload, QoS: colibri.AtLeastOnce, PacketID: uint16(i + 1)}
				if i%2 == 0 {
					pub.send(m, &packet.Pingreq{})
				} else {
					b, _ := packet.Append(nil, m, colibri.V5)
					for len(b) > 0 {
						n := min(len(b), 1_003)
						pub.nc.Write(b[:n])
						b = b[n:]
					}
					pub.send(&packet.Pingreq{})
				}
				if got := pub.next(); got.Type() != packet.PUBACK {
					t.Fatalf("%d bytes: got %v, want a PUBACK", size, got)
				}
				if got := pub.next(); got.Type() != packet.PINGRESP {
					t.Fatalf("%d bytes: got %v, want a PINGRESP", size, got)
				}
				got, ok := sub.next().(*packet.Publish)
				if !ok || string(got.Payload) != string(payload) {
					t.Fatalf("%d bytes: the subscriber got another message", size)
				}
			}
		})
	}
}

// TestTLSAuthenticator shows that an Authenticator sees the TLS of a connection, also of one
// inside WebSocket.
func TestTLSAuthenticator(t *testing.T) {
	for _, scheme := range []string{"tls", "wss"} {
		seen := make(chan *tls.ConnectionState, 1)
		url, config := secureBroker(t, scheme, broker.Config{Authenticator: authenticatorFunc(func(_ context.Context, r *broker.ConnectRequest) error {
			seen <- r.TLS
			return nil
		})})
		dialSecure(t, url, config, &packet.Connect{Version: colibri.V5, ClientID: "c", CleanStart: true})
		if state := <-seen; state == nil || state.Version != tls.VersionTLS13 {
			t.Errorf("%s: got %+v, want the state of TLS 1.3", scheme, state)
		}
	}
}

type authenticatorFunc func(context.Context, *broker.ConnectRequest) error

func (f authenticatorFunc) Authenticate(ctx context.Context, r *broker.ConnectRequest) error {
	return f(ctx, r)
}

// idleTLSBytes is what an idle connection over TLS may cost the broker, in heap and stacks.
const idleTLSBytes = 13 << 10

// idleClients names the variable that turns this test binary into the clients of
// TestTLSIdleMemory, so that their memory is not the broker's.
const idleClients = "COLIBRI_TEST_IDLE_CLIENTS"

// idleConnections is how many they are.
const idleConnections = 500

// TestTLSIdleClients connects to the broker of TestTLSIdleMemory, and ends when it is told to.
// Started in any other way it has nothing to do.
func TestTLSIdleClients(t *testing.T) {
	url := os.Getenv(idleClients)
	if url == "" {
		return
	}
	for i := range idleConnections {
		p := dialSecure(t, url, &tls.Config{InsecureSkipVerify: true}, &packet.Connect{Version: colibri.V5, ClientID: fmt.Sprint("idle", i), CleanStart: true})
		p.send(&packet.Pingreq{})
		p.next()
	}
	fmt.Println("connected")
	io.ReadAll(os.Stdin)
}

// TestTLSIdleMemory measures what an idle connection over TLS costs the broker: what this
// process has more with the connections of another one.
func TestTLSIdleMemory(t *testing.T) {
	if raced {
		return // which has a memory of its own
	}
	for _, scheme := range []string{"tls", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			url, config := secureBroker(t, scheme, broker.Config{})
			dialSecure(t, url, config, &packet.Connect{Version: colibri.V5, ClientID: "first", CleanStart: true})
			heapBefore, stacksBefore := memoryUsed()
			clients := exec.Command(os.Args[0], "-test.run", "^TestTLSIdleClients$")
			clients.Env = append(os.Environ(), idleClients+"="+url)
			in, err := clients.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := clients.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := clients.Start(); err != nil {
				t.Fatal(err)
			}
			defer clients.Wait()
			defer in.Close()
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "connected\n" {
				t.Fatalf("the clients say %q, %v", line, err)
			}
			heap, stacks := memoryUsed()
			perHeap, perStack := int(heap-heapBefore)/idleConnections, int(stacks-stacksBefore)/idleConnections
			t.Logf("%d bytes of heap and %d of stacks a connection", perHeap, perStack)
			if perHeap+perStack > idleTLSBytes {
				t.Errorf("an idle connection costs %d bytes, want at most %d", perHeap+perStack, idleTLSBytes)
			}
		})
	}
}

// memoryUsed returns the bytes of the heap and of the stacks that are in use.
func memoryUsed() (heap, stacks uint64) {
	var m runtime.MemStats
	for range 3 { // pools are emptied by the second, stacks shrink by half each time
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}
