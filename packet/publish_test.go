package packet_test

import (
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

func user(name, value string) colibri.Property {
	return colibri.Property{ID: colibri.UserProperty, Name: name, Value: value}
}

func number(id colibri.PropertyID, n uint32) colibri.Property {
	return colibri.Property{ID: id, Number: n}
}

func value(id colibri.PropertyID, s string) colibri.Property {
	return colibri.Property{ID: id, Value: s}
}

var validPublish = []valid{
	{name: "QoS 0 [MQTT311-2.3.1-5] no Packet Identifier", v: v311, wire: `30 # "a/b" 'hello'`,
		want: &packet.Publish{Topic: "a/b", Payload: []byte("hello")}},
	{name: "QoS 1", v: v311, wire: `32 # "a" 12 34 'x'`,
		want: &packet.Publish{Topic: "a", QoS: 1, PacketID: 0x1234, Payload: []byte("x")}},
	{name: "QoS 0 [MQTT-2.2.2-1] no properties", v: v5, wire: `30 # "a" {} 'x'`,
		want: &packet.Publish{Topic: "a", Payload: []byte("x")}},
}

func TestValidPublish(t *testing.T) { checkValid(t, validPublish) }
