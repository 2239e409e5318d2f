package topic

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Tree is the index from Topic Filters to values: it finds the values of all filters that
// match a name. The zero value is empty and ready. A Tree must not be copied.
//
// All methods are safe for concurrent use. Readers (Get, Match, All, Len) take no lock and
// never wait; a writer locks the part of the index that its filter belongs to. A filter
// that is in the Tree during the whole of a reader's call is seen by it once; one that is
// set, replaced or deleted meanwhile is seen before or after. Values are handed out as they
// are: a Tree does not guard what V holds.
//
// Filters without wildcards, most of all subscriptions, live in hash tables and cost one
// memory access to find; filters with wildcards live in a trie. Keys are kept as 16-byte
// identities, so the Tree keeps nothing of the filters' memory. What deleted filters took
// is given back as tables shrink and empty branches are cut.
//
// The work of Match is bounded by the filters present: it visits a branch of the trie at
// most once, and only as deep as there are filters, however many levels the name has. A
// filter with wildcards takes about 100 bytes for each level that it shares with no other,
// so whoever accepts filters from strangers limits their levels.
type Tree[V any] struct {
	count  atomic.Int64
	exact  [shards]atomic.Pointer[table[V]] // filters without wildcards, by textKey
	locks  [shards]sync.Mutex               // for the writers of exact
	root   treeNode[V]                      // filters with wildcards
	growth sync.Mutex                       // for the writers of root and everything below
}

// shards is the number of tables that the filters without wildcards are spread over, so
// that replacing one is short and writers seldom meet.
const shards = 256

func (k key) shard() uint64 { return k.a % shards }

// treeNode is a place in the trie: the filters that begin with the levels that lead to it.
type treeNode[V any] struct {
	value    atomic.Pointer[V] // of the filter that ends here
	rest     atomic.Pointer[V] // of the filter that has only a "#" more
	plus     atomic.Pointer[treeNode[V]]
	children atomic.Pointer[table[treeNode[V]]] // by levelKey
}

// Set makes v the value of filter, in place of the one it has. A nil v deletes it.
func (t *Tree[V]) Set(filter string, v *V) {
	t.Update(filter, func(*V) *V { return v })
}

// Delete removes filter and its value, if it is there.
func (t *Tree[V]) Delete(filter string) {
	t.Update(filter, func(*V) *V { return nil })
}

// Update replaces the value of filter by what change makes of it: nil stands for a filter
// that is not there, before and after. No other writer gets at the filter meanwhile, so
// change must be short and must not call Set, Delete or Update of the same Tree.
func (t *Tree[V]) Update(filter string, change func(old *V) *V) {
	if hasWildcard(filter) {
		t.updateTrie(filter, change)
		return
	}
	k := textKey(filter)
	at := &t.exact[k.shard()]
	lock := &t.locks[k.shard()]
	lock.Lock()
	defer lock.Unlock()
	old := at.Load().get(k)
	v := change(old)
	if v != old {
		put(at, k, v)
		t.recount(old, v)
	}
}

// recount keeps count up to date after old was replaced by v.
func (t *Tree[V]) recount(old, v *V) {
	if old == nil {
		t.count.Add(1)
	} else if v == nil {
		t.count.Add(-1)
	}
}

// updateTrie is Update for filters with wildcards.
func (t *Tree[V]) updateTrie(filter string, change func(old *V) *V) {
	t.growth.Lock()
	defer t.growth.Unlock()
	var old *V
	if place := t.root.find(filter); place != nil {
		old = place.Load()
	}
	v := change(old)
	switch {
	case v == old:
		return
	case v == nil:
		t.root.remove(filter)
	default:
		t.root.grow(filter).Store(v)
	}
	t.recount(old, v)
}

// find returns the place of filter's value below node, or nil if there is none.
func (node *treeNode[V]) find(filter string) *atomic.Pointer[V] {
	for more := true; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		switch {
		case level == "#" && !more:
			return &node.rest
		case level == "+":
			node = node.plus.Load()
		default:
			node = node.children.Load().get(levelKey(level))
		}
		if node == nil {
			return nil
		}
	}
	return &node.value
}

// grow returns the place of filter's value below node and makes the nodes that lead to it.
// The caller holds growth.
func (node *treeNode[V]) grow(filter string) *atomic.Pointer[V] {
	for more := true; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		if level == "#" && !more {
			return &node.rest
		}
		if level == "+" {
			if node.plus.Load() == nil {
				node.plus.Store(new(treeNode[V]))
			}
			node = node.plus.Load()
			continue
		}
		k := levelKey(level)
		child := node.children.Load().get(k)
		if child == nil {
			child = new(treeNode[V])
			put(&node.children, k, child)
		}
		node = child
	}
	return &node.value
}

