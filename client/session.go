package client

import (
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
	"github.com/colibri-mqtt/colibri/packet"
)

// cleanStart says which Clean Start the next CONNECT has. It needs the lock. A Client
// that connects again wants its Session back, if it has not ended with the connection.
func (c *Client) cleanStart(first bool) bool {
	if first || c.o.Version != colibri.V5 {
		return c.o.CleanStart
	}
	expiry, ok := c.connack.Properties.Number(colibri.SessionExpiryInterval)
	if !ok {
		expiry, _ = c.o.Properties.Number(colibri.SessionExpiryInterval)
	}
	return expiry == 0
}

// attach takes cn, whose CONNACK is p, into use: the Session is carried on, or its
// state is discarded. The error says that the Client was closed meanwhile.
func (c *Client) attach(cn *conn, p *packet.Connack, first bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return ErrClosed
	}
	c.connack = packet.Connack{SessionPresent: p.SessionPresent, Code: p.Code, Properties: p.Properties.Clone()}
	c.limits = c.o.limits(&c.connack)
	if id, ok := c.connack.Properties.Value(colibri.AssignedClientIdentifier); ok {
		c.clientID = strings.Clone(id)
	}
	cn.lastSent, cn.lastReceived = time.Now(), time.Now()
	c.sender.SetWindow(c.o.window(c.limits.receiveMaximum)) // [MQTT-4.9.0-1]
	c.acks = nil
	c.reauth = false
	// A CONNACK of 3.1 does not say whether there is a Session.
	present := p.SessionPresent || c.o.Version == colibri.V31 && !c.o.CleanStart
	if present {
		c.sender.Resume()
		c.receiver.Resume()
	} else {
		c.discard()
	}
	c.holding = c.holding || first && present
	c.conn = cn
	c.trace(Event{Kind: Connected})
	if !first && !p.SessionPresent {
		c.resubscribe()
	}
	for _, id := range c.abandoned {
		c.sender.Unreserve(id)
	}
	c.abandoned = nil
	for _, r := range slices.Clone(c.requests) {
		c.issue(r)
	}
	c.resend()
	c.changed.broadcast()
	return nil
}

// discard gives up the state of a Session that the Server does not have [MQTT-3.2.2-5].
// It needs the lock. Messages of QoS 1 become new ones: at least once is kept so.
func (c *Client) discard() {
	c.sender.Pending(func(id uint16, state flow.State, p **Publication) bool {
		if state == flow.AwaitPuback {
			c.anew = append(c.anew, *p)
		} else {
			(*p).complete(Result{PacketID: id}, ErrSessionLost)
		}
		return true
	})
	c.sender.Clear()
	c.receiver.Clear()
	c.unacked = nil
}

// resend sends what an earlier connection has left, as far as the Server takes it
// now: first what belongs to the Session, in its order [MQTT-4.4.0-1] [MQTT-4.6.0-1],
// then the messages of a lost one. It needs the lock.
func (c *Client) resend() {
	cn := c.conn
	if cn == nil || cn.final {
		return
	}
	for {
		id, state, p, ok := c.sender.Resend()
		if !ok {
			break
		}
		if state == flow.AwaitPubcomp {
			c.send(cn, &packet.Pubrel{PacketID: id, Dup: c.o.Version == colibri.V31}) //nolint:errcheck // always encodes
			continue
		}
		publication := *p
		if err := c.publish(cn, publication.m, id, true); err != nil { // this Server takes less than the last one
			c.sender.Remove(id)
			publication.complete(Result{PacketID: id}, err)
		}
	}
	for len(c.anew) > 0 && c.sender.Free() > 0 {
		publication := c.anew[0]
		c.anew[0] = nil
		c.anew = c.anew[1:]
		c.first(cn, publication)
	}
}
