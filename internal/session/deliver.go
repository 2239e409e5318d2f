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
	QueueFull                // not taken: Limits.QueueMessages or Limits.QueueBytes
	Offline                  // dropped: QoS 0 and the client is not connected
)

// Deliver hands the Session a message that matched its Subscriptions. The Session
// keeps d.Message of a QoS 1 or 2 delivery without copying it: it must not alias a
// read buffer and must not change.
//
// room says that the Network Connection takes more output now; without it a QoS 1 or 2
// delivery waits in the queue as it does when the window is full. One with a Number waits
// until Recorded allows it.
func (s *Session) Deliver(now time.Time, d colibri.Delivery, room bool, out *Output) Verdict {
	if d.QoS == colibri.AtMostOnce {
		if !s.connected {
			return Offline
		}
		atMostOnce := d // so that only this one is put on the heap
		out.Replies = append(out.Replies, Reply{Type: packet.PUBLISH, Delivery: &atMostOnce})
		return Sent
	}
	if s.mayPass(&d, room) && s.send(d, out) {
		return Sent
	}
	return s.enqueue(now, d, out)
}

// mayPass reports whether a QoS 1 or 2 delivery is sent at once if the window has room. That is
// used in order: nothing overtakes what waits [MQTT-4.6.0-5].
func (s *Session) mayPass(d *colibri.Delivery, room bool) bool {
	return s.connected && room && s.queue.length() == 0 && d.Number <= s.recorded
}

// Foresee returns what Deliver would answer, and how many messages would give way in a full
// queue, and changes nothing. It may look at all that waits.
func (s *Session) Foresee(now time.Time, d colibri.Delivery, room bool) (v Verdict, replaced int) {
	if d.QoS == colibri.AtMostOnce {
		if !s.connected {
			return Offline, 0
		}
		return Sent, 0
	}
	if s.mayPass(&d, room) && s.sending.Free() > 0 {
		return Sent, 0
	}
	size := deliveryBytes(&d)
	left := Session{limits: s.limits, queue: s.queue}
	if s.full(size) && s.queue.expires(now) { // as enqueue does, with a queue of its own
		left.queue.items = append([]colibri.Delivery(nil), s.queue.items...)
		left.queue.expire(now, new(Output))
	}
	fits := s.limits.QueueBytes == 0 || size <= s.limits.QueueBytes
	if !left.full(size) {
		return Queued, 0
	}
	if !s.limits.DropOldest || !fits {
		return QueueFull, 0
	}
	messages, bytes := left.queue.length(), left.queue.bytes
	for _, oldest := range left.queue.items[left.queue.head:] {
		if !s.over(messages, bytes, size) {
			break
		}
		messages--
		bytes -= deliveryBytes(&oldest)
		replaced++
	}
	if s.over(messages, bytes, size) {
		return QueueFull, replaced
	}
	return Queued, replaced
}

// Room returns how many messages more the window has room for, and how many it has room for at
// all.
func (s *Session) Room() (free, window int) { return s.sending.Free(), s.sending.Window() }

// enqueue lets d wait. What has expired, and with Limits.DropOldest also what is oldest,
// gives way to it.
func (s *Session) enqueue(now time.Time, d colibri.Delivery, out *Output) Verdict {
	size := deliveryBytes(&d)
	if s.full(size) {
		s.queue.expire(now, out)
	}
	fits := s.limits.QueueBytes == 0 || size <= s.limits.QueueBytes
	for s.limits.DropOldest && fits && s.full(size) && s.queue.length() > 0 {
		out.over(s.queue.pop())
		out.Replaced++
	}
	if s.full(size) {
		return QueueFull
	}
	s.queue.push(d, size)
	return Queued
}

// Recorded says that all Deliveries up to this Number are recorded: Pump may send them.
func (s *Session) Recorded(upTo uint64) { s.recorded = upTo }

// full reports whether the queue has no place for a message of size bytes.
func (s *Session) full(size int) bool { return s.over(s.queue.length(), s.queue.bytes, size) }

// over reports whether a queue of so many messages and bytes has no place for one more.
func (s *Session) over(messages, bytes, size int) bool {
	return s.limits.QueueMessages > 0 && messages >= s.limits.QueueMessages ||
		s.limits.QueueBytes > 0 && bytes+size > s.limits.QueueBytes
}

// Takes reports whether Deliver would take d, which is not QoS 0, at now.
func (s *Session) Takes(now time.Time, d colibri.Delivery) bool {
	size := deliveryBytes(&d)
	return s.connected && s.queue.length() == 0 && s.sending.Free() > 0 || !s.full(size) || s.queue.expires(now) ||
		s.limits.DropOldest && (s.limits.QueueBytes == 0 || size <= s.limits.QueueBytes)
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

// Pump moves at most limit waiting deliveries into out, as far as the window allows: in
// turn one from the queue and one of the Retained Messages of new Subscriptions. It
// returns whether the limit, not the window, stopped it. The broker calls it when the
// Network Connection takes more output and when the client has acknowledged something.
func (s *Session) Pump(now time.Time, limit int, out *Output) (more bool) {
	if !s.connected {
		return false
	}
	for ; limit > 0; limit-- {
		if s.retained.turn && s.sendRetained(now, out) {
			s.retained.turn = false
			continue
		}
		d, ok := s.queue.front()
		switch {
		case !ok:
			if s.retained.turn || !s.sendRetained(now, out) {
				return false
			}
		case d.Message.Expired(now):
			out.over(s.queue.pop())
			out.Expired++
		case d.Number > s.recorded:
			return false
		case !s.send(*d, out):
			return false
		default:
			s.queue.pop()
			s.retained.turn = true
		}
	}
	return s.Waiting()
}

// Waiting reports whether Pump has something left to send.
func (s *Session) Waiting() bool {
	return s.queue.length() > 0 || s.retained.length() > 0
}

// Discard ends the handshake of a message that was not put on the wire after all,
// because it is larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
// It returns the Number of the Delivery, 0 when it is not recorded.
func (s *Session) Discard(id uint16) (number uint64) {
	d, _ := s.sending.Remove(id)
	return d.Number
}

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
			out.Replies[len(out.Replies)-1].Resent = true
		default:
			out.Replies = append(out.Replies, Reply{Type: packet.PUBLISH, PacketID: id, Dup: true, Delivery: d}) // [MQTT-3.3.1-1]
		}
	}
}
