package client

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// Subscription is one or more Topic Filters that the program subscribed to together,
// and the messages that come for them. Safe for concurrent use.
type Subscription struct {
	client     *Client
	properties colibri.Properties // of the SUBSCRIBE

	// Under the lock of the Client.
	changed signal
	filters []colibri.Subscription // those that the Server has granted, or may still grant
	granted []colibri.ReasonCode
	suback  colibri.Properties
	queue   []*Message // what waits for the program
	dropped int
	mute    bool // messages are not for the program
	ended   bool
	err     error // why it has ended

	detached bool // what waits does not count any more
}

// Granted returns the Reason Code of each filter in the order of Subscribe, those of
// the latest SUBACK: the QoS granted, or 0x80 and above.
func (s *Subscription) Granted() []colibri.ReasonCode {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return slices.Clone(s.granted)
}

// Properties returns the properties of the latest SUBACK.
func (s *Subscription) Properties() colibri.Properties {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.suback
}

// Dropped returns how many messages of QoS 0 were dropped for want of room.
func (s *Subscription) Dropped() int {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.dropped
}

// Next waits for the next message and takes it. After the end it first returns what
// has come before, then [ErrUnsubscribed], or the error with which the Client
// has ended ([ErrClosed], with the reason wrapped). ctx limits the waiting.
func (s *Subscription) Next(ctx context.Context) (*Message, error) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(s.queue) == 0 {
		if s.ended {
			return nil, s.err
		}
		changed := s.changed.wait()
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if len(s.queue) == 0 && !s.ended && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	m := s.pop()
	if !c.o.ManualAck {
		c.taken(m)
	}
	return m, nil
}

// All yields the messages as they come. It ends without an error after Unsubscribe,
// Disconnect and Close; otherwise the last pair is an error and no message.
func (s *Subscription) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err := s.Next(ctx)
			if err != nil {
				if !errors.Is(err, ErrUnsubscribed) && err != ErrClosed {
					yield(nil, err)
				}
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// Unsubscribe ends the Subscription at the Server. What has come before can still be
// taken with Next; it counts as acknowledged.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	s.client.mu.Lock()
	filters := make([]string, len(s.filters))
	for i := range s.filters {
		filters[i] = s.filters[i].Filter
	}
	s.client.mu.Unlock()
	if len(filters) == 0 {
		return nil
	}
	_, err := s.client.Unsubscribe(ctx, nil, filters...)
	return err
}

// finish ends s; it needs the lock.
func (s *Subscription) finish(err error) {
	if !s.ended {
		s.ended, s.err = true, err
		s.changed.broadcast()
	}
}

// wants reports whether m came for s: by its Subscription Identifiers if both have
// one, otherwise by its topic. It needs the lock.
func (s *Subscription) wants(m *Message) bool {
	for i := range s.filters {
		f := &s.filters[i]
		if f.Identifier != 0 && len(m.Identifiers) > 0 {
			if slices.Contains(m.Identifiers, f.Identifier) {
				return true
			}
			continue
		}
		filter := f.Filter
		if _, inner, ok := topic.SplitShared(filter); ok {
			filter = inner
		}
		if topic.Match(filter, m.Topic) {
			return true
		}
	}
	return false
}

// Subscribe asks for messages and returns once the Server has answered. See
// [Client.SubscribeWith], which it calls without properties.
func (c *Client) Subscribe(ctx context.Context, subscriptions ...colibri.Subscription) (*Subscription, error) {
	return c.SubscribeWith(ctx, nil, subscriptions...)
}

