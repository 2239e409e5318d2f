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
	turn  bool // a queued message went last, so that one of these is next
}

// retainedPart is the backlog of one Subscription. Its messages are looked up when all
// before it has been sent, so that a client cannot make many of these lists.
type retainedPart struct {
	subscription colibri.Subscription
	stage        retainedStage
	messages     []*colibri.Message
	current      func(topic string) *colibri.Message
}

type retainedStage byte

const (
	wanted retainedStage = iota
	lookedUp
	supplied
)

func (b *retainedBacklog) length() int { return len(b.parts) }

// drop gives up what still waits for the Subscription to filter.
func (b *retainedBacklog) drop(filter string) {
	b.parts = slices.DeleteFunc(b.parts, func(part retainedPart) bool { return part.subscription.Filter == filter })
}

// AddRetained lets the client have the Retained Messages that match a new Subscription,
// after what waits already. It replaces what still waits for a Subscription to the same
// Topic Filter, so that a client which subscribes again and again does not make the
// backlog grow. The broker supplies the messages when WantRetained asks for them.
func (s *Session) AddRetained(sub colibri.Subscription) {
	if s.retained.length() > 0 {
		s.retained.drop(sub.Filter)
	}
	s.retained.parts = append(s.retained.parts, retainedPart{subscription: sub})
}

// WantsRetained reports whether WantRetained would ask for something.
func (s *Session) WantsRetained() bool {
	return len(s.retained.parts) > 0 && s.retained.parts[0].stage == wanted
}

// WantRetained returns the Topic Filter whose Retained Messages are to be looked up now,
// once; ok is false when there is none.
func (s *Session) WantRetained() (filter string, ok bool) {
	if !s.WantsRetained() {
		return "", false
	}
	s.retained.parts[0].stage = lookedUp
	return s.retained.parts[0].subscription.Filter, true
}

// SupplyRetained hands over what was looked up for WantRetained. current returns what is
// retained for a topic now: a message that has been replaced while it waited is not
// sent, as the client has had its successor as a live message.
func (s *Session) SupplyRetained(filter string, messages []*colibri.Message, current func(topic string) *colibri.Message) {
	if len(s.retained.parts) == 0 {
		return
	}
	part := &s.retained.parts[0]
	if part.subscription.Filter != filter || part.stage != lookedUp {
		return // given up meanwhile
	}
	part.stage, part.messages, part.current = supplied, messages, current
}

// sendRetained sends one Retained Message; false when there is none or no room.
func (s *Session) sendRetained(now time.Time, out *Output) bool {
	for len(s.retained.parts) > 0 {
		part := &s.retained.parts[0]
		if part.stage != supplied {
			return false
		}
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
