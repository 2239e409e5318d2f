package broker

import (
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
)

// What a batch has to record is what its replies promise: PUBACK and PUBREC that every
// Session which outlives its connection has the message, and that the Retained Message
// is the last one; PUBREC that a repeat is known; SUBACK and UNSUBACK that the
// Subscriptions are as it says. A broker whose Log keeps nothing writes no entries.

// numbers count up what entries refer to, from 1.
type numbers struct {
	session, message, retained atomic.Uint64
}

// recording reports whether the Log keeps anything.
func (b *Broker) recording() bool { return b.durable }

func (b *batch) recordOpened(s *liveSession, v colibri.Version) {
	if b.broker.recording() && s.state.Durable() {
		b.entries = journal.Append(b.entries, journal.SessionOpened{Session: s.number, ClientID: s.clientID,
			Version: v, ExpiryInterval: s.state.ExpiryInterval()})
	}
}

func (b *batch) recordGranted(s *liveSession, sub colibri.Subscription) {
	if b.broker.recording() && s.state.Durable() {
		b.entries = journal.Append(b.entries, journal.SubscriptionGranted{Session: s.number, Subscription: sub})
	}
}

func (b *batch) recordRemoved(s *liveSession, filter string) {
	if b.broker.recording() && s.state.Durable() {
		b.entries = journal.Append(b.entries, journal.SubscriptionRemoved{Session: s.number, Filter: filter})
	}
}

func (b *batch) recordRetained(m *colibri.Message) {
	if !b.broker.recording() {
		return
	}
	number := b.broker.numbers.retained.Add(1)
	if len(m.Payload) == 0 {
		b.entries = journal.Append(b.entries, journal.RetainedRemoved{Number: number, Topic: m.Topic})
	} else {
		b.entries = journal.Append(b.entries, journal.RetainedSet{Number: number, Message: m})
	}
}

// recordDelivery records that s owes its client d. The message itself is recorded with
// the first Session that it is recorded for. The caller holds s.mu.
func (b *batch) recordDelivery(s *liveSession, d *colibri.Delivery) {
	if !b.broker.recording() || !s.state.Durable() {
		return
	}
	if b.stored == 0 {
		b.stored = b.broker.numbers.message.Add(1)
		b.entries = journal.Append(b.entries, journal.MessageStored{Number: b.stored, Message: d.Message})
	}
	s.deliveries++
	s.unrecorded.Add(1)
	b.owing = append(b.owing, s)
	b.entries = journal.Append(b.entries, journal.DeliveryQueued{Session: s.number, Delivery: s.deliveries,
		Message: b.stored, QoS: d.QoS, Retain: d.Retain, Identifiers: d.Identifiers})
}

// recordReceived records that the QoS 2 message id of s was taken.
func (b *batch) recordReceived(s *liveSession, id uint16) {
	if b.broker.recording() && s.state.Durable() {
		b.entries = journal.Append(b.entries, journal.PublishReceived{Session: s.number, PacketID: id})
	}
}
