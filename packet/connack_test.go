package packet_test

import (
	"fmt"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

var validConnack = []valid{
	{name: "accepted", v: v31, wire: "20 02 00 00", want: &packet.Connack{}},
	{name: "refused", v: v31, wire: "20 02 00 02", want: &packet.Connack{Code: 2}},
	{name: "accepted", v: v311, wire: "20 02 00 00", want: &packet.Connack{}},
	{name: "Session Present [MQTT311-3.2.2-2]", v: v311, wire: "20 02 01 00", want: &packet.Connack{SessionPresent: true}},
	{name: "refused [MQTT311-3.2.2-4]", v: v311, wire: "20 02 00 05", want: &packet.Connack{Code: 5}},
	{name: "Success without properties [MQTT-2.2.2-1]", v: v5, wire: "20 # 00 00 {}", want: &packet.Connack{}},
	{name: "Session Present [MQTT-3.2.2-3]", v: v5, wire: "20 # 01 00 {}", want: &packet.Connack{SessionPresent: true}},
	{name: "Not authorized [MQTT-3.2.2-6]", v: v5, wire: `20 # 00 87 { 1F "no" }`,
		want: &packet.Connack{Code: colibri.NotAuthorized, Properties: colibri.Properties{value(colibri.ReasonString, "no")}}},
	{name: "all properties", v: v5,
		wire: `20 # 00 00 { 11 00 00 00 00 21 00 14 24 01 25 00 27 00 00 10 00 12 "auto-1" 22 00 0A 1F "ok" 26 "k" "v"
			28 01 29 00 2A 01 13 00 3C 1A "resp" 1C "other:1883" 15 "SCRAM" 16 "v=" }`,
		want: &packet.Connack{Properties: colibri.Properties{
			number(colibri.SessionExpiryInterval, 0), number(colibri.ReceiveMaximum, 20), number(colibri.MaximumQoS, 1),
			number(colibri.RetainAvailable, 0), number(colibri.MaximumPacketSize, 4096),
			value(colibri.AssignedClientIdentifier, "auto-1"), number(colibri.TopicAliasMaximum, 10),
			value(colibri.ReasonString, "ok"), user("k", "v"), number(colibri.WildcardSubscriptionAvailable, 1),
			number(colibri.SubscriptionIdentifierAvailable, 0), number(colibri.SharedSubscriptionAvailable, 1),
			number(colibri.ServerKeepAlive, 60), value(colibri.ResponseInformation, "resp"),
			value(colibri.ServerReference, "other:1883"), value(colibri.AuthenticationMethod, "SCRAM"),
			value(colibri.AuthenticationData, "v=")}}},
}

var invalidConnack = []invalid{
	{name: "[MQTT-3.2.2-1] reserved flags", v: v5, wire: "20 # 02 00 {}",
		op: "CONNACK Connect Acknowledge Flags", code: colibri.MalformedPacket, rule: "MQTT-3.2.2-1"},
	{name: "[MQTT-3.2.2-1] all reserved flags", v: v5, wire: "20 # FF 00 {}",
		op: "CONNACK Connect Acknowledge Flags", code: colibri.MalformedPacket, rule: "MQTT-3.2.2-1"},
	{name: "reserved flags", v: v311, wire: "20 # 80 00",
		op: "CONNACK Connect Acknowledge Flags", code: colibri.MalformedPacket},
	{name: "[MQTT-3.2.2-6] Session Present in a refusal", v: v5, wire: "20 # 01 87 {}",
		op: "CONNACK Session Present", code: colibri.ProtocolError, rule: "MQTT-3.2.2-6"},
	{name: "[MQTT311-3.2.2-4] Session Present in a refusal", v: v311, wire: "20 # 01 05",
		op: "CONNACK Session Present", code: colibri.MalformedPacket, rule: "MQTT311-3.2.2-4"},
	{name: "Return code 6", v: v311, wire: "20 # 00 06", op: "CONNACK Connect Return code", code: colibri.MalformedPacket},
	{name: "Return code of 5.0", v: v311, wire: "20 # 00 87", op: "CONNACK Connect Return code", code: colibri.MalformedPacket},
	{name: "properties", v: v311, wire: "20 # 00 00 00", op: "CONNACK end", code: colibri.MalformedPacket},
	{name: "nothing", v: v5, wire: "20 #", op: "CONNACK Connect Acknowledge Flags", code: colibri.MalformedPacket},
	{name: "no code", v: v5, wire: "20 # 00", op: "CONNACK Connect Reason Code", code: colibri.MalformedPacket},
	{name: "no code", v: v311, wire: "20 # 00", op: "CONNACK Connect Return code", code: colibri.MalformedPacket},
	{name: "[MQTT-2.2.2-1] no Property Length", v: v5, wire: "20 # 00 00", op: "CONNACK Property Length", code: colibri.MalformedPacket},
}

func TestValidConnack(t *testing.T)   { checkValid(t, validConnack) }
func TestInvalidConnack(t *testing.T) { checkInvalid(t, invalidConnack) }

func TestRefusedConnack(t *testing.T) {
	checkRefused(t, []refused{
		{name: "[MQTT-3.2.2-6] Session Present in a refusal", v: v5,
			p:  &packet.Connack{SessionPresent: true, Code: colibri.NotAuthorized},
			op: "CONNACK Session Present", code: colibri.ProtocolError, rule: "MQTT-3.2.2-6"},
		{name: "[MQTT311-3.2.2-4] Session Present in a refusal", v: v311, p: &packet.Connack{SessionPresent: true, Code: 5},
			op: "CONNACK Session Present", code: colibri.MalformedPacket, rule: "MQTT311-3.2.2-4"},
		{name: "Reason Code of 5.0", v: v311, p: &packet.Connack{Code: colibri.NotAuthorized},
			op: "CONNACK Connect Return code", code: colibri.MalformedPacket},
		{name: "[MQTT-3.2.2-8] Return code of 3.1.1", v: v5, p: &packet.Connack{Code: 5},
			op: "CONNACK Connect Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.2.2-8"},
		{name: "properties", v: v311, p: &packet.Connack{Properties: colibri.Properties{user("a", "b")}},
			op: "CONNACK Properties", code: colibri.ProtocolError},
	})
}

// TestReasonCodes tries all 256 Reason Codes in every packet that has one. The
// lists are those of the standard's tables, written down a second time.
func TestReasonCodes(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		typ    packet.Type
		op     string
		wire   string // up to the code
		rest   string // after it
		failed string // the codes of 0x80 and above
		good   []colibri.ReasonCode
	}{
		{"MQTT-3.2.2-8", packet.CONNACK, "CONNACK Connect Reason Code", "20 # 00", "{}",
			"80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F", []colibri.ReasonCode{0}},
		{"MQTT-3.4.2-1", packet.PUBACK, "PUBACK Reason Code", "40 # 00 01", "", "80 83 87 90 91 97 99", []colibri.ReasonCode{0, 16}},
		{"MQTT-3.5.2-1", packet.PUBREC, "PUBREC Reason Code", "50 # 00 01", "", "80 83 87 90 91 97 99", []colibri.ReasonCode{0, 16}},
		{"MQTT-3.6.2-1", packet.PUBREL, "PUBREL Reason Code", "62 # 00 01", "", "92", []colibri.ReasonCode{0}},
		{"MQTT-3.7.2-1", packet.PUBCOMP, "PUBCOMP Reason Code", "70 # 00 01", "", "92", []colibri.ReasonCode{0}},
		{"MQTT-3.9.3-2", packet.SUBACK, "SUBACK Reason Code", "90 # 00 01 {}", "", "80 83 87 8F 91 97 9E A1 A2", []colibri.ReasonCode{0, 1, 2}},
		{"MQTT-3.11.3-2", packet.UNSUBACK, "UNSUBACK Reason Code", "B0 # 00 01 {}", "", "80 83 87 8F 91", []colibri.ReasonCode{0, 17}},
		{"MQTT-3.14.2-1", packet.DISCONNECT, "DISCONNECT Disconnect Reason Code", "E0 #", "",
			"80 81 82 83 87 89 8B 8C 8D 8E 8F 90 93 94 95 96 97 98 99 9A 9B 9C 9D 9E 9F A0 A1 A2", []colibri.ReasonCode{0, 4}},
		{"MQTT-3.15.2-1", packet.AUTH, "AUTH Authenticate Reason Code", "F0 #", `{ 15 "m" }`, "", []colibri.ReasonCode{0, 24, 25}},
	} {
		t.Run(tt.op+" ["+tt.rule+"]", func(t *testing.T) {
			want := map[colibri.ReasonCode]bool{}
			for _, code := range tt.good {
				want[code] = true
			}
			for _, b := range wire(t, tt.failed) {
				want[colibri.ReasonCode(b)] = true
			}
			for i := range 256 {
				code := colibri.ReasonCode(i)
				if got := packet.ReasonCodeAllowed(tt.typ, code); got != want[code] {
					t.Errorf("ReasonCodeAllowed 0x%02X: got %v, want %v", i, got, want[code])
				}
				p, _, err := packet.Decode(wire(t, fmt.Sprintf("%s %02X %s", tt.wire, i, tt.rest)), v5)
				if !want[code] {
					checkError(t, err, tt.op, colibri.ProtocolError, tt.rule)
					continue
				}
				if err != nil {
					t.Errorf("0x%02X: %v", i, err)
					continue
				}
				if _, err := packet.Append(nil, p, v5); err != nil {
					t.Errorf("Append 0x%02X: %v", i, err)
				}
			}
		})
	}
	if packet.ReasonCodeAllowed(200, 0) || packet.ReasonCodeAllowed(packet.PUBLISH, 0) {
		t.Error("got a Reason Code allowed in a packet that has none")
	}
}
