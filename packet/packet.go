// Package packet turns bytes into MQTT Control Packets and back, for MQTT 3.1,
// 3.1.1 and 5.0, in both directions, and takes packets apart field by field.
//
// One decoder serves three uses: [Decode] for programs, [Dissect] for people who
// want to see which bytes mean what, and the error texts, which carry the name of
// the field in which the fault lies. [Append] is its inverse. One table of
// properties drives all three.
//
// The package is pure: it does no input or output, and knows no clock.
package packet

import (
	"fmt"

	"github.com/colibri-mqtt/colibri"
)

// Type is the MQTT Control Packet type: bits 7-4 of the first byte of a packet
// (MQTT 5.0 section 2.1.2).
type Type byte

// The fifteen Control Packets. AUTH exists in 5.0 only.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

var typeNames = [16]string{
	"reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the standard's name of the packet, in capitals.
func (t Type) String() string {
	if t < 16 {
		return typeNames[t]
	}
	return fmt.Sprintf("packet type %d", byte(t))
}

// Packet is one Control Packet. The set is sealed: *Connect, *Connack, *Publish,
// *Puback, *Pubrec, *Pubrel, *Pubcomp, *Subscribe, *Suback, *Unsubscribe,
// *Unsuback, *Pingreq, *Pingresp, *Disconnect and *Auth.
type Packet interface {
	Type() Type
	sealed()
}

// MaxSize is the size in bytes of the largest packet that the standard allows: a
// Fixed Header of five bytes and a Remaining Length of 268,435,455.
const MaxSize = 5 + 268_435_455

// Connect is the first packet of a client (section 3.1).
type Connect struct {
	Version     colibri.Version
	Bridge      bool   // bit 7 of the Protocol Version byte: Mosquitto's mark of a bridge; 3.1 and 3.1.1 only
	CleanStart  bool   // Clean Session in 3.1 and 3.1.1
	KeepAlive   uint16 // seconds; 0 turns it off
	ClientID    string // may be empty
	Will        *Will  // nil without a Will Message
	HasUserName bool
	UserName    string
	HasPassword bool
	Password    []byte
	Properties  colibri.Properties
}

// Will is the Will Message of a Connect.
type Will struct {
	Topic      string
	Payload    []byte
	QoS        colibri.QoS
	Retain     bool
	Properties colibri.Properties // Will Properties, incl. Will Delay Interval
}

// Connack answers a Connect (section 3.2).
type Connack struct {
	SessionPresent bool
	// Code is the byte of the wire: a Reason Code in 5.0, a Connect Return code
	// (0 to 5) in 3.1 and 3.1.1; see colibri.ReasonCode.ConnectReturnCode.
	Code       colibri.ReasonCode
	Properties colibri.Properties
}

// Publish carries an Application Message (section 3.3).
type Publish struct {
	Dup        bool
	QoS        colibri.QoS
	Retain     bool
	Topic      string // may be empty in 5.0 when there is a Topic Alias
	PacketID   uint16 // 0 when QoS is 0, and only then
	Payload    []byte
	Properties colibri.Properties
}

// Puback acknowledges a QoS 1 Publish (section 3.4).
type Puback struct {
	PacketID   uint16
	Code       colibri.ReasonCode // Success in 3.1 and 3.1.1
	Properties colibri.Properties
}

// Pubrec is the first answer to a QoS 2 Publish (section 3.5).
type Pubrec struct {
	PacketID   uint16
	Code       colibri.ReasonCode
	Properties colibri.Properties
}

// Pubrel answers a Pubrec (section 3.6).
type Pubrel struct {
	PacketID   uint16
	Dup        bool // 3.1 only, where a resent PUBREL has the DUP flag
	Code       colibri.ReasonCode
	Properties colibri.Properties
}

// Pubcomp answers a Pubrel (section 3.7).
type Pubcomp struct {
	PacketID   uint16
	Code       colibri.ReasonCode
	Properties colibri.Properties
}

// Subscribe asks for Subscriptions (section 3.8). The Subscription Identifier of
// 5.0 is a property of the packet; the field Identifier of each Subscription is set
// from it when decoding, and not read when encoding.
type Subscribe struct {
	PacketID      uint16
	Dup           bool                   // 3.1 only
	Subscriptions []colibri.Subscription // one or more
	Properties    colibri.Properties
}

// Suback answers a Subscribe, one code for each Subscription in the same order (section 3.9).
type Suback struct {
	PacketID   uint16
	Codes      []colibri.ReasonCode // 0, 1, 2 or 0x80 in 3.1.1
	Properties colibri.Properties
}

// Unsubscribe ends Subscriptions (section 3.10).
type Unsubscribe struct {
	PacketID   uint16
	Dup        bool     // 3.1 only
	Filters    []string // one or more
	Properties colibri.Properties
}

// Unsuback answers an Unsubscribe (section 3.11). Codes is empty in 3.1 and 3.1.1.
type Unsuback struct {
	PacketID   uint16
	Codes      []colibri.ReasonCode
	Properties colibri.Properties
}

// Pingreq asks for a Pingresp (section 3.12).
type Pingreq struct{}

// Pingresp answers a Pingreq (section 3.13).
type Pingresp struct{}

// Disconnect is the last packet of a client, and in 5.0 of a server (section 3.14).
type Disconnect struct {
	Code       colibri.ReasonCode // NormalDisconnection in 3.1 and 3.1.1
	Properties colibri.Properties
}

// Auth is a step of an enhanced authentication; 5.0 only (section 3.15).
type Auth struct {
	Code       colibri.ReasonCode
	Properties colibri.Properties
}

// Type returns CONNECT.
func (*Connect) Type() Type { return CONNECT }

// Type returns CONNACK.
func (*Connack) Type() Type { return CONNACK }

// Type returns PUBLISH.
func (*Publish) Type() Type { return PUBLISH }

// Type returns PUBACK.
func (*Puback) Type() Type { return PUBACK }

// Type returns PUBREC.
func (*Pubrec) Type() Type { return PUBREC }

// Type returns PUBREL.
func (*Pubrel) Type() Type { return PUBREL }

// Type returns PUBCOMP.
func (*Pubcomp) Type() Type { return PUBCOMP }

// Type returns SUBSCRIBE.
func (*Subscribe) Type() Type { return SUBSCRIBE }

// Type returns SUBACK.
func (*Suback) Type() Type { return SUBACK }

// Type returns UNSUBSCRIBE.
func (*Unsubscribe) Type() Type { return UNSUBSCRIBE }

// Type returns UNSUBACK.
func (*Unsuback) Type() Type { return UNSUBACK }

// Type returns PINGREQ.
func (*Pingreq) Type() Type { return PINGREQ }

// Type returns PINGRESP.
func (*Pingresp) Type() Type { return PINGRESP }

// Type returns DISCONNECT.
func (*Disconnect) Type() Type { return DISCONNECT }

// Type returns AUTH.
func (*Auth) Type() Type { return AUTH }

func (*Connect) sealed()     {}
func (*Connack) sealed()     {}
func (*Publish) sealed()     {}
func (*Puback) sealed()      {}
func (*Pubrec) sealed()      {}
func (*Pubrel) sealed()      {}
func (*Pubcomp) sealed()     {}
func (*Subscribe) sealed()   {}
func (*Suback) sealed()      {}
func (*Unsubscribe) sealed() {}
func (*Unsuback) sealed()    {}
func (*Pingreq) sealed()     {}
func (*Pingresp) sealed()    {}
func (*Disconnect) sealed()  {}
func (*Auth) sealed()        {}
