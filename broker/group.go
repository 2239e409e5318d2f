package broker

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/router"
	"github.com/colibri-mqtt/colibri/internal/session"
)

// A message that comes through a Shared Subscription is in one place at a time: with a
// member, in its Session, or in the queue of the group. The router hands a new message to
// a member that is online; it goes to the queue when there is none, and behind what waits
// there already. Members take from the queue what they have room for, when they come
// online and when they acknowledge. A member that leaves puts into the queue what it has
// not had, and those who are there are asked to take it.
//
// While something waits in the queue, every member that is online has no room for it, or
// is about to look. Who puts the first message into an empty queue therefore has to ask
// the members, and nobody else: see place.
//
// With a Log a message is taken only when it is recorded that it waits: what a member has
// had must not wait again after a crash. The members are asked when that is done.

// SharedStrategy says which member of a Shared Subscription receives a message, among
// those that are connected.
type SharedStrategy int

// The strategies. What waited while no member was connected goes to the first that comes
// back, whatever the strategy.
const (
	SharedRoundRobin    = SharedStrategy(router.RoundRobin)    // in turn
	SharedLeastInflight = SharedStrategy(router.LeastInflight) // the one with the fewest QoS 1 and 2 messages under way and waiting
	SharedSticky        = SharedStrategy(router.Sticky)        // the same one until it leaves
	SharedHashClient    = SharedStrategy(router.HashClient)    // the same one for each publisher; Will Messages have one together
	SharedHashTopic     = SharedStrategy(router.HashTopic)     // the same one for each Topic Name
)

// newRouter returns a router whose Shared Subscriptions are served by strategy, to members
// that may receive a topic; nil: all of them may.
func newRouter(strategy SharedStrategy, receives func(*liveSession, string) bool) *router.Router[*liveSession] {
	return router.New(router.Options[*liveSession]{
		Strategy: router.Strategy(strategy),
		Online:   (*liveSession).online,
		Receives: receives,
		Load: func(s *liveSession) int {
			if sh := s.sharing.Load(); sh != nil {
				return int(sh.load.Load())
			}
			return 0
		},
		Key: func(s *liveSession) uint64 {
			if s == nil { // what the broker publishes itself
				return 0
			}
			if sh := s.sharing.Load(); sh != nil {
				return sh.key
			}
			return router.Hash(s.clientID)
		},
	})
}

// sharing is what a Session has that is or was a member of Shared Subscriptions.
type sharing struct {
	key     uint64
	load    atomic.Int64  // QoS 1 and 2 messages under way and waiting
	groups  []*shareGroup // of which it is a member now; guarded by the Session's lock
	lasting bool          // the Log knows the Session
	loans   loans         // nothing if it is lasting; guarded by the Session's lock
}

// joinGroup makes s a member of the group of filter, before the router knows of it. The
// caller holds s.mu.
func (b *Broker) joinGroup(s *liveSession, filter string) {
	sh := s.sharing.Load()
	if sh == nil {
		sh = &sharing{key: router.Hash(s.clientID), lasting: s.log != nil}
		if !sh.lasting {
			s.state.Recorded(math.MaxUint64) // the numbers of loans hold nothing up
		}
		s.sharing.Store(sh)
	}
	if sh.group(filter) == nil {
		g := b.groups.join(filter)
		if sh.lasting {
			g.lasting.Add(1)
		}
		sh.groups = append(sh.groups, g)
	}
	s.countLoad()
}

// group returns the group of filter if the Session is a member of it. The caller holds
// its lock.
func (sh *sharing) group(filter string) *shareGroup {
	for _, g := range sh.groups {
		if g.filter == filter {
			return g
		}
	}
	return nil
}

// countLoad lets the router know how much s has to do. The caller holds s.mu.
func (s *liveSession) countLoad() {
	if sh := s.sharing.Load(); sh != nil {
		sh.load.Store(int64(s.state.Inflight() + s.state.Queued()))
	}
}

