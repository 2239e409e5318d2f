package broker

import (
	"strings"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/session"
)

// The queue of a Shared Subscription is in the Log as the queue of a Session whose ClientID
// no client can have: U+0000 and the Topic Filter [MQTT-1.5.4-2].
const groupPrefix = "\x00"

// groupFilter returns the Topic Filter of a group that is in the Log under this ClientID;
// ok is false when it is that of a client.
func groupFilter(clientID string) (filter string, ok bool) {
	return strings.CutPrefix(clientID, groupPrefix)
}

// groupOpened opens a group in the Log, or changes nothing when it is there.
func groupOpened(number uint64, filter string) journal.SessionOpened {
	return journal.SessionOpened{Session: number, ClientID: groupPrefix + filter, Version: colibri.V5, ExpiryInterval: session.NeverExpires}
}

// groupNumbers counts up the groups in the Log; nil when nothing is recorded.
func (b *Broker) groupNumbers() *atomic.Uint64 {
	if !b.durable {
		return nil
	}
	return &b.numbers.session
}

// recordWaiting records what was put into the queue of g, and what had to give way. Without
// givenBack it is the one message that is being published. The group is opened each time:
// another batch that does so may reach the Log later.
func (b *batch) recordWaiting(g *shareGroup, messages []*colibri.Message, givenBack bool, r *queued) {
	if r.group == 0 {
		return
	}
	b.entries = journal.Append(b.entries, groupOpened(r.group, g.filter))
	b.waiting = append(b.waiting, groupOwing{g, r.first, r.first + uint64(len(messages)) - 1})
	current := b.stored
	for i, m := range messages {
		if givenBack {
			b.stored = stored{}
		}
		b.recordQueued(r.group, r.first+uint64(i), m)
	}
	if givenBack {
		b.stored = current
	}
	b.recordOver(r.group, r.ended)
}

// recordQueued records that m, the message at hand, waits for a group under this number.
func (b *batch) recordQueued(group, number uint64, m *colibri.Message) {
	if b.stored.number == 0 {
		b.stored.number = b.broker.numbers.message.Add(1)
	}
	b.recordMessage(m)
	b.entries = journal.Append(b.entries, journal.DeliveryQueued{Session: group, Delivery: number,
		Message: b.stored.number, QoS: m.QoS, Retain: m.Retain})
}

// recordTaken records that s has d, which has left the queue of g, where it had this number;
// 0 without. lent says that it stays the group's in the Log. The caller holds s.mu.
func (b *batch) recordTaken(s *liveSession, g *shareGroup, number uint64, lent bool, d *colibri.Delivery) {
	switch {
	case number == 0:
	case s.log == nil && d.QoS == colibri.ExactlyOnce: // it is sent only then
		b.entries = journal.Append(b.entries, journal.DeliveryEnded{Session: g.number, Delivery: number})
	case s.log == nil && lent:
		s.sharing.Load().loans.add(d.Number, loan{g, g.number, number})
	default:
		b.recordDelivery(s, d, false)
		b.recordOver(g.number, []uint64{number})
	}
}

func (b *batch) recordOver(group uint64, over []uint64) {
	for _, number := range over {
		b.soon = journal.Append(b.soon, journal.DeliveryEnded{Session: group, Delivery: number})
	}
}

// recordGroupEnded records that the last member has gone; number is 0 when the Log does not
// know the group.
func (b *batch) recordGroupEnded(number uint64) {
	if number != 0 {
		b.soon = journal.Append(b.soon, journal.SessionEnded{Session: number})
	}
}

// recoverGroup gives a group, whose members are there again, what has waited for it.
func (b *Broker) recoverGroup(from *journal.Session) {
	filter, _ := groupFilter(from.ClientID)
	g, _ := b.groups.find(filter)
	if g == nil {
		return
	}
	g.number, g.deliveries, g.recorded = from.Number, from.LastDelivery, from.LastDelivery
	for _, d := range from.Deliveries() {
		if d.Message == nil {
			continue
		}
		g.queue = append(g.queue, waiting{d.Message, d.Number})
		g.count(d.Message, 1)
		g.expiring(d.Message)
	}
	g.waiting.Store(int64(len(g.queue)))
	shard := &b.counters.road[0]
	shard.queued.Add(int64(len(g.queue)))
	shard.queuedBytes.Add(int64(g.payload))
}
