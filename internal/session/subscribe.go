package session

import (
	"errors"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// receiveSubscribe checks the Topic Filters. One that is not well-formed ends the
// Network Connection [MQTT-4.7.1-1] [MQTT311-4.8.0-1]; the rest is the broker's to grant.
func (s *Session) receiveSubscribe(p *packet.Subscribe, out *Output) error {
	for i := range p.Subscriptions {
		sub := &p.Subscriptions[i]
		if err := checkFilter("SUBSCRIBE", sub.Filter); err != nil {
			return err
		}
		if _, _, shared := topic.SplitShared(sub.Filter); shared && sub.NoLocal {
			return protocolError("SUBSCRIBE", "MQTT-3.8.3-4", "No Local on a Shared Subscription")
		}
	}
	out.Request = Request{Kind: Subscribe, PacketID: p.PacketID, Subscriptions: p.Subscriptions}
	return nil
}

func (s *Session) receiveUnsubscribe(p *packet.Unsubscribe, out *Output) error {
	for _, filter := range p.Filters {
		if err := checkFilter("UNSUBSCRIBE", filter); err != nil {
			return err
		}
	}
	out.Request = Request{Kind: Unsubscribe, PacketID: p.PacketID, Filters: p.Filters}
	return nil
}

func checkFilter(op, filter string) error {
	err := topic.CheckFilter(filter)
	if err == nil {
		return nil
	}
	wrong := &colibri.Error{Op: op, Code: colibri.MalformedPacket, Err: err}
	if syntax, ok := errors.AsType[*topic.SyntaxError](err); ok {
		wrong.Rule, wrong.Err = syntax.Rule, errors.New(syntax.Fault())
	}
	return wrong
}

// Grant adds a Subscription, or replaces the one with the same Topic Filter
// [MQTT-3.8.4-3]. existed reports which; ok is false when Limits.Subscriptions is
// reached. The filter is copied.
func (s *Session) Grant(sub colibri.Subscription) (granted colibri.Subscription, existed, ok bool) {
	if old := s.subscriptions.get(sub.Filter); old != nil {
		sub.Filter = old.Filter
		*old = sub
		return sub, true, true
	}
	if s.limits.Subscriptions > 0 && len(s.subscriptions.items) >= s.limits.Subscriptions {
		return sub, false, false
	}
	sub.Filter = strings.Clone(sub.Filter)
	s.subscriptions.add(sub)
	return sub, false, true
}

// Revoke removes the Subscription with exactly this Topic Filter, and reports whether
// there was one [MQTT-3.10.4-1]. Retained Messages that wait for it are not sent any more
// [MQTT-3.10.4-2]; what is queued or under way is.
func (s *Session) Revoke(filter string) bool {
	s.retained.drop(filter)
	return s.subscriptions.remove(filter)
}

// Subscriptions returns all Subscriptions of the Session. The slice belongs to the
// Session and is valid until the next call that changes them.
func (s *Session) Subscriptions() []colibri.Subscription { return s.subscriptions.items }

// Subscribed answers a Subscribe request with one code for each of its Subscriptions,
// in their order [MQTT-3.8.4-6] [MQTT-3.9.3-1]. reason says in plain words what the codes
// do not; empty when there is nothing to say.
func (s *Session) Subscribed(id uint16, codes []colibri.ReasonCode, reason string, out *Output) {
	if s.version < colibri.V5 {
		for i, code := range codes {
			if code.Failed() {
				codes[i] = colibri.UnspecifiedError // 0x80 is the only failure of 3.1.1 [MQTT311-3.9.3-2]
			}
		}
	}
	out.Replies = append(out.Replies, Reply{Type: packet.SUBACK, PacketID: id,
		Packet: &packet.Suback{PacketID: id, Codes: codes}}) // [MQTT-3.8.4-2]
	s.explain(reason, out)
}

// Unsubscribed answers an Unsubscribe request [MQTT-3.10.4-4] [MQTT-3.11.3-1]. reason as
// of Subscribed.
func (s *Session) Unsubscribed(id uint16, codes []colibri.ReasonCode, reason string, out *Output) {
	if s.version < colibri.V5 {
		codes = nil
	}
	out.Replies = append(out.Replies, Reply{Type: packet.UNSUBACK, PacketID: id,
		Packet: &packet.Unsuback{PacketID: id, Codes: codes}}) // [MQTT-3.10.4-5]
	s.explain(reason, out)
}

// subscriptionSet holds the Subscriptions of one Session: a slice, because most have
// one or two, with an index by filter from 16 on.
type subscriptionSet struct {
	items []colibri.Subscription
	index map[string]int // position in items; nil while items is short
}

const indexFrom = 16

func (set *subscriptionSet) find(filter string) int {
	if set.index != nil {
		if i, ok := set.index[filter]; ok {
			return i
		}
		return -1
	}
	for i := range set.items {
		if set.items[i].Filter == filter {
			return i
		}
	}
	return -1
}

func (set *subscriptionSet) get(filter string) *colibri.Subscription {
	if i := set.find(filter); i >= 0 {
		return &set.items[i]
	}
	return nil
}

func (set *subscriptionSet) add(sub colibri.Subscription) {
	if set.items == nil {
		set.items = make([]colibri.Subscription, 0, 1)
	}
	set.items = append(set.items, sub)
	switch {
	case set.index != nil:
		set.index[sub.Filter] = len(set.items) - 1
	case len(set.items) > indexFrom:
		set.index = make(map[string]int, 2*indexFrom)
		for i := range set.items {
			set.index[set.items[i].Filter] = i
		}
	}
}

func (set *subscriptionSet) remove(filter string) bool {
	i := set.find(filter)
	if i < 0 {
		return false
	}
	last := len(set.items) - 1
	set.items[i] = set.items[last]
	set.items[last] = colibri.Subscription{}
	set.items = set.items[:last]
	if set.index != nil {
		delete(set.index, filter)
		if i < last {
			set.index[set.items[i].Filter] = i
		}
	}
	return true
}
