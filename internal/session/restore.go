package session

import (
	"maps"
	"slices"
	"sort"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
	"github.com/colibri-mqtt/colibri/internal/journal"
)

// flowStates says how far a handshake has come.
var flowStates = map[journal.DeliveryState]flow.State{journal.Sent: flow.AwaitPuback, journal.AwaitPubcomp: flow.AwaitPubcomp}

// Restore makes s, which must be new, what the log says of it. It keeps what from holds,
// which must not change any more. The client is not connected.
func (s *Session) Restore(from *journal.Session) {
	s.expiryInterval = s.limits.expiry(from.ExpiryInterval)
	for _, filter := range slices.Sorted(maps.Keys(from.Subscriptions)) {
		s.subscriptions.add(from.Subscriptions[filter])
	}
	for id := range from.Received {
		s.receiving.Restore(id) // [MQTT-4.3.3-10]
	}
	for _, d := range from.Deliveries() {
		if d.State == journal.AwaitPubcomp {
			d.QoS = colibri.ExactlyOnce
		}
		d.Delivery.Number, d.Delivery.Stored = d.Number, d.MessageNumber
		state := flowStates[d.State]
		switch {
		case d.State == journal.Queued:
			s.queue.push(d.Delivery, deliveryBytes(&d.Delivery))
			continue
		case state == flow.AwaitPuback && d.QoS == colibri.ExactlyOnce:
			state = flow.AwaitPubrec
		}
		s.sending.Restore(d.PacketID, state, d.Delivery) // [MQTT-4.4.0-1]
	}
	s.recorded = from.LastDelivery
}

// Received returns the identifiers of the QoS 2 messages of the client whose PUBREL has not
// come.
func (s *Session) Received() []uint16 { return slices.Collect(s.receiving.All()) }

// InFlight yields the recorded Deliveries that are sent and not over, with their Packet
// Identifiers; released says that the client has the message. The Session must not be
// changed meanwhile.
func (s *Session) InFlight(yield func(d *colibri.Delivery, id uint16, released bool) bool) {
	s.sending.Pending(func(id uint16, state flow.State, d *colibri.Delivery) bool {
		return d.Number == 0 || yield(d, id, state == flow.AwaitPubcomp)
	})
}

// QueuedAfter yields the recorded Deliveries that wait with a greater Number, in order. The
// Session must not be changed meanwhile.
func (s *Session) QueuedAfter(number uint64, yield func(d *colibri.Delivery) bool) {
	items := s.queue.items[s.queue.head:]
	first := sort.Search(len(items), func(i int) bool { return items[i].Number > number })
	for i := first; i < len(items); i++ {
		if !yield(&items[i]) {
			return
		}
	}
}

// Will returns the Will Message of the connection and its delay in seconds; nil without one.
func (s *Session) Will() (will *colibri.Message, delay uint32) { return s.will, s.willDelay }

// Version returns the version of the last CONNECT; 0 when there was none since a restart.
func (s *Session) Version() colibri.Version { return s.version }
