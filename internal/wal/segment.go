package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	magic         = "CLBRIWAL"
	formatVersion = 1
	headerBytes   = sectorBytes // the records begin here
	headerUsed    = 40
	suffix        = ".wal"
)

// segment is one file of the log.
type segment struct {
	number  uint32
	before  uint32 // number of the segment before; 0 for none
	endedAt int64  // offset at which the records of the segment before end
	salt    uint64
	zeroed  bool  // the file was all zeroes behind the header
	end     int64 // offset at which its records end
	size    int64 // of the file, in bytes
}

// segmentName returns the name of a segment's file.
func segmentName(number uint32) string { return fmt.Sprintf("%010d%s", number, suffix) }

// segmentNumber returns the number in the name of a segment's file, and false when it
// has none.
func segmentNumber(name string) (uint32, bool) {
	digits := strings.TrimSuffix(name, suffix)
	number, err := strconv.ParseUint(digits, 10, 32)
	return uint32(number), err == nil && number > 0
}

// seed begins the sums of the segment's records. Within one log no two segments have
// the same: a CRC of 32 bits tells all numbers of 32 bits apart.
func (s *segment) seed() uint32 {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], s.salt)
	binary.LittleEndian.PutUint32(b[8:], s.number)
	return crc32.Checksum(b[:], castagnoli)
}

// pos returns the place of the record at an offset.
func (s *segment) pos(offset int64) Pos { return Pos(s.number)<<32 | Pos(offset) }

// header returns the first sector of the file.
func (s *segment) header() []byte {
	b := make([]byte, headerBytes)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	binary.LittleEndian.PutUint32(b[12:], s.number)
	binary.LittleEndian.PutUint32(b[16:], s.before)
	binary.LittleEndian.PutUint32(b[20:], uint32(s.endedAt))
	binary.LittleEndian.PutUint64(b[24:], s.salt)
	if s.zeroed {
		b[32] = 1
	}
	binary.LittleEndian.PutUint32(b[36:], sum(b[:36]))
	return b
}

// decodeHeader reads the first headerUsed bytes of the segment in file.
func decodeHeader(b []byte, file string, number uint32) (segment, error) {
	if !bytes.HasPrefix(b, []byte(magic)) {
		return segment{}, &CorruptError{file, 0, "is not a segment of a log"}
	}
	if version := binary.LittleEndian.Uint32(b[8:]); version != formatVersion {
		return segment{}, &VersionError{file, version}
	}
	if binary.LittleEndian.Uint32(b[36:]) != sum(b[:36]) {
		return segment{}, &CorruptError{file, 0, "the header's checksum does not match"}
	}
	s := segment{
		number:  binary.LittleEndian.Uint32(b[12:]),
		before:  binary.LittleEndian.Uint32(b[16:]),
		endedAt: int64(binary.LittleEndian.Uint32(b[20:])),
		salt:    binary.LittleEndian.Uint64(b[24:]),
		zeroed:  b[32] == 1,
	}
	if s.number != number {
		return segment{}, &CorruptError{file, 0, fmt.Sprintf("the header says that this is segment %d", s.number)}
	}
	return s, nil
}
