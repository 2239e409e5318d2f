package packet

import (
	"errors"

	"github.com/colibri-mqtt/colibri"
)

// Append appends the encoding of p for a connection of version v to b, in the
// shortest form that the standard allows. For a Connect, its own Version counts.
//
// When p cannot be encoded the error is a *colibri.Error and b is returned as it
// was. Append drops nothing silently: a property, a Reason Code or an option that v
// does not have is an error, and so are a string of more than 65,535 bytes or that
// is no UTF-8, a property in a packet that may not have it, a Packet Identifier of 0
// where one is needed, and a packet of more than MaxSize bytes. What Append writes,
// Decode accepts.
//
// It does not allocate if b has room for the packet. It only reads p.
func Append(b []byte, p Packet, v colibri.Version) ([]byte, error) {
	w := writer{b: b}
	w.v = v
	switch p := p.(type) {
	case *Connect:
		p.encode(&w)
	case *Connack:
		p.encode(&w)
	case *Publish:
		p.encode(&w)
	case *Puback:
		p.encode(&w)
	case *Pubrec:
		p.encode(&w)
	case *Pubrel:
		p.encode(&w)
	case *Pubcomp:
		p.encode(&w)
	case *Subscribe:
		p.encode(&w)
	case *Suback:
		p.encode(&w)
	case *Unsubscribe:
		p.encode(&w)
	case *Unsuback:
		p.encode(&w)
	case *Pingreq:
		p.encode(&w)
	case *Pingresp:
		p.encode(&w)
	case *Disconnect:
		p.encode(&w)
	case *Auth:
		p.encode(&w)
	default:
		return b, errors.New("encode packet: there is none")
	}
	return w.end(b)
}

// writer appends one packet to b. Like the reader it remembers the first fault;
// what it appends after a fault does not matter.
type writer struct {
	checker
	b      []byte
	start  int // where the Remaining Length begins
	header int // where the bytes that it counts begin
}

// begin writes the Fixed Header of a packet whose Remaining Length is going to be at
// least atLeast bytes. A guess that is too low costs a copy of the packet, no more.
func (w *writer) begin(t Type, flags byte, atLeast int) {
	w.t = t
	w.headerFlags(flags)
	w.b = append(w.b, byte(t)<<4|flags)
	w.start = len(w.b)
	w.header = w.start + variableByteIntegerSize(atLeast)
	w.b = append(w.b, 0, 0, 0, 0)[:w.header]
}

// end completes the packet, or gives back the original b.
func (w *writer) end(b []byte) ([]byte, error) {
	if w.err == nil {
		w.length("Remaining Length", w.start, w.header)
	}
	if w.err != nil {
		return b, w.err
	}
	return w.b, nil
}

// length writes at the index at the number of bytes from the index body on, and
// moves them if the room between the two is less than the number takes.
func (w *writer) length(name string, at, body int) {
	n := len(w.b) - body
	if n > maxRemainingLength {
		w.tooLarge(name)
		return
	}
	if shift := at + variableByteIntegerSize(n) - body; shift > 0 {
		w.b = append(w.b, 0, 0, 0)[:len(w.b)+shift]
		copy(w.b[body+shift:], w.b[body:body+n])
	}
	appendVariable(w.b[:at], uint32(n))
}

// tooLarge records that the length name is larger than any can be.
func (w *writer) tooLarge(name string) {
	w.fail(name, colibri.PacketTooLarge, "", "is more than 268,435,455")
}

// appendVariable appends a Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
func appendVariable(b []byte, value uint32) []byte {
	for value >= 0x80 {
		b = append(b, byte(value)|0x80)
		value >>= 7
	}
	return append(b, byte(value))
}

func (w *writer) byte(value byte)       { w.b = append(w.b, value) }
func (w *writer) twoByte(value uint16)  { w.b = append(w.b, byte(value>>8), byte(value)) }
func (w *writer) variable(value uint32) { w.b = appendVariable(w.b, value) }
func (w *writer) fourByte(value uint32) {
	w.b = append(w.b, byte(value>>24), byte(value>>16), byte(value>>8), byte(value))
}

// prefix writes the length of the string or the binary data that follows.
func (w *writer) prefix(name string, n int) {
	if n > 65_535 {
		w.fail(name, colibri.MalformedPacket, "", "is longer than 65,535 bytes")
		return
	}
	w.twoByte(uint16(n))
}

// text writes a UTF-8 Encoded String.
func (w *writer) text(name, s string) {
	w.checker.text(name, s)
	w.binaryString(name, s)
}

// binary writes Binary Data.
func (w *writer) binary(name string, data []byte) {
	w.prefix(name, len(data))
	if w.err == nil {
		w.b = append(w.b, data...)
	}
}

// binaryString writes Binary Data that a property holds as a string.
func (w *writer) binaryString(name, data string) {
	w.prefix(name, len(data))
	if w.err == nil {
		w.b = append(w.b, data...)
	}
}

// packetID writes a Packet Identifier.
func (w *writer) packetID(id uint16) {
	w.checker.packetID(id)
	w.twoByte(id)
}

// reasonCode writes a Reason Code of the packet at hand.
func (w *writer) reasonCode(name string, code colibri.ReasonCode) {
	w.checker.reasonCode(name, code)
	w.byte(byte(code))
}
