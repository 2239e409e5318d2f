package router

import "sync/atomic"

// Strategy says which member of a Shared Subscription receives a message, among those
// that are online.
type Strategy byte

// The strategies.
const (
	RoundRobin    Strategy = iota // in turn
	LeastInflight                 // the one with the least load; in turn among equals
	Sticky                        // the same one, until it leaves
	HashClient                    // the same one for all messages of one publisher
	HashTopic                     // the same one for all messages of one topic
)

// Options are what a Router has to know of the handles, to choose members. The functions
// are called by Route, by many goroutines: they must not block.
type Options[S comparable] struct {
	Strategy Strategy
	// Online says whether a member can receive now.
	Online func(S) bool
	// Receives says whether a member may have a message of this topic; nil: all of them may.
	Receives func(s S, name string) bool
	// Load says how many messages a member has not acknowledged yet; LeastInflight needs it.
	Load func(S) int
	// Key tells handles apart, members and publishers, and never changes; Hash of a ClientID
	// will do. HashClient and HashTopic need it.
	Key func(S) uint64
}

// Hash is a Key for a name. It is the same everywhere and always (FNV-1a), so that a
// publisher or topic keeps its member when the broker is started again.
func Hash(name string) uint64 {
	h := uint64(14_695_981_039_346_656_037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1_099_511_628_211
	}
	return h
}

// weight orders the members for a key: each key has an order of its own.
func weight(key, member uint64) uint64 {
	x := key ^ member*0x9E37_79B9_7F4A_7C15
	x = (x ^ x>>30) * 0xBF58_476D_1CE4_E5B9
	x = (x ^ x>>27) * 0x94D0_49BB_1331_11EB
	return x ^ x>>31
}

// choice is what a group remembers from one message to the next. The successors of the
// group have the same one.
type choice[S comparable] struct {
	turn  atomic.Uint32
	stuck atomic.Pointer[stuck[S]]
}

// stuck is the member that Sticky has chosen, and where it was seen last.
type stuck[S comparable] struct {
	subscriber S
	at         int
}

// choose returns the member of g that receives the message, nil when none is online
// that may have it. take says that the message is sent to it: the next one has the turn then.
func (r *Router[S]) choose(g *group[S], name string, publisher S, take bool) *entry[S] {
	switch r.strategy {
	case LeastInflight:
		return r.leastInflight(g, name, take)
	case Sticky:
		return r.sticky(g, name, take)
	case HashClient:
		return r.hashed(g, r.key(publisher), name)
	case HashTopic:
		return r.hashed(g, Hash(name), name)
	}
	return r.next(g, name, take)
}

// takes reports whether a member can and may have a message of this topic now.
func (r *Router[S]) takes(s S, name string) bool {
	return r.online(s) && (r.receives == nil || r.receives(s, name))
}

// next returns the next member in turn.
func (r *Router[S]) next(g *group[S], name string, take bool) *entry[S] {
	size := g.members.len()
	turn := g.choice.at(size, take)
	for i := range size {
		if e := g.members.at((turn + i) % size); r.takes(e.subscriber, name) {
			if take {
				g.choice.turn.Add(uint32(i)) // those passed by have had their turn, or the next would have two
			}
			return e
		}
	}
	return nil
}

// at returns whose turn it is, and goes on to the next when the turn is taken.
func (c *choice[S]) at(size int, take bool) int {
	if !take {
		return int(c.turn.Load() % uint32(size))
	}
	return int((c.turn.Add(1) - 1) % uint32(size))
}

func (r *Router[S]) leastInflight(g *group[S], name string, take bool) (best *entry[S]) {
	size := g.members.len()
	turn := g.choice.at(size, take)
	least, passed := 0, 0
	for i := range size {
		e := g.members.at((turn + i) % size)
		if !r.takes(e.subscriber, name) {
			continue
		}
		load := r.load(e.subscriber)
		if best == nil || load < least {
			best, least, passed = e, load, i
		}
		if load <= 0 {
			break
		}
	}
	if best != nil && take {
		g.choice.turn.Add(uint32(passed))
	}
	return best
}

// sticky returns the member chosen last, while it is one and online.
func (r *Router[S]) sticky(g *group[S], name string, take bool) *entry[S] {
	last := g.choice.stuck.Load()
	if last != nil && r.takes(last.subscriber, name) {
		if last.at < g.members.len() && g.members.at(last.at).subscriber == last.subscriber {
			return g.members.at(last.at)
		}
		for i := range g.members.len() { // it has moved, or it is no member any more
			if e := g.members.at(i); e.subscriber == last.subscriber {
				g.choice.stick(last, e, i, take)
				return e
			}
		}
	}
	for i := range g.members.len() {
		if e := g.members.at(i); r.takes(e.subscriber, name) {
			g.choice.stick(last, e, i, take)
			return e
		}
	}
	return nil
}

// stick remembers e, which stands at i, in place of last, when a message is sent to it.
func (c *choice[S]) stick(last *stuck[S], e *entry[S], i int, take bool) {
	if take {
		c.stuck.CompareAndSwap(last, &stuck[S]{e.subscriber, i})
	}
}

// hashed returns the member that weighs most for key. When members come and go, only the
// keys of those who went move, and those that the new ones win.
func (r *Router[S]) hashed(g *group[S], key uint64, name string) (best *entry[S]) {
	most := uint64(0)
	for i := range g.members.len() {
		e := g.members.at(i)
		if !r.takes(e.subscriber, name) {
			continue
		}
		if w := weight(key, r.key(e.subscriber)); best == nil || w > most {
			best, most = e, w
		}
	}
	return best
}

// Strategy returns that of the Router.
func (r *Router[S]) Strategy() Strategy { return r.strategy }

// Members yields the members of the Shared Subscription with this Topic Filter, those
// that are not online too, until yield returns false. It takes no lock: who subscribes
// meanwhile may be missing.
func (r *Router[S]) Members(filter string, yield func(S) bool) {
	g := r.group(filter)
	if g == nil {
		return
	}
	for i := range g.members.len() {
		if !yield(g.members.at(i).subscriber) {
			return
		}
	}
}
