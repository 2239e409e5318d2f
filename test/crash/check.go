package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

// kind says what a fault is.
type kind string

const (
	lost              kind = "lost"          // acknowledged to the publisher, never received
	doubled           kind = "doubled"       // QoS 2, and received twice
	reordered         kind = "reordered"     // a message came first after a later one of its topic
	retainedWrong     kind = "retained"      // not the last acknowledged one
	subscriptionWrong kind = "subscription"  // not as the last SUBACK or UNSUBACK said
	sessionLost       kind = "session"       // Session Present 0 for a Session that was acknowledged
	unanswered        kind = "unanswered"    // a handshake of a publisher that never ended
	notAsked          kind = "not asked for" // a delivery that no Subscription explains, or with another QoS
	protocol          kind = "protocol"      // a packet that has no place in the client's handshakes
	broken            kind = "broken"        // the broker ended by itself, or did not come back
)

// fault is one thing that must not happen.
type fault struct {
	Kind    kind          `json:"kind"`
	Session string        `json:"session,omitempty"`
	Text    string        `json:"text"`
	At      time.Duration `json:"at_ns"` // since the start of the run
}

// verdict is what a run's history amounts to.
type verdict struct {
	acknowledged  int // messages
	refused       int // messages
	delivered     int // messages that came to a Session, each Session for itself
	qos1Doubled   int // repetitions that QoS 1 allows
	faults        []fault
	countOfFaults map[kind]int
}

// faultsKept is how many faults of a kind are kept with their texts.
const faultsKept = 200

func (v *verdict) add(f fault) {
	v.countOfFaults[f.Kind]++
	if v.countOfFaults[f.Kind] <= faultsKept {
		v.faults = append(v.faults, f)
	}
}

// check judges a history at its end, when every client was connected for long enough to
// receive all that waited.
func check(h *history) *verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := &verdict{countOfFaults: map[kind]int{}}
	for _, f := range h.faults {
		v.add(f)
	}
	for _, messages := range h.sent {
		for i := range messages {
			switch {
			case messages[i].acknowledged > 0:
				v.acknowledged++
			case messages[i].refused != 0:
				v.refused++
			}
		}
	}
	shares := map[string][]*session{}
	for _, s := range h.sessions {
		if s.share != "" {
			shares[s.share] = append(shares[s.share], s)
			continue
		}
		c := newSessionCheck(h, v, s)
		c.arrivals(s)
		c.missing(s)
	}
	for _, share := range slices.Sorted(maps.Keys(shares)) {
		members := shares[share]
		c := newSessionCheck(h, v, members[0])
		c.shared = true
		for _, s := range members {
			c.arrivals(s)
		}
		c.missing(members[0])
	}
	return v
}

// sessionCheck judges what one Session, or the members of one Shared Subscription, received.
type sessionCheck struct {
	history *history
	verdict *verdict
	shared  bool
	granted map[string]granted // by topic
	count   [][]int32          // by publisher and sequence number
	latest  map[stream]int
}

// granted is what the Subscriptions of a Session make of a topic.
type granted struct {
	matches bool
	qos     colibri.QoS
	since   time.Duration
}

// stream is what the order of arrivals is kept in [MQTT-4.6.0-5]. A server may hand on a
// QoS 2 message when its PUBREL comes, so what was sent with QoS 1 may pass it.
type stream struct {
	publisher int
	topic     string
	qos       colibri.QoS // of the publisher
}

func newSessionCheck(h *history, v *verdict, s *session) *sessionCheck {
	c := &sessionCheck{history: h, verdict: v, granted: map[string]granted{}, latest: map[stream]int{}}
	for _, messages := range h.sent {
		c.count = append(c.count, make([]int32, len(messages)))
		for i := range messages {
			name := messages[i].topic
			if _, known := c.granted[name]; known {
				continue
			}
			var g granted
			for _, sub := range s.subscriptions {
				if topic.Match(sub.filter, name) && (!g.matches || sub.qos > g.qos) {
					g = granted{true, sub.qos, sub.at}
				}
			}
			c.granted[name] = g
		}
	}
	return c
}

// arrivals counts what s received, and judges each for itself.
func (c *sessionCheck) arrivals(s *session) {
	for _, a := range s.arrivals {
		p, n := a.message.publisher, a.message.sequence
		if p < 0 || p >= len(c.count) || n < 0 || n >= len(c.count[p]) {
			c.verdict.add(fault{Kind: notAsked, Session: s.name, At: a.at,
				Text: fmt.Sprintf("message %d of publisher %d, which was never sent", n, p)})
			continue
		}
		m := &c.history.sent[p][n]
		g := c.granted[m.topic]
		want := min(m.qos, g.qos)
		if !g.matches || a.qos != want || a.topic != m.topic {
			c.verdict.add(fault{Kind: notAsked, Session: s.name, At: a.at,
				Text: fmt.Sprintf("%s came on %s with %s", c.history.describe(a.message), a.topic, a.qos)})
			continue
		}
		if a.again {
			continue
		}
		c.count[p][n]++
		if c.count[p][n] == 1 {
			c.verdict.delivered++
			c.inOrder(s, a)
			continue
		}
		if want == colibri.ExactlyOnce {
			c.verdict.add(fault{Kind: doubled, Session: s.name, At: a.at,
				Text: fmt.Sprintf("%s came once more, %s", c.history.describe(a.message), c.history.moment(a.at))})
		} else {
			c.verdict.qos1Doubled++
		}
	}
}

