package packet

import "github.com/colibri-mqtt/colibri"

func (p *Unsubscribe) decode(r *reader) {
	*p = Unsubscribe{Dup: r.dup}
	group := r.open("Variable Header")
	p.PacketID = r.packetID()
	if r.v == colibri.V5 {
		p.Properties = r.propertyList("Properties", UNSUBSCRIBE, &r.properties)
	}
	r.close(group)

	group = r.open("Payload")
	list := r.filters[:0]
	for r.err == nil && r.left() > 0 {
		list = append(list, r.text("Topic Filter")) // [MQTT-3.10.3-1] [MQTT311-3.10.3-1]
	}
	r.filters = list
	p.Filters = list
	if r.err == nil {
		r.unsubscribePayload(len(list))
	}
	r.close(group)
}

// unsubscribePayload checks that there is something in the Payload.
func (c *checker) unsubscribePayload(n int) {
	if n == 0 {
		c.fail("Topic Filter", c.protocolError(), c.rule("MQTT-3.10.3-2", "MQTT311-3.10.3-2"), "there is none")
	}
}

func (p *Unsubscribe) encode(w *writer) {
	w.beginOld(UNSUBSCRIBE, p.Dup)
	w.packetID(p.PacketID)
	if w.v == colibri.V5 {
		w.propertyList(UNSUBSCRIBE, p.Properties)
	} else {
		w.noProperties(p.Properties)
	}
	w.unsubscribePayload(len(p.Filters))
	for _, filter := range p.Filters {
		w.text("Topic Filter", filter)
	}
}
