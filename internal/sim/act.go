package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// act has c do one thing. What changes whether it is connected is decided first: it
// happens once a step at most.
func (w *world) act(c *client) {
	if !c.conn.open() {
		if c.conn == nil {
			w.connect(c, w.rand.IntN(6) == 0)
		}
		return
	}
	if w.rand.IntN(1000) < w.plan.cuts {
		for range w.rand.IntN(4) { // the broker may or may not come to these
			w.publish(c)
		}
		w.part(c)
		return
	}
	for range 1 + w.rand.IntN(3) {
		switch r := w.rand.IntN(100); {
		case r < 55:
			w.publish(c)
		case r < 70:
			w.subscribe(c)
		case r < 76:
			w.unsubscribe(c)
		case r < 86:
			w.acknowledge(c, false)
		case r < 92:
			w.repeat(c)
		case r < 95 && c.pauses:
			w.counts.Pauses++
			c.conn.pause(!c.conn.paused)
			w.note(c, "reads: %v", !c.conn.paused)
			if !c.conn.paused {
				c.conn.calmStep = w.step
			}
		default:
			w.send(c.conn, &packet.Pingreq{})
		}
	}
}

// part ends the connection of c, or takes it over.
func (w *world) part(c *client) {
	n := c.conn
	switch r := w.rand.IntN(100); {
	case r < 25:
		w.counts.Cuts++
		w.note(c, "closes without DISCONNECT")
		n.why, n.severed = cutOff, true
		n.sever()
	case r < 45 && !n.paused: // in the middle of a packet
		w.counts.Cuts++
		b := w.encode(n, &packet.Publish{Topic: w.plan.topics[0], QoS: colibri.AtLeastOnce, PacketID: c.session.newID(), Payload: []byte("cut")})
		w.note(c, "closes in the middle of a PUBLISH")
		n.sendBytes(b[:1+w.rand.IntN(len(b)-1)])
		n.why, n.severed = cutOff, true
		n.finish()
	case r < 65:
		w.counts.Takeovers++
		n.why = takenOver
		n.pause(false)
		c.session.lastLost = w.step
		for range w.rand.IntN(12) { // they race with those that the new connection brings
			w.publish(c)
		}
		w.connect(c, w.rand.IntN(5) == 0)
	case r < 90:
		w.disconnect(c)
	default:
		w.rubbish(c)
	}
}

// disconnect says goodbye, in 5.0 perhaps with the wish that the Will Message be
// published, or with another Session Expiry Interval.
func (w *world) disconnect(c *client) {
	n := c.conn
	w.counts.Disconnects++
	p := &packet.Disconnect{}
	if c.version == colibri.V5 {
		if w.rand.IntN(4) == 0 {
			p.Code, n.keepWill = colibri.DisconnectWithWillMessage, true
		}
		if c.session.expiry > 0 && w.rand.IntN(4) == 0 {
			c.session.expiry = uint32(w.rand.IntN(3)) * 20
			p.Properties = p.Properties.AppendNumber(colibri.SessionExpiryInterval, c.session.expiry)
		}
	}
	w.note(c, "DISCONNECT %v, Session Expiry Interval now %d", p.Code, c.session.expiry)
	w.send(n, p)
	n.why, n.graceful = saidGoodbye, true
	n.pause(false)
}

// rubbish breaks the protocol.
func (w *world) rubbish(c *client) {
	n := c.conn
	w.counts.Rubbish++
	all := []string{
		"\x00\x00",                        // the reserved type
		"\x36\x06\x00\x01a\x00\x01x",      // QoS 3
		"\x30\x05\x00\x03a/#",             // a wildcard in a Topic Name
		"\x80\x06\x00\x01\x00\x01a\x00",   // wrong flags
		"\x82\x08\x00\x01\x00\x03a#b\x00", // not a Topic Filter
		"\x20\x02\x00\x00",                // what only a Server sends
		"\x30\xff\xff\xff\xff\xff",        // no length
		"\x30\x04\x00\x02\xc3\x28",        // not UTF-8
		"\x32\x05\x00\x01a\x00\x00",       // Packet Identifier 0
		"\x82\x02\x00\x01",                // no Topic Filter
		string(w.encode(n, n.connect)),    // a second CONNECT
		"\xc0\x01\x00",                    // a PINGREQ with something in it
	}
	b := all[w.rand.IntN(len(all))]
	if c.version == colibri.V5 && strings.HasPrefix(b, "\x82\x08") {
		b = "\x82\x09\x00\x01\x00\x00\x03a#b\x00"
	}
	w.note(c, "sends rubbish % x", b)
	n.sendBytes([]byte(b))
	n.why = sentRubbish
	n.pause(false)
}

