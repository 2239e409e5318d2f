package packet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// textFields has each UTF-8 Encoded String of each packet: the text stands at @.
var textFields = []struct {
	v    colibri.Version
	rule string // the statement about this field, beside those about strings
	op   string
	wire string
}{
	{v5, "MQTT-3.1.2-1", "CONNECT Protocol Name", `10 # @ 05 00 00 00 {} "c"`},
	{v5, "MQTT-3.1.3-4", "CONNECT Client Identifier", `10 # "MQTT" 05 00 00 00 {} @`},
	{v5, "MQTT-3.1.3-11", "CONNECT Will Topic", `10 # "MQTT" 05 04 00 00 {} "c" {} @ "x"`},
	{v5, "MQTT-3.1.3-12", "CONNECT User Name", `10 # "MQTT" 05 80 00 00 {} "c" @`},
	{v5, "MQTT-1.5.4-1", "CONNECT Authentication Method", `10 # "MQTT" 05 00 00 00 { 15 @ } "c"`},
	{v5, "MQTT-1.5.7-1", "CONNECT User Property name", `10 # "MQTT" 05 00 00 00 { 26 @ "v" } "c"`},
	{v5, "MQTT-1.5.7-1", "CONNECT User Property value", `10 # "MQTT" 05 00 00 00 { 26 "k" @ } "c"`},
	{v5, "MQTT-3.3.2-13", "CONNECT Response Topic", `10 # "MQTT" 05 04 00 00 {} "c" { 08 @ } "w" "x"`},
	{v5, "MQTT-3.3.2-19", "CONNECT Content Type", `10 # "MQTT" 05 04 00 00 {} "c" { 03 @ } "w" "x"`},
	{v5, "MQTT-1.5.4-1", "CONNACK Assigned Client Identifier", `20 # 00 00 { 12 @ }`},
	{v5, "MQTT-1.5.4-1", "CONNACK Response Information", `20 # 00 00 { 1A @ }`},
	{v5, "MQTT-1.5.4-1", "CONNACK Server Reference", `20 # 00 00 { 1C @ }`},
	{v5, "MQTT-1.5.4-1", "CONNACK Reason String", `20 # 00 00 { 1F @ }`},
	{v5, "MQTT-3.3.2-1", "PUBLISH Topic Name", `30 # @ {}`},
	{v5, "MQTT-3.3.2-13", "PUBLISH Response Topic", `30 # "a" { 08 @ }`},
	{v5, "MQTT-3.3.2-19", "PUBLISH Content Type", `30 # "a" { 03 @ }`},
	{v5, "MQTT-1.5.7-1", "PUBLISH User Property value", `30 # "a" { 26 "k" @ }`},
	{v5, "MQTT-1.5.4-1", "PUBACK Reason String", `40 # 00 01 00 { 1F @ }`},
	{v5, "MQTT-1.5.4-1", "PUBREC Reason String", `50 # 00 01 00 { 1F @ }`},
	{v5, "MQTT-1.5.4-1", "PUBREL Reason String", `62 # 00 01 00 { 1F @ }`},
	{v5, "MQTT-1.5.4-1", "PUBCOMP Reason String", `70 # 00 01 00 { 1F @ }`},
	{v5, "MQTT-3.8.3-1", "SUBSCRIBE Topic Filter", `82 # 00 01 {} "a" 00 @ 00`},
	{v5, "MQTT-1.5.4-1", "SUBACK Reason String", `90 # 00 01 { 1F @ } 00`},
	{v5, "MQTT-3.10.3-1", "UNSUBSCRIBE Topic Filter", `A2 # 00 01 {} "a" @`},
	{v5, "MQTT-1.5.4-1", "UNSUBACK Reason String", `B0 # 00 01 { 1F @ } 00`},
	{v5, "MQTT-1.5.4-1", "DISCONNECT Server Reference", `E0 # 9C { 1C @ }`},
	{v5, "MQTT-1.5.4-1", "AUTH Authentication Method", `F0 # 18 { 15 @ }`},
	{v311, "MQTT311-3.1.3-4", "CONNECT Client Identifier", `10 # "MQTT" 04 00 00 00 @`},
	{v311, "MQTT311-3.1.3-10", "CONNECT Will Topic", `10 # "MQTT" 04 04 00 00 "c" @ "x"`},
	{v311, "MQTT311-3.1.3-11", "CONNECT User Name", `10 # "MQTT" 04 80 00 00 "c" @`},
	{v311, "MQTT311-3.3.2-1", "PUBLISH Topic Name", `30 # @`},
	{v311, "MQTT311-3.8.3-1", "SUBSCRIBE Topic Filter", `82 # 00 01 @ 00`},
	{v311, "MQTT311-3.10.3-1", "UNSUBSCRIBE Topic Filter", `A2 # 00 01 @`},
	{v31, "MQTT311-3.3.2-1", "PUBLISH Topic Name", `30 # @`},
}

