package flow

import (
	"iter"
	"maps"
	"slices"

	"github.com/colibri-mqtt/colibri"
)

// Receiver is the receiving end: the Packet Identifiers of QoS 2 messages between
// their PUBLISH and their PUBREL, and how many QoS 1 and 2 messages of this Network
// Connection are not yet acknowledged, which our Receive Maximum limits.
type Receiver struct {
	ids    map[uint16]bool // true when received, or received again, on this Network Connection
	grown  bool            // ids has been large: drop it once it is empty
	window uint16          // our Receive Maximum; 0 stands for 65,535
	open   int             // messages of this Network Connection not yet acknowledged
}

// keepIDs is the number of identifiers above which the map is dropped once it is empty.
const keepIDs = 64

// SetWindow sets the Receive Maximum that we have granted to the peer, 1 to 65,535;
// values outside are brought into that range. Without a call it is 65,535.
func (r *Receiver) SetWindow(n int) { r.window = window(n) }

// Publish takes a PUBLISH of QoS 1 or 2. isNew is false for the repeat of a QoS 2
// message, which is acknowledged once more and not delivered again [MQTT-4.3.3-10].
// A QoS 1 message is always new [MQTT-4.3.2-5]. The error is a
// [colibri.ReasonCode]: ReceiveMaximumExceeded when the peer has sent more than we
// granted [MQTT-3.3.4-7] [MQTT-3.3.4-9], PacketIdentifierInUse for a QoS 1 message
// under the identifier of a QoS 2 message. After an error nothing has changed.
//
// QoS 0 has no handshake: it is new and leaves no trace.
func (r *Receiver) Publish(id uint16, qos colibri.QoS) (isNew bool, err error) {
	if qos == colibri.AtMostOnce {
		return true, nil
	}
	counted, known := r.ids[id]
	if known && qos == colibri.AtLeastOnce {
		return false, colibri.PacketIdentifierInUse
	}
	if !counted {
		limit := int(r.window)
		if limit == 0 {
			limit = maxWindow
		}
		if r.open >= limit {
			return false, colibri.ReceiveMaximumExceeded
		}
		r.open++
	}
	if qos == colibri.ExactlyOnce {
		r.put(id, true)
	}
	return !known, nil
}

// Puback says that the PUBACK of a QoS 1 message is on its way, which gives the
// peer one more message to send.
func (r *Receiver) Puback() {
	if r.open > 0 {
		r.open--
	}
}

// Pubrel takes a PUBREL: id is free for a new message [MQTT-4.3.3-12]. known is
// false when there was no such message; the PUBCOMP, which is due in any case
// [MQTT-4.3.3-11], then carries PacketIdentifierNotFound in 5.0.
func (r *Receiver) Pubrel(id uint16) (known bool) {
	counted, known := r.ids[id]
	if !known {
		return false
	}
	if counted {
		r.open--
	}
	delete(r.ids, id)
	if len(r.ids) == 0 && r.grown {
		r.ids, r.grown = nil, false
	}
	return true
}

// Forget says that a PUBREC with a Reason Code of 0x80 or greater was sent: the
// next PUBLISH with id is a new message [MQTT-4.3.3-9].
func (r *Receiver) Forget(id uint16) { r.Pubrel(id) }

// Resume says that a new Network Connection carries on the Session: the peer's send
// quota starts afresh, and the identifiers stay.
func (r *Receiver) Resume() {
	for id := range r.ids {
		r.ids[id] = false
	}
	r.open = 0
}

// Restore enters the identifier of a QoS 2 message from an earlier Network
// Connection, when a Session is rebuilt.
func (r *Receiver) Restore(id uint16) { r.put(id, false) }

// Clear forgets all identifiers: the Session has ended. The Receive Maximum stays.
func (r *Receiver) Clear() { *r = Receiver{window: r.window} }

// Has reports whether id belongs to a QoS 2 message whose PUBREL has not come.
func (r *Receiver) Has(id uint16) bool { _, ok := r.ids[id]; return ok }

// Len returns the number of QoS 2 identifiers held.
func (r *Receiver) Len() int { return len(r.ids) }

// Open returns how many messages count against our Receive Maximum.
func (r *Receiver) Open() int { return r.open }

// All yields the QoS 2 identifiers held, in ascending order.
func (r *Receiver) All() iter.Seq[uint16] {
	return slices.Values(slices.Sorted(maps.Keys(r.ids)))
}

func (r *Receiver) put(id uint16, counted bool) {
	if r.ids == nil {
		r.ids = make(map[uint16]bool)
	}
	r.ids[id] = counted
	if len(r.ids) > keepIDs {
		r.grown = true
	}
}
