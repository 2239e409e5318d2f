package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/router"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// outcome is what became of a message: the code for its publisher, and in plain words what
// the code does not say. dropped is the reason under which a refusal is counted.
type outcome struct {
	code    colibri.ReasonCode
	reason  string
	dropped DropReason
}

// publish decides the PUBLISH that c's Session has asked for, and acknowledges it.
func (c *conn) publish(b *batch) error {
	r := &b.out.Request
	s := c.session
	if code, why := c.broker.without.message(r.Message.QoS, r.Message.Retain); code.Failed() {
		c.broker.drop(s, DropInvalid, 1)
		return &colibri.Error{Op: "PUBLISH", Code: code, Err: errors.New(why)}
	}
	result := c.broker.mayPublish(c.client, c.permissions(), &r.Message)
	if result.code.Failed() {
		c.broker.drop(s, result.dropped, 1)
		if c.version < colibri.V5 && c.broker.disconnectDenied && result.dropped == DropDenied {
			return &colibri.Error{Op: "PUBLISH", Code: colibri.NotAuthorized, Rule: "MQTT311-3.3.5-2", Err: errors.New(result.reason)}
		}
	} else if result = b.publish(c, &r.Message); result.dropped == DropStateFull && c.version < colibri.V5 {
		return &colibri.Error{Op: "PUBLISH", Code: result.code, Err: errors.New(result.reason)} // it cannot be told otherwise
	}
	if r.Message.QoS == colibri.AtMostOnce {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Message.QoS == colibri.ExactlyOnce && !result.code.Failed() {
		b.recordReceived(s, r.PacketID)
	}
	s.state.Published(r.PacketID, r.Message.QoS, result.code, result.reason, &b.out)
	b.reply(c, &b.out)
	return nil
}

// mayPublish decides whether client, which has these Permissions, may publish m, also as its
// Will Message.
func (b *Broker) mayPublish(client ClientInfo, permissions Permissions, m *colibri.Message) outcome {
	result := b.validMessage(m)
	if !result.code.Failed() {
		if result = permitted(permissions, m); result.code.Failed() {
			b.deny(client, ActionPublish, m.Topic, result.code)
		}
	}
	return result
}

// validMessage decides whether anybody may publish m.
func (b *Broker) validMessage(m *colibri.Message) outcome {
	switch {
	case strings.Count(m.Topic, "/") >= b.limits.TopicLevels:
		return outcome{colibri.TopicNameInvalid, fmt.Sprintf("the Topic Name has more than %d levels", b.limits.TopicLevels), DropInvalid}
	case b.limits.TopicBytes > 0 && len(m.Topic) > b.limits.TopicBytes:
		return outcome{colibri.TopicNameInvalid, fmt.Sprintf("the Topic Name has more than %d bytes", b.limits.TopicBytes), DropInvalid}
	case b.checkPayloads && !formatKept(m): // [MQTT-3.3.2-4] leaves the check to us
		return outcome{colibri.PayloadFormatInvalid, "the payload is not UTF-8, as its Payload Format Indicator says", DropInvalid}
	}
	return outcome{}
}

// permitted decides whether a client with these Permissions may publish m.
func permitted(permissions Permissions, m *colibri.Message) outcome {
	code := colibri.Success
	switch {
	case permissions != nil:
		code = sendable(packet.PUBACK, permissions.Publish(m.Topic, m.QoS, m.Retain))
	case strings.HasPrefix(m.Topic, "$SYS/") || m.Topic == "$SYS":
		code = colibri.NotAuthorized
	}
	if code.Failed() {
		return outcome{code, "this client may not publish to this topic", DropDenied}
	}
	return outcome{}
}

// formatKept reports whether the payload is UTF-8 if the Payload Format Indicator says so.
func formatKept(m *colibri.Message) bool {
	format, _ := m.Properties.Number(colibri.PayloadFormatIndicator)
	return format != 1 || utf8.Valid(m.Payload)
}

// sendable returns the code of Permissions, or one that says less when the packet that
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
func (b *batch) publish(from *conn, m *colibri.Message) outcome {
	var publisher *liveSession
	if from != nil {
		publisher = from.session
	} else if seconds, ok := m.Properties.Number(colibri.MessageExpiryInterval); ok && m.Expires == 0 {
		own := *m // the time of our own messages runs from here
		own.Expires = b.now.UnixNano() + int64(seconds)*int64(time.Second)
		m = &own
	}
	if result := b.refused(m, publisher, from != nil); result.code.Failed() {
		b.broker.drop(publisher, result.dropped, 1)
		return result
	}
	retained := true
	if m.Retain { // before Route: who subscribes meanwhile must not miss it in both places
		m = m.Clone()
		retained = b.retain(publisher, m)
	}
	b.route(m, publisher, true)
	if !m.Retain && len(b.matches.List) > 0 && (m.QoS > colibri.AtMostOnce || len(m.Payload) >= shareBytes) {
		m = m.Clone() // Sessions or outboxes keep it
	}
	full := 0
	if m.Expires == 0 || !m.Expired(b.now) {
		b.encoder.begin(m, b.now)
		b.stored = stored{}
		for i := range b.matches.List {
			match := &b.matches.List[i]
			taken := false
			if d := match.Delivery(m); d.Share == "" {
				taken = b.deliver(match.Subscriber, d)
			} else {
				taken = b.deliverShared(match.Subscriber, d)
			}
			if !taken {
				full++
			}
		}
	} else {
		b.broker.drop(publisher, DropExpired, 1)
	}
	return b.outcome(publisher, m, full, retained)
}

// refused decides whether m is refused for all, because of what it would fill. client says that
// it comes from one.
func (b *batch) refused(m *colibri.Message, publisher *liveSession, client bool) outcome {
	if b.broker.whenFull == FullReject && m.QoS > colibri.AtMostOnce && !b.own {
		b.route(m, publisher, false)
		if b.anyFull(m) {
			return outcome{colibri.QuotaExceeded, "refused for all, as the queue of a subscriber is full", DropRejected}
		}
	}
	if client && m.QoS > colibri.AtMostOnce && b.broker.full() && b.toRecord(m, publisher) {
		return outcome{colibri.QuotaExceeded, "the state of this Server has no room for it", DropStateFull}
	}
	return outcome{}
}

// outcome says what the publisher of m is told: an error only when nobody has the
// message, as one that is sent again for the sake of a few reaches the others twice.
func (b *batch) outcome(publisher *liveSession, m *colibri.Message, full int, retained bool) outcome {
	matches := len(b.matches.List)
	switch {
	case !retained && matches == full:
		return outcome{colibri.QuotaExceeded, "not retained, as too much is retained already, and nobody else gets it", DropRetained}
	case !retained:
		return outcome{reason: "delivered but not retained, as too much is retained already"}
	case full > 0 && full == matches && !m.Retain:
		return outcome{colibri.QuotaExceeded, "the queue of every subscriber is full", DropQueueFull}
	case full > 0:
		return outcome{reason: fmt.Sprintf("%d of %d subscribers do not get it, as their queues are full", full, matches)}
	case matches > 0:
		return outcome{}
	case b.withheld > 0: // counted there, and no business of the publisher
	case !m.Retain && !strings.HasPrefix(m.Topic, "$SYS/"): // nobody asked for what the broker says of itself
		b.unheard++
	}
	return outcome{code: colibri.NoMatchingSubscribers}
}

// toRecord reports whether m makes the Log hold more.
func (b *batch) toRecord(m *colibri.Message, publisher *liveSession) bool {
	if m.Retain && len(m.Payload) > 0 {
		return true
	}
	b.route(m, publisher, false)
	return slices.ContainsFunc(b.matches.List, func(match router.Match[*liveSession]) bool {
		if min(m.QoS, match.QoS) == colibri.AtMostOnce || match.Share != "" {
			return match.Share != ""
		}
		match.Subscriber.mu.Lock()
		defer match.Subscriber.mu.Unlock()
		return match.Subscriber.log != nil
	})
}

// anyFull reports whether a Session that matches has no place for m.
func (b *batch) anyFull(m *colibri.Message) bool {
	for i := range b.matches.List {
		match := &b.matches.List[i]
		if min(m.QoS, match.QoS) == colibri.AtMostOnce {
			continue
		}
		s := match.Subscriber
		if match.Share != "" && b.sharedWaits(s, match.Share) {
			if !b.groupTakes(match.Share, m) {
				return true
			}
			continue
		}
		s.mu.Lock()
		takes := s.ended || s.state.Takes(b.now, match.Delivery(m))
		s.mu.Unlock()
		if !takes {
			return true
		}
	}
	return false
}

// deliver hands one Session its copy of the message. It returns false when the Session's
// queue is full.
func (b *batch) deliver(s *liveSession, d colibri.Delivery) bool {
	if d.QoS == colibri.AtMostOnce { // needs nothing of the Session's state
		if c := s.conn.Load(); c != nil && c.paced(b.now, true) {
			b.broker.drop(s, DropPaced, 1)
		} else if c != nil {
			b.qos0 = d
			b.send(c, &session.Reply{Type: packet.PUBLISH, Delivery: &b.qos0})
		} else {
			b.broker.drop(s, DropOffline, 1)
		}
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || b.deliverTo(s, d)
}

// deliverTo is deliver with QoS 1 or 2 to a Session that has not ended. The caller holds
// s.mu.
func (b *batch) deliverTo(s *liveSession, d colibri.Delivery) bool {
	c := s.conn.Load()
	room := c != nil && c.out.hasRoom(b.broker.limits.OutboxBytes)
	b.other.Reset()
	messages, bytes := s.state.Queued(), s.state.QueuedPayload()
	b.numberDelivery(s, &d)
	verdict := s.state.Deliver(b.now, d, room, &b.other)
	b.tally.countQueue(s, messages, bytes)
	b.settle(s, &b.other)
	if verdict == session.QueueFull {
		b.broker.drop(s, DropQueueFull, 1)
		return false
	}
	b.recordDelivery(s, &d, verdict == session.Sent)
	if verdict == session.Sent {
		b.reply(c, &b.other)
	}
	s.countLoad()
	return true
}

// subscribe decides the Subscriptions that c's Session has asked for, answers them, and
// then sends what is retained for them.
func (c *conn) subscribe(b *batch) error {
	r := &b.out.Request
	codes := make([]colibri.ReasonCode, len(r.Subscriptions))
	var retained []colibri.Subscription
	joins := false
	answers := make([]Subscribed, len(r.Subscriptions))
	reason := "" // the first thing that the codes do not say
	if err := c.useOnlyWhatIs(r.Subscriptions); err != nil {
		return err
	}
	for i, sub := range r.Subscriptions { // as if each came alone [MQTT-3.8.4-5]
		granted, existed, code, why := c.grant(b, sub)
		codes[i] = code
		if reason == "" && why != "" {
			if reason = why; len(r.Subscriptions) > 1 {
				reason = fmt.Sprintf("Subscription %d: %s", i+1, why)
			}
		}
		answers[i] = Subscribed{Client: c.client, Subscription: granted, Code: code}
		if code.Failed() {
			continue
		}
		c.firehoseBegins(granted.Filter, b.now)
		_, _, shared := topic.SplitShared(granted.Filter)
		switch {
		case shared: // a Shared Subscription gets no Retained Messages
			joins = true
		case granted.RetainHandling == colibri.SendRetained, // [MQTT-3.3.1-9]
			granted.RetainHandling == colibri.SendRetainedIfNew && !existed: // [MQTT-3.3.1-10]
			retained = append(retained, granted)
		}
	}
	if err := c.subscribed(b, codes, reason); err != nil {
		return err
	}
	if joins {
		c.joined(b)
	}
	c.addRetained(b, retained)
	for i := range answers {
		c.broker.emit(answers[i])
	}
	return nil
}

// useOnlyWhatIs returns an error when a 5.0 client, which has been told, asks for something
// that this broker does not offer.
func (c *conn) useOnlyWhatIs(subscriptions []colibri.Subscription) error {
	if c.version < colibri.V5 || c.broker.without == 0 {
		return nil
	}
	for i := range subscriptions {
		if code, why := c.broker.without.subscription(&subscriptions[i]); code.Failed() {
			return &colibri.Error{Op: "SUBSCRIBE", Code: code, Err: errors.New(why)}
		}
	}
	return nil
}

// subscribed answers the SUBSCRIBE.
func (c *conn) subscribed(b *batch, codes []colibri.ReasonCode, reason string) error {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		return errTakenOver
	}
	s.state.Subscribed(b.out.Request.PacketID, codes, reason, &b.out)
	b.reply(c, &b.out)
	return nil
}

// grant authorizes one Subscription and enters it in the Session and the router. why says
// in plain words what the code does not.
func (c *conn) grant(b *batch, sub colibri.Subscription) (granted colibri.Subscription, existed bool, code colibri.ReasonCode, why string) {
	rules := c.broker.ruleChanges.Load()
	asked := sub
	sub, code, why = c.maySubscribe(sub)
	refused := func(code colibri.ReasonCode, why string) (colibri.Subscription, bool, colibri.ReasonCode, string) {
		sub.Filter = strings.Clone(sub.Filter)
		return sub, false, code, why
	}
	if code.Failed() {
		return refused(code, why)
	}
	s := c.session
	s.mu.Lock() // over both, so that Session and router agree whoever takes the Session over
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		return refused(colibri.UnspecifiedError, "")
	}
	if c.broker.ruleChanges.Load() != rules { // and Reauthorize may have looked at s already
		if sub, code, why = c.maySubscribe(asked); code.Failed() {
			return refused(code, why)
		}
	}
	known := func(one colibri.Subscription) bool { return one.Filter == sub.Filter }
	if s.log != nil && c.broker.full() && !slices.ContainsFunc(s.state.Subscriptions(), known) {
		return refused(colibri.QuotaExceeded, "the state of this Server has no room for it")
	}
	granted, existed, ok := s.state.Grant(sub)
	if !ok {
		c.broker.limited(c.client, LimitSubscriptions)
		return refused(colibri.QuotaExceeded, fmt.Sprintf("this Session has %d Subscriptions, as many as it may have", c.broker.limits.Subscriptions))
	}
	if _, _, shared := topic.SplitShared(granted.Filter); shared {
		c.broker.joinGroup(s, granted.Filter)
	}
	c.broker.router.Subscribe(s, granted)
	b.recordGranted(s, granted)
	return granted, existed, colibri.ReasonCode(granted.QoS), why // [MQTT-3.8.4-7]
}