// mayTake reports whether s may have a message of the Shared Subscription to filter now:
// not when it has left the group or is not connected any more, and not past what waits for
// the group. The caller holds s.mu.
func (s *liveSession) mayTake(filter string) bool {
	g := s.sharing.Load().group(filter)
	return g != nil && g.waiting.Load() == 0 && s.conn.Load() != nil
}

// deliverShared hands a message of a Shared Subscription to the member that was chosen,
// nil when none is connected. If that cannot have it at once, because it has gone
// meanwhile or others wait, the message goes to the queue of the group. It returns false
// when the queue it should go to is full.
func (b *batch) deliverShared(s *liveSession, d colibri.Delivery) bool {
	switch sharedWayOf(s, d) {
	case sharedAtOnce:
		return b.deliver(s, d)
	case sharedNobody:
		b.broker.dropShared(d.Share, DropOffline, 1)
		return true
	case sharedMember:
		s.mu.Lock()
		if !s.ended && s.mayTake(d.Share) {
			defer s.mu.Unlock()
			return b.deliverTo(s, d)
		}
		s.mu.Unlock()
	}
	return b.place(d.Share, []*colibri.Message{d.Message}, false)
}

// sharedWay is what becomes of a message of a Shared Subscription.
type sharedWay byte

const (
	sharedAtOnce sharedWay = iota // QoS 0 to the member that was chosen
	sharedNobody                  // QoS 0 and nobody is connected
	sharedMember                  // to the member that was chosen, if it may take it; otherwise to the queue
	sharedQueue                   // to the queue of the group
)

// sharedWayOf decides what becomes of d when s was chosen for it, nil when nobody is connected.
func sharedWayOf(s *liveSession, d colibri.Delivery) sharedWay {
	switch {
	case s != nil && d.QoS == colibri.AtMostOnce && s.online():
		return sharedAtOnce
	case d.Message.QoS == colibri.AtMostOnce, s == nil && d.QoS == colibri.AtMostOnce:
		return sharedNobody
	case s != nil && d.QoS > colibri.AtMostOnce:
		return sharedMember
	}
	return sharedQueue
}

// sharedWaits reports whether a message goes to the queue of the group although s was
// chosen for it, nil when none is connected.
func (b *batch) sharedWaits(s *liveSession, filter string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || !s.mayTake(filter)
}

// groupTakes reports whether the queue of a group has a place for m.
func (b *batch) groupTakes(filter string, m *colibri.Message) bool {
	g, _ := b.broker.groups.find(filter)
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.over(&b.broker.sessionLimits, 1, session.MessageBytes(m)) || g.expires != 0 && b.now.UnixNano() >= g.expires
}

// place puts messages into the queue of a group, before those that wait when first says
// so, and lets the members that are connected take them. It returns false when one of the
// messages found no place. The caller holds no lock.
func (b *batch) place(filter string, messages []*colibri.Message, first bool) bool {
	var r queued
	g, _ := b.broker.groups.find(filter)
	ok := g != nil
	if ok {
		r, ok = g.put(b.now, messages, first, &b.broker.sessionLimits, b.broker.groupNumbers())
	}
	if !ok {
		b.broker.dropShared(filter, DropNoSubscribers, len(messages))
		return true
	}
	b.recordWaiting(g, messages, first, &r)
	b.tally.messages += r.messages
	b.tally.bytes += r.payload
	b.broker.dropShared(filter, DropExpired, r.expired)
	b.broker.dropShared(filter, DropReplaced, r.replaced)
	b.broker.dropShared(filter, DropQueueFull, r.full)
	if r.group == 0 && (r.wasEmpty || g.passed.Load()) { // otherwise those who are connected have no room, or it is not recorded
		b.ask(g)
	}
	return r.full == 0
}

// ask lets the members of g that are connected take what waits. The caller holds no lock.
func (b *batch) ask(g *shareGroup) {
	b.broker.router.Members(g.filter, func(s *liveSession) bool {
		if c := s.conn.Load(); c != nil {
			s.pumpInto(b, c)
		}
		return g.waiting.Load() > 0
	})
}

