package broker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
)

// registry finds a Session by its ClientID. Its lock comes first of all.
type registry struct {
	mu       sync.Mutex
	sessions map[string]*liveSession
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}

// knows reports whether there is a Session of this ClientID.
func (r *registry) knows(clientID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[clientID] != nil
}

// all returns the Sessions that there are now, in no order.
func (r *registry) all() []*liveSession {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.sessions))
}

// liveSession is a Session with its place in the broker.
type liveSession struct {
	clientID string
	number   uint64               // in the Log
	conn     atomic.Pointer[conn] // nil while the client is not connected

	dropped atomic.Pointer[clientLedger] // nil until something is dropped
	alarm   int32                        // place in the alarm's heap + 1, 0 without one; guarded by the alarm's lock
	listed  atomic.Bool                  // in the dropList
	access  atomic.Pointer[access]       // nil without an Authorizer, and until the client connects after a restart
	sharing atomic.Pointer[sharing]      // nil without a Shared Subscription until now

	mu        sync.Mutex // guards what follows, and changes of conn
	state     session.Session
	ended     bool             // replaced or expired: nothing is delivered to it any more
	forgotten bool             // ended, and no longer counted
	log       *logged          // nil when the Log does not know it
	held      *heldReplies     // nil without any
	due       time.Time        // the end of the Session; zero while connected and when it never ends
	will      *colibri.Message // delayed, published at willDue
	willDue   time.Time
	closed    time.Time // the end of the last connection
	last      *conn     // that came last, until it has left and what it did is in the Log
}

// online reports whether the client is connected.
func (s *liveSession) online() bool { return s.conn.Load() != nil }

// pumpReplies is how much pump sends before it lets others have their turn.
const pumpReplies = 64

// pumpOwn sends what is in out, and then waiting messages as the window and the outbox
// allow. What is too large for the client gives its place in the window to the next
// [MQTT-3.1.2-25]. The caller holds s.mu.
func (s *liveSession) pumpOwn(b *batch, out *session.Output) {
	c := s.conn.Load()
	if c == nil {
		return
	}
	if queued := s.state.Queued(); queued > 0 { // it can only become shorter
		defer b.tally.countQueue(s, queued, s.state.QueuedPayload())
	}
	for n := 0; ; n++ {
		s.state.Resume(out)
		if b.reply(c, out) {
			continue // its place is free for what else has to go out again
		}
		if !s.state.Waiting() {
			return
		}
		if !c.out.hasRoom(b.broker.limits.OutboxBytes) || n >= pumpReplies && c.out.hunger() || b.heldEnough(s) {
			return
		}
		more := s.state.Pump(b.now, 1, out)
		b.settle(s, out)
		if discarded := b.reply(c, out); !discarded && !more {
			return
		}
	}
}

// pumpInto pumps s if c is still its connection.
func (s *liveSession) pumpInto(b *batch, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		return
	}
	b.other.Reset()
	s.pump(b, &b.other)
	if s.state.WantsRetained() { // not here: this may be the goroutine of another client
		go b.broker.supplyRetained(s)
	}
}

