package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/router"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
)

// A batch is everything that one walk of the road needs: the packets that have arrived
// on one Network Connection, what is decided about them, what has to be recorded, and
// which outboxes were touched. Batches are pooled, so that a connection which is idle
// holds none.
type batch struct {
	broker  *Broker
	conn    *conn  // whose packets they are; nil for what the broker publishes itself
	buf     []byte // packets alias it until the reply step is done
	now     time.Time
	decoder packet.Decoder
	out     session.Output // of the connection's own Session
	other   session.Output // of the Sessions that receive
	matches router.Matches[*liveSession]
	encoder encoder
	writer  *writer
	reader  *descriptorReader
	qos0    colibri.Delivery // of the QoS 0 PUBLISH on its way

	wants     bool // the connection's own Session asks for Retained Messages
	stored    stored
	entries   []byte         // what has to be recorded before the reply step
	soon      []byte         // what has to be recorded, and nobody waits for
	recording *recording     // of the replies that wait for entries; nil before the first
	holding   []*liveSession // that hold replies of recording
	owing     []owing        // deliveries in entries
	waiting   []groupOwing   // what waits for groups in entries
	touched   []*conn
	unheard   int // messages of the connection that no Subscription matched
	withheld  int // matches of the message at hand that may not receive it

	tally    tally      // what went over the road since the last flush
	trail    trail      // of the flight recorder
	captures []*Capture // that were going on when the batch began
	small    []byte     // an acknowledgement, for the two above
	own      bool       // it publishes $SYS
}

const (
	batchBytes   = 32 << 10
	batchPackets = 64
)

func (b *Broker) takeBatch() *batch {
	if batch, ok := b.batches.Get().(*batch); ok {
		batch.conn, batch.captures = nil, b.captures.list()
		return batch
	}
	return &batch{broker: b, buf: make([]byte, batchBytes), writer: newWriter(), reader: newDescriptorReader(), tally: b.counters.newTally(),
		trail: trail{recorder: b.recorder}, captures: b.captures.list()}
}

func (b *batch) giveBack() { b.broker.batches.Put(b) }

// space returns where the next bytes of c go. While a packet larger than a batch's
// buffer arrives, that is memory of its own, which grows with what has come and not
// with what the packet's header promises.
func (c *conn) space(b *batch) []byte {
	if c.need <= len(b.buf) {
		return b.buf[copy(b.buf, c.partial):]
	}
	if len(c.partial) == cap(c.partial) {
		grown := make([]byte, len(c.partial), min(c.need, 2*cap(c.partial)+batchBytes))
		copy(grown, c.partial)
		c.partial = grown
	}
	return c.partial[len(c.partial):cap(c.partial)]
}

// arrived processes n bytes read into c.space(b), and keeps what is left of them.
func (c *conn) arrived(b *batch, n int) error {
	var data []byte
	if c.need <= len(b.buf) {
		data = b.buf[:len(c.partial)+n]
	} else {
		c.partial = c.partial[:len(c.partial)+n]
		if len(c.partial) < c.need {
			return nil
		}
		data = c.partial
	}
	return c.process(b, data)
}

// process walks the road with the packets in data, and keeps an incomplete one at its
// end. An error ends the Network Connection; what came before it has had its effect.
func (c *conn) process(b *batch, data []byte) error {
	b.conn = c
	b.now = time.Now()
	c.lastRead.Store(b.now.UnixNano())
	for {
		n, err := c.walk(b, data)
		data = data[n:]
		if !c.slowDown(n) {
			return net.ErrClosed
		}
		if err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
		if room := c.out.wantRoom(); room != nil {
			// The client does not take its acknowledgements: take nothing more from it.
			<-room
			if c.ending.Load() != nil {
				return net.ErrClosed
			}
		}
	}
	if len(data) == 0 {
		c.partial, c.need = nil, 0
		return nil
	}
	_, c.need, _ = packet.Size(data)
	c.partial = slices.Clone(data)
	return nil
}

// walk is one walk of the road, with at most batchPackets packets of data.
func (c *conn) walk(b *batch, data []byte) (n int, err error) {
	c.walking.Lock()
	defer c.walking.Unlock()
	defer c.broker.decisions.end(c.broker.decisions.begin())
	b.captures = c.broker.captures.list()
	n, err = c.readAndDecide(b, data)
	b.recordAndReply()
	return n, err
}

