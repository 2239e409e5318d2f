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

// choose returns the member of g that receives the message, nil when none is online.
func (r *Router[S]) choose(g *group[S], name string, publisher S) *entry[S] {
	switch r.strategy {
	case LeastInflight:
		return r.leastInflight(g)
	case Sticky:
		return r.sticky(g)
	case HashClient:
		return r.hashed(g, r.key(publisher))
	case HashTopic:
		return r.hashed(g, Hash(name))
	}
	return r.next(g)
}

// next returns the next member in turn.
func (r *Router[S]) next(g *group[S]) *entry[S] {
	size := g.members.len()
	turn := g.choice.take(size)
	for i := range size {
		if e := g.members.at((turn + i) % size); r.online(e.subscriber) {
			g.choice.turn.Add(uint32(i)) // those passed by have had their turn, or the next would have two
			return e
		}
	}
	return nil
}

// take returns whose turn it is.
func (c *choice[S]) take(size int) int { return int((c.turn.Add(1) - 1) % uint32(size)) }

func (r *Router[S]) leastInflight(g *group[S]) (best *entry[S]) {
	size := g.members.len()
	turn := g.choice.take(size)
	least, passed := 0, 0
	for i := range size {
		e := g.members.at((turn + i) % size)
		if !r.online(e.subscriber) {
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
	if best != nil {
		g.choice.turn.Add(uint32(passed))
	}
	return best
}

// sticky returns the member chosen last, while it is one and online.
func (r *Router[S]) sticky(g *group[S]) *entry[S] {
	last := g.choice.stuck.Load()
	if last != nil && r.online(last.subscriber) {
		if last.at < g.members.len() && g.members.at(last.at).subscriber == last.subscriber {
			return g.members.at(last.at)
		}
		for i := range g.members.len() { // it has moved, or it is no member any more
			if e := g.members.at(i); e.subscriber == last.subscriber {
				g.choice.stuck.CompareAndSwap(last, &stuck[S]{e.subscriber, i})
				return e
			}
		}
	}
	for i := range g.members.len() {
		if e := g.members.at(i); r.online(e.subscriber) {
			g.choice.stuck.CompareAndSwap(last, &stuck[S]{e.subscriber, i})
			return e
		}
	}
	return nil
}

// hashed returns the member that weighs most for key. When members come and go, only the
// keys of those who went move, and those that the new ones win.
func (r *Router[S]) hashed(g *group[S], key uint64) (best *entry[S]) {
	most := uint64(0)
	for i := range g.members.len() {
		e := g.members.at(i)
		if !r.online(e.subscriber) {
			continue
		}
		if w := weight(key, r.key(e.subscriber)); best == nil || w > most {
			best, most = e, w
		}
	}
	return best
}

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
