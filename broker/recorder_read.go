package broker

import (
	"cmp"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"time"
)

// Recorded yields what the flight recorder has of the connections that pick chooses, nil for
// all: about in the order of time, and as they passed for each connection and direction. The
// connections are shared by their packets; their Last is not set. A packet's Bytes are valid
// until the next. It copies the recorder's memory first and then takes as long as it likes.
// Without a recorder there is nothing.
func (b *Broker) Recorded(pick func(*TracedConnection) bool) iter.Seq[TracedPacket] {
	return func(yield func(TracedPacket) bool) {
		if b.recorder == nil {
			return
		}
		shards := b.recorder.snapshot()
		names := b.tracedConnections()
		chosen := make(map[uint64]bool, len(names))
		for number, c := range names {
			chosen[number] = pick == nil || pick(c)
		}
		mergeTrails(shards, func(e *entry) bool {
			take, known := chosen[e.number]
			if !known { // it is forgotten
				names[e.number] = &TracedConnection{Number: e.number}
				take = pick == nil || pick(names[e.number])
				chosen[e.number] = take
			}
			if !take {
				return true
			}
			one := e.packet()
			one.Connection = names[e.number]
			if e.kind == entryEnd {
				one.Reason = one.Connection.Reason
			}
			return yield(one)
		})
	}
}

// TracedConnections returns what is known of the connections of the client with a ClientID:
// those that the flight recorder remembers, the oldest first, and behind them the one that is
// open, which is there without a recorder, too.
func (b *Broker) TracedConnections(clientID string) []*TracedConnection {
	all := b.tracedConnections()
	maps.DeleteFunc(all, func(_ uint64, c *TracedConnection) bool { return c.Client.ClientID != clientID })
	return slices.SortedFunc(maps.Values(all), func(a, b *TracedConnection) int { return cmp.Compare(a.Number, b.Number) })
}

// tracedConnections returns the connections that are known, by number.
func (b *Broker) tracedConnections() map[uint64]*TracedConnection {
	all := make(map[uint64]*TracedConnection)
	for _, c := range b.conns.which(func(*conn) bool { return true }) {
		all[c.number] = c.traced()
	}
	if b.recorder != nil { // afterwards, so that none is missed that ends meanwhile
		b.recorder.gone.addTo(all)
	}
	return all
}

// snapshot copies the trails of each shard, the oldest first.
func (r *recorder) snapshot() [][]byte {
	trails := make([][]byte, len(r.shards))
	for i := range r.shards {
		blocks := make([][]byte, 0, len(r.shards[i].used))
		r.shards[i].backwards(nil, func(block []byte) ([]byte, bool) {
			blocks = append(blocks, block)
			return nil, true
		})
		slices.Reverse(blocks)
		trails[i] = slices.Concat(blocks...)
	}
	return trails
}

// backwards calls each with a copy of each block, the newest first, until it returns false. The
// copy is made in space, and then in what each returns; nil for new memory. The lock is held
// for one block at a time, so that nobody waits for long.
func (s *recorderShard) backwards(space []byte, each func(block []byte) (space []byte, more bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocks := uint64(len(s.used))
	for turn, more := s.turns, true; more && turn > 0 && turn+blocks > s.turns; turn-- {
		at := int((turn - 1) % blocks)
		block := append(space[:0], s.blocks[at*recorderBlock:][:s.used[at]]...)
		s.mu.Unlock()
		space, more = each(block)
		s.mu.Lock()
	}
}

// entry is one entry of a trail.
type entry struct {
	kind   int
	number uint64
	at     int64  // nanoseconds since 1970
	length int    // of the whole packet
	bytes  []byte // valid until the next entry
}

func (e *entry) packet() TracedPacket {
	return TracedPacket{Time: time.Unix(0, e.at), ToClient: e.kind == entryOut, Length: e.length, Bytes: e.bytes}
}

// trailReader reads the trails of one shard, one behind the other.
type trailReader struct {
	b     []byte
	at    int
	trail uint64 // the number of that which is being read
	now   int64  // its time
	space [RecordedBytes]byte
	entry entry
}

// next reads the next entry into r.entry; false when there is none.
func (r *trailReader) next() bool {
	for r.at+8 <= len(r.b) {
		word := binary.LittleEndian.Uint64(r.b[r.at:])
		kind := int(word >> (entryNumberBits + entryExtraBits))
		extra := int(word >> entryNumberBits & (1<<entryExtraBits - 1))
		r.entry = entry{kind: kind, number: word & (1<<entryNumberBits - 1), at: r.now}
		start := r.at
		r.at += 8
		switch kind {
		case entryTime:
			r.trail = r.entry.number
			r.now = int64(binary.LittleEndian.Uint64(r.b[r.at:]))
			r.at += 8
			continue
		case entryIn, entryOut:
			r.load(start)
			r.at += 8 + (extra+7)/8*8
		case entrySame:
			r.load(start - 8*extra)
			r.entry.kind = entryOut
		case entryAlike:
			idAt, aliasAt := r.load(start - 8*extra)
			own := binary.LittleEndian.Uint64(r.b[r.at:])
			r.at += 8
			r.entry.kind = entryOut
			p := publication{first: byte(own), id: uint16(own >> 8), alias: uint16(own >> 24), idAt: idAt, aliasAt: aliasAt}
			p.patch(r.entry.bytes)
		}
		return true
	}
	return false
}

// load copies what the packet at an offset is into r.entry.
func (r *trailReader) load(at int) (idAt, aliasAt int) {
	kept := int(binary.LittleEndian.Uint64(r.b[at:]) >> entryNumberBits & (1<<entryExtraBits - 1))
	second := binary.LittleEndian.Uint64(r.b[at+8:])
	r.entry.length = int(uint32(second))
	r.entry.bytes = r.space[:copy(r.space[:], r.b[at+16:at+16+kept])]
	return int(byte(second >> 32)), int(byte(second >> 40))
}

// mergeTrails calls each with the entries of all shards in the order of their trails, until it
// returns false.
func mergeTrails(shards [][]byte, each func(*entry) bool) {
	readers := make([]*trailReader, 0, len(shards))
	for _, b := range shards {
		if r := (&trailReader{b: b}); r.next() {
			readers = append(readers, r)
		}
	}
	for len(readers) > 0 {
		first := 0
		for i, r := range readers {
			if r.trail < readers[first].trail {
				first = i
			}
		}
		r := readers[first]
		if !each(&r.entry) {
			return
		}
		if !r.next() {
			readers = slices.Delete(readers, first, first+1)
		}
	}
}
