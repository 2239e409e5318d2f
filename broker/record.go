package broker

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
)

// What a batch has to record is what its replies promise: PUBACK and PUBREC that every
// Session which outlives its connection has the message, and that the Retained Message
// is the last one; PUBREC that a repeat is known; SUBACK and UNSUBACK that the
// Subscriptions are as it says; PUBREL and PUBCOMP that their identifier may be used
// again; CONNACK that the Session is the one that it says; and a QoS 2 PUBLISH that it is
// sent under its identifier, so that it never goes out under two.
//
// Two kinds of entries: replies wait for those in batch.entries. Those in batch.soon say
// that something is over or was sent with QoS 1; after a crash without them a message is
// sent again, as QoS 1 allows, or an answer is asked for again. A broker whose Log keeps
// nothing writes none.

// numbers count up what entries refer to, from 1.
type numbers struct {
	session, message, retained atomic.Uint64
}

// logged is what a Session that the Log knows has to do with it.
type logged struct {
	will       bool            // its Will Message is in the Log
	author     *journal.Author // of the last Will Message; nil when nobody knows
	deliveries uint64          // the last number
	recorded   ledges
}

// heldReplies are the replies of a Session that wait for the Log, in order.
type heldReplies struct{ replies []held }

// ledges finds out up to which number all deliveries are recorded, whatever the order in
// which batches are done.
type ledges struct {
	first uint64 // not recorded, or not used yet
	done  []bool // from first on
}

// begin says that n, the next number, is not recorded yet.
func (l *ledges) begin(n uint64) {
	if len(l.done) == 0 {
		l.first = n
	}
	l.done = append(l.done, false)
}

// finish says that n is recorded, and returns up to which number all are.
func (l *ledges) finish(n uint64) (upTo uint64) {
	l.done[n-l.first] = true
	i := 0
	for i < len(l.done) && l.done[i] {
		i++
	}
	l.first += uint64(i)
	if l.done = l.done[i:]; len(l.done) == 0 {
		l.done = nil
	}
	return l.first - 1
}

// held is a reply that waits for the record step, or behind others that do.
type held struct {
	to        *conn
	reply     session.Reply
	own       colibri.Delivery
	recording *recording // nil when it only waits behind others
}

// recording is one append to the Log, with what is to be done then.
type recording struct {
	done    atomic.Bool
	gated   int64        // bytes in the recordGate
	corked  *conn        // whose CONNACK waits
	after   []*recording // and these have to be done, too
	holding []*liveSession
	owing   []owing
	waiting []groupOwing
}

// owing is a delivery that is being recorded.
type owing struct {
	session *liveSession
	number  uint64
}

// groupOwing is what is being recorded of the queue of a group, with the first and last
// number.
type groupOwing struct {
	group       *shareGroup
	first, last uint64
}

// stored is the message that is being published, in the Log.
type stored struct {
	number  uint64 // 0 before it has one
	written bool
}

// recordOpened records the CONNECT of a Session that lasts, or did until now. The caller
// holds s.mu.
func (b *batch) recordOpened(s *liveSession, client ClientInfo, o session.Options) {
	if !b.broker.durable || !s.state.Durable() && s.log == nil {
		return
	}
	if s.log == nil {
		s.log = new(logged)
	}
	b.entries = journal.Append(b.entries, journal.SessionOpened{Session: s.number, ClientID: s.clientID,
		Version: o.Version, ExpiryInterval: s.state.ExpiryInterval()})
	if s.log.will = o.Will != nil; s.log.will {
		b.entries = journal.Append(b.entries, journal.WillStored{Session: s.number, Delay: o.WillDelay, Message: o.Will})
		s.log.author = &journal.Author{UserName: client.UserName, OwnRights: client.Rights != nil}
		b.entries = journal.Append(b.entries, s.willAuthor())
	}
}

// willAuthor returns the entry about the author of s's Will Message, who is known. The caller
// holds s.mu.
func (s *liveSession) willAuthor() journal.WillAuthor {
	return journal.WillAuthor{Session: s.number, UserName: s.log.author.UserName, OwnRights: s.log.author.OwnRights}
}

// recordClosed records the end of a connection; will says that its Will Message is still to
// be published. One that the client has taken back is recorded in time: it must not come
// after a crash. The caller holds s.mu.
func (b *batch) recordClosed(s *liveSession, will bool) {
	if s.log == nil || s.ended {
		return
	}
	b.soon = journal.Append(b.soon, journal.SessionClosed{Session: s.number, At: s.closed.UnixNano(), ExpiryInterval: s.state.ExpiryInterval()})
	if s.log.will && !will {
		s.log.will = false
		b.entries = journal.Append(b.entries, journal.WillRemoved{Session: s.number})
	}
}

