// Package router knows who receives a message: the Subscriptions of all Sessions by
// Topic Filter, and the groups of the Shared Subscriptions. It does not know what a
// Session is: S is the broker's handle of one.
//
// Route takes no lock; Subscribe and Unsubscribe take the router's, which is a leaf: a
// caller may hold others.
package router

import (
	"sync"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

// Router holds the Subscriptions. It is safe for concurrent use. New makes one.
type Router[S comparable] struct {
	strategy      Strategy
	online        func(S) bool
	receives      func(S, string) bool
	load          func(S) int
	key           func(S) uint64
	mu            sync.Mutex // serializes changes; readers see a node or its successor
	tree          topic.Tree[node[S]]
	subscriptions atomic.Int64
	shared        atomic.Int64
}

// New returns an empty Router.
func New[S comparable](o Options[S]) *Router[S] {
	return &Router[S]{strategy: o.Strategy, online: o.Online, receives: o.Receives, load: o.Load, key: o.Key}
}

// entry is one Subscription to one filter: 8 bytes beside the handle.
type entry[S comparable] struct {
	subscriber        S
	identifier        uint32
	qos               colibri.QoS
	noLocal           bool
	retainAsPublished bool
}

// node is what the index holds for one Topic Filter. A node never changes once it is
// in the index: a change makes a successor.
type node[S comparable] struct {
	entries set[S]
	groups  []*group[S]
}

// group is one Shared Subscription: Share Name and members.
type group[S comparable] struct {
	share   string
	filter  string // the whole Topic Filter, with $share
	members set[S]
	choice  *choice[S]
}

// Len returns the number of Subscriptions, shared ones included, and of shared ones.
func (r *Router[S]) Len() (all, shared int) {
	return int(r.subscriptions.Load()), int(r.shared.Load())
}

// Subscribe adds the Subscription sub of s, or replaces the one that s has with the
// same Topic Filter; existed says which. The filter must be valid, and is kept.
func (r *Router[S]) Subscribe(s S, sub colibri.Subscription) (existed bool) {
	e := entry[S]{subscriber: s, identifier: sub.Identifier, qos: sub.QoS,
		noLocal: sub.NoLocal, retainAsPublished: sub.RetainAsPublished}
	share, filter, isShared := topic.SplitShared(sub.Filter)
	if !isShared {
		filter = sub.Filter
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &node[S]{}
	if old := r.tree.Get(filter); old != nil {
		*next = *old
	}
	if isShared {
		next.groups, existed = withMember(next.groups, share, sub.Filter, e)
	} else {
		next.entries, existed = next.entries.with(e)
	}
	r.tree.Set(filter, next)
	r.count(isShared, existed, 1)
	return existed
}

// Unsubscribe removes the Subscription of s with this Topic Filter and reports
// whether there was one.
func (r *Router[S]) Unsubscribe(s S, filter string) bool {
	share, inner, isShared := topic.SplitShared(filter)
	if isShared {
		filter = inner
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.tree.Get(filter)
	if old == nil {
		return false
	}
	next, existed := &node[S]{}, false
	*next = *old
	if isShared {
		next.groups, existed = withoutMember(next.groups, share, s)
	} else {
		next.entries, existed = next.entries.without(s)
	}
	if !existed {
		return false
	}
	if next.entries.len() == 0 && len(next.groups) == 0 {
		r.tree.Delete(filter)
	} else {
		r.tree.Set(filter, next)
	}
	r.count(isShared, false, -1)
	return true
}

// group returns the Shared Subscription with this Topic Filter, nil without one.
func (r *Router[S]) group(filter string) *group[S] {
	share, inner, _ := topic.SplitShared(filter)
	n := r.tree.Get(inner)
	if n == nil {
		return nil
	}
	for _, g := range n.groups {
		if g.share == share {
			return g
		}
	}
	return nil
}

func (r *Router[S]) count(shared, existed bool, by int64) {
	if existed {
		return
	}
	r.subscriptions.Add(by)
	if shared {
		r.shared.Add(by)
	}
}

func withMember[S comparable](groups []*group[S], share, filter string, e entry[S]) (next []*group[S], existed bool) {
	next = append([]*group[S](nil), groups...)
	for i, g := range next {
		if g.share == share {
			successor := *g
			successor.members, existed = g.members.with(e)
			next[i] = &successor
			return next, existed
		}
	}
	g := &group[S]{share: share, filter: filter, choice: new(choice[S])}
	g.members, _ = g.members.with(e)
	return append(next, g), false
}

func withoutMember[S comparable](groups []*group[S], share string, s S) (next []*group[S], existed bool) {
	for i, g := range groups {
		if g.share != share {
			next = append(next, groups[i])
			continue
		}
		successor := *g
		if successor.members, existed = g.members.without(s); successor.members.len() > 0 {
			next = append(next, &successor)
		}
	}
	return next, existed
}
