package cli

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// The lines are those of libmosquitto 2.0.11.
func TestDebugLines(t *testing.T) {
	for _, test := range []struct {
		packet packet.Packet
		sent   bool
		want   string
	}{
		{&packet.Connect{}, true, "Client me sending CONNECT"},
		{&packet.Connack{Code: 135}, false, "Client me received CONNACK (135)"},
		{&packet.Publish{QoS: 1, PacketID: 7, Topic: "a", Payload: []byte("hello")}, true, "Client me sending PUBLISH (d0, q1, r0, m7, 'a', ... (5 bytes))"},
		{&packet.Publish{Dup: true, Retain: true, QoS: 2, PacketID: 1, Topic: "x"}, false, "Client me received PUBLISH (d1, q2, r1, m1, 'x', ... (0 bytes))"},
		{&packet.Puback{PacketID: 1, Code: 16}, false, "Client me received PUBACK (Mid: 1, RC:16)"},
		{&packet.Puback{PacketID: 1}, true, "Client me sending PUBACK (m1, rc0)"},
		{&packet.Pubrec{PacketID: 1}, false, "Client me received PUBREC (Mid: 1)"},
		{&packet.Pubrec{PacketID: 1}, true, "Client me sending PUBREC (m1, rc0)"},
		{&packet.Pubrel{PacketID: 1}, true, "Client me sending PUBREL (m1)"},
		{&packet.Pubrel{PacketID: 1}, false, "Client me received PUBREL (Mid: 1)"},
		{&packet.Pubcomp{PacketID: 1}, false, "Client me received PUBCOMP (Mid: 1, RC:0)"},
		{&packet.Pubcomp{PacketID: 1}, true, "Client me sending PUBCOMP (m1)"},
		{&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a"}, {Filter: "b", QoS: 1, RetainAsPublished: true, RetainHandling: colibri.NoRetained}}}, true,
			"Client me sending SUBSCRIBE (Mid: 1, Topic: a, QoS: 0, Options: 0x00)\nClient me sending SUBSCRIBE (Mid: 1, Topic: b, QoS: 1, Options: 0x28)"},
		{&packet.Suback{PacketID: 1}, false, "Client me received SUBACK"},
		{&packet.Unsubscribe{PacketID: 2, Filters: []string{"c"}}, true, "Client me sending UNSUBSCRIBE (Mid: 2, Topic: c)"},
		{&packet.Unsuback{PacketID: 2}, false, "Client me received UNSUBACK"},
		{&packet.Pingreq{}, true, "Client me sending PINGREQ"},
		{&packet.Pingresp{}, false, "Client me received PINGRESP"},
		{&packet.Disconnect{}, true, "Client me sending DISCONNECT"},
		{&packet.Disconnect{Code: colibri.SessionTakenOver}, false, "Client me received DISCONNECT (142)"},
	} {
		if got := strings.Join(debugLines("me", test.packet, test.sent), "\n"); got != test.want {
			t.Errorf("%T: got\n%s\nwant\n%s", test.packet, got, test.want)
		}
	}
	if got, want := debugLines("", &packet.Connect{}, true)[0], "Client (null) sending CONNECT"; got != want {
		t.Errorf("without an id: got %q, want %q", got, want)
	}
}