// join opens c on the Session of its ClientID: the one that exists, or a new one. It
// queues the CONNACK that connack makes and what has to be resent, and returns the
// connection whose place c takes and the Session that it ends, if any.
func (b *Broker) join(c *conn, clientID string, cleanStart bool, o session.Options, connack func(sessionPresent bool) []byte) (taken *conn, present bool) {
	defer b.decisions.end(b.decisions.begin())
	batch := b.takeBatch()
	defer batch.giveBack()
	batch.now = time.Now()
	c.walking.Lock() // until what this does is on its way to the Log
	defer c.walking.Unlock()

	var ended *liveSession
	var will *colibri.Message
	var before *conn
	var author *access // of will
	b.registry.mu.Lock()
	s := b.registry.sessions[clientID]
	if s != nil {
		s.mu.Lock()
		before, author = s.last, b.author(s)
		if old := s.conn.Load(); old != nil {
			taken = old
			s.conn.Store(nil)
			s.closed = b.recordedTime(batch.now) // for a checkpoint that looks before this connection is there
			message, delay := s.state.Close()
			if message != nil && (delay == 0 || cleanStart) {
				will = message // [MQTT-3.1.2-8]; a longer delay has not passed [MQTT-3.1.3-9]
			}
			if !s.state.Durable() {
				s.ended = true
			}
		}
		if cleanStart && s.will != nil { // the Session ends, so its delayed Will Message is due
			will = s.will
		}
		s.will = nil // [MQTT-3.1.3-9]
		if cleanStart {
			s.ended = true // [MQTT-3.1.2-4]
		}
		if s.ended {
			ended = s
			batch.recordSessionEnded(s)
		}
		s.mu.Unlock()
	}
	present = s != nil && ended == nil
	if !present {
		s = &liveSession{clientID: clientID, number: b.numbers.session.Add(1), state: session.New(&b.sessionLimits)} // [MQTT-3.1.2-6]
		b.registry.sessions[clientID] = s
	}
	s.mu.Lock()
	c.session, s.last = s, c
	c.client.ClientID = s.clientID
	s.due = time.Time{}
	var revoked []string
	if b.admitted(s, c.client) && present {
		revoked = batch.revise(s)
	}
	s.state.Open(o)
	if batch.recordOpened(s, c.client, o); len(batch.entries) > 0 {
		batch.resume(c, s)
	}
	c.out.add(func(buf []byte) []byte { return append(buf, connack(present)...) }) // [MQTT-3.2.0-1]
	b.conns.add(c)
	s.conn.Store(c)
	b.registry.mu.Unlock()
	batch.out.Reset()
	s.pump(batch, &batch.out) // [MQTT-3.1.2-5]
	if s.state.WantsRetained() {
		go b.supplyRetained(s)
	}
	s.mu.Unlock()
	batch.revised(s, revoked)

	if taken != nil {
		b.tookOver(c, taken.nc.RemoteAddr())
		taken.stop(errTakenOver) // [MQTT-3.1.4-3]
	}
	if before != nil {
		// What the client has sent there comes before what it sends, or sends again, here
		// [MQTT-4.6.0-5], and the Log hears of its end before it hears of this beginning.
		before.awaitWalk()
	}
	if ended != nil {
		b.forget(ended)
	}
	if will != nil {
		batch.publishWill(s, author, will)
	}
	batch.gather(s)
	batch.recordAndReply()
	c.flush(batch.writer)
	if b.closing.Load() { // Shutdown has not seen c
		c.stop(errShutdown)
	}
	return taken, present
}

// leave ends c's part in its Session, unless another connection has taken it.
func (b *Broker) leave(c *conn) {
	s := c.session
	defer b.decisions.end(b.decisions.begin())
	batch := b.takeBatch()
	defer batch.giveBack()
	now := time.Now()
	batch.now = now
	c.walking.Lock() // until what this does is on its way to the Log
	defer c.walking.Unlock()
	s.mu.Lock()
	if s.conn.Load() != c {
		s.mu.Unlock()
		return
	}
	s.conn.Store(nil)
	author := s.access.Load()
	will, delay := s.state.Close()
	if will != nil && delay > 0 {
		s.will, s.willDue = will, now.Add(time.Duration(delay)*time.Second)
		b.alarm.set(s.willDue, s)
		will = nil
	}
	s.closed = b.recordedTime(now)
	switch interval := s.state.ExpiryInterval(); interval {
	case 0:
		s.ended = true // [MQTT-4.1.0-2]
	case session.NeverExpires:
	default:
		s.due = now.Add(time.Duration(interval) * time.Second)
		b.alarm.set(s.due, s)
	}
	if b.closing.Load() {
		will = nil
	}
	ended := s.ended
	var unsent []given
	if !ended {
		batch.recordClosed(s, (will != nil || s.will != nil) && !b.closing.Load())
		unsent = batch.giveUp(s)
	}
	if will != nil {
		batch.recordWillSent(s)
	}
	s.mu.Unlock()

	batch.give(unsent)
	if ended {
		batch.discard(s)
	}
	if will != nil {
		batch.publishWill(s, author, will)
	}
	batch.recordAndReply() // in one frame: a crash must not come between the end and the Will Message
	s.mu.Lock()
	if s.last == c {
		s.last = nil
	}
	s.mu.Unlock()
}