// maySubscribe decides whether c may have the Subscription sub, and with which QoS.
func (c *conn) maySubscribe(sub colibri.Subscription) (_ colibri.Subscription, code colibri.ReasonCode, why string) {
	limits := &c.broker.limits
	switch {
	case strings.Count(sub.Filter, "/") >= limits.TopicLevels:
		c.broker.limited(c.client, LimitTopic)
		return sub, colibri.TopicFilterInvalid, fmt.Sprintf("the Topic Filter has more than %d levels", limits.TopicLevels)
	case limits.TopicBytes > 0 && len(sub.Filter) > limits.TopicBytes:
		c.broker.limited(c.client, LimitTopic)
		return sub, colibri.TopicFilterInvalid, fmt.Sprintf("the Topic Filter has more than %d bytes", limits.TopicBytes)
	}
	if code, why = c.broker.without.subscription(&sub); code.Failed() {
		return sub, code, why
	}
	asked := sub.QoS
	sub.QoS = min(sub.QoS, c.broker.without.maximumQoS())
	if p := c.permissions(); p != nil {
		if code = p.Subscribe(sub); code.Failed() {
			c.broker.deny(c.client, ActionSubscribe, sub.Filter, code)
			return sub, sendable(packet.SUBACK, code), "this client may not subscribe to this filter"
		}
		sub.QoS = min(sub.QoS, colibri.QoS(code))
	}
	if sub.QoS < asked {
		why = fmt.Sprintf("granted with QoS %d", sub.QoS)
	}
	return sub, colibri.ReasonCode(sub.QoS), why
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
	defer b.decisions.end(b.decisions.begin())
	batch := b.takeBatch()
	defer batch.giveBack()
	batch.now = time.Now()
	batch.publish(nil, m)
	batch.recordAndReply()
	return nil
}
