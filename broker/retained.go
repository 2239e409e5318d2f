package broker

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

// retainedStore holds the Retained Messages by topic. It is safe for concurrent use.
type retainedStore struct {
	names    topic.Names[colibri.Message]
	bytes    atomic.Int64 // of their topics and payloads
	payload  atomic.Int64 // of their payloads
	expiring atomic.Int64 // messages that expire
	sys      atomic.Int64 // messages under $SYS/
	sysBytes atomic.Int64 // as bytes

	graves sync.Mutex                  // a leaf
	recent map[string]uint64           // topics cleared lately, with the number of the change, for checkpoints; nil without a Log
	before map[string]uint64           // and those of the time before
	own    map[string]*colibri.Message // what the broker says of itself, by topic; guarded by graves
}

// ours notes that the broker itself retains m, or removes what it has retained.
func (r *retainedStore) ours(m *colibri.Message) {
	r.graves.Lock()
	defer r.graves.Unlock()
	if len(m.Payload) == 0 {
		delete(r.own, m.Topic)
		return
	}
	if r.own == nil {
		r.own = make(map[string]*colibri.Message)
	}
	r.own[m.Topic] = m
}

// isOurs reports whether m, which is retained, is what the broker says of itself: a client
// that may write below $SYS/ is promised its messages as elsewhere.
func (r *retainedStore) isOurs(m *colibri.Message) bool {
	if !isSys(m.Topic) {
		return false
	}
	r.graves.Lock()
	defer r.graves.Unlock()
	return r.own[m.Topic] == m
}

// bury notes that a topic was cleared.
func (r *retainedStore) bury(name string, number uint64) {
	r.graves.Lock()
	defer r.graves.Unlock()
	if r.recent != nil {
		r.recent[name] = number
	}
}

// forgetGraves forgets what was cleared in the time before the last call.
func (r *retainedStore) forgetGraves() {
	r.graves.Lock()
	defer r.graves.Unlock()
	if r.recent != nil && len(r.recent)+len(r.before) > 0 {
		r.before, r.recent = r.recent, make(map[string]uint64)
	}
}

// cleared returns the topics that were cleared lately, with the numbers of the changes.
func (r *retainedStore) cleared() map[string]uint64 {
	r.graves.Lock()
	defer r.graves.Unlock()
	all := maps.Clone(r.before)
	if all == nil {
		all = make(map[string]uint64)
	}
	maps.Copy(all, r.recent)
	return all
}

// isSys reports whether the topic name is part of the broker's own tree.
func isSys(name string) bool { return strings.HasPrefix(name, "$SYS/") }

// clients returns how many messages, and bytes of them, count against the limits of
// clients when one for name comes: those under $SYS/ do not, except for a client that may
// write there.
func (r *retainedStore) clients(name string) (messages int, bytes int64) {
	messages, bytes = r.names.Len(), r.bytes.Load()
	if !isSys(name) {
		messages, bytes = max(0, messages-int(r.sys.Load())), bytes-r.sysBytes.Load()
	}
	return messages, bytes
}

// changed counts that m, which may be nil, is retained for name in place of old.
func (r *retainedStore) changed(name string, old, m *colibri.Message) {
	more := retainedBytes(m) - retainedBytes(old)
	r.bytes.Add(more)
	if m != nil {
		r.payload.Add(int64(len(m.Payload)))
	}
	if old != nil {
		r.payload.Add(-int64(len(old.Payload)))
	}
	r.expiring.Add(int64(index(m != nil && m.Expires != 0) - index(old != nil && old.Expires != 0)))
	if isSys(name) {
		r.sysBytes.Add(more)
		r.sys.Add(int64(index(m != nil) - index(old != nil)))
	}
}

func retainedBytes(m *colibri.Message) int64 {
	if m == nil {
		return 0
	}
	return int64(len(m.Topic) + len(m.Payload))
}

