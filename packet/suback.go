package packet

import "github.com/colibri-mqtt/colibri"

func (p *Suback) decode(r *reader) {
	*p = Suback{}
	p.PacketID, p.Properties = r.answerHeader()
	group := r.open("Payload")
	p.Codes = r.codeList(r.subackCode()) // [MQTT-3.9.3-1] [MQTT311-3.9.3-1]: in their order
	r.close(group)
}

// subackCode returns the name of the bytes in the Payload.
func (c *checker) subackCode() string {
	if c.v == colibri.V5 {
		return "Reason Code"
	}
	return "Return Code"
}

// answerHeader reads the Variable Header of a SUBACK or UNSUBACK.
func (r *reader) answerHeader() (id uint16, ps colibri.Properties) {
	group := r.open("Variable Header")
	id = r.packetID()
	if r.v == colibri.V5 {
		ps = r.propertyList("Properties", r.t, &r.properties)
	}
	r.close(group)
	return id, ps
}

// codeList reads the codes in the Payload of a SUBACK or UNSUBACK.
func (r *reader) codeList(name string) []colibri.ReasonCode {
	list := r.codes[:0]
	for r.err == nil && r.left() > 0 {
		list = append(list, r.reasonCode(name))
	}
	r.codes = list
	if r.err == nil {
		r.codesPresent(name, len(list))
	}
	return list
}

// codesPresent checks that there is a code: a SUBSCRIBE or UNSUBSCRIBE has at least one filter.
func (c *checker) codesPresent(name string, n int) {
	if n > 0 {
		return
	}
	rule := c.rule("MQTT-3.8.4-6", "MQTT311-3.8.4-5")
	if c.t == UNSUBACK {
		rule = "MQTT-3.11.3-2"
	}
	c.fail(name, c.protocolError(), rule, "there is none")
}

func (p *Suback) encode(w *writer) {
	w.begin(SUBACK, 0, 0)
	w.packetID(p.PacketID)
	if w.v == colibri.V5 {
		w.propertyList(SUBACK, p.Properties)
	} else {
		w.noProperties(p.Properties)
	}
	w.codeList(w.subackCode(), p.Codes)
}

// codeList writes the codes of a SUBACK or UNSUBACK.
func (w *writer) codeList(name string, codes []colibri.ReasonCode) {
	w.codesPresent(name, len(codes))
	for _, code := range codes {
		w.reasonCode(name, code)
	}
}
