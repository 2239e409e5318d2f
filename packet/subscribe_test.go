package packet_test

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

var validSubscribe = []valid{
	{name: "one filter", v: v31, wire: `82 # 00 01 "a" 01`,
		want: &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a", QoS: 1}}}},
	{name: "again", v: v31, wire: `8A # 00 01 "a" 00`,
		want: &packet.Subscribe{PacketID: 1, Dup: true, Subscriptions: []colibri.Subscription{{Filter: "a"}}}},
	{name: "three filters [MQTT311-2.3.1-1]", v: v311, wire: `82 # FF FF "a/#" 00 "+" 01 "c" 02`,
		want: &packet.Subscribe{PacketID: 65535, Subscriptions: []colibri.Subscription{
			{Filter: "a/#"}, {Filter: "+", QoS: 1}, {Filter: "c", QoS: 2}}}},
	{name: "one filter [MQTT-2.2.2-1] [MQTT-2.2.1-3]", v: v5, wire: `82 # 00 01 {} "a" 00`,
		want: &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a"}}}},
	{name: "all options", v: v5, wire: `82 # 00 01 {} "a" 01 "b" 04 "c" 08 "d" 10 "e" 20 "f" 2E`,
		want: &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{
			{Filter: "a", QoS: 1}, {Filter: "b", NoLocal: true}, {Filter: "c", RetainAsPublished: true},
			{Filter: "d", RetainHandling: colibri.SendRetainedIfNew}, {Filter: "e", RetainHandling: colibri.NoRetained},
			{Filter: "f", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: colibri.NoRetained}}}},
	{name: "Subscription Identifier", v: v5, wire: `82 # 00 01 { 26 "k" "v" 0B 80 01 } "a" 00 "$share/g/b" 02`,
		want: &packet.Subscribe{PacketID: 1,
			Properties: colibri.Properties{user("k", "v"), number(colibri.SubscriptionIdentifier, 128)},
			Subscriptions: []colibri.Subscription{
				{Filter: "a", Identifier: 128}, {Filter: "$share/g/b", QoS: 2, Identifier: 128}}}},
	{name: "filters are not judged", v: v5, wire: `82 # 00 01 {} "a#" 00 "" 00 "$share" 00`,
		want: &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a#"}, {}, {Filter: "$share"}}}},
}

var invalidSubscribe = []invalid{
	{name: "[MQTT-3.8.3-2] no filter", v: v5, wire: `82 # 00 01 {}`,
		op: "SUBSCRIBE Topic Filter", code: colibri.ProtocolError, rule: "MQTT-3.8.3-2"},
	{name: "[MQTT311-3.8.3-3] no filter", v: v311, wire: `82 # 00 01`,
		op: "SUBSCRIBE Topic Filter", code: colibri.MalformedPacket, rule: "MQTT311-3.8.3-3"},
	{name: "[MQTT-2.2.1-3] Packet Identifier 0", v: v5, wire: `82 # 00 00 {} "a" 00`,
		op: "SUBSCRIBE Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-3"},
	{name: "[MQTT311-2.3.1-1] Packet Identifier 0", v: v311, wire: `82 # 00 00 "a" 00`,
		op: "SUBSCRIBE Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-1"},
	{name: "[MQTT-3.8.3-5] reserved bit 6", v: v5, wire: `82 # 00 01 {} "a" 40`,
		op: "SUBSCRIBE Subscription Options", code: colibri.MalformedPacket, rule: "MQTT-3.8.3-5"},
	{name: "[MQTT-3.8.3-5] reserved bit 7", v: v5, wire: `82 # 00 01 {} "a" 80`,
		op: "SUBSCRIBE Subscription Options", code: colibri.MalformedPacket, rule: "MQTT-3.8.3-5"},
	{name: "QoS 3", v: v5, wire: `82 # 00 01 {} "a" 03`, op: "SUBSCRIBE Maximum QoS", code: colibri.ProtocolError},
	{name: "Retain Handling 3", v: v5, wire: `82 # 00 01 {} "a" 30`, op: "SUBSCRIBE Retain Handling", code: colibri.ProtocolError},
	{name: "QoS 3", v: v311, wire: `82 # 00 01 "a" 03`, op: "SUBSCRIBE Maximum QoS", code: colibri.MalformedPacket},
	{name: "reserved bit 2", v: v311, wire: `82 # 00 01 "a" 04`, op: "SUBSCRIBE Requested QoS", code: colibri.MalformedPacket},
	{name: "reserved bit 7", v: v31, wire: `82 # 00 01 "a" 80`, op: "SUBSCRIBE Requested QoS", code: colibri.MalformedPacket},
	{name: "no options", v: v5, wire: `82 # 00 01 {} "a"`, op: "SUBSCRIBE Subscription Options", code: colibri.MalformedPacket},
	{name: "second filter without QoS", v: v311, wire: `82 # 00 01 "a" 00 "b"`,
		op: "SUBSCRIBE Requested QoS", code: colibri.MalformedPacket},
	{name: "filter goes past the end", v: v311, wire: `82 # 00 01 00 05 'a' 00`, op: "SUBSCRIBE Topic Filter", code: colibri.MalformedPacket},
	{name: "Subscription Identifier 0", v: v5, wire: `82 # 00 01 { 0B 00 } "a" 00`,
		op: "SUBSCRIBE Subscription Identifier", code: colibri.ProtocolError},
	{name: "Subscription Identifier twice", v: v5, wire: `82 # 00 01 { 0B 01 0B 02 } "a" 00`,
		op: "SUBSCRIBE Subscription Identifier", code: colibri.ProtocolError},
	{name: "[MQTT-2.2.2-1] no Property Length", v: v5, wire: `82 # 00 01`, op: "SUBSCRIBE Property Length", code: colibri.MalformedPacket},
	{name: "nothing", v: v5, wire: `82 00`, op: "SUBSCRIBE Packet Identifier", code: colibri.MalformedPacket},
}

func TestValidSubscribe(t *testing.T)   { checkValid(t, validSubscribe) }
func TestInvalidSubscribe(t *testing.T) { checkInvalid(t, invalidSubscribe) }

func TestRefusedSubscribe(t *testing.T) {
	one := []colibri.Subscription{{Filter: "a"}}
	with := func(s colibri.Subscription) []colibri.Subscription { return []colibri.Subscription{s} }
	checkRefused(t, []refused{
		{name: "[MQTT-3.8.3-2] no filter", v: v5, p: &packet.Subscribe{PacketID: 1},
			op: "SUBSCRIBE Topic Filter", code: colibri.ProtocolError, rule: "MQTT-3.8.3-2"},
		{name: "[MQTT311-3.8.3-3] no filter", v: v311, p: &packet.Subscribe{PacketID: 1},
			op: "SUBSCRIBE Topic Filter", code: colibri.MalformedPacket, rule: "MQTT311-3.8.3-3"},
		{name: "[MQTT-2.2.1-3] Packet Identifier 0", v: v5, p: &packet.Subscribe{Subscriptions: one},
			op: "SUBSCRIBE Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-3"},
		{name: "[MQTT-3.8.1-1] DUP", v: v5, p: &packet.Subscribe{PacketID: 1, Dup: true, Subscriptions: one},
			op: "SUBSCRIBE Fixed Header flags", code: colibri.MalformedPacket, rule: "MQTT-3.8.1-1"},
		{name: "[MQTT311-3.8.1-1] DUP", v: v311, p: &packet.Subscribe{PacketID: 1, Dup: true, Subscriptions: one},
			op: "SUBSCRIBE Fixed Header flags", code: colibri.MalformedPacket, rule: "MQTT311-3.8.1-1"},
		{name: "QoS 3", v: v5, p: &packet.Subscribe{PacketID: 1, Subscriptions: with(colibri.Subscription{Filter: "a", QoS: 3})},
			op: "SUBSCRIBE Maximum QoS", code: colibri.ProtocolError},
		{name: "Retain Handling 3", v: v5, p: &packet.Subscribe{PacketID: 1,
			Subscriptions: with(colibri.Subscription{Filter: "a", RetainHandling: 3})},
			op: "SUBSCRIBE Retain Handling", code: colibri.ProtocolError},
		{name: "No Local", v: v311, p: &packet.Subscribe{PacketID: 1,
			Subscriptions: with(colibri.Subscription{Filter: "a", NoLocal: true})},
			op: "SUBSCRIBE Subscription Options", code: colibri.ProtocolError},
		{name: "[MQTT-4.7.3-3] filter of 65,536 bytes", v: v5, p: &packet.Subscribe{PacketID: 1,
			Subscriptions: with(colibri.Subscription{Filter: strings.Repeat("a", 65536)})},
			op: "SUBSCRIBE Topic Filter", code: colibri.MalformedPacket},
		{name: "properties", v: v311, p: &packet.Subscribe{PacketID: 1, Subscriptions: one,
			Properties: colibri.Properties{user("a", "b")}},
			op: "SUBSCRIBE Properties", code: colibri.ProtocolError},
	})
}

var validSuback = []valid{
	{name: "granted", v: v31, wire: "90 # 00 01 02", want: &packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{2}}},
	{name: "all codes in their order [MQTT311-3.9.3-1] [MQTT311-3.9.3-2] [MQTT311-2.3.1-7]", v: v311, wire: "90 # 12 34 80 02 01 00",
		want: &packet.Suback{PacketID: 0x1234, Codes: []colibri.ReasonCode{0x80, 2, 1, 0}}},
	{name: "codes in their order [MQTT-3.9.3-1] [MQTT-2.2.1-6]", v: v5, wire: `90 # 12 34 { 1F "why" 26 "k" "v" } A2 02 87 00`,
		want: &packet.Suback{PacketID: 0x1234, Properties: reason, Codes: []colibri.ReasonCode{
			colibri.WildcardSubscriptionsNotSupported, colibri.GrantedQoS2, colibri.NotAuthorized, colibri.GrantedQoS0}}},
	{name: "no properties [MQTT-2.2.2-1]", v: v5, wire: "90 # 00 01 {} 01", want: &packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{1}}},
}

