package packet

import "github.com/colibri-mqtt/colibri"

func (p *Publish) decode(r *reader) {
	*p = Publish{Dup: r.dup, QoS: r.qos, Retain: r.retain}
	group := r.open("Variable Header")
	p.Topic = r.text("Topic Name") // [MQTT-3.3.2-1] [MQTT311-3.3.2-1]
	r.topicName(p.Topic)
	if p.QoS > 0 { // [MQTT-2.2.1-2] [MQTT311-2.3.1-5]
		p.PacketID = r.packetID()
	}
	if r.v == colibri.V5 {
		p.Properties = r.propertyList("Properties", PUBLISH, &r.properties)
	}
	r.topicPresent(p)
	r.close(group)
	p.Payload = r.rest("Payload")
}

// topicName checks what a Topic Name must obey beyond being a string.
func (c *checker) topicName(topic string) {
	if hasWildcard(topic) {
		c.fail("Topic Name", colibri.TopicNameInvalid, c.rule("MQTT-3.3.2-2", "MQTT311-3.3.2-2"), "holds a wildcard character")
	}
}

// topicPresent checks that there is a Topic Name, or a Topic Alias in its place.
func (c *checker) topicPresent(p *Publish) {
	if p.Topic == "" && c.err == nil && !p.Properties.Has(colibri.TopicAlias) {
		c.fail("Topic Name", c.protocolError(), c.rule("MQTT-4.7.3-1", "MQTT311-4.7.3-1"), "is empty")
	}
}

// AppendPublish is Append for a PUBLISH, for those who write many.
func AppendPublish(b []byte, p *Publish, v colibri.Version) ([]byte, error) {
	w := writer{b: b}
	w.v = v
	p.encode(&w)
	return w.end(b)
}

func (p *Publish) encode(w *writer) {
	atLeast := 2 + len(p.Topic) + len(p.Payload)
	flags := byte(p.QoS) << 1 & 0x06
	if p.QoS > 0 {
		atLeast += 2
	}
	if p.Dup {
		flags |= 0x08
	}
	if p.Retain {
		flags |= 0x01
	}
	if w.v == colibri.V5 {
		atLeast++
	}
	w.begin(PUBLISH, flags, atLeast)
	if atLeast > maxRemainingLength { // known before the payload is copied
		w.tooLarge("Remaining Length")
		return
	}
	if !p.QoS.Valid() {
		w.fail("QoS level", colibri.MalformedPacket, w.rule("MQTT-3.3.1-4", "MQTT311-3.3.1-4"), "is more than 2")
	}
	w.topicName(p.Topic)
	w.topicPresent(p)
	w.text("Topic Name", p.Topic)
	if p.QoS > 0 {
		w.packetID(p.PacketID)
	} else if p.PacketID != 0 {
		w.fail("Packet Identifier", colibri.ProtocolError, w.rule("MQTT-2.2.1-2", "MQTT311-2.3.1-5"), "is there with QoS 0")
	}
	if w.v == colibri.V5 {
		w.propertyList(PUBLISH, p.Properties)
	} else {
		w.noProperties(p.Properties)
	}
	if w.err == nil {
		w.b = append(w.b, p.Payload...)
	}
}
