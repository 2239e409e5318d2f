package packet_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

func number(id colibri.PropertyID, n uint32) colibri.Property {
	return colibri.Property{ID: id, Number: n}
}

func value(id colibri.PropertyID, s string) colibri.Property {
	return colibri.Property{ID: id, Value: s}
}

func user(name, value string) colibri.Property {
	return colibri.Property{ID: colibri.UserProperty, Name: name, Value: value}
}

var validPublish = []valid{
	{name: "QoS 0 [MQTT311-2.3.1-5] no Packet Identifier", v: v31, wire: `30 # "a" 00 01`,
		want: &packet.Publish{Topic: "a", Payload: []byte{0, 1}}},
	{name: "QoS 0 [MQTT311-2.3.1-5] no Packet Identifier", v: v311, wire: `30 # "a/b" 'hello'`,
		want: &packet.Publish{Topic: "a/b", Payload: []byte("hello")}},
	{name: "QoS 1 [MQTT311-3.3.2-1] Topic Name first", v: v311, wire: `32 # "a" 12 34 'x'`,
		want: &packet.Publish{Topic: "a", QoS: 1, PacketID: 0x1234, Payload: []byte("x")}},
	{name: "QoS 2 again and retained [MQTT311-3.3.1-1]", v: v311, wire: `3D # "a" FF FF 'x'`,
		want: &packet.Publish{Dup: true, QoS: 2, Retain: true, Topic: "a", PacketID: 65535, Payload: []byte("x")}},
	{name: "empty payload", v: v311, wire: `31 # "a"`, want: &packet.Publish{Retain: true, Topic: "a"}},
	{name: "[MQTT311-1.5.3-3] U+FEFF stays", v: v311, wire: `30 # 00 04 EF BB BF 'a'`,
		want: &packet.Publish{Topic: "\uFEFFa"}},

	{name: "QoS 0 [MQTT-2.2.2-1] no properties [MQTT-2.2.1-2] no Packet Identifier", v: v5, wire: `30 # "a" {} 'x'`,
		want: &packet.Publish{Topic: "a", Payload: []byte("x")}},
	{name: "QoS 1 [MQTT-3.3.2-1] Topic Name first", v: v5, wire: `32 # "a" 00 01 {} 'x'`,
		want: &packet.Publish{Topic: "a", QoS: 1, PacketID: 1, Payload: []byte("x")}},
	{name: "QoS 2 again [MQTT-3.3.1-1]", v: v5, wire: `3C # "a" 00 02 {}`,
		want: &packet.Publish{Dup: true, QoS: 2, Topic: "a", PacketID: 2}},
	{name: "[MQTT-1.5.4-3] U+FEFF stays", v: v5, wire: `30 # 00 07 EF BB BF 'a' EF BB BF {}`,
		want: &packet.Publish{Topic: "\uFEFFa\uFEFF"}},
	{name: "all properties [MQTT-3.3.2-18] in their order", v: v5,
		wire: `31 # "a" { 01 01 02 00 00 00 01 23 00 05 08 "re" 09 00 02 FF 00 26 "k" "1" 26 "j" "2" 26 "k" "3"
			0B 01 0B FF FF FF 7F 03 "text" } 'x'`,
		want: &packet.Publish{Retain: true, Topic: "a", Payload: []byte("x"), Properties: colibri.Properties{
			number(colibri.PayloadFormatIndicator, 1), number(colibri.MessageExpiryInterval, 1),
			number(colibri.TopicAlias, 5), value(colibri.ResponseTopic, "re"), value(colibri.CorrelationData, "\xFF\x00"),
			user("k", "1"), user("j", "2"), user("k", "3"),
			number(colibri.SubscriptionIdentifier, 1), number(colibri.SubscriptionIdentifier, 268_435_455),
			value(colibri.ContentType, "text")}}},
	{name: "Topic Alias in place of the Topic Name", v: v5, wire: `30 # "" { 23 FF FF } 'x'`,
		want: &packet.Publish{Payload: []byte("x"), Properties: colibri.Properties{number(colibri.TopicAlias, 65535)}}},
	{name: "empty strings", v: v5, wire: `30 # "a" { 26 "" "" 03 "" 09 "" }`,
		want: &packet.Publish{Topic: "a", Properties: colibri.Properties{
			user("", ""), value(colibri.ContentType, ""), value(colibri.CorrelationData, "")}}},
	{name: "properties and payload of more than 127 bytes", v: v5,
		wire: `30 # "a" { 26 "k" "` + strings.Repeat("v", 200) + `" } '` + strings.Repeat("p", 200) + `'`,
		want: &packet.Publish{Topic: "a", Payload: []byte(strings.Repeat("p", 200)),
			Properties: colibri.Properties{user("k", strings.Repeat("v", 200))}}},
	{name: "[MQTT-4.7.3-3] longest Topic Name", v: v5, wire: `30 # "` + strings.Repeat("t", 65535) + `" {}`,
		want: &packet.Publish{Topic: strings.Repeat("t", 65535)}},
}

