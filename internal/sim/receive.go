package sim

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/packet"
)

// delivery is one PUBLISH of the broker that is not a resend, to be judged once the step
// is known in full.
type delivery struct {
	conn    *conn
	session *session
	packet  *packet.Publish
	size    int
	topic   string
	message *publication
	calm    time.Time // it was put on its way after this
}

// receive takes what has arrived on n and keeps n's end of the protocol.
func (w *world) receive(n *conn) (closed bool) {
	packets, sizes, closed, err := n.received()
	for i, p := range packets {
		if n.maxPacket > 0 && sizes[i] > n.maxPacket {
			w.violate(n.client, "MQTT-3.1.2-24", "a %v of %d bytes, and its Maximum Packet Size is %d", p.Type(), sizes[i], n.maxPacket)
		}
		w.take(n, p, sizes[i])
	}
	if err != nil {
		w.violate(n.client, "malformed", "the broker has sent what cannot be decoded: %v", err)
	}
	return closed
}

func (w *world) take(n *conn, p packet.Packet, size int) {
	c := n.client
	if !n.accepted {
		connack, ok := p.(*packet.Connack)
		if !ok {
			w.violate(c, "MQTT-3.2.0-1", "the first packet is a %v, want CONNACK", p.Type())
		}
		w.connack(n, connack)
		return
	}
	switch p := p.(type) {
	case *packet.Publish:
		w.takePublish(n, p, size)
	case *packet.Puback:
		w.answered(n, packet.PUBACK, p.PacketID)
		w.takePuback(n, p)
	case *packet.Pubrec:
		w.answered(n, packet.PUBREC, p.PacketID)
		w.takePubrec(n, p)
	case *packet.Pubrel:
		w.takePubrel(n, p)
	case *packet.Pubcomp:
		w.answered(n, packet.PUBCOMP, p.PacketID)
		if o := n.session.find(p.PacketID); o != nil && o.state == released {
			n.session.outgoing = slices.DeleteFunc(n.session.outgoing, func(other *outgoing) bool { return other == o })
		}
	case *packet.Suback:
		w.answered(n, packet.SUBACK, p.PacketID)
		w.takeSuback(n, p)
	case *packet.Unsuback:
		w.answered(n, packet.UNSUBACK, p.PacketID)
		w.takeUnsuback(n, p)
	case *packet.Pingresp:
		w.answered(n, packet.PINGRESP, 0)
	case *packet.Disconnect:
		w.takeDisconnect(n, p)
	default:
		w.violate(c, "unexpected packet", "the broker has sent a %v", p.Type())
	}
}

// answered takes one of the answers that the broker owes.
func (w *world) answered(n *conn, kind packet.Type, id uint16) {
	key := answer{kind, id}
	if n.expects[key] == 0 {
		w.violate(n.client, "one answer", "a %v with Packet Identifier %d that answers nothing", kind, id)
	}
	w.note(n.client, "gets %v id %d", kind, id)
	if n.expects[key]--; n.expects[key] == 0 {
		delete(n.expects, key)
	}
}

// connack opens the connection.
func (w *world) connack(n *conn, p *packet.Connack) {
	c := n.client
	if p.Code != colibri.Success {
		w.violate(c, "connect", "CONNECT was refused: %v", p.Code)
	}
	old := c.session
	must, may := false, false
	if old != nil && !n.connect.CleanStart {
		may = old.endBy == never && old.expiry > 0 // with 0 it has ended with the connection taken over
		must = may && old.endFrom == never && (old.dueFrom.IsZero() || time.Now().Before(old.dueFrom))
	}
	switch {
	case p.SessionPresent && n.connect.CleanStart:
		w.violate(c, "MQTT-3.2.2-2", "Session Present is 1 after Clean Start")
	case p.SessionPresent && !may:
		w.violate(c, "MQTT-3.2.2-3", "Session Present is 1, and there can be no Session")
	case !p.SessionPresent && must:
		w.violate(c, "MQTT-3.2.2-3", "Session Present is 0, and the Session has not ended")
	}
	n.accepted = true
	n.serverMax = number(p.Properties, colibri.ReceiveMaximum, 65_535)
	n.aliasMax = number(p.Properties, colibri.TopicAliasMaximum, 0)
	w.note(c, "gets CONNACK, Session Present %v", p.SessionPresent)
	w.decideWills(c, p.SessionPresent)
	if p.SessionPresent {
		w.counts.Resumed++
		n.resumed = true
		old.endFrom = never
		for id, in := range old.incoming { // another member may have got it instead
			if in.shared && in.qos == colibri.AtLeastOnce {
				old.finished[id] = in
				delete(old.incoming, id)
			}
		}
	} else {
		w.lose(old)
		c.session = newSession(c, w.step)
		w.sessions = append(w.sessions, c.session)
	}
	s := c.session
	s.dueFrom, s.dueBy = time.Time{}, time.Time{}
	n.session = s
	switch {
	case c.version == colibri.V5:
		s.expiry = c.expiry
	case n.connect.CleanStart:
		s.expiry = 0
	default:
		s.expiry = 0xFFFFFFFF
	}
	if n.maxPacket > 0 && (s.smallest == 0 || n.maxPacket < s.smallest) {
		s.smallest = n.maxPacket
	}
	w.sendAgain(c)
}

