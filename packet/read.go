package packet

import (
	"unsafe"

	"github.com/colibri-mqtt/colibri"
)

// reader reads one packet from its first byte to its last. It has a method for
// each data type of the standard (section 1.5), and each call names its field: the
// name serves the error text and the dissector. After a fault every method returns
// the zero value and reads nothing.
type reader struct {
	checker
	b   []byte // the packet, or what there is of it
	at  int    // the next byte to read
	end int    // of the packet, or of the properties while they are read

	// Bits 3-0 of the first byte, where they are not reserved.
	dup    bool
	qos    colibri.QoS
	retain bool

	record *recorder // nil unless dissecting

	// What packets hold beyond their own struct. A Decoder reuses it.
	will           *Will
	willProperties colibri.Properties
	properties     colibri.Properties
	subscriptions  []colibri.Subscription
	filters        []string
	codes          []colibri.ReasonCode
}

// start makes r ready for the packet in b.
func (r *reader) start(b []byte, t Type, v colibri.Version) {
	r.checker = checker{t: t, v: v}
	r.b, r.at, r.end = b, 0, len(b)
	r.dup, r.qos, r.retain = false, 0, false
}

// left returns the number of bytes that are still to be read.
func (r *reader) left() int { return r.end - r.at }

// take returns the next n bytes, nil after a fault.
func (r *reader) take(name string, n int) []byte {
	if r.err != nil {
		return nil
	}
	if r.end-r.at < n {
		r.fail(name, colibri.MalformedPacket, "", "goes past the end")
		return nil
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

// byte reads one byte.
func (r *reader) byte(name string) byte {
	b := r.take(name, 1)
	if b == nil {
		return 0
	}
	if r.record != nil {
		r.record.number(name, r.at-1, r.at, uint32(b[0]))
	}
	return b[0]
}

// flag returns the bit mask of b, the byte that was read last.
func (r *reader) flag(name string, b, mask byte) bool {
	if r.record != nil && r.err == nil {
		r.record.flag(name, r.at, mask, b&mask != 0)
	}
	return b&mask != 0
}

// bits returns the bits mask of b, the byte that was read last, moved to the right.
func (r *reader) bits(name string, b, mask byte) byte {
	value := b & mask / (mask & -mask)
	if r.record != nil && r.err == nil {
		r.record.bits(name, r.at, mask, value)
	}
	return value
}

// twoByte reads a Two Byte Integer.
func (r *reader) twoByte(name string) uint16 {
	b := r.take(name, 2)
	if b == nil {
		return 0
	}
	value := uint16(b[0])<<8 | uint16(b[1])
	if r.record != nil {
		r.record.number(name, r.at-2, r.at, uint32(value))
	}
	return value
}

// fourByte reads a Four Byte Integer.
func (r *reader) fourByte(name string) uint32 {
	b := r.take(name, 4)
	if b == nil {
		return 0
	}
	value := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if r.record != nil {
		r.record.number(name, r.at-4, r.at, value)
	}
	return value
}

// variable reads a Variable Byte Integer.
func (r *reader) variable(name string) uint32 {
	if r.err != nil {
		return 0
	}
	value, n := variableByteInteger(r.b[r.at:r.end])
	switch {
	case n == 0:
		r.fail(name, colibri.MalformedPacket, "", "goes past the end")
		return 0
	case n < 0:
		r.failVariable(name, n)
		return 0
	}
	r.at += n
	if r.record != nil {
		r.record.number(name, r.at-n, r.at, value)
	}
	return value
}

// prefixed reads a Two Byte Integer and as many bytes as it says.
func (r *reader) prefixed(name string) []byte {
	length := r.take(name, 2)
	if length == nil {
		return nil
	}
	return r.take(name, int(length[0])<<8|int(length[1]))
}

// text reads a UTF-8 Encoded String. The result aliases the packet.
func (r *reader) text(name string) string {
	start := r.at
	s := view(r.prefixed(name))
	if r.err != nil {
		return ""
	}
	if r.record != nil {
		r.record.text(name, start, r.at, s)
	}
	r.checker.text(name, s)
	return s
}

// binary reads Binary Data. The result aliases the packet.
func (r *reader) binary(name string) []byte {
	start := r.at
	b := r.prefixed(name)
	if b != nil && r.record != nil {
		r.record.binary(name, start, r.at, b)
	}
	return b
}

// rest reads all bytes that are left. The result aliases the packet; nil if there are none.
func (r *reader) rest(name string) []byte {
	if r.err != nil || r.at == r.end {
		return nil
	}
	b := r.take(name, r.left())
	if r.record != nil {
		r.record.binary(name, r.at-len(b), r.at, b)
	}
	return b
}

// packetID reads a Packet Identifier.
func (r *reader) packetID() uint16 {
	id := r.twoByte("Packet Identifier")
	if r.err == nil {
		r.checker.packetID(id)
	}
	return id
}

// reasonCode reads a Reason Code of the packet at hand.
func (r *reader) reasonCode(name string) colibri.ReasonCode {
	b := r.take(name, 1)
	if b == nil {
		return 0
	}
	code := colibri.ReasonCode(b[0])
	if r.record != nil {
		r.record.reason(name, r.at, code, r.t, r.v)
	}
	r.checker.reasonCode(name, code)
	return code
}

// open begins a group of fields for the dissector; close ends it.
func (r *reader) open(name string) int {
	if r.record == nil || r.err != nil {
		return 0
	}
	return r.record.open(name, r.at)
}

// close ends the group that open began.
func (r *reader) close(group int) {
	if r.record != nil && r.err == nil {
		r.record.close(group, r.at)
	}
}

// finish checks that the packet ends here.
func (r *reader) finish() {
	if r.err == nil && r.at < r.end {
		r.fail("end", colibri.MalformedPacket, "", "bytes follow the last field")
	}
}

// view returns b as a string without a copy, the only unsafe step of the package.
// It is sound as long as nobody writes to b while the string is in use: that is
// the promise that Decode asks of its caller.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
