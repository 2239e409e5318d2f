// Package session is one MQTT Session seen from the Server: what a client may send
// next, what it is owed, and what survives its Network Connection (MQTT 5.0 section
// 4.1). It is pure: packets and deliveries go in; a request for the broker and
// replies for the client come out. It decides nothing that needs more than this one
// Session, and does no input or output.
//
// A Session is not safe for concurrent use; the broker guards each with a lock.
package session

import (
	"errors"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
	"github.com/colibri-mqtt/colibri/packet"
)

// NeverExpires is the Session Expiry Interval that means for ever [MQTT-3.1.2-23],
// and what a 3.1 or 3.1.1 client with Clean Session 0 gets.
const NeverExpires = 0xFFFFFFFF

// Limits bound what one Session may hold. Zero means no limit where that is said,
// and is otherwise not allowed: the broker fills in its defaults.
type Limits struct {
	Inflight          int    // QoS 1 and 2 messages on their way to the client, 1 to 65,535
	ReceiveMaximum    uint16 // QoS 1 and 2 messages of the client not yet fulfilled; enforced on 5.0 clients
	QueueMessages     int    // messages waiting for the client; 0: no limit
	QueueBytes        int    // their topics, payloads and properties; 0: no limit
	DropOldest        bool   // when the queue is full the oldest of it gives way, not the newest
	Subscriptions     int    // 0: no limit
	TopicAliasMaximum uint16 // highest Topic Alias that a 5.0 client may use towards us
	ExpiryInterval    uint32 // longest Session Expiry Interval in seconds that DISCONNECT or Restore sets; 0: no limit
}

// expiry returns interval, or the longest Session Expiry Interval if that is shorter.
func (l *Limits) expiry(interval uint32) uint32 {
	if l.ExpiryInterval > 0 {
		return min(interval, l.ExpiryInterval)
	}
	return interval
}

// Options are what one Network Connection brings to the Session: what its CONNECT said.
type Options struct {
	Version        colibri.Version
	ExpiryInterval uint32 // seconds; NeverExpires for ever
	ReceiveMaximum uint16 // the client's, 1 to 65,535
	NoReasons      bool   // Request Problem Information is 0: no Reason Strings but in CONNACK and DISCONNECT
	Will           *colibri.Message
	WillDelay      uint32 // seconds
}

// Session is the Session State of one ClientID. New makes one.
type Session struct {
	limits *Limits

	// Of the Network Connection.
	version   colibri.Version
	connected bool
	reasons   bool     // the client takes Reason Strings
	aliases   []string // Topic Name by Topic Alias - 1, nil until one is used

	// Of the Session.
	expiryInterval uint32
	will           *colibri.Message
	willDelay      uint32
	subscriptions  subscriptionSet
	sending        flow.Sender[colibri.Delivery]
	receiving      flow.Receiver
	queue          queue
	recorded       uint64 // Deliveries with a greater Number wait
	retained       retainedBacklog
}

// New returns an empty Session with the given limits, which must not change any more.
func New(limits *Limits) Session { return Session{limits: limits} }

// RequestKind says what a client asks the broker for.
type RequestKind byte

// The requests that a packet can hold; None when the session has answered it alone.
const (
	None RequestKind = iota
	Publish
	Subscribe
	Unsubscribe
	Disconnect
)

// Request is what the broker has to decide because it concerns more than the Session.
// It aliases the packet it came from.
type Request struct {
	Kind          RequestKind
	PacketID      uint16
	Message       colibri.Message        // Publish
	Subscriptions []colibri.Subscription // Subscribe
	Filters       []string               // Unsubscribe
	Code          colibri.ReasonCode     // Disconnect
}

// Reply is one packet for the client, in its shortest form: for the packets of the
// QoS handshakes no Packet is made.
type Reply struct {
	Type     packet.Type
	PacketID uint16
	Code     colibri.ReasonCode
	Number   uint64            // PUBREL: of the Delivery whose PUBREC has come; 0 when it is not recorded
	Reason   string            // for a 5.0 client that takes it, in plain words; empty without one
	Dup      bool              // PUBLISH
	Resent   bool              // PUBREL after a reconnection
	Delivery *colibri.Delivery // PUBLISH; belongs to the Session, valid until the next call
	Packet   packet.Packet     // SUBACK, UNSUBACK
}

// Output is what a step of the Session yields. The zero value is ready to use; Reset
// makes it ready for the next step and keeps its memory.
type Output struct {
	Request Request
	Replies []Reply

	// Messages for the client that it does not get.
	Expired  int // their Message Expiry Interval has passed [MQTT-3.3.2-5]
	Replaced int // gave way to newer ones in a full queue: Limits.DropOldest
	Refused  int // the client has answered with a code of 0x80 or more [MQTT-4.4.0-2]

	// Ended are the Numbers of recorded Deliveries that are over, for whatever reason.
	Ended []uint64
}

// Reset empties o.
func (o *Output) Reset() {
	clear(o.Replies)
	*o = Output{Replies: o.Replies[:0], Ended: o.Ended[:0]}
}

// over tells that a recorded Delivery has ended; number is 0 when it is not recorded.
func (o *Output) over(number uint64) {
	if number != 0 {
		o.Ended = append(o.Ended, number)
	}
}

func (o *Output) acknowledge(t packet.Type, id uint16, code colibri.ReasonCode) {
	o.Replies = append(o.Replies, Reply{Type: t, PacketID: id, Code: code})
}

