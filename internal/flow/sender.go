package flow

import "github.com/colibri-mqtt/colibri"

// Sender is the sending end: the PUBLISH packets with QoS 1 and 2 whose handshake
// is not complete, in the order in which they were sent. T is what the owner keeps
// for each of them, usually a pointer.
//
// Packet Identifiers and their entries live in a table of slots whose length is a
// power of two, identifier modulo length: every operation by identifier is one
// array access, whatever order the peer acknowledges in. A slot that becomes free
// goes to the end of a queue and comes back with its identifier increased by the
// length, so that identifiers are reused as late as possible. An entry of a
// pointer takes 16 bytes.
type Sender[T any] struct {
	slots   []slot[T] // nil while nothing was sent
	pending list      // entries in the order of sending
	free    list      // slots for the next identifiers, in order of use
	last    uint16    // the identifier assigned last
	window  uint16    // Receive Maximum of the peer; 0 stands for 65,535
	count   uint16    // entries
	sent    uint16    // entries sent, or sent again, on this Network Connection
	taken   uint16    // identifiers reserved for SUBSCRIBE and UNSUBSCRIBE
	resend  uint16    // entries before this one were sent again; 0 at the end
}

// slot is one Packet Identifier: in use, or free and then holding the identifier
// that it will have next. prev and next are identifiers, 0 at the ends.
type slot[T any] struct {
	v              T
	id, prev, next uint16
	state          State
	sent           bool
}

type list struct{ first, last uint16 }

const (
	firstSlots = 4      // length of the first table
	keepSlots  = 32     // a longer table is dropped once it is empty
	maxSlots   = 65_536 // one slot for each identifier, and one unused for 0
)

// SetWindow sets the Receive Maximum of the peer, 1 to 65,535; values outside are
// brought into that range. Without a call it is 65,535.
func (s *Sender[T]) SetWindow(n int) { s.window = window(n) }

// Window returns the Receive Maximum of the peer.
func (s *Sender[T]) Window() int {
	if s.window == 0 {
		return maxWindow
	}
	return int(s.window)
}

// Free returns how many messages [Sender.Add] takes now. It is the send quota
// [MQTT-4.9.0-1], and 0 while there is something to send again: new messages do
// not overtake old ones [MQTT-4.6.0-1].
func (s *Sender[T]) Free() int {
	if s.sent < s.count {
		return 0
	}
	return max(0, s.Window()-int(s.count)) // [MQTT-4.9.0-2]
}

// Len returns the number of messages whose handshake is not complete.
func (s *Sender[T]) Len() int { return int(s.count) }

// Add enters a message that is sent now and returns its Packet Identifier, one that
// is not zero and not in use. ok is false, and nothing changes, when Free is 0 or
// all 65,535 identifiers are in use. qos is 1 or 2; Add panics otherwise.
func (s *Sender[T]) Add(qos colibri.QoS, v T) (id uint16, ok bool) {
	state := AwaitPuback
	switch qos {
	case colibri.AtLeastOnce:
	case colibri.ExactlyOnce:
		state = AwaitPubrec
	default:
		panic("flow: Add of a message of " + qos.String())
	}
	if s.Free() == 0 { // [MQTT-4.9.0-2]
		return 0, false
	}
	if id, ok = s.take(); !ok { // [MQTT-2.2.1-3] [MQTT-2.2.1-4]
		return 0, false
	}
	s.enter(id, state, v, true)
	return id, true
}

// Puback takes the answer to a QoS 1 PUBLISH, whatever its Reason Code
// [MQTT-4.4.0-2], and returns what Add was given. The error is a
// [colibri.ReasonCode]: PacketIdentifierNotFound when id is not in use,
// ProtocolError when it belongs to another packet.
func (s *Sender[T]) Puback(id uint16) (v T, err error) {
	e, err := s.find(id, AwaitPuback)
	if err != nil {
		return v, err
	}
	v = e.v
	s.remove(id)
	return v, nil
}

