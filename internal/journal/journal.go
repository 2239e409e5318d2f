// Package journal holds the durable changes of a broker as a sum type, their bytes,
// and the fold back into state: Sessions, Subscriptions, Retained Messages, queued and
// in-flight Deliveries, QoS 2 identifiers and Will Messages (MQTT 5.0 section 4.1).
//
// The broker appends the entries of a batch to its log before any reply of the batch
// leaves. After a restart [State] folds the log back into what the broker held.
//
// # Numbers
//
// Sessions, Messages, Deliveries and changes of Retained Messages have numbers, which
// the broker counts up from 1 and never uses again. A Session gets its number when it
// is new; a Message when it is stored; a Delivery, which has its numbers within its
// Session, when it enters the queue or is sent at once. As nothing overtakes in a queue,
// the order of these numbers is also the order of sending [MQTT-4.6.0-1].
//
// # Order
//
// Batches of several connections may change the same Session, or the same Retained
// Message, and reach the log in another order than they did so. Numbers make that
// harmless: the entries about one Delivery fold to the same state in any order and
// however often they are repeated; of two changes of a Retained Message the one with
// the higher number counts; and what concerns a Session that has ended is ignored.
// Three things the writer owes: MessageStored stands before the Deliveries of that
// Message, in the same frame or the same checkpoint; SessionOpened stands before all else
// about the Session; and changes that only the Session's own connection makes
// (Subscriptions, Will Message, QoS 2 identifiers of the client) are written in their
// order. Index says which frames of a log count.
//
// # Format
//
// An entry is its length, its type and its fields:
//
//	length   uvarint    bytes that follow
//	type     1 byte     what the fields are
//	fields              as the type says: uvarints, single bytes, and
//	                    strings as a uvarint length and that many bytes
//
// Integers have their shortest form, unused bits are 0, and fields fill the entry
// exactly: there is one way to write an entry. A type never changes what it means. When
// it needs another field, it gets a successor with a number of its own, and the old
// one is still read. A program that meets a type of its future says so, with the place,
// and never misreads it.
//
// The package is pure. Its functions are safe for concurrent use; a State is not.
package journal

import (
	"encoding/binary"
	"fmt"
	"io"
)

// FormatVersion is the version of the format that this package writes.
const FormatVersion = 1

// maxBytes bounds an entry, type included: twice what fits into a Control Packet.
const maxBytes = 512 << 20

// Entry is one durable change. The types of this package are its only members; they
// are used as values, not as pointers.
type Entry interface{ entry() }

// The types of entries. They are on disk: never change one, never use one again.
const (
	typeFormat              = 0x01
	typeRecovered           = 0x02
	typeCheckpoint          = 0x03
	typeSessionOpened       = 0x10
	typeSessionClosed       = 0x11
	typeSessionEnded        = 0x12
	typeWillStored          = 0x18
	typeWillRemoved         = 0x19
	typeWillAuthor          = 0x1A
	typeSubscriptionGranted = 0x20
	typeSubscriptionRemoved = 0x21
	typeRetainedSet         = 0x30
	typeRetainedRemoved     = 0x31
	typeMessageStored       = 0x40
	typeDeliveryQueued      = 0x50
	typeDeliverySent        = 0x51
	typePubrecReceived      = 0x52
	typeDeliveryEnded       = 0x53
	typeDeliveriesSettled   = 0x54
	typePublishReceived     = 0x60
	typePubrelReceived      = 0x61
)

// Append adds the bytes of e to b and returns the longer slice. It makes no garbage
// but what b needs to grow, and keeps nothing of e.
//
// It panics when e cannot be written: nil, without the Message that its type needs,
// a time that is not after the beginning of 1970, or longer than 512 MB.
func Append(b []byte, e Entry) []byte {
	start := len(b)
	b = append(b, 0)
	// One case a type: a call through the interface would move every entry to the heap.
	switch e := e.(type) {
	case Format:
		b = e.append(append(b, typeFormat))
	case Recovered:
		b = e.append(append(b, typeRecovered))
	case Checkpoint:
		b = e.append(append(b, typeCheckpoint))
	case SessionOpened:
		b = e.append(append(b, typeSessionOpened))
	case SessionClosed:
		b = e.append(append(b, typeSessionClosed))
	case SessionEnded:
		b = e.append(append(b, typeSessionEnded))
	case WillStored:
		b = e.append(append(b, typeWillStored))
	case WillAuthor:
		b = e.append(append(b, typeWillAuthor))
	case WillRemoved:
		b = e.append(append(b, typeWillRemoved))
	case SubscriptionGranted:
		b = e.append(append(b, typeSubscriptionGranted))
	case SubscriptionRemoved:
		b = e.append(append(b, typeSubscriptionRemoved))
	case RetainedSet:
		b = e.append(append(b, typeRetainedSet))
	case RetainedRemoved:
		b = e.append(append(b, typeRetainedRemoved))
	case MessageStored:
		b = e.append(append(b, typeMessageStored))
	case DeliveryQueued:
		b = e.append(append(b, typeDeliveryQueued))
	case DeliverySent:
		b = e.append(append(b, typeDeliverySent))
	case PubrecReceived:
		b = e.append(append(b, typePubrecReceived))
	case DeliveryEnded:
		b = e.append(append(b, typeDeliveryEnded))
	case DeliveriesSettled:
		b = e.append(append(b, typeDeliveriesSettled))
	case PublishReceived:
		b = e.append(append(b, typePublishReceived))
	case PubrelReceived:
		b = e.append(append(b, typePubrelReceived))
	default:
		panic("journal: Append of nil or of a pointer to an entry")
	}
	return prefixLength(b, start)
}

