package client

import (
	"slices"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Message is an Application Message from the Server. It belongs to the program, which
// must not change the payload and properties if several of its Subscriptions match.
type Message struct {
	colibri.Message          // Retain is the flag of the PUBLISH packet; Expires is not set
	PacketID        uint16   // 0 for QoS 0
	Dup             bool     // the PUBLISH packet had the DUP flag
	Identifiers     []uint32 // Subscription Identifiers; 5.0 only

	delivery *delivery // nil for QoS 0
	done     bool      // this copy was acknowledged; under the lock of the Client
}

// Ack acknowledges m, when Options.ManualAck is set; otherwise, and for QoS 0, and
// when it was called before, it does nothing. The PUBACK or PUBREC goes out when all
// messages that came before m are acknowledged [MQTT-4.6.0-2] [MQTT-4.6.0-3].
func (m *Message) Ack() {
	if m.delivery == nil {
		return
	}
	c := m.delivery.client
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken(m)
}

// delivery is one QoS 1 or 2 message between its PUBLISH and our acknowledgement. The
// lock of the Client guards it.
type delivery struct {
	client *Client
	conn   *conn // on which it came last, and on which alone it may be acknowledged
	id     uint16
	qos    colibri.QoS
	open   int // copies that the program has not acknowledged
}

// dispatch gives m to the Subscriptions that asked for it. It needs the lock.
func (c *Client) dispatch(m *Message, p *packet.Publish) {
	if c.responses.take(m) {
		return
	}
	var few [4]*Subscription // room for the usual case
	takers, wanted := few[:0], false
	for _, s := range c.subscriptions {
		if s.wants(m) {
			wanted = true
			if !s.mute {
				takers = append(takers, s)
			}
		}
	}
	if !wanted && c.holding {
		takers = append(takers, c.unclaimed)
	}
	if len(takers) == 0 || m.QoS == colibri.AtMostOnce && c.full(1) { // [MQTT-4.5.0-2]: it is acknowledged all the same
		for _, s := range takers {
			s.dropped++
		}
		c.trace(Event{Kind: Dropped, Packet: p})
		return
	}
	for i, s := range takers {
		copied := m
		if i > 0 {
			another := *m
			copied = &another
		}
		if m.delivery != nil {
			m.delivery.open++
		}
		s.push(copied)
	}
}

// taken says that the program has acknowledged its copy m. It needs the lock.
func (c *Client) taken(m *Message) {
	if m.done || m.delivery == nil {
		return
	}
	m.done = true
	m.delivery.open--
	c.acknowledge()
}

// acknowledge sends the acknowledgements that are due, in the order of arrival
// [MQTT-4.6.0-2] [MQTT-4.6.0-3]. It needs the lock.
func (c *Client) acknowledge() {
	cn := c.conn
	if cn == nil || cn.final {
		return
	}
	for len(c.acks) > 0 && c.acks[0].open == 0 {
		d := c.acks[0]
		c.acks[0] = nil
		c.acks = c.acks[1:]
		if c.unacked[d.id] == d {
			delete(c.unacked, d.id)
		}
		if d.qos == colibri.AtLeastOnce { // [MQTT-4.3.2-4]
			c.receiver.Puback()
			c.send(cn, &packet.Puback{PacketID: d.id}) //nolint:errcheck // always encodes
		} else { // [MQTT-4.3.3-8]
			c.send(cn, &packet.Pubrec{PacketID: d.id}) //nolint:errcheck // always encodes
		}
	}
}

// push puts m at the end of what waits in s. It needs the lock.
func (s *Subscription) push(m *Message) {
	s.queue = append(s.queue, m)
	s.client.queued++
	s.client.queuedBytes += len(m.Payload)
	s.changed.broadcast()
}

// pop takes the first message that waits in s. It needs the lock.
func (s *Subscription) pop() *Message {
	m := s.queue[0]
	s.queue[0] = nil
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
	}
	if s.detached {
		return m
	}
	c := s.client
	wasFull := c.full(1)
	c.queued--
	c.queuedBytes -= len(m.Payload)
	if wasFull {
		c.changed.broadcast()
	}
	return m
}

// detach says that the program need not read what waits in s any more: it is
// acknowledged, and does not count. It needs the lock.
func (s *Subscription) detach() {
	if s.detached {
		return
	}
	c := s.client
	for _, m := range s.queue {
		c.queued--
		c.queuedBytes -= len(m.Payload)
		c.taken(m)
	}
	s.detached = true
	c.changed.broadcast()
}

// claim moves to s what waits unclaimed and was meant for it. It needs the lock.
func (c *Client) claim(s *Subscription) {
	u := c.unclaimed
	u.queue = slices.DeleteFunc(u.queue, func(m *Message) bool {
		if s.wants(m) {
			s.queue = append(s.queue, m)
			return true
		}
		return false
	})
}

// unclaim gives back what s holds when it has come to nothing: messages of a Session
// that is carried on still wait for a Subscription that works. It needs the lock.
func (c *Client) unclaim(s *Subscription) {
	if !c.holding || s.detached {
		return
	}
	c.unclaimed.queue = append(s.queue, c.unclaimed.queue...)
	s.queue = nil
	c.unclaimed.changed.broadcast()
}
