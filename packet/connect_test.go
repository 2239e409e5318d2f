package packet_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

var validConnect = []valid{
	{name: "shortest", v: v31, wire: `10 # "MQIsdp" 03 00 00 00 "c"`,
		want: &packet.Connect{Version: v31, ClientID: "c"}},
	{name: "everything", v: v31, wire: `10 # "MQIsdp" 03 F6 00 0A "c" "w" "bye" "u" "p"`,
		want: &packet.Connect{Version: v31, CleanStart: true, KeepAlive: 10, ClientID: "c",
			Will:        &packet.Will{Topic: "w", Payload: []byte("bye"), QoS: 2, Retain: true},
			HasUserName: true, UserName: "u", HasPassword: true, Password: []byte("p")}},
	{name: "of a bridge", v: v31, wire: `10 # "MQIsdp" 83 00 00 00 "c"`,
		want: &packet.Connect{Version: v31, Bridge: true, ClientID: "c"}},
	{name: "user name missing in spite of its flag", v: v31, wire: `10 # "MQIsdp" 03 C0 00 00 "c"`, longer: true,
		want: &packet.Connect{Version: v31, ClientID: "c"}},
	{name: "password missing in spite of its flag", v: v31, wire: `10 # "MQIsdp" 03 C0 00 00 "c" "u"`, longer: true,
		want: &packet.Connect{Version: v31, ClientID: "c", HasUserName: true, UserName: "u"}},

	{name: "shortest [MQTT311-3.1.3-3] [MQTT311-3.1.2-18] [MQTT311-3.1.2-20]", v: v311, wire: `10 # "MQTT" 04 00 00 00 "c"`,
		want: &packet.Connect{Version: v311, ClientID: "c"}},
	{name: "empty Client Identifier [MQTT311-3.1.3-6]", v: v311, wire: `10 # "MQTT" 04 02 00 3C ""`,
		want: &packet.Connect{Version: v311, CleanStart: true, KeepAlive: 60}},
	{name: "everything in order [MQTT311-3.1.3-1] [MQTT311-3.1.2-9] [MQTT311-3.1.2-19] [MQTT311-3.1.2-21]", v: v311,
		wire: `10 # "MQTT" 04 EE FF FF "client" "will/topic" "gone" "user" "secret"`,
		want: &packet.Connect{Version: v311, CleanStart: true, KeepAlive: 65535, ClientID: "client",
			Will:        &packet.Will{Topic: "will/topic", Payload: []byte("gone"), QoS: 1, Retain: true},
			HasUserName: true, UserName: "user", HasPassword: true, Password: []byte("secret")}},
	{name: "empty Will Payload, user name and password", v: v311, wire: `10 # "MQTT" 04 C4 00 00 "c" "w" "" "" ""`,
		want: &packet.Connect{Version: v311, ClientID: "c", Will: &packet.Will{Topic: "w", Payload: []byte{}},
			HasUserName: true, HasPassword: true, Password: []byte{}}},
	{name: "Will QoS 2 [MQTT311-3.1.2-14]", v: v311, wire: `10 # "MQTT" 04 14 00 00 "c" "w" "x"`,
		want: &packet.Connect{Version: v311, ClientID: "c", Will: &packet.Will{Topic: "w", Payload: []byte("x"), QoS: 2}}},
	{name: "of a bridge", v: v311, wire: `10 # "MQTT" 84 02 00 3C "b"`,
		want: &packet.Connect{Version: v311, Bridge: true, CleanStart: true, KeepAlive: 60, ClientID: "b"}},

	{name: "shortest [MQTT-2.2.2-1] [MQTT-3.1.2-1] [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT-3.1.3-3]", v: v5,
		wire: `10 # "MQTT" 05 00 00 00 {} "c"`,
		want: &packet.Connect{Version: v5, ClientID: "c"}},
	{name: "empty Client Identifier [MQTT-3.1.3-6]", v: v5, wire: `10 # "MQTT" 05 02 00 00 {} ""`,
		want: &packet.Connect{Version: v5, CleanStart: true}},
	{name: "password without user name", v: v5, wire: `10 # "MQTT" 05 40 00 00 {} "c" "token"`,
		want: &packet.Connect{Version: v5, ClientID: "c", HasPassword: true, Password: []byte("token")}},
	{name: "everything in order [MQTT-3.1.3-1] [MQTT-3.1.2-9] [MQTT-3.1.2-17] [MQTT-3.1.2-19]", v: v5,
		wire: `10 # "MQTT" 05 F6 00 1E
			{ 11 00 00 0E 10 21 00 0A 27 00 10 00 00 22 00 05 19 01 17 00 26 "k" "v" 26 "k" "w" 15 "SCRAM" 16 "n,," }
			"client"
			{ 18 00 00 00 05 01 01 02 00 00 00 3C 03 "text/plain" 08 "answers" 09 "42" 26 "a" "b" }
			"will" "gone" "user" "secret"`,
		want: &packet.Connect{Version: v5, CleanStart: true, KeepAlive: 30, ClientID: "client",
			Properties: colibri.Properties{
				number(colibri.SessionExpiryInterval, 3600), number(colibri.ReceiveMaximum, 10),
				number(colibri.MaximumPacketSize, 1<<20), number(colibri.TopicAliasMaximum, 5),
				number(colibri.RequestResponseInformation, 1), number(colibri.RequestProblemInformation, 0),
				user("k", "v"), user("k", "w"),
				value(colibri.AuthenticationMethod, "SCRAM"), value(colibri.AuthenticationData, "n,,"),
			},
			Will: &packet.Will{Topic: "will", Payload: []byte("gone"), QoS: 2, Retain: true,
				Properties: colibri.Properties{
					number(colibri.WillDelayInterval, 5), number(colibri.PayloadFormatIndicator, 1),
					number(colibri.MessageExpiryInterval, 60), value(colibri.ContentType, "text/plain"),
					value(colibri.ResponseTopic, "answers"), value(colibri.CorrelationData, "42"), user("a", "b"),
				}},
			HasUserName: true, UserName: "user", HasPassword: true, Password: []byte("secret")}},
	{name: "largest numbers", v: v5, wire: `10 # "MQTT" 05 00 FF FF { 11 FF FF FF FF 21 FF FF 27 FF FF FF FF 22 FF FF } "c"`,
		want: &packet.Connect{Version: v5, KeepAlive: 65535, ClientID: "c", Properties: colibri.Properties{
			number(colibri.SessionExpiryInterval, 1<<32-1), number(colibri.ReceiveMaximum, 65535),
			number(colibri.MaximumPacketSize, 1<<32-1), number(colibri.TopicAliasMaximum, 65535)}}},
	{name: "Will QoS 1 [MQTT-3.1.2-12]", v: v5, wire: `10 # "MQTT" 05 0C 00 00 {} "c" {} "w" "x"`,
		want: &packet.Connect{Version: v5, ClientID: "c", Will: &packet.Will{Topic: "w", Payload: []byte("x"), QoS: 1}}},
}

