package broker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
)

// A checkpoint writes all that lives to the end of the Log and lets go of what stands
// before. It goes on beside the road, Session by Session and in small pieces: entries that
// the road writes meanwhile fold to the same state before and after a piece, as they have
// numbers or are written in their order. It counts only when it is complete, and is
// complete only when all that its pieces have seen is in the Log, too.

const (
	checkpointBytes  = 48 << 20  // Config.CheckpointBytes
	checkpointGrowth = 3         // a Log is left alone that is smaller than this many times what lived at the last checkpoint
	pieceBytes       = 256 << 10 // what is written at a time; the next piece waits until it is recorded
	pieceDeliveries  = 1000      // what is looked at while a Session is locked
	tombstoneTime    = 10 * time.Second
)

// checkpoints decide when the Log is to be shortened.
type checkpoints struct {
	running sync.Mutex   // held during one
	least   int64        // bytes: a smaller Log is left alone
	at      atomic.Int64 // bytes of the Log from which the next is due
	resting atomic.Int64 // until then there is none, in nanoseconds since 1970,
	after   atomic.Int64 // unless the Log has become twice as large as the last has left it
}

// checkpointRest is how many times as long as a checkpoint has taken there is none after one
// that has not helped: while all that a Log at its quota holds is alive, each would only
// write the same again.
const checkpointRest = 10

// full reports whether the Log holds as much as its quota. What makes the state larger is
// refused then, before it has had any effect; what does not is recorded all the same, as are
// checkpoints: nothing can be let go of before one is written.
func (b *Broker) full() bool { return b.logQuota > 0 && b.log.Bytes() >= b.logQuota }

// due reports whether it is time for a checkpoint: the Log has grown enough, or has no room.
func (c *checkpoints) due(size int64, full bool) bool {
	if size < c.least {
		return false
	}
	if size < c.at.Load() && !full {
		return false
	}
	return size >= 2*c.after.Load() || time.Now().UnixNano() >= c.resting.Load()
}

// checkpointIfDue starts a checkpoint when it is time. It is asked whenever something was
// recorded, and by the sweep.
func (b *Broker) checkpointIfDue() {
	c := &b.checkpoints
	if !b.durable || b.failed.Load() || !c.due(b.log.Bytes(), b.full()) || !c.running.TryLock() {
		return
	}
	if !b.begin() {
		c.running.Unlock()
		return
	}
	go func() {
		defer b.running.Done()
		defer c.running.Unlock()
		began, before := time.Now(), b.log.Bytes()
		written, ok := b.checkpoint()
		took, after := time.Since(began), b.log.Bytes()
		c.after.Store(after)
		if ok {
			c.at.Store(checkpointGrowth * written)
			b.logger.Debug("the log was shortened", "from", before, "to", after, "alive", written, "took", took)
		}
		if !ok || after > before/2 {
			c.resting.Store(time.Now().Add(checkpointRest * took).UnixNano())
		}
	}()
}

// snapshot writes the frames of a checkpoint.
type snapshot struct {
	broker  *Broker
	number  uint64
	entries []byte              // the frame at hand
	stored  map[uint64]struct{} // messages that are written
	written int64
	ahead   int64 // of it, since the last wait
	failed  atomic.Bool
}

// checkpoint is one checkpoint. It returns how much it has written; ok is false when it was
// given up, and nothing was let go of then.
func (b *Broker) checkpoint() (written int64, ok bool) {
	w := &snapshot{broker: b, number: b.numbers.message.Add(1), stored: make(map[uint64]struct{})}
	b.decisions.pass() // what was cleared before stands before, or is known as cleared
	w.begin(journal.Begin)
	w.add(b.format())
	begin := w.wait(w.append())
	w.retained()
	for _, s := range b.registry.all() {
		w.session(s)
	}
	w.groups()
	w.flush()
	b.decisions.pass()
	w.begin(journal.End)
	w.add(b.format())
	w.wait(w.append()) // all before is recorded then
	if w.failed.Load() {
		return 0, false
	}
	if err := b.log.Truncate(0, begin); err != nil {
		b.logger.Error("the log cannot be shortened", "error", err)
		return 0, false
	}
	return w.written, true
}

// format returns the entry that says how far the numbers have come.
func (b *Broker) format() journal.Format {
	return journal.Format{Version: journal.FormatVersion, LastSession: b.numbers.session.Load(),
		LastMessage: b.numbers.message.Load(), LastRetained: b.numbers.retained.Load()}
}

