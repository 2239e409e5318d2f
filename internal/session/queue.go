package session

import "github.com/colibri-mqtt/colibri"

// queue holds the deliveries that wait for the client, oldest first. The zero value
// is empty and holds no memory.
type queue struct {
	items []colibri.Delivery
	head  int // items before it have been sent
	bytes int // deliveryBytes of all that wait
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
}

func (q *queue) front() (*colibri.Delivery, bool) {
	if q.head == len(q.items) {
		return nil, false
	}
	return &q.items[q.head], true
}

func (q *queue) pop() {
	q.bytes -= deliveryBytes(&q.items[q.head])
	q.items[q.head] = colibri.Delivery{}
	q.head++
	if q.head == len(q.items) {
		*q = queue{items: reuse(q.items)}
	}
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
func deliveryBytes(d *colibri.Delivery) int {
	m := d.Message
	n := len(m.Topic) + len(m.Payload)
	for i := range m.Properties {
		n += len(m.Properties[i].Name) + len(m.Properties[i].Value) + 8
	}
	return n
}
