package sim

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// audit is a fresh subscriber that compares what is retained with what should be.
func (w *world) audit() {
	w.counts.Audits++
	filter := "#"
	if w.rand.IntN(3) == 0 {
		filter = w.plan.filters[w.rand.IntN(len(w.plan.filters))]
	}
	synctest.Wait() // until what was sent again has been decided
	c := &client{name: "auditor", version: colibri.V5, pipe: 64 << 10}
	n := w.dial(c)
	n.sendBytes(slices.Concat(
		w.encode(n, &packet.Connect{Version: colibri.V5, ClientID: c.name, CleanStart: true}),
		w.encode(n, &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: filter}}})))
	synctest.Wait()
	packets, _, closed, err := n.received()
	if err != nil || closed || len(packets) < 2 {
		w.violate(c, "audit", "no CONNACK and SUBACK but %v, closed %v, error %v", packets, closed, err)
	}
	got := map[string]*publication{}
	for _, p := range packets[2:] {
		p, ok := p.(*packet.Publish)
		if !ok || !p.Retain || p.QoS > 0 || len(p.Payload) == 0 {
			w.violate(c, "retained", "a new Subscription to %s brings %v", filter, p)
		}
		m := w.identify(p.Topic, p)
		if m == nil || got[p.Topic] != nil {
			w.violate(c, "unknown message", "an unknown Retained Message, or a second one, for %s: %.40q", p.Topic, p.Payload)
		}
		got[m.topic] = m
	}
	now := time.Now()
	for _, name := range w.plan.topics {
		m := got[name]
		delete(got, name)
		r := &record{}
		if _, r.filter = shared(filter); !r.matches(&publication{topic: name}) {
			continue
		}
		candidates, _ := w.retainedNow(name, now)
		if slices.Contains(candidates, m) || m == nil && w.forgiveAuditor() {
			continue
		}
		var numbers []int
		for _, candidate := range candidates {
			number := -1
			if candidate != nil {
				number = candidate.number
			}
			numbers = append(numbers, number)
		}
		number, sender := -1, (*client)(nil)
		if m != nil {
			number, sender = m.number, m.sender
		}
		if sender == nil && candidates[0] != nil {
			sender = candidates[0].sender
		}
		w.violateWith(c, sender, "MQTT-3.3.1-5", "message %d is retained for %s, want one of %v (-1: none)", number, name, numbers)
	}
	if len(got) > 0 {
		w.violate(c, "MQTT-3.3.1-5", "Retained Messages for topics that it has not subscribed to: %v", got)
	}
	n.sendBytes(w.encode(n, &packet.Disconnect{}))
	synctest.Wait()
	n.sever()
	w.checkStats()
}

// forgiveAuditor takes one of the drops of the auditor, whose outbox may be small.
func (w *world) forgiveAuditor() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := w.dropped["auditor"]
	if counts == nil {
		return false
	}
	for i := range counts {
		if counts[i] > 0 {
			counts[i]--
			return true
		}
	}
	return false
}

// checkStats compares the broker's counters with the model, as far as that is sure.
func (w *world) checkStats() {
	stats := w.broker.Stats()
	connections, sessions := 0, 0
	for _, c := range w.clients {
		if c.conn != nil {
			connections++
		}
		s := c.session
		if s == nil || s.endBy != never {
			continue
		}
		if s.endFrom != never {
			return
		}
		sessions++
	}
	if stats.Connections != connections || stats.Sessions != sessions {
		w.violate(nil, "stats", "the broker counts %d connections and %d Sessions, want %d and %d", stats.Connections, stats.Sessions, connections, sessions)
	}
}

// finish lets everybody read and acknowledge until nothing is left to do, compares, and
// has everybody leave.
func (w *world) finish() {
	for _, s := range w.strays {
		s.conn.sever()
	}
	w.strays = nil
	for idle := 0; idle < 3; idle++ {
		w.step++
		busy := false
		for _, c := range w.clients {
			c.pauses, c.disorderly = false, false
			switch n := c.conn; {
			case n == nil && c.session != nil && c.session.endBy == never:
				w.connect(c, false)
				busy = true
			case n.open() && n.paused:
				n.pause(false)
				n.calmStep = w.step
				busy = true
			case n.open() && !n.acks.empty():
				w.acknowledge(c, true)
				busy = true
			}
		}
		w.judge()
		if busy {
			idle = 0
		}
		if w.step > w.plan.steps+5000 {
			w.violate(nil, "end", "the clients still have something to acknowledge after %d steps", 5000)
		}
	}
	w.step++
	w.audit()
	w.judge()
	w.farewell()
}

// farewell has every Session end, and checks that nothing is left of them.
func (w *world) farewell() {
	for _, clean := range []bool{true, false} {
		w.step++
		for _, c := range w.clients {
			c.lasting, c.expiry = false, 0
			switch {
			case clean && c.session != nil && c.session.endBy == never:
				if c.conn != nil {
					c.conn.why = takenOver
					c.session.lastLost = w.step
				}
				w.connect(c, true)
			case !clean && c.conn.open():
				w.disconnect(c)
			}
		}
		w.judge()
	}
	w.step++
	w.judge()
	stats := w.broker.Stats()
	if stats.Connections+stats.Sessions+stats.Subscriptions+stats.SharedSubscriptions > 0 {
		w.violate(nil, "leftovers", "everybody has left, and there are %d connections, %d Sessions, %d Subscriptions, %d shared",
			stats.Connections, stats.Sessions, stats.Subscriptions, stats.SharedSubscriptions)
	}
}
