// Package wal is a log of frames in a directory: frames are appended at one end, let go
// of in whole segments at the other, and read again after a restart. It knows nothing
// of what the bytes of a frame mean.
//
// # Files
//
// A log is a directory with
//
//	lock             held with the system's file lock while a [Log] is open; names the process
//	0000000001.wal   segments, numbered upwards without gaps
//	next.tmp         becomes the next segment; its content means nothing
//	spare.tmp        has been a segment and waits to become one again; likewise
//
// Other files are not looked at, unless their names end in ".wal": such a file is
// an error, as it may be a segment that somebody has renamed.
//
// # Segment
//
// All numbers are little-endian. A segment begins with a sector of 512 bytes:
//
//	 0  8  magic "CLBRIWAL"
//	 8  4  format version, 1
//	12  4  number of this segment
//	16  4  number of the segment before; 0 for the first of a log
//	20  4  offset at which the records of the segment before end
//	24  8  salt: drawn at random for the first segment, then handed on
//	32  4  1 when the file was all zeroes before, 0 when it had been another segment
//	36  4  CRC-32C of the 36 bytes before
//
// Records follow, each of
//
//	 0  4  length of the record, these 12 bytes included; the top bit is the mark
//	 4  4  CRC-32C of the frame
//	 8  4  CRC-32C of the 8 bytes before, begun with the salt, the segment's number and
//	       the offset, so that no record counts in another place or segment than its own
//	12     the frame
//
// A record that is written after a sync carries the mark and begins a new sector. So a
// write never touches a sector that holds what was promised, and a marked record tells
// the reader that all before it had reached the disk.
//
// # End
//
// All but the last segment end where the next one says. The last ends at the first
// record that is not whole. If a marked record follows behind, the bad one had reached
// the disk once: that is a [*CorruptError]. If not, it is what a crash has left of a
// write that nobody was told of, and it is cut.
package wal