// badTexts are strings, in hex and with their lengths, that no UTF-8 Encoded String may be.
var badTexts = []struct {
	name string
	hex  string
	null bool // of well-formed UTF-8, but with U+0000
}{
	{"a continuation byte alone", "00 02 'a' 80", false},
	{"the byte FF", "00 02 FF 'a'", false},
	{"half a character", "00 03 E2 82 'a'", false},
	{"half a character at the end", "00 03 'a' E2 82", false},
	{"a slash in two bytes", "00 02 C0 AF", false},
	{"U+0000 in two bytes", "00 02 C0 80", false},
	{"surrogate U+D800", "00 03 ED A0 80", false},
	{"surrogate U+DFFF", "00 04 'a' ED BF BF", false},
	{"surrogate pair", "00 06 ED A0 81 ED B0 80", false},
	{"a character above U+10FFFF", "00 04 F4 90 80 80", false},
	{"U+0000", "00 01 00", true},
	{"U+0000 behind other text", "00 05 'a/' C3 A9 00", true},
}

func TestTextFields(t *testing.T) {
	for _, field := range textFields {
		ids := "[MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-4.7.3-2]"
		malformed, null := "MQTT-1.5.4-1", "MQTT-1.5.4-2"
		if field.v != v5 {
			ids = "[MQTT311-1.5.3-1] [MQTT311-1.5.3-2] [MQTT311-4.7.3-2]"
			malformed, null = "MQTT311-1.5.3-1", "MQTT311-1.5.3-2"
		}
		t.Run(fmt.Sprintf("%v %s [%s] %s", field.v, field.op, field.rule, ids), func(t *testing.T) {
			for _, bad := range badTexts {
				b := wire(t, strings.Replace(field.wire, "@", bad.hex, 1))
				_, _, err := packet.Decode(b, field.v)
				rule := malformed
				if bad.null {
					rule = null
				}
				checkError(t, err, field.op, colibri.MalformedPacket, rule)
				checkFields(t, b, field.v)
			}
			if strings.HasSuffix(field.op, "Protocol Name") {
				return
			}
			for _, good := range []string{"é", "a\uFEFFb", "\uFEFF", "\U0010FFFF", "\uD7FF\uE000", "\u0001"} { // [MQTT-1.5.4-3] [MQTT311-1.5.3-3]
				b := wire(t, strings.Replace(field.wire, "@", `"`+good+`"`, 1))
				p, _, err := packet.Decode(b, field.v)
				if err != nil {
					t.Errorf("%q: %v", good, err)
					continue
				}
				again, err := packet.Append(nil, p, field.v)
				if err != nil || string(again) != string(b) {
					t.Errorf("%q: got % x, %v; want % x", good, again, err, b)
				}
			}
		})
	}
}

// TestAppendText: what may not be read may not be written either.
func TestAppendText(t *testing.T) {
	for _, tt := range []struct {
		text string
		code string
	}{
		{"a\x80", "MQTT-1.5.4-1"}, {"\xED\xA0\x80", "MQTT-1.5.4-1"}, {"a\x00", "MQTT-1.5.4-2"},
	} {
		for _, p := range []packet.Packet{
			&packet.Publish{Topic: tt.text},
			&packet.Publish{Topic: "a", Properties: colibri.Properties{value(colibri.ContentType, tt.text)}},
			&packet.Publish{Topic: "a", Properties: colibri.Properties{user("k", tt.text)}},
			&packet.Publish{Topic: "a", Properties: colibri.Properties{user(tt.text, "v")}},
			&packet.Connect{Version: v5, ClientID: tt.text},
			&packet.Connect{Version: v5, HasUserName: true, UserName: tt.text},
			&packet.Connect{Version: v5, Will: &packet.Will{Topic: tt.text}},
			&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: tt.text}}},
			&packet.Unsubscribe{PacketID: 1, Filters: []string{tt.text}},
		} {
			t.Run(fmt.Sprintf("[%s] %v", tt.code, p.Type()), func(t *testing.T) {
				_, err := packet.Append(nil, p, v5)
				var got *colibri.Error
				if !errors.As(err, &got) || got.Rule != tt.code || got.Code != colibri.MalformedPacket {
					t.Errorf("got %v, want Malformed Packet [%s]", err, tt.code)
				}
			})
		}
	}
}