func (w *snapshot) begin(part journal.Part) {
	w.entries = journal.Append(w.entries, journal.Checkpoint{Number: w.number, Part: part})
}

// add adds an entry to the frame at hand.
func (w *snapshot) add(e journal.Entry) {
	if len(w.entries) == 0 {
		w.begin(journal.Piece)
	}
	w.entries = journal.Append(w.entries, e)
}

// full reports whether the frame at hand is as large as one should be.
func (w *snapshot) full() bool { return len(w.entries) >= pieceBytes }

// append appends the frame at hand. One with what is written in its order is appended under
// the lock of its Session, so that what is decided later is also written later; the Log
// copies and does not wait.
func (w *snapshot) append() (done chan Pos) {
	if len(w.entries) == 0 || w.failed.Load() {
		return nil
	}
	done = make(chan Pos, 1)
	w.broker.log.Append(0, w.entries, func(pos Pos, err error) {
		if err != nil { // also of a piece that nobody waits for
			w.failed.Store(true)
		}
		done <- pos
	})
	w.written += int64(len(w.entries))
	w.ahead += int64(len(w.entries))
	w.entries = w.entries[:0]
	return done
}

// flush appends the frame at hand and waits until it is recorded if much has been written
// without waiting. It holds no lock.
func (w *snapshot) flush() { w.pace(w.append()) }

// pace is the second half of flush.
func (w *snapshot) pace(done chan Pos) {
	if w.ahead >= pieceBytes {
		w.wait(done)
		w.ahead = 0
	}
}

// wait waits until a piece is recorded. It holds no lock.
func (w *snapshot) wait(done chan Pos) (at Pos) {
	if done == nil {
		return 0
	}
	select {
	case at = <-done:
	case <-w.broker.lifetime.Done():
		w.failed.Store(true)
	}
	return at
}

// retained writes what is retained, under new numbers, and which topics have been cleared
// lately: an older change may reach the Log only now.
func (w *snapshot) retained() {
	b, now := w.broker, time.Now()
	b.retained.names.All(func(name string, _ *colibri.Message) bool {
		b.retained.names.Update(name, func(m *colibri.Message) *colibri.Message {
			switch {
			case m == nil || b.retained.isOurs(m):
			case m.Expired(now):
				w.add(journal.RetainedRemoved{Number: b.numbers.retained.Add(1), Topic: name})
			default:
				w.add(journal.RetainedSet{Number: b.numbers.retained.Add(1), Message: m})
			}
			return m
		})
		w.flushIfFull()
		return !w.failed.Load()
	})
	for name, number := range b.retained.cleared() {
		w.add(journal.RetainedRemoved{Number: number, Topic: name})
		w.flushIfFull()
	}
}

// flushIfFull is flush for a frame that is large enough.
func (w *snapshot) flushIfFull() {
	if w.full() {
		w.flush()
	}
}

// message writes a message that a delivery refers to, once.
func (w *snapshot) message(number uint64, m *colibri.Message) {
	if _, ok := w.stored[number]; !ok {
		w.stored[number] = struct{}{}
		w.add(journal.MessageStored{Number: number, Message: m})
	}
}

func (w *snapshot) delivery(session uint64, d *colibri.Delivery) {
	w.message(d.Stored, d.Message)
	w.add(journal.DeliveryQueued{Session: session, Delivery: d.Number, Message: d.Stored, QoS: d.QoS,
		Retain: d.Retain, Identifiers: d.Identifiers, Share: d.Share})
}

// session writes one Session. What it owes its client is written without its lock: the
// entries about one delivery fold to the same state in any order.
func (w *snapshot) session(s *liveSession) {
	w.flushIfFull()
	s.mu.Lock()
	if s.ended || s.log == nil { // its end stands in the Log
		s.mu.Unlock()
		return
	}
	last := s.log.deliveries
	w.head(s)
	head := w.append()
	s.mu.Unlock()
	w.pace(head)
	for after, more := uint64(0), true; more && !w.failed.Load(); {
		var some []colibri.Delivery
		some, more = s.queuedAfter(after, last)
		for i := range some {
			after = some[i].Number
			w.delivery(s.number, &some[i])
			w.flushIfFull()
		}
	}
	for _, d := range s.inFlight() { // last: what was sent since the queue was looked at is not in it any more
		if d.released {
			w.add(journal.PubrecReceived{Session: s.number, Delivery: d.Number, PacketID: d.id})
		} else {
			w.delivery(s.number, &d.Delivery)
			w.add(journal.DeliverySent{Session: s.number, Delivery: d.Number, PacketID: d.id})
		}
		w.flushIfFull()
	}
	if last > 0 {
		w.add(journal.DeliveriesSettled{Session: s.number, First: 1, Last: last})
	}
}

