package broker

import (
	"fmt"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// revoke ends one Subscription and reports whether there was one.
func (c *conn) revoke(b *batch, filter string) bool {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c || !s.state.Revoke(filter) {
		return false
	}
	c.broker.router.Unsubscribe(s, filter) // [MQTT-3.10.4-2]
	b.recordRemoved(s, filter)
	return true
}

// mayUnsubscribe decides whether c may end a Subscription. Before 5.0 an UNSUBACK has no
// codes, so that the client does not hear of a refusal.
func (c *conn) mayUnsubscribe(filter string) colibri.ReasonCode {
	p := c.permissions()
	if p == nil {
		return colibri.Success
	}
	code := p.Unsubscribe(filter)
	if !code.Failed() {
		return colibri.Success
	}
	c.broker.deny(c.client, ActionUnsubscribe, filter, code)
	return sendable(packet.UNSUBACK, code)
}

// unsubscribe decides the UNSUBSCRIBE that c's Session has asked for, and answers it.
func (c *conn) unsubscribe(b *batch) error {
	r := &b.out.Request
	s := c.session
	codes := make([]colibri.ReasonCode, len(r.Filters))
	reason := ""                       // as in subscribe
	for i, filter := range r.Filters { // [MQTT-3.10.4-6]
		if codes[i] = c.mayUnsubscribe(filter); codes[i].Failed() {
			if reason == "" {
				reason = "this client may not unsubscribe from this filter"
				if len(r.Filters) > 1 {
					reason = fmt.Sprintf("Topic Filter %d: %s", i+1, reason)
				}
			}
			continue
		}
		codes[i] = colibri.NoSubscriptionExisted
		if c.revoke(b, filter) {
			codes[i] = colibri.Success
			b.leaveGroup(s, filter)
			if isFirehose(filter) {
				c.firehoseEnds()
			}
			c.broker.emit(Unsubscribed{Client: c.client, Filter: strings.Clone(filter)})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() != c {
		return errTakenOver
	}
	s.state.Unsubscribed(r.PacketID, codes, reason, &b.out)
	b.reply(c, &b.out)
	return nil
}
