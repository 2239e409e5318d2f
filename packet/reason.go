package packet

import "github.com/colibri-mqtt/colibri"

// codeSet is a set of Reason Codes.
type codeSet [4]uint64

func (s *codeSet) add(c colibri.ReasonCode)      { s[c>>6] |= 1 << (c & 63) }
func (s *codeSet) has(c colibri.ReasonCode) bool { return s[c>>6]&(1<<(c&63)) != 0 }

// reasonCodes holds for each packet the Reason Codes that 5.0 defines for it: the
// tables of sections 3.2.2.2, 3.4.2.1 and so on. Bad authentication method in
// DISCONNECT is from the table of section 2.4.
var reasonCodes = func() (sets [16]codeSet) {
	add := func(t Type, codes ...colibri.ReasonCode) {
		for _, c := range codes {
			sets[t].add(c)
		}
	}
	add(CONNACK, 0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C,
		0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F) // [MQTT-3.2.2-8]
	add(PUBACK, 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)                   // [MQTT-3.4.2-1]
	add(PUBREC, 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)                   // [MQTT-3.5.2-1]
	add(PUBREL, 0x00, 0x92)                                                             // [MQTT-3.6.2-1]
	add(PUBCOMP, 0x00, 0x92)                                                            // [MQTT-3.7.2-1]
	add(SUBACK, 0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2) // [MQTT-3.9.3-2]
	add(UNSUBACK, 0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)                             // [MQTT-3.11.3-2]
	add(DISCONNECT, 0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F,
		0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F,
		0xA0, 0xA1, 0xA2) // [MQTT-3.14.2-1]
	add(AUTH, 0x00, 0x18, 0x19) // [MQTT-3.15.2-1]
	return sets
}()

// oldReturnCodes are the Return Codes of 3.1.1: those of CONNACK, and those of SUBACK.
var oldReturnCodes = func() (sets [16]codeSet) {
	for c := range colibri.ReasonCode(6) {
		sets[CONNACK].add(c)
	}
	for _, c := range []colibri.ReasonCode{0x00, 0x01, 0x02, 0x80} {
		sets[SUBACK].add(c) // [MQTT311-3.9.3-2]
	}
	for _, t := range []Type{PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT} {
		sets[t].add(colibri.Success) // stands for: there is none
	}
	return sets
}()

var reasonRules = [16]string{
	CONNACK: "MQTT-3.2.2-8", PUBACK: "MQTT-3.4.2-1", PUBREC: "MQTT-3.5.2-1", PUBREL: "MQTT-3.6.2-1",
	PUBCOMP: "MQTT-3.7.2-1", SUBACK: "MQTT-3.9.3-2", UNSUBACK: "MQTT-3.11.3-2",
	DISCONNECT: "MQTT-3.14.2-1", AUTH: "MQTT-3.15.2-1",
}

// ReasonCodeAllowed reports whether 5.0 defines code for the packet t. Who may send
// it, the Client or the Server, is not part of the answer.
func ReasonCodeAllowed(t Type, code colibri.ReasonCode) bool {
	return t < 16 && reasonCodes[t].has(code)
}

// reasonCode checks a Reason Code, in 3.1.1 a Return Code, of the packet at hand.
// The standard calls a value that the protocol does not allow a Protocol Error
// (section 1.2).
func (c *checker) reasonCode(name string, code colibri.ReasonCode) {
	if c.v == colibri.V5 {
		if !reasonCodes[c.t].has(code) {
			c.fail(name, colibri.ProtocolError, reasonRules[c.t], c.t.String()+" has no "+code.Error())
		}
		return
	}
	if !oldReturnCodes[c.t].has(code) {
		rule := ""
		if c.t == SUBACK {
			rule = "MQTT311-3.9.3-2"
		}
		c.fail(name, colibri.MalformedPacket, rule, "has a value that "+c.v.String()+" does not define")
	}
}