// queuedAfter returns some deliveries that wait, from those behind one up to another; more
// says that there may be others.
func (s *liveSession) queuedAfter(after, last uint64) (some []colibri.Delivery, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, false
	}
	s.state.QueuedAfter(after, func(d *colibri.Delivery) bool {
		switch {
		case d.Number > last:
			return false
		case len(some) == pieceDeliveries:
			more = true
			return false
		}
		some = append(some, *d)
		return true
	})
	return some, more
}

// sentDelivery is a delivery that was sent and is not over.
type sentDelivery struct {
	colibri.Delivery
	id       uint16
	released bool // only PUBCOMP is missing
}

func (s *liveSession) inFlight() (all []sentDelivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.state.InFlight(func(d *colibri.Delivery, id uint16, released bool) bool {
		all = append(all, sentDelivery{*d, id, released})
		return true
	})
	return all
}

// addAuthor writes who has left the Will Message of s. The caller holds s.mu.
func (w *snapshot) addAuthor(s *liveSession) {
	if s.log != nil && s.log.author != nil {
		w.add(s.willAuthor())
	}
}

// head writes all of a Session but its messages. The caller holds s.mu.
func (w *snapshot) head(s *liveSession) {
	version := s.state.Version()
	if version == 0 {
		version = colibri.V5
	}
	w.add(journal.SessionOpened{Session: s.number, ClientID: s.clientID, Version: version, ExpiryInterval: s.state.ExpiryInterval()})
	if will, delay := s.state.Will(); will != nil {
		w.add(journal.WillStored{Session: s.number, Delay: delay, Message: will})
		w.addAuthor(s)
	}
	if s.conn.Load() == nil {
		closed := s.closed
		if s.will != nil {
			w.add(journal.WillStored{Session: s.number, Delay: uint32(max(0, s.willDue.Sub(closed)/time.Second)), Message: s.will})
			w.addAuthor(s)
		}
		w.add(journal.SessionClosed{Session: s.number, At: closed.UnixNano(), ExpiryInterval: s.state.ExpiryInterval()})
	}
	for _, sub := range s.state.Subscriptions() {
		w.add(journal.SubscriptionGranted{Session: s.number, Subscription: sub})
	}
	for _, id := range s.state.Received() {
		w.add(journal.PublishReceived{Session: s.number, PacketID: id})
	}
}

// groups writes what waits in the queues of Shared Subscriptions.
func (w *snapshot) groups() {
	b := w.broker
	b.groups.mu.Lock()
	groups := make([]*shareGroup, 0, len(b.groups.groups))
	for _, g := range b.groups.groups {
		groups = append(groups, g)
	}
	b.groups.mu.Unlock()
	for _, g := range groups {
		w.group(g)
	}
}

// group writes the queue of one and what its members have on loan. That does not change while
// it is written: what comes or goes stands in the Log, behind what opens the group.
func (w *snapshot) group(g *shareGroup) {
	w.flushIfFull()
	g.mu.Lock()
	if g.number == 0 || g.ended {
		g.mu.Unlock()
		return
	}
	number, last, queue, lent := g.number, g.deliveries, slices.Clone(g.queue), maps.Clone(g.lent)
	w.add(groupOpened(number, g.filter))
	opened := w.append()
	g.mu.Unlock()
	w.pace(opened)
	owes := func(delivery uint64, m *colibri.Message) {
		w.delivery(number, &colibri.Delivery{Message: m, QoS: m.QoS, Retain: m.Retain,
			Number: delivery, Stored: w.broker.numbers.message.Add(1)})
		w.flushIfFull()
	}
	for delivery, m := range lent {
		owes(delivery, m)
	}
	for _, one := range queue {
		owes(one.number, one.message)
	}
	if last > 0 {
		w.add(journal.DeliveriesSettled{Session: number, First: 1, Last: last})
	}
}
