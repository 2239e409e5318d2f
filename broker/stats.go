package broker

import "sync/atomic"

// Stats are the broker's counters at one moment.
type Stats struct {
	Connections         int // Network Connections with an accepted CONNECT
	Sessions            int // with and without a Network Connection
	Subscriptions       int
	SharedSubscriptions int
	Retained            int
	PublishReceived     int64                // PUBLISH packets from clients
	PublishSent         int64                // PUBLISH packets put on their way to clients
	RetainedBytes       int64                // their topics and payloads
	Dropped             map[DropReason]int64 // messages that were not delivered as asked
	Limited             map[Limit]int64      // times that a limit was reached
}

type counters struct {
	publishReceived atomic.Int64
	publishSent     atomic.Int64
	dropped         ledger
	limited         [limits]atomic.Int64
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	s := Stats{
		Connections:     b.conns.len(),
		Sessions:        b.registry.len(),
		Retained:        b.retained.names.Len(),
		RetainedBytes:   b.retained.bytes.Load(),
		PublishReceived: b.counters.publishReceived.Load(),
		PublishSent:     b.counters.publishSent.Load(),
		Dropped:         b.counters.dropped.byReason(),
	}
	s.Limited = make(map[Limit]int64)
	for l := range b.counters.limited {
		if n := b.counters.limited[l].Load(); n > 0 {
			s.Limited[Limit(l)] = n
		}
	}
	s.Subscriptions, s.SharedSubscriptions = b.router.Len()
	return s
}