// recordWillSent records that the delayed Will Message of s was published or is not to be.
func (b *batch) recordWillSent(s *liveSession) {
	if s.log != nil && s.log.will {
		s.log.will = false
		b.soon = journal.Append(b.soon, journal.WillRemoved{Session: s.number})
	}
}

// recordSessionEnded records the end of a Session. Nothing may be recorded of it afterwards.
// The caller holds s.mu.
func (b *batch) recordSessionEnded(s *liveSession) {
	if s.log != nil {
		s.log = nil
		b.entries = journal.Append(b.entries, journal.SessionEnded{Session: s.number})
	}
}

func (b *batch) recordGranted(s *liveSession, sub colibri.Subscription) {
	if s.log != nil {
		b.entries = journal.Append(b.entries, journal.SubscriptionGranted{Session: s.number, Subscription: sub})
	}
}

func (b *batch) recordRemoved(s *liveSession, filter string) {
	if s.log != nil {
		b.entries = journal.Append(b.entries, journal.SubscriptionRemoved{Session: s.number, Filter: filter})
	}
}

// recordRetained records what is retained for a topic under the number that the store has
// given to the change.
func (b *batch) recordRetained(m *colibri.Message, number uint64) {
	switch {
	case !b.broker.durable || b.own:
	case len(m.Payload) == 0:
		b.entries = journal.Append(b.entries, journal.RetainedRemoved{Number: number, Topic: m.Topic})
	default:
		b.entries = journal.Append(b.entries, journal.RetainedSet{Number: number, Message: m})
	}
}

// numberDelivery gives d, which is about to be delivered to s, its numbers in the Log. The
// caller holds s.mu.
func (b *batch) numberDelivery(s *liveSession, d *colibri.Delivery) {
	if d.QoS == colibri.AtMostOnce || !b.broker.durable {
		return
	}
	if s.log == nil {
		s.numberLoan(d)
		return
	}
	if b.stored.number == 0 {
		b.stored.number = b.broker.numbers.message.Add(1)
	}
	d.Stored = b.stored.number
	d.Number = s.nextDelivery()
}

// nextDelivery returns the Number that the next Delivery gets of a Session that the Log knows.
// The caller holds s.mu.
func (s *liveSession) nextDelivery() uint64 { return s.log.deliveries + 1 }

// recordDelivery records that s owes its client d. The message itself is recorded with
// the first Session that it is recorded for. sent says that its PUBLISH is the next reply of
// s. The caller holds s.mu.
func (b *batch) recordDelivery(s *liveSession, d *colibri.Delivery, sent bool) {
	if d.Number == 0 {
		return
	}
	if s.log == nil {
		b.recordLoan(s, d, sent)
		return
	}
	s.log.deliveries = d.Number
	s.log.recorded.begin(d.Number)
	b.owing = append(b.owing, owing{s, d.Number})
	b.recordMessage(d.Message)
	b.entries = journal.Append(b.entries, journal.DeliveryQueued{Session: s.number, Delivery: d.Number,
		Message: d.Stored, QoS: d.QoS, Retain: d.Retain, Identifiers: d.Identifiers, Share: d.Share})
}

// recordMessage records the message at hand, once.
func (b *batch) recordMessage(m *colibri.Message) {
	if !b.stored.written {
		b.stored.written = true
		b.entries = journal.Append(b.entries, journal.MessageStored{Number: b.stored.number, Message: m})
	}
}

// recordSent records under which identifier a delivery goes out. promises says that it goes
// out only then: with QoS 2, or when the Log does not know yet that it is owed. The caller
// holds s.mu.
func (b *batch) recordSent(s *liveSession, r *session.Reply) (promises bool) {
	d := r.Delivery
	promises = d.QoS == colibri.ExactlyOnce && !r.Dup
	if s.log == nil && promises {
		b.entries = s.loanEnds(b.entries, d.Number) // [MQTT-4.8.2-5]
	}
	if s.log == nil || r.Dup {
		return promises
	}
	if d.Number == 0 { // a Retained Message for a new Subscription
		promises = true
		current := b.stored
		b.stored = stored{}
		b.numberDelivery(s, d)
		b.recordDelivery(s, d, true)
		b.stored = current
	}
	entry := journal.DeliverySent{Session: s.number, Delivery: d.Number, PacketID: r.PacketID}
	if promises {
		b.entries = journal.Append(b.entries, entry)
	} else {
		b.soon = journal.Append(b.soon, entry)
	}
	return promises
}

