package session

import (
	"slices"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// retainedBacklog are the Retained Messages that new Subscriptions still have to
// receive. They are references to what the broker retains, are sent as the client
// takes them, and do not count against the queue's limits.
type retainedBacklog struct {
	parts []retainedPart
}

type retainedPart struct {
	messages     []*colibri.Message
	subscription colibri.Subscription
	current      func(topic string) *colibri.Message
}

func (b *retainedBacklog) length() int { return len(b.parts) }

// drop gives up what still waits for the Subscription to filter.
func (b *retainedBacklog) drop(filter string) {
	b.parts = slices.DeleteFunc(b.parts, func(part retainedPart) bool { return part.subscription.Filter == filter })
}

// AddRetained lets the client have the Retained Messages that match a new Subscription,
// after what waits already. current returns what is retained for a topic now: a
// message that has been replaced while it waited is not sent, as the client has had
// its successor as a live message. What still waits for a Subscription to the same
// Topic Filter is among messages and goes, so that a client which subscribes again and
// again does not make the backlog grow.
func (s *Session) AddRetained(sub colibri.Subscription, messages []*colibri.Message, current func(topic string) *colibri.Message) {
	s.retained.drop(sub.Filter)
	if len(messages) == 0 {
		return
	}
	s.retained.parts = append(s.retained.parts, retainedPart{messages, sub, current})
}

// sendRetained sends one Retained Message; false when there is none or no room.
func (s *Session) sendRetained(now time.Time, out *Output) bool {
	for len(s.retained.parts) > 0 {
		part := &s.retained.parts[0]
		for len(part.messages) > 0 {
			m := part.messages[0]
			if part.current(m.Topic) != m || m.Expired(now) {
				part.messages = part.messages[1:]
				continue
			}
			d := colibri.Delivery{Message: m, QoS: min(m.QoS, part.subscription.QoS), Retain: true} // [MQTT311-3.3.1-8], [MQTT-3.8.4-8]
			if id := part.subscription.Identifier; id != 0 {
				d.Identifiers = []uint32{id}
			}
			if d.QoS == colibri.AtMostOnce {
				out.Replies = append(out.Replies, Reply{Type: packet.PUBLISH, Delivery: &d})
			} else if !s.send(d, out) {
				return false
			}
			if part.messages = part.messages[1:]; len(part.messages) == 0 {
				s.retained.parts = s.retained.parts[1:]
			}
			return true
		}
		s.retained.parts = s.retained.parts[1:]
	}
	s.retained.parts = nil
	return false
}
