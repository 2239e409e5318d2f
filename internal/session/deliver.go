package session

import (
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
	"github.com/colibri-mqtt/colibri/packet"
)

// Verdict says what became of a Delivery.
type Verdict byte

// The verdicts of Deliver.
const (
	Sent      Verdict = iota // a PUBLISH is in the Output
	Queued                   // kept until the client is there and its window has room
	QueueFull                // dropped: Limits.QueueMessages or Limits.QueueBytes
	Offline                  // dropped: QoS 0 and the client is not connected
)

// Deliver hands the Session a message that matched its Subscriptions. The Session
// keeps d.Message of a QoS 1 or 2 delivery without copying it: it must not alias a
// read buffer and must not change.
//
// room says that the Network Connection takes more output now; without it a QoS 1 or 2
// delivery waits in the queue as it does when the window is full.
func (s *Session) Deliver(d colibri.Delivery, room bool, out *Output) Verdict {
	if d.QoS == colibri.AtMostOnce {
		if !s.connected {
			return Offline
		}
		atMostOnce := d // so that only this one is put on the heap
		out.Replies = append(out.Replies, Reply{Type: packet.PUBLISH, Delivery: &atMostOnce})
		return Sent
	}
	// The window is used in order: nothing overtakes what waits [MQTT-4.6.0-5].
	if s.connected && room && s.queue.length() == 0 && s.send(d, out) {
		return Sent
	}
	return s.enqueue(d)
}

func (s *Session) enqueue(d colibri.Delivery) Verdict {
	size := deliveryBytes(&d)
	if s.limits.QueueMessages > 0 && s.queue.length() >= s.limits.QueueMessages ||
		s.limits.QueueBytes > 0 && s.queue.bytes+size > s.limits.QueueBytes {
		return QueueFull
	}
	s.queue.push(d, size)
	return Queued
}

// send puts d on its way if the window has room [MQTT-4.9.0-2].
func (s *Session) send(d colibri.Delivery, out *Output) bool {
	id, ok := s.sending.Add(d.QoS, d)
	if !ok {
		return false
	}
	out.Replies = append(out.Replies, Reply{Type: packet.PUBLISH, PacketID: id, Delivery: s.sending.Value(id)})
	return true
}

// Pump moves at most limit waiting deliveries into out, as far as the window allows:
// first the queue, then Retained Messages of new Subscriptions. It returns how many
// queued messages had expired [MQTT-3.3.2-5], and whether the limit, not the window,
// stopped it. The broker calls it when the Network Connection takes more output and when
// the client has acknowledged something.
func (s *Session) Pump(now time.Time, limit int, out *Output) (expired int, more bool) {
	if !s.connected {
		return 0, false
	}
	for ; limit > 0; limit-- {
		d, ok := s.queue.front()
		switch {
		case !ok:
			if !s.sendRetained(now, out) {
				return expired, false
			}
		case d.Message.Expired(now):
			s.queue.pop()
			expired++
		case !s.send(*d, out):
			return expired, false
		default:
			s.queue.pop()
		}
	}
	return expired, s.Waiting()
}

// Waiting reports whether Pump has something left to send.
func (s *Session) Waiting() bool {
	return s.queue.length() > 0 || s.retained.length() > 0
}

// Discard ends the handshake of a message that was not put on the wire after all,
// because it is larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
func (s *Session) Discard(id uint16) { s.sending.Remove(id) }

// Resume queues in out what has to be sent again after a reconnection, in the order in
// which it was first sent, with the same Packet Identifiers [MQTT-4.4.0-1]
// [MQTT-4.6.0-1], as far as the client's Receive Maximum allows; the rest follows, call
// by call, as it acknowledges.
func (s *Session) Resume(out *Output) {
	for {
		id, state, d, ok := s.sending.Resend()
		switch {
		case !ok:
			return
		case state == flow.AwaitPubcomp:
			out.acknowledge(packet.PUBREL, id, colibri.Success) // [MQTT-4.3.3-6]: never the PUBLISH again
		default:
			out.Replies = append(out.Replies, Reply{Type: packet.PUBLISH, PacketID: id, Dup: true, Delivery: d}) // [MQTT-3.3.1-1]
		}
	}
}
