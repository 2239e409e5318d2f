package sim

import (
	"slices"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// group is one Shared Subscription: Share Name and Topic Filter.
type group struct {
	name    string
	members []member // all that it ever had
	emptyAt int      // the last step in which it may have had none: what waited for it is lost then
}

// member is one Subscription that made a Session a member of a group.
type member struct {
	session *session
	record  *record
}

// groupKey is one message to one group.
type groupKey struct {
	group   *group
	message *publication
}

// share is what a member got.
type share struct {
	session *session
	qos     colibri.QoS
}

// groupDebt is a message that some member must get.
type groupDebt struct {
	groupKey
	members []*session // that it had when the message came
	sure    bool       // one of them was surely a member
	high    bool       // with QoS 1 or 2, whatever the member
	low     bool       // with QoS 0, whatever the member
}

// isShared reports whether a PUBLISH with these Subscription Identifiers comes from a
// Shared Subscription: 1000 and more are given to them alone, and clients without
// Subscription Identifiers have nothing else beside one.
func isShared(c *client, identifiers []uint32) bool {
	return len(identifiers) == 1 && identifiers[0] >= 1000 || c.worker != ""
}

// join enters a Subscription that was asked for in its group.
func (w *world) join(s *session, r *record) {
	if r.share == "" {
		return
	}
	name := r.subscription.Filter
	if w.groups[name] == nil {
		w.groups[name] = &group{name: name}
	}
	r.group = w.groups[name]
	r.group.members = append(r.group.members, member{s, r})
}

// deliverShared judges a message that came because of a Shared Subscription. It may have
// waited for this member, who has joined later than it was published.
func (w *world) deliverShared(d delivery, ids []uint32) {
	m, p, s := d.message, d.packet, d.session
	may := s.memberships(m)
	if len(ids) == 1 {
		may = slices.DeleteFunc(may, func(r *record) bool { return r.subscription.Identifier != ids[0] })
	}
	if len(may) == 0 {
		w.violateWith(s.client, m.sender, "no Subscription", "message %d of %s to %s: it is no member of that Shared Subscription", m.number, m.sender.name, m.topic)
	}
	if !slices.ContainsFunc(may, func(r *record) bool { return p.QoS == min(m.qos, r.subscription.QoS) }) {
		w.violate(s.client, "MQTT-4.8.2-3", "message %d has %v, which its Shared Subscription does not ask for", m.number, p.QoS)
	}
	if fault := retainFault(m, p, nil, may); fault != "" {
		w.violate(s.client, "MQTT-3.3.1-12", "message %d: %s", m.number, fault)
	}
	g := may[0].group
	existed := func(one member) bool { return one.record.addedFrom <= min(m.until, w.step) }
	if !slices.ContainsFunc(g.members, existed) {
		w.violateWith(s.client, m.sender, "no Subscription", "message %d of %s to %s was published before anybody was a member of %s", m.number, m.sender.name, m.topic, g.name)
	}
	key := groupKey{g, m}
	got := append(w.groupGot[key], share{s, p.QoS})
	w.groupGot[key] = got
	// Only what was sent with QoS 1, and not acknowledged, may go to another.
	lost := func(one share) bool { return one.qos == colibri.AtLeastOnce && one.session.lastLost >= m.from }
	if len(got) > m.routes() && !slices.ContainsFunc(got, lost) {
		w.violateWith(s.client, got[0].session.client, "one member", "message %d of %s to %s has gone to %s before, in %s", m.number, m.sender.name, m.topic, got[0].session.client.name, g.name)
	}
}

// memberships returns the Shared Subscriptions because of which s may get m: also one that
// is younger than m, as messages wait for groups.
func (s *session) memberships(m *publication) (may []*record) {
	for _, r := range s.subscriptions {
		if r.group != nil && r.removedBy >= m.from && r.matches(m) {
			may = append(may, r)
		}
	}
	return may
}

// watchGroups notes which groups may be without a member. One that stays from the step
// before to the next keeps what waits.
func (w *world) watchGroups() {
	for _, g := range w.groups {
		stays := func(one member) bool {
			r := one.record
			return r.addedBy < w.step && r.removedFrom == never && one.session.endFrom == never
		}
		if !slices.ContainsFunc(g.members, stays) {
			g.emptyAt = w.step
		}
	}
}

// checkGroups checks that the messages to Shared Subscriptions have gone to a member.
func (w *world) checkGroups(now time.Time) {
	w.groupOwed = slices.DeleteFunc(w.groupOwed, func(debt *groupDebt) bool {
		m, g := debt.message, debt.group
		if len(w.groupGot[debt.groupKey]) > 0 || m.mayBeExpired(now) || g.emptyAt >= m.from {
			return true
		}
		calm := true
		for _, one := range g.members {
			r, s := one.record, one.session
			if r.removedBy < m.from || s.endBy < m.from {
				continue
			}
			ended := s.endFrom != never
			if s.tooLarge(m) || debt.high && r.subscription.QoS == 0 ||
				ended && (debt.low || m.qos == colibri.ExactlyOnce || r.removedFrom != never) {
				return true // it may have been the one
			}
			calm = calm && (ended || s.drained())
		}
		if !calm {
			return false // it may still come
		}
		if w.mayBeDropped(debt) {
			return true
		}
		w.violateWith(debt.members[0].client, m.sender, "some member", "message %d of %s to %s, %v, has come to no member of %s", m.number, m.sender.name, m.topic, m.qos, g.name)
		return true
	})
}

// mayBeDropped reports whether the broker has told of drops that explain the missing
// message; nobody knows whose drop it was.
func (w *world) mayBeDropped(debt *groupDebt) bool {
	dropped := w.broker.Stats().Dropped
	if debt.low {
		return dropped[broker.DropSlow] > 0
	}
	return dropped[broker.DropQueueFull]+dropped[broker.DropReplaced] > 0
}

// drained reports whether the client of s is connected, reads, and has acknowledged
// everything.
func (s *session) drained() bool {
	n := s.client.conn
	return n.open() && n.session == s && !n.paused && len(s.incoming) == 0 && n.acks.empty()
}