var invalidPublish = []invalid{
	{name: "[MQTT-3.3.2-2] #", v: v5, wire: `30 # "a/#" {}`,
		op: "PUBLISH Topic Name", code: colibri.TopicNameInvalid, rule: "MQTT-3.3.2-2"},
	{name: "[MQTT-3.3.2-2] +", v: v5, wire: `30 # "a+b" {}`,
		op: "PUBLISH Topic Name", code: colibri.TopicNameInvalid, rule: "MQTT-3.3.2-2"},
	{name: "[MQTT311-3.3.2-2] #", v: v311, wire: `30 # "#"`,
		op: "PUBLISH Topic Name", code: colibri.TopicNameInvalid, rule: "MQTT311-3.3.2-2"},
	{name: "[MQTT-4.7.3-1] empty Topic Name without Topic Alias", v: v5, wire: `30 # "" { 02 00 00 00 01 } 'x'`,
		op: "PUBLISH Topic Name", code: colibri.ProtocolError, rule: "MQTT-4.7.3-1"},
	{name: "[MQTT311-4.7.3-1] empty Topic Name", v: v311, wire: `30 # "" 'x'`,
		op: "PUBLISH Topic Name", code: colibri.MalformedPacket, rule: "MQTT311-4.7.3-1"},
	{name: "[MQTT-2.2.1-3] Packet Identifier 0", v: v5, wire: `32 # "a" 00 00 {}`,
		op: "PUBLISH Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-3"},
	{name: "[MQTT311-2.3.1-1] Packet Identifier 0", v: v311, wire: `34 # "a" 00 00`,
		op: "PUBLISH Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-1"},
	{name: "no Packet Identifier", v: v311, wire: `32 # "a"`, op: "PUBLISH Packet Identifier", code: colibri.MalformedPacket},
	{name: "half a Packet Identifier", v: v311, wire: `32 # "a" 01`, op: "PUBLISH Packet Identifier", code: colibri.MalformedPacket},
	{name: "[MQTT-3.3.2-1] no Topic Name", v: v5, wire: `30 #`, op: "PUBLISH Topic Name", code: colibri.MalformedPacket},
	{name: "[MQTT311-3.3.2-1] no Topic Name", v: v311, wire: `30 #`, op: "PUBLISH Topic Name", code: colibri.MalformedPacket},
	{name: "Topic Name goes past the end", v: v311, wire: `30 # 00 05 'abcd'`, op: "PUBLISH Topic Name", code: colibri.MalformedPacket},
	{name: "[MQTT-2.2.2-1] no Property Length", v: v5, wire: `30 # "a"`, op: "PUBLISH Property Length", code: colibri.MalformedPacket},
	{name: "Property Length goes past the end", v: v5, wire: `30 # "a" 06 01 01 'abc'`,
		op: "PUBLISH Property Length", code: colibri.MalformedPacket},
	{name: "[MQTT-1.5.5-1] Property Length in two bytes", v: v5, wire: `30 # "a" 80 00`,
		op: "PUBLISH Property Length", code: colibri.MalformedPacket, rule: "MQTT-1.5.5-1"},
	{name: "half a Property Length", v: v5, wire: `30 # "a" 80`, op: "PUBLISH Property Length", code: colibri.MalformedPacket},
	{name: "Property Length of five bytes", v: v5, wire: `30 # "a" 80 80 80 80 01`,
		op: "PUBLISH Property Length", code: colibri.MalformedPacket},
	{name: "property goes past the Property Length", v: v5, wire: `30 # "a" 03 03 00 04 'text'`,
		op: "PUBLISH Content Type", code: colibri.MalformedPacket},
	{name: "[MQTT-1.5.5-1] Property Identifier in two bytes", v: v5, wire: `30 # "a" { 81 00 01 }`,
		op: "PUBLISH Property Identifier", code: colibri.MalformedPacket, rule: "MQTT-1.5.5-1"},
	{name: "[MQTT-1.5.5-1] Subscription Identifier in two bytes", v: v5, wire: `30 # "a" { 0B 81 00 }`,
		op: "PUBLISH Subscription Identifier", code: colibri.MalformedPacket, rule: "MQTT-1.5.5-1"},
	{name: "Subscription Identifier of five bytes", v: v5, wire: `30 # "a" { 0B FF FF FF FF 01 }`,
		op: "PUBLISH Subscription Identifier", code: colibri.MalformedPacket},
	{name: "[MQTT-3.3.2-8] Topic Alias 0", v: v5, wire: `30 # "a" { 23 00 00 }`,
		op: "PUBLISH Topic Alias", code: colibri.TopicAliasInvalid, rule: "MQTT-3.3.2-8"},
	{name: "[MQTT-3.3.2-14] Response Topic with a wildcard", v: v5, wire: `30 # "a" { 08 "b/+" }`,
		op: "PUBLISH Response Topic", code: colibri.ProtocolError, rule: "MQTT-3.3.2-14"},
	{name: "Payload Format Indicator 2", v: v5, wire: `30 # "a" { 01 02 }`,
		op: "PUBLISH Payload Format Indicator", code: colibri.ProtocolError},
	{name: "half a Message Expiry Interval", v: v5, wire: `30 # "a" { 02 00 00 }`,
		op: "PUBLISH Message Expiry Interval", code: colibri.MalformedPacket},
	{name: "half a Topic Alias", v: v5, wire: `30 # "a" { 23 00 }`, op: "PUBLISH Topic Alias", code: colibri.MalformedPacket},
	{name: "no Payload Format Indicator", v: v5, wire: `30 # "a" { 01 }`,
		op: "PUBLISH Payload Format Indicator", code: colibri.MalformedPacket},
	{name: "Subscription Identifier 0", v: v5, wire: `30 # "a" { 0B 00 }`,
		op: "PUBLISH Subscription Identifier", code: colibri.ProtocolError},
}