// readAndDecide is the first half of the road: it steps the Session packet by packet
// and decides what it asks for. It returns the bytes consumed, with io.ErrUnexpectedEOF
// when the rest is incomplete and nil when the batch is full.
func (c *conn) readAndDecide(b *batch, data []byte) (n int, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = &invariantBroken{value: broken, packet: data[n:], stack: debug.Stack()}
		}
	}()
	for range batchPackets {
		kind, size, err := packet.Size(data[n:])
		if err != nil {
			return n, err
		}
		if kind == packet.AUTH && size > c.broker.limits.ConnectBytes {
			return n, c.broker.authBytes(size)
		}
		if err := c.broker.limits.refusedBytes(size); err != nil {
			if b.watched() {
				b.sawReceived(c, data[n:n+min(size, len(data)-n)], size, nil)
			}
			return n, err
		}
		if size > len(data)-n {
			return n, io.ErrUnexpectedEOF
		}
		p, _, err := b.decoder.Decode(data[n:n+size], c.version)
		if err == io.ErrUnexpectedEOF {
			err = errors.New("packet: shorter than its Fixed Header says")
		}
		if b.watched() {
			b.sawReceived(c, data[n:n+size], size, p)
		}
		if err != nil {
			return n, err
		}
		b.tally.countReceived(kind, p, size)
		if err := c.step(b, p); err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

// step hands one packet to the Session and decides what the Session asks for.
func (c *conn) step(b *batch, p packet.Packet) error {
	if auth, ok := p.(*packet.Auth); ok && c.auth != nil {
		return c.reauthenticate(auth)
	}
	if err := c.receive(b, p); err != nil {
		return err
	}
	for b.wants {
		b.wants = c.session.supply(b)
	}
	switch b.out.Request.Kind {
	case session.Publish:
		if c.throttle != nil {
			c.throttle.published++
		}
		return c.publish(b)
	case session.Subscribe:
		c.deep = true
		return c.subscribe(b)
	case session.Unsubscribe:
		c.deep = true
		return c.unsubscribe(b)
	case session.Disconnect:
		return &goodbye{code: b.out.Request.Code}
	}
	return nil
}

// receive steps c's own Session.
func (c *conn) receive(b *batch, p packet.Packet) error {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		return errTakenOver
	}
	b.out.Reset()
	if err := s.state.Receive(b.now, p, &b.out); err != nil {
		return err
	}
	b.settle(s, &b.out)
	if p, ok := p.(*packet.Pubrel); ok {
		b.recordReleased(s, p.PacketID)
	}
	switch p.Type() {
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP: // the window may have opened
		s.pump(b, &b.out)
		b.wants = s.state.WantsRetained()
	}
	b.reply(c, &b.out)
	return nil
}

// reply sends what a step of c's Session has yielded, or holds it for the record step.
// discarded says that a message was too large and its place in the window is free again.
// The caller holds the Session's lock.
func (b *batch) reply(c *conn, out *session.Output) (discarded bool) {
	for i := range out.Replies {
		r := &out.Replies[i]
		discarded = !b.send(c, r) && r.PacketID != 0 || discarded
	}
	out.Replies = out.Replies[:0]
	return discarded
}

// send is the reply step for one packet: at once, or after the record step when the packet
// promises something. It returns false for a PUBLISH that was dropped. The caller holds
// the lock of c's Session, or r is a QoS 0 PUBLISH.
func (b *batch) send(c *conn, r *session.Reply) bool {
	if b.broker.durable && b.hold(c, r) {
		return true
	}
	if c.write(b, r) {
		return true
	}
	if r.PacketID != 0 {
		b.recordEnded(c.session, c.session.state.Discard(r.PacketID)) // behave as if it had been sent [MQTT-3.1.2-25]
	}
	return false
}

// recordAndReply is the second half of the road.
func (b *batch) recordAndReply() {
	if len(b.entries) > 0 || len(b.soon) > 0 {
		b.record()
	}
	b.flush()
}

// flush writes out every outbox that the batch has touched, once.
func (b *batch) flush() {
	for i, c := range b.touched {
		b.touched[i] = nil
		c.flush(b.writer)
	}
	b.touched = b.touched[:0]
	if c := b.conn; c != nil && b.tally.in.types != 0 {
		c.published.Add(int64(b.tally.in.packets[packet.PUBLISH]))
		c.readBytes.Add(int64(b.tally.in.bytes))
	}
	b.tally.flush()
	b.trail.flush()
	if b.unheard > 0 {
		var publisher *liveSession
		if b.conn != nil {
			publisher = b.conn.session
		}
		b.broker.drop(publisher, DropNoSubscribers, b.unheard)
		b.unheard = 0
	}
	b.encoder.begin(nil, time.Time{})
}

// goodbye is a DISCONNECT of the client.
type goodbye struct{ code colibri.ReasonCode }

func (g *goodbye) Error() string { return "the client disconnected: " + g.code.String() }

// errTakenOver ends a connection whose Session another one has.
var errTakenOver = &colibri.Error{Op: "connection", Code: colibri.SessionTakenOver,
	Err: errors.New("another connection uses the same Client Identifier")}

// invariantBroken is a panic of the pure packages: it costs that connection, not the broker.
type invariantBroken struct {
	value  any
	packet []byte
	stack  []byte
}

func (e *invariantBroken) Error() string {
	return fmt.Sprintf("internal error: %v (packet % x)", e.value, e.packet[:min(len(e.packet), 64)])
}
