package session

import (
	"slices"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
)

// Subscription returns the Subscription with exactly this Topic Filter; ok is false when
// there is none.
func (s *Session) Subscription(filter string) (sub colibri.Subscription, ok bool) {
	if found := s.subscriptions.get(filter); found != nil {
		return *found, true
	}
	return sub, false
}

// Ready reports whether a QoS 1 or 2 delivery would be sent now: the client is connected,
// its window has room, and nothing queued comes first but what waits to be recorded.
func (s *Session) Ready() bool {
	d, waits := s.queue.front()
	return s.connected && (!waits || d.Number > s.recorded) && s.sending.Free() > s.queue.length()
}

// Shares returns the Topic Filters of the Shared Subscriptions that GiveBack has something
// of, each once, also of those that the client has left.
func (s *Session) Shares() (filters []string) {
	note := func(d *colibri.Delivery) {
		if d.Share != "" && !slices.Contains(filters, d.Share) {
			filters = append(filters, d.Share)
		}
	}
	s.sending.Pending(func(_ uint16, state flow.State, d *colibri.Delivery) bool {
		if state == flow.AwaitPuback {
			note(d)
		}
		return true
	})
	for i := s.queue.head; i < len(s.queue.items); i++ {
		note(&s.queue.items[i])
	}
	return filters
}

// GiveBack removes and returns, oldest first, what the client has not had of the Shared
// Subscription to filter, so that another member gets it. With sent this includes QoS 1
// messages that were sent and not acknowledged: the client must not be connected then.
//
// A QoS 2 message that was sent is never among them. Its delivery ends with this client
// [MQTT-4.8.2-4], or with this Session and nowhere [MQTT-4.8.2-5].
func (s *Session) GiveBack(filter string, sent bool) (given []colibri.Delivery) {
	if sent {
		var ids []uint16
		s.sending.Pending(func(id uint16, state flow.State, d *colibri.Delivery) bool {
			if state == flow.AwaitPuback && d.Share == filter {
				given = append(given, *d)
				ids = append(ids, id)
			}
			return true
		})
		for _, id := range ids {
			s.sending.Remove(id)
		}
	}
	return s.queue.takeOut(given, func(d *colibri.Delivery) bool { return d.Share == filter })
}
