package interop

import (
	"context"
	"net"
	"testing"

	pahov5 "github.com/eclipse/paho.golang/paho"
)

// pahoV5 drives eclipse/paho.golang (5.0). Each connection starts with an empty
// state, as a program does that was started anew.
type pahoV5 struct{}

func openPahoV5(*testing.T) driver { return pahoV5{} }

type pahoV5Connection struct {
	client   *pahov5.Client
	conn     net.Conn
	received *inbox
}

func (pahoV5) connect(o connectOptions) (connection, connack, error) {
	conn, err := net.Dial("tcp", o.address())
	if err != nil {
		return nil, connack{}, err
	}
	c := &pahoV5Connection{conn: conn, received: newInbox()}
	c.client = pahov5.NewClient(pahov5.ClientConfig{
		ClientID:      o.ClientID,
		Conn:          conn,
		PacketTimeout: patience,
		OnPublishReceived: []func(pahov5.PublishReceived) (bool, error){
			func(r pahov5.PublishReceived) (bool, error) {
				c.received.put(fromPahoV5(r.Packet))
				return true, nil
			},
		},
		OnServerDisconnect: func(p *pahov5.Disconnect) { c.received.end(int(p.ReasonCode)) },
		OnClientError:      func(error) { c.received.end(notTold) },
	})
	p := &pahov5.Connect{
		ClientID:   o.ClientID,
		CleanStart: o.Clean,
		KeepAlive:  60,
		Properties: &pahov5.ConnectProperties{SessionExpiryInterval: o.SessionExpiry, RequestProblemInfo: true},
	}
	if o.Will != nil {
		p.WillMessage = &pahov5.WillMessage{Topic: o.Will.Topic, Payload: o.Will.Payload, QoS: o.Will.QoS, Retain: o.Will.Retain}
		p.WillProperties = &pahov5.WillProperties{
			WillDelayInterval: o.WillDelay, ContentType: o.Will.ContentType, ResponseTopic: o.Will.ResponseTopic,
			CorrelationData: o.Will.CorrelationData, MessageExpiry: o.Will.MessageExpiry, PayloadFormat: o.Will.PayloadFormat,
		}
		for _, u := range o.Will.UserProperties {
			p.WillProperties.User.Add(u[0], u[1])
		}
	}
	answer, err := c.client.Connect(context.Background(), p)
	if answer == nil {
		return nil, connack{}, err
	}
	told := connack{SessionPresent: answer.SessionPresent, Code: int(answer.ReasonCode)}
	if answer.Properties != nil {
		told.AssignedClientID = answer.Properties.AssignedClientID
	}
	return c, told, err
}

func fromPahoV5(p *pahov5.Publish) message {
	m := message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Duplicate: p.Duplicate()}
	if p.Properties == nil {
		return m
	}
	m.ContentType = p.Properties.ContentType
	m.ResponseTopic = p.Properties.ResponseTopic
	m.CorrelationData = p.Properties.CorrelationData
	m.MessageExpiry = p.Properties.MessageExpiry
	m.PayloadFormat = p.Properties.PayloadFormat
	for _, u := range p.Properties.User {
		m.UserProperties = append(m.UserProperties, [2]string{u.Key, u.Value})
	}
	if p.Properties.SubscriptionIdentifier != nil {
		m.SubscriptionIDs = []int{*p.Properties.SubscriptionIdentifier}
	}
	return m
}

func (c *pahoV5Connection) subscribe(s subscription) (int, error) {
	p := &pahov5.Subscribe{Subscriptions: []pahov5.SubscribeOptions{{
		Topic: s.Filter, QoS: s.QoS, NoLocal: s.NoLocal,
		RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling,
	}}}
	if s.ID != 0 {
		p.Properties = &pahov5.SubscribeProperties{SubscriptionIdentifier: &s.ID}
	}
	answer, err := c.client.Subscribe(context.Background(), p)
	if answer == nil {
		return notTold, err
	}
	return int(answer.Reasons[0]), nil
}

func (c *pahoV5Connection) unsubscribe(filter string) (int, error) {
	answer, err := c.client.Unsubscribe(context.Background(), &pahov5.Unsubscribe{Topics: []string{filter}})
	if answer == nil {
		return notTold, err
	}
	return int(answer.Reasons[0]), nil
}

func (c *pahoV5Connection) publish(m message) (int, error) {
	p := &pahov5.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain}
	if m.hasProperties() {
		p.Properties = &pahov5.PublishProperties{
			ContentType: m.ContentType, ResponseTopic: m.ResponseTopic, CorrelationData: m.CorrelationData,
			MessageExpiry: m.MessageExpiry, PayloadFormat: m.PayloadFormat,
		}
		for _, u := range m.UserProperties {
			p.Properties.User.Add(u[0], u[1])
		}
	}
	answer, err := c.client.Publish(context.Background(), p)
	if err != nil || answer == nil || m.QoS != 1 {
		return notTold, err // of QoS 2 the library tells the PUBCOMP, not the PUBREC
	}
	return int(answer.ReasonCode), nil
}

func (c *pahoV5Connection) disconnect(code byte) error {
	return c.client.Disconnect(&pahov5.Disconnect{ReasonCode: code})
}

func (c *pahoV5Connection) abort() error { return c.conn.Close() }

func (c *pahoV5Connection) inbox() *inbox { return c.received }