func TestValidPublish(t *testing.T)   { checkValid(t, validPublish) }
func TestInvalidPublish(t *testing.T) { checkInvalid(t, invalidPublish) }

func TestRefusedPublish(t *testing.T) {
	long := strings.Repeat("t", 65536)
	checkRefused(t, []refused{
		{name: "[MQTT-3.3.1-4] QoS 3", v: v5, p: &packet.Publish{Topic: "a", QoS: 3, PacketID: 1},
			op: "PUBLISH QoS level", code: colibri.MalformedPacket, rule: "MQTT-3.3.1-4"},
		{name: "[MQTT-3.3.1-4] QoS 4", v: v5, p: &packet.Publish{Topic: "a", QoS: 4, PacketID: 1},
			op: "PUBLISH QoS level", code: colibri.MalformedPacket, rule: "MQTT-3.3.1-4"},
		{name: "[MQTT311-3.3.1-4] QoS 3", v: v311, p: &packet.Publish{Topic: "a", QoS: 3, PacketID: 1},
			op: "PUBLISH QoS level", code: colibri.MalformedPacket, rule: "MQTT311-3.3.1-4"},
		{name: "[MQTT-3.3.1-2] [MQTT-4.3.1-1] DUP with QoS 0", v: v5, p: &packet.Publish{Topic: "a", Dup: true},
			op: "PUBLISH DUP flag", code: colibri.MalformedPacket, rule: "MQTT-3.3.1-2"},
		{name: "[MQTT311-3.3.1-2] [MQTT311-4.3.1-1] DUP with QoS 0", v: v311, p: &packet.Publish{Topic: "a", Dup: true},
			op: "PUBLISH DUP flag", code: colibri.MalformedPacket, rule: "MQTT311-3.3.1-2"},
		{name: "[MQTT-2.2.1-4] Packet Identifier 0", v: v5, p: &packet.Publish{Topic: "a", QoS: 1},
			op: "PUBLISH Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-3"},
		{name: "[MQTT311-2.3.1-1] Packet Identifier 0", v: v311, p: &packet.Publish{Topic: "a", QoS: 2},
			op: "PUBLISH Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-1"},
		{name: "[MQTT-2.2.1-2] Packet Identifier with QoS 0", v: v5, p: &packet.Publish{Topic: "a", PacketID: 1},
			op: "PUBLISH Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-2"},
		{name: "[MQTT311-2.3.1-5] Packet Identifier with QoS 0", v: v311, p: &packet.Publish{Topic: "a", PacketID: 1},
			op: "PUBLISH Packet Identifier", code: colibri.ProtocolError, rule: "MQTT311-2.3.1-5"},
		{name: "[MQTT-3.3.2-2] wildcard", v: v5, p: &packet.Publish{Topic: "a/+"},
			op: "PUBLISH Topic Name", code: colibri.TopicNameInvalid, rule: "MQTT-3.3.2-2"},
		{name: "[MQTT311-3.3.2-2] wildcard", v: v311, p: &packet.Publish{Topic: "a/#"},
			op: "PUBLISH Topic Name", code: colibri.TopicNameInvalid, rule: "MQTT311-3.3.2-2"},
		{name: "[MQTT-4.7.3-1] no Topic Name", v: v5, p: &packet.Publish{},
			op: "PUBLISH Topic Name", code: colibri.ProtocolError, rule: "MQTT-4.7.3-1"},
		{name: "[MQTT-4.7.3-3] Topic Name of 65,536 bytes", v: v5, p: &packet.Publish{Topic: long},
			op: "PUBLISH Topic Name", code: colibri.MalformedPacket},
		{name: "[MQTT311-4.7.3-3] Topic Name of 65,536 bytes", v: v311, p: &packet.Publish{Topic: long},
			op: "PUBLISH Topic Name", code: colibri.MalformedPacket},
		{name: "properties", v: v311, p: &packet.Publish{Topic: "a", Properties: colibri.Properties{user("a", "b")}},
			op: "PUBLISH Properties", code: colibri.ProtocolError},
		{name: "property of another packet", v: v5,
			p:  &packet.Publish{Topic: "a", Properties: colibri.Properties{number(colibri.WillDelayInterval, 1)}},
			op: "PUBLISH Will Delay Interval", code: colibri.MalformedPacket},
		{name: "property twice", v: v5,
			p: &packet.Publish{Topic: "a", Properties: colibri.Properties{
				value(colibri.ContentType, "x"), value(colibri.ContentType, "y")}},
			op: "PUBLISH Content Type", code: colibri.ProtocolError},
		{name: "unknown property", v: v5, p: &packet.Publish{Topic: "a", Properties: colibri.Properties{{ID: 0x7F}}},
			op: "PUBLISH Property Identifier", code: colibri.MalformedPacket},
		{name: "Subscription Identifier too large", v: v5,
			p:  &packet.Publish{Topic: "a", Properties: colibri.Properties{number(colibri.SubscriptionIdentifier, 268_435_456)}},
			op: "PUBLISH Subscription Identifier", code: colibri.ProtocolError},
		{name: "Topic Alias too large", v: v5,
			p:  &packet.Publish{Topic: "a", Properties: colibri.Properties{number(colibri.TopicAlias, 65_536)}},
			op: "PUBLISH Topic Alias", code: colibri.TopicAliasInvalid, rule: "MQTT-3.3.2-8"},
		{name: "[MQTT-3.3.2-8] Topic Alias 0", v: v5,
			p:  &packet.Publish{Topic: "a", Properties: colibri.Properties{number(colibri.TopicAlias, 0)}},
			op: "PUBLISH Topic Alias", code: colibri.TopicAliasInvalid, rule: "MQTT-3.3.2-8"},
		{name: "Correlation Data of 65,536 bytes", v: v5,
			p:  &packet.Publish{Topic: "a", Properties: colibri.Properties{value(colibri.CorrelationData, long)}},
			op: "PUBLISH Correlation Data", code: colibri.MalformedPacket},
		{name: "before the version is known", v: 0, p: &packet.Publish{Topic: "a"},
			op: "PUBLISH MQTT Control Packet type", code: colibri.ProtocolError, rule: "MQTT-3.1.0-1"},
	})
}

