package journal

import (
	"encoding/binary"
	"math"

	"github.com/colibri-mqtt/colibri"
)

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime adds an instant in nanoseconds since 1970 (UTC). 0 stands for none where
// a Message or a Session is held, and is no instant.
func appendTime(b []byte, t int64) []byte {
	if t <= 0 {
		panic("journal: Append of a time that is not after the beginning of 1970")
	}
	return binary.AppendUvarint(b, uint64(t))
}

// bit returns the flag at the given position when set.
func bit(set bool, position uint) byte {
	if set {
		return 1 << position
	}
	return 0
}

// reader reads the fields of one entry. The first fault stays in err, and every read
// after it yields zero.
type reader struct {
	b   []byte // the whole entry
	at  int    // where the next field begins
	err *SyntaxError
}

func (r *reader) fail(field, fault string) {
	if r.err == nil {
		r.err = &SyntaxError{Offset: r.at, Reason: field + " " + fault}
	}
}

func (r *reader) uvarint(field string, most uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:])
	switch {
	case n == 0:
		r.fail(field, "is cut off")
	case n < 0 || v > most:
		r.fail(field, "is too large")
	case n > 1 && r.b[r.at+n-1] == 0:
		r.fail(field, "is not in its shortest form")
	default:
		r.at += n
		return v
	}
	return 0
}

// number reads what counts from 1.
func (r *reader) number(field string) uint64 {
	v := r.uvarint(field, math.MaxUint64)
	if v == 0 {
		r.fail(field, "is 0")
	}
	return v
}

func (r *reader) packetID() uint16 {
	v := r.uvarint("Packet Identifier", math.MaxUint16)
	if v == 0 {
		r.fail("Packet Identifier", "is 0")
	}
	return uint16(v)
}

func (r *reader) uint32(field string) uint32 { return uint32(r.uvarint(field, math.MaxUint32)) }

func (r *reader) time(field string) int64 {
	v := r.uvarint(field, math.MaxInt64)
	if v == 0 {
		r.fail(field, "is 0")
	}
	return int64(v)
}

func (r *reader) byte(field string) byte {
	if r.err != nil {
		return 0
	}
	if r.at == len(r.b) {
		r.fail(field, "is cut off")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

// flags reads a byte of which only the bits in known may be set.
func (r *reader) flags(field string, known byte) byte {
	v := r.byte(field)
	if v&^known != 0 {
		r.at--
		r.fail(field, "have unknown bits")
		return 0
	}
	return v
}

func (r *reader) qos(flags byte) colibri.QoS {
	q := colibri.QoS(flags & 3)
	if !q.Valid() {
		r.fail("QoS", "is 3")
	}
	return q
}

// bytes returns a part of the entry, nil when it is empty. A length is trusted only
// as far as there are bytes.
func (r *reader) bytes(field string) []byte {
	n := r.uvarint(field, maxBytes)
	if n > uint64(len(r.b)-r.at) {
		r.fail(field, "is cut off")
		return nil
	}
	if n == 0 {
		return nil
	}
	end := r.at + int(n)
	v := r.b[r.at:end:end]
	r.at = end
	return v
}

func (r *reader) string(field string) string { return string(r.bytes(field)) }

// count reads how many items follow, each of at least size bytes.
func (r *reader) count(field string, size int) int {
	n := r.uvarint(field, maxBytes)
	if n > uint64((len(r.b)-r.at)/size) {
		r.fail(field, "are cut off")
		return 0
	}
	return int(n)
}
