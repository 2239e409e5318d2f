package interop

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"testing"

	pahov3 "github.com/eclipse/paho.mqtt.golang"
)

// pahoV3 drives eclipse/paho.mqtt.golang (3.1 and 3.1.1). Each connection starts
// with an empty store, as a program does that was started anew.
type pahoV3 struct{}

func openPahoV3(*testing.T) driver { return pahoV3{} }

func init() { pahov3.ERROR = log.New(io.Discard, "", 0) }

type pahoV3Connection struct {
	client   pahov3.Client
	conn     net.Conn
	received *inbox
}

func (pahoV3) connect(o connectOptions) (connection, connack, error) {
	c := &pahoV3Connection{received: newInbox()}
	options := pahov3.NewClientOptions().
		AddBroker("tcp://" + o.address()).
		SetClientID(o.ClientID).
		SetCleanSession(o.Clean).
		SetProtocolVersion(uint(o.Version)).
		SetAutoReconnect(false).
		SetConnectTimeout(patience).
		SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ pahov3.Client, m pahov3.Message) { c.received.put(fromPahoV3(m)) }).
		SetConnectionLostHandler(func(pahov3.Client, error) { c.received.end(notTold) }).
		SetCustomOpenConnectionFn(func(*url.URL, pahov3.ClientOptions) (net.Conn, error) {
			var err error
			c.conn, err = net.Dial("tcp", o.address())
			return c.conn, err
		})
	if o.Will != nil {
		options.SetBinaryWill(o.Will.Topic, o.Will.Payload, o.Will.QoS, o.Will.Retain)
	}
	c.client = pahov3.NewClient(options)
	token := c.client.Connect().(*pahov3.ConnectToken)
	if !token.WaitTimeout(patience) {
		return nil, connack{}, errors.New("no CONNACK")
	}
	answer := connack{SessionPresent: token.SessionPresent(), Code: int(token.ReturnCode())}
	return c, answer, token.Error()
}

func fromPahoV3(m pahov3.Message) message {
	return message{Topic: m.Topic(), Payload: m.Payload(), QoS: m.Qos(), Retain: m.Retained(), Duplicate: m.Duplicate()}
}

func (c *pahoV3Connection) subscribe(s subscription) (int, error) {
	token := c.client.Subscribe(s.Filter, s.QoS, nil).(*pahov3.SubscribeToken)
	if !token.WaitTimeout(patience) {
		return notTold, errors.New("no SUBACK")
	}
	code, ok := token.Result()[s.Filter]
	if !ok {
		return notTold, fmt.Errorf("no result for %s: %w", s.Filter, token.Error())
	}
	return int(code), nil // a refusal is told by the code, and by an error that repeats it
}

func (c *pahoV3Connection) unsubscribe(filter string) (int, error) {
	token := c.client.Unsubscribe(filter)
	if !token.WaitTimeout(patience) {
		return notTold, errors.New("no UNSUBACK")
	}
	return notTold, token.Error()
}

func (c *pahoV3Connection) publish(m message) (int, error) {
	token := c.client.Publish(m.Topic, m.QoS, m.Retain, m.Payload)
	if !token.WaitTimeout(patience) {
		return notTold, errors.New("no acknowledgement")
	}
	return notTold, token.Error()
}

func (c *pahoV3Connection) disconnect(byte) error {
	c.client.Disconnect(250)
	return nil
}

func (c *pahoV3Connection) abort() error { return c.conn.Close() }

func (c *pahoV3Connection) inbox() *inbox { return c.received }
