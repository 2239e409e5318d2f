package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// MaxFrameBytes is the largest frame, 1 GiB.
const MaxFrameBytes = 1 << 30

const (
	recordBytes = 12      // the head of a record, before its frame
	sectorBytes = 512     // what a disk writes whole or not at all
	mark        = 1 << 31 // in a record's length: all before had been synced
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the CRC-32C of a frame.
func sum(frame []byte) uint32 { return crc32.Checksum(frame, castagnoli) }

// nextSector returns the first offset from at on that begins a sector.
func nextSector(at int64) int64 { return (at + sectorBytes - 1) &^ (sectorBytes - 1) }

// head is what stands before a frame.
type head struct {
	frameBytes int
	marked     bool
	frameSum   uint32
}

// seal completes the head of a record, which holds the length and the frame's sum
// already, for its place: a segment with that seed, and that offset.
func seal(record []byte, seed uint32, offset int64, marked bool) {
	if marked {
		record[3] |= mark >> 24
	}
	binary.LittleEndian.PutUint32(record[8:], headSum(record, seed, offset))
}

// headSum is the CRC-32C that binds the head of a record to its place. For one offset
// it differs whenever the seed does.
func headSum(record []byte, seed uint32, offset int64) uint32 {
	return crc32.Update(seed^uint32(offset), castagnoli, record[:8])
}

// decodeHead returns the head of the record at that place, and false when b, of
// recordBytes, is none.
func decodeHead(b []byte, seed uint32, offset int64) (head, bool) {
	length := binary.LittleEndian.Uint32(b)
	bytes := int64(length &^ mark)
	if bytes < recordBytes || bytes > recordBytes+MaxFrameBytes {
		return head{}, false
	}
	if binary.LittleEndian.Uint32(b[8:]) != headSum(b, seed, offset) {
		return head{}, false
	}
	return head{int(bytes - recordBytes), length&mark != 0, binary.LittleEndian.Uint32(b[4:])}, true
}
