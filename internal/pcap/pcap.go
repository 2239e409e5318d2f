// Package pcap reads capture files, pcap and pcapng, and takes their frames apart down
// to TCP.
//
// It reads from any stream, holds one frame at a time, and trusts no length that it
// reads. The formats are those of the IETF drafts draft-ietf-opsawg-pcap and
// draft-ietf-opsawg-pcapng.
package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// LinkType says what the first header of a frame is (the LINKTYPE_ registry).
type LinkType uint32

// The link types that Decode knows.
const (
	Null        LinkType = 0   // address family in the byte order of the machine that captured
	Ethernet    LinkType = 1   // also with VLAN tags
	Raw         LinkType = 101 // IPv4 or IPv6 at once
	Loop        LinkType = 108 // address family in network byte order
	LinuxCooked LinkType = 113 // what tcpdump -i any wrote
	RawIPv4     LinkType = 228
	RawIPv6     LinkType = 229
	LinuxSLL2   LinkType = 276 // what tcpdump -i any writes
)

// MaxFrameBytes is the size of the largest frame that a Reader returns. What a file has
// beyond it is left out of Frame.Data.
const MaxFrameBytes = 256 << 10

// maxBlockBytes bounds the pcapng blocks other than frames, and the TLS secrets.
const maxBlockBytes = 4 << 20

// Frame is one frame of a capture.
type Frame struct {
	Number  int       // from 1, in the order of the file
	Time    time.Time // zero in a Simple Packet Block, which has none
	Link    LinkType
	Length  int    // bytes on the wire
	Data    []byte // what was captured of them; valid until the next call of Next
	Comment string // of pcapng; empty without one
}

// DamageError says where a file cannot be read any further.
type DamageError struct {
	Offset int64 // bytes from the start of the file
	Reason string
}

// Error returns one line.
func (e *DamageError) Error() string {
	return fmt.Sprintf("at byte %d %s", e.Offset, e.Reason)
}

// ErrFormat is the error of NewReader for what is no capture file.
var ErrFormat = errors.New("this is neither a pcap nor a pcapng file")

// Reader reads the frames of a file. It is not safe for concurrent use.
type Reader struct {
	// Secrets is called with each TLS key log that a pcapng file holds, before the frames
	// behind it; the bytes are the callee's. Nil ignores them.
	Secrets func(keyLog []byte)

	r      *bufio.Reader
	at     int64 // bytes read
	number int
	buffer []byte
	next   func() (*Frame, error)
	frame  Frame
	failed error

	order  binary.ByteOrder
	link   LinkType
	nanos  bool
	ifaces []iface // of the section at hand
}

const (
	magicMicros = 0xA1B2C3D4
	magicNanos  = 0xA1B23C4D
	magicNG     = 0x0A0D0D0A
)

// NewReader reads the beginning of a capture. The error is ErrFormat for another kind of
// file, io.EOF for an empty one.
func NewReader(r io.Reader) (*Reader, error) {
	p := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	magic, err := p.r.Peek(4)
	if len(magic) == 0 && err != nil {
		return nil, err
	}
	if len(magic) < 4 {
		return nil, ErrFormat
	}
	if binary.LittleEndian.Uint32(magic) == magicNG {
		p.next = p.nextNG
		return p, nil
	}
	switch {
	case isClassic(binary.LittleEndian.Uint32(magic)):
		p.order = binary.LittleEndian
	case isClassic(binary.BigEndian.Uint32(magic)):
		p.order = binary.BigEndian
	default:
		return nil, ErrFormat
	}
	p.next = p.nextClassic
	return p, p.classicHeader()
}

// Next returns the next frame. It is valid until the call after. At the end of the file
// the error is io.EOF, and a *DamageError where it makes no sense any more; all later
// calls return the same.
func (p *Reader) Next() (*Frame, error) {
	if p.failed != nil {
		return nil, p.failed
	}
	f, err := p.next()
	if err != nil {
		p.failed = err
		return nil, err
	}
	return f, nil
}

// Offset returns how many bytes of the file were read.
func (p *Reader) Offset() int64 { return p.at }

func (p *Reader) damage(format string, values ...any) error {
	return &DamageError{Offset: p.at, Reason: fmt.Sprintf(format, values...)}
}

// take reads n bytes, at most MaxFrameBytes or maxBlockBytes of them. The error is io.EOF
// when there is none left, and damage when there are too few.
func (p *Reader) take(n int) ([]byte, error) {
	// Grown as the bytes come, so that a length that promises much costs nothing.
	p.buffer = p.buffer[:0]
	for len(p.buffer) < n {
		step := min(n-len(p.buffer), 64<<10)
		have := len(p.buffer)
		if cap(p.buffer) < have+step {
			grown := make([]byte, have, max(2*cap(p.buffer), have+step))
			copy(grown, p.buffer)
			p.buffer = grown
		}
		got, err := io.ReadFull(p.r, p.buffer[have:have+step])
		p.buffer = p.buffer[:have+got]
		if err == nil {
			p.at += int64(got)
			continue
		}
		if (err == io.EOF || err == io.ErrUnexpectedEOF) && len(p.buffer) == 0 {
			return nil, io.EOF
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = p.damage("the file ends in the middle of a frame")
		}
		return nil, err
	}
	return p.buffer, nil
}

// skip passes over n bytes.
func (p *Reader) skip(n int64) error {
	done, err := io.CopyN(io.Discard, p.r, n)
	p.at += done
	if err == io.EOF {
		return p.damage("the file ends in the middle of a frame")
	}
	return err
}
