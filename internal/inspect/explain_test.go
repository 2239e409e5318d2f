package inspect_test

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/packet"
)

// everyPacket returns packets that hold each field that a version has.
func everyPacket(v colibri.Version) []packet.Packet {
	will := &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1}
	connect := &packet.Connect{Version: v, ClientID: "id", Will: will, HasUserName: true, UserName: "u", HasPassword: true, Password: []byte("p")}
	all := []packet.Packet{
		connect, &packet.Connack{}, &packet.Publish{Topic: "a", QoS: 1, PacketID: 1, Payload: []byte("x")},
		&packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 1}, &packet.Pubrel{PacketID: 1}, &packet.Pubcomp{PacketID: 1},
		&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a"}}},
		&packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{0}}, &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}},
		&packet.Pingreq{}, &packet.Pingresp{}, &packet.Disconnect{},
	}
	unsuback := &packet.Unsuback{PacketID: 1}
	all = append(all, unsuback)
	if v != colibri.V5 {
		return all
	}
	unsuback.Codes = []colibri.ReasonCode{0}
	auth := &packet.Auth{Code: colibri.ContinueAuthentication}
	lists := map[packet.Type]*colibri.Properties{
		packet.CONNECT: &connect.Properties, packet.CONNACK: &all[1].(*packet.Connack).Properties,
		packet.PUBLISH: &all[2].(*packet.Publish).Properties, packet.SUBSCRIBE: &all[7].(*packet.Subscribe).Properties,
		packet.DISCONNECT: &all[12].(*packet.Disconnect).Properties, packet.AUTH: &auth.Properties,
		packet.PUBACK: &all[3].(*packet.Puback).Properties,
	}
	for id := colibri.PropertyID(1); id <= colibri.SharedSubscriptionAvailable; id++ {
		if packet.PropertyType(id) == 0 {
			continue
		}
		p := colibri.Property{ID: id, Number: 1, Name: "n", Value: "v"}
		for t, list := range lists {
			if packet.PropertyAllowed(id, t) {
				*list = append(*list, p)
			}
		}
		if packet.WillProperty(id) {
			will.Properties = append(will.Properties, p)
		}
	}
	return append(all, auth)
}

// TestExplainIsComplete: each packet and each field of each version has a text in both
// languages, and a section.
func TestExplainIsComplete(t *testing.T) {
	seen := 0
	for _, v := range []colibri.Version{colibri.V31, colibri.V311, colibri.V5} {
		for _, p := range everyPacket(v) {
			r := &inspect.Record{Type: p.Type(), Packet: p, Version: v, FromClient: true, Bytes: []byte(wireBytes(t, p, v))}
			r.Size = len(r.Bytes)
			for _, e := range []*inspect.Explainer{{}, {French: true}} {
				if text := e.Packet(r); !strings.Contains(text, "MQTT") || !strings.Contains(text, "section") {
					t.Errorf("%s %s, French %v: got %q", v, r.Type, e.French, text)
				}
				for i, f := range r.Fields() {
					if i == 0 {
						continue
					}
					seen++
					text, section := e.Field(&f, r.Type, v)
					if text == "" || section == "" {
						t.Errorf("%s %s %s, French %v: text %q, section %q", v, r.Type, f.Name, e.French, text, section)
					}
					if v != colibri.V5 && strings.Contains(section, "5.0") {
						t.Errorf("%s %s %s: section %q", v, r.Type, f.Name, section)
					}
				}
			}
		}
	}
	if seen < 500 {
		t.Errorf("looked at %d fields only", seen)
	}
}

// TestExplainSituation: the same packet is explained by what it does here.
func TestExplainSituation(t *testing.T) {
	for _, tt := range []struct {
		p      packet.Packet
		client bool
		want   string
	}{
		{&packet.Publish{Topic: "a"}, true, "sent once and forgotten"},
		{&packet.Publish{Topic: "a", QoS: 1, PacketID: 1}, true, "at least once"},
		{&packet.Publish{Topic: "a", QoS: 2, PacketID: 1}, true, "exactly once"},
		{&packet.Connack{}, false, "has no session of it"},
		{&packet.Connack{SessionPresent: true}, false, "still has its session"},
		{&packet.Connack{Code: colibri.NotAuthorized}, false, "refuses the client"},
		{&packet.Suback{Codes: []colibri.ReasonCode{0, 0x87}}, false, "refuses at least one"},
		{&packet.Puback{Code: colibri.QuotaExceeded}, false, "does not take it"},
		{&packet.Pubrec{Code: colibri.QuotaExceeded}, false, "no PUBREL follows"},
		{&packet.Disconnect{}, true, "in good order"},
		{&packet.Disconnect{Code: colibri.DisconnectWithWillMessage}, true, "nevertheless"},
		{&packet.Disconnect{Code: colibri.ServerShuttingDown}, false, "The server ends"},
	} {
		r := &inspect.Record{Type: tt.p.Type(), Packet: tt.p, Version: colibri.V5, FromClient: tt.client}
		if got := (&inspect.Explainer{}).Packet(r); !strings.Contains(got, tt.want) {
			t.Errorf("%+v: got %q, want %q in it", tt.p, got, tt.want)
		}
	}
}

func TestExplainFault(t *testing.T) {
	for _, tt := range []struct {
		bytes  string
		v      colibri.Version
		en, fr string
	}{
		{"\x82\x02\x00\x00", colibri.V5, "Fault: SUBSCRIBE Packet Identifier: is 0. Who receives it answers Protocol Error (0x82), or closes the connection. It breaks the rule [MQTT-2.2.1-3] of MQTT 5.0.",
			"vaut 0"},
		{"\x82\x02\x00\x00", colibri.V311, "It breaks the rule [MQTT311-2.3.1-1] of MQTT 3.1.1.", "Règle enfreinte"},
		{"\x30\x05\x00\x03a/#", colibri.V5, "holds a wildcard character", "contient un joker"},
	} {
		_, _, _, err := packet.Dissect([]byte(tt.bytes), tt.v)
		if got := (&inspect.Explainer{}).FaultOf(err); !strings.Contains(got, tt.en) {
			t.Errorf("%x: got %q, want %q in it", tt.bytes, got, tt.en)
		}
		if got := (&inspect.Explainer{French: true}).FaultOf(err); !strings.Contains(got, tt.fr) {
			t.Errorf("%x: got %q, want %q in it", tt.bytes, got, tt.fr)
		}
	}
}
