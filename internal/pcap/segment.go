package pcap

import (
	"encoding/binary"
	"net/netip"
)

// Segment is the TCP part of a frame.
type Segment struct {
	Source, Destination netip.AddrPort
	Seq, Ack            uint32
	Flags               byte
	Window              uint16
	Payload             []byte // aliases the frame
	PayloadAt           int    // where it begins in the frame

	// Cut is how many bytes of the payload the capture left out.
	Cut int

	layers [16]layer // what Layers shows, outermost first
	count  int
}

// Flags of TCP.
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	PSH = 0x08
	ACK = 0x10
)

// Verdict says what Decode found in a frame.
type Verdict byte

// What a frame can be.
const (
	IsTCP      Verdict = iota // the Segment is filled in
	NotTCP                    // another protocol, such as ARP or UDP
	IsFragment                // a fragment of an IP packet: those are not put together
	IsDamaged                 // its headers do not fit into it
	UnknownLink
)

// layer is a header that Decode passed.
type layer struct {
	kind       layerKind
	start, end int
}

// EtherTypes.
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86DD
	etherVLAN  = 0x8100
	etherQinQ  = 0x88A8
	etherQinQ2 = 0x9100
)

const protocolTCP = 6

// maxVLANTags is how many tags a frame may have.
const maxVLANTags = 4

// decoder walks over one frame.
type decoder struct {
	b  []byte
	at int
	s  *Segment
}

func (d *decoder) left() int { return len(d.b) - d.at }

// pass notes a header of n bytes and steps over it.
func (d *decoder) pass(kind layerKind, n int) {
	if d.s.count < len(d.s.layers) {
		d.s.layers[d.s.count] = layer{kind, d.at, d.at + n}
		d.s.count++
	}
	d.at += n
}

// Decode takes a frame apart into s, which is overwritten. Only the payload aliases data.
func Decode(link LinkType, data []byte, s *Segment) Verdict {
	*s = Segment{}
	d := decoder{b: data, s: s}
	switch link {
	case Ethernet:
		if d.left() < 14 {
			return IsDamaged
		}
		kind := binary.BigEndian.Uint16(data[12:])
		d.pass(layerEthernet, 14)
		return d.ether(kind)
	case LinuxCooked:
		if d.left() < 16 {
			return IsDamaged
		}
		kind := binary.BigEndian.Uint16(data[14:])
		d.pass(layerCooked, 16)
		return d.ether(kind)
	case LinuxSLL2:
		if d.left() < 20 {
			return IsDamaged
		}
		kind := binary.BigEndian.Uint16(data)
		d.pass(layerCooked2, 20)
		return d.ether(kind)
	case Null, Loop:
		if d.left() < 4 {
			return IsDamaged
		}
		d.pass(layerNull, 4)
		return d.raw()
	case Raw, RawIPv4, RawIPv6, 12, 14:
		return d.raw()
	}
	return UnknownLink
}

// ether goes on behind an EtherType.
func (d *decoder) ether(kind uint16) Verdict {
	for range maxVLANTags {
		if kind != etherVLAN && kind != etherQinQ && kind != etherQinQ2 {
			break
		}
		if d.left() < 4 {
			return IsDamaged
		}
		kind = binary.BigEndian.Uint16(d.b[d.at+2:])
		d.pass(layerVLAN, 4)
	}
	switch kind {
	case etherIPv4:
		return d.ipv4()
	case etherIPv6:
		return d.ipv6()
	}
	return NotTCP
}

// raw goes on at an IP header, whose first byte says its version.
func (d *decoder) raw() Verdict {
	if d.left() == 0 {
		return IsDamaged
	}
	switch d.b[d.at] >> 4 {
	case 4:
		return d.ipv4()
	case 6:
		return d.ipv6()
	}
	return NotTCP
}

func (d *decoder) ipv4() Verdict {
	if d.left() < 20 {
		return IsDamaged
	}
	b := d.b[d.at:]
	header := int(b[0]&0x0F) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // the network card cuts it up later (TSO)
		total = len(b)
	}
	if b[0]>>4 != 4 || header < 20 || header > len(b) || total < header {
		return IsDamaged
	}
	if b[9] != protocolTCP {
		return NotTCP
	}
	if binary.BigEndian.Uint16(b[6:])&0x3FFF != 0 { // more fragments, or an offset
		return IsFragment
	}
	source, destination := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	d.trim(total)
	d.pass(layerIPv4, header)
	return d.tcp(source, destination)
}

// trim drops what follows an IP packet of total bytes, such as the padding of Ethernet,
// and notes what the capture has left out.
func (d *decoder) trim(total int) {
	if total < d.left() {
		d.b = d.b[:d.at+total]
	} else {
		d.s.Cut = total - d.left()
	}
}

func (d *decoder) ipv6() Verdict {
	if d.left() < 40 {
		return IsDamaged
	}
	b := d.b[d.at:]
	if b[0]>>4 != 6 {
		return IsDamaged
	}
	source, destination := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	next := b[6]
	if payload := int(binary.BigEndian.Uint16(b[4:])); payload > 0 {
		d.trim(40 + payload)
	}
	d.pass(layerIPv6, 40)
	for range 8 { // as many extension headers as anybody has seen
		if next == protocolTCP {
			return d.tcp(source, destination)
		}
		if d.left() < 8 {
			return IsDamaged
		}
		b := d.b[d.at:]
		length := 8 + int(b[1])*8
		switch next {
		case 0, 43, 60, 135: // Hop-by-Hop, Routing, Destination, Mobility
		case 44: // Fragment: 8 bytes whatever b[1] says
			if binary.BigEndian.Uint16(b[2:])&0xFFF9 != 0 {
				return IsFragment
			}
			length = 8
		case 51: // Authentication counts in four bytes
			length = (int(b[1]) + 2) * 4
		default:
			return NotTCP
		}
		if d.left() < length {
			return IsDamaged
		}
		next = b[0]
		d.pass(layerIPv6Extension, length)
	}
	return IsDamaged
}

func (d *decoder) tcp(source, destination netip.Addr) Verdict {
	if d.left() < 20 {
		return IsDamaged
	}
	b := d.b[d.at:]
	header := int(b[12]>>4) * 4
	if header < 20 || header > len(b) {
		return IsDamaged
	}
	s := d.s
	s.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(b))
	s.Destination = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(b[2:]))
	s.Seq, s.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	s.Flags, s.Window = b[13], binary.BigEndian.Uint16(b[14:])
	d.pass(layerTCP, header)
	s.Payload, s.PayloadAt = d.b[d.at:], d.at
	return IsTCP
}
