package broker

import (
	"runtime/metrics"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Stats are the broker's counters at one moment. Those that count what happened begin
// with 0 when the broker does and never go down. What a connection has done is there when
// its batch is done, so numbers that belong together may differ by a batch.
type Stats struct {
	Connections         int // Network Connections with an accepted CONNECT
	ConnectionsMaximum  int // the most that there were at a time
	Sessions            int // with and without a Network Connection
	SessionsExpired     int64
	Subscriptions       int // shared ones included
	SharedSubscriptions int

	Retained       int   // Retained Messages, those under $SYS/ not included
	RetainedBytes  int64 // their topics and payloads
	RetainedSys    int   // Retained Messages under $SYS/
	Queued         int64 // QoS 1 and 2 messages that wait in Sessions, once for each Session, and in Shared Subscriptions
	StoredBytes    int64 // payloads of all that is retained or queued
	Outgoing       int64 // packets that wait until clients take them
	OutgoingBytes  int64 // of these packets
	HeapBytes      int64 // of objects of this program that the garbage collector has not freed
	HeapMaximum    int64 // the largest HeapBytes that Stats or $SYS have seen
	Opened         int64 // Network Connections, also those on which no CONNECT came
	Accepted       int64 // of them, those with an accepted CONNECT
	Refused        map[colibri.ReasonCode]int64
	Received, Sent Traffic

	PublishReceived int64                // PUBLISH packets from clients
	PublishSent     int64                // PUBLISH packets put on their way to clients
	Dropped         map[DropReason]int64 // messages that were not delivered as asked
	Limited         map[Limit]int64      // times that a limit was reached
	Handshakes      map[Handshake]int64  // handshakes that have failed, see HandshakeFailed
	Denied          map[Action]int64     // times that a client may not do something
}

// Traffic counts Control Packets in one direction. Received is a packet that could be
// decoded, and an accepted or refused CONNECT; sent is one that was put on its way.
type Traffic struct {
	Packets      [packet.AUTH + 1]int64 // by type
	Bytes        int64                  // of these packets
	PayloadBytes int64                  // of the payloads of PUBLISH
}

// All returns the number of packets of all types.
func (t *Traffic) All() (n int64) {
	for _, packets := range t.Packets {
		n += packets
	}
	return n
}

// shards is how many places the counters of the road are spread over. Each batch keeps
// to one of them, so that two processors seldom write to the same cache line.
const shards = 16

// counters are what Stats adds up.
type counters struct {
	road      [shards]shard
	lastShard atomic.Uint32

	opened   atomic.Int64
	accepted atomic.Int64
	expired  atomic.Int64
	refused  [256]atomic.Int64 // by Reason Code
	dropped  ledger
	limited  [limits]atomic.Int64
	denied   [actions]atomic.Int64
	heap     atomic.Int64 // the maximum

	handshakes [handshakes]atomic.Int64
}

// shard is one place of the counters of the road.
type shard struct {
	in, out             direction
	queued, queuedBytes atomic.Int64 // of payloads
	_                   [64]byte     // the next shard is on other cache lines
}

type direction struct {
	packets [packet.AUTH + 1]atomic.Int64
	bytes   atomic.Int64
	payload atomic.Int64
}

func (d *direction) addTo(t *Traffic) {
	for i := range d.packets {
		t.Packets[i] += d.packets[i].Load()
	}
	t.Bytes += d.bytes.Load()
	t.PayloadBytes += d.payload.Load()
}

// received and sent count a packet outside of batches.
func (c *counters) received(t packet.Type, bytes int) { c.road[0].in.count(t, bytes) }
func (c *counters) sent(t packet.Type, bytes int)     { c.road[0].out.count(t, bytes) }

func (d *direction) count(t packet.Type, bytes int) {
	d.packets[t].Add(1)
	d.bytes.Add(int64(bytes))
}

// forgotQueue takes back what an ended Session had in its queue.
func (c *counters) forgotQueue(messages, bytes int) {
	if messages > 0 {
		c.road[0].queued.Add(-int64(messages))
		c.road[0].queuedBytes.Add(-int64(bytes))
	}
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	c := &b.counters
	s := Stats{
		Sessions:        b.registry.len(),
		SessionsExpired: c.expired.Load(),
		RetainedSys:     int(b.retained.sys.Load()),
		StoredBytes:     b.retained.payload.Load(),
		Opened:          c.opened.Load(),
		Accepted:        c.accepted.Load(),
		Refused:         make(map[colibri.ReasonCode]int64),
		Dropped:         c.dropped.byReason(),
		Limited:         make(map[Limit]int64),
		Handshakes:      make(map[Handshake]int64),
		Denied:          make(map[Action]int64),
	}
	s.Connections, s.ConnectionsMaximum = b.conns.numbers()
	b.conns.which(func(c *conn) bool {
		packets, bytes := c.out.outgoing()
		s.Outgoing += int64(packets)
		s.OutgoingBytes += int64(bytes)
		return false
	})
	s.Retained, s.RetainedBytes = b.retained.clients("")
	s.Subscriptions, s.SharedSubscriptions = b.router.Len()
	s.HeapBytes, s.HeapMaximum = c.heapBytes()
	for i := range c.road {
		shard := &c.road[i]
		shard.in.addTo(&s.Received)
		shard.out.addTo(&s.Sent)
		s.Queued += shard.queued.Load()
		s.StoredBytes += shard.queuedBytes.Load()
	}
	s.Queued, s.StoredBytes = max(0, s.Queued), max(0, s.StoredBytes) // a batch may be under way
	s.PublishReceived = s.Received.Packets[packet.PUBLISH]
	s.PublishSent = s.Sent.Packets[packet.PUBLISH]
	for code := range c.refused {
		if n := c.refused[code].Load(); n > 0 {
			s.Refused[colibri.ReasonCode(code)] = n
		}
	}
	for l := range c.limited {
		if n := c.limited[l].Load(); n > 0 {
			s.Limited[Limit(l)] = n
		}
	}
	for h := range c.handshakes {
		if n := c.handshakes[h].Load(); n > 0 {
			s.Handshakes[Handshake(h)] = n
		}
	}
	for a := range c.denied {
		if n := c.denied[a].Load(); n > 0 {
			s.Denied[Action(a)] = n
		}
	}
	return s
}

// heapBytes returns what the heap holds, and the most that was seen.
func (c *counters) heapBytes() (now, most int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	now = int64(sample[0].Value.Uint64())
	for {
		most = c.heap.Load()
		if now <= most {
			return now, most
		}
		if c.heap.CompareAndSwap(most, now) {
			return now, now
		}
	}
}
