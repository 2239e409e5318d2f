package broker

import (
	"time"

	"github.com/colibri-mqtt/colibri"
)

// author returns who has left the Will Message of s, with what it may do; nil when nobody has
// to ask: without rules, or when the broker was restarted since and nobody knows what the
// client may do, as in a log of an older broker, or when its rights came with it. It was
// allowed at CONNECT then. The caller holds s.mu.
func (b *Broker) author(s *liveSession) *access {
	if a := s.access.Load(); a != nil || b.authorizer == nil || s.log == nil || s.log.author == nil || s.log.author.OwnRights {
		return a
	}
	client := ClientInfo{ClientID: s.clientID, UserName: s.log.author.UserName}
	return &access{client, b.permissionsOf(client)}
}

// publishWill publishes the Will Message of s, whose Message Expiry Interval begins now, if
// its author may still publish it: see Broker.author.
func (b *batch) publishWill(s *liveSession, author *access, m *colibri.Message) {
	if author != nil {
		if result := b.broker.mayPublish(author.client, author.permissions, m); result.code.Failed() {
			b.broker.drop(s, result.dropped, 1)
			return
		}
	}
	if seconds, ok := m.Properties.Number(colibri.MessageExpiryInterval); ok {
		m.Expires = b.now.Add(time.Duration(seconds) * time.Second).UnixNano()
	}
	b.publish(nil, m)
}
