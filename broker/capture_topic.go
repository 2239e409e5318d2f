package broker

import (
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// What tells handshakes with the same Packet Identifier apart; see handshakeOf.
const (
	fromClient uint32 = 1 << 16
	asksFor    uint32 = 1 << 17
)

// handshakeOf names the handshake that a packet belongs to: its Packet Identifier, the side
// that began it, and whether it is one of a SUBSCRIBE or UNSUBSCRIBE. ends says that the
// packet is its last one.
func handshakeOf(kind packet.Type, id uint16, toClient bool) (key uint32, ends bool) {
	key = uint32(id)
	switch kind {
	case packet.PUBLISH, packet.PUBREL: // of the side that sends them
		if !toClient {
			key |= fromClient
		}
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP: // of the other
		if toClient {
			key |= fromClient
		}
		ends = kind != packet.PUBREC
	case packet.SUBSCRIBE, packet.UNSUBSCRIBE:
		key |= asksFor
	case packet.SUBACK, packet.UNSUBACK:
		key |= asksFor
		ends = true
	}
	return key, ends
}

// wants reports whether a capture with a Topic takes the packet. one is nil for a connection of
// which it took nothing until now. handshake is not 0 when the other packets of its handshake
// are to be taken, too. The caller holds c.mu.
func (c *Capture) wants(one *capturedConn, s *sight) (takes bool, handshake uint32) {
	if s.length == 0 {
		return one != nil, 0
	}
	kind := packet.Type(s.head[0] >> 4)
	s.identify()
	key, ends := handshakeOf(kind, s.id, s.toClient)
	if s.id == 0 {
		key = 0
	}
	switch kind {
	case packet.PUBLISH:
		return topic.Match(c.filter.Topic, s.topic), key
	case packet.SUBSCRIBE, packet.UNSUBSCRIBE:
		return c.overlaps(s.packet), key
	case packet.DISCONNECT:
		return one != nil, 0
	}
	if one == nil {
		return false, 0
	}
	_, takes = one.open[key]
	if takes && (ends || kind == packet.PUBREC && s.code >= colibri.UnspecifiedError) {
		delete(one.open, key)
	}
	return takes, 0
}

// identify takes the Packet Identifier and the Reason Code out of the packet.
func (s *sight) identify() {
	switch p := s.packet.(type) {
	case *packet.Publish:
		s.id = p.PacketID
	case *packet.Subscribe:
		s.id = p.PacketID
	case *packet.Unsubscribe:
		s.id = p.PacketID
	case *packet.Puback:
		s.id = p.PacketID
	case *packet.Pubrec:
		s.id, s.code = p.PacketID, p.Code
	case *packet.Pubrel:
		s.id = p.PacketID
	case *packet.Pubcomp:
		s.id = p.PacketID
	case *packet.Suback:
		s.id = p.PacketID
	case *packet.Unsuback:
		s.id = p.PacketID
	}
}

// overlaps reports whether a SUBSCRIBE or UNSUBSCRIBE has a filter that can match a topic which
// the capture's matches too.
func (c *Capture) overlaps(p packet.Packet) bool {
	var filters []string
	switch p := p.(type) {
	case *packet.Subscribe:
		for i := range p.Subscriptions {
			filters = append(filters, p.Subscriptions[i].Filter)
		}
	case *packet.Unsubscribe:
		filters = p.Filters
	}
	for _, filter := range filters {
		if _, inner, shared := topic.SplitShared(filter); shared {
			filter = inner
		}
		if overlap(c.levels, strings.Split(filter, "/"), true) {
			return true
		}
	}
	return false
}

// overlap reports whether there is a topic that two filters match, given by their levels.
// first says that these are the first levels, where a wildcard does not match what begins
// with a dollar sign [MQTT-4.7.2-1].
func overlap(a, b []string, first bool) bool {
	for ; ; a, b, first = a[1:], b[1:], false {
		if len(a) == 0 || len(b) == 0 {
			rest := append(a, b...)
			return len(rest) == 0 || rest[0] == "#" // which matches its parent, too
		}
		if first && (wild(a[0]) && strings.HasPrefix(b[0], "$") || wild(b[0]) && strings.HasPrefix(a[0], "$")) {
			return false
		}
		switch {
		case a[0] == "#" || b[0] == "#":
			return true
		case a[0] != b[0] && a[0] != "+" && b[0] != "+":
			return false
		}
	}
}

func wild(level string) bool { return level == "#" || level == "+" }
