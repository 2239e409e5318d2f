package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// socket is the client end of a real connection, whose broker end has a descriptor and is
// driven without buffers and without a goroutine that writes.
type socket struct {
	t     *testing.T
	nc    net.Conn
	bytes []byte
}

func openSocket(t *testing.T, url, clientID string) *socket {
	t.Helper()
	nc, err := transport.Dial(t.Context(), url, transport.Options{})
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second)) // a lost packet ends the test
	s := &socket{t: t, nc: nc}
	s.send(&packet.Connect{Version: v5, ClientID: clientID, CleanStart: true,
		Properties: number(colibri.SessionExpiryInterval, 60)})
	if p, err := s.next(); err != nil || p.Type() != packet.CONNACK {
		t.Fatalf("%s: got %v, %v, want a CONNACK", clientID, p, err)
	}
	return s
}

func (s *socket) send(packets ...packet.Packet) {
	var b []byte
	for _, p := range packets {
		var err error
		if b, err = packet.Append(b, p, v5); err != nil {
			s.t.Errorf("encode: %v", err)
		}
	}
	if _, err := s.nc.Write(b); err != nil {
		s.t.Errorf("send: %v", err)
	}
}

// next waits for the next packet.
func (s *socket) next() (packet.Packet, error) {
	for {
		p, n, err := packet.Decode(s.bytes, v5)
		if err == nil {
			s.bytes = s.bytes[n:]
			return p, nil
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		buf := make([]byte, len(s.bytes)+64<<10)
		n = copy(buf, s.bytes)
		m, err := s.nc.Read(buf[n:])
		if err != nil {
			return nil, err
		}
		s.bytes = buf[:n+m]
	}
}

// TestSockets walks the road over real sockets.
func TestSockets(t *testing.T) {
	for name, url := range map[string]string{
		"TCP":                "tcp://127.0.0.1:0",
		"Unix domain socket": "unix://" + filepath.Join(t.TempDir(), "broker"),
		"WebSocket [MQTT-6.0.0-2] [MQTT311-6.0.0-2]": "ws://127.0.0.1:0/mqtt",
	} {
		t.Run(name, func(t *testing.T) {
			b := mqtest.New(t, broker.Config{Limits: broker.Limits{OutboxBytes: 256 << 20}})
			l, err := transport.Listen(url, transport.Options{})
			if err != nil {
				t.Fatalf("Listen: %v", err)
			}
			if l.Addr().Network() == "tcp" {
				url = strings.Replace(url, "127.0.0.1:0", l.Addr().String(), 1)
			}
			served := make(chan error, 1)
			go func() { served <- b.Serve(l) }()
			t.Run("messages [MQTT-4.6.0-5] [MQTT-4.2-1]", func(t *testing.T) { socketMessages(t, url) })
			t.Run("packets in pieces", func(t *testing.T) { socketPieces(t, url) })
			t.Run("the end of the Client", func(t *testing.T) { socketEnds(t, b, url) })
			last := openSocket(t, url, "last")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := b.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
			if p, err := last.next(); err != nil || p.(*packet.Disconnect).Code != colibri.ServerShuttingDown {
				t.Errorf("got %v, %v, want a DISCONNECT with 0x8B", p, err)
			}
			if _, err := last.next(); err != io.EOF {
				t.Errorf("got %v, want the end", err)
			}
		})
	}
}

// socketMessages sends from several publishers to several subscribers, small messages and
// ones that no socket takes at once, at each QoS.
func socketMessages(t *testing.T, url string) {
	const publishers, subscribers, messages = 4, 6, 40
	var all sync.WaitGroup
	for i := range subscribers {
		s := openSocket(t, url, fmt.Sprint("subscriber", i))
		s.send(subscribe(1, to("news/+", colibri.QoS(i%3))))
		if p, err := s.next(); err != nil || p.Type() != packet.SUBACK {
			t.Fatalf("got %v, %v, want a SUBACK", p, err)
		}
		all.Go(func() { socketReceive(s, publishers, messages) })
	}
	large := strings.Repeat("x", 300_000)
	for i := range publishers {
		p := openSocket(t, url, fmt.Sprint("publisher", i))
		all.Go(func() {
			for j := range uint16(messages) {
				payload := fmt.Sprint(j, " ")
				if j%20 == 0 {
					payload += large
				}
				p.send(qos2(j+1, fmt.Sprint("news/", i), payload), pubrel(j+1, 0))
			}
			for range 2 * messages {
				if _, err := p.next(); err != nil {
					t.Errorf("an acknowledgement is missing: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// socketReceive takes all messages, acknowledges them, and checks the order of each publisher's.
func socketReceive(s *socket, publishers, messages int) {
	next := make(map[string]int)
	for got := 0; got < publishers*messages; {
		one, err := s.next()
		if err != nil {
			s.t.Errorf("after %d messages: %v", got, err)
			return
		}
		switch p := one.(type) {
		case *packet.Publish:
			n := 0
			fmt.Sscan(string(p.Payload[:min(len(p.Payload), 8)]), &n)
			if n != next[p.Topic] {
				s.t.Errorf("%s: got message %d, want %d", p.Topic, n, next[p.Topic])
				return
			}
			next[p.Topic]++
			got++
			switch p.QoS {
			case 1:
				s.send(puback(p.PacketID, 0))
			case 2:
				s.send(pubrec(p.PacketID, 0))
			}
		case *packet.Pubrel:
			s.send(pubcomp(p.PacketID, 0))
		}
	}
}

// socketPieces sends packets byte by byte and in pieces that end anywhere.
func socketPieces(t *testing.T, url string) {
	s := openSocket(t, url, "pieces")
	var b []byte
	for _, p := range []packet.Packet{subscribe(1, to("a", 0)), qos0("a", "small"), qos0("a", strings.Repeat("x", 100_000)), &packet.Pingreq{}} {
		b, _ = packet.Append(b, p, v5)
	}
	for i := 0; len(b) > 0; i++ {
		n := 1
		if i > 100 {
			n = min(len(b), 3000+i)
		}
		if _, err := s.nc.Write(b[:n]); err != nil {
			t.Fatalf("send: %v", err)
		}
		b = b[n:]
	}
	for _, want := range []packet.Type{packet.SUBACK, packet.PUBLISH, packet.PUBLISH, packet.PINGRESP} {
		if p, err := s.next(); err != nil || p.Type() != want {
			t.Fatalf("got %v, %v, want a %v", p, err, want)
		}
	}
}

// socketEnds closes connections in each way, and looks for what their ends leave behind.
func socketEnds(t *testing.T, b *broker.Broker, url string) {
	watcher := openSocket(t, url, "watcher")
	watcher.send(subscribe(1, to("will", 0)))
	watcher.next()
	for name, end := range map[string]func(s *socket){
		"closed":        func(s *socket) { s.nc.Close() },
		"half a packet": func(s *socket) { s.nc.Write([]byte{0x30, 0x7F, 0}); s.nc.Close() },
		"malformed":     func(s *socket) { s.nc.Write([]byte{0xFF, 0}) },
		"taken over":    func(*socket) { openSocket(t, url, "ends") },
	} {
		s := openSocket(t, url, "plain")
		s.nc.Close()
		nc, err := transport.Dial(t.Context(), url, transport.Options{})
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		defer nc.Close()
		s = &socket{t: t, nc: nc}
		s.send(&packet.Connect{Version: v5, ClientID: "ends", CleanStart: true, Will: &packet.Will{Topic: "will", Payload: []byte(name)}})
		if _, err := s.next(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		end(s)
		p, err := watcher.next()
		if m, ok := p.(*packet.Publish); !ok || string(m.Payload) != name {
			t.Errorf("%s: got %v, %v, want its Will Message", name, p, err)
		}
	}
	for i := range 50 { // leaves while its answers are being written
		s := openSocket(t, url, fmt.Sprint("hasty", i))
		s.nc.Write([]byte(strings.Repeat("\xC0\x00", 10_000)))
		s.nc.Close()
	}
	if got := b.Stats().Dropped; len(got) != 0 {
		t.Errorf("dropped: got %v, want nothing", got)
	}
}
