// Package capture writes packets as the broker has seen them into a pcapng file that packet
// analysers open.
//
// The packets are real, and so are their times and the addresses of both ends. The Ethernet,
// IP and TCP headers around them are made: whatever carried MQTT, be it TLS, a WebSocket or a
// Unix socket, it looks as if it had been plain TCP to port 1883, which is what analysers take
// for MQTT. Comments say what it was, whose packet it is, and why a connection has ended.
package capture

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
)

// Port is the port of the broker in all frames.
const Port = 1883

// maxStreams is of how many connections at a time a Writer knows how far they have come. When
// there are more, it forgets one: its next packet begins as if the capture began with it.
const maxStreams = 65_536

// segmentBytes is the largest payload of a frame.
const segmentBytes = 60_000

// Writer writes a file. It is not safe for concurrent use.
type Writer struct {
	// Packets and Bytes count what was written of MQTT.
	Packets, Bytes int64

	out     *pcap.Writer
	streams map[uint64]*stream
	frame   []byte
	payload []byte
}

// stream is one connection as a TCP conversation.
type stream struct {
	ends [2]netip.AddrPort // of the client, and of the broker
	seqs [2]uint32         // the next of each
}

// NewWriter writes the beginning of a file. program is named in it as what has made it.
func NewWriter(w io.Writer, program string) (*Writer, error) {
	out, err := pcap.NewWriter(w, pcap.Ethernet, program)
	if err != nil {
		return nil, err
	}
	return &Writer{out: out, streams: make(map[uint64]*stream)}, nil
}

// Packet writes one packet, or the end of a connection. The first packet of a connection that
// is not its CONNECT stands behind one that is reconstructed from what the broker knows, so
// that readers know the version and the client.
func (w *Writer) Packet(p *broker.TracedPacket) error {
	s := w.streams[p.Connection.Number]
	if s == nil {
		if p.Length == 0 && p.Connection.Accepted {
			return nil // nothing of it is in the file
		}
		var err error
		if s, err = w.begin(p); err != nil {
			return err
		}
	}
	if p.Length == 0 {
		delete(w.streams, p.Connection.Number)
		return w.end(s, p)
	}
	w.Packets++
	w.Bytes += int64(len(p.Bytes))
	return w.data(s, p.Time, p.ToClient, p.Bytes, p.Length, comment(p))
}

// Lost notes how many packets were seen until a time and are not in the file.
func (w *Writer) Lost(at time.Time, lost broker.Lost) error {
	text := ""
	if lost.Packets > 0 {
		text = fmt.Sprintf("%d packets with %d bytes are not in this capture: they came faster than it was read", lost.Packets, lost.Bytes)
	}
	return w.out.Statistics(at, uint64(w.Packets+lost.Packets), uint64(lost.Packets), text)
}

// begin writes the handshake of TCP and, if p is not the CONNECT, one.
func (w *Writer) begin(p *broker.TracedPacket) (*stream, error) {
	if len(w.streams) >= maxStreams {
		for number := range w.streams {
			delete(w.streams, number)
			break
		}
	}
	c := p.Connection
	s := &stream{ends: endsOf(c)}
	// They differ from connection to connection, as two may have the same addresses one after
	// the other.
	s.seqs = [2]uint32{uint32(c.Number) * 2654435761, uint32(c.Number)*2246822519 + 1<<31}
	w.streams[c.Number] = s
	if err := w.segment(s, p.Time, false, pcap.SYN, nil, 0, ""); err != nil {
		return nil, err
	}
	s.seqs[0]++
	if err := w.segment(s, p.Time, true, pcap.SYN|pcap.ACK, nil, 0, ""); err != nil {
		return nil, err
	}
	s.seqs[1]++
	if p.Length == 0 || !p.ToClient && packet.Type(p.Bytes[0]>>4) == packet.CONNECT || c.Version == 0 {
		return s, nil
	}
	connect := &packet.Connect{Version: c.Version, ClientID: c.Client.ClientID, CleanStart: c.CleanStart, KeepAlive: c.KeepAlive,
		HasUserName: c.Client.UserName != "", UserName: c.Client.UserName}
	if connect.ClientID == "" {
		connect.CleanStart = true
	}
	b, err := packet.Append(w.payload[:0], connect, c.Version)
	if err != nil {
		return s, nil // a Client Identifier that nobody could send
	}
	w.payload = b
	return s, w.data(s, p.Time, false, b, len(b),
		"reconstructed: the capture began after the CONNECT; this one says what the broker knows of it. "+about(c))
}

