package webhook

import (
	"net/netip"
	"sync"
	"time"
)

// breaker leaves a server alone that does not answer: after most faults one after the other
// nobody asks it for pause, then one question finds out whether it is back.
//
// A fault may be the question's own: a server may break over what one client sends. So once
// the server has been reached, faults that belong together because they have an address or a
// User Name in common count as one for everybody. For their address alone each of them
// counts: questions from there are left out for pause, and those of others are asked.
type breaker struct {
	most  int
	pause time.Duration

	mu        sync.Mutex // guards what follows; a leaf
	all       circuit
	names     map[string]bool       // User Names that a fault of all was counted for; at most most
	addresses map[netip.Prefix]bool // likewise
	sources   map[netip.Prefix]*circuit
}

// breakerSources is for how many addresses faults are counted; any one gives way to the next.
const breakerSources = 4096

// circuit counts faults one after the other.
type circuit struct {
	faults int
	until  time.Time // when the next question may be asked; only with as many faults as most
	trying bool      // a question finds out
}

// asker is whom a question is about.
type asker struct {
	address  netip.Prefix // as auth.Prefix returns it
	userName string       // empty for none
}

// ticket says for what a question is to find out whether the server is back.
type ticket struct{ all, source bool }

func newBreaker(most int, pause time.Duration) *breaker {
	return &breaker{most: most, pause: pause, names: make(map[string]bool), addresses: make(map[netip.Prefix]bool),
		sources: make(map[netip.Prefix]*circuit)}
}

// enter reports whether the server may be asked about who; leave must follow then.
func (b *breaker) enter(now time.Time, who asker) (t ticket, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	source := b.sources[who.address]
	if !b.all.closed(b.most) && !b.all.ready(now) || source != nil && !source.closed(b.most) && !source.ready(now) {
		return t, false
	}
	if !b.all.closed(b.most) {
		t.all, b.all.trying = true, true
	}
	if source != nil && !source.closed(b.most) {
		t.source, source.trying = true, true
	}
	return t, true
}

// closed reports whether everybody may ask.
func (c *circuit) closed(most int) bool { return c.faults < most }

// ready reports whether one question may find out.
func (c *circuit) ready(now time.Time) bool { return !c.trying && !now.Before(c.until) }

// leave takes what a question about who has shown.
func (b *breaker) leave(now time.Time, who asker, t ticket, shown blame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	source := b.sources[who.address]
	if t.all {
		b.all.trying = false
	}
	if t.source && source != nil {
		source.trying = false
	}
	switch shown {
	case works:
		delete(b.sources, who.address)
		b.all.faults = 0
		clear(b.names)
		clear(b.addresses)
	case unreached:
		b.all.fail(now, b)
	case fails:
		if source == nil {
			source = b.newSource(who.address)
		}
		source.fail(now, b)
		if !b.addresses[who.address] && !b.names[who.userName] {
			b.all.fail(now, b)
			if len(b.addresses) < b.most {
				b.addresses[who.address] = true
			}
			if who.userName != "" && len(b.names) < b.most {
				b.names[who.userName] = true
			}
		}
	}
}

// fail counts a fault.
func (c *circuit) fail(now time.Time, b *breaker) {
	if c.faults++; c.faults >= b.most {
		c.faults, c.until = b.most, now.Add(b.pause)
	}
}

// newSource returns a circuit for an address. The caller holds mu.
func (b *breaker) newSource(address netip.Prefix) *circuit {
	if len(b.sources) >= breakerSources {
		for other := range b.sources {
			delete(b.sources, other)
			break
		}
	}
	c := &circuit{}
	b.sources[address] = c
	return c
}
