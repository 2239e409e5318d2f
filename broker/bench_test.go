package broker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// sink is a Network Connection whose client has sent what is in sends, takes everything,
// and then says nothing until it is closed.
type sink struct {
	sends  bytes.Reader
	closed chan struct{}
}

type sinkAddr struct{}

func (sinkAddr) Network() string { return "sink" }
func (sinkAddr) String() string  { return "sink" }

func newSink(sends []byte) *sink {
	s := &sink{closed: make(chan struct{})}
	s.sends.Reset(sends)
	return s
}

func (s *sink) Read(b []byte) (int, error) {
	if n, err := s.sends.Read(b); err == nil {
		return n, nil
	}
	<-s.closed
	return 0, io.EOF
}
func (s *sink) Write(b []byte) (int, error)      { return len(b), nil }
func (s *sink) Close() error                     { close(s.closed); return nil }
func (s *sink) LocalAddr() net.Addr              { return sinkAddr{} }
func (s *sink) RemoteAddr() net.Addr             { return sinkAddr{} }
func (s *sink) SetDeadline(time.Time) error      { return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkRoad walks the road with QoS 0 messages, without what moves bytes: the batch is
// handed to the reader's code in memory. One operation is one message.
func BenchmarkRoad(b *testing.B) {
	for _, receivers := range []int{0, 1} {
		for _, size := range []int{1, batchPackets} {
			b.Run(fmt.Sprintf("receivers=%d/batch=%d", receivers, size), func(b *testing.B) {
				benchmarkRoad(b, Config{}, receivers, size)
			})
		}
	}
}

// BenchmarkFanout is BenchmarkRoad to 50 receivers, with and without the flight recorder, and
// with captures: one that takes nothing of it, and one that takes everything and whose queue
// is full. One operation is one message to all.
func BenchmarkFanout(b *testing.B) {
	for _, with := range []struct {
		name     string
		config   Config
		captures []CaptureFilter
	}{
		{name: "recorder=off"},
		{name: "recorder=on", config: Config{RecorderBytes: 16 << 20}},
		{name: "capture=none", captures: []CaptureFilter{{ClientID: "nobody"}}},
		{name: "capture=full", captures: []CaptureFilter{{}}},
	} {
		b.Run(with.name, func(b *testing.B) {
			benchmarkRoad(b, with.config, 50, batchPackets, with.captures...)
		})
	}
}

func benchmarkRoad(b *testing.B, config Config, receivers, size int, captures ...CaptureFilter) {
	server, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Shutdown(context.Background())
	for i := range receivers {
		go joinSink(b, server, fmt.Sprintf("receiver-%d", i), &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "road"}}}).run()
	}
	c := joinSink(b, server, "publisher")
	go c.run()
	message := appendPacket(nil, &packet.Publish{Topic: "road", Payload: []byte("0123456789abcdef")}, colibri.V5)
	data := bytes.Repeat(message, size)
	batch := server.takeBatch()
	defer batch.giveBack()
	for _, filter := range captures {
		c, err := server.Capture(filter, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range max(1, b.N/size) {
		if err := c.process(batch, data); err != nil {
			b.Fatal(err)
		}
	}
}

// joinSink connects a sink to server, whose connection the caller has to run.
func joinSink(t testing.TB, server *Broker, clientID string, then ...packet.Packet) *conn {
	var sends []byte
	for _, p := range append([]packet.Packet{&packet.Connect{Version: colibri.V5, ClientID: clientID, CleanStart: true}}, then...) {
		sends = appendPacket(sends, p, colibri.V5)
	}
	server.begin()
	c, early := server.accept(context.Background(), newSink(sends))
	if c == nil {
		t.Fatalf("%s was refused", clientID)
	}
	if err := c.begin(early); err != nil {
		t.Fatal(err)
	}
	return c
}
