package broker

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// Limit names one of Limits that was reached and answered.
type Limit int

// The limits that are counted here. What becomes of messages is in the ledger: DropReason.
const (
	LimitConnections     Limit = iota // refused: CONNACK 0x97
	LimitUnauthenticated              // closed at once: Limits.Unauthenticated
	LimitConnectTime                  // closed: no CONNECT in time
	LimitConnectBytes                 // refused: 0x95
	LimitConnectRate                  // refused: 0x9F
	LimitKeepAlive                    // a shorter Keep Alive imposed, or refused before 5.0
	LimitSessionExpiry                // a shorter Session Expiry Interval imposed
	LimitPacketBytes                  // disconnected: 0x95
	LimitReceiveMaximum               // disconnected: 0x93
	LimitTopicAlias                   // disconnected: 0x94
	LimitSubscriptions                // SUBACK 0x97
	LimitTopic                        // SUBACK 0x8F: Limits.TopicLevels or TopicBytes
	LimitMessageRate                  // read later
	LimitByteRate                     // read later
	LimitHandshakes                   // closed: as many handshakes of a listener go on as may, and this one was silent; see Broker.TurnedAway
	LimitAddress                      // closed at once: Limits.PerAddress, or that of a listener; see Broker.TurnedAway
	LimitTakeovers                    // a Client Identifier that is taken over again and again; see Flapping
	LimitTakeoverTable                // a takeover that was not watched for that, as too many others are
	LimitLogins                       // refused by an Authenticator: 0x8A. Too many failed logins before
	LimitLoginQueue                   // refused by an Authenticator: 0x89. Too many logins at once
	LimitDescriptors                  // closed at once: the process has no file descriptor left for it; see Broker.TurnedAway
	limits
)

var limitNames = [limits]string{"connections", "unauthenticated connections", "time to CONNECT", "size of CONNECT",
	"connection rate", "Keep Alive", "Session Expiry Interval", "packet size", "Receive Maximum", "Topic Alias",
	"subscriptions", "topic levels or bytes", "message rate", "byte rate", "handshakes", "connections of an address", "takeovers", "watched takeovers",
	"failed logins", "logins that wait", "file descriptors"}

// LimitCount is the number of these limits: they are 0 to LimitCount - 1.
const LimitCount = int(limits)

// String names the limit.
func (l Limit) String() string { return limitNames[l] }

// limited counts a limit that client has reached.
func (b *Broker) limited(client ClientInfo, l Limit) {
	b.counters.limited[l].Add(1)
	b.emit(Limited{Client: client, Limit: l})
}

// TurnedAway counts a Network Connection that its listener has closed because of l, before
// the broker has seen it.
func (b *Broker) TurnedAway(remote net.Addr, l Limit) {
	b.counters.limited[l].Add(1)
	b.emit(Limited{Remote: remote, Limit: l})
}

// LimitError is an error by which an Authenticator, or the Exchange of a Method, refuses a
// client because of a limit of its own: the broker counts it.
type LimitError struct {
	Limit Limit
	Err   error // what becomes of the client: see Authenticator
}

// Error returns that of Err.
func (e *LimitError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *LimitError) Unwrap() error { return e.Err }

// refusedBytes returns why a packet of size bytes is not taken, nil when it is.
func (l *Limits) refusedBytes(size int) *colibri.Error {
	if size <= l.PacketBytes {
		return nil
	}
	return &colibri.Error{Op: "packet", Code: colibri.PacketTooLarge,
		Err: fmt.Errorf("%d bytes, and this Server takes %d", size, l.PacketBytes)}
}

// limitOf returns the limit whose answer code is, when we end a connection with it.
func limitOf(code colibri.ReasonCode) (l Limit, ok bool) {
	switch code {
	case colibri.PacketTooLarge:
		return LimitPacketBytes, true
	case colibri.ReceiveMaximumExceeded:
		return LimitReceiveMaximum, true
	case colibri.TopicAliasInvalid:
		return LimitTopicAlias, true
	}
	return 0, false
}

// bucket lets through a number of things per second, and at once as many as in one second.
// The zero value is full.
type bucket struct {
	debt float64 // things let through that have not been paid back
	at   time.Time
}

// take lets n things through and returns how long it takes until the bucket has them
// again: 0 while it is not empty.
func (b *bucket) take(now time.Time, n, perSecond int) time.Duration {
	if !b.at.IsZero() {
		b.debt = max(0, b.debt-now.Sub(b.at).Seconds()*float64(perSecond))
	}
	b.at = now
	b.debt += float64(n)
	return max(0, time.Duration((b.debt/float64(perSecond)-1)*float64(time.Second)))
}

// connectRate is the bucket of Limits.ConnectRate.
type connectRate struct {
	mu     sync.Mutex
	bucket bucket
}

// exceeded counts one CONNECT and reports whether it is one too many, which costs nothing.
func (r *connectRate) exceeded(now time.Time, perSecond int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.bucket
	if r.bucket.take(now, 1, perSecond) > 0 {
		before.take(now, 0, perSecond)
		r.bucket = before
		return true
	}
	return false
}

// throttle holds the reader of one connection back. Only the reader uses it.
type throttle struct {
	messages, bytes bucket
	published       int  // since the last pause
	paused          bool // the last batch was too much
}

// pauseSlice is how long a reader that is held back sleeps before it looks whether its
// connection still lives.
const pauseSlice = 100 * time.Millisecond

// slowDown waits until c has kept within Limits.MessageRate and ByteRate. It returns false
// when the connection has ended meanwhile.
func (c *conn) slowDown(bytes int) bool {
	t := c.throttle
	if t == nil {
		return true
	}
	now, l := time.Now(), &c.broker.limits
	wait, reached := time.Duration(0), LimitMessageRate
	if l.MessageRate > 0 {
		wait = t.messages.take(now, t.published, l.MessageRate)
	}
	if l.ByteRate > 0 {
		if w := t.bytes.take(now, bytes, l.ByteRate); w > wait {
			wait, reached = w, LimitByteRate
		}
	}
	t.published = 0
	if wait == 0 {
		t.paused = false
		return true
	}
	if !t.paused { // once each time that it begins
		t.paused = true
		c.broker.limited(c.client, reached)
	}
	for ; wait > 0; wait -= pauseSlice {
		time.Sleep(min(wait, pauseSlice))
		c.lastRead.Store(time.Now().UnixNano()) // it is we who do not read
		if c.ending.Load() != nil {
			return false
		}
	}
	return true
}
