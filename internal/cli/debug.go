package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/packet"
)

// tracer prints what -d shows. The client calls it for one event at a time.
type tracer struct {
	out     *output
	program program
	id      string // Client Identifier, as far as it is known
}

func (t *tracer) trace(e client.Event) {
	if e.Kind != client.Sent && e.Kind != client.Received {
		return
	}
	if connack, ok := e.Packet.(*packet.Connack); ok {
		if id, ok := connack.Properties.Value(colibri.AssignedClientIdentifier); ok {
			t.id = strings.Clone(id)
		}
	}
	for _, line := range debugLines(t.id, e.Packet, e.Kind == client.Sent) {
		t.out.writeLine(line)
	}
	if suback, ok := e.Packet.(*packet.Suback); ok && t.program == sub {
		t.out.writeLine(subscribedLine(suback))
	}
}

// subscribedLine says what a SUBACK grants, such as "Subscribed (mid: 1): 0, 1".
func subscribedLine(p *packet.Suback) string {
	line := fmt.Sprintf("Subscribed (mid: %d): ", p.PacketID)
	for i, code := range p.Codes {
		if i > 0 {
			line += ", "
		}
		line += strconv.Itoa(int(code))
	}
	return line
}

// debugLines returns the lines that -d prints for a packet, without their ends. id is
// the Client Identifier as it is known so far; sent says whose packet it is.
func debugLines(id string, p packet.Packet, sent bool) []string {
	if id == "" {
		id = "(null)"
	}
	verb := "received"
	if sent {
		verb = "sending"
	}
	line := func(format string, args ...any) string {
		return fmt.Sprintf("Client %s %s %s", id, verb, p.Type()) + fmt.Sprintf(format, args...)
	}
	acknowledged := func(packetID uint16, code colibri.ReasonCode) []string {
		if sent {
			return []string{line(" (m%d, rc%d)", packetID, code)}
		}
		return []string{line(" (Mid: %d, RC:%d)", packetID, code)}
	}
	switch p := p.(type) {
	case *packet.Connack:
		return []string{line(" (%d)", p.Code)}
	case *packet.Publish:
		return []string{line(" (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))", bit(p.Dup), p.QoS, bit(p.Retain), p.PacketID, p.Topic, len(p.Payload))}
	case *packet.Puback:
		return acknowledged(p.PacketID, p.Code)
	case *packet.Pubrec:
		if sent {
			return acknowledged(p.PacketID, p.Code)
		}
		return []string{line(" (Mid: %d)", p.PacketID)}
	case *packet.Pubrel:
		if sent {
			return []string{line(" (m%d)", p.PacketID)}
		}
		return []string{line(" (Mid: %d)", p.PacketID)}
	case *packet.Pubcomp:
		if sent {
			return []string{line(" (m%d)", p.PacketID)}
		}
		return acknowledged(p.PacketID, p.Code)
	case *packet.Subscribe:
		var lines []string
		for _, s := range p.Subscriptions {
			lines = append(lines, line(" (Mid: %d, Topic: %s, QoS: %d, Options: 0x%02x)", p.PacketID, s.Filter, s.QoS, subscriptionOptions(s)))
		}
		return lines
	case *packet.Unsubscribe:
		var lines []string
		for _, filter := range p.Filters {
			lines = append(lines, line(" (Mid: %d, Topic: %s)", p.PacketID, filter))
		}
		return lines
	case *packet.Disconnect:
		if !sent {
			return []string{line(" (%d)", p.Code)}
		}
	}
	return []string{line("")}
}

// subscriptionOptions are the bits of the Subscription Options without the QoS.
func subscriptionOptions(s colibri.Subscription) byte {
	return byte(bit(s.NoLocal)<<2|bit(s.RetainAsPublished)<<3) | byte(s.RetainHandling)<<4
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
