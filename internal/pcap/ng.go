package pcap

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"time"
)

// The blocks of pcapng that are read; all others are passed over.
const (
	blockInterface  = 1
	blockPacket     = 2 // obsolete, but still met
	blockSimple     = 3
	blockEnhanced   = 6
	blockStatistics = 5
	blockSecrets    = 10
)

// Options of pcapng.
const (
	optionEnd      = 0
	optionComment  = 1
	optionReceived = 4 // of statistics
	optionDropped  = 5
	optionTsresol  = 9
	optionOffset   = 14
)

// secretsTLS is the type of a Decryption Secrets Block that holds a TLS key log.
const secretsTLS = 0x544C534B

// maxInterfaces bounds what is kept of a section.
const maxInterfaces = 4096

// iface is what an Interface Description Block says.
type iface struct {
	link     LinkType
	snap     uint32 // 0 for no limit
	perPart  uint64 // parts of a second in a timestamp
	secondsO int64  // if_tsoffset
}

// nextNG reads blocks up to the next frame.
func (p *Reader) nextNG() (*Frame, error) {
	for {
		start := p.at
		head, err := p.take(8)
		if err != nil {
			return nil, err
		}
		if binary.LittleEndian.Uint32(head) == magicNG {
			raw := [4]byte(head[4:8])
			if err := p.section(raw); err != nil {
				return nil, err
			}
			continue
		}
		if p.order == nil {
			return nil, p.damage("the file does not begin with a section")
		}
		kind, length := p.order.Uint32(head), p.order.Uint32(head[4:])
		if length < 12 || length%4 != 0 {
			p.at = start
			return nil, p.damage("a block claims to have %d bytes", length)
		}
		f, err := p.block(kind, int64(length)-12)
		if err == io.EOF {
			err = p.damage("the file ends in the middle of a block")
		}
		if err != nil {
			return nil, err
		}
		tail, err := p.r.Peek(4)
		if len(tail) == 4 && p.order.Uint32(tail) != length {
			return nil, p.damage("the two lengths of a block differ")
		}
		if len(tail) == 4 {
			p.r.Discard(4)
			p.at += 4
		} else if err != nil && f == nil {
			return nil, p.damage("the file ends in the middle of a block")
		}
		if f != nil {
			return f, nil
		}
	}
}

// section reads a Section Header Block behind its type and length.
func (p *Reader) section(rawLength [4]byte) error {
	b, err := p.take(4)
	if err != nil {
		return p.damage("the file ends in the header of a section")
	}
	switch {
	case binary.LittleEndian.Uint32(b) == 0x1A2B3C4D:
		p.order = binary.LittleEndian
	case binary.BigEndian.Uint32(b) == 0x1A2B3C4D:
		p.order = binary.BigEndian
	default:
		return p.damage("a section has no byte order")
	}
	length := p.order.Uint32(rawLength[:])
	if length < 28 || length%4 != 0 {
		return p.damage("the header of a section claims to have %d bytes", length)
	}
	p.ifaces = p.ifaces[:0]
	return p.skip(int64(length) - 12)
}

// block reads the body of a block, size bytes, and returns the frame in it if it has one.
func (p *Reader) block(kind uint32, size int64) (*Frame, error) {
	switch kind {
	case blockInterface:
		b, err := p.body(size)
		if err != nil || len(b) < 8 {
			return nil, err
		}
		return nil, p.addInterface(b)
	case blockSecrets:
		return nil, p.secrets(size)
	case blockEnhanced, blockPacket:
		return p.enhanced(kind, size)
	case blockSimple:
		return p.simple(size)
	}
	return nil, p.skip(size)
}

// body reads a whole body that is no frame; nil for one that is too large to be sensible.
func (p *Reader) body(size int64) ([]byte, error) {
	if size > maxBlockBytes {
		return nil, p.skip(size)
	}
	return p.take(int(size))
}

func (p *Reader) addInterface(b []byte) error {
	if len(p.ifaces) == maxInterfaces {
		return p.damage("a section has more than %d interfaces", maxInterfaces)
	}
	i := iface{link: LinkType(p.order.Uint16(b)), snap: p.order.Uint32(b[4:]), perPart: 1_000_000}
	p.options(b[8:], func(code uint16, value []byte) {
		switch {
		case code == optionTsresol && len(value) == 1:
			i.perPart = resolution(value[0])
		case code == optionOffset && len(value) == 8:
			i.secondsO = int64(p.order.Uint64(value))
		}
	})
	p.ifaces = append(p.ifaces, i)
	return nil
}