// prefixLength puts the length of the entry into the byte at start, which was kept
// free for it, and moves the entry when one byte is not enough.
func prefixLength(b []byte, start int) []byte {
	length := len(b) - start - 1
	if length < 0x80 {
		b[start] = byte(length)
		return b
	}
	if length > maxBytes {
		panic("journal: Append of an entry longer than 512 MB")
	}
	var prefix [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(prefix[:], uint64(length))
	b = append(b, prefix[1:n]...) // makes room
	copy(b[start+n:], b[start+1:start+1+length])
	copy(b[start:], prefix[:n])
	return b
}

// Decode reads the first entry of b and returns it with its length in bytes. The
// Payload of a Message aliases b; strings are copies.
//
// The error is io.ErrUnexpectedEOF while b holds only a beginning, otherwise a
// *SyntaxError. With an unknown type the returned length is that of the entry, so that
// what follows it can still be looked at; with every other error it is 0.
func Decode(b []byte) (Entry, int, error) {
	length, n := binary.Uvarint(b)
	switch {
	case n == 0:
		return nil, 0, io.ErrUnexpectedEOF
	case n < 0 || length > maxBytes:
		return nil, 0, &SyntaxError{Reason: "length is greater than 512 MB"}
	case length == 0:
		return nil, 0, &SyntaxError{Reason: "length is 0"}
	case n > 1 && b[n-1] == 0:
		return nil, 0, &SyntaxError{Reason: "length is not in its shortest form"}
	case uint64(len(b)-n) < length:
		return nil, 0, io.ErrUnexpectedEOF
	}
	size := n + int(length)
	r := reader{b: b[:size:size], at: n + 1}
	e := r.entry(b[n])
	switch {
	case e == nil:
		return nil, size, &SyntaxError{Offset: n, Type: b[n], Reason: "unknown type: a newer version of Colibri wrote it"}
	case r.err != nil:
		r.err.Type = b[n]
		return nil, 0, r.err
	case r.at != size:
		return nil, 0, &SyntaxError{Offset: r.at, Type: b[n], Reason: fmt.Sprintf("%d bytes too many", size-r.at)}
	}
	return e, size, nil
}

// entry reads the fields of an entry of type t; nil when there is no such type.
func (r *reader) entry(t byte) Entry {
	switch t {
	case typeFormat:
		return r.format()
	case typeRecovered:
		return r.recovered()
	case typeCheckpoint:
		return r.checkpoint()
	case typeSessionOpened:
		return r.sessionOpened()
	case typeSessionClosed:
		return r.sessionClosed()
	case typeSessionEnded:
		return r.sessionEnded()
	case typeWillStored:
		return r.willStored()
	case typeWillAuthor:
		return r.willAuthor()
	case typeWillRemoved:
		return r.willRemoved()
	case typeSubscriptionGranted:
		return r.subscriptionGranted()
	case typeSubscriptionRemoved:
		return r.subscriptionRemoved()
	case typeRetainedSet:
		return r.retainedSet()
	case typeRetainedRemoved:
		return r.retainedRemoved()
	case typeMessageStored:
		return r.messageStored()
	case typeDeliveryQueued:
		return r.deliveryQueued()
	case typeDeliverySent:
		return r.deliverySent()
	case typePubrecReceived:
		return r.pubrecReceived()
	case typeDeliveryEnded:
		return r.deliveryEnded()
	case typeDeliveriesSettled:
		return r.deliveriesSettled()
	case typePublishReceived:
		return r.publishReceived()
	case typePubrelReceived:
		return r.pubrelReceived()
	}
	return nil
}

// SyntaxError says why bytes are no entry, and where. It never stands for bytes that
// are merely missing.
type SyntaxError struct {
	Offset int    // in the bytes given to Decode or Fold
	Type   byte   // of the entry; 0 when it was not reached
	Reason string // field and fault in plain words
}

// Error returns one line such as
// "journal entry, byte 7, type 0x51: Packet Identifier is 0".
func (e *SyntaxError) Error() string {
	if e.Type == 0 {
		return fmt.Sprintf("journal entry, byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("journal entry, byte %d, type 0x%02X: %s", e.Offset, e.Type, e.Reason)
}