var invalidSuback = []invalid{
	{name: "[MQTT311-3.9.3-2] QoS 3", v: v311, wire: "90 # 00 01 03",
		op: "SUBACK Return Code", code: colibri.MalformedPacket, rule: "MQTT311-3.9.3-2"},
	{name: "[MQTT311-3.9.3-2] code of 5.0", v: v311, wire: "90 # 00 01 00 87",
		op: "SUBACK Return Code", code: colibri.MalformedPacket, rule: "MQTT311-3.9.3-2"},
	{name: "[MQTT-3.9.3-2] QoS 3", v: v5, wire: "90 # 00 01 {} 03",
		op: "SUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.9.3-2"},
	{name: "[MQTT-3.8.4-6] no code", v: v5, wire: "90 # 00 01 {}",
		op: "SUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.8.4-6"},
	{name: "[MQTT311-3.8.4-5] no code", v: v311, wire: "90 # 00 01",
		op: "SUBACK Return Code", code: colibri.MalformedPacket, rule: "MQTT311-3.8.4-5"},
	{name: "[MQTT-2.2.1-6] Packet Identifier 0", v: v5, wire: "90 # 00 00 {} 00",
		op: "SUBACK Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-6"},
	{name: "[MQTT311-2.3.1-7] Packet Identifier 0", v: v311, wire: "90 # 00 00 00",
		op: "SUBACK Packet Identifier", code: colibri.MalformedPacket, rule: "MQTT311-2.3.1-7"},
	{name: "[MQTT-2.2.2-1] no Property Length", v: v5, wire: "90 # 00 01", op: "SUBACK Property Length", code: colibri.MalformedPacket},
}