// Pubrec takes the first answer to a QoS 2 PUBLISH. failed says that its Reason Code
// is 0x80 or greater: the handshake is over [MQTT-4.4.0-2]. Otherwise release is
// true: a PUBREL is to be sent [MQTT-4.3.3-4], and the PUBLISH is never sent again
// [MQTT-4.3.3-6], so that the owner may let go of the message (see [Sender.Value]).
// A repeated PUBREC asks for the PUBREL again. Errors as of [Sender.Puback].
func (s *Sender[T]) Pubrec(id uint16, failed bool) (v T, release bool, err error) {
	e, err := s.find(id, AwaitPubrec)
	if err == colibri.ProtocolError && e.state == AwaitPubcomp {
		err = nil
	}
	if err != nil {
		return v, false, err
	}
	v = e.v
	if failed {
		s.remove(id)
		return v, false, nil
	}
	e.state = AwaitPubcomp
	s.markSent(e)
	return v, true, nil
}

// Pubcomp takes the last answer of a QoS 2 handshake and returns what Add was
// given. Errors as of [Sender.Puback].
func (s *Sender[T]) Pubcomp(id uint16) (v T, err error) {
	e, err := s.find(id, AwaitPubcomp)
	if err != nil {
		return v, err
	}
	v = e.v
	s.remove(id)
	return v, nil
}

// Value returns the place of what the owner keeps for id, to change it, or nil when
// no message has that identifier. It is valid until the next call that is not Value.
func (s *Sender[T]) Value(id uint16) *T {
	if e := s.entry(id); e != nil {
		return &e.v
	}
	return nil
}

// Pending yields every message whose handshake is not complete, in the order in
// which they were sent, with what is awaited for it. The loop may change *v but
// not call methods that change s.
func (s *Sender[T]) Pending(yield func(id uint16, state State, v *T) bool) {
	for id := s.pending.first; id != 0; {
		e := s.slot(id)
		if !yield(id, e.state, &e.v) {
			return
		}
		id = e.next
	}
}

// Resume says that a new Network Connection carries on the Session: everything
// pending is to be sent again, by [Sender.Resend]. Call SetWindow before if
// the Receive Maximum has changed.
func (s *Sender[T]) Resume() {
	s.Pending(func(id uint16, _ State, _ *T) bool {
		s.slot(id).sent = false
		return true
	})
	s.sent = 0
	s.resend = s.pending.first
}

// Resend returns the next packet to send again after Resume, in the order of the
// first sending [MQTT-4.6.0-1]: for AwaitPubcomp a PUBREL, otherwise a PUBLISH with
// DUP [MQTT-4.4.0-1] [MQTT-3.3.1-1]. ok is false when there is none, or none that
// the Receive Maximum allows now: ask again after each acknowledgement.
func (s *Sender[T]) Resend() (id uint16, state State, v *T, ok bool) {
	for s.resend != 0 {
		id = s.resend
		e := s.slot(id)
		if !e.sent {
			if e.state != AwaitPubcomp && int(s.sent) >= s.Window() { // [MQTT-4.9.0-2]
				return 0, unused, nil, false
			}
			s.markSent(e)
			s.resend = e.next
			return id, e.state, &e.v, true
		}
		s.resend = e.next
	}
	return 0, unused, nil, false
}

// Remove ends the handshake of id without an answer, for a message that is given
// up. ok is false when id has none.
func (s *Sender[T]) Remove(id uint16) (v T, ok bool) {
	e := s.entry(id)
	if e == nil {
		return v, false
	}
	v = e.v
	s.remove(id)
	return v, true
}

// Restore enters a message under the identifier that it had, as if it had been
// sent on an earlier Network Connection: call Resume afterwards. The order of calls
// is the order of sending. ok is false, and nothing changes, when id is 0, is in use, or
// state is none of the three that a message can be in.
func (s *Sender[T]) Restore(id uint16, state State, v T) (ok bool) {
	if id == 0 || state < AwaitPuback || state > AwaitPubcomp {
		return false
	}
	if s.slots == nil {
		s.grow()
	}
	for s.slot(id).state != unused {
		if s.slot(id).id == id {
			return false
		}
		s.grow() // two identifiers that differ have slots of their own in the longest table
	}
	s.unlink(&s.free, s.slot(id).id)
	s.last = id
	s.enter(id, state, v, false)
	return true
}

// Clear forgets all messages and reserved identifiers: the Session has ended. The
// Receive Maximum stays.
func (s *Sender[T]) Clear() { *s = Sender[T]{last: s.last, window: s.window} }

// Reserve returns an unused Packet Identifier for a SUBSCRIBE or UNSUBSCRIBE
// [MQTT-2.2.1-3]. They share the identifiers with messages, not the window. ok is
// false when all are in use.
func (s *Sender[T]) Reserve() (id uint16, ok bool) {
	if id, ok = s.take(); !ok {
		return 0, false
	}
	s.slot(id).state = reserved
	s.taken++
	return id, true
}

