package client

import (
	"context"
	"errors"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// authenticate returns the answer to an AUTH packet: that of the exchange going on, or
// the program's.
func (c *Client) authenticate(cn *conn, p *packet.Auth) (*packet.Auth, error) {
	if m := c.o.Method; m != nil {
		if cn.exchange == nil || p.Code != colibri.ContinueAuthentication { // [MQTT-4.12.0-2]
			return nil, &colibri.Error{Op: "AUTH", Code: colibri.ProtocolError, Rule: "MQTT-4.12.0-2",
				Err: errors.New("no authentication is going on that it belongs to")}
		}
		return m.step(cn.exchange, p)
	}
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
	if m := c.o.Method; m != nil && cn.exchange != nil && p.Code == colibri.Success {
		if err := m.finish(cn.exchange, "AUTH", p.Properties); err != nil {
			return err
		}
		cn.exchange = nil
		c.reauth = false
		c.changed.broadcast()
		return nil
	}
	reply, err := c.authenticate(cn, p)
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
// the Server is content. With Options.Method it begins an Exchange and adds its first
// data, too; otherwise it calls Options.Authenticate for each AUTH packet, also for the
// last one, whose answer is not sent. A Server that is not content disconnects.
func (c *Client) Reauthenticate(ctx context.Context, properties colibri.Properties) error {
	method, ok := c.o.Properties.Value(colibri.AuthenticationMethod)
	if c.o.Method == nil && (!ok || c.o.Authenticate == nil) { // [MQTT-4.12.0-7]
		return errors.New("re-authenticate: the connection was made without an Authentication Method: set Options.Method, or Options.Properties and Options.Authenticate")
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
	first := colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, method)
	var x Exchange
	if c.o.Method != nil {
		var err error
		if x, first, err = c.o.Method.begin(); err != nil {
			return err
		}
	}
	p := &packet.Auth{Code: colibri.ReAuthenticate, Properties: append(first, properties...)}
	if err := c.send(cn, p); err != nil {
		return err
	}
	cn.exchange = x
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
