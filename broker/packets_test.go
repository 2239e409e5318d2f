package broker_test

import (
	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Short forms of the packets that the scenarios exchange.

const (
	v31  = colibri.V31
	v311 = colibri.V311
	v5   = colibri.V5
)

// qos0, qos1 and qos2 return the PUBLISH of a message. A Packet Identifier of 0 in an
// expected packet stands for any.
func qos0(topic, payload string) *packet.Publish {
	return &packet.Publish{Topic: topic, Payload: []byte(payload)}
}

func qos1(id uint16, topic, payload string) *packet.Publish {
	return &packet.Publish{Topic: topic, Payload: []byte(payload), QoS: colibri.AtLeastOnce, PacketID: id}
}

func qos2(id uint16, topic, payload string) *packet.Publish {
	return &packet.Publish{Topic: topic, Payload: []byte(payload), QoS: colibri.ExactlyOnce, PacketID: id}
}

// dup and retain return p with one flag set, with adds properties.
func dup(p *packet.Publish) *packet.Publish {
	p.Dup = true
	return p
}

func retain(p *packet.Publish) *packet.Publish {
	p.Retain = true
	return p
}

func with(p *packet.Publish, ps colibri.Properties) *packet.Publish {
	p.Properties = append(p.Properties, ps...)
	return p
}

func puback(id uint16, code colibri.ReasonCode) packet.Packet {
	return &packet.Puback{PacketID: id, Code: code}
}

func pubrec(id uint16, code colibri.ReasonCode) packet.Packet {
	return &packet.Pubrec{PacketID: id, Code: code}
}

func pubrel(id uint16, code colibri.ReasonCode) packet.Packet {
	return &packet.Pubrel{PacketID: id, Code: code}
}

func pubcomp(id uint16, code colibri.ReasonCode) packet.Packet {
	return &packet.Pubcomp{PacketID: id, Code: code}
}

// in returns code for a version: before 5.0 acknowledgements have none.
func in(v colibri.Version, code colibri.ReasonCode) colibri.ReasonCode {
	if v < v5 {
		return colibri.Success
	}
	return code
}

// to returns the Subscription of a filter with a Maximum QoS.
func to(filter string, qos colibri.QoS) colibri.Subscription {
	return colibri.Subscription{Filter: filter, QoS: qos}
}

func subscribe(id uint16, subscriptions ...colibri.Subscription) *packet.Subscribe {
	return &packet.Subscribe{PacketID: id, Subscriptions: subscriptions}
}

// identified returns s with a Subscription Identifier.
func identified(s *packet.Subscribe, identifier uint32) *packet.Subscribe {
	s.Properties = number(colibri.SubscriptionIdentifier, identifier)
	return s
}

func suback(id uint16, codes ...colibri.ReasonCode) packet.Packet {
	return &packet.Suback{PacketID: id, Codes: codes}
}

func unsubscribe(id uint16, filters ...string) packet.Packet {
	return &packet.Unsubscribe{PacketID: id, Filters: filters}
}

// unsuback returns the answer for a version: before 5.0 it has no codes.
func unsuback(v colibri.Version, id uint16, codes ...colibri.ReasonCode) packet.Packet {
	if v < v5 {
		codes = nil
	}
	return &packet.Unsuback{PacketID: id, Codes: codes}
}

func number(id colibri.PropertyID, value uint32) colibri.Properties {
	return colibri.Properties{{ID: id, Number: value}}
}

func text(id colibri.PropertyID, value string) colibri.Properties {
	return colibri.Properties{{ID: id, Value: value}}
}

// Options of a CONNECT.

// resume asks for the Session that exists, and for one that outlives the connection.
func resume(c *packet.Connect) {
	c.CleanStart = false
	if c.Version == v5 {
		c.Properties = append(c.Properties, number(colibri.SessionExpiryInterval, 3600)...)
	}
}

// fresh asks for a new Session that outlives the connection; 5.0 only.
func fresh(c *packet.Connect) {
	c.Properties = append(c.Properties, number(colibri.SessionExpiryInterval, 3600)...)
}

func keepAlive(seconds uint16) func(*packet.Connect) {
	return func(c *packet.Connect) { c.KeepAlive = seconds }
}

func property(id colibri.PropertyID, value uint32) func(*packet.Connect) {
	return func(c *packet.Connect) { c.Properties = append(c.Properties, number(id, value)...) }
}

func will(p *packet.Publish) func(*packet.Connect) {
	return func(c *packet.Connect) {
		c.Will = &packet.Will{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties}
	}
}

func user(name, password string) func(*packet.Connect) {
	return func(c *packet.Connect) {
		c.HasUserName, c.UserName = true, name
		c.HasPassword, c.Password = true, []byte(password)
	}
}
