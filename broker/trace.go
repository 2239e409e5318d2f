package broker

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Packets are shown at one seam as the broker sees them, whatever carries them: where a batch
// decodes what has come, and where a packet is put into an outbox. Two look at them there:
// the flight recorder (recorder), which keeps the beginnings of the last ones of everybody,
// and captures (Capture), which get some of them whole. Until CONNECT is answered a visitor
// keeps them: only then is known whose they are.
//
// What is secret does not pass the seam: see maskSecrets.

// TracedConnection is a Network Connection as traces of its packets name it.
type TracedConnection struct {
	Number        uint64     // from 1, in the order in which they were accepted; no two have the same
	Client        ClientInfo // without its Rights; empty when no CONNECT could be read
	Remote, Local net.Addr   // nil when nothing but the Number is known any more
	Transport     string     // "TCP", "TLS", "WebSocket", "WebSocket over TLS", "QUIC", "Unix socket"
	Version       colibri.Version
	CleanStart    bool
	KeepAlive     uint16 // seconds
	Opened        time.Time
	Accepted      bool // its CONNECT was

	// How it ended.
	Ended  time.Time // zero while it is open
	Code   colibri.ReasonCode
	Reason string // in plain words
	Clean  bool   // the client said goodbye

	// Last are its last packets, at most 16, oldest first: kept of connections that have
	// ended otherwise than by the client's DISCONNECT, as long as the connection is remembered.
	Last []TracedPacket
}

// TracedPacket is one packet that has passed, or the end of a connection.
type TracedPacket struct {
	Connection *TracedConnection
	Time       time.Time
	ToClient   bool
	Length     int    // bytes of the whole packet; 0 for the end of the connection
	Bytes      []byte // its first ones, or all
	Reason     string // in plain words, of a DISCONNECT or a CONNACK that we send and of an end; may be empty
}

// RecordedBytes is how much the flight recorder keeps of each packet.
const RecordedBytes = 64

// subject is whose packets they are: a *conn or a *visitor.
type subject interface {
	name() (number uint64, client *ClientInfo, remote net.Addr)
	traced() *TracedConnection
}

// visitor is a Network Connection whose CONNECT is not answered yet.
type visitor struct {
	broker *Broker
	nc     net.Conn
	number uint64
	opened time.Time
	client ClientInfo
	sent   *packet.Connect // nil before
	seen   []TracedPacket  // without their Connection
}

func (b *Broker) newVisitor(nc net.Conn) *visitor {
	return &visitor{broker: b, nc: nc, number: b.connNumber.Add(1), opened: time.Now()}
}

func (v *visitor) name() (uint64, *ClientInfo, net.Addr) {
	return v.number, &v.client, v.nc.RemoteAddr()
}

func (v *visitor) traced() *TracedConnection {
	t := &TracedConnection{Number: v.number, Client: v.client, Remote: v.nc.RemoteAddr(), Local: v.nc.LocalAddr(),
		Transport: transportOf(v.nc), Opened: v.opened}
	if p := v.sent; p != nil {
		t.Version, t.CleanStart, t.KeepAlive = p.Version, p.CleanStart, p.KeepAlive
	}
	return t
}

// is says who the visitor claims to be.
func (v *visitor) is(client ClientInfo) {
	v.client = ClientInfo{ClientID: strings.Clone(client.ClientID), UserName: strings.Clone(client.UserName)}
	if v.broker.secretUserNames {
		v.client.UserName = ""
	}
}

// see keeps a packet until CONNECT is answered. p is what it was decoded to, nil when it could
// not be.
func (v *visitor) see(toClient bool, whole []byte, p packet.Packet, reason string) {
	captures := v.broker.captures.list()
	if v.broker.recorder == nil && captures == nil {
		return
	}
	kept := len(whole)
	if captures == nil {
		kept = min(kept, RecordedBytes)
	}
	one := TracedPacket{Time: time.Now(), ToClient: toClient, Length: len(whole), Bytes: append([]byte(nil), whole[:kept]...), Reason: reason}
	v.broker.maskSecrets(one.Bytes, whole, p, colibri.V5)
	v.seen = append(v.seen, one)
}

// connect keeps the first packet.
func (v *visitor) connect(whole []byte, p *packet.Connect, err error) {
	v.sent = p
	if err != nil {
		v.see(false, whole, nil, "")
		return
	}
	v.see(false, whole, p, "")
}

