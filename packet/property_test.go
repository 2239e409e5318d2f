package packet_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// propertyTable is the table of section 2.2.2.2, written down a second time: the
// packets are those in which the property may be, W stands for the Will Properties.
var propertyTable = []struct {
	id   colibri.PropertyID
	typ  packet.DataType
	in   string
	good string // values, separated by |
	bad  string // values that are a Protocol Error, separated by |
}{
	{colibri.PayloadFormatIndicator, packet.Byte, "PUBLISH W", "00|01", "02|FF"},
	{colibri.MessageExpiryInterval, packet.FourByteInteger, "PUBLISH W", "00 00 00 00|FF FF FF FF", ""},
	{colibri.ContentType, packet.UTF8String, "PUBLISH W", `""|"a/b+json"`, ""},
	{colibri.ResponseTopic, packet.UTF8String, "PUBLISH W", `"a/b"`, `"a/#"|"+"`},
	{colibri.CorrelationData, packet.BinaryData, "PUBLISH W", `""|00 02 FF 00`, ""},
	{colibri.SubscriptionIdentifier, packet.VariableByteInteger, "PUBLISH SUBSCRIBE", "01|FF FF FF 7F", "00"},
	{colibri.SessionExpiryInterval, packet.FourByteInteger, "CONNECT CONNACK DISCONNECT", "00 00 00 00|FF FF FF FF", ""},
	{colibri.AssignedClientIdentifier, packet.UTF8String, "CONNACK", `"id"`, ""},
	{colibri.ServerKeepAlive, packet.TwoByteInteger, "CONNACK", "00 00|FF FF", ""},
	{colibri.AuthenticationMethod, packet.UTF8String, "CONNECT CONNACK AUTH", `""|"SCRAM"`, ""},
	{colibri.AuthenticationData, packet.BinaryData, "CONNECT CONNACK AUTH", `""|00 02 FF 00`, ""},
	{colibri.RequestProblemInformation, packet.Byte, "CONNECT", "00|01", "02|FF"},
	{colibri.WillDelayInterval, packet.FourByteInteger, "W", "00 00 00 00|FF FF FF FF", ""},
	{colibri.RequestResponseInformation, packet.Byte, "CONNECT", "00|01", "02|FF"},
	{colibri.ResponseInformation, packet.UTF8String, "CONNACK", `"x"`, ""},
	{colibri.ServerReference, packet.UTF8String, "CONNACK DISCONNECT", `"x"`, ""},
	{colibri.ReasonString, packet.UTF8String, "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH", `""|"x"`, ""},
	{colibri.ReceiveMaximum, packet.TwoByteInteger, "CONNECT CONNACK", "00 01|FF FF", "00 00"},
	{colibri.TopicAliasMaximum, packet.TwoByteInteger, "CONNECT CONNACK", "00 00|FF FF", ""},
	{colibri.TopicAlias, packet.TwoByteInteger, "PUBLISH", "00 01|FF FF", ""}, // 0 has another code: see invalidPublish
	{colibri.MaximumQoS, packet.Byte, "CONNACK", "00|01", "02|03"},
	{colibri.RetainAvailable, packet.Byte, "CONNACK", "00|01", "02|FF"},
	{colibri.UserProperty, packet.UTF8StringPair, "CONNECT CONNACK PUBLISH W PUBACK PUBREC PUBREL PUBCOMP " +
		"SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH", `"" ""|"k" "v"`, ""},
	{colibri.MaximumPacketSize, packet.FourByteInteger, "CONNECT CONNACK", "00 00 00 01|FF FF FF FF", "00 00 00 00"},
	{colibri.WildcardSubscriptionAvailable, packet.Byte, "CONNACK", "00|01", "02|FF"},
	{colibri.SubscriptionIdentifierAvailable, packet.Byte, "CONNACK", "00|01", "02|FF"},
	{colibri.SharedSubscriptionAvailable, packet.Byte, "CONNACK", "00|01", "02|FF"},
}

// propertyPlaces has each packet with properties: they stand at @.
var propertyPlaces = []struct {
	name string // as in propertyTable
	typ  packet.Type
	wire string
}{
	{"CONNECT", packet.CONNECT, `10 # "MQTT" 05 00 00 00 { @ } "c"`},
	{"W", packet.CONNECT, `10 # "MQTT" 05 04 00 00 {} "c" { @ } "w" "x"`},
	{"CONNACK", packet.CONNACK, "20 # 00 00 { @ }"},
	{"PUBLISH", packet.PUBLISH, `30 # "a" { @ }`},
	{"PUBACK", packet.PUBACK, "40 # 00 01 00 { @ }"},
	{"PUBREC", packet.PUBREC, "50 # 00 01 00 { @ }"},
	{"PUBREL", packet.PUBREL, "62 # 00 01 00 { @ }"},
	{"PUBCOMP", packet.PUBCOMP, "70 # 00 01 00 { @ }"},
	{"SUBSCRIBE", packet.SUBSCRIBE, `82 # 00 01 { @ } "a" 00`},
	{"SUBACK", packet.SUBACK, "90 # 00 01 { @ } 00"},
	{"UNSUBSCRIBE", packet.UNSUBSCRIBE, `A2 # 00 01 { @ } "a"`},
	{"UNSUBACK", packet.UNSUBACK, "B0 # 00 01 { @ } 00"},
	{"DISCONNECT", packet.DISCONNECT, "E0 # 00 { @ }"},
	{"AUTH", packet.AUTH, "F0 # 00 { @ }"},
}

