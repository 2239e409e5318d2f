package broker

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
)

// outbox holds the packets that wait for one Network Connection, in chunks of whole
// packets. Whoever has finished a batch flushes the outboxes it touched, with a write that
// does not block; what the kernel does not take is left to one goroutine that lives until
// the outbox is empty.
//
// PUBLISH packets go to the last chunk, in order. All others but DISCONNECT go to the end
// of the first: an acknowledgement or a PINGRESP waits for the chunk being written and for
// one more, however many messages wait.
//
// Its lock is a leaf: nothing is called and nothing is written while it is held.
type outbox struct {
	mu          sync.Mutex
	first, last *buffer // chunks; nil while empty
	waiting     int     // bytes in them
	inWrite     int     // bytes that somebody is writing
	control     int     // bytes that wait or are being written and are not PUBLISH
	packets     int     // that wait or are being written
	writing     bool    // somebody writes; whoever comes meanwhile leaves its bytes to them
	promised    bool    // a batch that has appended will flush
	corked      bool    // nothing is written yet
	starved     bool    // something waits for room: pump when there is some
	closing     bool    // close the Network Connection once all is written
	closed      bool    // nothing is taken any more
	room        chan struct{}
	aliases     *session.Aliases // nil when the client takes none; set before the first PUBLISH

	messages, bytes int64 // PUBLISH packets taken, and their bytes
}

const (
	chunkBytes   = 32 << 10 // from this size on a chunk takes no further PUBLISH
	controlBytes = 64 << 10 // acknowledgements that a client may leave untaken before it is not read any more
)

// chunk returns where a PUBLISH goes; the caller holds the lock. nil when closed.
func (o *outbox) chunk() *buffer {
	switch {
	case o.closed || o.closing:
		return nil
	case o.first == nil:
		o.first = buffers.Get().(*buffer)
		o.last = o.first
	case o.last.len() >= chunkBytes:
		o.last.next = buffers.Get().(*buffer)
		o.last = o.last.next
	}
	return o.last
}

// size returns the bytes that wait; the caller holds the lock.
func (o *outbox) size() int { return o.waiting + o.inWrite }

// promise reports whether the caller has to see to a flush: nobody else has
// promised one. The caller holds the lock.
func (o *outbox) promise() bool {
	if o.promised {
		return false
	}
	o.promised = true
	return true
}

// outgoing returns the packets that wait or are being written, and their bytes.
func (o *outbox) outgoing() (packets, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.packets, o.size()
}

// put appends a PUBLISH. A QoS 0 message is not taken when limit bytes wait already:
// ok is false then. flush reports whether the caller has to see to a flush. named and
// unnamed are p with a Topic Alias, with and without its Topic Name; nil when p is to be
// sent as it is. put is the one that was taken, nil when the outbox is closed.
func (o *outbox) put(topic string, p, named, unnamed *publication, limit int) (put *publication, flush, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.idAt == 0 && o.over(limit) {
		return nil, false, false
	}
	buf := o.chunk()
	if buf == nil {
		return nil, false, true
	}
	var alias uint16
	if named != nil { // only now, as the order of the packets counts
		var known bool
		if alias, known = o.aliases.Use(topic); known {
			p = unnamed
		} else if alias > 0 {
			p = named
		}
	}
	at := len(buf.b)
	buf.b = append(buf.b, p.bytes...)
	if p.alias = alias; alias > 0 {
		binary.BigEndian.PutUint16(buf.b[at+p.aliasAt:], alias)
	}
	buf.b[at] = p.first
	if p.idAt > 0 {
		binary.BigEndian.PutUint16(buf.b[at+p.idAt:], p.id)
	}
	if p.payload != nil {
		buf.share(p.payload)
	}
	o.waiting += p.size()
	buf.packets++
	o.packets++
	o.messages++
	o.bytes += int64(p.size())
	return p, o.promise(), true
}

// sent returns how many PUBLISH packets the outbox has taken, and their bytes.
func (o *outbox) sent() (messages, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.messages, o.bytes
}

// add appends bytes made by fill, whatever waits already, before the messages that wait:
// for packets that are neither PUBLISH nor DISCONNECT.
func (o *outbox) add(fill func(b []byte) []byte) (flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.chunk() == nil {
		return false
	}
	o.fill(o.first, fill)
	return o.promise()
}

