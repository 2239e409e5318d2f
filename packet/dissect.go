package packet

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/colibri-mqtt/colibri"
)

// Field is one part of a packet with the bytes that it takes. Fields form a tree in
// the order of the wire: the fields of greater Depth that follow a field are its
// parts. Those without parts cover each byte of the packet once, or share it by
// their Masks.
type Field struct {
	Name       string // the standard's name, such as "Topic Name"
	Start, End int    // bytes b[Start:End]; a length prefix belongs to its field
	Depth      int    // 0 for the packet as a whole
	Mask       byte   // which bits of the one byte; 0 means all bits of all bytes

	// Value is what was read: uint32 for integers and groups of bits, bool for flags,
	// string for UTF-8 Encoded Strings, []byte for Binary Data and payloads,
	// Type for the packet type, colibri.ReasonCode for codes. Nil for a field that only
	// groups others and for bytes that were not understood. Strings and slices alias b.
	Value any

	// Text is Value for people: numbers in decimal, flags as 0 or 1, strings quoted,
	// binary data in hex, codes and types with their names.
	Text string
}

// Secret reports whether f holds what nobody may read who looks over a shoulder: a password
// or Authentication Data.
func (f *Field) Secret() bool { return f.Name == "Password" || f.Name == "Authentication Data" }

// undecoded is the name of the field for the bytes behind a fault.
const undecoded = "Not decoded"

// Dissect is Decode that also returns the fields that it read, in the order of the
// wire and with the names that error texts use. With a *colibri.Error the fields are
// those before the fault, and a last one named "Not decoded" for all bytes from there
// on. With io.ErrUnexpectedEOF, and when the Remaining Length is at fault, there are none.
//
// It is for people: it allocates, and takes much longer than Decode.
func Dissect(b []byte, v colibri.Version) (Packet, int, []Field, error) {
	var rec recorder
	r := reader{record: &rec}
	size, err := r.header(b, v)
	if err != nil && r.err == nil {
		return nil, 0, nil, err
	}
	if r.err != nil {
		return nil, 0, rec.finish(r.t, len(r.b)), err
	}
	p, n, err := r.packet(newPacket(r.t), size)
	return p, n, rec.finish(r.t, size), err
}

// recorder keeps the fields that a reader reads. Positions are in the packet.
type recorder struct {
	fields   []Field
	depth    int
	property int // index of the group of the property at hand
	read     int // where the last field ends
}

// isOpen is the End of a group that has not been closed.
const isOpen = -1

func (rec *recorder) add(f Field) {
	f.Depth += rec.depth + 1 // 0 is the packet
	rec.fields = append(rec.fields, f)
	rec.read = f.End
}

func (rec *recorder) number(name string, start, end int, value uint32) {
	rec.add(Field{Name: name, Start: start, End: end, Value: value, Text: strconv.FormatUint(uint64(value), 10)})
}

// bits adds a part of the byte that ends at end.
func (rec *recorder) bits(name string, end int, mask, value byte) {
	f := Field{Name: name, Start: end - 1, End: end, Depth: 1, Mask: mask, Value: uint32(value), Text: strconv.Itoa(int(value))}
	if end == 1 && mask == 0xF0 {
		f.Value, f.Text = Type(value), Type(value).String()
	}
	rec.add(f)
}

// flag adds one bit of the byte that ends at end.
func (rec *recorder) flag(name string, end int, mask byte, value bool) {
	f := Field{Name: name, Start: end - 1, End: end, Depth: 1, Mask: mask, Value: value, Text: "0"}
	if value {
		f.Text = "1"
	}
	rec.add(f)
}

func (rec *recorder) text(name string, start, end int, value string) {
	rec.add(Field{Name: name, Start: start, End: end, Value: value, Text: strconv.Quote(value)})
}

func (rec *recorder) binary(name string, start, end int, value []byte) {
	rec.add(Field{Name: name, Start: start, End: end, Value: value, Text: hex.EncodeToString(value)})
}

func (rec *recorder) reason(name string, end int, code colibri.ReasonCode, t Type, v colibri.Version) {
	text := fmt.Sprintf("%s (0x%02X)", reasonText(code, t, v), byte(code))
	rec.add(Field{Name: name, Start: end - 1, End: end, Value: code, Text: text})
}

// connectReturnTexts are the meanings of table 3.1 of 3.1.1.
var connectReturnTexts = [...]string{
	"Accepted", "Refused: Protocol Level", "Refused: Client Identifier", "Refused: Server unavailable",
	"Refused: User Name or Password", "Refused: not authorized",
}

// reasonText returns the name that code has in the packet t.
func reasonText(code colibri.ReasonCode, t Type, v colibri.Version) string {
	switch {
	case v != colibri.V5 && t == CONNACK:
		if int(code) < len(connectReturnTexts) {
			return connectReturnTexts[code]
		}
		return "reserved"
	case v != colibri.V5 && code == 0x80:
		return "Failure"
	case t == SUBACK && code == colibri.GrantedQoS0:
		return "Granted QoS 0"
	case t == DISCONNECT && code == colibri.NormalDisconnection:
		return "Normal disconnection"
	case !code.Known():
		return "unknown"
	}
	return code.String()
}

// open begins a group at start and returns its index for close.
func (rec *recorder) open(name string, start int) int {
	rec.fields = append(rec.fields, Field{Name: name, Start: start, End: isOpen, Depth: rec.depth + 1})
	rec.depth++
	return len(rec.fields) - 1
}

func (rec *recorder) close(group, end int) {
	rec.depth--
	rec.fields[group].End = end
}

// wrapLast puts the last field, a Property Identifier, into a group for its property.
func (rec *recorder) wrapLast(name string, start int) {
	last := rec.fields[len(rec.fields)-1]
	rec.fields = rec.fields[:len(rec.fields)-1]
	rec.property = rec.open(name, start)
	text := fmt.Sprintf("%d (0x%02X)", last.Value, last.Value)
	rec.add(Field{Name: last.Name, Start: last.Start, End: last.End, Value: last.Value, Text: text})
}

// unwrap ends the group of a property, and gives it the value that it holds.
func (rec *recorder) unwrap(end int) {
	rec.close(rec.property, end)
	group, parts := &rec.fields[rec.property], rec.fields[rec.property+1:]
	if len(parts) == 2 {
		group.Value, group.Text = parts[1].Value, parts[1].Text
	} else {
		group.Text = parts[1].Text + ": " + parts[2].Text
	}
}

// finish returns the fields of a packet of size bytes.
func (rec *recorder) finish(t Type, size int) []Field {
	for i := range rec.fields {
		if rec.fields[i].End == isOpen {
			rec.fields[i].End = rec.read
		}
	}
	rec.depth = 0
	if rec.read < size {
		rec.add(Field{Name: undecoded, Start: rec.read, End: size})
	}
	return append([]Field{{Name: t.String(), End: size}}, rec.fields...)
}