// SubscribeWith sends one SUBSCRIBE with the properties (5.0; User Properties) and
// Subscriptions given, and returns once the Server has answered. The Identifier of the
// Subscriptions, which must be the same for all of them, is sent as Subscription
// Identifier.
//
// When the Server refuses all of them, there is a *[Refusal] and no Subscription. When
// it refuses some, there are both: the Subscription works for the rest, and Granted
// says which they are. A *topic.SyntaxError or *colibri.Error means that nothing has
// been sent. When ctx is done first, the Server may have subscribed: its messages then
// go to [Client.Unclaimed], or are dropped if nobody asked for that.
func (c *Client) SubscribeWith(ctx context.Context, properties colibri.Properties, subscriptions ...colibri.Subscription) (*Subscription, error) {
	if len(subscriptions) == 0 { // [MQTT-3.8.3-2] [MQTT311-3.8.3-3]
		return nil, errors.New("subscribe: there is no Topic Filter")
	}
	for i := range subscriptions {
		if err := topic.CheckFilter(subscriptions[i].Filter); err != nil {
			return nil, err
		}
		if subscriptions[i].Identifier != subscriptions[0].Identifier {
			return nil, errors.New("subscribe: the Subscription Identifiers differ: subscribe to each in a call of its own")
		}
	}
	s := &Subscription{client: c, properties: properties.Clone(), filters: slices.Clone(subscriptions)}
	if id := subscriptions[0].Identifier; id != 0 && !properties.Has(colibri.SubscriptionIdentifier) {
		s.properties = s.properties.AppendNumber(colibri.SubscriptionIdentifier, id)
	} else if id, ok := properties.Number(colibri.SubscriptionIdentifier); ok {
		for i := range s.filters {
			s.filters[i].Identifier = id
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range s.filters {
		if err := c.limits.subscription(&s.filters[i]); err != nil {
			return nil, err
		}
	}
	// Messages may come before the SUBACK.
	c.subscriptions = append(c.subscriptions, s)
	c.claim(s)
	r := &request{subscription: s}
	err := c.await(ctx, r)
	if s.granted == nil || !slices.ContainsFunc(s.granted, func(code colibri.ReasonCode) bool { return !code.Failed() }) {
		c.unclaim(s)
		c.drop(s, err)
		return nil, err
	}
	return s, err
}

// Unsubscribe sends one UNSUBSCRIBE with the properties (5.0; User Properties) and
// filters given, and returns the Reason Codes of the UNSUBACK, none in 3.1 and 3.1.1.
// A filter that the Server did not know is no error. Subscriptions lose the
// filters; those without any end with [ErrUnsubscribed].
func (c *Client) Unsubscribe(ctx context.Context, properties colibri.Properties, filters ...string) ([]colibri.ReasonCode, error) {
	if len(filters) == 0 { // [MQTT-3.10.3-2] [MQTT311-3.10.3-2]
		return nil, errors.New("unsubscribe: there is no Topic Filter")
	}
	for _, filter := range filters {
		if err := topic.CheckFilter(filter); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &request{unsubscribe: &packet.Unsubscribe{Filters: slices.Clone(filters), Properties: properties.Clone()}}
	err := c.await(ctx, r)
	return r.codes, err
}

// Unclaimed returns the Subscription of messages that no other one asked for. They
// come when the Server carries on a Session that an earlier process has
// begun: they are kept from the first connection on, and a later Subscribe takes over
// those that match. In all other cases they are kept from the first call of
// Unclaimed on, and until then acknowledged and dropped.
func (c *Client) Unclaimed() *Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = true
	return c.unclaimed
}

// drop takes s out of the Client; what waits in it stays there. It needs the lock.
func (c *Client) drop(s *Subscription, err error) {
	c.subscriptions = slices.DeleteFunc(c.subscriptions, func(other *Subscription) bool { return other == s })
	s.detach()
	s.finish(err)
}

// request is a SUBSCRIBE or UNSUBSCRIBE without an answer. The lock of the Client
// guards it.
type request struct {
	subscription *Subscription          // of a SUBSCRIBE
	unsubscribe  *packet.Unsubscribe    // of an UNSUBSCRIBE
	id           uint16                 // 0 while it was not sent
	sent         []colibri.Subscription // what the SUBSCRIBE asks for; the Subscription may lose filters meanwhile
	done         bool
	codes        []colibri.ReasonCode
	err          error
}

// complete needs the lock.
func (r *request) complete(codes []colibri.ReasonCode, err error) {
	r.done, r.codes, r.err = true, codes, err
}

// await sends r and waits for its answer, over several Network Connections if need
// be. It needs the lock, and gives it up while it waits.
func (c *Client) await(ctx context.Context, r *request) error {
	if c.ended || c.closing {
		return c.closedError()
	}
	c.requests = append(c.requests, r)
	if c.conn != nil {
		c.issue(r)
	}
	c.changed.broadcast()
	for !r.done {
		if err := c.wait(ctx); err != nil && !r.done {
			c.requests = slices.DeleteFunc(c.requests, func(other *request) bool { return other == r })
			if r.id != 0 {
				c.abandoned = append(c.abandoned, r.id) // the answer may still come on this connection
			}
			return err
		}
	}
	return r.err
}

// issue sends r under a new Packet Identifier [MQTT-2.2.1-3]. It needs the lock, and a
// connection.
func (c *Client) issue(r *request) {
	if r.done || c.conn.final {
		return
	}
	c.sender.Unreserve(r.id)
	id, ok := c.sender.Reserve()
	if !ok {
		c.fail(r, &colibri.Error{Op: "SUBSCRIBE", Code: colibri.QuotaExceeded, Err: errors.New("all Packet Identifiers are in use")})
		return
	}
	r.id = id
	var p packet.Packet
	var err error
	if s := r.subscription; s != nil {
		r.sent = slices.Clone(s.filters)
		p = &packet.Subscribe{PacketID: id, Subscriptions: r.sent, Properties: s.properties}
		for i := range r.sent { // this Server may take less than the last one
			if err == nil {
				err = c.limits.subscription(&r.sent[i])
			}
		}
	} else {
		r.unsubscribe.PacketID = id
		p = r.unsubscribe
	}
	if err == nil {
		err = c.send(c.conn, p)
	}
	if err != nil {
		c.sender.Unreserve(id)
		c.fail(r, err)
	}
}

// fail ends r without an answer, and a Subscription with it. It needs the lock.
func (c *Client) fail(r *request, err error) {
	c.requests = slices.DeleteFunc(c.requests, func(other *request) bool { return other == r })
	r.complete(nil, err)
	if r.subscription != nil {
		c.drop(r.subscription, err)
	}
}

// answered takes SUBACK and UNSUBACK. It needs the lock.
func (c *Client) answered(id uint16, p packet.Packet) error {
	if !c.sender.Unreserve(id) {
		return &colibri.Error{Op: p.Type().String(), Code: colibri.ProtocolError, Rule: "MQTT-2.2.1-6",
			Err: errors.New("has a Packet Identifier that we have not sent")}
	}
	at := slices.IndexFunc(c.requests, func(r *request) bool { return r.id == id })
	if at < 0 { // nobody waits for it any more
		return nil
	}
	r := c.requests[at]
	c.requests = slices.Delete(c.requests, at, at+1)
	defer c.changed.broadcast()
	switch p := p.(type) {
	case *packet.Suback:
		if s := r.subscription; s != nil && len(p.Codes) == len(r.sent) {
			s.answered(p, r.sent)
			refusal := codesRefusal(packet.SUBACK, s.granted, s.suback)
			r.complete(s.granted, refusal)
			if len(s.filters) == 0 {
				c.drop(s, refusal)
			}
			return nil
		}
	case *packet.Unsuback:
		if u := r.unsubscribe; u != nil && (c.o.Version != colibri.V5 || len(p.Codes) == len(u.Filters)) {
			codes := slices.Clone(p.Codes)
			c.unsubscribed(u.Filters, codes, c.requests[at:])
			r.complete(codes, codesRefusal(packet.UNSUBACK, codes, p.Properties.Clone()))
			return nil
		}
	}
	err := &colibri.Error{Op: p.Type().String(), Code: colibri.ProtocolError, Err: errors.New("does not fit what it answers")}
	r.complete(nil, err)
	return err
}

// answered takes the codes of a SUBACK for the filters sent; those that were refused
// are dropped.
func (s *Subscription) answered(p *packet.Suback, sent []colibri.Subscription) {
	s.suback = p.Properties.Clone()
	s.granted = slices.Clone(p.Codes)
	s.filters = slices.DeleteFunc(s.filters, func(f colibri.Subscription) bool {
		at := slices.Index(sent, f)
		return at >= 0 && p.Codes[at].Failed()
	})
}

// unsubscribed takes from the Subscriptions the filters that the Server has, with
// codes, let go of. Those that have asked for a filter since keep it: their SUBSCRIBE is
// among later, which are the requests sent after the UNSUBSCRIBE. It needs the lock.
func (c *Client) unsubscribed(filters []string, codes []colibri.ReasonCode, later []*request) {
	for _, s := range slices.Clone(c.subscriptions) {
		if slices.ContainsFunc(later, func(r *request) bool { return r.subscription == s }) {
			continue
		}
		s.filters = slices.DeleteFunc(s.filters, func(f colibri.Subscription) bool {
			at := slices.Index(filters, f.Filter)
			return at >= 0 && (at >= len(codes) || !codes[at].Failed())
		})
		if len(s.filters) == 0 {
			c.drop(s, ErrUnsubscribed)
		}
	}
}

// resubscribe asks again for what a lost Session had, before anything that was asked
// for later: an UNSUBSCRIBE without an answer is not to be overtaken. It needs the lock.
func (c *Client) resubscribe() {
	var lost []*request
	for _, s := range c.subscriptions {
		pending := slices.ContainsFunc(c.requests, func(r *request) bool { return r.subscription == s })
		if !pending {
			lost = append(lost, &request{subscription: s})
		}
	}
	c.requests = append(lost, c.requests...)
}
