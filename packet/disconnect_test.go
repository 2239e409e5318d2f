package packet_test

import (
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// DISCONNECT, AUTH and the two pings.

var validDisconnect = []valid{
	{name: "DISCONNECT", v: v31, wire: "E0 00", want: &packet.Disconnect{}},
	{name: "DISCONNECT [MQTT311-3.14.1-1]", v: v311, wire: "E0 00", want: &packet.Disconnect{}},
	{name: "DISCONNECT, no Reason Code [MQTT-3.14.1-1]", v: v5, wire: "E0 00", want: &packet.Disconnect{}},
	{name: "DISCONNECT, no Property Length", v: v5, wire: "E0 01 04", want: &packet.Disconnect{Code: colibri.DisconnectWithWillMessage}},
	{name: "DISCONNECT, normal in one byte", v: v5, wire: "E0 01 00", longer: true, want: &packet.Disconnect{}},
	{name: "DISCONNECT, normal in two bytes", v: v5, wire: "E0 # 00 {}", longer: true, want: &packet.Disconnect{}},
	{name: "DISCONNECT, no properties", v: v5, wire: "E0 # 8E {}", longer: true, want: &packet.Disconnect{Code: colibri.SessionTakenOver}},
	{name: "DISCONNECT, all properties", v: v5, wire: `E0 # 9C { 11 00 00 00 3C 1F "why" 1C "other" 26 "k" "v" }`,
		want: &packet.Disconnect{Code: colibri.UseAnotherServer, Properties: colibri.Properties{
			number(colibri.SessionExpiryInterval, 60), value(colibri.ReasonString, "why"),
			value(colibri.ServerReference, "other"), user("k", "v")}}},

	{name: "AUTH, Success in short [MQTT-3.15.1-1]", v: v5, wire: "F0 00", want: &packet.Auth{}},
	{name: "AUTH, Success in one byte", v: v5, wire: "F0 01 00", longer: true, want: &packet.Auth{}},
	{name: "AUTH, Success without properties", v: v5, wire: "F0 # 00 {}", longer: true, want: &packet.Auth{}},
	{name: "AUTH, Success [MQTT-4.12.0-5]", v: v5, wire: `F0 # 00 { 15 "m" 16 "d" }`,
		want: &packet.Auth{Properties: colibri.Properties{
			value(colibri.AuthenticationMethod, "m"), value(colibri.AuthenticationData, "d")}}},
	{name: "AUTH, all properties [MQTT-4.12.0-5]", v: v5, wire: `F0 # 18 { 16 00 02 00 FF 15 "SCRAM" 1F "why" 26 "k" "v" }`,
		want: &packet.Auth{Code: colibri.ContinueAuthentication, Properties: colibri.Properties{
			value(colibri.AuthenticationData, "\x00\xFF"), value(colibri.AuthenticationMethod, "SCRAM"),
			value(colibri.ReasonString, "why"), user("k", "v")}}},

	{name: "PINGREQ", v: v31, wire: "C0 00", want: &packet.Pingreq{}},
	{name: "PINGREQ", v: v311, wire: "C0 00", want: &packet.Pingreq{}},
	{name: "PINGREQ", v: v5, wire: "C0 00", want: &packet.Pingreq{}},
	{name: "PINGRESP", v: v31, wire: "D0 00", want: &packet.Pingresp{}},
	{name: "PINGRESP", v: v311, wire: "D0 00", want: &packet.Pingresp{}},
	{name: "PINGRESP", v: v5, wire: "D0 00", want: &packet.Pingresp{}},
}

var invalidDisconnect = []invalid{
	{name: "DISCONNECT with a Reason Code", v: v311, wire: "E0 01 00", op: "DISCONNECT end", code: colibri.MalformedPacket},
	{name: "[MQTT-3.14.2-1] unknown Reason Code", v: v5, wire: "E0 01 01",
		op: "DISCONNECT Disconnect Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.14.2-1"},
	{name: "DISCONNECT, bytes behind the properties", v: v5, wire: "E0 # 00 {} 00", op: "DISCONNECT end", code: colibri.MalformedPacket},
	{name: "DISCONNECT, Session Expiry Interval twice", v: v5, wire: "E0 # 00 { 11 00 00 00 01 11 00 00 00 02 }",
		op: "DISCONNECT Session Expiry Interval", code: colibri.ProtocolError},
	{name: "DISCONNECT, Property Length goes past the end", v: v5, wire: "E0 02 00 05",
		op: "DISCONNECT Property Length", code: colibri.MalformedPacket},

	{name: "[MQTT-4.12.0-5] AUTH without a method", v: v5, wire: "F0 # 18 {}",
		op: "AUTH Authentication Method", code: colibri.ProtocolError, rule: "MQTT-4.12.0-5"},
	{name: "[MQTT-4.12.0-5] AUTH of one byte without a method", v: v5, wire: "F0 # 19",
		op: "AUTH Authentication Method", code: colibri.ProtocolError, rule: "MQTT-4.12.0-5"},
	{name: "AUTH, data without a method", v: v5, wire: `F0 # 18 { 16 "d" }`,
		op: "AUTH Authentication Data", code: colibri.ProtocolError},
	{name: "CONNECT, data without a method", v: v5, wire: `10 # "MQTT" 05 00 00 00 { 16 "d" } "c"`,
		op: "CONNECT Authentication Data", code: colibri.ProtocolError},
	{name: "CONNACK, data without a method", v: v5, wire: `20 # 00 00 { 16 "d" }`,
		op: "CONNACK Authentication Data", code: colibri.ProtocolError},
	{name: "AUTH, method twice", v: v5, wire: `F0 # 18 { 15 "a" 15 "a" }`,
		op: "AUTH Authentication Method", code: colibri.ProtocolError},

	{name: "PINGREQ with a byte", v: v5, wire: "C0 01 00", op: "PINGREQ end", code: colibri.MalformedPacket},
	{name: "PINGREQ with a byte", v: v311, wire: "C0 01 00", op: "PINGREQ end", code: colibri.MalformedPacket},
	{name: "PINGRESP with a byte", v: v5, wire: "D0 01 00", op: "PINGRESP end", code: colibri.MalformedPacket},
}

func TestValidDisconnect(t *testing.T)   { checkValid(t, validDisconnect) }
func TestInvalidDisconnect(t *testing.T) { checkInvalid(t, invalidDisconnect) }

func TestRefusedDisconnect(t *testing.T) {
	checkRefused(t, []refused{
		{name: "DISCONNECT with a Reason Code", v: v311, p: &packet.Disconnect{Code: colibri.SessionTakenOver},
			op: "DISCONNECT Disconnect Reason Code", code: colibri.MalformedPacket},
		{name: "DISCONNECT with properties", v: v311, p: &packet.Disconnect{Properties: reason},
			op: "DISCONNECT Properties", code: colibri.ProtocolError},
		{name: "[MQTT-3.14.2-1] DISCONNECT with a code of PUBACK", v: v5, p: &packet.Disconnect{Code: colibri.NoMatchingSubscribers},
			op: "DISCONNECT Disconnect Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.14.2-1"},
		{name: "AUTH", v: v311, p: &packet.Auth{}, op: "AUTH MQTT Control Packet type", code: colibri.MalformedPacket},
		{name: "AUTH", v: v31, p: &packet.Auth{}, op: "AUTH MQTT Control Packet type", code: colibri.MalformedPacket},
		{name: "[MQTT-4.12.0-5] AUTH without a method", v: v5, p: &packet.Auth{Code: colibri.ReAuthenticate},
			op: "AUTH Authentication Method", code: colibri.ProtocolError, rule: "MQTT-4.12.0-5"},
		{name: "[MQTT-3.15.2-1] AUTH with a failure", v: v5, p: &packet.Auth{Code: colibri.NotAuthorized,
			Properties: colibri.Properties{value(colibri.AuthenticationMethod, "m")}},
			op: "AUTH Authenticate Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.15.2-1"},
		{name: "AUTH, data without a method", v: v5,
			p:  &packet.Auth{Properties: colibri.Properties{value(colibri.AuthenticationData, "d")}},
			op: "AUTH Authentication Data", code: colibri.ProtocolError},
	})
}