// pump sends what is in out and what waits, first for s alone and then for the groups of
// which it is a member, as the window and the outbox allow. The caller holds s.mu.
func (s *liveSession) pump(b *batch, out *session.Output) {
	s.pumpOwn(b, out)
	if sh := s.sharing.Load(); sh != nil {
		s.pumpGroups(b, sh, out)
		s.countLoad()
	}
}

// pumpGroups takes from the groups of s, one message from each in turn.
func (s *liveSession) pumpGroups(b *batch, sh *sharing, out *session.Output) {
	c := s.conn.Load()
	if c == nil {
		return
	}
	for n, took := 0, true; took; {
		took = false
		for _, g := range sh.groups {
			if g.waiting.Load() == 0 {
				continue
			}
			sub, ok := s.state.Subscription(g.filter)
			if !ok || sub.QoS > colibri.AtMostOnce && !s.state.Ready() {
				continue
			}
			if !c.out.hasRoom(b.broker.limits.OutboxBytes) || n >= pumpReplies && c.out.hunger() {
				return
			}
			lends := s.log == nil && g.lasting.Load() > 0
			m, number, expired, payload, over := g.take(b.now, s.permissions(), lends, sub.QoS)
			b.recordOver(g.number, over)
			b.tally.messages -= expired
			b.tally.bytes -= payload
			b.broker.dropShared(g.filter, DropExpired, expired)
			if m == nil {
				continue
			}
			b.tally.messages--
			d, current := shared(m, &sub), b.stored
			b.stored = stored{}
			if lends = lends && d.QoS == colibri.AtLeastOnce; lends {
				d.Number = sh.loans.next()
			} else {
				b.numberDelivery(s, &d)
			}
			s.state.Deliver(b.now, d, true, out)
			b.recordTaken(s, g, number, lends, &d)
			b.stored = current
			b.reply(c, out)
			n++
			took = true
		}
	}
}

// shared returns what a member's Subscription makes of a message of the group
// [MQTT-4.8.2-3].
func shared(m *colibri.Message, sub *colibri.Subscription) colibri.Delivery {
	d := colibri.Delivery{Message: m, QoS: min(m.QoS, sub.QoS), Retain: m.Retain && sub.RetainAsPublished, Share: sub.Filter}
	if sub.Identifier != 0 {
		d.Identifiers = []uint32{sub.Identifier} // [MQTT-3.3.4-3]
	}
	return d
}

// given is what a Session has given back of one Shared Subscription, oldest first.
type given struct {
	filter   string
	messages []*colibri.Message
}

// takeBack takes back what s has of one Shared Subscription. The caller holds s.mu.
func (b *batch) takeBack(s *liveSession, filter string, sent bool) (messages []*colibri.Message) {
	queued, payload := s.state.Queued(), s.state.QueuedPayload()
	for _, d := range s.state.GiveBack(filter, sent) {
		messages = append(messages, d.Message)
		b.recordEnded(s, d.Number)
	}
	b.broker.counters.forgotQueue(queued-s.state.Queued(), payload-s.state.QueuedPayload())
	return messages
}

// giveUp takes from s what its connection has left behind: what it was not sent, and what
// it was sent with QoS 1 and has not acknowledged if another member is connected, or s is
// no member any more. The rest waits for whoever comes first: this client, or another that
// gathers it. The caller holds s.mu, and has taken the connection away.
func (b *batch) giveUp(s *liveSession) (all []given) {
	sh := s.sharing.Load()
	if sh == nil || b.broker.closing.Load() {
		return nil
	}
	for _, filter := range s.state.Shares() {
		g, _ := b.broker.groups.find(filter)
		if g == nil {
			continue // s has left it and was the last: what is left is its own
		}
		g.owed.Store(true) // before the look: who comes online after it sees it
		sent := sh.group(filter) == nil
		b.broker.router.Members(filter, func(o *liveSession) bool {
			sent = sent || o != s && o.online()
			return !sent
		})
		if messages := b.takeBack(s, filter, sent); len(messages) > 0 {
			all = append(all, given{filter, messages})
		}
	}
	s.countLoad()
	return all
}