// heldBytes is how much a batch may have to record before it sends a Session no more than it
// holds already.
const heldBytes = 256 << 10

// heldEnough reports whether s is to get no more now: what waits for the Log is in no outbox
// that could be full. It is pumped again when that is recorded. The caller holds s.mu.
func (b *batch) heldEnough(s *liveSession) bool {
	return len(b.entries) >= heldBytes && s.held != nil
}

// recordEnded records that a delivery is over; number is 0 when it is not in the Log. The
// caller holds s.mu.
func (b *batch) recordEnded(s *liveSession, number uint64) {
	switch {
	case number == 0:
	case s.log == nil:
		b.soon = s.loanEnds(b.soon, number)
	default:
		b.soon = journal.Append(b.soon, journal.DeliveryEnded{Session: s.number, Delivery: number})
	}
}

// settle counts what a step of s has left undelivered, and records what is over. The caller
// holds s.mu.
func (b *batch) settle(s *liveSession, out *session.Output) {
	b.broker.dropOutput(s, out)
	for _, number := range out.Ended {
		b.recordEnded(s, number)
	}
	out.Ended = out.Ended[:0]
}

// recordReceived records that the QoS 2 message id of s was taken.
func (b *batch) recordReceived(s *liveSession, id uint16) {
	if s.log != nil {
		b.entries = journal.Append(b.entries, journal.PublishReceived{Session: s.number, PacketID: id})
	}
}

// recordReleased records that the client has released the QoS 2 message id of s.
func (b *batch) recordReleased(s *liveSession, id uint16) {
	if s.log != nil {
		b.entries = journal.Append(b.entries, journal.PubrelReceived{Session: s.number, PacketID: id})
	}
}

// hold keeps a reply that promises something until the record step, and all behind others
// of its Session that wait: their order counts [MQTT-4.6.0-1] [MQTT-4.6.0-2]
// [MQTT-4.6.0-3] [MQTT-4.6.0-4]. It returns false for one that may leave at once. The
// caller holds the lock of c's Session, or r is a QoS 0 PUBLISH.
func (b *batch) hold(c *conn, r *session.Reply) bool {
	s := c.session
	promises := true
	switch r.Type {
	case packet.PINGRESP:
		return false
	case packet.PUBLISH:
		if r.PacketID == 0 {
			return false
		}
		promises = b.recordSent(s, r)
	case packet.PUBREL:
		promises = !r.Resent
		if r.Number != 0 && s.log != nil {
			b.entries = journal.Append(b.entries, journal.PubrecReceived{Session: s.number, Delivery: r.Number, PacketID: r.PacketID})
		}
	}
	promises = promises && len(b.entries) > 0
	if !promises && s.held == nil {
		return false
	}
	h := held{to: c, reply: *r}
	if r.Type == packet.PUBLISH {
		h.own = *r.Delivery
	}
	if promises {
		h.recording = b.begun()
		b.holding = append(b.holding, s)
	}
	if s.held == nil {
		s.held = new(heldReplies)
	}
	s.held.replies = append(s.held.replies, h)
	return true
}

// begun returns the recording of the batch at hand.
func (b *batch) begun() *recording {
	if b.recording == nil {
		b.recording = new(recording)
	}
	return b.recording
}

// release sends what s holds and nothing has to wait for any more. The caller holds s.mu.
func (b *batch) release(s *liveSession) {
	if s.held == nil {
		return
	}
	for replies := s.held.replies; len(replies) > 0; replies = s.held.replies {
		h := &replies[0]
		if h.recording != nil && !h.recording.done.Load() {
			return
		}
		if h.reply.Type == packet.PUBLISH {
			h.reply.Delivery = &h.own
		}
		if !h.to.write(b, &h.reply) && h.reply.PacketID != 0 {
			b.recordEnded(s, s.state.Discard(h.reply.PacketID))
		}
		*h = held{}
		s.held.replies = replies[1:]
	}
	s.held = nil
}

// record appends the batch's entries to the Log, and what waits for them leaves when that
// is done. The reader goes on meanwhile, unless too much waits for the Log.
func (b *batch) record() {
	if len(b.entries) == 0 {
		b.broker.log.Append(0, b.soon, nil)
		b.soon = b.soon[:0]
		return
	}
	r := b.begun()
	b.recording = nil
	r.holding, b.holding = b.holding, nil
	r.owing, b.owing = b.owing, nil
	r.waiting, b.waiting = b.waiting, nil
	b.entries = append(b.entries, b.soon...)
	if b.conn != nil { // a pump may run in the Log's goroutine, which must not wait for itself
		r.gated = int64(len(b.entries))
		b.broker.recordGate.enter(r.gated)
	}
	broker := b.broker
	broker.log.Append(0, b.entries, func(_ Pos, err error) { broker.recorded(r, err) })
	b.entries, b.soon, b.stored = b.entries[:0], b.soon[:0], stored{}
}

