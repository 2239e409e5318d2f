package packet

import (
	"io"

	"github.com/colibri-mqtt/colibri"
)

// maxRemainingLength is the largest Variable Byte Integer (section 1.5.5), and so
// the largest Remaining Length.
const maxRemainingLength = 268_435_455

// Size looks at the Fixed Header of the first packet of b only: t is its type and
// size its total size in bytes, of which fewer may have arrived. It is what a
// receiver needs to refuse a packet that is too large before it has arrived.
//
// The error is io.ErrUnexpectedEOF while the Fixed Header is incomplete, and a
// *colibri.Error with Code MalformedPacket when the Remaining Length is longer than
// four bytes or than it needs to be. Size does not judge the type and the flags.
func Size(b []byte) (t Type, size int, err error) {
	if len(b) == 0 {
		return 0, 0, io.ErrUnexpectedEOF
	}
	t = Type(b[0] >> 4)
	length, n := variableByteInteger(b[1:])
	switch n {
	case 0:
		return t, 0, io.ErrUnexpectedEOF
	case tooLong, notMinimal:
		c := checker{t: t, v: colibri.V5}
		c.failVariable("Remaining Length", n)
		return t, 0, c.err
	}
	return t, 1 + n + int(length), nil
}

// What variableByteInteger returns in place of a length when the bytes are wrong.
const (
	tooLong    = -1
	notMinimal = -2
)

// variableByteInteger decodes the Variable Byte Integer at the front of b (section
// 1.5.5). n is its length in bytes; 0 while it is incomplete; or a fault.
func variableByteInteger(b []byte) (value uint32, n int) {
	for i, c := range b {
		if i == 4 {
			break
		}
		value |= uint32(c&0x7F) << (7 * i)
		if c&0x80 == 0 {
			if c == 0 && i > 0 {
				return 0, notMinimal // [MQTT-1.5.5-1]
			}
			return value, i + 1
		}
	}
	if len(b) < 4 {
		return 0, 0
	}
	return 0, tooLong
}

// variableByteIntegerSize is the number of bytes that value takes [MQTT-1.5.5-1].
func variableByteIntegerSize(value int) int {
	switch {
	case value < 1<<7:
		return 1
	case value < 1<<14:
		return 2
	case value < 1<<21:
		return 3
	}
	return 4
}

// fixedHeader reads the Fixed Header and checks the type and the flags. They are
// checked before the packet is complete: no byte that follows could mend them.
func (r *reader) fixedHeader() {
	group := r.open("Fixed Header")
	first := r.byte("Packet Type and Flags")
	r.bits("MQTT Control Packet type", first, 0xF0)
	if r.t == PUBLISH || r.oldFlags() {
		r.dup = r.flag("DUP flag", first, 0x08)
		r.qos = colibri.QoS(r.bits("QoS level", first, 0x06))
		r.retain = r.flag("RETAIN", first, 0x01)
	} else {
		r.bits("Reserved", first, 0x0F)
	}
	r.headerFlags(first & 0x0F)
	r.variable("Remaining Length")
	r.close(group)
}

// oldFlags reports whether the packet is one of those in which 3.1 has a DUP flag
// and a QoS level, where its successors have reserved bits.
func (c *checker) oldFlags() bool {
	return c.v == colibri.V31 && (c.t == PUBREL || c.t == SUBSCRIBE || c.t == UNSUBSCRIBE)
}

// headerFlags checks the type of the packet, and bits 3-0 of its first byte.
func (c *checker) headerFlags(flags byte) {
	const name = "Fixed Header flags"
	switch {
	case c.t == 0:
		c.fail("MQTT Control Packet type", colibri.MalformedPacket, "", "0 is reserved")
	case c.t != CONNECT && !c.v.Known():
		c.fail("MQTT Control Packet type", colibri.ProtocolError,
			c.rule("MQTT-3.1.0-1", "MQTT311-3.1.0-1"), "the first packet must be CONNECT")
	case c.t == AUTH && c.v != colibri.V5:
		c.fail("MQTT Control Packet type", colibri.MalformedPacket, "", "15 is reserved in "+c.v.String())
	case c.t == PUBLISH && flags&0x06 == 0x06:
		c.fail("QoS level", colibri.MalformedPacket, c.rule("MQTT-3.3.1-4", "MQTT311-3.3.1-4"), "is 3")
	case c.t == PUBLISH && flags&0x0E == 0x08:
		c.fail("DUP flag", colibri.MalformedPacket, c.rule("MQTT-3.3.1-2", "MQTT311-3.3.1-2"), "is set with QoS 0")
	case c.t == PUBLISH:
	case c.t == PUBREL && !c.flagsAre2(flags):
		c.fail(name, colibri.MalformedPacket, c.rule("MQTT-3.6.1-1", "MQTT311-3.6.1-1"), "must be 0010")
	case c.t == SUBSCRIBE && !c.flagsAre2(flags):
		c.fail(name, colibri.MalformedPacket, c.rule("MQTT-3.8.1-1", "MQTT311-3.8.1-1"), "must be 0010")
	case c.t == UNSUBSCRIBE && !c.flagsAre2(flags):
		c.fail(name, colibri.MalformedPacket, c.rule("MQTT-3.10.1-1", "MQTT311-3.10.1-1"), "must be 0010")
	case c.t == PUBREL, c.t == SUBSCRIBE, c.t == UNSUBSCRIBE:
	case flags == 0:
	case c.t == DISCONNECT:
		c.fail(name, colibri.MalformedPacket, c.rule("MQTT-3.14.1-1", "MQTT311-3.14.1-1"), "must be 0000")
	case c.t == AUTH:
		c.fail(name, colibri.MalformedPacket, "MQTT-3.15.1-1", "must be 0000")
	default:
		c.fail(name, colibri.MalformedPacket, c.rule("MQTT-2.1.3-1", "MQTT311-2.2.2-1"), "must be 0000")
	}
}

// flagsAre2 reports whether flags are the 0010 that PUBREL, SUBSCRIBE and
// UNSUBSCRIBE have. In 3.1 that is a QoS level of 1, and the DUP flag may join it.
func (c *checker) flagsAre2(flags byte) bool {
	return flags == 0x02 || c.v == colibri.V31 && flags == 0x0A
}