// connect opens a connection for c, and takes the one over that it has.
func (w *world) connect(c *client, clean bool) {
	w.counts.Connects++
	if !c.lasting {
		clean = true
	}
	p := &packet.Connect{Version: c.version, ClientID: c.name, CleanStart: clean, KeepAlive: c.keepAlive}
	if c.version == colibri.V5 {
		if c.expiry > 0 {
			p.Properties = p.Properties.AppendNumber(colibri.SessionExpiryInterval, c.expiry)
		}
		if c.window > 0 {
			p.Properties = p.Properties.AppendNumber(colibri.ReceiveMaximum, uint32(c.window))
		}
		if c.maxPacket > 0 {
			p.Properties = p.Properties.AppendNumber(colibri.MaximumPacketSize, uint32(c.maxPacket))
		}
		if c.aliases > 0 {
			p.Properties = p.Properties.AppendNumber(colibri.TopicAliasMaximum, c.aliases)
		}
	}
	n := w.dial(c)
	n.connect = p
	n.window = 65_535
	if c.version == colibri.V5 && c.window > 0 {
		n.window = c.window
	}
	if limit := w.plan.limits.Inflight; limit > 0 {
		n.window = min(n.window, limit)
	} else {
		n.window = min(n.window, 20)
	}
	n.maxPacket, n.keepAlive = c.maxPacket, time.Duration(c.keepAlive)*time.Second
	if w.rand.IntN(3) == 0 {
		w.addWill(n, p)
	}
	w.note(c, "CONNECT, Clean Start %v, Will Message %v, Session Expiry Interval %d", p.CleanStart, p.Will != nil, c.expiry)
	w.conns = append(w.conns, n)
	c.conn = n
	w.send(n, p)
	for range max(0, w.rand.IntN(6)-3) {
		w.publishEarly(n)
	}
}

// publishEarly sends a message that does not wait for the CONNACK.
func (w *world) publishEarly(n *conn) {
	m := w.newMessage(n.client)
	m.qos = colibri.AtMostOnce
	w.published(m)
	w.transmit(n, m, 0, false)
}

// addWill gives a CONNECT a Will Message.
func (w *world) addWill(n *conn, p *packet.Connect) {
	c := n.client
	m := w.newMessage(c)
	n.will = m
	m.will, m.from, m.until, m.transmissions = true, never, never, 1
	will := &packet.Will{Topic: m.topic, Payload: m.payload, QoS: m.qos, Retain: m.retain}
	if c.version == colibri.V5 {
		if w.rand.IntN(2) == 0 {
			n.willDelay = []uint32{1, 5, 40, 4000}[w.rand.IntN(4)]
			will.Properties = will.Properties.AppendNumber(colibri.WillDelayInterval, n.willDelay)
		}
		if m.expiry > 0 {
			will.Properties = will.Properties.AppendNumber(colibri.MessageExpiryInterval, uint32(m.expiry/time.Second))
		}
		will.Properties = append(will.Properties, m.properties...)
	}
	p.Will = will
}

// newMessage makes up an Application Message.
func (w *world) newMessage(c *client) *publication {
	m := &publication{number: len(w.messages), sender: c, topic: w.plan.topics[w.rand.IntN(len(w.plan.topics))],
		qos: colibri.QoS(w.rand.IntN(3)), from: w.step, until: never, fromTime: time.Now(), replacedAt: never}
	m.payload = fmt.Appendf(nil, "message %d ", m.number)
	switch r := w.rand.IntN(1000); {
	case r < 5:
		m.payload = append(m.payload, strings.Repeat("huge ", 8000)...)
	case r < 30:
		m.payload = append(m.payload, strings.Repeat("large ", 1000)...)
	case r < 200:
		m.payload = append(m.payload, strings.Repeat("long ", w.rand.IntN(60))...)
	}
	if w.rand.IntN(100) < w.plan.retain {
		m.retain = true
		if w.rand.IntN(4) == 0 {
			m.payload = nil
		}
	}
	if c.version == colibri.V5 {
		if w.rand.IntN(100) < w.plan.expire {
			m.expiry = time.Duration([]int{1, 3, 60}[w.rand.IntN(3)]) * time.Second
		}
		for i := range w.rand.IntN(3) {
			m.properties = m.properties.AppendUser("number", fmt.Sprint(m.number, i))
		}
	}
	w.messages = append(w.messages, m)
	return m
}

