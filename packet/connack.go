package packet

import "github.com/colibri-mqtt/colibri"

func (p *Connack) decode(r *reader) {
	*p = Connack{}
	group := r.open("Variable Header")
	flags := r.byte("Connect Acknowledge Flags")
	reserved := r.bits("Reserved", flags, 0xFE)
	p.SessionPresent = r.flag("Session Present", flags, 0x01)
	if reserved != 0 {
		r.fail("Connect Acknowledge Flags", colibri.MalformedPacket, r.rule("MQTT-3.2.2-1", ""), "reserved bits are set")
	}
	p.Code = r.reasonCode(r.connackCode())
	r.sessionPresent(p)
	if r.v == colibri.V5 {
		p.Properties = r.propertyList("Properties", CONNACK, &r.properties)
	}
	r.close(group)
}

// connackCode returns the name of the second byte.
func (c *checker) connackCode() string {
	if c.v == colibri.V5 {
		return "Connect Reason Code"
	}
	return "Connect Return code"
}

// sessionPresent checks that a refusal does not speak of a Session.
func (c *checker) sessionPresent(p *Connack) {
	if p.SessionPresent && p.Code != colibri.Success {
		c.fail("Session Present", c.protocolError(), c.rule("MQTT-3.2.2-6", "MQTT311-3.2.2-4"), "is set although the connection is refused")
	}
}

func (p *Connack) encode(w *writer) {
	w.begin(CONNACK, 0, 0)
	w.sessionPresent(p)
	var flags byte
	if p.SessionPresent {
		flags = 0x01
	}
	w.byte(flags)
	w.reasonCode(w.connackCode(), p.Code)
	if w.v == colibri.V5 {
		w.propertyList(CONNACK, p.Properties)
	} else {
		w.noProperties(p.Properties)
	}
}