// TestProperties puts every property, and every identifier that is none, into every packet.
func TestProperties(t *testing.T) {
	for _, place := range propertyPlaces {
		t.Run(place.name, func(t *testing.T) {
			known := map[colibri.PropertyID]bool{}
			for _, row := range propertyTable {
				known[row.id] = true
				allowed := strings.Contains(" "+row.in+" ", " "+place.name+" ")
				op := place.typ.String() + " " + row.id.String()
				for _, good := range strings.Split(row.good, "|") {
					b := propertyPacket(t, place.wire, row.id, good)
					p, _, err := packet.Decode(b, v5)
					if !allowed {
						checkError(t, err, op, colibri.MalformedPacket, "")
						checkFields(t, b, v5)
						continue
					}
					if err != nil {
						t.Errorf("%s %s: %v", op, good, err)
						continue
					}
					checkPrefixes(t, b, v5)
					checkFields(t, b, v5)
					if again, err := packet.Append(nil, p, v5); err != nil || string(again) != string(b) {
						t.Errorf("%s %s: got % x, %v; want % x", op, good, again, err, b)
					}
					checkTwice(t, place.wire, place.name, row.id, good, op)
				}
				if allowed && row.bad != "" {
					rule := ""
					if row.id == colibri.ResponseTopic {
						rule = "MQTT-3.3.2-14"
					}
					for _, bad := range strings.Split(row.bad, "|") {
						b := propertyPacket(t, place.wire, row.id, bad)
						_, _, err := packet.Decode(b, v5)
						checkError(t, err, op, colibri.ProtocolError, rule)
						checkFields(t, b, v5)
					}
				}
			}
			for i := range 128 {
				if !known[colibri.PropertyID(i)] {
					_, _, err := packet.Decode(propertyPacket(t, place.wire, colibri.PropertyID(i), "00"), v5)
					checkError(t, err, place.typ.String()+" Property Identifier", colibri.MalformedPacket, "")
				}
			}
			_, _, err := packet.Decode(wire(t, strings.Replace(place.wire, "@", "80 80 01 00", 1)), v5)
			checkError(t, err, place.typ.String()+" Property Identifier", colibri.MalformedPacket, "")
		})
	}
}

// propertyPacket puts property id with the value text into place. Authentication
// Data needs a method beside it.
func propertyPacket(t *testing.T, place string, id colibri.PropertyID, text string) []byte {
	t.Helper()
	property := fmt.Sprintf("%02X %s", byte(id), text)
	if id == colibri.AuthenticationData {
		property += ` 15 "m"`
	}
	return wire(t, strings.Replace(place, "@", property, 1))
}

// checkTwice puts the same property twice into a packet. Only User Properties, and
// Subscription Identifiers in PUBLISH, may be repeated.
func checkTwice(t *testing.T, place, in string, id colibri.PropertyID, text, op string) {
	t.Helper()
	property := fmt.Sprintf("%02X %s ", byte(id), text)
	_, _, err := packet.Decode(wire(t, strings.Replace(place, "@", property+property, 1)), v5)
	if id == colibri.UserProperty || id == colibri.SubscriptionIdentifier && in == "PUBLISH" {
		if err != nil {
			t.Errorf("%s twice: %v", op, err)
		}
		return
	}
	checkError(t, err, op, colibri.ProtocolError, "")
}

func TestPropertyLookups(t *testing.T) {
	known := map[colibri.PropertyID]bool{}
	for _, row := range propertyTable {
		known[row.id] = true
		if got := packet.PropertyType(row.id); got != row.typ {
			t.Errorf("PropertyType(%v): got %v, want %v", row.id, got, row.typ)
		}
		for _, place := range propertyPlaces {
			want := strings.Contains(" "+row.in+" ", " "+place.name+" ")
			got := packet.PropertyAllowed(row.id, place.typ)
			if place.name == "W" {
				got = packet.WillProperty(row.id)
			}
			if got != want {
				t.Errorf("%v in %s: got %v, want %v", row.id, place.name, got, want)
			}
		}
		if packet.PropertyAllowed(row.id, packet.PINGREQ) || packet.PropertyAllowed(row.id, 0) || packet.PropertyAllowed(row.id, 16) {
			t.Errorf("%v is allowed in a packet without properties", row.id)
		}
		name := strings.ReplaceAll(strings.ToLower(row.id.String()), " ", "-")
		if got, ok := packet.PropertyByName(name); got != row.id || !ok {
			t.Errorf("PropertyByName(%q): got %v, %v; want %v", name, got, ok, row.id)
		}
	}
	for i := range 256 {
		id := colibri.PropertyID(i)
		if !known[id] && (packet.PropertyType(id) != 0 || packet.WillProperty(id) || packet.PropertyAllowed(id, packet.CONNECT)) {
			t.Errorf("property 0x%02X is known", i)
		}
	}
	for _, name := range []string{"", "User Property", "USER-PROPERTY", "user_property", "property-0x04"} {
		if id, ok := packet.PropertyByName(name); ok {
			t.Errorf("PropertyByName(%q): got %v, want none", name, id)
		}
	}
	if id, ok := packet.PropertyByName("maximum-qos"); id != colibri.MaximumQoS || !ok {
		t.Errorf("PropertyByName: got %v, %v; want Maximum QoS", id, ok)
	}
	for typ, want := range map[packet.DataType]string{0: "no type", packet.Byte: "Byte", packet.UTF8StringPair: "UTF-8 String Pair", 99: "no type"} {
		if got := typ.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