// publish sends a new message.
func (w *world) publish(c *client) {
	n := c.conn
	open := 0
	for _, o := range c.session.outgoing {
		if o.state != released || o.message.conn == n {
			open++
		}
	}
	m := w.newMessage(c)
	if open >= min(n.serverMax, 30) {
		m.qos = colibri.AtMostOnce
	}
	w.published(m)
	var id uint16
	if m.qos > 0 {
		id = c.session.newID()
		c.session.outgoing = append(c.session.outgoing, &outgoing{id: id, message: m})
	}
	w.transmit(n, m, id, false)
}

// published enters a message that a client is about to send.
func (w *world) published(m *publication) {
	w.counts.Publishes++
	if m.retain {
		w.counts.Retained++
		w.retained[m.topic] = append(w.retained[m.topic], m)
	}
	w.unsettled = append(w.unsettled, m)
}

// transmit sends the PUBLISH of m.
func (w *world) transmit(n *conn, m *publication, id uint16, dup bool) {
	w.sends++
	m.transmissions++
	m.last, m.conn = w.sends, n
	if m.first == 0 {
		m.first = w.sends
	}
	p := &packet.Publish{Dup: dup, QoS: m.qos, Retain: m.retain, Topic: m.topic, PacketID: id, Payload: m.payload}
	if n.client.version == colibri.V5 {
		if m.expiry > 0 {
			p.Properties = p.Properties.AppendNumber(colibri.MessageExpiryInterval, uint32(m.expiry/time.Second))
		}
		p.Properties = append(p.Properties, m.properties...)
		alias := n.aliases[m.topic]
		switch {
		case alias > 0:
			p.Topic = ""
			p.Properties = p.Properties.AppendNumber(colibri.TopicAlias, alias)
		case len(n.aliases) < min(n.aliasMax, 3) && w.rand.IntN(4) == 0:
			alias = uint32(len(n.aliases) + 1)
			n.aliases[m.topic] = alias
			p.Properties = p.Properties.AppendNumber(colibri.TopicAlias, alias)
		}
	}
	w.note(n.client, "PUBLISH message %d to %s, %v, id %d, DUP %v, RETAIN %v, %d bytes, expires after %v", m.number, m.topic, m.qos, id, dup, m.retain, len(m.payload), m.expiry)
	switch m.qos {
	case colibri.AtLeastOnce:
		n.expects[answer{packet.PUBACK, id}]++
	case colibri.ExactlyOnce:
		n.expects[answer{packet.PUBREC, id}]++
	}
	w.send(n, p)
}

// repeat sends a QoS 2 message again whose PUBREL was not sent.
func (w *world) repeat(c *client) {
	for _, o := range c.session.outgoing {
		if o.message.qos == colibri.ExactlyOnce && o.state != released && o.message.conn == c.conn {
			w.counts.Repeats++
			w.transmit(c.conn, o.message, o.id, true)
			return
		}
	}
}

// sendAgain is what a client does first on a connection that has resumed its Session.
func (w *world) sendAgain(c *client) {
	for _, o := range c.session.outgoing {
		if o.state == sent {
			w.counts.Repeats++
			w.transmit(c.conn, o.message, o.id, true)
			continue
		}
		o.message.conn = c.conn
		if !slices.Contains(c.conn.acks.pubrel, o.id) {
			c.conn.acks.pubrel = append(c.conn.acks.pubrel, o.id)
		}
	}
}