// remove clears the value of filter, which is there, and cuts the branch that leads to
// nothing now. The caller holds growth.
func (node *treeNode[V]) remove(filter string) {
	stay, cut := node, filter // the lowest node that stays, and the filter from there on
	for rest, more := filter, true; more; {
		if !node.single() {
			stay, cut = node, rest
		}
		var level string
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "#" && !more:
			if !node.single() {
				node.rest.Store(nil)
				return
			}
			stay.cut(cut)
			return
		case level == "+":
			node = node.plus.Load()
		default:
			node = node.children.Load().get(levelKey(level))
		}
	}
	if !node.single() {
		node.value.Store(nil)
		return
	}
	stay.cut(cut)
}

// single reports whether node leads to one place only: a value or a child.
func (node *treeNode[V]) single() bool {
	n := int32(0)
	if node.value.Load() != nil {
		n++
	}
	if node.rest.Load() != nil {
		n++
	}
	if node.plus.Load() != nil {
		n++
	}
	if children := node.children.Load(); children != nil {
		n += children.live
	}
	return n == 1
}

// cut takes away what the first level of filter leads to.
func (node *treeNode[V]) cut(filter string) {
	level, _, more := strings.Cut(filter, "/")
	switch {
	case level == "#" && !more:
		node.rest.Store(nil)
	case level == "+":
		node.plus.Store(nil)
	default:
		put(&node.children, levelKey(level), nil)
	}
}

// Get returns the value of filter itself, or nil.
func (t *Tree[V]) Get(filter string) *V {
	if !hasWildcard(filter) {
		k := textKey(filter)
		return t.exact[k.shard()].Load().get(k)
	}
	if place := t.root.find(filter); place != nil {
		return place.Load()
	}
	return nil
}

// Len returns the number of filters.
func (t *Tree[V]) Len() int { return int(t.count.Load()) }

// forks is how many branches Match can put off without allocating.
const forks = 16

// fork is a branch of the trie that Match has put off: a node, and where in the name its
// next level starts.
type fork[V any] struct {
	node *treeNode[V]
	at   int
}

// Match calls yield with the value of each filter that matches name, once each and in no
// particular order, until yield returns false. It answers as the function Match does, takes
// no lock, and does not allocate unless more than 16 branches are open at once, which needs
// a chain of filters that have a "+" beside a literal level on more than 16 levels. yield
// may call any method of t.
func (t *Tree[V]) Match(name string, yield func(v *V) bool) {
	k := textKey(name)
	if v := t.exact[k.shard()].Load().get(k); v != nil && !yield(v) {
		return
	}
	dollar := name != "" && name[0] == '$'
	var buffer [forks]fork[V]
	open := buffer[:0]
	node, at := &t.root, 0 // at is beyond the end of name when no level is left
	for {
		wildcards := at > 0 || !dollar // [MQTT-4.7.2-1]
		if wildcards {
			if v := node.rest.Load(); v != nil && !yield(v) {
				return
			}
		}
		var next *treeNode[V]
		if at > len(name) {
			if v := node.value.Load(); v != nil && !yield(v) {
				return
			}
		} else {
			level, _, _ := strings.Cut(name[at:], "/")
			at += len(level) + 1
			if children := node.children.Load(); children != nil {
				next = children.get(levelKey(level))
			}
			if wildcards {
				plus := node.plus.Load()
				if next == nil {
					next = plus
				} else if plus != nil {
					open = append(open, fork[V]{plus, at})
				}
			}
		}
		if next != nil {
			node = next
			continue
		}
		if len(open) == 0 {
			return
		}
		last := open[len(open)-1]
		open = open[:len(open)-1]
		node, at = last.node, last.at
	}
}

// All calls yield with the value of each filter, in no particular order, until yield
// returns false. The filters themselves are not kept: a V that needs its own holds it.
// yield may call any method of t.
func (t *Tree[V]) All(yield func(v *V) bool) {
	for i := range t.exact {
		if table := t.exact[i].Load(); table != nil {
			for j := range table.slots {
				if v := table.slots[j].v.Load(); v != nil && !yield(v) {
					return
				}
			}
		}
	}
	open := []*treeNode[V]{&t.root}
	for len(open) > 0 {
		node := open[len(open)-1]
		open = open[:len(open)-1]
		if v := node.value.Load(); v != nil && !yield(v) {
			return
		}
		if v := node.rest.Load(); v != nil && !yield(v) {
			return
		}
		if plus := node.plus.Load(); plus != nil {
			open = append(open, plus)
		}
		if children := node.children.Load(); children != nil {
			for i := range children.slots {
				if child := children.slots[i].v.Load(); child != nil {
					open = append(open, child)
				}
			}
		}
	}
}

// hasWildcard reports whether filter stands for other names than itself.
func hasWildcard(filter string) bool {
	if strings.IndexByte(filter, '+') < 0 && strings.IndexByte(filter, '#') < 0 {
		return false
	}
	return filter == "#" || strings.HasSuffix(filter, "/#") || hasLevel(filter, "+")
}
