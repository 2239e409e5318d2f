package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// plan is what a seed chooses before the first step.
type plan struct {
	limits   broker.Limits
	whenFull broker.WhenFull
	strategy broker.SharedStrategy
	recorded bool // the broker has a Log
	clients  []*client
	topics   []string
	filters  []string
	groups   []string // Shared Subscriptions
	steps    int
	jumps    int // of 100 steps
	cuts     int // of 1,000 actions
	retain   int // of 100 messages
	expire   int // of 100 messages
}

var (
	allTopics  = []string{"a", "a/b", "a/b/c", "b", "b/c", "x/y", "x/b", "/a", "a//c"}
	allFilters = []string{"#", "+", "a", "a/b", "a/#", "a/+", "+/b", "a/+/c", "+/+", "b/#", "x/y", "/+", "+/#", "b", "x/#"}
	allGroups  = []string{"$share/g/#", "$share/g/a/#", "$share/h/+/b", "$share/h/#", "$share/k/x/y"}
)

// Recorded gives the broker a Log in every other run. What the model says of Retained
// Messages that a publisher repeats, because its answer was held and lost with the
// connection, is too narrow then: it may raise a false alarm.
var Recorded bool

func newPlan(r *rand.Rand) plan {
	p := plan{
		steps:   100 + r.IntN(300),
		jumps:   2 + r.IntN(12),
		cuts:    10 + r.IntN(150),
		retain:  r.IntN(50),
		expire:  r.IntN(30),
		topics:  pick(r, allTopics, 2),
		filters: pick(r, allFilters, 3),
		groups:  pick(r, allGroups, 1),
	}
	if r.IntN(2) == 0 {
		p.limits.Inflight = 1 + r.IntN(5)
	}
	if r.IntN(3) == 0 {
		p.limits.QueueMessages = 2 + r.IntN(20)
	}
	if r.IntN(3) == 0 {
		p.whenFull = broker.FullDropOldest
	}
	if r.IntN(5) == 0 {
		p.limits.QueueBytes = 200 + r.IntN(3000)
	}
	if r.IntN(3) == 0 {
		p.limits.OutboxBytes = 100 + r.IntN(3000)
	}
	if r.IntN(3) == 0 {
		p.limits.ReceiveMaximum = uint16(1 + r.IntN(8))
	}
	p.recorded = Recorded && r.IntN(2) == 0
	p.strategy = []broker.SharedStrategy{broker.SharedRoundRobin, broker.SharedLeastInflight, broker.SharedSticky,
		broker.SharedHashClient, broker.SharedHashTopic}[r.IntN(5)]
	count := 2 + r.IntN(9)
	if r.IntN(4) == 0 {
		count = 2 + r.IntN(29)
	}
	pauses := r.IntN(3) == 0
	for i := range count {
		p.clients = append(p.clients, newClient(r, i, &p, pauses))
	}
	return p
}

// pick returns some of all, at least as many as asked for.
func pick(r *rand.Rand, all []string, least int) (some []string) {
	for _, i := range r.Perm(len(all))[:least+r.IntN(len(all)-least+1)] {
		some = append(some, all[i])
	}
	return some
}

func newClient(r *rand.Rand, i int, p *plan, pauses bool) *client {
	c := &client{name: fmt.Sprintf("client-%d", i), version: colibri.V5, lasting: r.IntN(4) > 0,
		lazy: []int{0, 0, 30, 70}[r.IntN(4)], disorderly: r.IntN(5) == 0, pipe: 64 << 10}
	if r.IntN(5) == 0 {
		c.pipe = 64 + r.IntN(2000)
	}
	if r.IntN(3) == 0 {
		c.version = colibri.V311
		if r.IntN(3) == 0 {
			c.worker = p.groups[r.IntN(len(p.groups))]
		}
	}
	if c.lasting {
		c.expiry = []uint32{1, 5, 60, 3600, 100_000, 0xFFFFFFFF}[r.IntN(6)]
		if c.version < colibri.V5 {
			c.expiry = 0xFFFFFFFF
		}
	}
	if c.version == colibri.V5 {
		if r.IntN(2) == 0 {
			c.window = 1 + r.IntN(6)
		}
		if r.IntN(8) == 0 {
			c.maxPacket = 80 + r.IntN(200)
		}
		if r.IntN(3) == 0 {
			c.aliases = uint32(1 + r.IntN(4))
		}
	}
	switch {
	case pauses && r.IntN(2) == 0:
		c.pauses = true
	case r.IntN(4) == 0:
		c.keepAlive = uint16(1 + r.IntN(20))
	}
	return c
}
