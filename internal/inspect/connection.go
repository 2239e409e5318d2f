package inspect

import (
	"bytes"
	"net/netip"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// key names a connection: its two ends, the smaller first.
type key struct{ a, b netip.AddrPort }

// speaks is what a connection was found to carry.
type speaks byte

const (
	undecided speaks = iota
	speaksMQTT
	speaksWebSocket
	speaksTLS
	speaksOther // is not looked at any more
)

// conn is one TCP connection.
type conn struct {
	in     *Inspector
	public Connection
	first  netip.AddrPort // whose direction is halves[0]
	turned bool           // first has turned out to be the server
	listed bool           // a port on which MQTT is expected
	begun  bool           // SYN was seen
	halves [2]half
	closed bool

	outer   speaks // of the bytes of TCP
	inner   speaks // inside TLS; as outer without
	secured *secured
	socket  *socket

	version colibri.Version
	guessed bool
	counted bool // in Summary.Connections
}

// half is one direction of a conn.
type half struct {
	stream stream
	early  []byte // until it is decided what it is
	mqtt   mqttStream
}

// tcp takes a segment to its connection.
func (in *Inspector) tcp(s *pcap.Segment) {
	k := key{s.Source, s.Destination}
	if k.b.Compare(k.a) < 0 {
		k.a, k.b = k.b, k.a
	}
	e := in.connections[k]
	opens := s.Flags&pcap.SYN != 0
	if e != nil && opens && s.Flags&pcap.ACK == 0 {
		// The same ports again: another connection, unless it is the same SYN.
		c := e.Value.(*conn)
		if h := &c.halves[c.direction(s)]; !h.stream.known || h.stream.first != s.Seq+1 || c.closed {
			c.finish()
			in.order.Remove(e)
			delete(in.connections, k)
			e = nil
		}
	}
	if e == nil {
		if !opens && len(s.Payload)+s.Cut == 0 {
			return
		}
		e = in.order.PushFront(in.open(s))
		in.connections[k] = e
		if len(in.connections) > maxConnections {
			in.evict()
		}
	}
	in.order.MoveToFront(e)
	e.Value.(*conn).segment(s)
	for in.buffered > maxBufferedBytes && in.order.Len() > 1 {
		in.evict()
	}
}

// evict gives up the connection that was silent for longest.
func (in *Inspector) evict() {
	e := in.order.Back()
	c := e.Value.(*conn)
	if !c.closed && c.outer != speaksOther {
		in.summary.Evicted++
	}
	c.drop()
	in.order.Remove(e)
	delete(in.connections, key2(c.public.Client, c.public.Server))
}

func key2(a, b netip.AddrPort) key {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return key{a, b}
}

// open begins a connection with its first segment, and finds out who is the client.
func (in *Inspector) open(s *pcap.Segment) *conn {
	in.opened++
	c := &conn{in: in, public: Connection{ID: in.opened, Client: s.Source, Server: s.Destination}}
	source, destination := in.ports[s.Source.Port()], in.ports[s.Destination.Port()]
	c.listed = source || destination
	c.begun = s.Flags&pcap.SYN != 0
	turned := false
	switch {
	case c.begun:
		turned = s.Flags&pcap.ACK != 0
	case source != destination:
		turned = source
	default:
		turned = s.Source.Port() < s.Destination.Port()
	}
	c.first = s.Source
	if turned {
		c.turn()
	}
	for i := range c.halves {
		c.halves[i].mqtt.synced = c.begun
	}
	return c
}

// direction returns the index of the half that s belongs to.
func (c *conn) direction(s *pcap.Segment) int {
	if s.Source == c.first {
		return 0
	}
	return 1
}

// fromClient reports whether the half d is what the client sends.
func (c *conn) fromClient(d int) bool { return (d == 0) != c.turned }

// segment takes a segment of the connection.
func (c *conn) segment(s *pcap.Segment) {
	d := c.direction(s)
	if c.outer == speaksOther && s.Flags&pcap.RST == 0 {
		return
	}
	if s.Flags&pcap.SYN != 0 && s.Flags&pcap.ACK == 0 && c.listed {
		c.in.event(Event{Kind: Opened, Connection: &c.public, FromClient: true})
	}
	c.halves[d].stream.take(c, d, s)
	if s.Flags&pcap.ACK != 0 {
		c.halves[1-d].stream.acknowledged(c, 1-d, s.Ack)
	}
	if s.Flags&(pcap.FIN|pcap.RST) != 0 && !c.closed {
		c.end(d, s.Flags&pcap.RST != 0)
	}
}

// end notes that one end has closed the connection.
func (c *conn) end(d int, reset bool) {
	c.closed = true
	if c.counted {
		c.in.event(Event{Kind: Closed, Connection: &c.public, FromClient: c.fromClient(d), Reset: reset})
	}
}

// finish takes what waits as it is.
func (c *conn) finish() {
	for d := range c.halves {
		c.halves[d].stream.flush(c, d)
	}
	c.drop()
}

// drop gives back the memory.
func (c *conn) drop() {
	for d := range c.halves {
		h := &c.halves[d]
		c.in.buffered -= h.stream.pendingBytes + cap(h.mqtt.buffer) + cap(h.early)
		h.stream.pending, h.stream.pendingBytes = nil, 0
		h.mqtt.buffer, h.early = nil, nil
	}
	if c.secured != nil {
		c.in.buffered -= c.secured.size()
		c.secured = nil
	}
	if c.socket != nil {
		c.in.buffered -= c.socket.size()
		c.socket = nil
	}
	c.outer = speaksOther
}

// data takes the next bytes of a direction, in order; at is where they begin in the
// frame, -1 if they came with an earlier one.
func (c *conn) data(d int, b []byte, at int) {
	if c.outer == undecided {
		waited := len(c.halves[d].early) > 0
		if b = c.decide(d, b, &c.outer); b == nil {
			return
		}
		if waited {
			at = -1
		}
	}
	if c.outer == speaksMQTT && !c.begun && !c.halves[0].mqtt.synced && !c.halves[1].mqtt.synced && c.midSocket(d, b) {
		c.outer = speaksWebSocket
		c.joinSocket()
	}
	switch c.outer {
	case speaksMQTT:
		c.mqtt(d, b, at)
	case speaksWebSocket:
		c.webSocket(d, b)
	case speaksTLS:
		c.tls(d, b)
	}
}

// maxEarlyBytes is how much is looked at to find out what a connection carries.
const maxEarlyBytes = 16

// decide finds out what the connection carries, in TCP or inside TLS, writes it down in
// found, and returns the bytes from the start; nil if it has to see more, or does not want
// them.
func (c *conn) decide(d int, b []byte, found *speaks) []byte {
	h := &c.halves[d]
	if len(h.early) > 0 {
		before := cap(h.early)
		h.early = append(h.early, b...)
		c.in.buffered += cap(h.early) - before
		b = h.early
	}
	switch kind := recognise(b); {
	case kind == undecided && len(b) < maxEarlyBytes && !c.listed:
		if len(h.early) == 0 {
			h.early = bytes.Clone(b)
			c.in.buffered += cap(h.early)
		}
		return nil
	case kind == speaksTLS && (found == &c.inner || !c.listed && c.in.config.KeyLog.empty()):
		*found = speaksOther
	case kind != undecided:
		*found = kind
	case c.listed:
		*found = speaksMQTT
	default:
		*found = speaksOther
	}
	if *found == speaksOther {
		c.drop()
		return nil
	}
	c.in.buffered -= cap(h.early)
	h.early = nil
	switch {
	case *found == speaksMQTT && isConnect(b) && !c.fromClient(d):
		c.turn() // only clients send CONNECT
	case *found == speaksTLS:
		c.public.Transport = TLS
	}
	return b
}

// turn exchanges the two ends.
func (c *conn) turn() {
	p := &c.public
	p.Client, p.Server = p.Server, p.Client
	c.turned = !c.turned
}

// recognise says what a stream that begins with b carries.
func recognise(b []byte) speaks {
	switch {
	case isConnect(b):
		return speaksMQTT
	case bytes.HasPrefix(b, []byte("GET ")), bytes.HasPrefix(b, []byte("HTTP/1.1 101")):
		return speaksWebSocket
	case len(b) >= 3 && b[0] >= tlsChangeCipherSpec && b[0] <= tlsData && b[1] == 3 && b[2] <= 4:
		return speaksTLS // no Control Packet begins like this
	}
	return undecided
}

// isConnect reports whether b begins with the Fixed Header and the Protocol Name of a
// CONNECT.
func isConnect(b []byte) bool {
	if len(b) == 0 || b[0] != 0x10 {
		return false
	}
	at := 1
	for at < len(b) && at < 4 && b[at]&0x80 != 0 {
		at++
	}
	b = b[min(at+1, len(b)):]
	return bytes.HasPrefix(b, []byte("\x00\x04MQTT")) || bytes.HasPrefix(b, []byte("\x00\x06MQIsdp"))
}
