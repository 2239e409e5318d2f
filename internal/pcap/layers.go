package pcap

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// layerKind is a protocol below MQTT.
type layerKind byte

const (
	layerEthernet layerKind = iota
	layerVLAN
	layerCooked
	layerCooked2
	layerNull
	layerIPv4
	layerIPv6
	layerIPv6Extension
	layerTCP
)

// layerNames are what an analyser calls them.
var layerNames = [...]string{
	layerEthernet:      "Ethernet II",
	layerVLAN:          "802.1Q Virtual LAN",
	layerCooked:        "Linux cooked capture v1",
	layerCooked2:       "Linux cooked capture v2",
	layerNull:          "Null/Loopback",
	layerIPv4:          "Internet Protocol Version 4",
	layerIPv6:          "Internet Protocol Version 6",
	layerIPv6Extension: "IPv6 extension header",
	layerTCP:           "Transmission Control Protocol",
}

// Layer is one header of a frame.
type Layer struct {
	Name       string
	Start, End int // bytes of the frame
	Fields     []Field
}

// Field is one field of a header.
type Field struct {
	Name       string
	Start, End int // bytes of the frame
	Text       string
}

// Layers returns the headers that Decode has passed in data, outermost first.
func (s *Segment) Layers(data []byte) []Layer {
	layers := make([]Layer, 0, s.count)
	for _, l := range s.layers[:s.count] {
		shown := Layer{Name: layerNames[l.kind], Start: l.start, End: l.end}
		shown.fields(l.kind, data[l.start:l.end])
		layers = append(layers, shown)
	}
	return layers
}

// add adds a field of the bytes start to end of the header.
func (l *Layer) add(name string, start, end int, format string, values ...any) {
	l.Fields = append(l.Fields, Field{name, l.Start + start, l.Start + end, fmt.Sprintf(format, values...)})
}

func (l *Layer) fields(kind layerKind, b []byte) {
	two := func(at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
	switch kind {
	case layerEthernet:
		l.add("Destination", 0, 6, "%s", net.HardwareAddr(b[0:6]))
		l.add("Source", 6, 12, "%s", net.HardwareAddr(b[6:12]))
		l.add("Type", 12, 14, "%s", etherName(two(12)))
	case layerVLAN:
		l.add("Priority", 0, 1, "%d", b[0]>>5)
		l.add("ID", 0, 2, "%d", two(0)&0x0FFF)
		l.add("Type", 2, 4, "%s", etherName(two(2)))
	case layerCooked:
		l.add("Packet type", 0, 2, "%d", two(0))
		l.add("Link-layer address type", 2, 4, "%d", two(2))
		l.add("Link-layer address length", 4, 6, "%d", two(4))
		l.add("Source", 6, 14, "%s", net.HardwareAddr(b[6:6+min(8, int(two(4)))]))
		l.add("Protocol", 14, 16, "%s", etherName(two(14)))
	case layerCooked2:
		l.add("Protocol", 0, 2, "%s", etherName(two(0)))
		l.add("Interface index", 4, 8, "%d", binary.BigEndian.Uint32(b[4:]))
		l.add("Link-layer address type", 8, 10, "%d", two(8))
		l.add("Packet type", 10, 11, "%d", b[10])
		l.add("Link-layer address length", 11, 12, "%d", b[11])
		l.add("Source", 12, 20, "%s", net.HardwareAddr(b[12:12+min(8, int(b[11]))]))
	case layerNull:
		l.add("Family", 0, 4, "% x", b[:4])
	case layerIPv4:
		l.add("Version", 0, 1, "%d", b[0]>>4)
		l.add("Header Length", 0, 1, "%d bytes", int(b[0]&0x0F)*4)
		l.add("Differentiated Services Field", 1, 2, "0x%02x", b[1])
		l.add("Total Length", 2, 4, "%d", two(2))
		l.add("Identification", 4, 6, "0x%04x", two(4))
		l.add("Flags", 6, 7, "0x%x", b[6]>>5)
		l.add("Fragment Offset", 6, 8, "%d", two(6)&0x1FFF)
		l.add("Time to Live", 8, 9, "%d", b[8])
		l.add("Protocol", 9, 10, "TCP (6)")
		l.add("Header Checksum", 10, 12, "0x%04x", two(10))
		l.add("Source Address", 12, 16, "%s", netip.AddrFrom4([4]byte(b[12:])))
		l.add("Destination Address", 16, 20, "%s", netip.AddrFrom4([4]byte(b[16:])))
		if len(b) > 20 {
			l.add("Options", 20, len(b), "% x", b[20:])
		}
	case layerIPv6:
		l.add("Version", 0, 1, "%d", b[0]>>4)
		l.add("Traffic Class", 0, 2, "0x%02x", two(0)>>4&0xFF)
		l.add("Flow Label", 1, 4, "0x%05x", binary.BigEndian.Uint32(b)&0xFFFFF)
		l.add("Payload Length", 4, 6, "%d", two(4))
		l.add("Next Header", 6, 7, "%d", b[6])
		l.add("Hop Limit", 7, 8, "%d", b[7])
		l.add("Source Address", 8, 24, "%s", netip.AddrFrom16([16]byte(b[8:])))
		l.add("Destination Address", 24, 40, "%s", netip.AddrFrom16([16]byte(b[24:])))
	case layerIPv6Extension:
		l.add("Next Header", 0, 1, "%d", b[0])
		l.add("Header", 1, len(b), "%d bytes", len(b))
	case layerTCP:
		l.add("Source Port", 0, 2, "%d", two(0))
		l.add("Destination Port", 2, 4, "%d", two(2))
		l.add("Sequence Number (raw)", 4, 8, "%d", binary.BigEndian.Uint32(b[4:]))
		l.add("Acknowledgment Number (raw)", 8, 12, "%d", binary.BigEndian.Uint32(b[8:]))
		l.add("Header Length", 12, 13, "%d bytes", int(b[12]>>4)*4)
		l.add("Flags", 12, 14, "0x%03x (%s)", two(12)&0x0FFF, FlagNames(b[13]))
		l.add("Window", 14, 16, "%d", two(14))
		l.add("Checksum", 16, 18, "0x%04x", two(16))
		l.add("Urgent Pointer", 18, 20, "%d", two(18))
		if len(b) > 20 {
			l.add("Options", 20, len(b), "%d bytes", len(b)-20)
		}
	}
}

func etherName(kind uint16) string {
	switch kind {
	case etherIPv4:
		return "IPv4 (0x0800)"
	case etherIPv6:
		return "IPv6 (0x86dd)"
	case etherVLAN:
		return "802.1Q Virtual LAN (0x8100)"
	case etherQinQ:
		return "802.1ad (0x88a8)"
	}
	return fmt.Sprintf("0x%04x", kind)
}

// FlagNames returns the names of TCP flags as an analyser writes them: "SYN, ACK".
func FlagNames(flags byte) string {
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if flags&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
