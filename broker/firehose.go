package broker

import (
	"time"

	"github.com/colibri-mqtt/colibri/topic"
)

// firehose says since when a connection has had a Subscription to everything, and what
// it had been sent before.
type firehose struct {
	since           time.Time
	messages, bytes int64
}

// isFirehose reports whether filter matches every topic that does not begin with $.
func isFirehose(filter string) bool {
	_, inner, shared := topic.SplitShared(filter)
	return filter == "#" || shared && inner == "#"
}

// firehoseBegins tells once for each connection that everything is sent to it.
func (c *conn) firehoseBegins(filter string, now time.Time) {
	if c.firehose != nil || !isFirehose(filter) {
		return
	}
	messages, bytes := c.out.sent()
	c.firehose = &firehose{now, messages, bytes}
	c.broker.emit(Firehose{Client: c.client})
}

// firehoseEnds tells what a Subscription to everything has cost.
func (c *conn) firehoseEnds() {
	f := c.firehose
	if f == nil {
		return
	}
	c.firehose = nil
	messages, bytes := c.out.sent()
	c.broker.emit(Firehose{Client: c.client, Ended: true, Messages: messages - f.messages, Bytes: bytes - f.bytes,
		After: time.Since(f.since)})
}
