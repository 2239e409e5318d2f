package broker

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// departedTable remembers connections that have ended, in a bounded number of bytes: when
// there are more, the oldest is forgotten. Its lock is a leaf.
type departedTable struct {
	mu     sync.Mutex
	most   int // bytes
	bytes  int
	list   []*TracedConnection // the oldest first; never changed once they are in it
	asking []uint64            // those of which the last packets are still to be looked for
}

const (
	lastPackets    = 16               // that are kept of a connection which has not ended by a goodbye
	lastAtOnce     = 64               // connections whose last packets are looked for at a time; those of more are not
	departedBytes  = 320              // what a remembered connection takes besides its texts and packets
	lastPacketSize = 160              // what one of its packets takes
	connectMargin  = 15 * time.Second // before a connection counts as open its CONNECT may have come
	departedText   = 1024             // what is kept of a Client Identifier or a user name that is longer
)

// size returns about how much memory t takes.
func (t *TracedConnection) size() int {
	return departedBytes + len(t.Client.ClientID) + len(t.Client.UserName) + len(t.Reason) + lastPacketSize*len(t.Last)
}

// ended remembers a connection that has ended. last says that its last packets are wanted, too.
func (r *recorder) ended(t *TracedConnection, last bool) {
	t.Client.ClientID = t.Client.ClientID[:min(len(t.Client.ClientID), departedText)]
	t.Client.UserName = t.Client.UserName[:min(len(t.Client.UserName), departedText)]
	g := &r.gone
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, t)
	g.bytes += t.size()
	if last && len(g.asking) < lastAtOnce {
		g.asking = append(g.asking, t.Number)
	}
	g.shrink()
}

// shrink forgets what there is no room for. The caller holds g.mu.
func (g *departedTable) shrink() {
	n := 0
	for ; g.bytes > g.most && n < len(g.list); n++ {
		g.bytes -= g.list[n].size()
		g.list[n] = nil
	}
	g.list = g.list[n:]
}

// addTo adds all to a map by their numbers.
func (g *departedTable) addTo(all map[uint64]*TracedConnection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.list {
		all[t.Number] = t
	}
}

// keepLast looks for the last packets of those that have ended since it was called before,
// while the recorder still has them. The sweep calls it.
func (r *recorder) keepLast() {
	g := &r.gone
	g.mu.Lock()
	asking := g.asking
	g.asking = nil
	since := time.Time{}
	for _, t := range g.list {
		if slices.Contains(asking, t.Number) && (since.IsZero() || t.Opened.Before(since)) {
			since = t.Opened
		}
	}
	g.mu.Unlock()
	if len(asking) == 0 {
		return
	}
	found := r.lastOf(asking, since.Add(-connectMargin).UnixNano())
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range g.list {
		if last := found[t.Number]; len(last) > 0 && t.Last == nil {
			with := *t // others may read t
			with.Last = last
			g.bytes += with.size() - t.size()
			g.list[i] = &with
		}
	}
	g.shrink()
}

// lastOf returns the last packets of the connections with these numbers, the oldest first,
// which were opened at a time or later.
func (r *recorder) lastOf(numbers []uint64, since int64) map[uint64][]TracedPacket {
	found := make(map[uint64][]numberedPacket, len(numbers))
	for i := range r.shards {
		here := make(map[uint64][]numberedPacket, len(numbers))
		missing := len(numbers)
		r.shards[i].backwards(nil, func(block []byte) ([]byte, bool) {
			inBlock := make(map[uint64][]numberedPacket)
			trails := trailReader{b: block}
			begin := int64(0)
			for trails.next() {
				if begin == 0 {
					begin = trails.now
				}
				e := &trails.entry
				if e.kind == entryEnd || !slices.Contains(numbers, e.number) || len(here[e.number]) == lastPackets {
					continue
				}
				one := e.packet()
				one.Bytes = slices.Clone(one.Bytes)
				inBlock[e.number] = newest(append(inBlock[e.number], numberedPacket{one, trails.trail}))
			}
			for number, last := range inBlock {
				if here[number] = newest(append(last, here[number]...)); len(here[number]) == lastPackets {
					missing--
				}
			}
			return block, missing > 0 && begin >= since
		})
		for number, last := range here {
			found[number] = append(found[number], last...)
		}
	}
	all := make(map[uint64][]TracedPacket, len(numbers))
	for number, last := range found {
		slices.SortStableFunc(last, func(a, b numberedPacket) int { return cmp.Compare(a.trail, b.trail) })
		for _, one := range newest(last) {
			all[number] = append(all[number], one.TracedPacket)
		}
	}
	return all
}

// numberedPacket is a packet and the number of its trail.
type numberedPacket struct {
	TracedPacket
	trail uint64
}

// newest returns the last ones of packets, lastPackets at most.
func newest(packets []numberedPacket) []numberedPacket {
	return packets[max(0, len(packets)-lastPackets):]
}