// explain gives the last reply a Reason String if the client takes it.
func (s *Session) explain(reason string, out *Output) {
	if s.reasons {
		out.Replies[len(out.Replies)-1].Reason = reason
	}
}

// Open begins a Network Connection on the Session. A resumed Session keeps what it
// owes; call Resume once the CONNACK has been queued.
func (s *Session) Open(o Options) {
	s.version = o.Version
	s.connected = true
	s.reasons = o.Version == colibri.V5 && !o.NoReasons // [MQTT-3.1.2-29]
	s.expiryInterval = o.ExpiryInterval
	s.will, s.willDelay = o.Will, o.WillDelay                          // [MQTT-3.1.2-7]
	s.aliases = nil                                                    // [MQTT-3.3.2-7]
	s.sending.SetWindow(min(s.limits.Inflight, int(o.ReceiveMaximum))) // [MQTT-3.3.4-9]
	s.sending.Resume()
	s.receiving.Resume()
	if o.Version == colibri.V5 {
		s.receiving.SetWindow(int(s.limits.ReceiveMaximum))
	} else {
		s.receiving.SetWindow(65_535) // 3.1.1 knows no Receive Maximum
	}
}

// Close ends the Network Connection. It returns the Will Message that has to be
// published after delay seconds, or nil: when there is none, or the client has taken
// it back with DISCONNECT [MQTT-3.14.4-3].
func (s *Session) Close() (will *colibri.Message, delay uint32) {
	will, delay = s.will, min(s.willDelay, s.expiryInterval)
	s.connected = false
	s.will = nil // [MQTT-3.1.2-10]
	s.aliases = nil
	if !s.Durable() {
		s.retained = retainedBacklog{}
	}
	return will, delay
}

// ExpiryInterval returns how long the Session outlives its Network Connection, in
// seconds; 0 means not at all, NeverExpires for ever [MQTT-3.1.2-23] [MQTT-4.1.0-2].
func (s *Session) ExpiryInterval() uint32 { return s.expiryInterval }

// Durable reports whether the Session outlives its Network Connection.
func (s *Session) Durable() bool { return s.expiryInterval > 0 }

// Inflight returns the number of QoS 1 and 2 messages sent and not yet fulfilled.
func (s *Session) Inflight() int { return s.sending.Len() }

// Queued returns the number of messages that wait to be sent.
func (s *Session) Queued() int { return s.queue.length() }

// Undelivered returns the number of QoS 1 and 2 messages that the client has not
// confirmed: those that wait, and those that are sent.
func (s *Session) Undelivered() int {
	n := s.queue.length()
	s.sending.Pending(func(_ uint16, state flow.State, _ *colibri.Delivery) bool {
		if state != flow.AwaitPubcomp {
			n++
		}
		return true
	})
	return n
}

// QueuedBytes returns what the messages that wait count against Limits.QueueBytes.
func (s *Session) QueuedBytes() int { return s.queue.bytes }

// QueuedPayload returns the bytes of their payloads.
func (s *Session) QueuedPayload() int { return s.queue.payload }

// Receive takes the next packet of the client. It leaves in out either a request for
// the broker, or replies, or neither. An error is a *colibri.Error: the Network
// Connection must be closed, answering with its Code.
//
// p may alias a read buffer; what the Session keeps it copies.
func (s *Session) Receive(now time.Time, p packet.Packet, out *Output) error {
	switch p := p.(type) {
	case *packet.Publish:
		return s.receivePublish(now, p, out)
	case *packet.Puback:
		return s.receivePuback(p, out)
	case *packet.Pubrec:
		return s.receivePubrec(p, out)
	case *packet.Pubrel:
		return s.receivePubrel(p, out)
	case *packet.Pubcomp:
		return s.receivePubcomp(p, out)
	case *packet.Subscribe:
		return s.receiveSubscribe(p, out)
	case *packet.Unsubscribe:
		return s.receiveUnsubscribe(p, out)
	case *packet.Pingreq:
		out.Replies = append(out.Replies, Reply{Type: packet.PINGRESP}) // [MQTT-3.12.4-1]
		return nil
	case *packet.Disconnect:
		return s.receiveDisconnect(p, out)
	case *packet.Connect:
		return protocolError("CONNECT", "MQTT-3.1.0-2", "a second CONNECT on the same Network Connection")
	case *packet.Auth:
		return protocolError("AUTH", "MQTT-4.12.0-7", "the CONNECT named no Authentication Method")
	}
	return protocolError(p.Type().String(), "", "only a Server sends this packet")
}

func (s *Session) receiveDisconnect(p *packet.Disconnect, out *Output) error {
	if interval, ok := p.Properties.Number(colibri.SessionExpiryInterval); ok {
		if s.expiryInterval == 0 && interval != 0 {
			return protocolError("DISCONNECT Session Expiry Interval", "",
				"it was zero in CONNECT and may not be raised now")
		}
		s.expiryInterval = s.limits.expiry(interval)
	}
	if p.Code == colibri.NormalDisconnection {
		s.will = nil // [MQTT-3.14.4-3], [MQTT-3.1.2-10]
	}
	out.Request = Request{Kind: Disconnect, Code: p.Code}
	return nil
}

func protocolError(op, rule, reason string) error {
	return &colibri.Error{Op: op, Code: colibri.ProtocolError, Rule: rule, Err: errors.New(reason)}
}
