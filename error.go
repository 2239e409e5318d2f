package colibri

import "strings"

// Error is an error of the protocol: what was being done, the Reason Code that
// answers it, and the statement of the standard that was broken.
type Error struct {
	Op   string     // what was read or done, such as "PUBLISH Topic Name"
	Code ReasonCode // the answer to the peer
	Rule string     // statement id such as "MQTT-1.5.4-1"; empty when none applies
	Err  error      // the cause in plain words; nil when Code says it all
}

// Error returns one line such as
// "PUBLISH Topic Name: holds U+0000: Malformed Packet (0x81) [MQTT-1.5.4-2]".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	if e.Err != nil {
		b.WriteString(e.Err.Error())
		b.WriteString(": ")
	}
	b.WriteString(e.Code.Error())
	if e.Rule != "" {
		b.WriteString(" [" + e.Rule + "]")
	}
	return b.String()
}

// Unwrap returns the Reason Code and the cause, so that errors.Is and errors.As reach both.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}
