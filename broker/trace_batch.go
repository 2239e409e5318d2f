package broker

import (
	"slices"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
)

// watched reports whether somebody looks at the packets of the batch.
func (b *batch) watched() bool { return b.trail.recorder != nil || b.captures != nil }

// sawReceived shows a packet that has come. p is what it was decoded to, nil when it could not
// be; head is what is there of its length bytes.
func (b *batch) sawReceived(c *conn, head []byte, length int, p packet.Packet) {
	if t := &b.trail; t.recorder != nil {
		t.room(b.now)
		at := len(t.b) + 16
		t.packet(entryIn, c.number, head, nil, length, 0, 0)
		c.broker.maskSecrets(t.b[at:at+min(len(head), RecordedBytes)], head, p, c.version)
	}
	if b.captures != nil && b.chosen(c) {
		b.captureReceived(c, head, length, p)
	}
}

// chosen reports whether a capture takes packets of c.
func (b *batch) chosen(c *conn) bool {
	return slices.ContainsFunc(b.captures, func(one *Capture) bool { return one.chooses(c) })
}

func (b *batch) captureReceived(c *conn, head []byte, length int, p packet.Packet) {
	s := sight{at: time.Now(), length: length, head: head, packet: p}
	if t := packet.Type(head[0] >> 4); t == packet.CONNECT || t == packet.AUTH {
		s.head = append([]byte(nil), head...)
		c.broker.maskSecrets(s.head, head, p, c.version)
	}
	if publish, ok := p.(*packet.Publish); ok {
		if s.topic = publish.Topic; s.topic == "" {
			if alias, ok := publish.Properties.Number(colibri.TopicAlias); ok {
				s.topic = c.aliasedTopic(alias)
			}
		}
	}
	for _, one := range b.captures {
		one.offer(c, &s)
	}
}

// aliasedTopic returns what a Topic Alias of the client stands for.
func (c *conn) aliasedTopic(alias uint32) string {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	if c.session.conn.Load() != c {
		return ""
	}
	return c.session.state.AliasedTopic(alias)
}

// sawPublished shows a PUBLISH that was put into c's outbox.
func (b *batch) sawPublished(c *conn, p *publication, topic string) {
	if b.trail.recorder != nil {
		b.trail.publish(c.number, p, b.now)
	}
	if b.captures == nil || !b.chosen(c) {
		return
	}
	s := sight{at: time.Now(), toClient: true, length: p.size(), topic: topic, tail: p.payload}
	if p.idAt > 0 {
		s.id = p.id
	}
	s.head = append([]byte(nil), p.bytes...)
	p.patch(s.head)
	for _, one := range b.captures {
		one.offer(c, &s)
	}
}

// sawAnswered shows another packet that was put into c's outbox and has no secrets.
func (b *batch) sawAnswered(c *conn, whole []byte, r *session.Reply) {
	if t := &b.trail; t.recorder != nil {
		t.room(b.now)
		t.packet(entryOut, c.number, whole, nil, len(whole), 0, 0)
	}
	if b.captures == nil || !b.chosen(c) {
		return
	}
	s := sight{at: time.Now(), toClient: true, length: len(whole), head: whole, packet: r.Packet, id: r.PacketID, code: r.Code}
	for _, one := range b.captures {
		one.offer(c, &s)
	}
}
