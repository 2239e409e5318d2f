package journal

import (
	"encoding/binary"
	"math"

	"github.com/colibri-mqtt/colibri"
)

// MessageStored keeps a Message under a number, for the Deliveries that refer to it.
// It is forgotten with the last of them.
type MessageStored struct {
	Number  uint64
	Message *colibri.Message
}

func (MessageStored) entry() {}

func (e MessageStored) append(b []byte) []byte {
	return appendMessage(binary.AppendUvarint(b, e.Number), e.Message)
}

func (r *reader) messageStored() Entry {
	return MessageStored{Number: r.number("Message"), Message: r.message()}
}

// Flags of a Message; the two lowest bits are its QoS.
const (
	messageRetain     = 2
	messageProperties = 3 // Properties follow
	messageExpires    = 4 // the instant of expiry follows
)

func appendMessage(b []byte, m *colibri.Message) []byte {
	b = append(b, byte(m.QoS)|bit(m.Retain, messageRetain)|
		bit(len(m.Properties) > 0, messageProperties)|bit(m.Expires != 0, messageExpires))
	b = appendString(b, m.Topic)
	if m.Expires != 0 {
		b = appendTime(b, m.Expires)
	}
	if len(m.Properties) > 0 {
		b = binary.AppendUvarint(b, uint64(len(m.Properties)))
		for i := range m.Properties {
			p := &m.Properties[i]
			b = append(b, byte(p.ID))
			b = binary.AppendUvarint(b, uint64(p.Number))
			b = appendString(b, p.Name)
			b = appendString(b, p.Value)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(m.Payload)))
	return append(b, m.Payload...)
}

// minPropertyBytes is an identifier, a number and two empty strings.
const minPropertyBytes = 4

func (r *reader) message() *colibri.Message {
	flags := r.flags("Message flags", 0x1F)
	m := &colibri.Message{
		QoS:    r.qos(flags),
		Retain: flags&(1<<messageRetain) != 0,
		Topic:  r.string("Topic Name"),
	}
	if flags&(1<<messageExpires) != 0 {
		m.Expires = r.time("Message expiry")
	}
	if flags&(1<<messageProperties) != 0 {
		n := r.count("Properties", minPropertyBytes)
		if n == 0 {
			r.fail("Properties", "are none")
			return m
		}
		m.Properties = make(colibri.Properties, n)
		for i := range m.Properties {
			m.Properties[i] = colibri.Property{
				ID:     colibri.PropertyID(r.byte("Property Identifier")),
				Number: uint32(r.uvarint("Property", math.MaxUint32)),
				Name:   r.string("User Property name"),
				Value:  r.string("Property"),
			}
		}
	}
	m.Payload = r.bytes("Payload")
	return m
}

// keep returns a copy of m with a Payload of its own. Strings are not copied: those
// of a decoded entry belong to nobody else.
func keep(m *colibri.Message) *colibri.Message {
	kept := *m
	kept.Payload = append([]byte(nil), m.Payload...)
	return &kept
}

// stored is a Message and how many Deliveries refer to it.
type stored struct {
	message    *colibri.Message
	references int
}

func (s *State) messageStored(e MessageStored) {
	s.LastMessage = max(s.LastMessage, e.Number)
	if s.messages[e.Number] != nil {
		s.Ignored++
		return
	}
	s.messages[e.Number] = &stored{message: keep(e.Message)}
}

// release takes the Message away from a Delivery that does not need it any more.
func (s *State) release(d *Delivery) {
	if d.Message == nil {
		return
	}
	of := s.messages[d.MessageNumber]
	if of.references--; of.references == 0 && !s.inCheckpoint {
		delete(s.messages, d.MessageNumber)
	}
	d.Delivery, d.MessageNumber = colibri.Delivery{}, 0
}