// resolution returns how many parts a second has: a power of ten, or of two with the
// highest bit. What is finer than 64 bits can say counts as that.
func resolution(b byte) uint64 {
	exponent := int(b & 0x7F)
	if b&0x80 != 0 {
		return 1 << min(exponent, 63)
	}
	parts := uint64(1)
	for range min(exponent, 19) {
		parts *= 10
	}
	return parts
}

// at turns a timestamp of the interface into time.
func (i *iface) at(stamp uint64) time.Time {
	seconds, rest := stamp/i.perPart, stamp%i.perPart
	if seconds > math.MaxInt64/4 {
		return time.Time{}
	}
	var nanos uint64
	if i.perPart <= 1e9 {
		nanos = rest * 1e9 / i.perPart
	} else {
		nanos = uint64(float64(rest) / float64(i.perPart) * 1e9)
	}
	return time.Unix(int64(seconds)+i.secondsO, int64(nanos)).UTC()
}

// options calls fn for each option in b.
func (p *Reader) options(b []byte, fn func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, length := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		b = b[4:]
		if code == optionEnd || length > len(b) {
			return
		}
		fn(code, b[:length])
		b = b[min(len(b), (length+3)&^3):]
	}
}

// secrets hands on a TLS key log.
func (p *Reader) secrets(size int64) error {
	b, err := p.body(size)
	if err != nil || len(b) < 8 {
		return err
	}
	length := int64(p.order.Uint32(b[4:]))
	if p.order.Uint32(b) == secretsTLS && length <= int64(len(b)-8) && p.Secrets != nil {
		p.Secrets(bytes.Clone(b[8 : 8+length]))
	}
	return nil
}

// enhanced reads an Enhanced Packet Block, or the obsolete Packet Block.
func (p *Reader) enhanced(kind uint32, size int64) (*Frame, error) {
	if size < 20 {
		return nil, p.damage("the block of a frame has %d bytes", size)
	}
	b, err := p.take(20)
	if err != nil {
		return nil, err
	}
	id := p.order.Uint32(b)
	if kind == blockPacket {
		id = uint32(p.order.Uint16(b))
	}
	stamp := uint64(p.order.Uint32(b[4:]))<<32 | uint64(p.order.Uint32(b[8:]))
	captured, length := p.order.Uint32(b[12:]), p.order.Uint32(b[16:])
	if int64(captured) > size-20 {
		return nil, p.damage("a frame of %d bytes does not fit into its block", captured)
	}
	if int(id) >= len(p.ifaces) {
		return nil, p.damage("a frame is of interface %d, which was not described", id)
	}
	rest := size - 20 - int64(captured)
	data, err := p.frameData(int64(captured), int64(captured))
	if err != nil {
		return nil, err
	}
	i := &p.ifaces[id]
	p.number++
	p.frame = Frame{Number: p.number, Time: i.at(stamp), Link: i.link, Length: int(length), Data: data}
	if rest < 8 || rest > 64<<10 {
		return &p.frame, p.skip(rest)
	}
	options := make([]byte, rest)
	n, err := io.ReadFull(p.r, options)
	p.at += int64(n)
	if err != nil {
		return nil, p.damage("the file ends in the middle of a block")
	}
	p.options(options[min(len(options), int(-captured&3)):], func(code uint16, value []byte) {
		if code == optionComment {
			p.frame.Comment = string(value)
		}
	})
	return &p.frame, nil
}

// simple reads a Simple Packet Block.
func (p *Reader) simple(size int64) (*Frame, error) {
	if size < 4 || len(p.ifaces) == 0 {
		return nil, p.damage("a simple block of a frame makes no sense")
	}
	b, err := p.take(4)
	if err != nil {
		return nil, err
	}
	length := p.order.Uint32(b)
	i := &p.ifaces[0]
	captured := min(int64(length), size-4)
	if i.snap != 0 {
		captured = min(captured, int64(i.snap))
	}
	data, err := p.frameData(captured, size-4)
	if err != nil {
		return nil, err
	}
	p.number++
	p.frame = Frame{Number: p.number, Link: i.link, Length: int(length), Data: data}
	return &p.frame, nil
}
