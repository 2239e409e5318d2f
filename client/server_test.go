package client

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/google/go-cmp/cmp"
)

// server is the other end of a test: it accepts connections in memory, and the test
// says what it answers.
type server struct {
	t *testing.T
	l *transport.Memory
	v colibri.Version
}

// peer is the server's end of one Network Connection.
type peer struct {
	t  *testing.T
	nc net.Conn
	v  colibri.Version
	in []byte
}

// bubble runs test in a synctest bubble with a server that speaks v. When the test
// returns, no goroutine of the Client may be left: synctest sees to that.
func bubble(t *testing.T, v colibri.Version, test func(t *testing.T, s *server)) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, l: transport.NewMemory(), v: v}
		test(t, s)
		s.l.Close()
	})
}

// options returns o with what every test needs.
func (s *server) options(o Options) Options {
	o.Version = s.v
	o.Dial = func(ctx context.Context, _ string) (net.Conn, error) { return s.l.Dial(ctx) }
	if o.ClientID == "" {
		o.ClientID = "test"
	}
	return o
}

// accept waits for the Client to connect.
func (s *server) accept() *peer {
	s.t.Helper()
	nc, err := s.l.Accept()
	if err != nil {
		s.t.Fatalf("accept: %v", err)
	}
	return &peer{t: s.t, nc: nc, v: s.v}
}

// dial lets a Client connect, answers with connack, and returns both ends.
func (s *server) dial(o Options, connack *packet.Connack) (*Client, *peer) {
	s.t.Helper()
	type result struct {
		c   *Client
		err error
	}
	results := make(chan result, 1)
	go func() {
		c, err := Dial(s.t.Context(), "memory", s.options(o))
		results <- result{c, err}
	}()
	p := s.accept()
	expect[*packet.Connect](p)
	p.send(connack)
	r := <-results
	if r.err != nil {
		s.t.Fatalf("Dial: %v", r.err)
	}
	return r.c, p
}

// accepted is a CONNACK that says yes, with properties.
func accepted(properties ...colibri.Property) *packet.Connack {
	return &packet.Connack{Properties: properties}
}

func present(properties ...colibri.Property) *packet.Connack {
	return &packet.Connack{SessionPresent: true, Properties: properties}
}

func number(id colibri.PropertyID, n uint32) colibri.Property {
	return colibri.Property{ID: id, Number: n}
}

// send writes packets to the Client, all at once.
func (p *peer) send(packets ...packet.Packet) {
	p.t.Helper()
	var b []byte
	for _, one := range packets {
		var err error
		if b, err = packet.Append(b, one, p.v); err != nil {
			p.t.Fatalf("%v: %v", one.Type(), err)
		}
	}
	p.write(b)
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("the server writes: %v", err)
	}
}

// receive returns the next packet of the Client; the error is io.EOF at the end.
func (p *peer) receive() (packet.Packet, error) {
	for {
		got, n, err := packet.Decode(p.in, p.v)
		if err == nil {
			p.in = p.in[n:]
			return got, nil
		}
		if err != io.ErrUnexpectedEOF {
			return nil, err
		}
		b := make([]byte, 4096)
		n, err = p.nc.Read(b)
		if n == 0 && err != nil {
			return nil, err
		}
		p.in = append(p.in[:len(p.in):len(p.in)], b[:n]...)
	}
}

// expect returns the next packet of the Client, which must be a T.
func expect[T packet.Packet](p *peer) T {
	p.t.Helper()
	got, err := p.receive()
	want, ok := got.(T)
	if err != nil || !ok {
		p.t.Fatalf("the server receives %T %+v, %v, want %T", got, got, err, want)
	}
	return want
}

// expectAll compares the next packets of the Client with want.
func (p *peer) expectAll(want ...packet.Packet) {
	p.t.Helper()
	for i, w := range want {
		got, err := p.receive()
		if err != nil {
			p.t.Fatalf("packet %d: got %v, want %T %+v", i, err, w, w)
		}
		if diff := cmp.Diff(w, got, cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); diff != "" {
			p.t.Fatalf("packet %d (-want +got):\n%s", i, diff)
		}
	}
}

// silent checks that the Client sends nothing more, until every goroutine waits.
func (p *peer) silent() {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(time.Nanosecond))
	got, err := p.receive()
	if got != nil || !isTimeout(err) {
		p.t.Fatalf("the server receives %T %+v, %v, want nothing", got, got, err)
	}
	p.nc.SetReadDeadline(time.Time{})
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// end checks that the Client has closed the connection.
func (p *peer) end() {
	p.t.Helper()
	if got, err := p.receive(); err != io.EOF {
		p.t.Fatalf("the server receives %T %+v, %v, want the end of the connection", got, got, err)
	}
	p.nc.Close()
}

// disconnect ends c in the usual way.
func (p *peer) disconnect(c *Client) {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.Disconnect(p.t.Context(), colibri.NormalDisconnection, nil) }()
	p.expectAll(&packet.Disconnect{})
	p.end()
	if err := <-done; err != nil {
		p.t.Fatalf("Disconnect: %v", err)
	}
	if err := c.Err(); err != nil {
		p.t.Fatalf("Err after Disconnect: got %v, want nil", err)
	}
}

// versions runs test for each version.
func versions(t *testing.T, test func(t *testing.T, s *server)) {
	for _, v := range []colibri.Version{colibri.V31, colibri.V311, colibri.V5} {
		t.Run(v.String(), func(t *testing.T) { bubble(t, v, test) })
	}
}

// start runs f in a goroutine and returns a function that waits for its result.
func start[T any](f func() (T, error)) func() (T, error) {
	type result struct {
		v   T
		err error
	}
	results := make(chan result, 1)
	go func() {
		v, err := f()
		results <- result{v, err}
	}()
	return func() (T, error) {
		r := <-results
		return r.v, r.err
	}
}

func message(qos colibri.QoS, topic, payload string) *colibri.Message {
	return &colibri.Message{Topic: topic, Payload: []byte(payload), QoS: qos}
}

// subscribed lets c subscribe to filter with QoS 2, which is granted.
func (p *peer) subscribed(c *Client, filter string) *Subscription {
	p.t.Helper()
	subscribe := start(func() (*Subscription, error) {
		return c.Subscribe(p.t.Context(), colibri.Subscription{Filter: filter, QoS: 2})
	})
	request := expect[*packet.Subscribe](p)
	p.send(&packet.Suback{PacketID: request.PacketID, Codes: []colibri.ReasonCode{2}})
	s, err := subscribe()
	if err != nil {
		p.t.Fatalf("Subscribe: %v", err)
	}
	return s
}