// put retains m in place of what is retained for its topic; an empty payload removes that
// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]. It returns false, and changes nothing, when
// there would be more than count messages or bytes of them; 0 means no limit. number is
// that of the change, from numbers: of two changes of a topic the later has the greater.
func (r *retainedStore) put(m *colibri.Message, count, bytes int, numbers *atomic.Uint64) (number uint64, ok bool) {
	r.names.Update(m.Topic, func(old *colibri.Message) *colibri.Message {
		if len(m.Payload) == 0 {
			r.changed(m.Topic, old, nil)
			number, ok = numbers.Add(1), true
			r.bury(m.Topic, number)
			return nil
		}
		if !r.hasRoom(old, m, count, bytes) {
			return old
		}
		r.changed(m.Topic, old, m)
		number, ok = numbers.Add(1), true
		return m
	})
	return number, ok
}

// hasRoom reports whether m may be retained in place of old, which may be nil.
func (r *retainedStore) hasRoom(old, m *colibri.Message, count, bytes int) bool {
	more := retainedBytes(m) - retainedBytes(old)
	heldCount, heldBytes := r.clients(m.Topic)
	return !(count > 0 && old == nil && heldCount >= count || bytes > 0 && more > 0 && heldBytes+more > int64(bytes))
}

// retain replaces, or with an empty payload removes, what is retained for m's topic. m
// belongs to the store from now on. It returns false when a limit is reached.
func (b *batch) retain(publisher *liveSession, m *colibri.Message) bool {
	store, numbers, limits := &b.broker.retained, &b.broker.numbers.retained, &b.broker.limits
	if b.own { // without limits, and not recorded: nobody wants the values of before a restart
		store.ours(m)
		_, ok := store.put(m, 0, 0, numbers)
		return ok
	}
	if len(m.Payload) > 0 && b.broker.full() && publisher != nil { // with QoS 0: others are refused before
		b.broker.drop(publisher, DropStateFull, 1)
		return false
	}
	number, ok := store.put(m, limits.Retained, limits.RetainedBytes, numbers)
	if !ok {
		b.broker.drop(publisher, DropRetained, 1)
		return false
	}
	b.recordRetained(m, number)
	return true
}

// retainedFor returns what is retained for the topics that filter matches, and removes
// what has expired.
func (b *Broker) retainedFor(filter string, now time.Time) (messages []*colibri.Message) {
	b.retained.names.Select(filter, func(_ string, m *colibri.Message) bool {
		if m.Expired(now) {
			b.removeExpired(m)
		} else {
			messages = append(messages, m)
		}
		return true
	})
	return messages
}

// addRetained lets c's Session have what is retained for new Subscriptions.
func (c *conn) addRetained(b *batch, subscriptions []colibri.Subscription) {
	if len(subscriptions) == 0 || c.broker.retained.names.Len() == 0 {
		return
	}
	s := c.session
	s.mu.Lock()
	for _, sub := range subscriptions {
		if s.conn.Load() == c {
			s.state.AddRetained(sub)
		}
	}
	s.mu.Unlock()
	for s.supply(b) {
	}
}

// supply looks up the Retained Messages that s asks for, without holding its lock, and
// sends them as far as there is room. It returns false when s asks for none.
func (s *liveSession) supply(b *batch) bool {
	s.mu.Lock()
	filter, ok := s.state.WantRetained()
	s.mu.Unlock()
	if !ok {
		return false
	}
	p := s.permissions()
	messages := receivable(p, b.broker.retainedFor(filter, b.now))
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.permissions(); now != p { // the rules have changed meanwhile
		messages = receivable(now, messages)
	}
	s.state.SupplyRetained(filter, messages, b.broker.retained.names.Get)
	b.other.Reset()
	s.pump(b, &b.other)
	return true
}

// supplyRetained is supply in a goroutine of its own, which ends when s asks for no more.
func (b *Broker) supplyRetained(s *liveSession) {
	batch := b.takeBatch()
	defer batch.giveBack()
	for more := true; more; {
		more = s.supplyOnce(batch)
	}
}

// supplyOnce supplies s once, and records and sends what came of it.
func (s *liveSession) supplyOnce(b *batch) (more bool) {
	defer b.broker.decisions.end(b.broker.decisions.begin())
	b.now = time.Now()
	if !s.supply(b) {
		return false
	}
	b.recordAndReply()
	return true
}
