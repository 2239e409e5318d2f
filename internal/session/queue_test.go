package session

import (
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// TestQueueAtItsLimit shows that a queue which stays full costs no more per message than
// a short one: it is moved down once in a while, not for each message, and does not grow
// without end.
func TestQueueAtItsLimit(t *testing.T) {
	const full, passing = 10_000, 100_000
	var q queue
	d := colibri.Delivery{Message: &colibri.Message{Topic: "t"}}
	for range full {
		q.push(d, deliveryBytes(&d))
	}
	moved := 0
	for range passing {
		q.pop()
		before := q.head
		q.push(d, deliveryBytes(&d))
		if q.head < before {
			moved += q.length()
		}
	}
	if moved > 5*passing {
		t.Errorf("%d messages through a queue of %d moved %d deliveries, want %d at most", passing, full, moved, 5*passing)
	}
	if got := cap(q.items); got > 2*full {
		t.Errorf("%d deliveries take a capacity of %d, want %d at most", full, got, 2*full)
	}
	if q.length() != full || q.bytes != full*deliveryBytes(&d) {
		t.Errorf("got length %d and %d bytes, want %d and %d", q.length(), q.bytes, full, full*deliveryBytes(&d))
	}
}

// TestQueueEmptied shows that an emptied queue lets its memory go, and that what has been
// sent is not kept alive by one that still holds something.
func TestQueueEmptied(t *testing.T) {
	var q queue
	d := colibri.Delivery{Message: &colibri.Message{Topic: "t"}}
	for range 1000 {
		q.push(d, deliveryBytes(&d))
	}
	for range 999 {
		q.pop()
	}
	for i := range q.head {
		if q.items[i].Message != nil {
			t.Fatalf("delivery %d has been sent and is still referred to", i)
		}
	}
	q.pop()
	if q.items != nil || q.bytes != 0 || q.length() != 0 {
		t.Errorf("emptied queue: capacity %d, length %d, %d bytes, want nothing", cap(q.items), q.length(), q.bytes)
	}
}

// TestQueueTakeOut shows that what is taken out of the middle counts no more.
func TestQueueTakeOut(t *testing.T) {
	var q queue
	for i := range 10 {
		d := colibri.Delivery{QoS: colibri.QoS(1 + i%2), Message: &colibri.Message{Topic: "t", Payload: make([]byte, i)}}
		q.push(d, deliveryBytes(&d))
	}
	q.pop()
	out := q.takeOut(nil, func(d *colibri.Delivery) bool { return d.QoS == colibri.ExactlyOnce })
	if len(out) != 5 || q.length() != 4 || q.payload != 2+4+6+8 || q.bytes != q.payload+4 {
		t.Errorf("took %d, left %d with a payload of %d and %d bytes, want 5, 4, 20 and 24", len(out), q.length(), q.payload, q.bytes)
	}
}

// BenchmarkQueueFull passes messages through a queue that is at its limit.
func BenchmarkQueueFull(b *testing.B) {
	var q queue
	d := colibri.Delivery{Message: &colibri.Message{Topic: "t"}}
	for range 100_000 {
		q.push(d, deliveryBytes(&d))
	}
	for b.Loop() {
		q.pop()
		q.push(d, deliveryBytes(&d))
	}
}
