package session

import (
	"errors"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// receivePublish takes a message of the client. The broker answers the request with
// Published once it has taken ownership of the message.
func (s *Session) receivePublish(now time.Time, p *packet.Publish, out *Output) error {
	m := colibri.Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain}
	if s.version == colibri.V5 && len(p.Properties) > 0 {
		if err := s.publishProperties(now, p, &m); err != nil {
			return err
		}
	}
	if p.QoS > colibri.AtMostOnce {
		isNew, err := s.receiving.Publish(p.PacketID, p.QoS)
		switch {
		case err == colibri.ReceiveMaximumExceeded:
			return &colibri.Error{Op: "PUBLISH", Code: colibri.ReceiveMaximumExceeded, Rule: "MQTT-3.3.4-7",
				Err: errors.New("more QoS 1 and 2 messages than our Receive Maximum wait for their acknowledgement")}
		case err != nil:
			return &colibri.Error{Op: "PUBLISH Packet Identifier", Code: colibri.ProtocolError, Err: err}
		case !isNew:
			out.acknowledge(packet.PUBREC, p.PacketID, colibri.Success) // a repeat: not delivered again [MQTT-4.3.3-10]
			return nil
		}
	}
	out.Request = Request{Kind: Publish, PacketID: p.PacketID, Message: m}
	return nil
}

// publishProperties resolves the Topic Alias and keeps the properties that travel
// with the Message.
func (s *Session) publishProperties(now time.Time, p *packet.Publish, m *colibri.Message) error {
	travels := 0
	for i := range p.Properties {
		switch property := &p.Properties[i]; property.ID {
		case colibri.TopicAlias:
			topic, err := s.resolveAlias(property.Number, p.Topic)
			if err != nil {
				return err
			}
			m.Topic = topic
		case colibri.SubscriptionIdentifier:
			return protocolError("PUBLISH Subscription Identifier", "MQTT-3.3.4-6", "only a Server sends it")
		case colibri.MessageExpiryInterval:
			m.Expires = now.UnixNano() + int64(property.Number)*int64(time.Second)
			travels++
		default:
			travels++
		}
	}
	if travels == 0 {
		return nil
	}
	m.Properties = make(colibri.Properties, 0, travels) // the decoder uses its own again
	for _, property := range p.Properties {
		if property.ID != colibri.TopicAlias {
			m.Properties = append(m.Properties, property)
		}
	}
	return nil
}

// AliasedTopic returns the Topic Name that the Client has given a Topic Alias, empty for none.
func (s *Session) AliasedTopic(alias uint32) string {
	if alias == 0 || int(alias) > len(s.aliases) {
		return ""
	}
	return s.aliases[alias-1]
}

// resolveAlias returns the Topic Name of a PUBLISH that carries a Topic Alias, and
// remembers the name when the packet holds one.
func (s *Session) resolveAlias(alias uint32, topic string) (string, error) {
	if alias == 0 {
		return "", &colibri.Error{Op: "PUBLISH Topic Alias", Code: colibri.TopicAliasInvalid, Rule: "MQTT-3.3.2-8",
			Err: errors.New("must not be zero")}
	}
	if alias > uint32(s.limits.TopicAliasMaximum) {
		return "", &colibri.Error{Op: "PUBLISH Topic Alias", Code: colibri.TopicAliasInvalid, Rule: "MQTT-3.3.2-9",
			Err: errors.New("greater than our Topic Alias Maximum")}
	}
	if topic != "" {
		if s.aliases == nil {
			s.aliases = make([]string, s.limits.TopicAliasMaximum)
		}
		if s.aliases[alias-1] != topic {
			s.aliases[alias-1] = strings.Clone(topic)
		}
		return topic, nil
	}
	if s.aliases == nil || s.aliases[alias-1] == "" {
		return "", protocolError("PUBLISH Topic Alias", "", "no Topic Name was given for it on this Network Connection")
	}
	return s.aliases[alias-1], nil
}

// Published is the broker's answer to a Publish request with QoS 1 or 2: it has taken
// ownership of the message, or refuses it with a code of 0x80 or more. reason says in
// plain words what the code does not; empty when there is nothing to say. Nothing may
// leave before what it promises has been recorded.
func (s *Session) Published(id uint16, qos colibri.QoS, code colibri.ReasonCode, reason string, out *Output) {
	if s.version < colibri.V5 {
		code = colibri.Success // 3.1.1 has no way to say more [MQTT311-3.3.5-2]
	}
	switch qos {
	case colibri.AtLeastOnce:
		s.receiving.Puback()
		out.acknowledge(packet.PUBACK, id, code) // [MQTT-4.3.2-4]
		s.explain(reason, out)
	case colibri.ExactlyOnce:
		if code.Failed() {
			s.receiving.Forget(id) // [MQTT-4.3.3-9]
		}
		out.acknowledge(packet.PUBREC, id, code) // [MQTT-4.3.3-8]
		s.explain(reason, out)
	}
}

func (s *Session) receivePubrel(p *packet.Pubrel, out *Output) error {
	if s.receiving.Pubrel(p.PacketID) || s.version < colibri.V5 {
		out.acknowledge(packet.PUBCOMP, p.PacketID, colibri.Success) // [MQTT-4.3.3-11]
		return nil
	}
	out.acknowledge(packet.PUBCOMP, p.PacketID, colibri.PacketIdentifierNotFound)
	s.explain("no QoS 2 message with this Packet Identifier waits for its PUBREL", out)
	return nil
}
