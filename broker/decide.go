package broker

import (
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// publish decides the PUBLISH that c's Session has asked for, and acknowledges it.
func (c *conn) publish(b *batch) error {
	r := &b.out.Request
	code := c.broker.mayPublish(c.client, &r.Message)
	if code.Failed() {
		c.broker.drop(c.client, DropDenied, 1)
	} else {
		code = b.publish(c, &r.Message)
	}
	if r.Message.QoS == colibri.AtMostOnce {
		return nil
	}
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Message.QoS == colibri.ExactlyOnce && !code.Failed() {
		b.recordReceived(s, r.PacketID)
	}
	s.state.Published(r.PacketID, r.Message.QoS, code, &b.out)
	b.reply(c, &b.out)
	return nil
}

// mayPublish decides whether client may publish m, also as its Will Message.
func (b *Broker) mayPublish(client ClientInfo, m *colibri.Message) colibri.ReasonCode {
	if strings.Count(m.Topic, "/") >= b.limits.TopicLevels {
		return colibri.TopicNameInvalid
	}
	if b.authorizer != nil {
		return sendable(packet.PUBACK, b.authorizer.Publish(client, m.Topic, m.QoS, m.Retain))
	}
	if strings.HasPrefix(m.Topic, "$SYS/") || m.Topic == "$SYS" {
		return colibri.NotAuthorized
	}
	return colibri.Success
}

// sendable returns the code of an Authorizer, or one that says less when the packet that
// answers does not have it.
func sendable(t packet.Type, code colibri.ReasonCode) colibri.ReasonCode {
	if code.Failed() && !packet.ReasonCodeAllowed(t, code) {
		return colibri.UnspecifiedError
	}
	return code
}

// publish takes ownership of m: it retains it if m asks for that and hands it to every
// Session with a matching Subscription. from is the publisher's connection, nil when it
// is the broker itself. m may alias the batch's buffer.
func (b *batch) publish(from *conn, m *colibri.Message) colibri.ReasonCode {
	var publisher *liveSession
	if from != nil {
		publisher = from.session
	} else if seconds, ok := m.Properties.Number(colibri.MessageExpiryInterval); ok && m.Expires == 0 {
		own := *m // the time of our own messages runs from here
		own.Expires = b.now.UnixNano() + int64(seconds)*int64(time.Second)
		m = &own
	}
	if m.Retain { // before Route: who subscribes meanwhile must not miss it in both places
		m = m.Clone()
		b.retain(from, m)
	}
	b.broker.router.Route(m.Topic, publisher, &b.matches)
	if !m.Retain && len(b.matches.List) > 0 && (m.QoS > colibri.AtMostOnce || len(m.Payload) >= shareBytes) {
		m = m.Clone() // Sessions or outboxes keep it
	}
	if m.Expires == 0 || !m.Expired(b.now) {
		b.encoder.begin(m, b.now)
		b.stored = 0
		for i := range b.matches.List {
			match := &b.matches.List[i]
			d := colibri.Delivery{
				Message: m,
				QoS:     min(m.QoS, match.QoS),
				Retain:  m.Retain && match.RetainAsPublished, // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
			}
			switch {
			case match.Identifiers != nil:
				d.Identifiers = match.Identifiers
			case match.Identifier != 0:
				d.Identifiers = []uint32{match.Identifier}
			}
			b.deliver(match.Subscriber, d)
		}
	}
	if len(b.matches.List) == 0 {
		return colibri.NoMatchingSubscribers
	}
	return colibri.Success
}

// deliver hands one Session its copy of the message.
func (b *batch) deliver(s *liveSession, d colibri.Delivery) {
	if d.QoS == colibri.AtMostOnce { // needs nothing of the Session's state
		if c := s.conn.Load(); c != nil {
			b.qos0 = d
			b.send(c, &session.Reply{Type: packet.PUBLISH, Delivery: &b.qos0})
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	c := s.conn.Load()
	room := c != nil && c.out.hasRoom(b.broker.limits.OutboxBytes)
	b.other.Reset()
	switch s.state.Deliver(d, room, &b.other) {
	case session.Sent:
		b.recordDelivery(s, &d)
		b.reply(c, &b.other)
	case session.Queued:
		b.recordDelivery(s, &d)
	case session.QueueFull:
		b.broker.drop(ClientInfo{ClientID: s.clientID}, DropQueueFull, 1)
	}
}

// subscribe decides the Subscriptions that c's Session has asked for, answers them, and
// then sends what is retained for them.
func (c *conn) subscribe(b *batch) error {
	r := &b.out.Request
	codes := make([]colibri.ReasonCode, len(r.Subscriptions))
	var retained []colibri.Subscription
	answers := make([]Subscribed, len(r.Subscriptions))
	for i, sub := range r.Subscriptions { // as if each came alone [MQTT-3.8.4-5]
		granted, existed, code := c.grant(b, sub)
		codes[i] = code
		answers[i] = Subscribed{Client: c.client, Subscription: granted, Code: code}
		if code.Failed() {
			continue
		}
		c.firehoseBegins(granted.Filter, b.now)
		_, _, shared := topic.SplitShared(granted.Filter)
		switch {
		case shared: // a Shared Subscription gets no Retained Messages
		case granted.RetainHandling == colibri.SendRetained, // [MQTT-3.3.1-9]
			granted.RetainHandling == colibri.SendRetainedIfNew && !existed: // [MQTT-3.3.1-10]
			retained = append(retained, granted)
		}
	}
	if err := c.subscribed(b, codes); err != nil {
		return err
	}
	c.addRetained(b, retained)
	for i := range answers {
		c.broker.emit(answers[i])
	}
	return nil
}

// subscribed answers the SUBSCRIBE.
func (c *conn) subscribed(b *batch, codes []colibri.ReasonCode) error {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		return errTakenOver
	}
	s.state.Subscribed(b.out.Request.PacketID, codes, &b.out)
	b.reply(c, &b.out)
	return nil
}

// addRetained lets c's Session have what is retained for new Subscriptions.
func (c *conn) addRetained(b *batch, subscriptions []colibri.Subscription) {
	if len(subscriptions) == 0 || c.broker.retained.Len() == 0 {
		return
	}
	s := c.session
	s.mu.Lock()
	for _, sub := range subscriptions {
		if s.conn.Load() == c {
			s.state.AddRetained(sub)
		}
	}
	s.mu.Unlock()
	for s.supply(b) {
	}
}

// supply looks up the Retained Messages that s asks for, without holding its lock, and
// sends them as far as there is room. It returns false when s asks for none.
func (s *liveSession) supply(b *batch) bool {
	s.mu.Lock()
	filter, ok := s.state.WantRetained()
	s.mu.Unlock()
	if !ok {
		return false
	}
	messages := b.broker.retainedFor(filter, b.now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.SupplyRetained(filter, messages, b.broker.retained.Get)
	b.other.Reset()
	s.pump(b, &b.other)
	return true
}

// supplyRetained is supply in a goroutine of its own, which ends when s asks for no more.
func (b *Broker) supplyRetained(s *liveSession) {
	batch := b.takeBatch()
	defer batch.giveBack()
	for batch.now = time.Now(); s.supply(batch); batch.now = time.Now() {
		batch.recordAndReply()
	}
}

// grant authorizes one Subscription and enters it in the Session and the router.
func (c *conn) grant(b *batch, sub colibri.Subscription) (granted colibri.Subscription, existed bool, code colibri.ReasonCode) {
	granted = sub
	if strings.Count(sub.Filter, "/") >= c.broker.limits.TopicLevels {
		granted.Filter = strings.Clone(sub.Filter)
		return granted, false, colibri.TopicFilterInvalid
	}
	if a := c.broker.authorizer; a != nil {
		if code = a.Subscribe(c.client, sub); code.Failed() {
			granted.Filter = strings.Clone(sub.Filter)
			return granted, false, sendable(packet.SUBACK, code)
		}
		granted.QoS = min(sub.QoS, colibri.QoS(code))
	}
	s := c.session
	s.mu.Lock() // over both, so that Session and router agree whoever takes the Session over
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		granted.Filter = strings.Clone(sub.Filter)
		return granted, false, colibri.UnspecifiedError
	}
	granted, existed, ok := s.state.Grant(granted)
	if !ok {
		granted.Filter = strings.Clone(sub.Filter)
		return granted, false, colibri.QuotaExceeded
	}
	c.broker.router.Subscribe(s, granted)
	b.recordGranted(s, granted)
	return granted, existed, colibri.ReasonCode(granted.QoS) // [MQTT-3.8.4-7]
}

// revoke ends one Subscription and reports whether there was one.
func (c *conn) revoke(b *batch, filter string) bool {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c || !s.state.Revoke(filter) {
		return false
	}
	c.broker.router.Unsubscribe(s, filter) // [MQTT-3.10.4-2]
	b.recordRemoved(s, filter)
	return true
}

// unsubscribe decides the UNSUBSCRIBE that c's Session has asked for, and answers it.
func (c *conn) unsubscribe(b *batch) error {
	r := &b.out.Request
	s := c.session
	codes := make([]colibri.ReasonCode, len(r.Filters))
	for i, filter := range r.Filters { // [MQTT-3.10.4-6]
		codes[i] = colibri.NoSubscriptionExisted
		if c.revoke(b, filter) {
			codes[i] = colibri.Success
			if isFirehose(filter) {
				c.firehoseEnds()
			}
			c.broker.emit(Unsubscribed{Client: c.client, Filter: strings.Clone(filter)})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		return errTakenOver
	}
	s.state.Unsubscribed(r.PacketID, codes, &b.out)
	b.reply(c, &b.out)
	return nil
}

// retain replaces, or with an empty payload removes, what is retained for m's topic. m
// belongs to the store from now on.
func (b *batch) retain(from *conn, m *colibri.Message) {
	store, limit := &b.broker.retained, b.broker.limits.Retained
	switch {
	case len(m.Payload) == 0: // [MQTT-3.3.1-6], [MQTT-3.3.1-7]
		store.Delete(m.Topic)
	case limit > 0 && store.Len() >= limit && store.Get(m.Topic) == nil:
		var client ClientInfo
		if from != nil {
			client = from.client
		}
		b.broker.drop(client, DropRetained, 1)
		return
	default:
		store.Set(m.Topic, m) // [MQTT-3.3.1-5]
	}
	b.recordRetained(m)
}

// retainedFor returns what is retained for the topics that filter matches, and removes
// what has expired.
func (b *Broker) retainedFor(filter string, now time.Time) (messages []*colibri.Message) {
	b.retained.Select(filter, func(name string, m *colibri.Message) bool {
		if m.Expired(now) {
			b.retained.Update(name, func(latest *colibri.Message) *colibri.Message {
				if latest == m {
					return nil
				}
				return latest
			})
			return true
		}
		messages = append(messages, m)
		return true
	})
	return messages
}

// publishWill publishes a Will Message, whose Message Expiry Interval begins now.
func (b *batch) publishWill(m *colibri.Message) {
	if seconds, ok := m.Properties.Number(colibri.MessageExpiryInterval); ok {
		m.Expires = b.now.Add(time.Duration(seconds) * time.Second).UnixNano()
	}
	b.publish(nil, m)
}

// publishLate publishes a Will Message in a batch of its own.
func (b *Broker) publishLate(will *colibri.Message) {
	batch := b.takeBatch()
	defer batch.giveBack()
	batch.now = time.Now()
	batch.publishWill(will)
	batch.recordAndReply()
}

// Publish hands m to every Session with a matching Subscription, and retains it if m
// asks for that, as if a client had sent it. m must not be changed any more. It returns
// an error, and does nothing, when no client could have sent m: a *topic.SyntaxError
// for its Topic Name, or a *colibri.Error.
func (b *Broker) Publish(m *colibri.Message) error {
	if err := topic.CheckName(m.Topic); err != nil {
		return err
	}
	p := packet.Publish{QoS: m.QoS, Retain: m.Retain, Topic: m.Topic, Payload: m.Payload, Properties: m.Properties}
	if m.QoS > colibri.AtMostOnce {
		p.PacketID = 1
	}
	if _, err := packet.AppendPublish(nil, &p, colibri.V5); err != nil {
		return err
	}
	batch := b.takeBatch()
	defer batch.giveBack()
	batch.now = time.Now()
	batch.publish(nil, m)
	batch.recordAndReply()
	return nil
}
