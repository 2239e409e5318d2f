package colibri

import (
	"strings"
	"time"
)

// Message is an Application Message: what a publisher hands over and every
// matching subscriber receives.
//
// A Message that comes out of a decoder may alias the read buffer; whoever keeps
// it longer than the call it was passed to keeps a Clone.
type Message struct {
	Topic   string // Topic Name: no wildcards, 1 to 65,535 bytes of UTF-8
	Payload []byte
	QoS     QoS
	Retain  bool

	// Properties are those of MQTT 5.0 that travel with the Message: Payload Format
	// Indicator, Message Expiry Interval, Content Type, Response Topic, Correlation
	// Data and User Properties. Nil for most messages, always from 3.1.1 publishers.
	Properties Properties

	// Expires is the instant from which the Message is no longer delivered, in
	// nanoseconds since 1970 (UTC); 0 means never. The Server sets it when the
	// Message arrives with a Message Expiry Interval [MQTT-3.3.2-5].
	Expires int64
}

// Clone returns a deep copy of m that shares no memory with a read buffer.
func (m *Message) Clone() *Message {
	clone := *m
	clone.Topic = strings.Clone(m.Topic)
	clone.Payload = append(make([]byte, 0, len(m.Payload)), m.Payload...)
	clone.Properties = m.Properties.Clone()
	return &clone
}

// Expired reports whether m must not be delivered any more at now.
func (m *Message) Expired(now time.Time) bool {
	return m.Expires != 0 && now.UnixNano() >= m.Expires
}

// Subscription is one Topic Filter with its Subscription Options.
type Subscription struct {
	Filter            string // Topic Filter, with its $share prefix if it has one
	QoS               QoS    // Maximum QoS
	NoLocal           bool   // do not send me what I publish
	RetainAsPublished bool   // keep the RETAIN flag of the publisher
	RetainHandling    RetainHandling
	Identifier        uint32 // Subscription Identifier, 1 to 268,435,455; 0 means none
}

// RetainHandling says which Retained Messages a new Subscription receives.
type RetainHandling byte

// The values of the Retain Handling option (MQTT 5.0 section 3.8.3.1).
const (
	SendRetained      RetainHandling = 0 // at each SUBSCRIBE
	SendRetainedIfNew RetainHandling = 1 // only if the Subscription did not exist
	NoRetained        RetainHandling = 2
)

// Delivery is a Message on its way to one Session: what the Message is, and what
// the Subscriptions that matched make of it.
type Delivery struct {
	Message     *Message
	QoS         QoS      // the lower of the Message's and the highest matching Subscription's
	Retain      bool     // the RETAIN flag to send
	Identifiers []uint32 // Subscription Identifiers of all Subscriptions that matched
	// Number is the Delivery's in the broker's log, counted from 1 within its Session, and
	// Stored that of its Message there; 0 when they are not recorded.
	Number, Stored uint64

	Share string // the Topic Filter of the Shared Subscription that it came through; empty otherwise
}
