package packet

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
)

// checker knows the rules that a packet must obey in either direction. The reader
// and the writer build on it, so that what Append writes Decode accepts.
//
// The first fault stays; later ones are ignored.
type checker struct {
	t   Type            // the packet at hand
	v   colibri.Version // of the connection
	err *colibri.Error  // the first fault
}

// fail records that the field name of the packet breaks rule, unless an earlier
// field was at fault already.
func (c *checker) fail(name string, code colibri.ReasonCode, rule, cause string) {
	if c.err == nil {
		c.err = &colibri.Error{Op: c.t.String() + " " + name, Code: code, Rule: rule, Err: errors.New(cause)}
	}
}

// rule chooses the statement that holds for the connection. The number spaces of
// the two standards collide, so each fault names both.
func (c *checker) rule(v5, v311 string) string {
	if c.v == colibri.V31 || c.v == colibri.V311 {
		return v311
	}
	return v5
}

// code chooses the Reason Code for a fault that 5.0 calls a Protocol Error and
// 3.1.1, which has no such word, treats like any other malformed packet.
func (c *checker) protocolError() colibri.ReasonCode {
	if c.v == colibri.V5 {
		return colibri.ProtocolError
	}
	return colibri.MalformedPacket
}

// failVariable records the fault n of a Variable Byte Integer.
func (c *checker) failVariable(name string, n int) {
	if n == notMinimal {
		c.fail(name, colibri.MalformedPacket, "MQTT-1.5.5-1", "takes more bytes than it needs")
		return
	}
	c.fail(name, colibri.MalformedPacket, "", "is longer than four bytes")
}

// text checks a UTF-8 Encoded String. A U+FEFF is a character like any other
// [MQTT-1.5.4-3] [MQTT311-1.5.3-3].
func (c *checker) text(name, s string) {
	switch {
	case !utf8.ValidString(s): // includes surrogates
		c.fail(name, colibri.MalformedPacket, c.rule("MQTT-1.5.4-1", "MQTT311-1.5.3-1"), "is not well-formed UTF-8")
	case strings.IndexByte(s, 0) >= 0:
		c.fail(name, colibri.MalformedPacket, c.rule("MQTT-1.5.4-2", "MQTT311-1.5.3-2"), "holds U+0000")
	}
}

// hasWildcard reports whether s holds a wildcard character of Topic Filters.
func hasWildcard(s string) bool {
	return strings.IndexByte(s, '#') >= 0 || strings.IndexByte(s, '+') >= 0
}

// packetID checks that id is not zero.
func (c *checker) packetID(id uint16) {
	if id != 0 {
		return
	}
	rule := c.rule("MQTT-2.2.1-3", "MQTT311-2.3.1-1")
	switch c.t {
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		rule = c.rule("MQTT-2.2.1-5", "MQTT311-2.3.1-6")
	case SUBACK, UNSUBACK:
		rule = c.rule("MQTT-2.2.1-6", "MQTT311-2.3.1-7")
	}
	c.fail("Packet Identifier", c.protocolError(), rule, "is 0")
}