// discard removes an ended Session from the registry and the router.
func (b *batch) discard(s *liveSession) {
	r := &b.broker.registry
	r.mu.Lock()
	if r.sessions[s.clientID] == s {
		delete(r.sessions, s.clientID)
	}
	r.mu.Unlock()
	b.forget(s)
}

// forget is batch.forget in a batch of its own.
func (b *Broker) forget(s *liveSession) {
	defer b.decisions.end(b.decisions.begin())
	batch := b.takeBatch()
	defer batch.giveBack()
	batch.now = time.Now()
	batch.forget(s)
	batch.recordAndReply()
}

// forget removes the Subscriptions of an ended Session from the router, and gives the
// others what it had of Shared Subscriptions.
func (b *batch) forget(s *liveSession) {
	broker := b.broker
	broker.alarm.clear(s)
	s.mu.Lock()
	subscriptions := s.state.Subscriptions() // nobody changes those of an ended Session
	s.mu.Unlock()
	for i := range subscriptions {
		broker.router.Unsubscribe(s, subscriptions[i].Filter)
	}
	b.forgetGroups(s)
	undelivered := 0
	s.mu.Lock()
	b.recordSessionEnded(s)
	if !s.forgotten {
		s.forgotten = true
		undelivered = s.state.Undelivered()
		broker.counters.forgotQueue(s.state.Queued(), s.state.QueuedPayload())
	}
	s.mu.Unlock()
	broker.drop(s, DropSessionEnded, undelivered)
}

// expire acts on what has become due for a Session without a connection: its delayed
// Will Message, its end. The alarm calls it. Both go to the Log in one frame, and before
// what the client records that comes meanwhile.
func (b *Broker) expire(s *liveSession, now time.Time) {
	defer b.decisions.end(b.decisions.begin())
	batch := b.takeBatch()
	defer batch.giveBack()
	batch.now = time.Now()
	turn := new(conn) // its next connection waits for it, as for the one before
	turn.walking.Lock()
	defer turn.walking.Unlock()

	var will *colibri.Message
	s.mu.Lock()
	last, author := s.last, b.author(s)
	if s.will != nil && !now.Before(s.willDue) {
		will, s.will = s.will, nil
	}
	ended := !s.due.IsZero() && !now.Before(s.due) && s.conn.Load() == nil && !s.ended
	if ended {
		s.ended = true // [MQTT-4.1.0-2]
		b.counters.expired.Add(1)
		if s.will != nil {
			will, s.will = s.will, nil
		}
	}
	if will != nil || ended {
		s.last = turn
	}
	if will != nil {
		batch.recordWillSent(s)
	}
	var next time.Time
	switch {
	case s.ended || s.conn.Load() != nil:
	case s.will != nil:
		next = s.willDue
	default:
		next = s.due
	}
	s.mu.Unlock()
	if !next.IsZero() {
		b.alarm.set(next, s)
	}
	if will == nil && !ended {
		return
	}
	if last != nil {
		last.awaitWalk()
	}
	if ended {
		batch.discard(s)
	}
	if will != nil {
		batch.publishWill(s, author, will)
	}
	batch.recordAndReply()
	s.mu.Lock()
	if s.last == turn {
		s.last = nil
	}
	s.mu.Unlock()
}