var invalidConnect = []invalid{
	{name: "[MQTT-3.1.2-3] reserved flag", v: v5, wire: `10 # "MQTT" 05 01 00 00 {} "c"`,
		op: "CONNECT Connect Flags", code: colibri.MalformedPacket, rule: "MQTT-3.1.2-3"},
	{name: "[MQTT311-3.1.2-3] reserved flag", v: v311, wire: `10 # "MQTT" 04 01 00 00 "c"`,
		op: "CONNECT Connect Flags", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-3"},
	{name: "[MQTT-3.1.2-11] Will QoS without Will Flag", v: v5, wire: `10 # "MQTT" 05 08 00 00 {} "c"`,
		op: "CONNECT Will QoS", code: colibri.MalformedPacket, rule: "MQTT-3.1.2-11"},
	{name: "[MQTT311-3.1.2-13] [MQTT311-3.1.2-11] Will QoS without Will Flag", v: v311, wire: `10 # "MQTT" 04 10 00 00 "c"`,
		op: "CONNECT Will QoS", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-13"},
	{name: "[MQTT-3.1.2-13] Will Retain without Will Flag", v: v5, wire: `10 # "MQTT" 05 20 00 00 {} "c"`,
		op: "CONNECT Will Retain", code: colibri.MalformedPacket, rule: "MQTT-3.1.2-13"},
	{name: "[MQTT311-3.1.2-15] [MQTT311-3.1.2-11] Will Retain without Will Flag", v: v311, wire: `10 # "MQTT" 04 20 00 00 "c"`,
		op: "CONNECT Will Retain", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-15"},
	{name: "[MQTT-3.1.2-12] Will QoS 3", v: v5, wire: `10 # "MQTT" 05 1C 00 00 {} "c" {} "w" "x"`,
		op: "CONNECT Will QoS", code: colibri.MalformedPacket, rule: "MQTT-3.1.2-12"},
	{name: "[MQTT311-3.1.2-14] Will QoS 3", v: v311, wire: `10 # "MQTT" 04 1C 00 00 "c" "w" "x"`,
		op: "CONNECT Will QoS", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-14"},
	{name: "[MQTT311-3.1.2-22] password without user name", v: v311, wire: `10 # "MQTT" 04 40 00 00 "c" "token"`,
		op: "CONNECT Password Flag", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-22"},
	{name: "[MQTT311-3.1.2-22] password without user name", v: v31, wire: `10 # "MQIsdp" 03 40 00 00 "c" "token"`,
		op: "CONNECT Password Flag", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-22"},

	{name: "[MQTT-3.1.3-3] no Client Identifier", v: v5, wire: `10 # "MQTT" 05 00 00 00 {}`,
		op: "CONNECT Client Identifier", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.1.3-3] no Client Identifier", v: v311, wire: `10 # "MQTT" 04 00 00 00`,
		op: "CONNECT Client Identifier", code: colibri.MalformedPacket},
	{name: "[MQTT-3.1.2-9] no Will Properties", v: v5, wire: `10 # "MQTT" 05 04 00 00 {} "c"`,
		op: "CONNECT Property Length", code: colibri.MalformedPacket},
	{name: "[MQTT-3.1.2-9] no Will Topic", v: v5, wire: `10 # "MQTT" 05 04 00 00 {} "c" {}`,
		op: "CONNECT Will Topic", code: colibri.MalformedPacket},
	{name: "[MQTT-3.1.2-9] no Will Payload", v: v5, wire: `10 # "MQTT" 05 04 00 00 {} "c" {} "w"`,
		op: "CONNECT Will Payload", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.1.2-9] no Will Topic", v: v311, wire: `10 # "MQTT" 04 04 00 00 "c"`,
		op: "CONNECT Will Topic", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.1.2-9] no Will Message", v: v311, wire: `10 # "MQTT" 04 04 00 00 "c" "w"`,
		op: "CONNECT Will Payload", code: colibri.MalformedPacket},
	{name: "[MQTT-3.1.2-17] no User Name", v: v5, wire: `10 # "MQTT" 05 80 00 00 {} "c"`,
		op: "CONNECT User Name", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.1.2-19] no user name", v: v311, wire: `10 # "MQTT" 04 80 00 00 "c"`,
		op: "CONNECT User Name", code: colibri.MalformedPacket},
	{name: "[MQTT-3.1.2-19] no Password", v: v5, wire: `10 # "MQTT" 05 40 00 00 {} "c"`,
		op: "CONNECT Password", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.1.2-21] no password", v: v311, wire: `10 # "MQTT" 04 C0 00 00 "c" "u"`,
		op: "CONNECT Password", code: colibri.MalformedPacket},
	{name: "[MQTT-3.1.2-16] [MQTT-3.1.2-18] user name and password without their flags", v: v5,
		wire: `10 # "MQTT" 05 00 00 00 {} "c" "u" "p"`,
		op:   "CONNECT end", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.1.2-18] [MQTT311-3.1.2-20] user name and password without their flags", v: v311,
		wire: `10 # "MQTT" 04 00 00 00 "c" "u" "p"`,
		op:   "CONNECT end", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.1.2-11] Will Message without its flag", v: v311, wire: `10 # "MQTT" 04 80 00 00 "c" "w" "x" "u"`,
		op: "CONNECT end", code: colibri.MalformedPacket},
	{name: "[MQTT-2.2.2-1] no Property Length", v: v5, wire: `10 # "MQTT" 05 00 00 00`,
		op: "CONNECT Property Length", code: colibri.MalformedPacket},
	{name: "no Keep Alive", v: v5, wire: `10 # "MQTT" 05 00 00`, op: "CONNECT Keep Alive", code: colibri.MalformedPacket},
	{name: "no Connect Flags", v: v5, wire: `10 # "MQTT" 05`, op: "CONNECT Connect Flags", code: colibri.MalformedPacket},
	{name: "no Protocol Version", v: v5, wire: `10 # "MQTT"`, op: "CONNECT Protocol Version", code: colibri.MalformedPacket},
	{name: "nothing", v: v5, wire: `10 #`, op: "CONNECT Protocol Name", code: colibri.MalformedPacket},
	{name: "Protocol Name goes past the end", v: v5, wire: `10 # 00 06 'MQTT'`, op: "CONNECT Protocol Name", code: colibri.MalformedPacket},
	{name: "[MQTT-1.5.4-1] Protocol Name is no UTF-8", v: 0, wire: `10 # 00 04 'MQT' FF 05 00 00 00 {} "c"`,
		op: "CONNECT Protocol Name", code: colibri.MalformedPacket, rule: "MQTT-1.5.4-1"},
	{name: "[MQTT-4.7.0-1] Will Topic with a wildcard", v: v5, wire: `10 # "MQTT" 05 04 00 00 {} "c" {} "a/#" "x"`,
		op: "CONNECT Will Topic", code: colibri.TopicNameInvalid, rule: "MQTT-4.7.0-1"},
	{name: "[MQTT311-4.7.1-1] Will Topic with a wildcard", v: v311, wire: `10 # "MQTT" 04 04 00 00 "c" "+/a" "x"`,
		op: "CONNECT Will Topic", code: colibri.TopicNameInvalid, rule: "MQTT311-4.7.1-1"},
	{name: "[MQTT-4.7.3-1] empty Will Topic", v: v5, wire: `10 # "MQTT" 05 04 00 00 {} "c" {} "" "x"`,
		op: "CONNECT Will Topic", code: colibri.ProtocolError, rule: "MQTT-4.7.3-1"},
	{name: "[MQTT311-4.7.3-1] empty Will Topic", v: v311, wire: `10 # "MQTT" 04 04 00 00 "c" "" "x"`,
		op: "CONNECT Will Topic", code: colibri.MalformedPacket, rule: "MQTT311-4.7.3-1"},
}

