package journal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/colibri-mqtt/colibri"
)

// DeliveryQueued says that a Message waits for a Session.
type DeliveryQueued struct {
	Session     uint64
	Delivery    uint64
	Message     uint64 // number of a MessageStored before
	QoS         colibri.QoS
	Retain      bool
	Identifiers []uint32 // Subscription Identifiers, 1 to 268,435,455
	Share       string   // Topic Filter of the Shared Subscription that it came through; empty otherwise
}

// DeliverySent says that PUBLISH is sent with this Packet Identifier.
type DeliverySent struct {
	Session  uint64
	Delivery uint64
	PacketID uint16
}

// PubrecReceived says that the client has a QoS 2 Message: PUBREL is sent until
// PUBCOMP comes, and PUBLISH never again [MQTT-4.3.3-6].
type PubrecReceived struct {
	Session  uint64
	Delivery uint64
	PacketID uint16
}

// DeliveryEnded says that a Delivery is over: the client has acknowledged it, or it
// was dropped.
type DeliveryEnded struct {
	Session  uint64
	Delivery uint64
}

// DeliveriesSettled says that of the Deliveries First to Last all have ended but those
// that entries before have named. A snapshot needs it, as it does not name them.
type DeliveriesSettled struct {
	Session     uint64
	First, Last uint64
}

func (DeliveryQueued) entry()    {}
func (DeliverySent) entry()      {}
func (PubrecReceived) entry()    {}
func (DeliveryEnded) entry()     {}
func (DeliveriesSettled) entry() {}

// Flags of a Delivery; the two lowest bits are its QoS.
const (
	deliveryRetain      = 2
	deliveryIdentifiers = 3 // Subscription Identifiers follow
	deliveryShare       = 4 // the Topic Filter of a Shared Subscription follows
)

func (e DeliveryQueued) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = binary.AppendUvarint(b, e.Delivery)
	b = binary.AppendUvarint(b, e.Message)
	b = append(b, byte(e.QoS)|bit(e.Retain, deliveryRetain)|bit(len(e.Identifiers) > 0, deliveryIdentifiers)|bit(e.Share != "", deliveryShare))
	if len(e.Identifiers) > 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Identifiers)))
		for _, id := range e.Identifiers {
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	if e.Share != "" {
		b = appendString(b, e.Share)
	}
	return b
}

func (r *reader) deliveryQueued() Entry {
	e := DeliveryQueued{
		Session:  r.number("Session"),
		Delivery: r.number("Delivery"),
		Message:  r.number("Message"),
	}
	flags := r.flags("Delivery flags", 0x1F)
	e.QoS, e.Retain = r.qos(flags), flags&(1<<deliveryRetain) != 0
	if flags&(1<<deliveryIdentifiers) != 0 {
		n := r.count("Subscription Identifiers", 1)
		if n == 0 {
			r.fail("Subscription Identifiers", "are none")
			return e
		}
		e.Identifiers = make([]uint32, n)
		for i := range e.Identifiers {
			e.Identifiers[i] = uint32(r.uvarint("Subscription Identifier", maxSubscriptionIdentifier))
			if e.Identifiers[i] == 0 {
				r.fail("Subscription Identifier", "is 0")
			}
		}
	}
	if flags&(1<<deliveryShare) != 0 {
		if e.Share = r.string("Shared Subscription"); e.Share == "" {
			r.fail("Shared Subscription", "is empty")
		}
	}
	return e
}

func (e DeliverySent) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = binary.AppendUvarint(b, e.Delivery)
	return binary.AppendUvarint(b, uint64(e.PacketID))
}

func (r *reader) deliverySent() Entry {
	return DeliverySent{Session: r.number("Session"), Delivery: r.number("Delivery"), PacketID: r.packetID()}
}

func (e PubrecReceived) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = binary.AppendUvarint(b, e.Delivery)
	return binary.AppendUvarint(b, uint64(e.PacketID))
}

func (r *reader) pubrecReceived() Entry {
	return PubrecReceived{Session: r.number("Session"), Delivery: r.number("Delivery"), PacketID: r.packetID()}
}

func (e DeliveryEnded) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, e.Session), e.Delivery)
}

func (r *reader) deliveryEnded() Entry {
	return DeliveryEnded{Session: r.number("Session"), Delivery: r.number("Delivery")}
}

func (e DeliveriesSettled) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = binary.AppendUvarint(b, e.First)
	return binary.AppendUvarint(b, e.Last)
}

func (r *reader) deliveriesSettled() Entry {
	e := DeliveriesSettled{Session: r.number("Session"), First: r.number("first Delivery"), Last: r.number("last Delivery")}
	if e.First > e.Last {
		r.fail("first Delivery", "is after the last")
	}
	return e
}

