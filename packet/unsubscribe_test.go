package packet_test

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

var validUnsubscribe = []valid{
	{name: "again", v: v31, wire: `AA # 00 01 "a"`, want: &packet.Unsubscribe{PacketID: 1, Dup: true, Filters: []string{"a"}}},
	{name: "one filter", v: v31, wire: `A2 # 00 01 "a"`, want: &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}}},
	{name: "filters one after the other [MQTT311-3.10.3-1]", v: v311, wire: `A2 # 00 01 "a/b" "#" "+/c"`,
		want: &packet.Unsubscribe{PacketID: 1, Filters: []string{"a/b", "#", "+/c"}}},
	{name: "no properties [MQTT-2.2.2-1]", v: v5, wire: `A2 # FF FF {} "a" "b"`,
		want: &packet.Unsubscribe{PacketID: 65535, Filters: []string{"a", "b"}}},
	{name: "User Property", v: v5, wire: `A2 # 00 01 { 26 "k" "v" } "a"`,
		want: &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}, Properties: colibri.Properties{user("k", "v")}}},
}

var invalidUnsubscribe = []invalid{
	{name: "[MQTT-3.10.3-2] no filter", v: v5, wire: `A2 # 00 01 {}`,
		op: "UNSUBSCRIBE Topic Filter", code: colibri.ProtocolError, rule: "MQTT-3.10.3-2"},
	{name: "[MQTT311-3.10.3-2] no filter", v: v311, wire: `A2 # 00 01`,
		op: "UNSUBSCRIBE Topic Filter", code: colibri.MalformedPacket, rule: "MQTT311-3.10.3-2"},
	{name: "[MQTT-2.2.1-3] Packet Identifier 0", v: v5, wire: `A2 # 00 00 {} "a"`,
		op: "UNSUBSCRIBE Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-3"},
	{name: "[MQTT311-2.3.1-1] Packet Identifier 0", v: v311, wire: `A2 # 00 00 "a"`,
		op: "UNSUBSCRIBE Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-1"},
	{name: "[MQTT311-3.10.3-1] half a length", v: v311, wire: `A2 # 00 01 "a" 00`,
		op: "UNSUBSCRIBE Topic Filter", code: colibri.MalformedPacket},
	{name: "[MQTT-2.2.2-1] no Property Length", v: v5, wire: `A2 # 00 01`, op: "UNSUBSCRIBE Property Length", code: colibri.MalformedPacket},
}

func TestValidUnsubscribe(t *testing.T)   { checkValid(t, validUnsubscribe) }
func TestInvalidUnsubscribe(t *testing.T) { checkInvalid(t, invalidUnsubscribe) }

func TestRefusedUnsubscribe(t *testing.T) {
	checkRefused(t, []refused{
		{name: "[MQTT-3.10.3-2] no filter", v: v5, p: &packet.Unsubscribe{PacketID: 1},
			op: "UNSUBSCRIBE Topic Filter", code: colibri.ProtocolError, rule: "MQTT-3.10.3-2"},
		{name: "[MQTT311-3.10.3-2] no filter", v: v311, p: &packet.Unsubscribe{PacketID: 1},
			op: "UNSUBSCRIBE Topic Filter", code: colibri.MalformedPacket, rule: "MQTT311-3.10.3-2"},
		{name: "[MQTT-2.2.1-3] Packet Identifier 0", v: v5, p: &packet.Unsubscribe{Filters: []string{"a"}},
			op: "UNSUBSCRIBE Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-3"},
		{name: "[MQTT-3.10.1-1] DUP", v: v5, p: &packet.Unsubscribe{PacketID: 1, Dup: true, Filters: []string{"a"}},
			op: "UNSUBSCRIBE Fixed Header flags", code: colibri.MalformedPacket, rule: "MQTT-3.10.1-1"},
		{name: "[MQTT311-3.10.1-1] DUP", v: v311, p: &packet.Unsubscribe{PacketID: 1, Dup: true, Filters: []string{"a"}},
			op: "UNSUBSCRIBE Fixed Header flags", code: colibri.MalformedPacket, rule: "MQTT311-3.10.1-1"},
		{name: "[MQTT-4.7.3-3] filter of 65,536 bytes", v: v5, p: &packet.Unsubscribe{PacketID: 1, Filters: []string{strings.Repeat("a", 65536)}},
			op: "UNSUBSCRIBE Topic Filter", code: colibri.MalformedPacket},
		{name: "properties", v: v311, p: &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"},
			Properties: colibri.Properties{user("a", "b")}},
			op: "UNSUBSCRIBE Properties", code: colibri.ProtocolError},
	})
}

var validUnsuback = []valid{
	{name: "without codes", v: v31, wire: "B0 02 00 01", want: &packet.Unsuback{PacketID: 1}},
	{name: "without codes [MQTT311-2.3.1-7]", v: v311, wire: "B0 02 12 34", want: &packet.Unsuback{PacketID: 0x1234}},
	{name: "codes in their order [MQTT-3.11.3-1] [MQTT-2.2.1-6]", v: v5, wire: `B0 # 12 34 { 1F "why" 26 "k" "v" } 11 00 87`,
		want: &packet.Unsuback{PacketID: 0x1234, Properties: reason,
			Codes: []colibri.ReasonCode{colibri.NoSubscriptionExisted, colibri.Success, colibri.NotAuthorized}}},
	{name: "no properties [MQTT-2.2.2-1]", v: v5, wire: "B0 # 00 01 {} 00", want: &packet.Unsuback{PacketID: 1, Codes: []colibri.ReasonCode{0}}},
}

var invalidUnsuback = []invalid{
	{name: "codes", v: v311, wire: "B0 # 00 01 00", op: "UNSUBACK end", code: colibri.MalformedPacket},
	{name: "[MQTT-3.11.3-2] no code", v: v5, wire: "B0 # 00 01 {}",
		op: "UNSUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.11.3-2"},
	{name: "[MQTT-3.11.3-2] code of SUBACK", v: v5, wire: "B0 # 00 01 {} 01",
		op: "UNSUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.11.3-2"},
	{name: "[MQTT-2.2.1-6] Packet Identifier 0", v: v5, wire: "B0 # 00 00 {} 00",
		op: "UNSUBACK Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-6"},
	{name: "[MQTT311-2.3.1-7] Packet Identifier 0", v: v311, wire: "B0 02 00 00",
		op: "UNSUBACK Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-7"},
	{name: "[MQTT-2.2.2-1] no Property Length", v: v5, wire: "B0 02 00 01", op: "UNSUBACK Property Length", code: colibri.MalformedPacket},
}

func TestValidUnsuback(t *testing.T)   { checkValid(t, validUnsuback) }
func TestInvalidUnsuback(t *testing.T) { checkInvalid(t, invalidUnsuback) }

func TestRefusedUnsuback(t *testing.T) {
	checkRefused(t, []refused{
		{name: "codes", v: v311, p: &packet.Unsuback{PacketID: 1, Codes: []colibri.ReasonCode{0}},
			op: "UNSUBACK Reason Code", code: colibri.ProtocolError},
		{name: "[MQTT-3.11.3-2] no code", v: v5, p: &packet.Unsuback{PacketID: 1},
			op: "UNSUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.11.3-2"},
		{name: "properties", v: v311, p: &packet.Unsuback{PacketID: 1, Properties: reason},
			op: "UNSUBACK Properties", code: colibri.ProtocolError},
	})
}
