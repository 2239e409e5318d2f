package client

import (
	"errors"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// receive takes one packet of the Server after the CONNACK. It needs the lock. An
// error ends the connection.
func (c *Client) receive(cn *conn, p packet.Packet) error {
	switch p := p.(type) {
	case *packet.Publish:
		return c.publishReceived(cn, p)
	case *packet.Puback, *packet.Pubrec, *packet.Pubcomp:
		return c.acknowledged(cn, p)
	case *packet.Pubrel:
		return c.pubrelReceived(cn, p)
	case *packet.Suback:
		return c.answered(p.PacketID, p)
	case *packet.Unsuback:
		return c.answered(p.PacketID, p)
	case *packet.Pingresp:
		cn.pinged = time.Time{}
		return nil
	case *packet.Disconnect:
		if c.o.Version == colibri.V5 {
			return &Refusal{Packet: packet.DISCONNECT, Code: p.Code, Properties: p.Properties.Clone()}
		}
	case *packet.Auth:
		return c.authReceived(cn, p)
	}
	return &colibri.Error{Op: p.Type().String(), Code: colibri.ProtocolError,
		Err: errors.New("a Server does not send that packet here")}
}

// publishReceived takes a PUBLISH.
func (c *Client) publishReceived(cn *conn, p *packet.Publish) error {
	name, err := c.topicName(cn, p)
	if err != nil {
		return err
	}
	if p.QoS == colibri.AtMostOnce {
		c.dispatch(c.message(p, name), p)
		return nil
	}
	isNew, err := c.receiver.Publish(p.PacketID, p.QoS)
	switch err {
	case nil:
	case colibri.ReceiveMaximumExceeded:
		return &colibri.Error{Op: "PUBLISH", Code: colibri.ReceiveMaximumExceeded, Rule: "MQTT-3.3.4-9"}
	default:
		return &colibri.Error{Op: "PUBLISH Packet Identifier", Code: colibri.ProtocolError, Err: err}
	}
	d := c.unacked[p.PacketID]
	switch {
	case d != nil && d.conn == cn && (!isNew || p.Dup && d.qos == p.QoS):
		// A repeat on the same connection: its acknowledgement is on its way.
		if p.QoS == colibri.AtLeastOnce {
			c.receiver.Puback()
		}
	case d != nil && (!isNew || p.Dup && d.qos == p.QoS):
		// A repeat of what the program has, or is about to take [MQTT-4.3.3-10].
		d.conn = cn
		c.acks = append(c.acks, d)
	case !isNew: // a repeat of what was acknowledged [MQTT-4.3.3-10]
		c.acks = append(c.acks, &delivery{client: c, conn: cn, id: p.PacketID, qos: p.QoS})
	default:
		d = &delivery{client: c, conn: cn, id: p.PacketID, qos: p.QoS}
		if c.unacked == nil {
			c.unacked = make(map[uint16]*delivery)
		}
		c.unacked[p.PacketID] = d
		c.acks = append(c.acks, d)
		m := c.message(p, name)
		m.delivery = d
		c.dispatch(m, p)
	}
	c.acknowledge()
	return nil
}

// topicName returns the Topic Name of p, by its Topic Alias if it has one.
func (c *Client) topicName(cn *conn, p *packet.Publish) (string, error) {
	alias, ok := p.Properties.Number(colibri.TopicAlias)
	if !ok {
		return p.Topic, nil // the decoder has checked it
	}
	limit, _ := c.o.Properties.Number(colibri.TopicAliasMaximum)
	name := p.Topic
	if name == "" {
		name = cn.aliases[alias]
	}
	if alias == 0 || alias > limit || name == "" { // [MQTT-3.3.2-10] [MQTT-3.1.2-26] [MQTT-3.1.2-27]
		return "", &colibri.Error{Op: "PUBLISH Topic Alias", Code: colibri.TopicAliasInvalid, Rule: "MQTT-3.1.2-26",
			Err: errors.New("is unknown or more than we take")}
	}
	if p.Topic != "" {
		if cn.aliases == nil {
			cn.aliases = make(map[uint32]string)
		}
		name = string(append([]byte(nil), name...)) // out of the read buffer
		cn.aliases[alias] = name
	}
	return name, nil
}

// message returns a copy of what p holds that the program may keep.
func (c *Client) message(p *packet.Publish, name string) *Message {
	m := &Message{PacketID: p.PacketID, Dup: p.Dup}
	m.Message = *(&colibri.Message{Topic: name, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties}).Clone()
	for _, property := range m.Properties {
		if property.ID == colibri.SubscriptionIdentifier {
			m.Identifiers = append(m.Identifiers, property.Number)
		}
	}
	return m
}

// pubrelReceived takes a PUBREL: the PUBCOMP goes out in any case [MQTT-4.3.3-11].
func (c *Client) pubrelReceived(cn *conn, p *packet.Pubrel) error {
	if d := c.unacked[p.PacketID]; d != nil && d.qos == colibri.ExactlyOnce {
		return &colibri.Error{Op: "PUBREL", Code: colibri.ProtocolError, Err: errors.New("comes before the PUBREC")}
	}
	pubcomp := &packet.Pubcomp{PacketID: p.PacketID}
	if !c.receiver.Pubrel(p.PacketID) && c.o.Version == colibri.V5 {
		pubcomp.Code = colibri.PacketIdentifierNotFound
	}
	return c.send(cn, pubcomp)
}
