package broker

import (
	"math/bits"

	"github.com/colibri-mqtt/colibri/packet"
)

// tally counts what goes over the road in plain numbers. flush adds them to the counters,
// once for a batch, so that counting costs next to nothing. It belongs to its batch, and
// so to one goroutine at a time.
type tally struct {
	shard    *shard
	in, out  count
	messages int // that Sessions have queued, less those they have sent
	bytes    int // of their payloads
}

// count is what a batch counts in one direction.
type count struct {
	types          uint16 // a bit for each packet type that is not 0 in packets
	packets        [packet.AUTH + 1]uint32
	bytes, payload int
}

// newTally returns the tally of a new batch.
func (c *counters) newTally() tally {
	return tally{shard: &c.road[c.lastShard.Add(1)%shards]}
}

func (c *count) add(t packet.Type, bytes int) {
	c.types |= 1 << t
	c.packets[t]++
	c.bytes += bytes
}

// countReceived counts the packet p, which is of that type and takes so many bytes.
func (t *tally) countReceived(kind packet.Type, p packet.Packet, bytes int) {
	t.in.add(kind, bytes)
	if kind == packet.PUBLISH {
		t.in.payload += len(p.(*packet.Publish).Payload)
	}
}

// countSent counts a packet of so many bytes that is not a PUBLISH; 0 for one that was not
// sent.
func (t *tally) countSent(kind packet.Type, bytes int) {
	if bytes > 0 {
		t.out.add(kind, bytes)
	}
}

// countPublishSent counts a PUBLISH of so many bytes, of which payload are the message's.
func (t *tally) countPublishSent(bytes, payload int) {
	t.out.add(packet.PUBLISH, bytes)
	t.out.payload += payload
}

// countQueue counts how the queue of s has changed, which held so many messages and bytes
// of payloads before. The caller holds s.mu.
func (t *tally) countQueue(s *liveSession, messages, bytes int) {
	t.messages += s.state.Queued() - messages
	t.bytes += s.state.QueuedPayload() - bytes
}

// flush adds everything to the counters and begins anew.
func (t *tally) flush() {
	t.in.flush(&t.shard.in)
	t.out.flush(&t.shard.out)
	if t.messages != 0 {
		t.shard.queued.Add(int64(t.messages))
		t.messages = 0
	}
	if t.bytes != 0 {
		t.shard.queuedBytes.Add(int64(t.bytes))
		t.bytes = 0
	}
}

func (c *count) flush(to *direction) {
	if c.types == 0 {
		return
	}
	for ; c.types != 0; c.types &= c.types - 1 {
		t := bits.TrailingZeros16(c.types)
		to.packets[t].Add(int64(c.packets[t]))
		c.packets[t] = 0
	}
	to.bytes.Add(int64(c.bytes))
	if c.payload > 0 {
		to.payload.Add(int64(c.payload))
	}
	c.bytes, c.payload = 0, 0
}
