package broker

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// outbox holds the bytes that wait for one Network Connection. Whoever has finished a
// batch flushes the outboxes it touched, with a write that does not block; what the
// kernel does not take is left to one goroutine that lives until the outbox is empty.
//
// Its lock is a leaf: nothing is called and nothing is written while it is held.
type outbox struct {
	mu       sync.Mutex
	pending  *buffer // nil while empty
	inWrite  int     // bytes that somebody is writing
	writing  bool    // somebody writes; whoever comes meanwhile leaves its bytes to them
	promised bool    // a batch that has appended will flush
	starved  bool    // something waits for room: pump when it is empty
	closing  bool    // close the Network Connection once all is written
	closed   bool    // nothing is taken any more
	room     chan struct{}

	messages, bytes int64 // PUBLISH packets taken, and their bytes
}

// open returns the buffer to append to; the caller holds the lock. nil when closed.
func (o *outbox) open() *buffer {
	if o.closed || o.closing {
		return nil
	}
	if o.pending == nil {
		o.pending = buffers.Get().(*buffer)
	}
	return o.pending
}

// size returns the bytes that wait; the caller holds the lock.
func (o *outbox) size() int {
	n := o.inWrite
	if o.pending != nil {
		n += o.pending.len()
	}
	return n
}

// promise reports whether the caller has to see to a flush: nobody else has
// promised one. The caller holds the lock.
func (o *outbox) promise() bool {
	if o.promised {
		return false
	}
	o.promised = true
	return true
}

// put appends a PUBLISH. A QoS 0 message is not taken when limit bytes wait already:
// ok is false then. flush reports whether the caller has to see to a flush.
func (o *outbox) put(p publication, limit int) (flush, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.idAt == 0 && o.size() > limit {
		return false, false
	}
	buf := o.open()
	if buf == nil {
		return false, true
	}
	at := len(buf.b)
	buf.b = append(buf.b, p.bytes...)
	buf.b[at] = p.first
	if p.idAt > 0 {
		binary.BigEndian.PutUint16(buf.b[at+p.idAt:], p.id)
	}
	if p.payload != nil {
		buf.share(p.payload)
	}
	o.messages++
	o.bytes += int64(p.size())
	return o.promise(), true
}

// sent returns how many PUBLISH packets the outbox has taken, and their bytes.
func (o *outbox) sent() (messages, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.messages, o.bytes
}

// add appends bytes made by fill, whatever waits already: for packets that are not
// PUBLISH.
func (o *outbox) add(fill func(b []byte) []byte) (flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf := o.open()
	if buf == nil {
		return false
	}
	buf.b = fill(buf.b)
	return o.promise()
}

// acknowledge appends one packet of a QoS handshake or a PINGRESP.
func (o *outbox) acknowledge(t packet.Type, id uint16, code colibri.ReasonCode, v colibri.Version) (flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf := o.open()
	if buf == nil {
		return false
	}
	buf.b = appendAcknowledgement(buf.b, t, id, code, v)
	return o.promise()
}

// hasRoom reports whether less than limit bytes wait. If not, the outbox is starved: it
// pumps the Session when it has been emptied.
func (o *outbox) hasRoom(limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size() <= limit {
		return true
	}
	o.starved = true
	return false
}

// hunger has the Session pumped when the outbox has been emptied. It returns false when
// nothing waits: nobody would see to it.
func (o *outbox) hunger() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending == nil && !o.writing {
		return false
	}
	o.starved = true
	return true
}

// wantRoom returns a channel that is closed when the outbox has been emptied or
// closed, or nil when no more than limit bytes wait.
func (o *outbox) wantRoom(limit int) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size() <= limit || o.closed {
		return nil
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// take begins a write: it returns what waits, or nil when there is nothing or somebody
// writes already.
func (o *outbox) take() *buffer {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.promised = false
	if o.writing || o.closed || o.pending == nil {
		return nil
	}
	o.writing = true
	return o.swap()
}

func (o *outbox) swap() *buffer {
	buf := o.pending
	o.pending = nil
	o.inWrite = buf.len()
	return buf
}

// next ends a write. It returns what has come meanwhile, or nil and what is to be done
// now that the outbox is empty: pump the Session, close the Network Connection.
func (o *outbox) next() (buf *buffer, pump, closeNow bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inWrite = 0
	o.promised = false
	if o.pending != nil && !o.closed {
		return o.swap(), false, false
	}
	o.writing = false
	pump, o.starved = o.starved, false
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
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
	if o.pending == nil && !o.writing {
		o.closed = true
		return true
	}
	return false
}

// shut drops everything: the Network Connection has failed.
func (o *outbox) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.pending != nil {
		o.pending.release()
		o.pending = nil
	}
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// flush writes what waits in c's outbox, without blocking.
func (c *conn) flush(w *writer) {
	for buf := c.out.take(); buf != nil; {
		n, err := c.writeSome(w, buf)
		if err != nil {
			buf.release()
			c.writeFailed(err)
			return
		}
		if n < buf.len() {
			go c.drain(buf, n)
			return
		}
		buf.release()
		var pump, closeNow bool
		buf, pump, closeNow = c.out.next()
		if closeNow {
			c.hangUp()
		}
		if pump {
			c.pump()
			buf = c.out.take()
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
	for {
		if err := c.writeAll(w, buf, n); err != nil {
			buf.release()
			c.writeFailed(err)
			return
		}
		buf.release()
		n = 0
		var pump, closeNow bool
		buf, pump, closeNow = c.out.next()
		if closeNow {
			c.hangUp()
		}
		if pump {
			c.pump()
			buf = c.out.take()
		}
		if buf == nil {
			return
		}
	}
}
