package topic

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Names is the index from Topic Names to values: it finds the values of all names that a
// filter matches. The zero value is empty and ready. A Names must not be copied.
//
// All methods are safe for concurrent use. Readers (Get, Select, Len) take no lock and
// never wait; writers wait for each other. It keeps the name strings that it is given,
// so they must not alias memory that changes. Deleting removes the nodes that lead to
// nothing any more.
//
// A name takes about 100 bytes for each level that it shares with no other, so whoever
// accepts names from strangers limits their levels.
type Names[V any] struct {
	count  atomic.Int64
	root   nameNode[V]
	growth sync.Mutex // for the writers of root and everything below
}

// nameNode is a place in the trie: the names that begin with the levels that lead to it.
type nameNode[V any] struct {
	value    atomic.Pointer[V]
	children atomic.Pointer[table[nameNode[V]]] // by levelKey
	name     string                             // written once, before the first value
}

// Set makes v the value of name, in place of the one it has. A nil v deletes it.
func (n *Names[V]) Set(name string, v *V) {
	n.Update(name, func(*V) *V { return v })
}

// Delete removes name and its value, if it is there.
func (n *Names[V]) Delete(name string) {
	n.Update(name, func(*V) *V { return nil })
}

// Update replaces the value of name by what change makes of it: nil stands for a name that
// is not there, before and after. No other writer gets in meanwhile, so change must be
// short and must not call Set, Delete or Update of the same Names.
func (n *Names[V]) Update(name string, change func(old *V) *V) {
	n.growth.Lock()
	defer n.growth.Unlock()
	old := n.Get(name)
	v := change(old)
	switch {
	case v == old:
		return
	case v == nil:
		n.root.remove(name)
		n.count.Add(-1)
		return
	case old == nil:
		n.count.Add(1)
	}
	node := n.root.grow(name)
	if node.name != name {
		node.name = name
	}
	node.value.Store(v)
}

// grow returns the node of name below node and makes those that lead to it. The caller
// holds growth.
func (node *nameNode[V]) grow(name string) *nameNode[V] {
	for more := true; more; {
		var level string
		level, name, more = strings.Cut(name, "/")
		k := levelKey(level)
		child := node.children.Load().get(k)
		if child == nil {
			child = new(nameNode[V])
			put(&node.children, k, child)
		}
		node = child
	}
	return node
}

// remove clears the value of name, which is there, and cuts the branch that leads to
// nothing now. The caller holds growth.
func (node *nameNode[V]) remove(name string) {
	stay, cut := node, name // the lowest node that stays, and the name from there on
	for rest, more := name, true; more; {
		children := node.children.Load()
		if node.value.Load() != nil || children.live > 1 {
			stay, cut = node, rest
		}
		var level string
		level, rest, more = strings.Cut(rest, "/")
		node = children.get(levelKey(level))
	}
	if node.children.Load() != nil {
		node.value.Store(nil)
		return
	}
	level, _, _ := strings.Cut(cut, "/")
	put(&stay.children, levelKey(level), nil)
}

// Get returns the value of name, or nil.
func (n *Names[V]) Get(name string) *V {
	node := &n.root
	for more := true; more; {
		var level string
		level, name, more = strings.Cut(name, "/")
		if node = node.children.Load().get(levelKey(level)); node == nil {
			return nil
		}
	}
	return node.value.Load()
}

// Len returns the number of names.
func (n *Names[V]) Len() int { return int(n.count.Load()) }

// branches is what Select has still to look at below one node.
type branches[V any] struct {
	slots     []slot[nameNode[V]]
	at        int  // where in the filter the level below the slots' own starts
	noDollars bool // leave out the levels that begin with "$"
}

// Select calls yield with each name that filter matches and its value, once each and in no
// particular order, until yield returns false. It answers as Match does.
//
// It holds no lock and copies nothing, so it costs the same memory for one name as for
// millions, yield may take its time, and yield may call any method of n. A name that is
// there during the whole call is seen once; one that is set, replaced or deleted meanwhile
// is seen as it was before or after, or not at all.
func (n *Names[V]) Select(filter string, yield func(name string, v *V) bool) {
	n.walk(filter, true, yield)
}

// All calls yield with each name and its value, those that begin with "$" included; all
// else as Select.
func (n *Names[V]) All(yield func(name string, v *V) bool) { n.walk("#", false, yield) }

// walk is Select; hideDollars says that a wildcard in the first level does not match names
// that begin with "$" [MQTT-4.7.2-1].
func (n *Names[V]) walk(filter string, hideDollars bool, yield func(name string, v *V) bool) {
	var open []branches[V]
	node, at := &n.root, 0 // at is beyond the end of filter when no level is left
	for {
		var next *nameNode[V]
		if at > len(filter) {
			if v := node.value.Load(); v != nil && !yield(node.name, v) {
				return
			}
		} else {
			level, _, more := strings.Cut(filter[at:], "/")
			below := at + len(level) + 1
			switch {
			case level == "#" && !more:
				if v := node.value.Load(); v != nil && !yield(node.name, v) {
					return
				}
				below = at // "#" goes on below
				fallthrough
			case level == "+":
				if children := node.children.Load(); children != nil {
					open = append(open, branches[V]{children.slots, below, hideDollars && node == &n.root})
				}
			default:
				next, at = node.children.Load().get(levelKey(level)), below
			}
		}
		for next == nil {
			if len(open) == 0 {
				return
			}
			last := &open[len(open)-1]
			if next = last.next(); next == nil {
				open = open[:len(open)-1]
			} else {
				at = last.at
			}
		}
		node = next
	}
}

// next returns the next node of b, or nil when there is none.
func (b *branches[V]) next() *nameNode[V] {
	for len(b.slots) > 0 {
		s := &b.slots[0]
		b.slots = b.slots[1:]
		if child := s.v.Load(); child != nil && !(b.noDollars && (key{s.a.Load(), s.b.Load()}).dollar()) {
			return child
		}
	}
	return nil
}
