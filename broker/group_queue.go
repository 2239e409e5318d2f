package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
)

// shareGroups finds the group of a Shared Subscription by its Topic Filter. Its lock is a
// leaf.
type shareGroups struct {
	mu     sync.Mutex
	groups map[string]*shareGroup
}

// shareGroup is a Shared Subscription with its queue, while it has members.
type shareGroup struct {
	filter  string
	members int          // guarded by the lock of shareGroups
	lasting atomic.Int64 // of them the Log knows so many
	waiting atomic.Int64 // length of the queue
	passed  atomic.Bool  // a member that may not receive it has passed by something in the queue
	owed    atomic.Bool  // members that are not connected may hold what they were sent and have not acknowledged

	mu      sync.Mutex // guards what follows; a leaf
	queue   []waiting
	bytes   int
	payload int   // of all that waits
	expires int64 // no message in the queue expires before, in nanoseconds since 1970; 0 when none does
	ended   bool  // the last member has gone

	number     uint64 // in the Log, as a Session of its own; 0 without
	deliveries uint64 // the last number of what has waited
	recording  ledges // of these numbers
	recorded   uint64 // what has a greater number is not to be taken yet
	hungry     bool   // ask the members when the first is recorded: nobody has, or one was turned away

	lent map[uint64]*colibri.Message // what members have that the Log does not know, and stays the group's there
}

// waiting is a message in the queue of a group.
type waiting struct {
	message *colibri.Message
	number  uint64 // in the Log; 0 without
}

// queued says what became of messages that were put into a queue.
type queued struct {
	wasEmpty                bool
	expired, replaced, full int // messages that are not in the queue any more, or never were
	messages, payload       int // by which the queue has grown

	group, first uint64   // numbers of the group and of the first message in the Log; 0 without
	ended        []uint64 // numbers of what is not in the queue any more
}

// join returns the group of filter, with one member more.
func (gs *shareGroups) join(filter string) *shareGroup {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.groups[filter]
	if g == nil {
		if gs.groups == nil {
			gs.groups = make(map[string]*shareGroup)
		}
		g = &shareGroup{filter: filter}
		gs.groups[filter] = g
	}
	g.members++
	return g
}

// leave takes one member from g. It returns how many messages are lost with the last, and
// the bytes of their payloads.
func (gs *shareGroups) leave(g *shareGroup) (lost, payload int, number uint64) {
	gs.mu.Lock()
	if g.members--; g.members > 0 {
		gs.mu.Unlock()
		return 0, 0, 0
	}
	delete(gs.groups, g.filter)
	gs.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	lost, payload, number = len(g.queue), g.payload, g.number
	g.ended, g.queue, g.lent, g.bytes, g.payload = true, nil, nil, 0, 0
	g.waiting.Store(0)
	return lost, payload, number
}

// find returns the group of filter and the number of its members; nil without any.
func (gs *shareGroups) find(filter string) (g *shareGroup, members int) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g = gs.groups[filter]; g == nil {
		return nil, 0
	}
	return g, g.members
}

// put queues messages, before those that wait when first says so. As in the queue of a
// Session what has expired gives way first, and then the newest or the oldest. ok is false
// when the last member has gone meanwhile.
// numbers counts up the groups in the Log; nil without one.
func (g *shareGroup) put(now time.Time, messages []*colibri.Message, first bool, limits *session.Limits, numbers *atomic.Uint64) (r queued, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return r, false
	}
	r.wasEmpty = len(g.queue) == 0
	messagesBefore, payloadBefore := len(g.queue), g.payload
	added := make([]waiting, len(messages))
	for i, m := range messages {
		added[i].message = m
	}
	if numbers != nil {
		if g.number == 0 {
			g.number = numbers.Add(1)
		}
		r.group, r.first = g.number, g.deliveries+1
		for i := range added {
			added[i].number = g.nextNumber()
		}
		g.hungry = g.hungry || r.wasEmpty || g.passed.Load()
	}
	if first {
		g.queue = append(added, g.queue...)
	} else {
		g.queue = append(g.queue, added...)
	}
	for _, m := range messages {
		g.count(m, 1)
		g.expiring(m)
	}
	if g.over(limits, 0, 0) {
		r.expired, r.ended = g.expire(now)
	}
	for len(g.queue) > 0 && g.over(limits, 0, 0) {
		last := len(g.queue) - 1
		newest := session.MessageBytes(g.queue[last].message)
		if fits := limits.QueueBytes == 0 || newest <= limits.QueueBytes; limits.DropOldest && fits {
			r.ended = append(r.ended, g.queue[0].number)
			g.count(g.queue[0].message, -1)
			g.queue[0] = waiting{}
			g.queue = g.queue[1:]
			r.replaced++
			continue
		}
		r.ended = append(r.ended, g.queue[last].number)
		g.count(g.queue[last].message, -1)
		g.queue[last] = waiting{}
		g.queue = g.queue[:last]
		r.full++
	}
	g.waiting.Store(int64(len(g.queue)))
	r.messages, r.payload = len(g.queue)-messagesBefore, g.payload-payloadBefore
	return r, true
}

