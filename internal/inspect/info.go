package inspect

import (
	"fmt"
	"strings"

	"github.com/colibri-mqtt/colibri/packet"
)

// infoNames are what packet analysers call the Control Packets.
var infoNames = [16]string{
	"Reserved", "Connect Command", "Connect Ack", "Publish Message", "Publish Ack", "Publish Received",
	"Publish Release", "Publish Complete", "Subscribe Request", "Subscribe Ack", "Unsubscribe Request",
	"Unsubscribe Ack", "Ping Request", "Ping Response", "Disconnect Req", "Authentication Exchange",
}

// Info says in a few words what the packet is, as an analyser's column does.
func (r *Record) Info() string {
	var b strings.Builder
	b.WriteString(infoNames[r.Type&0x0F])
	switch p := r.Packet.(type) {
	case *packet.Publish:
		writeID(&b, p.PacketID)
		writeTopic(&b, p.Topic)
	case *packet.Puback:
		writeID(&b, p.PacketID)
	case *packet.Pubrec:
		writeID(&b, p.PacketID)
	case *packet.Pubrel:
		writeID(&b, p.PacketID)
	case *packet.Pubcomp:
		writeID(&b, p.PacketID)
	case *packet.Subscribe:
		writeID(&b, p.PacketID)
		for i := range p.Subscriptions {
			writeTopic(&b, p.Subscriptions[i].Filter)
		}
	case *packet.Suback:
		writeID(&b, p.PacketID)
	case *packet.Unsubscribe:
		writeID(&b, p.PacketID)
	case *packet.Unsuback:
		writeID(&b, p.PacketID)
	}
	switch {
	case r.Err != nil:
		b.WriteString("[Malformed Packet]")
	case len(r.Bytes) < r.Size:
		fmt.Fprintf(&b, " [%d bytes, too large to keep]", r.Size)
	case r.Missing > 0:
		fmt.Fprintf(&b, " [%d bytes not captured]", r.Missing)
	}
	return b.String()
}

func writeID(b *strings.Builder, id uint16) {
	if id != 0 {
		fmt.Fprintf(b, " (id=%d)", id)
	}
}

// writeTopic writes a topic or filter so that a terminal shows it and does nothing else.
func writeTopic(b *strings.Builder, topic string) {
	b.WriteString(" [")
	b.WriteString(printable(topic))
	b.WriteString("]")
}

// printable replaces the characters that a terminal may obey.
func printable(s string) string {
	clean := true
	for _, c := range s {
		if isControl(c) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.Map(func(c rune) rune {
		if isControl(c) {
			return '\uFFFD'
		}
		return c
	}, s)
}

func isControl(c rune) bool {
	return c < ' ' || c >= 0x7F && c < 0xA0 || c == 0x2028 || c == 0x2029 || c >= 0x202A && c <= 0x202E || c >= 0x2066 && c <= 0x2069
}