func TestValidSuback(t *testing.T)   { checkValid(t, validSuback) }
func TestInvalidSuback(t *testing.T) { checkInvalid(t, invalidSuback) }

func TestRefusedSuback(t *testing.T) {
	checkRefused(t, []refused{
		{name: "[MQTT311-3.9.3-2] code of 5.0", v: v311, p: &packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{colibri.NotAuthorized}},
			op: "SUBACK Return Code", code: colibri.MalformedPacket, rule: "MQTT311-3.9.3-2"},
		{name: "[MQTT-3.9.3-2] code of UNSUBACK", v: v5,
			p:  &packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{0, colibri.NoSubscriptionExisted}},
			op: "SUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.9.3-2"},
		{name: "[MQTT-3.8.4-6] no code", v: v5, p: &packet.Suback{PacketID: 1},
			op: "SUBACK Reason Code", code: colibri.ProtocolError, rule: "MQTT-3.8.4-6"},
		{name: "[MQTT-2.2.1-6] Packet Identifier 0", v: v5, p: &packet.Suback{Codes: []colibri.ReasonCode{0}},
			op: "SUBACK Packet Identifier", code: colibri.ProtocolError, rule: "MQTT-2.2.1-6"},
		{name: "properties", v: v311, p: &packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{0}, Properties: reason},
			op: "SUBACK Properties", code: colibri.ProtocolError},
	})
}
