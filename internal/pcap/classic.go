package pcap

import (
	"io"
	"time"
)

// classicHeaderBytes is the size of the header of a pcap file, its magic included.
const classicHeaderBytes = 24

// maxPcapFrameBytes is what tcpdump takes for the largest frame: a length above it is
// no length.
const maxPcapFrameBytes = 16 << 20

func isClassic(magic uint32) bool { return magic == magicMicros || magic == magicNanos }

// classicHeader reads the header of a pcap file.
func (p *Reader) classicHeader() error {
	if head, err := p.r.Peek(classicHeaderBytes); len(head) < classicHeaderBytes {
		if err == io.EOF {
			return ErrFormat
		}
		return err
	}
	b, err := p.take(classicHeaderBytes)
	if err != nil {
		return err
	}
	p.nanos = p.order.Uint32(b) == magicNanos
	p.link = LinkType(p.order.Uint32(b[20:]) & 0xFFFF) // the upper bits say whether frames have a checksum
	return nil
}

// nextClassic reads one frame of a pcap file.
func (p *Reader) nextClassic() (*Frame, error) {
	b, err := p.take(16)
	if err != nil {
		return nil, err
	}
	seconds, part := int64(p.order.Uint32(b)), int64(p.order.Uint32(b[4:]))
	captured, length := p.order.Uint32(b[8:]), p.order.Uint32(b[12:])
	if captured > maxPcapFrameBytes {
		return nil, p.damage("a frame claims to have %d bytes", captured)
	}
	if !p.nanos {
		part *= 1000
	}
	data, err := p.frameData(int64(captured), int64(captured))
	if err != nil {
		return nil, err
	}
	p.number++
	p.frame = Frame{Number: p.number, Time: time.Unix(seconds, part).UTC(), Link: p.link, Length: int(length), Data: data}
	return &p.frame, nil
}

// frameData reads the data of a frame, and passes over what follows up to whole bytes.
func (p *Reader) frameData(captured, whole int64) ([]byte, error) {
	keep := min(captured, MaxFrameBytes)
	data, err := p.take(int(keep))
	if err == io.EOF && keep > 0 {
		err = p.damage("the file ends in the middle of a frame")
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	return data, p.skip(whole - keep)
}
