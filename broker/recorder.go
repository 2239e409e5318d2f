package broker

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// recorder is the flight recorder: the beginnings of the last packets of everybody, in
// constant memory. A batch notes what passes in a trail of its own, which costs a few writes
// for each packet, and hands the trail over once, when it flushes.
//
// The memory is cut into blocks. A trail goes into one block as a whole; when the last block
// is full the oldest is written again. So nothing has to be moved or searched, and what is in
// a block can be read without the others.
type recorder struct {
	shards [recorderShards]recorderShard
	trails atomic.Uint64 // that were begun; they go to one shard after the other
	gone   departedTable
}

const (
	recorderShards = 4        // as many batches can hand over at the same time
	recorderBlock  = 16 << 10 // bytes of a block, and of the longest trail
	recorderLeast  = 512 << 10
)

// recorderShard is a part of the memory. Its lock is a leaf.
type recorderShard struct {
	mu     sync.Mutex
	blocks []byte
	used   []int  // bytes of each block
	at     int    // the block that is being written
	turns  uint64 // blocks that have been begun
}

// newRecorder returns a recorder of so many bytes, nil for 0. An eighth of them is for the
// connections that have ended.
func newRecorder(bytes int) *recorder {
	if bytes <= 0 {
		return nil
	}
	bytes = max(bytes, recorderLeast)
	r := &recorder{gone: departedTable{most: bytes / 8}}
	blocks := (bytes - bytes/8) / recorderShards / recorderBlock
	for i := range r.shards {
		r.shards[i] = recorderShard{blocks: make([]byte, blocks*recorderBlock), used: make([]int, blocks), turns: 1}
	}
	return r
}

// put appends a trail.
func (s *recorderShard) put(trail []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[s.at]+len(trail) > recorderBlock {
		s.at = (s.at + 1) % len(s.used)
		s.used[s.at] = 0
		s.turns++
	}
	s.used[s.at] += copy(s.blocks[s.at*recorderBlock+s.used[s.at]:], trail)
}

// A trail is a row of entries, each of 8 bytes or a multiple. An entry begins with a word: the
// number of the connection in its lower 40 bits, above it 16 bits that depend on the kind,
// above those the kind.
const (
	entryTime  = iota + 1 // the number of the trail, and in a second word the time of what follows, in nanoseconds since 1970
	entryIn               // a packet from the client: see trail.packet
	entryOut              // a packet to the client
	entrySame             // the packet to another client that stands so many words before, to this one too
	entryAlike            // likewise, with a first byte, a Packet Identifier and a Topic Alias of its own in a second word
	entryEnd              // the connection has ended
)

const (
	entryNumberBits = 40
	entryExtraBits  = 16
)

// trail is what a batch has noted since it has handed over. The zero value notes nothing.
type trail struct {
	recorder *recorder // nil without one
	number   uint64    // of the trail: what is in one with a higher number has not led to what is in this
	b        []byte
	bases    [4]trailBase
	base     int // where the next one goes
}

// trailBase is a PUBLISH in the trail to which others refer.
type trailBase struct {
	serial uint64 // of the publication; 0 for none
	at     int    // offset in the trail
	first  byte
	plain  bool // it has no place for a Packet Identifier or a Topic Alias
}

// word appends the beginning of an entry.
func (t *trail) word(kind int, extra int, number uint64) {
	t.b = binary.LittleEndian.AppendUint64(t.b, uint64(kind)<<(entryNumberBits+entryExtraBits)|
		uint64(extra)<<entryNumberBits|number&(1<<entryNumberBits-1))
}

// room makes room for an entry of the largest size, and notes the time when the trail begins.
func (t *trail) room(now time.Time) {
	if len(t.b)+16+RecordedBytes > recorderBlock {
		t.flush()
	}
	if len(t.b) == 0 {
		t.number = t.recorder.trails.Add(1)
		t.word(entryTime, 0, t.number)
		t.b = binary.LittleEndian.AppendUint64(t.b, uint64(now.UnixNano()))
	}
}

// packet notes a packet of length bytes that begins with head, and goes on with tail. What is
// at idAt and aliasAt may be another's; 0 for nothing.
func (t *trail) packet(kind int, number uint64, head, tail []byte, length, idAt, aliasAt int) {
	head = head[:min(len(head), RecordedBytes)]
	tail = tail[:min(len(tail), RecordedBytes-len(head))]
	kept := len(head) + len(tail)
	if idAt+2 > kept {
		idAt = 0
	}
	if aliasAt+2 > kept {
		aliasAt = 0
	}
	t.word(kind, kept, number)
	t.b = binary.LittleEndian.AppendUint64(t.b, uint64(uint32(length))|uint64(idAt)<<32|uint64(aliasAt)<<40)
	t.b = append(append(t.b, head...), tail...)
	for len(t.b)%8 != 0 {
		t.b = append(t.b, 0)
	}
}

// publish notes a PUBLISH to the connection of that number: once as a packet, for further
// receivers of the same as a reference to it.
func (t *trail) publish(number uint64, p *publication, now time.Time) {
	t.room(now)
	for i := range t.bases {
		base := &t.bases[i]
		if base.serial != p.serial {
			continue
		}
		back := (len(t.b) - base.at) / 8
		if base.plain && base.first == p.first {
			t.word(entrySame, back, number)
			return
		}
		t.word(entryAlike, back, number)
		t.b = binary.LittleEndian.AppendUint64(t.b, uint64(p.first)|uint64(p.id)<<8|uint64(p.alias)<<24)
		return
	}
	at := len(t.b)
	t.packet(entryOut, number, p.bytes, p.payload, p.size(), p.idAt, p.aliasAt)
	p.patch(t.b[at+16:])
	t.bases[t.base] = trailBase{serial: p.serial, at: at, first: p.first, plain: p.idAt == 0 && p.aliasAt == 0}
	t.base = (t.base + 1) % len(t.bases)
}

// patch writes what is p's own over bytes that begin as the publication does.
func (p *publication) patch(b []byte) {
	b[0] = p.first
	if p.idAt > 0 && p.idAt+2 <= len(b) {
		binary.BigEndian.PutUint16(b[p.idAt:], p.id)
	}
	if p.alias > 0 && p.aliasAt+2 <= len(b) {
		binary.BigEndian.PutUint16(b[p.aliasAt:], p.alias)
	}
}

// flush hands the trail over.
func (t *trail) flush() {
	if len(t.b) == 0 {
		return
	}
	t.recorder.shards[t.number%recorderShards].put(t.b)
	t.b = t.b[:0]
	t.bases = [len(t.bases)]trailBase{}
}

// keep notes one packet, or an end, outside of a batch. Its secrets are masked.
func (r *recorder) keep(number uint64, one *TracedPacket) {
	var space [32 + RecordedBytes]byte
	t := trail{recorder: r, b: space[:0]}
	t.room(one.Time)
	switch {
	case one.Length == 0:
		t.word(entryEnd, 0, number)
	case one.ToClient:
		t.packet(entryOut, number, one.Bytes, nil, one.Length, 0, 0)
	default:
		t.packet(entryIn, number, one.Bytes, nil, one.Length, 0, 0)
	}
	t.flush()
}