// lose gives up a Session that has ended, and what its client wanted to send again.
func (w *world) lose(s *session) {
	if s == nil || s.endBy != never {
		return
	}
	s.end(w.step)
	w.note(s.client, "its Session has ended")
	for _, o := range s.outgoing {
		if m := o.message; m.fate == underWay {
			m.fate = unknown
		}
	}
	s.outgoing = nil
}

func (w *world) takeDisconnect(n *conn, p *packet.Disconnect) {
	w.note(n.client, "gets DISCONNECT %v", p.Code)
	ok := false
	switch n.why {
	case takenOver:
		ok = p.Code == colibri.SessionTakenOver
	case sentRubbish:
		ok = p.Code.Failed()
	case tooSilent, maybeSilent:
		ok = p.Code == colibri.KeepAliveTimeout
	case cutOff:
		ok = true
	}
	if !ok {
		w.violate(n.client, "unexpected DISCONNECT", "the broker has sent DISCONNECT %v", p.Code)
	}
}

func (w *world) takePuback(n *conn, p *packet.Puback) {
	o := n.session.find(p.PacketID)
	if o == nil || o.message.qos != colibri.AtLeastOnce {
		w.violate(n.client, "one answer", "a PUBACK for no message of QoS 1, id %d", p.PacketID)
	}
	if o.message.fate, o.message.code = taken, p.Code; p.Code.Failed() {
		w.refused(o.message, p.Code)
	}
	n.session.outgoing = slices.DeleteFunc(n.session.outgoing, func(other *outgoing) bool { return other == o })
}

// refused books that m was answered with an error, which may only be because every queue
// was full.
func (w *world) refused(m *publication, code colibri.ReasonCode) {
	full := w.broker.Stats().Dropped[broker.DropQueueFull]
	if code != colibri.QuotaExceeded || m.retain || full == 0 {
		w.violate(m.sender, "refused", "message %d was refused: %v", m.number, code)
	}
	if m.fate = refused; m.transmissions > 1 {
		m.fate = unknown
	}
}

func (w *world) takePubrec(n *conn, p *packet.Pubrec) {
	o := n.session.find(p.PacketID)
	if o == nil || o.message.qos != colibri.ExactlyOnce {
		w.violate(n.client, "one answer", "a PUBREC for no message of QoS 2, id %d", p.PacketID)
	}
	if p.Code.Failed() {
		if n.expects[answer{packet.PUBREC, p.PacketID}] == 0 { // a repeat of it may still be taken
			w.refused(o.message, p.Code)
			n.session.outgoing = slices.DeleteFunc(n.session.outgoing, func(other *outgoing) bool { return other == o })
		}
		return
	}
	if o.message.fate == underWay {
		o.message.fate, o.message.code = taken, p.Code
	}
	if o.state == sent {
		o.state = answered
		n.acks.pubrel = append(n.acks.pubrel, p.PacketID)
	}
}

