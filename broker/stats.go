package broker

import "sync/atomic"

// Stats are the broker's counters at one moment.
type Stats struct {
	Connections         int // Network Connections with an accepted CONNECT
	Sessions            int // with and without a Network Connection
	Subscriptions       int
	SharedSubscriptions int
	Retained            int
	PublishReceived     int64 // PUBLISH packets from clients
	PublishSent         int64 // PUBLISH packets put on their way to clients
	Dropped             map[DropReason]int64
}

type counters struct {
	publishReceived atomic.Int64
	publishSent     atomic.Int64
	dropped         [dropReasons]atomic.Int64
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	s := Stats{
		Connections:     b.conns.len(),
		Sessions:        b.registry.len(),
		Retained:        b.retained.Len(),
		PublishReceived: b.counters.publishReceived.Load(),
		PublishSent:     b.counters.publishSent.Load(),
		Dropped:         make(map[DropReason]int64),
	}
	s.Subscriptions, s.SharedSubscriptions = b.router.Len()
	for reason := range b.counters.dropped {
		if n := b.counters.dropped[reason].Load(); n > 0 {
			s.Dropped[DropReason(reason)] = n
		}
	}
	return s
}

// drop counts a message that client does not get as asked.
func (b *Broker) drop(client ClientInfo, reason DropReason, n int) {
	if n == 0 {
		return
	}
	b.counters.dropped[reason].Add(int64(n))
	b.emit(Dropped{Client: client, Reason: reason})
}
