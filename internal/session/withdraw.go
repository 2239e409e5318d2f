package session

import (
	"slices"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
)

// Withdraw removes and returns, oldest first, what the client has not had of the messages
// whose topic may does not allow: what waits and, while the client is not connected, what
// was sent and has not been answered, so that it is not sent again. A QoS 2 message that the
// client has, as its PUBREC said, is not among them: that handshake goes to its end. Retained
// Messages that wait are removed, too; they are not returned, as they are not recorded.
func (s *Session) Withdraw(may func(topic string) bool) (withdrawn []colibri.Delivery) {
	if !s.connected {
		var ids []uint16
		s.sending.Pending(func(id uint16, state flow.State, d *colibri.Delivery) bool {
			if state != flow.AwaitPubcomp && !may(d.Message.Topic) {
				withdrawn = append(withdrawn, *d)
				ids = append(ids, id)
			}
			return true
		})
		for _, id := range ids {
			s.sending.Remove(id)
		}
	}
	for i := range s.retained.parts {
		part := &s.retained.parts[i]
		part.messages = slices.DeleteFunc(part.messages, func(m *colibri.Message) bool { return !may(m.Topic) })
	}
	return s.queue.takeOut(withdrawn, func(d *colibri.Delivery) bool { return !may(d.Message.Topic) })
}
