package sim

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/packet"
)

// judge waits until everybody is idle and holds what has arrived in this step against
// what must and what may have happened.
func (w *world) judge() {
	synctest.Wait()
	w.mu.Lock()
	logged := slices.Clone(w.logged)
	w.mu.Unlock()
	if len(logged) > 0 {
		w.violate(nil, "no internal error", "the broker has logged: %.2000s", logged[0])
	}
	now := time.Now()
	for _, n := range slices.Clone(w.conns) { // the older before those that took them over
		w.watchSilence(n, now)
		if closed := w.receive(n); closed || n.severed {
			w.ended(n, now)
		} else if n.why != lives && n.why != maybeSilent {
			w.violate(n.client, "end of connection", "the broker has not closed the connection")
		}
	}
	w.conns = slices.DeleteFunc(w.conns, func(n *conn) bool { return n.client.conn != n })
	w.settleDue(now)
	w.settle(now)
	for _, d := range w.arrived {
		w.deliver(d, now)
	}
	w.arrived = w.arrived[:0]
	for _, m := range w.settled {
		w.promise(m, now)
	}
	w.settled = w.settled[:0]
	w.replaceRetained()
	w.promiseRetained(now)
	w.checkIdle(now)
	w.racing = false
}

// watchSilence decides whether the Keep Alive of n has passed.
func (w *world) watchSilence(n *conn, now time.Time) {
	if n.keepAlive == 0 || n.why != lives || n.connect == nil {
		return
	}
	switch silent, limit := now.Sub(n.lastSent), n.keepAlive*3/2; {
	case silent > limit+time.Second:
		n.why = tooSilent
	case silent > limit:
		n.why = maybeSilent
	}
}

// ended books the end of a connection.
func (w *world) ended(n *conn, now time.Time) {
	c := n.client
	if !n.accepted && !n.severed {
		w.violate(c, "connect", "the broker has closed the connection and not answered CONNECT")
	}
	if n.why == lives {
		w.violate(c, "unexpected end", "the broker has closed the connection")
	}
	w.note(c, "its connection has ended")
	s := n.session
	s.lastLost = w.step
	for _, o := range n.owed { // those of QoS 0 may have been sent on n
		if min(o.message.qos, o.record.subscription.QoS) > 0 {
			s.kept = append(s.kept, o)
		}
	}
	current := c.conn == n
	if current {
		c.conn = nil
	}
	for _, m := range w.unsettled {
		if m.conn == n && m.qos == colibri.AtMostOnce && m.fate == underWay {
			m.fate = unknown
			if n.graceful {
				m.fate = taken
			}
		}
	}
	if !current { // taken over: what becomes of the Session was decided by its successor
		return
	}
	from, by := now, now
	if n.why == tooSilent || n.why == maybeSilent {
		from = n.lastSent.Add(n.keepAlive * 3 / 2)
		by = from.Add(time.Second)
	}
	if m := n.will; m != nil {
		n.will = nil
		if n.graceful && !n.keepWill {
			m.fate = void
		} else {
			delay := time.Duration(min(n.willDelay, s.expiry)) * time.Second
			w.wills = append(w.wills, &pendingWill{m, s, from.Add(delay), by.Add(delay)})
		}
	}
	switch s.expiry {
	case 0:
		w.lose(s)
	case 0xFFFFFFFF:
	default:
		lasts := time.Duration(s.expiry) * time.Second
		s.dueFrom, s.dueBy = from.Add(lasts), by.Add(lasts)
	}
}

