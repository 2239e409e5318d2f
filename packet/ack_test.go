package packet_test

import (
	"bytes"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

var reason = colibri.Properties{value(colibri.ReasonString, "why"), user("k", "v")}

var validAck = []valid{
	{name: "PUBACK", v: v31, wire: "40 02 12 34", want: &packet.Puback{PacketID: 0x1234}},
	{name: "PUBACK [MQTT311-2.3.1-6]", v: v311, wire: "40 02 12 34", want: &packet.Puback{PacketID: 0x1234}},
	{name: "PUBREC [MQTT311-2.3.1-6]", v: v311, wire: "50 02 00 01", want: &packet.Pubrec{PacketID: 1}},
	{name: "PUBREL [MQTT311-2.3.1-6] [MQTT311-3.6.1-1]", v: v311, wire: "62 02 00 01", want: &packet.Pubrel{PacketID: 1}},
	{name: "PUBREL again", v: v31, wire: "6A 02 00 01", want: &packet.Pubrel{PacketID: 1, Dup: true}},
	{name: "PUBCOMP", v: v311, wire: "70 02 FF FF", want: &packet.Pubcomp{PacketID: 65535}},

	{name: "PUBACK, no Reason Code [MQTT-2.2.1-5]", v: v5, wire: "40 02 12 34", want: &packet.Puback{PacketID: 0x1234}},
	{name: "PUBREC, no Reason Code [MQTT-2.2.1-5]", v: v5, wire: "50 02 00 01", want: &packet.Pubrec{PacketID: 1}},
	{name: "PUBREL, no Reason Code [MQTT-2.2.1-5] [MQTT-3.6.1-1]", v: v5, wire: "62 02 00 01", want: &packet.Pubrel{PacketID: 1}},
	{name: "PUBCOMP, no Reason Code [MQTT-2.2.1-5]", v: v5, wire: "70 02 FF FF", want: &packet.Pubcomp{PacketID: 65535}},
	{name: "PUBACK, no Property Length", v: v5, wire: "40 03 00 01 10",
		want: &packet.Puback{PacketID: 1, Code: colibri.NoMatchingSubscribers}},
	{name: "PUBREC, no Property Length", v: v5, wire: "50 03 00 01 97", want: &packet.Pubrec{PacketID: 1, Code: colibri.QuotaExceeded}},
	{name: "PUBREL, no Property Length", v: v5, wire: "62 03 00 01 92",
		want: &packet.Pubrel{PacketID: 1, Code: colibri.PacketIdentifierNotFound}},
	{name: "PUBCOMP, no Property Length", v: v5, wire: "70 03 00 01 92",
		want: &packet.Pubcomp{PacketID: 1, Code: colibri.PacketIdentifierNotFound}},
	{name: "PUBACK, Success in full", v: v5, wire: "40 # 00 01 00 {}", longer: true, want: &packet.Puback{PacketID: 1}},
	{name: "PUBACK, Success without Property Length", v: v5, wire: "40 # 00 01 00", longer: true, want: &packet.Puback{PacketID: 1}},
	{name: "PUBACK, no properties", v: v5, wire: "40 # 00 01 87 {}", longer: true,
		want: &packet.Puback{PacketID: 1, Code: colibri.NotAuthorized}},
	{name: "PUBACK in full", v: v5, wire: `40 # 00 01 87 { 1F "why" 26 "k" "v" }`,
		want: &packet.Puback{PacketID: 1, Code: colibri.NotAuthorized, Properties: reason}},
	{name: "PUBREC in full", v: v5, wire: `50 # 00 01 87 { 1F "why" 26 "k" "v" }`,
		want: &packet.Pubrec{PacketID: 1, Code: colibri.NotAuthorized, Properties: reason}},
	{name: "PUBREL in full", v: v5, wire: `62 # 00 01 00 { 1F "why" 26 "k" "v" }`,
		want: &packet.Pubrel{PacketID: 1, Properties: reason}},
	{name: "PUBCOMP in full", v: v5, wire: `70 # 00 01 92 { 1F "why" 26 "k" "v" }`,
		want: &packet.Pubcomp{PacketID: 1, Code: colibri.PacketIdentifierNotFound, Properties: reason}},
}

var invalidAck = []invalid{
	{name: "[MQTT-2.2.1-5] PUBACK of 0", v: v5, wire: "40 02 00 00",
		op: "PUBACK Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-5"},
	{name: "[MQTT311-2.3.1-6] PUBACK of 0", v: v311, wire: "40 02 00 00",
		op: "PUBACK Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-6"},
	{name: "[MQTT-2.2.1-5] PUBREC of 0", v: v5, wire: "50 02 00 00",
		op: "PUBREC Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-5"},
	{name: "[MQTT-2.2.1-5] PUBREL of 0", v: v5, wire: "62 02 00 00",
		op: "PUBREL Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-5"},
	{name: "[MQTT-2.2.1-5] PUBCOMP of 0", v: v5, wire: "70 02 00 00",
		op: "PUBCOMP Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-5"},
	{name: "PUBACK, nothing", v: v311, wire: "40 00", op: "PUBACK Packet Identifier", code: colibri.MalformedPacket},
	{name: "PUBREC, half an identifier", v: v5, wire: "50 01 00", op: "PUBREC Packet Identifier", code: colibri.MalformedPacket},
	{name: "PUBACK, Reason Code", v: v311, wire: "40 03 00 01 00", op: "PUBACK end", code: colibri.MalformedPacket},
	{name: "PUBREL, Reason Code", v: v31, wire: "62 03 00 01 00", op: "PUBREL end", code: colibri.MalformedPacket},
	{name: "PUBCOMP, bytes behind the properties", v: v5, wire: "70 # 00 01 00 {} 00", op: "PUBCOMP end", code: colibri.MalformedPacket},
	{name: "PUBACK, Property Length goes past the end", v: v5, wire: "40 # 00 01 00 05 1F 00 00",
		op: "PUBACK Property Length", code: colibri.MalformedPacket},
	{name: "PUBREC, Reason String twice", v: v5, wire: `50 # 00 01 00 { 1F "a" 1F "b" }`,
		op: "PUBREC Reason String", code: colibri.ProtocolError},
}

func TestValidAck(t *testing.T)   { checkValid(t, validAck) }
func TestInvalidAck(t *testing.T) { checkInvalid(t, invalidAck) }

func TestRefusedAck(t *testing.T) {
	checkRefused(t, []refused{
		{name: "[MQTT-2.2.1-5] PUBACK of 0", v: v5, p: &packet.Puback{},
			op: "PUBACK Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-5"},
		{name: "[MQTT311-2.3.1-6] PUBREC of 0", v: v311, p: &packet.Pubrec{},
			op: "PUBREC Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-6"},
		{name: "[MQTT-3.4.2-1] PUBACK with a code of PUBCOMP", v: v5,
			p:  &packet.Puback{PacketID: 1, Code: colibri.PacketIdentifierNotFound},
			op: "PUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.4.2-1"},
		{name: "[MQTT-3.6.2-1] PUBREL with a code of PUBREC", v: v5, p: &packet.Pubrel{PacketID: 1, Code: colibri.NotAuthorized},
			op: "PUBREL Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.6.2-1"},
		{name: "PUBACK with a Reason Code", v: v311, p: &packet.Puback{PacketID: 1, Code: colibri.NotAuthorized},
			op: "PUBACK Reason Code", code: colibri.MalformedPacket},
		{name: "PUBREC with properties", v: v311, p: &packet.Pubrec{PacketID: 1, Properties: reason},
			op: "PUBREC Properties", code: colibri.ProtocolError},
		{name: "PUBREL with DUP [MQTT-3.6.1-1]", v: v5, p: &packet.Pubrel{PacketID: 1, Dup: true},
			op: "PUBREL Fixed Header flags", code: colibri.MalformedPacket, rule: "MQTT-3.6.1-1"},
		{name: "PUBREL with DUP [MQTT311-3.6.1-1]", v: v311, p: &packet.Pubrel{PacketID: 1, Dup: true},
			op: "PUBREL Fixed Header flags", code: colibri.MalformedPacket, rule: "MQTT311-3.6.1-1"},
		{name: "PUBCOMP with a property of PUBLISH", v: v5, p: &packet.Pubcomp{PacketID: 1,
			Properties: colibri.Properties{number(colibri.TopicAlias, 1)}},
			op: "PUBCOMP Topic Alias", code: colibri.MalformedPacket},
	})
}

// TestAppendAcknowledgement shows that the short way writes what Append writes.
func TestAppendAcknowledgement(t *testing.T) {
	for _, v := range []colibri.Version{colibri.V31, colibri.V311, colibri.V5} {
		for _, id := range []uint16{1, 255, 256, 65_535} {
			for kind, codes := range map[packet.Type][]colibri.ReasonCode{
				packet.PUBACK: {0, 0x10, 0x97}, packet.PUBREC: {0, 0x10, 0x87}, packet.PUBREL: {0, 0x92}, packet.PUBCOMP: {0, 0x92}, packet.PINGRESP: {0},
			} {
				for _, code := range codes {
					if v < colibri.V5 && code != 0 {
						continue
					}
					p := map[packet.Type]packet.Packet{packet.PUBACK: &packet.Puback{PacketID: id, Code: code}, packet.PUBREC: &packet.Pubrec{PacketID: id, Code: code},
						packet.PUBREL: &packet.Pubrel{PacketID: id, Code: code}, packet.PUBCOMP: &packet.Pubcomp{PacketID: id, Code: code}, packet.PINGRESP: &packet.Pingresp{}}[kind]
					want, err := packet.Append(nil, p, v)
					if err != nil {
						t.Fatal(err)
					}
					if got := packet.AppendAcknowledgement(nil, kind, id, code, v); !bytes.Equal(got, want) {
						t.Errorf("%v %d %v in %v: got % x, want % x", kind, id, code, v, got, want)
					}
				}
			}
		}
	}
	b := make([]byte, 0, 16)
	if n := testing.AllocsPerRun(100, func() { packet.AppendAcknowledgement(b, packet.PUBREC, 7, 0x10, colibri.V5) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
