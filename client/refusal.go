package client

import (
	"errors"
	"fmt"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Errors of a Client. They come wrapped with what led to them: use errors.Is.
var (
	// ErrClosed: the Client has ended.
	ErrClosed = errors.New("the client has ended")
	// ErrSessionLost: the Server has not kept the Session, and whether it has
	// passed on the QoS 2 message cannot be known.
	ErrSessionLost = errors.New("the Server has lost the Session: whether the message was delivered is not known")
	// ErrPingTimeout: the Server has not answered a PINGREQ in time.
	ErrPingTimeout = errors.New("the Server does not answer PINGREQ")
	// ErrUnsubscribed: the Subscription was ended by Unsubscribe.
	ErrUnsubscribed = errors.New("the Subscription has ended")
)

// Refusal is a Server's no: a CONNACK, PUBACK, PUBREC, SUBACK or UNSUBACK with a
// Reason Code of 0x80 or greater, or a DISCONNECT. errors.Is finds the Code in it.
type Refusal struct {
	Packet packet.Type        // what said no
	Code   colibri.ReasonCode // the first that is 0x80 or greater, or that of the DISCONNECT

	// ReturnCode is the Connect Return code, 1 to 5, of a CONNACK in 3.1 and 3.1.1; Code
	// is then the Reason Code of the same meaning. 0 in all other cases.
	ReturnCode byte

	Codes      []colibri.ReasonCode // all those of a SUBACK or UNSUBACK
	Properties colibri.Properties
}

var refused = map[packet.Type]string{
	packet.CONNACK:    "the Server refuses the connection",
	packet.PUBACK:     "the Server refuses the message",
	packet.PUBREC:     "the Server refuses the message",
	packet.PUBCOMP:    "the Server does not know the message",
	packet.SUBACK:     "the Server refuses the Subscription",
	packet.UNSUBACK:   "the Server refuses to end the Subscription",
	packet.DISCONNECT: "the Server has disconnected",
}

// Error returns a sentence, with the Reason String if the Server has given one.
func (r *Refusal) Error() string {
	text := fmt.Sprintf("%s: %v", refused[r.Packet], r.Code)
	if reason, ok := r.Properties.Value(colibri.ReasonString); ok {
		text += fmt.Sprintf(": %q", reason)
	}
	return text
}

// Unwrap returns the Reason Code.
func (r *Refusal) Unwrap() error { return r.Code }

// connackRefusal returns what a CONNACK says, nil when it accepts.
func connackRefusal(p *packet.Connack, v colibri.Version) error {
	if p.Code == colibri.Success {
		return nil
	}
	r := &Refusal{Packet: packet.CONNACK, Code: p.Code, Properties: p.Properties.Clone()}
	if v != colibri.V5 {
		r.ReturnCode = byte(p.Code)
		r.Code = colibri.UnspecifiedError
		if r.ReturnCode < byte(len(returnCodes)) {
			r.Code = returnCodes[r.ReturnCode]
		}
	}
	return r
}

// returnCodes are the Reason Codes that mean what a Connect Return code means.
var returnCodes = [...]colibri.ReasonCode{
	colibri.Success, colibri.UnsupportedProtocolVersion, colibri.ClientIdentifierNotValid,
	colibri.ServerUnavailable, colibri.BadUserNameOrPassword, colibri.NotAuthorized,
}

// codesRefusal returns what the codes of a SUBACK or UNSUBACK say, nil when none is
// 0x80 or greater.
func codesRefusal(t packet.Type, codes []colibri.ReasonCode, properties colibri.Properties) error {
	for _, code := range codes {
		if code.Failed() {
			return &Refusal{Packet: t, Code: code, Codes: codes, Properties: properties}
		}
	}
	return nil
}
