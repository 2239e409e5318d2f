package packet

import "github.com/colibri-mqtt/colibri"

// The four acknowledgements PUBACK, PUBREC, PUBREL and PUBCOMP have one format
// (sections 3.4 to 3.7).

func (p *Puback) decode(r *reader) {
	*p = Puback{}
	p.PacketID, p.Code, p.Properties = r.acknowledgement()
}

func (p *Pubrec) decode(r *reader) {
	*p = Pubrec{}
	p.PacketID, p.Code, p.Properties = r.acknowledgement()
}

func (p *Pubrel) decode(r *reader) {
	*p = Pubrel{Dup: r.dup}
	p.PacketID, p.Code, p.Properties = r.acknowledgement()
}

func (p *Pubcomp) decode(r *reader) {
	*p = Pubcomp{}
	p.PacketID, p.Code, p.Properties = r.acknowledgement()
}

func (p *Puback) encode(w *writer) {
	w.begin(PUBACK, 0, 0)
	w.acknowledgement(p.PacketID, p.Code, p.Properties)
}

func (p *Pubrec) encode(w *writer) {
	w.begin(PUBREC, 0, 0)
	w.acknowledgement(p.PacketID, p.Code, p.Properties)
}

func (p *Pubrel) encode(w *writer) {
	w.beginOld(PUBREL, p.Dup)
	w.acknowledgement(p.PacketID, p.Code, p.Properties)
}

func (p *Pubcomp) encode(w *writer) {
	w.begin(PUBCOMP, 0, 0)
	w.acknowledgement(p.PacketID, p.Code, p.Properties)
}

// acknowledgement reads a Packet Identifier, and what 5.0 may have behind it: with
// a Remaining Length of 2 there is no Reason Code, and with 3 no Property Length.
func (r *reader) acknowledgement() (id uint16, code colibri.ReasonCode, ps colibri.Properties) {
	group := r.open("Variable Header")
	id = r.packetID()
	if r.v == colibri.V5 && r.left() > 0 {
		code = r.reasonCode("Reason Code")
		if r.left() > 0 {
			ps = r.propertyList("Properties", r.t, &r.properties)
		}
	}
	r.close(group)
	return id, code, ps
}

// acknowledgement writes the shortest form of what the method of the reader reads.
func (w *writer) acknowledgement(id uint16, code colibri.ReasonCode, ps colibri.Properties) {
	w.packetID(id)
	w.outcome("Reason Code", code, ps)
}

// outcome writes a Reason Code and properties where both may be left out: nothing
// for Success without properties, and no Property Length without properties.
func (w *writer) outcome(name string, code colibri.ReasonCode, ps colibri.Properties) {
	if w.v != colibri.V5 {
		w.checker.reasonCode(name, code)
		w.noProperties(ps)
		return
	}
	if code == colibri.Success && len(ps) == 0 {
		return
	}
	w.reasonCode(name, code)
	if len(ps) != 0 {
		w.propertyList(w.t, ps)
	}
}

// beginOld writes the Fixed Header of a packet that has a DUP flag in 3.1.
func (w *writer) beginOld(t Type, dup bool) {
	var flags byte = 0x02
	if dup {
		flags |= 0x08
	}
	w.begin(t, flags, 0)
}

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