// nextNumber returns the number of what waits next; finish says that it is recorded. The
// caller holds g.mu.
func (g *shareGroup) nextNumber() uint64 {
	g.deliveries++
	g.recording.begin(g.deliveries)
	return g.deliveries
}

// finish says that the numbers from first to last are recorded. It returns whether the
// members are to be asked now.
func (g *shareGroup) finish(first, last uint64) (ask bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for number := first; number <= last; number++ {
		g.recorded = g.recording.finish(number)
	}
	if ask = g.hungry && len(g.queue) > 0 && g.queue[0].number <= g.recorded; ask {
		g.hungry = false
	}
	return ask
}

// count counts m in, or out with -1. The caller holds g.mu.
func (g *shareGroup) count(m *colibri.Message, by int) {
	g.bytes += by * session.MessageBytes(m)
	g.payload += by * len(m.Payload)
}

// passBy is how many messages a member that may not receive them looks past, to find one
// that it may have.
const passBy = 1024

// take removes the first message that has not expired and that p allows; nil when there is
// none, or it is not recorded that it waits. payload is what goes with it and those that have
// expired, number that of the message in the Log, and ended are those of the expired. With
// lends it stays the group's in the Log if it is sent with QoS 1 when this QoS is granted.
func (g *shareGroup) take(now time.Time, p Permissions, lends bool, granted colibri.QoS) (m *colibri.Message, number uint64, expired, payload int, ended []uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	payload = g.payload
	for at := 0; m == nil && at < len(g.queue) && at < passBy; {
		if g.queue[at].number > g.recorded {
			g.hungry = true
			break
		}
		m, number = g.queue[at].message, g.queue[at].number
		if p != nil && !p.Receive(m.Topic) {
			g.passed.Store(true)
			m = nil
			at++
			continue
		}
		copy(g.queue[1:at+1], g.queue[:at])
		g.queue[0] = waiting{}
		g.queue = g.queue[1:]
		g.count(m, -1)
		if m.Expired(now) { // [MQTT-3.3.2-5]
			if number != 0 {
				ended = append(ended, number)
			}
			m = nil
			expired++
		} else if lends && min(m.QoS, granted) == colibri.AtLeastOnce {
			g.lend(number, m)
		}
	}
	if len(g.queue) == 0 {
		g.queue, g.expires = nil, 0
		g.passed.Store(false)
	}
	g.waiting.Store(int64(len(g.queue)))
	return m, number, expired, payload - g.payload, ended
}

// expire removes what has expired. The caller holds g.mu.
func (g *shareGroup) expire(now time.Time) (expired int, ended []uint64) {
	if g.expires == 0 || now.UnixNano() < g.expires {
		return 0, nil
	}
	g.expires = 0
	kept := g.queue[:0]
	for _, w := range g.queue {
		if w.message.Expired(now) {
			g.count(w.message, -1)
			expired++
			ended = append(ended, w.number)
			continue
		}
		kept = append(kept, w)
		g.expiring(w.message)
	}
	clear(g.queue[len(kept):])
	g.queue = kept
	return expired, ended
}

// expiring notes when m expires. The caller holds g.mu.
func (g *shareGroup) expiring(m *colibri.Message) {
	if m.Expires != 0 && (g.expires == 0 || m.Expires < g.expires) {
		g.expires = m.Expires
	}
}

// foresee returns whether put would take m at the end of the queue, and changes nothing.
func (g *shareGroup) foresee(now time.Time, m *colibri.Message, limits *session.Limits) (takes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	size := session.MessageBytes(m)
	if !g.over(limits, 1, size) {
		return true
	}
	if fits := limits.QueueBytes == 0 || size <= limits.QueueBytes; limits.DropOldest && fits {
		return true
	}
	if g.expires == 0 || now.UnixNano() < g.expires {
		return false
	}
	expired, bytes := 0, 0
	for _, w := range g.queue {
		if w.message.Expired(now) {
			expired++
			bytes += session.MessageBytes(w.message)
		}
	}
	return !g.over(limits, 1-expired, size-bytes)
}

// over reports whether the queue is longer than it may be, with further messages of so many
// bytes. The caller holds g.mu.
func (g *shareGroup) over(limits *session.Limits, messages, bytes int) bool {
	return limits.QueueMessages > 0 && len(g.queue)+messages > limits.QueueMessages ||
		limits.QueueBytes > 0 && g.bytes+bytes > limits.QueueBytes
}
