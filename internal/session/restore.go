package session

import (
	"maps"
	"slices"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
	"github.com/colibri-mqtt/colibri/internal/journal"
)

// flowStates says how far a handshake has come.
var flowStates = map[journal.DeliveryState]flow.State{journal.Sent: flow.AwaitPuback, journal.AwaitPubcomp: flow.AwaitPubcomp}

// Restore makes s, which must be new, what the log says of it. It keeps what from holds,
// which must not change any more. The client is not connected.
func (s *Session) Restore(from *journal.Session) {
	s.expiryInterval = from.ExpiryInterval
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
