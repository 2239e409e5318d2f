package packet

import "github.com/colibri-mqtt/colibri"

func (p *Subscribe) decode(r *reader) {
	*p = Subscribe{Dup: r.dup}
	group := r.open("Variable Header")
	p.PacketID = r.packetID()
	var identifier uint32
	if r.v == colibri.V5 {
		p.Properties = r.propertyList("Properties", SUBSCRIBE, &r.properties)
		identifier, _ = p.Properties.Number(colibri.SubscriptionIdentifier)
	}
	r.close(group)

	group = r.open("Payload")
	list := r.subscriptions[:0]
	for r.err == nil && r.left() > 0 {
		s := r.subscription()
		s.Identifier = identifier
		list = append(list, s)
	}
	r.subscriptions = list
	p.Subscriptions = list
	if r.err == nil {
		r.subscribePayload(len(list))
	}
	r.close(group)
}

// subscription reads a Topic Filter and its Subscription Options. Whether the
// filter is a good one is not decided here: the answer to that is in the SUBACK.
func (r *reader) subscription() (s colibri.Subscription) {
	group := r.open("Subscription")
	s.Filter = r.text("Topic Filter") // [MQTT-3.8.3-1] [MQTT311-3.8.3-1]
	if r.v == colibri.V5 {
		options := r.byte("Subscription Options")
		reserved := r.bits("Reserved", options, 0xC0)
		s.RetainHandling = colibri.RetainHandling(r.bits("Retain Handling", options, 0x30))
		s.RetainAsPublished = r.flag("Retain As Published", options, 0x08)
		s.NoLocal = r.flag("No Local", options, 0x04)
		s.QoS = colibri.QoS(r.bits("Maximum QoS", options, 0x03))
		if reserved != 0 {
			r.fail("Subscription Options", colibri.MalformedPacket, "MQTT-3.8.3-5", "reserved bits are set")
		}
	} else {
		options := r.byte("Requested QoS")
		reserved := r.bits("Reserved", options, 0xFC)
		s.QoS = colibri.QoS(r.bits("QoS", options, 0x03))
		if reserved != 0 {
			r.fail("Requested QoS", colibri.MalformedPacket, "", "reserved bits are set")
		}
	}
	if r.err == nil {
		r.subscriptionOptions(&s)
	}
	r.close(group)
	return s
}

// subscriptionOptions checks the values of the Subscription Options.
func (c *checker) subscriptionOptions(s *colibri.Subscription) {
	if !s.QoS.Valid() {
		c.fail("Maximum QoS", c.protocolError(), "", "is more than 2")
	}
	if s.RetainHandling > colibri.NoRetained {
		c.fail("Retain Handling", colibri.ProtocolError, "", "is more than 2")
	}
	if c.v != colibri.V5 && (s.RetainHandling != 0 || s.NoLocal || s.RetainAsPublished) {
		c.fail("Subscription Options", colibri.ProtocolError, "", c.v.String()+" has a Maximum QoS only")
	}
}

// subscribePayload checks that there is something in the Payload.
func (c *checker) subscribePayload(n int) {
	if n == 0 {
		c.fail("Topic Filter", c.protocolError(), c.rule("MQTT-3.8.3-2", "MQTT311-3.8.3-3"), "there is none")
	}
}

func (p *Subscribe) encode(w *writer) {
	w.beginOld(SUBSCRIBE, p.Dup)
	w.packetID(p.PacketID)
	if w.v == colibri.V5 {
		w.propertyList(SUBSCRIBE, p.Properties)
	} else {
		w.noProperties(p.Properties)
	}
	w.subscribePayload(len(p.Subscriptions))
	for i := range p.Subscriptions {
		s := &p.Subscriptions[i]
		w.text("Topic Filter", s.Filter)
		w.subscriptionOptions(s)
		options := byte(s.QoS) | byte(s.RetainHandling)<<4
		if s.NoLocal {
			options |= 0x04
		}
		if s.RetainAsPublished {
			options |= 0x08
		}
		w.byte(options)
	}
}