// subscribe asks for up to three Subscriptions.
func (w *world) subscribe(c *client) {
	n, s := c.conn, c.session
	p := &packet.Subscribe{PacketID: s.newID()}
	for range 1 + w.rand.IntN(3) {
		sub := colibri.Subscription{Filter: w.plan.filters[w.rand.IntN(len(w.plan.filters))], QoS: colibri.QoS(w.rand.IntN(3))}
		shares := c.version == colibri.V5 && w.rand.IntN(3) == 0 && len(p.Subscriptions) == 0
		if shares {
			sub.Filter = w.plan.groups[w.rand.IntN(len(w.plan.groups))]
		}
		if c.worker != "" {
			sub.Filter, shares = c.worker, true
		}
		if slices.ContainsFunc(p.Subscriptions, func(other colibri.Subscription) bool { return other.Filter == sub.Filter }) ||
			slices.ContainsFunc(s.subscriptions, func(r *record) bool {
				return r.subscription.Filter == sub.Filter && r.conn == n && (r.addedBy == never || r.removedFrom != never && r.removedBy == never)
			}) {
			continue
		}
		if c.version == colibri.V5 {
			sub.RetainAsPublished = w.rand.IntN(3) == 0
			sub.RetainHandling = colibri.RetainHandling(w.rand.IntN(3))
			sub.NoLocal = !shares && w.rand.IntN(4) == 0
		}
		p.Subscriptions = append(p.Subscriptions, sub)
		if shares {
			break // its Subscription Identifier tells it from those that are not shared
		}
	}
	if len(p.Subscriptions) == 0 {
		return
	}
	share, _ := shared(p.Subscriptions[0].Filter)
	switch {
	case c.version < colibri.V5:
	case share != "":
		p.Properties = p.Properties.AppendNumber(colibri.SubscriptionIdentifier, 1000+uint32(slices.Index(allGroups, p.Subscriptions[0].Filter)))
	case w.rand.IntN(2) == 0:
		p.Properties = p.Properties.AppendNumber(colibri.SubscriptionIdentifier, 1+uint32(w.rand.IntN(20)))
	}
	identifier, _ := p.Properties.Number(colibri.SubscriptionIdentifier)
	asked := &asked{}
	for _, sub := range p.Subscriptions {
		sub.Identifier = identifier
		r := &record{subscription: sub, addedFrom: w.step, addedBy: never, removedFrom: never, removedBy: never, conn: n,
			replayed: map[*publication]int{}}
		r.share, r.filter = shared(sub.Filter)
		for _, old := range s.subscriptions {
			if old.subscription.Filter != sub.Filter || old.removedBy != never {
				continue
			}
			switch {
			case old.addedBy != never && old.removedFrom == never:
				r.existed = yes
			case r.existed == no:
				r.existed = maybe
			}
			old.removedFrom = min(old.removedFrom, w.step)
			asked.removed = append(asked.removed, old)
		}
		asked.added = append(asked.added, r)
		s.subscriptions = append(s.subscriptions, r)
		w.join(s, r)
		w.note(c, "SUBSCRIBE %s, %v, No Local %v, Retain As Published %v, Retain Handling %d, Subscription Identifier %d", sub.Filter,
			sub.QoS, sub.NoLocal, sub.RetainAsPublished, sub.RetainHandling, sub.Identifier)
	}
	w.counts.Subscribes++
	n.expects[answer{packet.SUBACK, p.PacketID}]++
	n.asked(p.PacketID, asked)
	w.send(n, p)
}

// asked is what a SUBSCRIBE or UNSUBSCRIBE changes once it is answered.
type asked struct {
	added, removed []*record
	filter         string    // of an UNSUBSCRIBE
	existed        certainty // likewise
}

func (n *conn) asked(id uint16, a *asked) {
	if n.questions == nil {
		n.questions = map[uint16]*asked{}
	}
	n.questions[id] = a
	n.session.busy[id] = true
}

