package packet

import "github.com/colibri-mqtt/colibri"

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties, or a
// PINGRESP, in its shortest form and without allocating: what a Server sends most
// beside PUBLISH. Append does the same for any of them. It panics for another type and
// for a Packet Identifier of 0 where one is needed.
func AppendAck(b []byte, t Type, id uint16, code colibri.ReasonCode, v colibri.Version) []byte {
	if t == PINGRESP {
		return append(b, byte(t)<<4, 0)
	}
	if t < PUBACK || t > PUBCOMP || id == 0 {
		panic("packet: no acknowledgement: " + t.String())
	}
	first := byte(t) << 4
	if t == PUBREL {
		first |= 0x02 // [MQTT-3.6.1-1]
	}
	if v == colibri.V5 && code != colibri.Success {
		return append(b, first, 3, byte(id>>8), byte(id), byte(code))
	}
	return append(b, first, 2, byte(id>>8), byte(id))
}