// inOrder judges the first arrival of a message.
func (c *sessionCheck) inOrder(s *session, a arrival) {
	if c.shared {
		return // each member has a part, and takes over what another gave back
	}
	in := stream{a.message.publisher, a.topic, c.history.sent[a.message.publisher][a.message.sequence].qos}
	latest, known := c.latest[in]
	if known && a.message.sequence < latest {
		c.verdict.add(fault{Kind: reordered, Session: s.name, At: a.at,
			Text: fmt.Sprintf("%s came for the first time after number %d", c.history.describe(a.message), latest)})
		return
	}
	c.latest[in] = a.message.sequence
}

// missing finds what was acknowledged and did not arrive.
func (c *sessionCheck) missing(s *session) {
	name := s.name
	if c.shared {
		name = "everybody of the Shared Subscription " + s.share
	}
	for p, messages := range c.history.sent {
		for n := range messages {
			m := &messages[n]
			g := c.granted[m.topic]
			if m.acknowledged == 0 || m.removal || c.count[p][n] > 0 || !g.matches || m.sent < g.since {
				continue
			}
			c.verdict.add(fault{Kind: lost, Session: name, At: m.acknowledged,
				Text: c.history.describe(messageID{p, n}) + " was never received"})
		}
	}
}

// describe says which message it is, when it was acknowledged and between which kills.
func (h *history) describe(id messageID) string {
	m := &h.sent[id.publisher][id.sequence]
	text := fmt.Sprintf("number %d of publisher %d (%s, %s, sent at %s, ", id.sequence, id.publisher, m.topic, m.qos, seconds(m.sent))
	if m.acknowledged == 0 {
		return text + "not acknowledged)"
	}
	return text + "acknowledged " + h.moment(m.acknowledged) + ")"
}

// moment says when at is, and between which kills.
func (h *history) moment(at time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "at %s", seconds(at))
	next, _ := slices.BinarySearch(h.kills, at)
	if next > 0 {
		fmt.Fprintf(&b, ", after kill %d at %s", next, seconds(h.kills[next-1]))
	}
	if next < len(h.kills) {
		fmt.Fprintf(&b, ", before kill %d at %s", next+1, seconds(h.kills[next]))
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// checkRetained compares the Retained Messages that a new subscriber was given with the
// last acknowledged ones. Of the messages sent after the last acknowledged one any may
// be retained instead.
func checkRetained(h *history, found map[string]messageID) []fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	type expected struct {
		nobody   bool        // nothing retained is right
		removals []messageID // that may have come last
		ids      []messageID // any of these is right
	}
	topics := map[string]*expected{}
	for p, messages := range h.sent {
		for n := range messages {
			m := &messages[n]
			if !m.retain {
				continue
			}
			e := topics[m.topic]
			if e == nil {
				e = &expected{nobody: true}
				topics[m.topic] = e
			}
			if m.acknowledged > 0 {
				// A QoS 1 message that was sent again after m is a new one, as far as the
				// broker can tell; a QoS 2 message like m is not.
				again := func(id messageID) bool {
					earlier := &messages[id.sequence]
					return id.publisher == p && earlier.qos == colibri.AtLeastOnce && earlier.again > m.sent
				}
				e.nobody = e.nobody && slices.ContainsFunc(e.removals, again)
				e.ids = slices.DeleteFunc(e.ids, func(id messageID) bool { return !again(id) })
			}
			if m.removal {
				e.nobody = true
				e.removals = append(e.removals, messageID{p, n})
			} else {
				e.ids = append(e.ids, messageID{p, n})
			}
		}
	}
	var faults []fault
	add := func(format string, args ...any) {
		faults = append(faults, fault{Kind: retainedWrong, At: h.now(), Text: fmt.Sprintf(format, args...)})
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		e := topics[name]
		got, has := found[name]
		switch {
		case !has && !e.nobody:
			add("%s: nothing is retained, want %s", name, h.describe(e.ids[0]))
		case has && !slices.Contains(e.ids, got) && len(e.ids) == 0:
			add("%s: number %d is retained, want nothing", name, got.sequence)
		case has && !slices.Contains(e.ids, got):
			add("%s: number %d is retained, want %s", name, got.sequence, h.describe(e.ids[0]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if topics[name] == nil {
			add("%s: number %d is retained, and was never sent with RETAIN", name, found[name].sequence)
		}
	}
	return faults
}