// unsubscribe ends a Subscription, or one that does not exist.
func (w *world) unsubscribe(c *client) {
	n, s := c.conn, c.session
	filter := w.plan.filters[w.rand.IntN(len(w.plan.filters))]
	if len(s.subscriptions) > 0 && w.rand.IntN(4) > 0 {
		filter = s.subscriptions[w.rand.IntN(len(s.subscriptions))].subscription.Filter
	}
	p := &packet.Unsubscribe{PacketID: s.newID(), Filters: []string{filter}}
	a := &asked{filter: filter}
	for _, r := range s.subscriptions {
		if r.subscription.Filter != filter || r.removedBy != never {
			continue
		}
		if r.conn == n && r.addedBy == never {
			return // its SUBACK has not come
		}
		a.existed = max(a.existed, maybe)
		if r.addedBy != never && r.removedFrom == never {
			a.existed = yes
		}
		a.removed = append(a.removed, r)
	}
	for _, r := range a.removed {
		r.removedFrom = min(r.removedFrom, w.step)
	}
	w.counts.Unsubscribes++
	w.note(c, "UNSUBSCRIBE %s", filter)
	n.expects[answer{packet.UNSUBACK, p.PacketID}]++
	n.asked(p.PacketID, a)
	w.send(n, p)
}

// acknowledge sends some or all of the acknowledgements that c owes.
func (w *world) acknowledge(c *client, all bool) {
	for n := c.conn; ; {
		a := &n.acks
		var kinds []*[]uint16
		for _, list := range []*[]uint16{&a.puback, &a.pubrec, &a.pubrel, &a.pubcomp} {
			if len(*list) > 0 {
				kinds = append(kinds, list)
			}
		}
		if len(kinds) == 0 {
			return
		}
		list := kinds[w.rand.IntN(len(kinds))]
		i := 0
		if c.disorderly || list == &a.pubcomp {
			i = w.rand.IntN(len(*list))
		}
		id := (*list)[i]
		if list == &a.pubrel && n.expects[answer{packet.PUBREC, id}] > 0 {
			return // a repeat of its PUBLISH has not been answered
		}
		*list = slices.Delete(*list, i, i+1)
		w.counts.Acknowledgements++
		switch list {
		case &a.puback:
			w.puback(n, id)
		case &a.pubrec:
			w.pubrec(n, id)
		case &a.pubrel:
			w.note(c, "PUBREL id %d", id)
			if o := c.session.find(id); o != nil {
				o.state = released
			}
			n.expects[answer{packet.PUBCOMP, id}]++
			w.send(n, &packet.Pubrel{PacketID: id})
		case &a.pubcomp:
			w.note(c, "PUBCOMP id %d", id)
			if in := c.session.incoming[id]; in != nil && in.released {
				delete(c.session.incoming, id)
				c.session.finished[id] = in
			}
			w.send(n, &packet.Pubcomp{PacketID: id})
		}
		if !all && w.rand.IntN(2) == 0 {
			return
		}
	}
}

// refusal is the Reason Code of an acknowledgement: some clients of 5.0 refuse a message
// that they have taken note of.
func (w *world) refusal(c *client) colibri.ReasonCode {
	if c.version == colibri.V5 && w.rand.IntN(30) == 0 {
		return colibri.QuotaExceeded
	}
	return colibri.Success
}

func (w *world) puback(n *conn, id uint16) {
	s := n.session
	code := w.refusal(n.client)
	w.note(n.client, "PUBACK id %d, %v", id, code)
	s.finished[id] = s.incoming[id]
	delete(s.incoming, id)
	w.send(n, &packet.Puback{PacketID: id, Code: code})
}

func (w *world) pubrec(n *conn, id uint16) {
	s := n.session
	code := w.refusal(n.client)
	w.note(n.client, "PUBREC id %d, %v", id, code)
	if code.Failed() {
		s.finished[id] = s.incoming[id]
		delete(s.incoming, id)
	} else {
		s.incoming[id].recorded = true
		n.expects[answer{packet.PUBREL, id}]++
	}
	w.send(n, &packet.Pubrec{PacketID: id, Code: code})
}

func (w *world) encode(n *conn, p packet.Packet) []byte {
	b, err := packet.Append(nil, p, n.client.version)
	if err != nil {
		panic(fmt.Sprintf("sim: encode a %v: %v", p.Type(), err))
	}
	return b
}

func (w *world) send(n *conn, p packet.Packet) {
	if p.Type() == packet.PINGREQ {
		n.expects[answer{packet.PINGRESP, 0}]++
	}
	n.lastSent = time.Now()
	n.sendBytes(w.encode(n, p))
}
