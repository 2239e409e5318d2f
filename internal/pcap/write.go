package pcap

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// Writer writes a pcapng file of one interface, with timestamps in nanoseconds. It hands
// each frame on with one Write. Not safe for concurrent use.
type Writer struct {
	w io.Writer
	b []byte
}

// NewWriter writes the beginning of a file for frames of one link type. program is named
// in it as what made the file.
func NewWriter(w io.Writer, link LinkType, program string) (*Writer, error) {
	p := &Writer{w: w}
	p.begin(magicNG)
	p.u32(0x1A2B3C4D)
	p.u32(1)                      // version 1.0
	p.b = append(p.b, allOnes...) // the length of the section is not said
	p.option(4, []byte(program))
	p.u32(0)
	if err := p.end(); err != nil {
		return nil, err
	}
	p.begin(blockInterface)
	p.u32(uint32(link))
	p.u32(0)
	p.option(optionTsresol, []byte{9})
	p.u32(0)
	return p, p.end()
}

var allOnes = []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}

// Frame writes a frame that was on the wire at a time, with a comment if it is not empty.
func (p *Writer) Frame(at time.Time, data []byte, comment string) error {
	return p.CutFrame(at, data, len(data), comment)
}

// CutFrame is Frame for one of length bytes of which data are the first.
func (p *Writer) CutFrame(at time.Time, data []byte, length int, comment string) error {
	stamp := uint64(at.UnixNano())
	p.begin(blockEnhanced)
	p.u32(0)
	p.u32(uint32(stamp >> 32))
	p.u32(uint32(stamp))
	p.u32(uint32(len(data)))
	p.u32(uint32(length))
	p.b = append(p.b, data...)
	p.pad()
	if comment != "" {
		p.option(optionComment, []byte(comment[:min(len(comment), 65535)]))
		p.u32(0)
	}
	return p.end()
}

// Statistics writes how many frames were received until a time, and how many of them were
// lost, with a comment if it is not empty.
func (p *Writer) Statistics(at time.Time, received, lost uint64, comment string) error {
	stamp := uint64(at.UnixNano())
	p.begin(blockStatistics)
	p.u32(0)
	p.u32(uint32(stamp >> 32))
	p.u32(uint32(stamp))
	if comment != "" {
		p.option(optionComment, []byte(comment[:min(len(comment), 65535)]))
	}
	p.option(optionReceived, binary.LittleEndian.AppendUint64(nil, received))
	p.option(optionDropped, binary.LittleEndian.AppendUint64(nil, lost))
	p.u32(0)
	return p.end()
}

// Secrets writes a TLS key log, for the frames behind it.
func (p *Writer) Secrets(keyLog []byte) error {
	p.begin(blockSecrets)
	p.u32(secretsTLS)
	p.u32(uint32(len(keyLog)))
	p.b = append(p.b, keyLog...)
	p.pad()
	return p.end()
}

func (p *Writer) begin(kind uint32) {
	p.b = p.b[:0]
	p.u32(kind)
	p.u32(0)
}

func (p *Writer) end() error {
	p.u32(uint32(len(p.b) + 4))
	copy(p.b[4:8], p.b[len(p.b)-4:])
	_, err := p.w.Write(p.b)
	return err
}

func (p *Writer) u32(v uint32) { p.b = binary.LittleEndian.AppendUint32(p.b, v) }

func (p *Writer) pad() {
	for len(p.b)%4 != 0 {
		p.b = append(p.b, 0)
	}
}

func (p *Writer) option(code uint16, value []byte) {
	p.b = binary.LittleEndian.AppendUint16(p.b, code)
	p.b = binary.LittleEndian.AppendUint16(p.b, uint16(len(value)))
	p.b = append(p.b, value...)
	p.pad()
}

// AppendFrame appends an Ethernet frame with the TCP segment s to b, checksums and all.
// Both ends have addresses of the same family. A payload above 65,000 bytes does not fit.
// With s.Cut the lengths are those of the whole segment, and its checksum is 0.
func AppendFrame(b []byte, s *Segment) []byte {
	b = append(b, 0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1)
	length := 20 + len(s.Payload) + s.Cut
	source, destination := s.Source.Addr(), s.Destination.Addr()
	if source.Is4() {
		b = append(b, 0x08, 0x00)
		ip := len(b)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+length))
		b = append(b, 0, 0, 0x40, 0, 64, protocolTCP, 0, 0)
		b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
		binary.BigEndian.PutUint16(b[ip+10:], checksum(b[ip:], 0))
	} else {
		b = append(b, 0x86, 0xDD, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(length))
		b = append(b, protocolTCP, 64)
		b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
	}
	tcp := len(b)
	b = binary.BigEndian.AppendUint16(b, s.Source.Port())
	b = binary.BigEndian.AppendUint16(b, s.Destination.Port())
	b = binary.BigEndian.AppendUint32(b, s.Seq)
	b = binary.BigEndian.AppendUint32(b, s.Ack)
	b = append(b, 5<<4, s.Flags)
	b = binary.BigEndian.AppendUint16(b, s.Window)
	b = append(b, 0, 0, 0, 0)
	b = append(b, s.Payload...)
	if s.Cut > 0 {
		return b
	}
	binary.BigEndian.PutUint16(b[tcp+16:], checksum(b[tcp:], pseudo(source, destination, length)))
	return b
}

// pseudo sums up the pseudo header that TCP's checksum covers.
func pseudo(source, destination netip.Addr, length int) uint32 {
	sum := uint32(protocolTCP + length)
	for _, address := range [][]byte{source.AsSlice(), destination.AsSlice()} {
		for i := 0; i < len(address); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(address[i:]))
		}
	}
	return sum
}

// checksum is that of the Internet (RFC 1071), begun with sum.
func checksum(b []byte, sum uint32) uint16 {
	for len(b) >= 2 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return ^uint16(sum)
}
