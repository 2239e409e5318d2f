package mqtest

import (
	"fmt"
	"strings"

	"github.com/colibri-mqtt/colibri/packet"
)

// list shows packets one a line.
func list(packets []packet.Packet) string {
	if len(packets) == 0 {
		return " nothing"
	}
	var b strings.Builder
	for _, p := range packets {
		b.WriteString("\n\t" + show(p))
	}
	return b.String()
}

// show returns one line about p.
func show(p packet.Packet) string {
	switch p := p.(type) {
	case nil:
		return "nothing"
	case *packet.Publish:
		text := fmt.Sprintf("PUBLISH %s QoS %d id %d", p.Topic, p.QoS, p.PacketID)
		if p.Dup {
			text += " DUP"
		}
		if p.Retain {
			text += " RETAIN"
		}
		return fmt.Sprintf("%s %.40q %v", text, p.Payload, p.Properties)
	default:
		return strings.ReplaceAll(fmt.Sprintf("%v %+v", p.Type(), p), "&", "")
	}
}