// decideWills settles the Will Messages of c when a connection is accepted: of the one
// that it takes over, and those that wait for their delay.
func (w *world) decideWills(c *client, present bool) {
	now := time.Now()
	for _, n := range w.conns {
		if n.client != c || n == c.conn || n.will == nil {
			continue
		}
		m, delay := n.will, min(n.willDelay, n.session.expiry)
		n.will = nil
		switch {
		case n.graceful && !n.keepWill:
			m.fate = void
		case present && delay > 0:
			m.fate = void
		default:
			w.publishWill(m, now, now, taken)
		}
	}
	w.wills = slices.DeleteFunc(w.wills, func(pending *pendingWill) bool {
		m := pending.message
		if m.sender != c {
			return false
		}
		switch {
		case !present:
			w.publishWill(m, earlier(pending.dueFrom, now), now, taken)
		case now.Before(pending.dueFrom):
			m.fate = void
			w.note(c, "its Will Message %d is not published", m.number)
		default:
			w.publishWill(m, pending.dueFrom, now, unknown)
		}
		return true
	})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// publishWill books that the broker publishes m in this step.
func (w *world) publishWill(m *publication, from, until time.Time, f fate) {
	w.counts.Wills++
	w.note(m.sender, "its Will Message %d to %s, %v, RETAIN %v, is due (%d)", m.number, m.topic, m.qos, m.retain, f)
	w.mayPublishWill(m, from)
	m.untilTime, m.fate = until, f
	w.unsettled = append(w.unsettled, m)
}

// mayPublishWill books that the broker may publish m from now on.
func (w *world) mayPublishWill(m *publication, from time.Time) {
	if m.from != never {
		return
	}
	m.from, m.fromTime = w.step, from
	if m.retain {
		w.retained[m.topic] = append(w.retained[m.topic], m)
	}
}

// settleDue ends the Sessions and publishes the Will Messages whose time has come.
func (w *world) settleDue(now time.Time) {
	w.wills = slices.DeleteFunc(w.wills, func(pending *pendingWill) bool {
		m := pending.message
		switch {
		case !now.Before(pending.dueBy):
			w.publishWill(m, pending.dueFrom, now, taken)
			return true
		case !now.Before(pending.dueFrom):
			w.mayPublishWill(m, pending.dueFrom)
		}
		return false
	})
	for _, s := range w.sessions {
		switch {
		case s.dueFrom.IsZero():
		case !now.Before(s.dueBy):
			w.counts.Expiries++
			s.dueFrom, s.dueBy = time.Time{}, time.Time{}
			w.lose(s)
		case !now.Before(s.dueFrom):
			s.endFrom = min(s.endFrom, w.step)
		}
	}
	oldest := w.step
	for _, m := range w.unsettled { // a Session that has ended may have been chosen for it
		oldest = min(oldest, m.from)
	}
	w.sessions = slices.DeleteFunc(w.sessions, func(s *session) bool { return s.endBy < oldest })
}

// settle closes the time in which the broker may have decided on a message.
func (w *world) settle(now time.Time) {
	w.unsettled = slices.DeleteFunc(w.unsettled, func(m *publication) bool {
		if m.fate == underWay && m.qos == colibri.AtMostOnce && m.conn != nil && m.conn.accepted && !m.conn.paused {
			m.fate = taken
		}
		if m.fate == underWay {
			return false
		}
		m.until, m.untilTime = w.step, now
		w.settled = append(w.settled, m)
		return true
	})
}

// deliver judges one PUBLISH that is not a resend.
func (w *world) deliver(d delivery, now time.Time) {
	m, p, s := d.message, d.packet, d.session
	if len(m.payload) == 0 {
		w.deliverNameless(d)
		return
	}
	if m.fate == void || m.from > w.step {
		w.violateWith(s.client, m.sender, "MQTT-3.1.2-10", "gets the Will Message %d of %s, which is not due", m.number, m.sender.name)
	}
	if m.fate == refused {
		w.violateWith(s.client, m.sender, "MQTT-4.3.3-9", "gets message %d of %s, which was refused", m.number, m.sender.name)
	}
	w.checkContent(d, now)
	ids := identifiers(p)
	if isShared(s.client, ids) {
		w.deliverShared(d, ids)
		return
	}
	rule, fault := w.liveFault(d, ids)
	r := w.replayOf(d, ids)
	switch {
	case fault == "" && (r == nil || s.live[m] < m.routes() && !p.Retain):
		w.countLive(d)
	case fault == "":
		s.ambiguous[m] = true
		if s.live[m] < m.routes() {
			s.live[m]++
		} else {
			r.replayed[m]++
		}
	case r != nil:
		r.replayed[m]++
	default:
		w.violateWith(s.client, m.sender, rule, "message %d of %s to %s: %s", m.number, m.sender.name, m.topic, fault)
	}
}

// deliverNameless judges a message without a payload, which cannot be told from another
// to the same topic.
func (w *world) deliverNameless(d delivery) {
	for _, m := range w.messages {
		if len(m.payload) > 0 || m.topic != d.topic || m.from > w.step {
			continue
		}
		d.session.live[m]++ // it may have been any of them
	}
	for _, m := range w.messages {
		if len(m.payload) > 0 || m.topic != d.topic || m.from > w.step {
			continue
		}
		if _, may := d.session.matching(m, false, w.step); len(may) > 0 || len(d.session.memberships(m)) > 0 {
			return
		}
	}
	w.violate(d.session.client, "no Subscription", "gets a message without a payload to %s, and has no Subscription", d.topic)
}

// checkContent checks what does not depend on the Subscription.
func (w *world) checkContent(d delivery, now time.Time) {
	m, p, c := d.message, d.packet, d.session.client
	var travel colibri.Properties
	left, hasLeft := p.Properties.Number(colibri.MessageExpiryInterval)
	for _, property := range p.Properties {
		switch property.ID {
		case colibri.SubscriptionIdentifier, colibri.TopicAlias, colibri.MessageExpiryInterval:
		default:
			travel = append(travel, property)
		}
	}
	if c.version == colibri.V5 && !slices.Equal(travel, m.properties) {
		w.violate(c, "MQTT-3.3.2-17", "message %d has the properties %v, want %v", m.number, travel, m.properties)
	}
	from, by, expires := m.expires()
	if expires && !p.Dup && !d.calm.Before(by) {
		w.violateWith(c, m.sender, "MQTT-3.3.2-5", "message %d was sent after it had expired", m.number)
	}
	if c.version < colibri.V5 {
		return
	}
	if hasLeft != expires {
		w.violate(c, "MQTT-3.3.2-6", "message %d: Message Expiry Interval %v, want %v", m.number, hasLeft, expires)
	}
	if expires && m.until != never {
		got := time.Duration(left) * time.Second
		least, most := max(0, from.Sub(now)-time.Second), max(0, by.Sub(d.calm)+time.Second)
		if got < least || got > most {
			w.violate(c, "MQTT-3.3.2-6", "message %d has a Message Expiry Interval of %v left, want %v to %v", m.number, got, least, most)
		}
	}
}

// liveFault says what forbids that d was sent because of Subscriptions that are not
// shared.
func (w *world) liveFault(d delivery, ids []uint32) (rule, fault string) {
	m, p, s := d.message, d.packet, d.session
	must, may := s.matching(m, false, w.step)
	if len(may) == 0 {
		return "no Subscription", "it has no Subscription that matches"
	}
	high, allowed := colibri.AtMostOnce, false
	for _, r := range must {
		high = max(high, r.subscription.QoS)
	}
	for _, r := range may {
		if q := r.subscription.QoS; p.QoS == min(m.qos, q) && (q >= high) {
			allowed = true
		}
	}
	if !allowed {
		return "MQTT-3.3.4-2", "the QoS " + p.QoS.String() + " is not the lower of the message's and the Subscription's"
	}
	if fault := retainFault(m, p, must, may); fault != "" {
		return "MQTT-3.3.1-12", fault
	}
	if s.client.version == colibri.V5 {
		if fault := identifiersFault(ids, must, may); fault != "" {
			return "MQTT-3.3.4-3", fault
		}
	}
	if s.live[m] >= m.routes() && !s.ambiguous[m] {
		return "MQTT-4.3.3-10", "it has been delivered before"
	}
	return "", ""
}

func retainFault(m *publication, p *packet.Publish, must, may []*record) string {
	keeps := func(r *record) bool { return r.subscription.RetainAsPublished }
	switch {
	case p.Retain && (!m.retain || !slices.ContainsFunc(may, keeps)):
		return "RETAIN is 1, and the Subscription does not ask for it"
	case !p.Retain && m.retain && slices.ContainsFunc(must, keeps):
		return "RETAIN is 0, and the Subscription has Retain As Published"
	}
	return ""
}

// identifiersFault checks that ids are those of the Subscriptions.
func identifiersFault(ids []uint32, must, may []*record) string {
	left := slices.Clone(ids)
	remove := func(id uint32) bool {
		i := slices.Index(left, id)
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
		return true
	}
	for _, r := range must {
		if id := r.subscription.Identifier; id != 0 && !remove(id) {
			return "a Subscription Identifier is missing"
		}
	}
	for _, r := range may {
		if !slices.Contains(must, r) {
			remove(r.subscription.Identifier)
		}
	}
	if len(left) > 0 {
		return "a Subscription Identifier is of none of its Subscriptions"
	}
	return ""
}

// countLive counts a delivery, and checks its order [MQTT-4.6.0-5].
func (w *world) countLive(d delivery) {
	m, s := d.message, d.session
	s.live[m]++
	if m.will || s.live[m] > 1 || s.ambiguous[m] {
		return
	}
	key := orderKey{m.sender, m.topic, m.qos, d.packet.QoS > 0}
	last := s.order[key]
	if last != nil && m.first < last.first {
		if m.transmissions == 1 || m.qos == colibri.ExactlyOnce && !w.mayRefuse() {
			w.violateWith(s.client, m.sender, "MQTT-4.6.0-5", "message %d of %s to %s comes after message %d, which was published later", m.number, m.sender.name, m.topic, last.number)
		}
		return
	}
	s.order[key] = m
}

// mayRefuse reports whether the broker may refuse a message because queues are full, and
// take it when it is sent again.
func (w *world) mayRefuse() bool {
	return w.plan.limits.QueueMessages > 0 || w.plan.limits.QueueBytes > 0
}

// replayOf returns a Subscription that explains d as a Retained Message for it.
func (w *world) replayOf(d delivery, ids []uint32) *record {
	m, p, s := d.message, d.packet, d.session
	if !p.Retain || !m.retain {
		return nil
	}
	for _, r := range slices.Backward(s.subscriptions) {
		identifier := r.subscription.Identifier
		if r.replays() == no || !r.matches(m) || r.conn != d.conn && !d.conn.resumed || r.replayed[m] > 0 || m.replacedAt < r.addedFrom ||
			p.QoS != min(m.qos, r.subscription.QoS) {
			continue
		}
		if s.client.version < colibri.V5 || identifier == 0 && len(ids) == 0 || len(ids) == 1 && ids[0] == identifier {
			return r
		}
	}
	return nil
}

// promise books who must get m, which the broker has taken.
func (w *world) promise(m *publication, now time.Time) {
	if m.fate != taken {
		return
	}
	somebody := false
	members := map[*group]*groupDebt{}
	var debts []*groupDebt
	for _, s := range w.sessions {
		must, may := s.matching(m, false, w.step)
		if len(must) > 0 && s.endBy == never {
			somebody = true
			w.promiseTo(s, m, must, may, now)
		}
		mustShared, mayShared := s.matching(m, true, w.step)
		for _, r := range mayShared {
			g := members[r.group]
			if g == nil {
				g = &groupDebt{groupKey: groupKey{r.group, m}, high: true, low: true}
				members[r.group] = g
				debts = append(debts, g)
			}
			g.members = append(g.members, s)
			lasts := min(m.qos, r.subscription.QoS) > 0
			g.high, g.low = g.high && lasts, g.low && !lasts
			if slices.Contains(mustShared, r) {
				g.sure, somebody = true, true
			}
		}
	}
	if m.code == colibri.NoMatchingSubscribers && somebody {
		w.violate(m.sender, "matching subscribers", "message %d has no matching subscribers, it was told, and there is one", m.number)
	}
	if m.mayBeExpired(now) || len(m.payload) == 0 {
		return
	}
	for _, g := range debts {
		if g.sure && len(w.groupGot[g.groupKey]) == 0 && (g.high || g.low && w.allThere(g.members, m)) {
			w.groupOwed = append(w.groupOwed, g)
		}
	}
}

// allThere reports whether all sessions had an open connection that was read while the
// broker decided on m.
func (w *world) allThere(sessions []*session, m *publication) bool {
	return !slices.ContainsFunc(sessions, func(s *session) bool { return !w.there(s, m) })
}

func (w *world) there(s *session, m *publication) bool {
	n := s.client.conn
	return n.open() && n.session == s && n.opened < m.from && !n.paused && n.calmStep < m.from
}

// promiseTo books that s must get m.
func (w *world) promiseTo(s *session, m *publication, must, may []*record, now time.Time) {
	if s.live[m] > 0 || len(m.payload) == 0 || m.mayBeExpired(now) || s.tooLarge(m) {
		return
	}
	lasting := func(r *record) bool { return min(m.qos, r.subscription.QoS) > 0 }
	switch {
	case slices.ContainsFunc(must, lasting):
		s.owed = append(s.owed, m)
		return
	case slices.ContainsFunc(may, lasting): // it may wait
		return
	}
	if w.there(s, m) && !w.forgive(s, m, broker.DropSlow) {
		w.violateWith(s.client, m.sender, "delivery of QoS 0", "message %d of %s to %s is missing, and it was there", m.number, m.sender.name, m.topic)
	}
}

// tooLarge reports whether m may be larger than a Maximum Packet Size of the client.
func (s *session) tooLarge(m *publication) bool {
	size := 80 + len(m.topic) + len(m.payload)
	for _, property := range m.properties {
		size += 8 + len(property.Name) + len(property.Value)
	}
	return s.smallest > 0 && size > s.smallest
}

// forgive takes one of the drops that the broker has told of.
func (w *world) forgive(s *session, m *publication, reason broker.DropReason) bool {
	if s.client.forgiven[reason] >= w.drops(s.client, reason) {
		return false
	}
	s.client.forgiven[reason]++
	w.note(s.client, "message %d is missing, as the broker has dropped one: %v", m.number, reason)
	return true
}

// replaceRetained forgets the Retained Messages that have surely been replaced.
func (w *world) replaceRetained() {
	for _, name := range w.plan.topics {
		all := w.retained[name]
		w.retained[name] = slices.DeleteFunc(slices.Clone(all), func(m *publication) bool {
			replaced := slices.ContainsFunc(all, func(other *publication) bool {
				return other != m && other.fate == taken && other.after(m)
			})
			if replaced {
				m.replacedAt = w.step
			}
			return replaced
		})
	}
}

// retainedNow returns the messages one of which is retained for a topic. sure is false
// when it may also be none.
func (w *world) retainedNow(name string, now time.Time) (candidates []*publication, sure bool) {
	for _, m := range w.retained[name] {
		switch {
		case m.fate == void || m.from > w.step:
		case len(m.payload) == 0 || m.surelyExpired(now):
			if m.fate == taken {
				sure = true
			}
			candidates = append(candidates, nil)
		default:
			candidates = append(candidates, m)
			sure = sure || m.fate == taken
			if m.mayBeExpired(now) {
				candidates = append(candidates, nil)
			}
		}
	}
	if !sure {
		candidates = append(candidates, nil)
	}
	return candidates, len(candidates) == 1 && candidates[0] != nil
}

// promiseRetained books which Retained Messages the Subscriptions granted in this step
// must bring.
func (w *world) promiseRetained(now time.Time) {
	for _, r := range w.granted {
		n := r.conn
		if r.replays() != yes || !n.open() || n.paused || n.client.conn != n || r.removedFrom != never {
			continue
		}
		for _, name := range w.plan.topics {
			candidates, sure := w.retainedNow(name, now)
			if !sure {
				continue
			}
			m := candidates[0]
			if r.matches(m) && m.until < r.addedFrom && r.replayed[m] == 0 && !n.session.tooLarge(m) && !n.session.ambiguous[m] {
				n.owed = append(n.owed, replay{r, m})
			}
		}
	}
	w.granted = w.granted[:0]
}

// checkIdle checks what must hold now that everybody is idle.
func (w *world) checkIdle(now time.Time) {
	for _, c := range w.clients {
		n := c.conn
		if !n.open() || n.paused || n.opened == w.step { // it has just sent again what was under way
			continue
		}
		if len(n.expects) > 0 {
			for key := range n.expects {
				w.violate(c, "one answer", "no %v for Packet Identifier %d", key.kind, key.id)
			}
		}
		n.calm = now
		s := n.session
		for id, in := range s.finished {
			if in.conn == n || len(s.incoming) == 0 {
				delete(s.finished, id)
			}
		}
		w.checkResent(s, n)
		if len(s.incoming) > 0 || !n.acks.empty() {
			continue
		}
		w.checkOwed(s, n, now)
	}
	w.watchGroups()
	w.checkGroups(now)
}

// checkResent checks that what the client has not acknowledged has come again on n.
func (w *world) checkResent(s *session, n *conn) {
	for id, in := range s.incoming {
		if in.conn != n && n.inFlight() == 0 && n.acks.empty() {
			w.violate(s.client, "MQTT-4.4.0-1", "message %d, Packet Identifier %d, was not acknowledged and is not sent again", in.message.number, id)
		}
	}
}

// checkOwed checks that a client which has acknowledged everything has got everything.
func (w *world) checkOwed(s *session, n *conn, now time.Time) {
	n.owed = append(n.owed, s.kept...)
	s.kept = nil
	for _, m := range s.owed {
		if s.live[m] > 0 || s.tooLarge(m) || m.mayBeExpired(now) || w.forgive(s, m, broker.DropQueueFull) || w.forgive(s, m, broker.DropReplaced) {
			continue
		}
		w.violateWith(s.client, m.sender, "at least once", "message %d of %s to %s, %v, was acknowledged in step %d and never came", m.number, m.sender.name, m.topic, m.qos, m.until)
	}
	s.owed = s.owed[:0]
	for _, o := range n.owed {
		m, r := o.message, o.record
		if slices.ContainsFunc(s.subscriptions, func(other *record) bool {
			return other.replayed[m] > 0 &&
				(other.removedFrom != never || !slices.Contains(n.owed, replay{other, m}))
		}) {
			continue // that may have been the one for r
		}
		if r.replayed[m] > 0 || s.ambiguous[m] || m.replacedAt != never || m.mayBeExpired(now) || r.removedFrom != never ||
			w.mayBeReplaced(m) || w.forgive(s, m, broker.DropSlow) {
			continue
		}
		w.violateWith(s.client, m.sender, "MQTT-3.3.1-9", "the Retained Message %d of %s, to %s, never came for the Subscription to %s", m.number, m.sender.name, m.topic, r.subscription.Filter)
	}
	n.owed = nil
}

// mayBeReplaced reports whether another message may be retained instead of m.
func (w *world) mayBeReplaced(m *publication) bool {
	return len(w.retained[m.topic]) != 1 || w.retained[m.topic][0] != m
}
