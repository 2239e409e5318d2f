package packet

import "github.com/colibri-mqtt/colibri"

func (p *Unsuback) decode(r *reader) {
	*p = Unsuback{}
	p.PacketID, p.Properties = r.answerHeader()
	if r.v == colibri.V5 {
		group := r.open("Payload")
		p.Codes = r.codeList("Reason Code") // [MQTT-3.11.3-1]: in their order
		r.close(group)
	}
}

func (p *Unsuback) encode(w *writer) {
	w.begin(UNSUBACK, 0, 0)
	w.packetID(p.PacketID)
	if w.v == colibri.V5 {
		w.propertyList(UNSUBACK, p.Properties)
		w.codeList("Reason Code", p.Codes)
		return
	}
	w.noProperties(p.Properties)
	if len(p.Codes) != 0 {
		w.fail("Reason Code", colibri.ProtocolError, "", "does not exist in "+w.v.String())
	}
}
