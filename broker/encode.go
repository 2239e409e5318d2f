package broker

import (
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
)

// publication is an encoded PUBLISH and where it differs from one receiver to the next.
type publication struct {
	bytes   []byte
	payload []byte // what follows bytes, when it is shared
	first   byte   // first byte of the packet: type, DUP, QoS and RETAIN
	idAt    int    // offset of the Packet Identifier; 0 without one
	id      uint16
}

// size returns the size of the packet in bytes.
func (p *publication) size() int { return len(p.bytes) + len(p.payload) }

// encoder turns one message into PUBLISH packets for many receivers. What they share
// is encoded once per class: version, Packet Identifier or not.
type encoder struct {
	message *colibri.Message
	now     time.Time
	made    [2][2]bool
	classes [2][2]publication
	packet  packet.Publish
	ps      colibri.Properties
	one     publication
}

// begin forgets the message before. m must not change until the next begin, and a
// payload of shareBytes or more never.
func (e *encoder) begin(m *colibri.Message, now time.Time) {
	e.message, e.now = m, now
	e.made = [2][2]bool{}
}

// publication returns the PUBLISH that carries d to a client of version v. Its bytes
// are valid until the next call of any method. The message must be that of begin.
func (e *encoder) publication(d *colibri.Delivery, v colibri.Version, id uint16, dup bool) publication {
	var p publication
	if v == colibri.V5 && len(d.Identifiers) > 0 {
		p = e.encode(&e.one, d, v)
	} else {
		is5, withID := index(v == colibri.V5), index(d.QoS > 0)
		if !e.made[is5][withID] {
			e.encode(&e.classes[is5][withID], d, v)
			e.made[is5][withID] = true
		}
		p = e.classes[is5][withID]
	}
	p.id = id
	p.first = byte(packet.PUBLISH)<<4 | byte(d.QoS)<<1
	if d.Retain {
		p.first |= 0x01
	}
	if dup {
		p.first |= 0x08 // [MQTT-3.3.1-1]
	}
	return p
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (e *encoder) encode(into *publication, d *colibri.Delivery, v colibri.Version) publication {
	m := e.message
	e.packet = packet.Publish{QoS: d.QoS, Topic: m.Topic, Payload: m.Payload}
	if v == colibri.V5 {
		e.packet.Properties = e.properties(m, d.Identifiers)
	}
	into.idAt = 0
	if d.QoS > 0 {
		e.packet.PacketID = 1 // the receiver's replaces it
	}
	bytes, err := packet.AppendPublish(into.bytes[:0], &e.packet, v)
	if err != nil {
		panic("broker: a message that was received cannot be sent: " + err.Error())
	}
	into.bytes, into.payload = bytes, nil
	if len(m.Payload) >= shareBytes {
		into.bytes, into.payload = bytes[:len(bytes)-len(m.Payload)], m.Payload
	}
	if d.QoS > 0 {
		header := 2
		for bytes[header-1]&0x80 != 0 {
			header++
		}
		into.idAt = header + 2 + len(m.Topic)
	}
	return *into
}

// properties returns those of the message, with the rest of its Message Expiry Interval
// [MQTT-3.3.2-6], and the Subscription Identifiers [MQTT-3.3.4-3].
func (e *encoder) properties(m *colibri.Message, identifiers []uint32) colibri.Properties {
	if m.Expires == 0 && len(identifiers) == 0 {
		return m.Properties
	}
	e.ps = append(e.ps[:0], m.Properties...)
	for i := range e.ps {
		if e.ps[i].ID == colibri.MessageExpiryInterval {
			left := time.Duration(m.Expires - e.now.UnixNano())
			e.ps[i].Number = uint32(max(0, (left+time.Second-1)/time.Second))
		}
	}
	for _, id := range identifiers {
		e.ps = e.ps.AppendNumber(colibri.SubscriptionIdentifier, id)
	}
	return e.ps
}

// write puts one reply of the Session into c's outbox. sent is false when a PUBLISH
// was dropped. The caller holds the Session's lock, or r is a QoS 0 PUBLISH.
func (c *conn) write(b *batch, r *session.Reply) (sent bool) {
	flush := false
	switch r.Type {
	case packet.PUBLISH:
		if e := &b.encoder; e.message != r.Delivery.Message {
			e.begin(r.Delivery.Message, b.now)
		}
		p := b.encoder.publication(r.Delivery, c.version, r.PacketID, r.Dup)
		if c.maxPacket > 0 && p.size() > int(c.maxPacket) {
			c.broker.drop(c.client, DropTooLarge, 1) // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
			return false
		}
		var taken bool
		if flush, taken = c.out.put(p, c.broker.limits.OutboxBytes); !taken {
			c.broker.drop(c.client, DropSlow, 1)
			return false
		}
		b.published++
	case packet.SUBACK, packet.UNSUBACK:
		flush = c.out.add(func(buf []byte) []byte { return appendPacket(buf, r.Packet, c.version) })
	default:
		flush = c.out.acknowledge(r.Type, r.PacketID, r.Code, c.version)
	}
	if flush {
		b.touched = append(b.touched, c)
	}
	return true
}

// appendPacket appends a packet that we have made ourselves: one that cannot be
// encoded is our mistake.
func appendPacket(b []byte, p packet.Packet, v colibri.Version) []byte {
	b, err := packet.Append(b, p, v)
	if err != nil {
		panic("broker: " + err.Error())
	}
	return b
}

// appendAcknowledgement appends a packet of a QoS handshake, or a PINGRESP.
func appendAcknowledgement(b []byte, t packet.Type, id uint16, code colibri.ReasonCode, v colibri.Version) []byte {
	switch t {
	case packet.PUBACK:
		return appendPacket(b, &packet.Puback{PacketID: id, Code: code}, v)
	case packet.PUBREC:
		return appendPacket(b, &packet.Pubrec{PacketID: id, Code: code}, v)
	case packet.PUBREL:
		return appendPacket(b, &packet.Pubrel{PacketID: id, Code: code}, v)
	case packet.PUBCOMP:
		return appendPacket(b, &packet.Pubcomp{PacketID: id, Code: code}, v)
	case packet.PINGRESP:
		return appendPacket(b, &packet.Pingresp{}, v)
	}
	panic("broker: no acknowledgement: " + t.String())
}
