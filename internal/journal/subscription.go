package journal

import (
	"encoding/binary"

	"github.com/colibri-mqtt/colibri"
)

// SubscriptionGranted adds a Subscription to a Session, or replaces the one with the
// same Topic Filter.
type SubscriptionGranted struct {
	Session      uint64
	Subscription colibri.Subscription
}

// SubscriptionRemoved removes the Subscription with this Topic Filter.
type SubscriptionRemoved struct {
	Session uint64
	Filter  string
}

func (SubscriptionGranted) entry() {}
func (SubscriptionRemoved) entry() {}

// Subscription Options as in a SUBSCRIBE packet (MQTT 5.0 section 3.8.3.1).
const (
	optionNoLocal           = 2
	optionRetainAsPublished = 3
	optionRetainHandling    = 4 // two bits
)

const maxSubscriptionIdentifier = 268_435_455

func (e SubscriptionGranted) append(b []byte) []byte {
	sub := &e.Subscription
	b = binary.AppendUvarint(b, e.Session)
	b = append(b, byte(sub.QoS)|bit(sub.NoLocal, optionNoLocal)|
		bit(sub.RetainAsPublished, optionRetainAsPublished)|byte(sub.RetainHandling)<<optionRetainHandling)
	b = binary.AppendUvarint(b, uint64(sub.Identifier))
	return appendString(b, sub.Filter)
}

func (r *reader) subscriptionGranted() Entry {
	e := SubscriptionGranted{Session: r.number("Session")}
	options := r.flags("Subscription Options", 0x3F)
	e.Subscription = colibri.Subscription{
		QoS:               r.qos(options),
		NoLocal:           options&(1<<optionNoLocal) != 0,
		RetainAsPublished: options&(1<<optionRetainAsPublished) != 0,
		RetainHandling:    colibri.RetainHandling(options >> optionRetainHandling),
		Identifier:        uint32(r.uvarint("Subscription Identifier", maxSubscriptionIdentifier)),
		Filter:            r.string("Topic Filter"),
	}
	if e.Subscription.RetainHandling > colibri.NoRetained {
		r.fail("Retain Handling", "is 3")
	}
	return e
}

func (e SubscriptionRemoved) append(b []byte) []byte {
	return appendString(binary.AppendUvarint(b, e.Session), e.Filter)
}

func (r *reader) subscriptionRemoved() Entry {
	return SubscriptionRemoved{Session: r.number("Session"), Filter: r.string("Topic Filter")}
}

func (s *State) subscriptionGranted(e SubscriptionGranted) {
	if session := s.session(e.Session); session != nil {
		session.Subscriptions[e.Subscription.Filter] = e.Subscription // [MQTT-3.8.4-3]
	}
}

func (s *State) subscriptionRemoved(e SubscriptionRemoved) {
	if session := s.session(e.Session); session != nil {
		delete(session.Subscriptions, e.Filter)
	}
}