// tell shows what was kept to those who want it. who is the visitor, or the connection that it
// has become.
func (v *visitor) tell(who subject) {
	if len(v.seen) == 0 {
		return
	}
	captures := v.broker.captures.list()
	for i := range v.seen {
		one := &v.seen[i]
		if r := v.broker.recorder; r != nil {
			r.keep(v.number, one)
		}
		for _, c := range captures {
			c.offer(who, &sight{at: one.Time, toClient: one.ToClient, length: one.Length, head: one.Bytes, reason: one.Reason})
		}
	}
	v.seen = nil
}

// refused tells the end of a connection without an accepted CONNECT.
func (v *visitor) refused(err error) {
	b := v.broker
	r, captures := b.recorder, b.captures.list()
	if r == nil && captures == nil {
		return
	}
	t := v.traced()
	t.Ended, t.Code, t.Reason = time.Now(), codeOf(err), b.inWords(err)
	for i := range v.seen {
		one := v.seen[i]
		one.Bytes = one.Bytes[:min(len(one.Bytes), RecordedBytes)]
		t.Last = append(t.Last, one)
	}
	known := len(v.seen) > 0 // who has sent no CONNECT would only make others be forgotten
	v.tell(v)
	end := TracedPacket{Time: t.Ended, Reason: t.Reason}
	for _, c := range captures {
		c.offer(v, &sight{at: end.Time, reason: end.Reason})
	}
	if r != nil && known {
		r.keep(v.number, &end)
		r.ended(t, false)
	}
}

func (c *conn) name() (uint64, *ClientInfo, net.Addr) { return c.number, &c.client, c.nc.RemoteAddr() }

func (c *conn) traced() *TracedConnection {
	return &TracedConnection{Number: c.number, Client: ClientInfo{ClientID: c.client.ClientID, UserName: c.client.UserName},
		Remote: c.nc.RemoteAddr(), Local: c.nc.LocalAddr(), Transport: transportOf(c.nc),
		Version: c.version, CleanStart: c.cleanStart, KeepAlive: c.keepAlive, Opened: c.opened, Accepted: true}
}

// sent shows a packet to c that no batch has sent.
func (c *conn) sent(whole []byte, p packet.Packet, reason string) {
	r, captures := c.broker.recorder, c.broker.captures.list()
	if r == nil && captures == nil {
		return
	}
	kept := append([]byte(nil), whole...)
	c.broker.maskSecrets(kept, whole, p, c.version)
	now := time.Now()
	if r != nil {
		r.keep(c.number, &TracedPacket{Time: now, ToClient: true, Length: len(kept), Bytes: kept[:min(len(kept), RecordedBytes)]})
	}
	for _, one := range captures {
		one.offer(c, &sight{at: now, toClient: true, length: len(kept), head: kept, reason: reason})
	}
}

// tellEnd shows that c has ended.
func (c *conn) tellEnd(why *ending) {
	r, captures := c.broker.recorder, c.broker.captures.list()
	if r == nil && captures == nil {
		return
	}
	t := c.traced()
	t.Ended, t.Code, t.Clean = time.Now(), why.code, why.err == nil
	t.Reason = c.broker.inWords(why.err)
	end := TracedPacket{Time: t.Ended, Reason: t.Reason}
	for _, one := range captures {
		one.offer(c, &sight{at: end.Time, reason: end.Reason})
	}
	if r != nil {
		r.keep(c.number, &end)
		r.ended(t, !t.Clean)
	}
}

// inWords says why a connection ends, at most maxReason bytes.
func (b *Broker) inWords(err error) string {
	var broken *invariantBroken
	switch {
	case err == nil:
		return "the client said goodbye"
	case errors.As(err, &broken): // it has the packet in it
		return "an internal error, which the log has"
	}
	words := err.Error
	if b.explain != nil {
		words = func() string { return b.explain(err) }
	}
	text := words()
	return strings.Clone(text[:min(len(text), maxReason)])
}

// maxReason is how much is kept of the words for an end, in bytes.
const maxReason = 512

// transportOf names what carries MQTT on nc.
func transportOf(nc net.Conn) string {
	if named, ok := nc.(interface{ Protocol() string }); ok {
		return named.Protocol()
	}
	if secure, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok && secure.ConnectionState().Version != 0 {
		return "TLS"
	}
	switch network := nc.LocalAddr().Network(); network {
	case "unix":
		return "Unix socket"
	case "tcp", "tcp4", "tcp6":
		return "TCP"
	default:
		return network
	}
}
