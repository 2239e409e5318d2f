package broker

import (
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// Event is something that happened, for logs, counters and screens. The set is sealed:
// HandshakeFailed, Opened, Connected, Refused, Disconnected, Subscribed, Unsubscribed, Firehose, Dropped,
// Denied, Limited and Flapping. Events never hold a password or a payload.
type Event interface{ event() }

// Opened is a Network Connection that was accepted; its CONNECT has not come yet.
type Opened struct {
	Remote, Local net.Addr
}

// Connected is a client whose CONNECT was accepted.
type Connected struct {
	Client         ClientInfo
	Remote, Local  net.Addr
	Version        colibri.Version
	CleanStart     bool
	SessionPresent bool
	KeepAlive      uint16 // seconds
	Will           bool
}

// Refused is a Network Connection that ended without an accepted CONNECT.
type Refused struct {
	Client ClientInfo // empty when no CONNECT could be read
	Remote net.Addr
	Code   colibri.ReasonCode
	Err    error // in plain words
}

// Disconnected is the end of a connected client.
type Disconnected struct {
	Client ClientInfo
	Remote net.Addr
	Code   colibri.ReasonCode // what was sent or received in DISCONNECT, or would have been
	Err    error              // why, in plain words; nil when the client said goodbye
	After  time.Duration
}

// Subscribed is an answer to a Subscription that was asked for. The SUBACK stands in the
// client's outbox then, and behind it what is retained, as far as there is room.
type Subscribed struct {
	Client       ClientInfo
	Subscription colibri.Subscription
	Code         colibri.ReasonCode
}

// Unsubscribed is a Subscription that a client ended.
type Unsubscribed struct {
	Client ClientInfo
	Filter string
}

// Firehose is a client that subscribes to everything ("#"), and what it has cost until
// now: once when it begins, with zeroes, and once when it ends.
type Firehose struct {
	Client   ClientInfo
	Ended    bool
	Messages int64 // PUBLISH packets put on their way to the client meanwhile
	Bytes    int64 // of these packets
	After    time.Duration
}

// Dropped are messages that were not delivered as asked, by reason.
type Dropped struct {
	// Client is the one that does not get them or, where the reason says so, the one that
	// has sent them; empty for those of the broker itself.
	Client   ClientInfo
	Share    string // the Topic Filter of the Shared Subscription no member of which gets them; empty otherwise
	Reason   DropReason
	Messages int
}

// Limited is a client that has reached one of the broker's limits, and was answered as
// Limit says.
type Limited struct {
	Client ClientInfo // empty when no CONNECT was read
	Remote net.Addr   // where the client is not what counts; nil otherwise
	Limit  Limit
}

// Flapping are connections that take one Client Identifier over from each other again and
// again: most likely two devices have the same. It is told at the third takeover within ten
// seconds, and while it goes on once a minute.
type Flapping struct {
	Client    ClientInfo
	Remotes   [2]net.Addr // of the last takeover: who had the Session, and who has it now
	Takeovers int64       // of this row, since the last of these events
}

func (Opened) event()       {}
func (Connected) event()    {}
func (Refused) event()      {}
func (Disconnected) event() {}
func (Subscribed) event()   {}
func (Unsubscribed) event() {}
func (Firehose) event()     {}
func (Dropped) event()      {}
func (Limited) event()      {}
func (Flapping) event()     {}
