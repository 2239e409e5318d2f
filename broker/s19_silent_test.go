package broker_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// crowd is one of many clients, driven by a goroutine of its own in real time.
type crowd struct {
	nc   net.Conn
	buf  []byte
	got  atomic.Int64
	done chan struct{} // closed when all have come
}

// join connects a client that is subscribed to filter with QoS 1.
func (c *crowd) join(t *testing.T, addr, clientID, filter string) {
	client, err := net.Dial("tcp", addr)
	if err != nil {
		t.Errorf("%s: %v", clientID, err)
		return
	}
	c.nc, c.buf, c.done = client, make([]byte, 0, 8<<10), make(chan struct{})
	c.write(t, &packet.Connect{Version: v311, ClientID: clientID, CleanStart: true}, subscribe(1, to(filter, 1)))
	buf, n := make([]byte, 4+5), 0
	for n < len(buf) {
		m, err := client.Read(buf[n:])
		if err != nil {
			t.Errorf("%s: %v", clientID, err)
			return
		}
		n += m
	}
}

func (c *crowd) write(t *testing.T, packets ...packet.Packet) {
	var b []byte
	for _, p := range packets {
		b, _ = packet.Append(b, p, v311)
	}
	if _, err := c.nc.Write(b); err != nil {
		t.Errorf("write: %v", err)
	}
}

// take acknowledges what comes until the connection ends, and fails when a message of a
// publisher is missing or out of order. It tells when all have come.
func (c *crowd) take(t *testing.T, last map[byte]byte, all int) {
	var decoder packet.Decoder
	buf := c.buf
	for {
		n, err := c.nc.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return
		}
		buf = buf[:len(buf)+n]
		var answers []byte
		at := 0
		for at < len(buf) {
			p, size, err := decoder.Decode(buf[at:], v311)
			if err != nil {
				break
			}
			at += size
			if m, ok := p.(*packet.Publish); ok {
				publisher, number := m.Payload[0], m.Payload[1]
				if want := last[publisher] + 1; number != want {
					t.Errorf("message %d of publisher %d came, want %d", number, publisher, want)
				}
				last[publisher] = number
				answers, _ = packet.Append(answers, &packet.Puback{PacketID: m.PacketID}, v311)
				if c.got.Add(1) == int64(all) {
					close(c.done)
				}
			}
		}
		buf = buf[:copy(buf, buf[at:])]
		if len(answers) > 0 {
			c.nc.Write(answers)
		}
	}
}

// TestCrowd holds 5,000 clients of which 100 read nothing, and lets publishers publish as
// fast as they are answered: those who read lose nothing, and those who do not hold no more
// than the limits say.
func TestCrowd(t *testing.T) {
	clients, silent, publishers, messages := 5000, 100, 4, 75
	if raced {
		clients, messages = 1000, 50
	}
	const payloadBytes, more = 3000, 10 // messages that only the silent ones are sent, for each that all are
	limits := broker.Limits{OutboxBytes: 32 << 10, QueueMessages: 1000, Inflight: 20}
	b := mqtest.New(t, broker.Config{Limits: limits})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	all := make([]crowd, clients)
	var joining sync.WaitGroup
	for first := range 8 {
		joining.Go(func() {
			for i := first; i < clients; i += 8 {
				filter := "all/#"
				if i < silent {
					filter = "#"
				}
				all[i].join(t, l.Addr().String(), fmt.Sprint("client", i), filter)
				if i < silent { // or the kernel would take it all
					all[i].nc.(*net.TCPConn).SetReadBuffer(4096)
				}
			}
		})
	}
	joining.Wait()
	if t.Failed() {
		return
	}
	var reading sync.WaitGroup
	for i := silent; i < clients; i++ {
		reading.Go(func() { all[i].take(t, map[byte]byte{}, publishers*messages) })
	}
	before := heap()

	var publishing sync.WaitGroup
	for n := range publishers {
		publishing.Go(func() {
			for i := range messages * (1 + more) {
				m := &colibri.Message{Topic: fmt.Sprint("silent/", n), Payload: make([]byte, payloadBytes), QoS: colibri.QoS(i % 2)}
				if i%(1+more) == 0 {
					m.Topic, m.QoS, m.Payload = fmt.Sprint("all/", n), 1, m.Payload[:100]
				}
				m.Payload[0], m.Payload[1] = byte(n), byte(i/(1+more)+1)
				if err := b.Publish(m); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
	}
	publishing.Wait()
	deadline := time.After(2 * time.Minute)
	for i := silent; i < clients; i++ {
		select {
		case <-all[i].done:
		case <-deadline:
			t.Fatalf("client %d has %d messages after two minutes, want %d; dropped: %v", i, all[i].got.Load(),
				publishers*messages, b.Stats().Dropped)
		}
	}
	grown := heap() - before

	// Beside its outbox, of whole chunks, a silent client keeps a place for each message in
	// its window and its queue; the messages are shared by all. The others have a window.
	const chunk, place = 64 << 10, 64
	bound := silent*(limits.OutboxBytes+chunk+2*limits.QueueMessages*place) + clients*2*limits.Inflight*place +
		limits.QueueMessages*2*payloadBytes*publishers + 8<<20 // and the buffers in the pools
	if grown > bound {
		t.Errorf("the heap has grown by %d KB, the limits allow %d KB", grown>>10, bound>>10)
	}
	dropped := b.Stats().Dropped
	if dropped[broker.DropQueueFull] == 0 || dropped[broker.DropSlow] == 0 || len(dropped) != 2 {
		t.Errorf("dropped: got %v, want some for the queues and outboxes of those who read nothing, and nothing else", dropped)
	}
	for i := range silent {
		if c, _ := b.Client(fmt.Sprint("client", i)); c.Queued != limits.QueueMessages || c.Inflight > limits.Inflight {
			t.Errorf("client %d, which reads nothing: %d queued, %d in flight, want %d and %d at most", i, c.Queued, c.Inflight,
				limits.QueueMessages, limits.Inflight)
		}
	}
	for i := range all {
		all[i].nc.Close()
	}
	reading.Wait()
	if err := b.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// heap returns the bytes in use after a collection.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
