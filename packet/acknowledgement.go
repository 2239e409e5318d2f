package packet

import "github.com/colibri-mqtt/colibri"

// AppendAcknowledgement appends a PUBACK, PUBREC, PUBREL, PUBCOMP or PINGRESP without
// properties, as Append does, and makes no garbage. id and code do not count for PINGRESP,
// code not before 5.0. It panics for another type, and for an id of 0.
func AppendAcknowledgement(b []byte, t Type, id uint16, code colibri.ReasonCode, v colibri.Version) []byte {
	flags := byte(0)
	switch t {
	case PINGRESP:
		return append(b, byte(PINGRESP)<<4, 0)
	case PUBREL:
		flags = 0x02 // [MQTT-3.6.1-1]
	case PUBACK, PUBREC, PUBCOMP:
	default:
		panic("packet: no acknowledgement: " + t.String())
	}
	if id == 0 {
		panic("packet: acknowledgement of no Packet Identifier")
	}
	if v < colibri.V5 || code == colibri.Success { // the short form of 5.0
		return append(b, byte(t)<<4|flags, 2, byte(id>>8), byte(id))
	}
	return append(b, byte(t)<<4|flags, 3, byte(id>>8), byte(id), byte(code))
}