// give puts what was given back into the queues of its groups. The caller holds no lock.
func (b *batch) give(all []given) {
	for _, one := range all {
		b.place(one.filter, one.messages, true)
	}
}

// gather gives the groups of s, which has come online, what members that are not connected
// were sent with QoS 1 and have not acknowledged. The caller holds no lock.
func (b *batch) gather(s *liveSession) {
	sh := s.sharing.Load()
	if sh == nil {
		return
	}
	s.mu.Lock()
	groups := slices.Clone(sh.groups)
	s.mu.Unlock()
	for _, g := range groups {
		if !g.owed.Swap(false) {
			continue
		}
		var messages []*colibri.Message
		b.broker.router.Members(g.filter, func(o *liveSession) bool {
			if o != s && !o.online() {
				o.mu.Lock()
				if !o.online() {
					messages = append(messages, b.takeBack(o, g.filter, true)...)
				}
				o.mu.Unlock()
			}
			return true
		})
		if len(messages) > 0 {
			b.place(g.filter, messages, true)
		}
	}
}

// joined lets c's Session take from the groups that it has just become a member of. The
// caller holds no lock.
func (c *conn) joined(b *batch) {
	b.gather(c.session)
	c.session.pumpInto(b, c)
}

// leaveGroup ends the part of s in the group of filter, which it has unsubscribed from.
// What it was not sent goes to the others, if there are any; what it was sent it may still
// acknowledge. The caller holds no lock.
func (b *batch) leaveGroup(s *liveSession, filter string) {
	sh := s.sharing.Load()
	if sh == nil {
		return
	}
	s.mu.Lock()
	g := sh.group(filter)
	if _, again := s.state.Subscription(filter); g == nil || again {
		s.mu.Unlock()
		return
	}
	sh.groups = slices.DeleteFunc(sh.groups, func(one *shareGroup) bool { return one == g })
	var messages []*colibri.Message
	if _, members := b.broker.groups.find(filter); members > 1 {
		messages = b.takeBack(s, filter, false)
	}
	s.countLoad()
	s.mu.Unlock()
	if len(messages) > 0 {
		b.place(filter, messages, true)
	}
	b.leftGroup(g, sh.lasting)
}

// forgetGroups ends the part of an ended Session in all groups: the others get what it has
// not acknowledged, except QoS 2 messages that were sent [MQTT-4.8.2-5]. The caller holds
// no lock.
func (b *batch) forgetGroups(s *liveSession) {
	sh := s.sharing.Load()
	if sh == nil {
		return
	}
	var all []given
	s.mu.Lock()
	groups := sh.groups
	sh.groups = nil
	for _, filter := range s.state.Shares() {
		_, members := b.broker.groups.find(filter)
		if slices.ContainsFunc(groups, func(g *shareGroup) bool { return g.filter == filter }) {
			members--
		}
		if members > 0 && !b.broker.closing.Load() { // otherwise the messages end with the Session
			all = append(all, given{filter, b.takeBack(s, filter, true)})
		}
	}
	s.mu.Unlock()
	b.give(all)
	for _, g := range groups {
		b.leftGroup(g, sh.lasting)
	}
}

// leftGroup takes one member from g, whose queue goes with the last.
func (b *batch) leftGroup(g *shareGroup, lasting bool) {
	if lasting {
		g.lasting.Add(-1)
	}
	lost, payload, number := b.broker.groups.leave(g)
	b.recordGroupEnded(number)
	b.broker.counters.forgotQueue(lost, payload)
	b.broker.dropShared(g.filter, DropNoSubscribers, lost)
}

// dropShared counts messages that no member of a Shared Subscription gets.
func (b *Broker) dropShared(filter string, reason DropReason, n int) {
	if n == 0 {
		return
	}
	b.counters.dropped[reason].Add(int64(n))
	b.emit(Dropped{Share: filter, Reason: reason, Messages: n})
}