func TestValidConnect(t *testing.T)   { checkValid(t, validConnect) }
func TestInvalidConnect(t *testing.T) { checkInvalid(t, invalidConnect) }

// TestConnectVersion: whatever is wrong with a CONNECT, the answer can be in the
// Client's language.
func TestConnectVersion(t *testing.T) {
	const unsupported = colibri.UnsupportedProtocolVersion
	for _, tt := range []struct {
		name string
		wire string
		want packet.Connect
		op   string
		code colibri.ReasonCode
		rule string
	}{
		{"[MQTT-3.1.2-2] 6", `10 # "MQTT" 06 00 00 00 {} "c"`, packet.Connect{Version: 6},
			"CONNECT Protocol Version", unsupported, "MQTT-3.1.2-2"},
		{"[MQTT-3.1.2-2] 5 of a bridge", `10 # "MQTT" 85 00 00 00 {} "c"`, packet.Connect{Version: 0x85},
			"CONNECT Protocol Version", unsupported, "MQTT-3.1.2-2"},
		{"[MQTT311-3.1.2-2] 3 with the name of 3.1.1", `10 # "MQTT" 03 00 00 00 "c"`, packet.Connect{Version: 3},
			"CONNECT Protocol Version", unsupported, "MQTT311-3.1.2-2"},
		{"0", `10 # "MQTT" 00 00 00 00 "c"`, packet.Connect{},
			"CONNECT Protocol Version", unsupported, "MQTT-3.1.2-2"},
		{"[MQTT311-3.1.2-2] 4 with the name of 3.1", `10 # "MQIsdp" 04 00 00 00 "c"`, packet.Connect{Version: 3},
			"CONNECT Protocol Version", unsupported, "MQTT311-3.1.2-2"},
		{"[MQTT311-3.1.2-2] 5 with the name of 3.1", `10 # "MQIsdp" 05 00 00 00 "c"`, packet.Connect{Version: 3},
			"CONNECT Protocol Version", unsupported, "MQTT311-3.1.2-2"},
		{"[MQTT-3.1.2-1] another name", `10 # "mqtt" 05 00 00 00 {} "c"`, packet.Connect{Version: 5},
			"CONNECT Protocol Name", unsupported, "MQTT-3.1.2-1"},
		{"[MQTT311-3.1.2-1] another name", `10 # "MQTTX" 04 00 00 00 "c"`, packet.Connect{Version: 4},
			"CONNECT Protocol Name", unsupported, "MQTT311-3.1.2-1"},
		{"what follows an unknown version is not read", `10 # "MQTT" 09 FF`, packet.Connect{Version: 9},
			"CONNECT Protocol Version", unsupported, "MQTT-3.1.2-2"},
		{"another fault later on", `10 # "MQTT" 05 01 00 3C {} "c"`, packet.Connect{Version: 5},
			"CONNECT Connect Flags", colibri.MalformedPacket, "MQTT-3.1.2-3"},
		{"another fault of a bridge", `10 # "MQTT" 84 01 00 3C "c"`, packet.Connect{Version: 4, Bridge: true},
			"CONNECT Connect Flags", colibri.MalformedPacket, "MQTT311-3.1.2-3"},
		{"no version", `10 # "MQTT"`, packet.Connect{},
			"CONNECT Protocol Version", colibri.MalformedPacket, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := wire(t, tt.wire)
			p, n, err := packet.Decode(b, 0)
			checkError(t, err, tt.op, tt.code, tt.rule)
			if n != 0 {
				t.Errorf("got %d bytes consumed, want 0", n)
			}
			if diff := cmp.Diff(&tt.want, p); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkFields(t, b, 0)
		})
	}
}

