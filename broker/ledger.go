package broker

import (
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri/internal/session"
)

// The ledger: every message that is not delivered as asked has one reason, and is counted
// under it in total and for one client.

// DropReason says why a message was not delivered as asked.
type DropReason int

// The reasons. They are counted for the client that does not get the message, or for its
// publisher where that is said.
const (
	DropQueueFull     DropReason = iota // QoS 1 or 2: Limits.QueueMessages or QueueBytes, and the newest gives way
	DropReplaced                        // the oldest of a full queue gave way to a newer one: FullDropOldest
	DropRejected                        // publisher: refused for all because one queue is full: FullReject
	DropSlow                            // QoS 0: Limits.OutboxBytes wait for the client
	DropPaced                           // QoS 0: the client subscribes to everything, and Limits.FirehoseRate
	DropOffline                         // QoS 0: the client of a lasting Session is not connected
	DropTooLarge                        // larger than the client's Maximum Packet Size
	DropExpired                         // its Message Expiry Interval passed
	DropRefused                         // the client has answered with a code of 0x80 or more
	DropSessionEnded                    // QoS 1 or 2: the Session ended before the client had it
	DropNoSubscribers                   // publisher: no Subscription matches; or the last member of a Shared Subscription has left
	DropDenied                          // publisher: its Permissions refused it
	DropInvalid                         // publisher: a topic beyond Limits, or a payload that is not what its properties say
	DropWithheld                        // the client has subscribed and may not receive it: Permissions.Receive
	DropRetained                        // publisher: Limits.Retained or RetainedBytes: delivered, not retained
	DropStateFull                       // publisher: Config.LogQuota: refused for all, or with QoS 0 not retained
	dropReasons
)

var dropNames = [dropReasons]string{"queue full", "replaced by newer", "rejected", "slow consumer", "paced", "offline",
	"packet too large", "expired", "refused by client", "session ended", "no subscribers", "denied", "invalid", "withheld", "too many retained", "state full"}

// DropReasons is the number of reasons: they are 0 to DropReasons - 1.
const DropReasons = int(dropReasons)

// String returns the reason in words.
func (r DropReason) String() string { return dropNames[r] }

// Where no member of a Shared Subscription gets a message, it is counted in total only, and
// the event names the Subscription.

// ledger are drops, by reason.
type ledger [dropReasons]atomic.Int64

// clientLedger is the ledger of one client, with the time of the last drop by reason, in
// nanoseconds since 1970.
type clientLedger struct {
	ledger
	last [dropReasons]atomic.Int64
}

// drop counts n messages for the client of s, which is nil for the broker itself. It takes
// no lock.
func (b *Broker) drop(s *liveSession, reason DropReason, n int) {
	if n == 0 {
		return
	}
	b.counters.dropped[reason].Add(int64(n))
	var client ClientInfo
	if s != nil {
		drops := s.drops()
		drops.ledger[reason].Add(int64(n))
		drops.last[reason].Store(time.Now().UnixNano())
		if b.dropList != nil && reason != DropWithheld {
			b.dropList.add(s)
		}
		client = s.info()
	}
	b.emit(Dropped{Client: client, Reason: reason, Messages: n})
}

// drops returns the ledger of s, which most Sessions never need.
func (s *liveSession) drops() *clientLedger {
	if l := s.dropped.Load(); l != nil {
		return l
	}
	s.dropped.CompareAndSwap(nil, new(clientLedger))
	return s.dropped.Load()
}

// info names the client of s.
func (s *liveSession) info() ClientInfo {
	if c := s.conn.Load(); c != nil {
		return c.client
	}
	if a := s.access.Load(); a != nil {
		return a.client
	}
	return ClientInfo{ClientID: s.clientID}
}

// dropOutput counts what a step of s has left undelivered.
func (b *Broker) dropOutput(s *liveSession, out *session.Output) {
	if out.Expired|out.Replaced|out.Refused == 0 {
		return
	}
	b.drop(s, DropExpired, out.Expired)
	b.drop(s, DropReplaced, out.Replaced)
	b.drop(s, DropRefused, out.Refused)
	out.Expired, out.Replaced, out.Refused = 0, 0, 0
}

// byReason returns the counters that are not zero.
func (l *ledger) byReason() map[DropReason]int64 {
	m := make(map[DropReason]int64)
	for reason := range l {
		if n := l[reason].Load(); n > 0 {
			m[DropReason(reason)] = n
		}
	}
	return m
}

// lastByReason returns the times of the last drops.
func (l *clientLedger) lastByReason() map[DropReason]time.Time {
	m := make(map[DropReason]time.Time)
	for reason := range l.last {
		if at := l.last[reason].Load(); at != 0 {
			m[DropReason(reason)] = time.Unix(0, at)
		}
	}
	return m
}
