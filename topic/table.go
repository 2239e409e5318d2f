package topic

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// key identifies a text in a table by 16 bytes, so that a look-up compares no strings and
// touches no memory but its slot. b is never 0: that marks an empty slot.
//
// A level of up to 15 bytes is its own key, a longer one and a whole filter are hashed to
// about 120 bits with seeds that no peer knows: among 10^9 of them the chance that two
// share a key is below 10^-18.
type key struct{ a, b uint64 }

// The two seeds of the identity and the two words that spread keys over a table, drawn
// once per process.
var (
	seedA, seedB     = maphash.MakeSeed(), maphash.MakeSeed()
	spreadA, spreadB = maphash.String(seedA, "spread"), maphash.String(seedB, "spread")
)

// The top byte of b says what a key was made of; for short levels it is their length
// plus 1, so 1 to 16. Only the keys of levels meet each other in a table.
const (
	longLevel   = 0xff << 56
	longDollar  = 0xfe << 56 // a long level that begins with "$"
	shortLength = 15
)

// textKey returns the key of a whole filter or name.
func textKey(text string) key {
	return key{maphash.String(seedA, text), maphash.String(seedB, text) | 1}
}

// levelKey returns the key of one level.
func levelKey(level string) key {
	n := len(level)
	switch {
	case n > shortLength:
		kind := uint64(longLevel)
		if level[0] == '$' {
			kind = longDollar
		}
		return key{maphash.String(seedA, level), maphash.String(seedB, level)>>8 | kind}
	case n >= 8: // the first 8 bytes, then those of the last 8 that are left
		return key{load64(level), load64(level[n-8:])>>(8*(16-n)) | uint64(n+1)<<56}
	case n >= 4: // the first 4 bytes and the last 4, some of them twice
		return key{load32(level) | load32(level[n-4:])<<32, uint64(n+1) << 56}
	}
	var a uint64
	for i := range n {
		a |= uint64(level[i]) << (8 * i)
	}
	return key{a, uint64(n+1) << 56}
}

// dollar reports whether the level that k was made of begins with "$".
func (k key) dollar() bool {
	switch kind := k.b >> 56; kind {
	case longLevel >> 56:
		return false
	case longDollar >> 56:
		return true
	default:
		return kind > 1 && byte(k.a) == '$'
	}
}

func load64(s string) uint64 {
	return load32(s) | load32(s[4:])<<32
}

func load32(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// home returns where the search for k starts in a table of n slots. It is seeded, because
// short levels are their own keys and peers choose them.
func (k key) home(n int) int {
	high, low := bits.Mul64(k.a^spreadA, k.b^spreadB)
	high, low = bits.Mul64(high^spreadB, low^spreadA)
	home, _ := bits.Mul64(high^low, uint64(n))
	return int(home)
}

// table is an open-addressing hash table with linear probing. Any number of readers use it
// without a lock while one writer, who holds the lock of its owner, changes it in place.
//
// What makes that safe: a slot gets its key once and keeps it for the life of the table. A
// writer fills a, then v, then b; a reader looks at b first. Deleting only clears v. The
// dead slots go when the table is replaced as a whole, by a bigger or a smaller one;
// a reader that is still in the old one sees a state that was true during its call.
type table[T any] struct {
	slots      []slot[T]
	live, used int32 // slots with a value, slots with a key; for the writer only
}

type slot[T any] struct {
	b, a atomic.Uint64
	v    atomic.Pointer[T]
}

// newTable returns an empty table of n slots. Small ones are one allocation.
func newTable[T any](n int) *table[T] {
	switch n {
	case 1:
		small := &struct {
			table table[T]
			slots [1]slot[T]
		}{}
		small.table.slots = small.slots[:]
		return &small.table
	case 2:
		small := &struct {
			table table[T]
			slots [2]slot[T]
		}{}
		small.table.slots = small.slots[:]
		return &small.table
	case 4:
		small := &struct {
			table table[T]
			slots [4]slot[T]
		}{}
		small.table.slots = small.slots[:]
		return &small.table
	}
	return &table[T]{slots: make([]slot[T], n)}
}

// smallTable is the size up to which a table may be full: it is searched to its end anyway.
const smallTable = 8

// slotsFor returns the size of a new table for live values.
func slotsFor(live int32) int {
	if live > smallTable {
		return 2 * int(live)
	}
	return 1 << bits.Len32(uint32(live-1))
}

// full reports whether another key needs another table: at three quarters, beyond which
// searches for absent keys get long.
func (t *table[T]) full() bool {
	n := len(t.slots)
	if n > smallTable {
		n -= n / 4
	}
	return int(t.used) == n
}

// find returns the slot that holds k, with or without a value, or nil.
func (t *table[T]) find(k key) *slot[T] {
	slots := t.slots
	i := k.home(len(slots))
	for range slots {
		s := &slots[i]
		switch b := s.b.Load(); {
		case b == 0:
			return nil
		case b == k.b && s.a.Load() == k.a:
			return s
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
	return nil
}

// get returns the value of k or nil. t may be nil.
func (t *table[T]) get(k key) *T {
	if t == nil {
		return nil
	}
	if s := t.find(k); s != nil {
		return s.v.Load()
	}
	return nil
}

// add puts k, which t does not hold, into t, which is not full.
func (t *table[T]) add(k key, v *T) {
	i := k.home(len(t.slots))
	for t.slots[i].b.Load() != 0 {
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	s := &t.slots[i]
	s.a.Store(k.a)
	s.v.Store(v)
	s.b.Store(k.b)
	t.live++
	t.used++
}

// resized returns a table of n slots with the values of t, without its dead slots.
func (t *table[T]) resized(n int) *table[T] {
	fresh := newTable[T](n)
	for i := range t.slots {
		s := &t.slots[i]
		if v := s.v.Load(); v != nil {
			fresh.add(key{s.a.Load(), s.b.Load()}, v)
		}
	}
	return fresh
}

// put sets the value of k in the table at at, nil to delete it, and returns the one it
// replaced. The caller holds the lock of the table's owner.
func put[T any](at *atomic.Pointer[table[T]], k key, v *T) (old *T) {
	t := at.Load()
	if t == nil {
		if v != nil {
			t = newTable[T](1)
			t.add(k, v)
			at.Store(t)
		}
		return nil
	}
	if s := t.find(k); s != nil {
		old = s.v.Load()
		s.v.Store(v)
		switch {
		case old == nil && v != nil:
			t.live++
		case old != nil && v == nil:
			t.live--
			shrink(at, t)
		}
		return old
	}
	if v == nil {
		return nil
	}
	if !t.full() {
		t.add(k, v)
		return nil
	}
	fresh := t.resized(slotsFor(t.live + 1))
	fresh.add(k, v)
	at.Store(fresh)
	return nil
}

// shrink replaces t, the table at at, if half of it would do.
func shrink[T any](at *atomic.Pointer[table[T]], t *table[T]) {
	if t.live == 0 {
		at.Store(nil)
	} else if n := slotsFor(t.live); 2*n <= len(t.slots) {
		at.Store(t.resized(n))
	}
}
