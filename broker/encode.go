package broker

import (
	"fmt"
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
	aliasAt int    // offset of the Topic Alias; 0 without one
	id      uint16
	alias   uint16 // 0 without one
	serial  uint64 // another for everything that was ever encoded
}

// size returns the size of the packet in bytes.
func (p *publication) size() int { return len(p.bytes) + len(p.payload) }

// form says how a PUBLISH names its topic.
type form int

const (
	plain   form = iota // with its Topic Name
	named               // with a Topic Alias as well [MQTT-3.3.2-12]
	unnamed             // with a Topic Alias alone
	forms
)

// encoder turns one message into PUBLISH packets for many receivers. What they share
// is encoded once per class: version, Packet Identifier or not, form.
type encoder struct {
	message *colibri.Message
	now     time.Time
	made    [2][2][forms]bool
	classes [2][2][forms]publication
	packet  packet.Publish
	ps      colibri.Properties
	own     [forms]publication // for a receiver with Subscription Identifiers
	current [forms]publication
	serial  uint64
}

// begin forgets the message before. m must not change until the next begin, and a
// payload of shareBytes or more never.
func (e *encoder) begin(m *colibri.Message, now time.Time) {
	e.message, e.now = m, now
	e.made = [2][2][forms]bool{}
}

// publication returns the PUBLISH that carries d to a client of version v in form f. Its
// bytes are valid until begin, or the next call for the same form. The message must be
// that of begin.
func (e *encoder) publication(d *colibri.Delivery, v colibri.Version, f form, id uint16, dup bool) *publication {
	p := &e.current[f]
	if v == colibri.V5 && len(d.Identifiers) > 0 {
		e.encode(&e.own[f], d, v, f)
		*p = e.own[f]
	} else {
		is5, withID := index(v == colibri.V5), index(d.QoS > 0)
		if !e.made[is5][withID][f] {
			e.encode(&e.classes[is5][withID][f], d, v, f)
			e.made[is5][withID][f] = true
		}
		*p = e.classes[is5][withID][f]
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

func (e *encoder) encode(into *publication, d *colibri.Delivery, v colibri.Version, f form) {
	m := e.message
	e.packet = packet.Publish{QoS: d.QoS, Topic: m.Topic, Payload: m.Payload}
	if v == colibri.V5 {
		e.packet.Properties = e.properties(m, d.Identifiers, f)
	}
	if f == unnamed {
		e.packet.Topic = ""
	}
	into.idAt, into.aliasAt = 0, 0
	e.serial++
	into.serial = e.serial
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
	at := afterVarint(bytes, 1) + 2 + len(e.packet.Topic)
	if d.QoS > 0 {
		into.idAt = at
		at += 2
	}
	if f != plain {
		into.aliasAt = afterVarint(bytes, at) + 1 // it is the first property
	}
}

// afterVarint returns the offset behind the Variable Byte Integer at an offset.
func afterVarint(b []byte, at int) int {
	for b[at]&0x80 != 0 {
		at++
	}
	return at + 1
}

// properties returns those of the message, with the rest of its Message Expiry Interval
// [MQTT-3.3.2-6], and the Subscription Identifiers [MQTT-3.3.4-3].
func (e *encoder) properties(m *colibri.Message, identifiers []uint32, f form) colibri.Properties {
	if m.Expires == 0 && len(identifiers) == 0 && f == plain {
		return m.Properties
	}
	e.ps = e.ps[:0]
	if f != plain {
		e.ps = e.ps.AppendNumber(colibri.TopicAlias, 1) // the receiver's replaces it
	}
	e.ps = append(e.ps, m.Properties...)
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
	flush, size := false, 0
	switch r.Type {
	case packet.PUBLISH:
		if e := &b.encoder; e.message != r.Delivery.Message {
			e.begin(r.Delivery.Message, b.now)
		}
		p := b.encoder.publication(r.Delivery, c.version, plain, r.PacketID, r.Dup)
		if c.tooLarge(p) {
			c.broker.drop(c.session, DropTooLarge, 1) // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
			return false
		}
		var with, without *publication
		if c.out.aliases != nil {
			with = b.encoder.publication(r.Delivery, c.version, named, r.PacketID, r.Dup)
			without = b.encoder.publication(r.Delivery, c.version, unnamed, r.PacketID, r.Dup)
			if c.tooLarge(with) {
				with, without = nil, nil
			}
		}
		var taken bool
		if p, flush, taken = c.out.put(r.Delivery.Message.Topic, p, with, without, c.broker.limits.OutboxBytes); !taken {
			c.broker.drop(c.session, DropSlow, 1)
			return false
		}
		if p != nil {
			size = p.size()
			if b.watched() {
				b.sawPublished(c, p, r.Delivery.Message.Topic)
			}
			b.tally.countPublishSent(size, len(r.Delivery.Message.Payload))
		}
	case packet.SUBACK, packet.UNSUBACK:
		flush, size = c.answer(b, r, r.Packet)
		b.tally.countSent(r.Type, size)
	default:
		if r.Reason != "" {
			flush, size = c.answer(b, r, acknowledgement(r.Type, r.PacketID, r.Code))
		} else {
			flush, size = c.out.acknowledge(r.Type, r.PacketID, r.Code, c.version)
			if size > 0 && b.watched() {
				b.small = packet.AppendAcknowledgement(b.small[:0], r.Type, r.PacketID, r.Code, c.version)
				b.sawAnswered(c, b.small, r)
			}
		}
		b.tally.countSent(r.Type, size)
	}
	if flush {
		b.touched = append(b.touched, c)
	}
	return true
}

// tooLarge reports whether c's client takes no PUBLISH as large as p.
func (c *conn) tooLarge(p *publication) bool { return c.maxPacket > 0 && p.size() > int(c.maxPacket) }

// appendPacket appends a packet that we have made ourselves: one that cannot be
// encoded is our mistake.
func appendPacket(b []byte, p packet.Packet, v colibri.Version) []byte {
	b, err := packet.Append(b, p, v)
	if err != nil {
		panic("broker: " + err.Error())
	}
	return b
}

// answer puts p, the packet of r that is not PUBLISH, of size bytes, into c's outbox, with a Reason String if there
// is one and the client takes a packet of that size. A client whose Maximum Packet Size is
// smaller than the packet without it loses its connection, later: the caller may hold the
// Session's lock.
func (c *conn) answer(b *batch, r *session.Reply, p packet.Packet) (flush bool, size int) {
	bytes := appendPacket(nil, p, c.version)
	if r.Reason != "" {
		if full := appendPacket(nil, withReason(p, r.Reason), c.version); c.maxPacket == 0 || len(full) <= int(c.maxPacket) {
			bytes = full // [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2] [MQTT-3.9.2-1] [MQTT-3.11.2-1]
		}
	}
	if c.maxPacket > 0 && len(bytes) > int(c.maxPacket) { // [MQTT-3.1.2-24]
		go c.stop(&colibri.Error{Op: p.Type().String(), Code: colibri.PacketTooLarge,
			Err: fmt.Errorf("%d bytes, and the Client takes %d", len(bytes), c.maxPacket)})
		return false, 0
	}
	flush = c.out.add(func(b []byte) []byte {
		size = len(bytes)
		return append(b, bytes...)
	})
	if size > 0 && b.watched() {
		b.sawAnswered(c, bytes, r)
	}
	return flush, size
}

// withReason returns p with a Reason String.
func withReason(p packet.Packet, reason string) packet.Packet {
	ps := colibri.Properties{{ID: colibri.ReasonString, Value: reason}}
	switch p := p.(type) {
	case *packet.Puback:
		p.Properties = ps
	case *packet.Pubrec:
		p.Properties = ps
	case *packet.Pubrel:
		p.Properties = ps
	case *packet.Pubcomp:
		p.Properties = ps
	case *packet.Suback:
		p.Properties = ps
	case *packet.Unsuback:
		p.Properties = ps
	}
	return p
}

// acknowledgement returns a packet of a QoS handshake, or a PINGRESP.
func acknowledgement(t packet.Type, id uint16, code colibri.ReasonCode) packet.Packet {
	switch t {
	case packet.PUBACK:
		return &packet.Puback{PacketID: id, Code: code}
	case packet.PUBREC:
		return &packet.Pubrec{PacketID: id, Code: code}
	case packet.PUBREL:
		return &packet.Pubrel{PacketID: id, Code: code}
	case packet.PUBCOMP:
		return &packet.Pubcomp{PacketID: id, Code: code}
	case packet.PINGRESP:
		return &packet.Pingresp{}
	}
	panic("broker: no acknowledgement: " + t.String())
}
