package client

import (
	"context"
	"errors"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// authenticate asks the program for the answer to an AUTH packet.
func (c *Client) authenticate(p *packet.Auth) (*packet.Auth, error) {
	if c.o.Authenticate == nil || !c.o.Properties.Has(colibri.AuthenticationMethod) { // [MQTT-4.12.0-6] [MQTT-4.12.0-7]
		return nil, &colibri.Error{Op: "AUTH", Code: colibri.ProtocolError, Rule: "MQTT-4.12.0-6",
			Err: errors.New("no enhanced authentication was asked for")}
	}
	reply, err := c.o.Authenticate(p)
	if err != nil { // told to the Server as a failure [MQTT-4.12.1-2]
		return nil, &colibri.Error{Op: "AUTH", Code: colibri.UnspecifiedError, Rule: "MQTT-4.12.1-2", Err: err}
	}
	return reply, nil
}

// authReceived takes an AUTH packet after the CONNACK: a step of a re-authentication,
// or its end. It needs the lock.
func (c *Client) authReceived(cn *conn, p *packet.Auth) error {
	reply, err := c.authenticate(p)
	if err != nil {
		return err
	}
	if p.Code == colibri.Success {
		c.reauth = false
		c.changed.broadcast()
		return nil
	}
	return c.send(cn, reply)
}

// Reauthenticate begins a re-authentication with the properties given, to which the
// Authentication Method of the CONNECT is added [MQTT-4.12.1-1], and returns once
// the Server is content. It calls Options.Authenticate for each AUTH packet, also for the
// last one, whose answer is not sent. A Server that is not content disconnects.
func (c *Client) Reauthenticate(ctx context.Context, properties colibri.Properties) error {
	method, ok := c.o.Properties.Value(colibri.AuthenticationMethod)
	if !ok || c.o.Authenticate == nil { // [MQTT-4.12.0-7]
		return errors.New("re-authenticate: the connection was made without an Authentication Method: set Options.Properties and Options.Authenticate")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cn := c.conn
	switch {
	case c.ended || c.closing:
		return c.closedError()
	case cn == nil:
		return errors.New("re-authenticate: there is no Network Connection")
	case c.reauth:
		return errors.New("re-authenticate: it is already going on")
	}
	p := &packet.Auth{Code: colibri.ReAuthenticate,
		Properties: append(colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, method), properties...)}
	if err := c.send(cn, p); err != nil {
		return err
	}
	c.reauth = true
	for c.reauth && c.conn == cn {
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
	if c.conn != cn {
		return errors.New("re-authenticate: the connection has ended")
	}
	return nil
}