func (w *world) takePubrel(n *conn, p *packet.Pubrel) {
	s := n.session
	w.note(n.client, "gets PUBREL id %d", p.PacketID)
	in := s.incoming[p.PacketID]
	key := answer{packet.PUBREL, p.PacketID}
	switch {
	case n.expects[key] > 0:
		if n.expects[key]--; n.expects[key] == 0 {
			delete(n.expects, key)
		}
	case in != nil && in.recorded && n.resumed && in.conn != n: // sent again, as our PUBCOMP has not come
	case s.finished[p.PacketID] != nil && s.finished[p.PacketID].released && n.resumed: // our PUBCOMP was lost
	default:
		w.violate(n.client, "MQTT-4.3.3-4", "a PUBREL with Packet Identifier %d that answers no PUBREC", p.PacketID)
	}
	if in != nil {
		if !in.recorded {
			w.violate(n.client, "MQTT-4.3.3-4", "a PUBREL before the PUBREC, id %d", p.PacketID)
		}
		in.released, in.conn = true, n
	}
	if !slices.Contains(n.acks.pubcomp, p.PacketID) {
		n.acks.pubcomp = append(n.acks.pubcomp, p.PacketID)
	}
}

func (w *world) takeSuback(n *conn, p *packet.Suback) {
	a := n.questions[p.PacketID]
	delete(n.questions, p.PacketID)
	delete(n.session.busy, p.PacketID)
	if len(p.Codes) != len(a.added) {
		w.violate(n.client, "MQTT-3.8.4-6", "a SUBACK with %d codes for %d Subscriptions", len(p.Codes), len(a.added))
	}
	for i, r := range a.added {
		if want := colibri.ReasonCode(r.subscription.QoS); p.Codes[i] != want {
			w.violate(n.client, "MQTT-3.8.4-7", "SUBACK for %s: got %v, want %v", r.subscription.Filter, p.Codes[i], want)
		}
		r.addedBy = w.step
		w.granted = append(w.granted, r)
	}
	for _, r := range a.removed {
		r.removedBy = w.step
	}
}

func (w *world) takeUnsuback(n *conn, p *packet.Unsuback) {
	a := n.questions[p.PacketID]
	delete(n.questions, p.PacketID)
	delete(n.session.busy, p.PacketID)
	for _, r := range a.removed {
		r.removedBy = w.step
	}
	if n.client.version < colibri.V5 {
		return
	}
	if len(p.Codes) != 1 ||
		p.Codes[0] == colibri.NoSubscriptionExisted && a.existed == yes || p.Codes[0] == colibri.Success && a.existed == no {
		w.violate(n.client, "UNSUBACK", "UNSUBACK for %s: got %v", a.filter, p.Codes)
	}
}

// takePublish does what the protocol asks of a client, and leaves the rest to judge.
func (w *world) takePublish(n *conn, p *packet.Publish, size int) {
	c, s := n.client, n.session
	name := strings.Clone(p.Topic)
	if alias, ok := p.Properties.Number(colibri.TopicAlias); ok {
		if alias == 0 || alias > c.aliases {
			w.violate(c, "MQTT-3.1.2-26", "Topic Alias %d, and its Topic Alias Maximum is %d", alias, c.aliases)
		}
		if name != "" {
			n.given[alias] = name
		}
		name = n.given[alias]
	}
	m := w.identify(name, p)
	if m == nil {
		w.violate(c, "unknown message", "a PUBLISH to %q that nobody has sent: %.60q", name, p.Payload)
	}
	w.note(c, "gets PUBLISH message %d to %s, %v, id %d, DUP %v, RETAIN %v, Subscription Identifiers %v", m.number, name, p.QoS, p.PacketID,
		p.Dup, p.Retain, identifiers(p))
	if p.QoS > 0 && w.handshake(n, p, m) {
		w.counts.Resends++
		return
	}
	w.counts.Deliveries++
	copied := *p
	w.arrived = append(w.arrived, delivery{conn: n, session: s, packet: &copied, size: size, topic: name, message: m, calm: n.calm})
}