// addLast appends bytes made by fill behind everything: for DISCONNECT.
func (o *outbox) addLast(fill func(b []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if buf := o.chunk(); buf != nil {
		o.fill(buf, fill)
	}
}

// fill appends to buf; the caller holds the lock.
func (o *outbox) fill(buf *buffer, fill func(b []byte) []byte) {
	before := len(buf.b)
	buf.b = fill(buf.b)
	o.grown(buf, len(buf.b)-before)
}

// grown counts a packet of n bytes that is not PUBLISH; the caller holds the lock.
func (o *outbox) grown(buf *buffer, n int) {
	buf.packets++
	o.packets++
	buf.control += n
	o.control += n
	o.waiting += n
}

// acknowledge appends one packet of a QoS handshake or a PINGRESP as add does. size is
// what it takes, 0 when the outbox is closed.
func (o *outbox) acknowledge(t packet.Type, id uint16, code colibri.ReasonCode, v colibri.Version) (flush bool, size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.chunk() == nil {
		return false, 0
	}
	buf := o.first
	before := len(buf.b)
	buf.b = packet.AppendAcknowledgement(buf.b, t, id, code, v)
	size = len(buf.b) - before
	o.grown(buf, size)
	return o.promise(), size
}

// hasRoom reports whether no more than limit bytes wait. If not, the outbox is starved: it
// pumps the Session when half of that has been written.
func (o *outbox) hasRoom(limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over(limit) {
		return true
	}
	o.starved = true
	return false
}

// over reports whether more than limit bytes wait. The caller holds the lock.
func (o *outbox) over(limit int) bool { return o.size() > limit }

// isOver is over for who holds no lock, and wants nothing when there is room again.
func (o *outbox) isOver(limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.over(limit)
}

// hunger has the Session pumped when the outbox has been written further. It returns
// false when nothing waits: nobody would see to it.
func (o *outbox) hunger() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == nil && !o.writing {
		return false
	}
	o.starved = true
	return true
}

// wantRoom returns a channel that is closed when the client has taken its
// acknowledgements or the outbox is closed, or nil when few of them wait.
func (o *outbox) wantRoom() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.control <= controlBytes || o.closed {
		return nil
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// take begins a write: it returns the first chunk, or nil when there is none or somebody
// writes already.
func (o *outbox) take() *buffer {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.promised = false
	if o.writing || o.closed || o.corked || o.first == nil {
		return nil
	}
	o.writing = true
	return o.swap()
}

func (o *outbox) swap() *buffer {
	buf := o.first
	o.first, buf.next = buf.next, nil
	if o.first == nil {
		o.last = nil
	}
	o.inWrite = buf.len()
	o.waiting -= o.inWrite
	return buf
}

// next ends the write of a chunk. It returns the next one, or nil, and what is to be done
// meanwhile: pump the Session, as no more than half of limit waits; close the Network
// Connection.
func (o *outbox) next(written *buffer, limit int) (buf *buffer, pump, closeNow bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inWrite = 0
	o.control -= written.control
	o.packets -= written.packets
	o.promised = false
	if o.room != nil && o.control <= controlBytes/2 {
		close(o.room)
		o.room = nil
	}
	if o.waiting <= limit/2 {
		pump, o.starved = o.starved, false
	}
	if o.first != nil && !o.closed {
		return o.swap(), pump, false
	}
	o.writing = false
	if o.closing {
		o.closed = true
	}
	return nil, pump, o.closing
}

// finish lets what waits go out, and nothing more come in. idle is true when nothing
// waits: the caller closes the Network Connection.
func (o *outbox) finish() (idle bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return false
	}
	o.closing = true
	if o.first == nil && !o.writing {
		o.closed = true
		return true
	}
	return false
}

// cork keeps what comes from being written, or not any more; the caller flushes then.
func (o *outbox) cork(corked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = corked
}

// holds reports whether it is corked.
func (o *outbox) holds() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.corked
}

// shut drops everything: the Network Connection has failed.
func (o *outbox) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for o.first != nil {
		buf := o.first
		o.first, buf.next = buf.next, nil
		buf.release()
	}
	o.last, o.waiting, o.packets = nil, 0, 0
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// flushPumps is how often flush lets the Session go on before it leaves the rest to drain,
// as it may run in the goroutine of another client.
const flushPumps = 4

// flush writes what waits in c's outbox, without blocking.
func (c *conn) flush(w *writer) {
	pumps := 0
	for buf := c.out.take(); buf != nil; {
		n, err := c.writeSome(w, buf)
		if err != nil {
			buf.release()
			c.writeFailed(err)
			return
		}
		if n < buf.len() || pumps == flushPumps {
			go c.drain(buf, n)
			return
		}
		var pumped bool
		if buf, pumped = c.written(buf); pumped {
			pumps++
		}
	}
}

// closeTime is how long the last bytes of a closing Network Connection may take.
const closeTime = 5 * time.Second

// drain writes buf from n on, and all that comes meanwhile, waiting for the peer. It is
// the goroutine of a Network Connection whose kernel buffer is full; it ends when the
// outbox is empty or the Network Connection closes.
func (c *conn) drain(buf *buffer, n int) {
	w := writers.Get().(*writer)
	defer writers.Put(w)
	for ; buf != nil; n = 0 {
		if err := c.writeAll(w, buf, n); err != nil {
			buf.release()
			c.writeFailed(err)
			return
		}
		buf, _ = c.written(buf)
	}
}

// written ends the write of a chunk and returns the next one, nil when there is none.
// pumped says that the Session was asked for more.
func (c *conn) written(buf *buffer) (next *buffer, pumped bool) {
	next, pump, closeNow := c.out.next(buf, c.broker.limits.OutboxBytes)
	buf.release()
	if closeNow {
		c.hangUp()
	}
	if pump {
		c.pump()
		if next == nil {
			next = c.out.take()
		}
	}
	return next, pump
}
