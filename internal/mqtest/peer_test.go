package mqtest

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestDiff shows what Expect forgives and what it does not.
func TestDiff(t *testing.T) {
	publish := func(id uint16, payload string) packet.Packet {
		return &packet.Publish{Topic: "a", QoS: 1, PacketID: id, Payload: []byte(payload)}
	}
	reason := colibri.Properties{}.AppendValue(colibri.ReasonString, "why")
	for _, c := range []struct {
		name      string
		got, want []packet.Packet
		differs   string // part of what is said; empty when the two are alike
	}{
		{"nothing", nil, nil, ""},
		{"any Packet Identifier", []packet.Packet{publish(7, "x")}, []packet.Packet{publish(0, "x")}, ""},
		{"a certain Packet Identifier", []packet.Packet{publish(7, "x")}, []packet.Packet{publish(8, "x")}, "PacketID"},
		{"another payload", []packet.Packet{publish(7, "x")}, []packet.Packet{publish(7, "y")}, "Payload"},
		{"one too many", []packet.Packet{publish(7, "x"), &packet.Pingresp{}}, []packet.Packet{publish(7, "x")}, "Pingresp"},
		{"one missing", nil, []packet.Packet{&packet.Pingresp{}}, "Pingresp"},
		{"order", []packet.Packet{publish(1, "x"), publish(2, "y")}, []packet.Packet{publish(2, "y"), publish(1, "x")}, "Payload"},
		{"a Reason String more", []packet.Packet{&packet.Disconnect{Code: 0x8E, Properties: reason}},
			[]packet.Packet{&packet.Disconnect{Code: 0x8E}}, ""},
		{"a Reason String less", []packet.Packet{&packet.Disconnect{Code: 0x8E}},
			[]packet.Packet{&packet.Disconnect{Code: 0x8E, Properties: reason}}, "Properties"},
		{"another code", []packet.Packet{&packet.Disconnect{Code: 0x8E}}, []packet.Packet{&packet.Disconnect{Code: 0x82}}, "Code"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := diff(c.got, c.want)
			if (got == "") != (c.differs == "") || !strings.Contains(got, c.differs) {
				t.Errorf("got %q, want it to speak of %q", got, c.differs)
			}
		})
	}
}
