package session

import (
	"time"

	"github.com/colibri-mqtt/colibri"
)

// queue holds the deliveries that wait for the client, oldest first. The zero value
// is empty and holds no memory.
type queue struct {
	items []colibri.Delivery
	head  int   // items before it have been sent
	bytes int   // deliveryBytes of all that wait
	first int64 // no item expires before, in nanoseconds since 1970; 0 when none does

	payload int // bytes of the payloads of all that wait
}

func (q *queue) length() int { return len(q.items) - q.head }

func (q *queue) push(d colibri.Delivery, size int) {
	if q.head > len(q.items)/4 && len(q.items) == cap(q.items) { // move down instead of growing
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, d)
	q.bytes += size
	q.payload += len(d.Message.Payload)
	q.expiring(&d)
}

// expiring notes when d expires.
func (q *queue) expiring(d *colibri.Delivery) {
	if at := d.Message.Expires; at != 0 && (q.first == 0 || at < q.first) {
		q.first = at
	}
}

// expires reports whether something may have expired at now.
func (q *queue) expires(now time.Time) bool { return q.first != 0 && now.UnixNano() >= q.first }

// expire removes what has expired at now. It looks at the items only when something may
// have expired.
func (q *queue) expire(now time.Time, out *Output) {
	if !q.expires(now) {
		return
	}
	kept := q.items[:q.head]
	q.bytes, q.payload, q.first = 0, 0, 0
	for i := q.head; i < len(q.items); i++ {
		d := q.items[i]
		if d.Message.Expired(now) {
			out.Expired++
			out.over(d.Number)
			continue
		}
		kept = append(kept, d)
		q.bytes += deliveryBytes(&d)
		q.payload += len(d.Message.Payload)
		q.expiring(&d)
	}
	clear(q.items[len(kept):])
	q.items = kept
	if q.length() == 0 {
		*q = queue{items: reuse(q.items)}
	}
}

func (q *queue) front() (*colibri.Delivery, bool) {
	if q.head == len(q.items) {
		return nil, false
	}
	return &q.items[q.head], true
}

// pop removes the first and returns its Number.
func (q *queue) pop() (number uint64) {
	number = q.items[q.head].Number
	q.bytes -= deliveryBytes(&q.items[q.head])
	q.payload -= len(q.items[q.head].Message.Payload)
	q.items[q.head] = colibri.Delivery{}
	q.head++
	if q.head == len(q.items) {
		*q = queue{items: reuse(q.items)}
	}
	return number
}

// takeOut removes the deliveries that taken says and appends them to out, oldest first.
func (q *queue) takeOut(out []colibri.Delivery, taken func(d *colibri.Delivery) bool) []colibri.Delivery {
	kept := q.items[q.head:q.head]
	for i := q.head; i < len(q.items); i++ {
		if d := q.items[i]; taken(&d) {
			out = append(out, d)
			q.bytes -= deliveryBytes(&d)
			q.payload -= len(d.Message.Payload)
		} else {
			kept = append(kept, d)
		}
	}
	clear(q.items[q.head+len(kept):])
	if len(kept) == 0 {
		*q = queue{items: reuse(q.items)}
	} else {
		q.items = q.items[:q.head+len(kept)]
	}
	return out
}

// reuse keeps the memory of a small emptied queue for the next burst and lets a large
// one go.
func reuse(items []colibri.Delivery) []colibri.Delivery {
	if cap(items) > 64 {
		return nil
	}
	return items[:0]
}

// deliveryBytes is what a waiting delivery counts against Limits.QueueBytes.
func deliveryBytes(d *colibri.Delivery) int { return MessageBytes(d.Message) }

// MessageBytes is what a waiting message counts against Limits.QueueBytes: its topic,
// payload and properties.
func MessageBytes(m *colibri.Message) int {
	n := len(m.Topic) + len(m.Payload)
	for i := range m.Properties {
		n += len(m.Properties[i].Name) + len(m.Properties[i].Value) + 8
	}
	return n
}
