package broker

import (
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri/topic"
)

// firehose says since when a connection has had a Subscription to everything, and what
// it had been sent before.
type firehose struct {
	since           time.Time
	messages, bytes int64
	shared          bool // only through a Shared Subscription, whose messages are not paced

	mu     sync.Mutex // guards what follows; a leaf
	second int64      // since 1970, in which was sent:
	sent   int        // QoS 0 messages
}

// tooFast reports whether a QoS 0 message is more than rate of them in this second. It is
// counted when it is sent.
func (f *firehose) tooFast(now time.Time, rate int, sent bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	second, n := now.Unix(), 1
	if second == f.second {
		n += f.sent
	}
	if sent {
		f.second, f.sent = second, n
	}
	return n > rate
}

// paced reports whether a QoS 0 message for c gives way, as c is sent everything and has had
// as many in this second as Limits.FirehoseRate allows. sent says that it is on its way.
func (c *conn) paced(now time.Time, sent bool) bool {
	rate := c.broker.limits.FirehoseRate
	if rate <= 0 {
		return false
	}
	f := c.firehose.Load()
	return f != nil && !f.shared && f.tooFast(now, rate, sent)
}

// isFirehose reports whether filter matches every topic that does not begin with $.
func isFirehose(filter string) bool {
	_, inner, shared := topic.SplitShared(filter)
	return filter == "#" || shared && inner == "#"
}

// firehoseBegins tells once for each connection that everything is sent to it.
func (c *conn) firehoseBegins(filter string, now time.Time) {
	if !isFirehose(filter) {
		return
	}
	if before := c.firehose.Load(); before != nil {
		if before.shared && filter == "#" {
			c.firehose.Store(&firehose{since: before.since, messages: before.messages, bytes: before.bytes})
		}
		return
	}
	messages, bytes := c.out.sent()
	c.firehose.Store(&firehose{since: now, messages: messages, bytes: bytes, shared: filter != "#"})
	c.broker.emit(Firehose{Client: c.client})
}

// firehoseResumes is firehoseBegins for a client that has come back to its Session.
func (c *conn) firehoseResumes() {
	c.session.mu.Lock()
	_, everything := c.session.state.Subscription("#")
	c.session.mu.Unlock()
	if everything {
		c.firehoseBegins("#", c.opened)
	}
}

// firehoseEnds tells what a Subscription to everything has cost.
func (c *conn) firehoseEnds() {
	f := c.firehose.Swap(nil)
	if f == nil {
		return
	}
	messages, bytes := c.out.sent()
	c.broker.emit(Firehose{Client: c.client, Ended: true, Messages: messages - f.messages, Bytes: bytes - f.bytes,
		After: time.Since(f.since)})
}