// recorded lets go what has waited for r. After a failed append nothing is acknowledged any
// more: all connections are closed.
func (b *Broker) recorded(r *recording, err error) {
	if r.gated > 0 {
		b.recordGate.leave(r.gated)
	}
	if err != nil && !errors.Is(err, ErrRefused) {
		b.logFailed(err)
		return
	}
	defer b.decisions.end(b.decisions.begin())
	batch := b.takeBatch()
	defer batch.giveBack()
	batch.now = time.Now()
	if err != nil {
		b.refused(r, err)
	}
	r.done.Store(true)
	for len(r.owing) > 0 || len(r.holding) > 0 {
		var s *liveSession
		if len(r.owing) > 0 {
			s = r.owing[0].session
		} else {
			s, r.holding = r.holding[0], r.holding[1:]
		}
		s.mu.Lock()
		for len(r.owing) > 0 && r.owing[0].session == s {
			if s.log != nil {
				s.state.Recorded(s.log.recorded.finish(r.owing[0].number))
			}
			r.owing = r.owing[1:]
		}
		batch.release(s)
		batch.other.Reset()
		s.pump(batch, &batch.other)
		if s.state.WantsRetained() {
			go b.supplyRetained(s)
		}
		s.mu.Unlock()
	}
	for _, one := range r.waiting {
		if one.group.finish(one.first, one.last) {
			batch.ask(one.group)
		}
	}
	if r.corked != nil {
		b.uncork(r, batch.writer)
	}
	batch.recordAndReply()
	b.checkpointIfDue()
}

// resume has c wait, with its CONNACK and all behind it, until the Log has what its Session
// was about to send before: what goes out again must not be unknown after a crash. The
// replies themselves were for a connection that is no more. The caller holds s.mu.
func (b *batch) resume(c *conn, s *liveSession) {
	r := b.begun()
	r.corked = c
	c.out.cork(true)
	if s.held != nil {
		for i := range s.held.replies {
			if before := s.held.replies[i].recording; before != nil {
				r.after = append(r.after, before)
			}
		}
		s.held = nil
	}
}

// uncork lets the CONNACK go that has waited for r. What was decided before it may reach the
// Log behind it, but not behind what is appended now.
func (b *Broker) uncork(r *recording, w *writer) {
	for _, before := range r.after {
		if !before.done.Load() {
			b.log.Append(0, nil, func(_ Pos, err error) {
				if err == nil || errors.Is(err, ErrRefused) {
					other := writers.Get().(*writer)
					b.uncork(r, other)
					writers.Put(other)
				}
			})
			return
		}
	}
	r.corked.out.cork(false)
	r.corked.flush(w)
}

// refused drops the replies that promise what the Log has not taken, and closes their
// connections. The deliveries stay in memory: their publishers send them again.
func (b *Broker) refused(r *recording, err error) {
	why := &colibri.Error{Op: "record", Code: colibri.QuotaExceeded, Err: err}
	var conns []*conn
	if r.corked != nil {
		conns, r.corked = append(conns, r.corked), nil
	}
	for _, s := range r.holding {
		s.mu.Lock()
		if s.held != nil {
			s.held.replies = slices.DeleteFunc(s.held.replies, func(h held) bool {
				if h.recording == r {
					conns = append(conns, h.to)
				}
				return h.recording == r
			})
		}
		s.mu.Unlock()
	}
	for _, c := range conns {
		go c.abandon(why)
	}
}

// logFailed closes all connections and takes no more, once: what clients are told must be
// true, and the Log does not keep what they would be told.
func (b *Broker) logFailed(err error) {
	if b.failed.Swap(true) {
		return
	}
	b.logger.Error("the log cannot be written any more; no client is served until the broker is started again", "error", err)
	go func() {
		why := &colibri.Error{Op: "record", Code: colibri.UnspecifiedError, Err: fmt.Errorf("the log cannot be written: %w", err)}
		for _, c := range b.conns.which(func(*conn) bool { return true }) {
			c.abandon(why)
		}
		if b.logFailure != nil {
			b.logFailure(err)
		}
	}()
}