// DeliveryState says how far a Delivery has come. States only go up.
type DeliveryState byte

// The states of a Delivery.
const (
	Queued       DeliveryState = iota // waits to be sent
	Sent                              // awaits PUBACK, or PUBREC with QoS 2
	AwaitPubcomp                      // PUBREL sent; the Message is no longer needed
)

var deliveryStateNames = [...]string{"queued", "sent", "awaits PUBCOMP"}

// String says what has been done or is awaited, such as "awaits PUBCOMP".
func (s DeliveryState) String() string { return deliveryStateNames[s] }

// Delivery is the folded state of one Delivery. Its Message is shared with other
// Deliveries and must not be changed; it is nil in state AwaitPubcomp, where only
// Number, State and PacketID are set.
//
// A Delivery in state Sent has no Message either when DeliverySent came before
// DeliveryQueued. [Recovered] removes it if that is still so at the end of the log.
type Delivery struct {
	colibri.Delivery
	Number        uint64
	MessageNumber uint64
	State         DeliveryState
	PacketID      uint16 // 0 while Queued
}

// Deliveries returns the Deliveries that have not ended, in the order in which they
// were or are to be sent: those in flight, and the queue.
func (s *Session) Deliveries() []*Delivery {
	return slices.SortedFunc(maps.Values(s.deliveries), func(a, b *Delivery) int {
		return cmp.Compare(a.Number, b.Number)
	})
}

// delivery returns the Delivery with that number, a new one if no entry has named it;
// nil when it has ended.
func (s *Session) delivery(number uint64) *Delivery {
	if d := s.deliveries[number]; d != nil {
		return d
	}
	if !s.name(number, number) {
		return nil
	}
	d := &Delivery{Number: number}
	s.deliveries[number] = d
	return d
}

// name marks the numbers first to last as named, and reports whether any of them was not.
func (s *Session) name(first, last uint64) bool {
	if last <= s.LastDelivery {
		return s.gaps.close(first, last)
	}
	if first > s.LastDelivery+1 {
		s.gaps = append(s.gaps, gap{s.LastDelivery + 1, first - 1})
	} else {
		s.gaps.close(first, s.LastDelivery)
	}
	s.LastDelivery = last
	return true
}

func (s *State) deliveryQueued(e DeliveryQueued) error {
	session := s.session(e.Session)
	if session == nil {
		return nil
	}
	d := session.delivery(e.Delivery)
	if d == nil || d.Message != nil || d.State == AwaitPubcomp {
		s.Ignored++
		return nil
	}
	of := s.messages[e.Message]
	if of == nil {
		return fmt.Errorf("no Message %d is stored, and Delivery %d of Session %d (client %q) refers to it",
			e.Message, e.Delivery, e.Session, session.ClientID)
	}
	of.references++
	d.MessageNumber = e.Message
	d.Delivery = colibri.Delivery{Message: of.message, QoS: e.QoS, Retain: e.Retain, Identifiers: e.Identifiers, Share: e.Share} // [MQTT-4.5.0-1]
	return nil
}

func (s *State) deliverySent(e DeliverySent) {
	session := s.session(e.Session)
	if session == nil {
		return
	}
	d := session.delivery(e.Delivery)
	if d == nil || d.State == AwaitPubcomp {
		s.Ignored++
		return
	}
	d.State, d.PacketID = Sent, e.PacketID
}

func (s *State) pubrecReceived(e PubrecReceived) {
	session := s.session(e.Session)
	if session == nil {
		return
	}
	d := session.delivery(e.Delivery)
	if d == nil {
		s.Ignored++
		return
	}
	d.State, d.PacketID = AwaitPubcomp, e.PacketID
	s.release(d)
}

func (s *State) deliveryEnded(e DeliveryEnded) {
	session := s.session(e.Session)
	if session == nil {
		return
	}
	d := session.delivery(e.Delivery)
	if d == nil {
		s.Ignored++
		return
	}
	s.drop(session, d)
}

func (s *State) deliveriesSettled(e DeliveriesSettled) {
	if session := s.session(e.Session); session != nil {
		session.name(e.First, e.Last)
	}
}

func (s *State) drop(session *Session, d *Delivery) {
	s.release(d)
	delete(session.deliveries, d.Number)
}

// settle ends what would need entries that do not come any more: a Delivery sent whose
// Message was not recorded, and so not acknowledged to its publisher; and one whose
// Packet Identifier a later Delivery has, so that its acknowledgement had come.
func (s *State) settle(session *Session) {
	session.gaps = nil
	used := map[uint16]bool{}
	for _, d := range slices.Backward(session.Deliveries()) {
		if d.State == Queued {
			continue
		}
		if used[d.PacketID] || d.State == Sent && d.Message == nil {
			s.drop(session, d)
		}
		used[d.PacketID] = true
	}
}