func TestRefusedConnect(t *testing.T) {
	checkRefused(t, []refused{
		{name: "unknown version", v: v5, p: &packet.Connect{Version: 6},
			op: "CONNECT Protocol Version", code: colibri.UnsupportedProtocolVersion, rule: "MQTT-3.1.2-2"},
		{name: "bridge", v: v5, p: &packet.Connect{Version: v5, Bridge: true},
			op: "CONNECT Protocol Version", code: colibri.ProtocolError},
		{name: "[MQTT-3.1.2-16] user name", v: v5, p: &packet.Connect{Version: v5, UserName: "u"},
			op: "CONNECT User Name", code: colibri.MalformedPacket, rule: "MQTT-3.1.2-16"},
		{name: "[MQTT311-3.1.2-18] user name", v: v311, p: &packet.Connect{Version: v311, UserName: "u"},
			op: "CONNECT User Name", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-18"},
		{name: "[MQTT-3.1.2-18] password", v: v5, p: &packet.Connect{Version: v5, Password: []byte("p")},
			op: "CONNECT Password", code: colibri.MalformedPacket, rule: "MQTT-3.1.2-18"},
		{name: "[MQTT311-3.1.2-22] password alone", v: v311, p: &packet.Connect{Version: v311, HasPassword: true},
			op: "CONNECT Password Flag", code: colibri.MalformedPacket, rule: "MQTT311-3.1.2-22"},
		{name: "[MQTT-3.1.2-12] Will QoS 3", v: v5, p: &packet.Connect{Version: v5, Will: &packet.Will{Topic: "a", QoS: 3}},
			op: "CONNECT Will QoS", code: colibri.MalformedPacket, rule: "MQTT-3.1.2-12"},
		{name: "Will Topic with a wildcard", v: v5, p: &packet.Connect{Version: v5, Will: &packet.Will{Topic: "#"}},
			op: "CONNECT Will Topic", code: colibri.TopicNameInvalid, rule: "MQTT-4.7.0-1"},
		{name: "properties", v: v311, p: &packet.Connect{Version: v311,
			Properties: colibri.Properties{number(colibri.ReceiveMaximum, 5)}},
			op: "CONNECT Properties", code: colibri.ProtocolError},
		{name: "Will Properties", v: v311, p: &packet.Connect{Version: v311, Will: &packet.Will{Topic: "w",
			Properties: colibri.Properties{number(colibri.WillDelayInterval, 5)}}},
			op: "CONNECT Properties", code: colibri.ProtocolError},
		{name: "password of 65,536 bytes", v: v5, p: &packet.Connect{Version: v5, HasPassword: true, Password: make([]byte, 65536)},
			op: "CONNECT Password", code: colibri.MalformedPacket},
	})
}

// TestConnectVersionIsItsOwn: neither direction looks at the version of the connection.
func TestConnectVersionIsItsOwn(t *testing.T) {
	want := &packet.Connect{Version: v311, ClientID: "c"}
	b, err := packet.Append(nil, want, v5)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := packet.Decode(b, v31)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
