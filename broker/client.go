package broker

import (
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// ClientStats are what the broker knows of one client at one moment. The Session may
// outlive its Network Connection.
type ClientStats struct {
	Client        ClientInfo
	Connected     bool
	Remote        net.Addr        // while connected
	Version       colibri.Version // while connected
	Since         time.Time       // of the connection
	Published     int64           // PUBLISH packets from it, while connected
	ReadBytes     int64           // of all packets from it, while connected
	Delivered     int64           // PUBLISH packets put on their way to it, while connected
	WrittenBytes  int64           // of these packets
	Subscriptions int
	Inflight      int // QoS 1 and 2 messages sent and not yet fulfilled
	Queued        int // messages that wait
	QueuedBytes   int // their topics, payloads and properties
	Dropped       map[DropReason]int64
	LastDropped   map[DropReason]time.Time // when the last of them was
}

// Client returns what is known of the client with a ClientID, and whether there is one.
func (b *Broker) Client(clientID string) (ClientStats, bool) {
	b.registry.mu.Lock()
	s := b.registry.sessions[clientID]
	b.registry.mu.Unlock()
	if s == nil {
		return ClientStats{}, false
	}
	return s.stats(), true
}

// Clients yields all Sessions, in no order. They are looked at one by one: what changes
// meanwhile may be seen or not.
func (b *Broker) Clients(yield func(ClientStats) bool) {
	for _, s := range b.registry.all() {
		if !yield(s.stats()) {
			return
		}
	}
}

func (s *liveSession) stats() ClientStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := ClientStats{Client: s.info(), Subscriptions: len(s.state.Subscriptions()), Inflight: s.state.Inflight(),
		Queued: s.state.Queued(), QueuedBytes: s.state.QueuedBytes()}
	if c := s.conn.Load(); c != nil {
		stats.Connected, stats.Remote, stats.Version, stats.Since = true, c.nc.RemoteAddr(), c.version, c.opened
		stats.Published, stats.ReadBytes = c.published.Load(), c.readBytes.Load()
		stats.Delivered, stats.WrittenBytes = c.out.sent()
	}
	if l := s.dropped.Load(); l != nil {
		stats.Dropped, stats.LastDropped = l.byReason(), l.lastByReason()
	}
	return stats
}