// handshake books a QoS 1 or 2 PUBLISH, and reports whether it is one that the client
// has had before.
func (w *world) handshake(n *conn, p *packet.Publish, m *publication) (again bool) {
	c, s := n.client, n.session
	if p.PacketID == 0 {
		w.violate(c, "MQTT-2.2.1-4", "a PUBLISH with QoS %d and Packet Identifier 0", p.QoS)
	}
	nameless := len(m.payload) == 0
	if in := s.incoming[p.PacketID]; in != nil {
		switch {
		case in.conn == n:
			w.violate(c, "MQTT-2.2.1-4", "Packet Identifier %d of message %d is in use for message %d", p.PacketID, m.number, in.message.number)
		case in.released:
			w.violate(c, "MQTT-4.3.3-6", "message %d is sent again after its PUBREL", m.number)
		case !p.Dup:
			w.violate(c, "MQTT-3.3.1-1", "message %d is sent again without DUP", m.number)
		case in.message != m && !(nameless && len(in.message.payload) == 0) || in.qos != p.QoS:
			w.violate(c, "MQTT-4.4.0-1", "Packet Identifier %d carried message %d, %v, and now message %d, %v", p.PacketID, in.message.number, in.qos, m.number, p.QoS)
		}
		for _, other := range s.incoming {
			if other.conn == n && other.number > in.number && !other.recorded {
				w.violate(c, "MQTT-4.6.0-1", "message %d is sent again after message %d, which came later", m.number, other.message.number)
			}
		}
		w.occupy(n)
		in.conn = n
		w.owe(n, p)
		return true
	}
	before := s.finished[p.PacketID]
	if p.Dup {
		switch {
		case !n.resumed:
			w.violate(c, "MQTT-3.3.1-1", "message %d with DUP on a connection that resumes nothing", m.number)
		case before != nil && before.conn != n && (before.message == m || nameless && before.message.topic == m.topic && len(before.message.payload) == 0): // our acknowledgement was lost
			again = true
		case m.from > s.lastLost && m.from != never && !nameless:
			w.violate(c, "MQTT-3.3.1-1", "message %d has DUP and cannot have been sent before", m.number)
		}
	}
	for id, other := range s.incoming {
		if other.message == m && other.conn != n && p.Dup && m.routes() == 1 && !m.retain && !other.shared && !isShared(c, identifiers(p)) {
			w.violate(c, "MQTT-4.4.0-1", "message %d is sent again with Packet Identifier %d, and was sent with %d", m.number, p.PacketID, id)
		}
	}
	w.occupy(n)
	delete(s.finished, p.PacketID)
	w.arrivals++
	place := w.arrivals
	if again {
		place = before.number
	}
	s.incoming[p.PacketID] = &incoming{message: m, qos: p.QoS, conn: n, number: place, shared: isShared(c, identifiers(p))}
	w.owe(n, p)
	return again
}

// occupy checks that there is a place for one message more.
func (w *world) occupy(n *conn) {
	if count := n.inFlight(); count >= n.window {
		w.violate(n.client, "MQTT-3.3.4-9", "%d messages are unacknowledged and the Receive Maximum is %d", count+1, n.window)
	}
}

func (w *world) owe(n *conn, p *packet.Publish) {
	if p.QoS == colibri.AtLeastOnce {
		n.acks.puback = append(n.acks.puback, p.PacketID)
	} else {
		n.acks.pubrec = append(n.acks.pubrec, p.PacketID)
	}
}

// identify finds the message by its payload. One without a payload is taken for any
// that may be meant.
func (w *world) identify(name string, p *packet.Publish) *publication {
	if len(p.Payload) == 0 {
		for _, m := range slices.Backward(w.messages) {
			if len(m.payload) == 0 && m.topic == name && (m.from <= w.step || m.will) {
				return m
			}
		}
		return nil
	}
	words := strings.SplitN(string(p.Payload[:min(len(p.Payload), 40)]), " ", 3)
	if len(words) < 3 || words[0] != "message" {
		return nil
	}
	i, err := strconv.Atoi(words[1])
	if err != nil || i < 0 || i >= len(w.messages) {
		return nil
	}
	if m := w.messages[i]; m.topic == name && string(m.payload) == string(p.Payload) {
		return m
	}
	return nil
}

// identifiers returns the Subscription Identifiers of p.
func identifiers(p *packet.Publish) (all []uint32) {
	for _, property := range p.Properties {
		if property.ID == colibri.SubscriptionIdentifier {
			all = append(all, property.Number)
		}
	}
	slices.Sort(all)
	return all
}