// TestPublishTooLarge: the largest packet of the standard has 268,435,455 bytes
// behind its Fixed Header. The payload is not copied to find that out.
func TestPublishTooLarge(t *testing.T) {
	b := []byte("kept")
	p := &packet.Publish{Topic: "a", Payload: make([]byte, 268_435_455-2)} // 2 bytes and 1 for the Topic Name
	got, err := packet.AppendPublish(b, p, v311)
	checkError(t, err, "PUBLISH Remaining Length", colibri.PacketTooLarge, "")
	if string(got) != "kept" {
		t.Errorf("got %d bytes appended, want none", len(got)-4)
	}
}

// TestAppendLengths crosses every width of the Remaining Length and of the Property Length.
func TestAppendLengths(t *testing.T) {
	for _, size := range []int{0, 1, 100, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 16_370, 16_376, 16_377, 16_378,
		16_379, 16_380, 16_381, 16_382, 16_383, 16_384, 16_385, 2_097_140, 2_097_145, 2_097_148, 2_097_150, 2_097_152} {
		for _, propertyBytes := range []int{-1, 0, 100, 121, 122, 123, 124, 16_370, 16_376, 16_377, 16_378, 16_379} {
			p := &packet.Publish{Topic: "a", Payload: make([]byte, size)}
			v := v311
			if propertyBytes >= 0 {
				v = v5
				p.Properties = colibri.Properties{user("", strings.Repeat("x", propertyBytes))}
			}
			b, err := packet.Append([]byte("kept"), p, v)
			if err != nil {
				t.Fatalf("payload %d, property %d: %v", size, propertyBytes, err)
			}
			got, n, err := packet.Decode(b[4:], v)
			if err != nil || n != len(b)-4 {
				t.Fatalf("payload %d, property %d: got %d of %d bytes, %v", size, propertyBytes, n, len(b)-4, err)
			}
			if q := got.(*packet.Publish); len(q.Payload) != size || q.Topic != "a" || len(q.Properties) != len(p.Properties) ||
				propertyBytes >= 0 && len(q.Properties[0].Value) != propertyBytes {
				t.Errorf("payload %d, property %d: the packet came back different", size, propertyBytes)
			}
		}
	}
}

func TestAppendNothing(t *testing.T) {
	if _, err := packet.Append(nil, nil, v5); err == nil {
		t.Error("got no error for no packet")
	} else if e := (*colibri.Error)(nil); errors.As(err, &e) {
		t.Errorf("got %v: no packet is no fault of the protocol", err)
	}
}