// end writes the end of a connection.
func (w *Writer) end(s *stream, p *broker.TracedPacket) error {
	text := about(p.Connection)
	if p.Reason != "" {
		text = "The connection ended: " + p.Reason + ". " + text
	}
	return w.segment(s, p.Time, true, pcap.FIN|pcap.ACK, nil, 0, text)
}

// data writes a packet of length bytes, of which b are the first, as one segment or several.
func (w *Writer) data(s *stream, at time.Time, toClient bool, b []byte, length int, text string) error {
	for length > 0 {
		whole := min(length, segmentBytes)
		have := b[:min(len(b), whole)]
		flags := byte(pcap.ACK)
		if whole == length {
			flags |= pcap.PSH
		}
		if err := w.segment(s, at, toClient, flags, have, whole-len(have), text); err != nil {
			return err
		}
		s.seqs[side(toClient)] += uint32(whole)
		b, length, text = b[len(have):], length-whole, ""
	}
	return nil
}

// segment writes one frame.
func (w *Writer) segment(s *stream, at time.Time, toClient bool, flags byte, payload []byte, cut int, text string) error {
	from := side(toClient)
	segment := pcap.Segment{Source: s.ends[from], Destination: s.ends[1-from], Seq: s.seqs[from], Flags: flags,
		Window: 65_535, Payload: payload, Cut: cut}
	if flags&pcap.ACK != 0 {
		segment.Ack = s.seqs[1-from]
	}
	w.frame = pcap.AppendFrame(w.frame[:0], &segment)
	return w.out.CutFrame(at, w.frame, len(w.frame)+cut, text)
}

func side(toClient bool) int {
	if toClient {
		return 1
	}
	return 0
}

// comment is what stands beside a packet.
func comment(p *broker.TracedPacket) string {
	text := about(p.Connection)
	if p.Reason != "" {
		text = p.Reason + ". " + text
	}
	return text
}

// about says whose packet it is.
func about(c *broker.TracedConnection) string {
	var parts []string
	if c.Client.ClientID != "" {
		parts = append(parts, fmt.Sprintf("client %q", c.Client.ClientID))
	}
	if c.Client.UserName != "" {
		parts = append(parts, fmt.Sprintf("user %q", c.Client.UserName))
	}
	parts = append(parts, fmt.Sprintf("connection %d", c.Number))
	if c.Transport != "" {
		parts = append(parts, fmt.Sprintf("%s to %s", c.Transport, c.Local))
	}
	return strings.Join(parts, ", ")
}

// endsOf returns the addresses of both ends in the file. What has none, such as a Unix socket,
// gets one of this machine's loopback addresses that no other connection has.
func endsOf(c *broker.TracedConnection) [2]netip.AddrPort {
	client, ok := addressOf(c.Remote)
	server, known := addressOf(c.Local)
	if !ok {
		n := c.Number
		client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)}), 49_152+uint16(n>>24))
		known = false
	}
	if !known {
		server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	}
	a, b := client.Addr(), server.Addr()
	if a.Is4() != b.Is4() {
		a, b = netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
	}
	return [2]netip.AddrPort{netip.AddrPortFrom(a, client.Port()), netip.AddrPortFrom(b, Port)}
}

// addressOf returns the IP address and the port of a.
func addressOf(a net.Addr) (netip.AddrPort, bool) {
	ip, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok || !ip.AddrPort().IsValid() {
		return netip.AddrPort{}, false
	}
	at := ip.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), true
}
