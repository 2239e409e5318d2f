package client

import (
	"context"
	"errors"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// Result is what became of a message.
type Result struct {
	PacketID   uint16             // 0 for QoS 0
	Code       colibri.ReasonCode // such as NoMatchingSubscribers; Success in 3.1 and 3.1.1
	Properties colibri.Properties // of the last acknowledgement
}

// Publication is a message on its way to the Server.
type Publication struct {
	m      *colibri.Message
	conn   *conn // on which the PUBREL was sent first
	done   chan struct{}
	result Result // with err: set before done is closed
	err    error
}

// Done is closed when the QoS of the message is fulfilled, or cannot be.
func (p *Publication) Done() <-chan struct{} { return p.done }

// Wait waits for Done and returns what Publish would have returned. When ctx is done
// before, it returns its error; the message stays on its way.
func (p *Publication) Wait(ctx context.Context) (Result, error) {
	select {
	case <-p.done:
		return p.result, p.err
	default:
	}
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// fulfilled is the Done of messages of QoS 0.
var fulfilled = func() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// complete needs the lock of the Client.
func (p *Publication) complete(r Result, err error) {
	p.result, p.err, p.m, p.conn = r, err, nil, nil
	close(p.done)
}

// Publish sends m and returns when its QoS is fulfilled: for QoS 0 when it has been
// handed over for writing, for QoS 1 and 2 when the handshake is complete, if need be
// over several Network Connections.
//
// Nothing has been sent when the error is a *topic.SyntaxError, or a *colibri.Error
// because m is more than the Server takes (size, QoS, RETAIN, Topic Alias). A
// *[Refusal] is the Server's no. After the error of ctx m may still be delivered: it
// must not be changed until the Client has ended.
func (c *Client) Publish(ctx context.Context, m *colibri.Message) (Result, error) {
	p, err := c.Start(ctx, m)
	if err != nil {
		return Result{}, err
	}
	return p.Wait(ctx)
}

// Start sends m as Publish does and returns at once, so that several messages can
// be on their way. It waits while the Server or MaxInflight allow no more, and
// while there is no Network Connection. m must not be changed until Done is closed.
//
// Messages started one after the other are sent in that order.
func (c *Client) Start(ctx context.Context, m *colibri.Message) (*Publication, error) {
	if err := checkMessage(m); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.ended || c.closing {
			return nil, c.closedError()
		}
		if cn := c.conn; cn != nil && !cn.final {
			if err := c.limits.message(m); err != nil {
				return nil, err
			}
			if len(cn.out) < maxOutBytes && (m.QoS == 0 || c.sender.Free() > 0) {
				p := &Publication{m: m, done: fulfilled}
				if m.QoS > colibri.AtMostOnce {
					p.done = make(chan struct{})
				}
				c.first(cn, p)
				if p.err != nil {
					return nil, p.err
				}
				return p, nil
			}
		}
		if err := c.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// checkMessage finds what is wrong with m for every Server.
func checkMessage(m *colibri.Message) error {
	if err := topic.CheckName(m.Topic); err != nil {
		return err
	}
	if !m.QoS.Valid() {
		return &colibri.Error{Op: "PUBLISH", Code: colibri.ProtocolError, Rule: "MQTT-3.3.1-4", Err: errors.New("the QoS is more than 2")}
	}
	if m.Properties.Has(colibri.SubscriptionIdentifier) {
		return &colibri.Error{Op: "PUBLISH", Code: colibri.ProtocolError, Rule: "MQTT-3.3.4-6",
			Err: errors.New("a Client does not send a Subscription Identifier")}
	}
	if response, ok := m.Properties.Value(colibri.ResponseTopic); ok { // [MQTT-3.3.2-14]
		return topic.CheckName(response)
	}
	return nil
}

// first sends p for the first time, or completes it with an error. It needs the lock;
// for QoS 1 and 2 the sender has room.
func (c *Client) first(cn *conn, p *Publication) {
	if p.m.QoS == colibri.AtMostOnce {
		p.err = c.publish(cn, p.m, 0, false)
		return
	}
	id, ok := c.sender.Add(p.m.QoS, p)
	if !ok {
		p.complete(Result{}, &colibri.Error{Op: "PUBLISH", Code: colibri.QuotaExceeded, Err: errors.New("all Packet Identifiers are in use")})
		return
	}
	if err := c.publish(cn, p.m, id, false); err != nil {
		c.sender.Remove(id)
		p.complete(Result{PacketID: id}, err)
	}
}

// publish sends a PUBLISH. It needs the lock. A Topic Alias is not repeated, as it
// belongs to the Network Connection on which it was set [MQTT-3.3.2-7].
func (c *Client) publish(cn *conn, m *colibri.Message, id uint16, dup bool) error {
	p := packet.Publish{Dup: dup, QoS: m.QoS, Retain: m.Retain, Topic: m.Topic, PacketID: id, Payload: m.Payload, Properties: m.Properties}
	if dup && m.Properties.Has(colibri.TopicAlias) {
		p.Properties = nil
		for _, property := range m.Properties {
			if property.ID != colibri.TopicAlias {
				p.Properties = append(p.Properties, property)
			}
		}
	}
	if dup {
		copied := *m
		copied.Properties = p.Properties
		if err := c.limits.message(&copied); err != nil {
			return err
		}
	}
	return c.send(cn, &p)
}

// acknowledged takes PUBACK, PUBREC and PUBCOMP. It needs the lock. An answer to a
// packet that is not known is not worth a connection: the Server may answer what
// an earlier process has sent.
func (c *Client) acknowledged(cn *conn, p packet.Packet) error {
	var publication *Publication
	var err error
	var result Result
	var release bool
	switch p := p.(type) {
	case *packet.Puback:
		result = Result{p.PacketID, p.Code, p.Properties}
		publication, err = c.sender.Puback(p.PacketID)
	case *packet.Pubrec:
		result = Result{p.PacketID, p.Code, p.Properties}
		publication, release, err = c.sender.Pubrec(p.PacketID, p.Code.Failed())
		if release {
			publication.m = nil // never sent again [MQTT-4.3.3-6]
			if publication.conn == nil {
				publication.conn = cn
			}
			return c.send(cn, &packet.Pubrel{PacketID: p.PacketID}) // [MQTT-4.3.3-4] [MQTT-4.6.0-4]
		}
		if err == colibri.PacketIdentifierNotFound && !p.Code.Failed() {
			pubrel := &packet.Pubrel{PacketID: p.PacketID}
			if c.o.Version == colibri.V5 {
				pubrel.Code = colibri.PacketIdentifierNotFound
			}
			return c.send(cn, pubrel)
		}
	case *packet.Pubcomp:
		result = Result{p.PacketID, p.Code, p.Properties}
		publication, err = c.sender.Pubcomp(p.PacketID)
		// A Server that does not know a PUBREL sent again has had it before, on the
		// connection that was lost with its PUBCOMP (5.0 section 3.7.2.1).
		if err == nil && p.Code == colibri.PacketIdentifierNotFound && publication.conn != cn {
			result.Code = colibri.Success
		}
	}
	if err == colibri.PacketIdentifierNotFound {
		return nil
	}
	if err != nil {
		return &colibri.Error{Op: p.Type().String(), Code: colibri.ProtocolError,
			Err: errors.New("answers a packet of another kind")}
	}
	result.Properties = result.Properties.Clone()
	var failure error
	if result.Code.Failed() {
		failure = &Refusal{Packet: p.Type(), Code: result.Code, Properties: result.Properties}
	}
	publication.complete(result, failure)
	c.resend()
	c.changed.broadcast()
	return nil
}