// Unreserve gives back an identifier from Reserve. ok is false when id is not one.
func (s *Sender[T]) Unreserve(id uint16) (ok bool) {
	if id == 0 || s.slots == nil {
		return false
	}
	e := s.slot(id)
	if e.id != id || e.state != reserved {
		return false
	}
	s.taken--
	s.release(e)
	return true
}

func (s *Sender[T]) slot(id uint16) *slot[T] { return &s.slots[int(id)&(len(s.slots)-1)] }

// entry returns the slot of a message, nil when id has none.
func (s *Sender[T]) entry(id uint16) *slot[T] {
	if id == 0 || s.slots == nil {
		return nil
	}
	if e := s.slot(id); e.id == id && e.state >= AwaitPuback {
		return e
	}
	return nil
}

// find returns the slot of id. With ProtocolError it is not nil but in another state.
func (s *Sender[T]) find(id uint16, want State) (*slot[T], error) {
	if id == 0 || s.slots == nil {
		return nil, colibri.PacketIdentifierNotFound
	}
	e := s.slot(id)
	switch {
	case e.id != id || e.state == unused:
		return nil, colibri.PacketIdentifierNotFound
	case e.state != want:
		return e, colibri.ProtocolError
	}
	return e, nil
}

// take removes the next identifier from the queue of free slots.
func (s *Sender[T]) take() (id uint16, ok bool) {
	if s.free.first == 0 && !s.grow() {
		return 0, false
	}
	id = s.free.first
	s.unlink(&s.free, id)
	s.last = id
	return id, true
}

// enter puts a message under id, whose slot is in no list, at the end of pending.
func (s *Sender[T]) enter(id uint16, state State, v T, sent bool) {
	e := s.slot(id)
	e.v, e.id, e.state, e.sent = v, id, state, sent
	s.push(&s.pending, id)
	s.count++
	if sent {
		s.sent++
	}
}

func (s *Sender[T]) markSent(e *slot[T]) {
	if !e.sent {
		e.sent = true
		s.sent++
	}
}

// remove ends the entry of id.
func (s *Sender[T]) remove(id uint16) {
	e := s.slot(id)
	if s.resend == id {
		s.resend = e.next
	}
	s.unlink(&s.pending, id)
	s.count--
	if e.sent {
		s.sent--
	}
	s.release(e)
}

// release puts the slot e, which is in no list, at the end of the free ones.
func (s *Sender[T]) release(e *slot[T]) {
	if s.count == 0 && s.taken == 0 && len(s.slots) > keepSlots {
		s.slots, s.free = nil, list{}
		return
	}
	var zero T
	e.v, e.state, e.sent = zero, unused, false
	e.id += uint16(len(s.slots)) // 0 modulo 65,536 in the longest table
	if e.id == 0 {
		e.id = uint16(len(s.slots))
	}
	s.push(&s.free, e.id)
}

// grow doubles the table, or makes the first one; false when it has one slot for
// each identifier. The free slots are queued so that the identifier after the last
// one assigned is next.
func (s *Sender[T]) grow() bool {
	old := s.slots
	length := max(firstSlots, 2*len(old))
	if length > maxSlots {
		return false
	}
	s.slots = make([]slot[T], length)
	for i := range old {
		if old[i].state != unused {
			*s.slot(old[i].id) = old[i]
		}
	}
	s.free = list{}
	for i := range length {
		id := s.last + 1 + uint16(i)
		e := s.slot(id)
		if e.state != unused {
			continue
		}
		if id == 0 {
			if length == maxSlots {
				continue // 0 is no Packet Identifier
			}
			id = uint16(length)
		}
		e.id = id
		s.push(&s.free, id)
	}
	return true
}

func (s *Sender[T]) push(l *list, id uint16) {
	e := s.slot(id)
	e.prev, e.next = l.last, 0
	if l.last == 0 {
		l.first = id
	} else {
		s.slot(l.last).next = id
	}
	l.last = id
}

func (s *Sender[T]) unlink(l *list, id uint16) {
	e := s.slot(id)
	if e.prev == 0 {
		l.first = e.next
	} else {
		s.slot(e.prev).next = e.next
	}
	if e.next == 0 {
		l.last = e.prev
	} else {
		s.slot(e.next).prev = e.prev
	}
	e.prev, e.next = 0, 0
}
