package packet

import "github.com/colibri-mqtt/colibri"

// bridgeBit of the Protocol Version byte is how Mosquitto and its relatives say
// that the Client is a bridge, in 3.1 and 3.1.1.
const bridgeBit = 0x80

// protocolName returns the Protocol Name that goes with v.
func protocolName(v colibri.Version) string {
	if v == colibri.V31 {
		return "MQIsdp"
	}
	return "MQTT" // [MQTT-3.1.2-1]
}

func (p *Connect) decode(r *reader) {
	*p = Connect{}
	group := r.open("Variable Header")
	p.decodeVersion(r)
	if r.err != nil {
		return
	}
	flags := r.byte("Connect Flags")
	p.HasUserName = r.flag("User Name Flag", flags, 0x80)
	p.HasPassword = r.flag("Password Flag", flags, 0x40)
	willRetain := r.flag("Will Retain", flags, 0x20)
	willQoS := colibri.QoS(r.bits("Will QoS", flags, 0x18))
	hasWill := r.flag("Will Flag", flags, 0x04)
	p.CleanStart = r.flag(r.cleanStartName(), flags, 0x02)
	reserved := r.flag("Reserved", flags, 0x01)
	r.connectFlags(hasWill, willQoS, willRetain, p.HasUserName, p.HasPassword)
	if reserved {
		r.fail("Connect Flags", colibri.MalformedPacket, r.rule("MQTT-3.1.2-3", "MQTT311-3.1.2-3"), "the reserved bit is set")
	}
	p.KeepAlive = r.twoByte("Keep Alive")
	if r.v == colibri.V5 {
		p.Properties = r.propertyList("Properties", CONNECT, &r.properties)
	}
	r.close(group)

	// [MQTT-3.1.3-1] [MQTT311-3.1.3-1]: the order of these fields.
	group = r.open("Payload")
	p.ClientID = r.text("Client Identifier") // [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT311-3.1.3-3] [MQTT311-3.1.3-4]
	if hasWill && r.err == nil {
		p.decodeWill(r, willQoS, willRetain)
	}
	p.decodeCredentials(r)
	r.close(group)
}

// decodeVersion reads the Protocol Name and the Protocol Version.
func (p *Connect) decodeVersion(r *reader) {
	name := r.text("Protocol Name")
	level := r.byte("Protocol Version")
	if r.err != nil {
		return
	}
	p.Version = colibri.Version(level)
	switch old := colibri.Version(level &^ bridgeBit); {
	case name == "MQTT" && p.Version == colibri.V5:
	case name == "MQTT" && old == colibri.V311, name == "MQIsdp" && old == colibri.V31:
		p.Version, p.Bridge = old, level&bridgeBit != 0
	case name == "MQTT":
		r.v = min(p.Version, colibri.V5)
		r.fail("Protocol Version", colibri.UnsupportedProtocolVersion,
			r.rule("MQTT-3.1.2-2", "MQTT311-3.1.2-2"), p.Version.String()+" does not go with MQTT")
	case name == "MQIsdp":
		p.Version = colibri.V31
		r.v = colibri.V31
		r.fail("Protocol Version", colibri.UnsupportedProtocolVersion, "MQTT311-3.1.2-2", "only 3 goes with MQIsdp")
	default:
		r.v = min(p.Version, colibri.V5)
		r.fail("Protocol Name", colibri.UnsupportedProtocolVersion,
			r.rule("MQTT-3.1.2-1", "MQTT311-3.1.2-1"), "is neither MQTT nor MQIsdp")
	}
	r.v = p.Version
}

// cleanStartName returns the name of bit 1 of the Connect Flags.
func (r *reader) cleanStartName() string {
	if r.v == colibri.V5 {
		return "Clean Start"
	}
	return "Clean Session"
}

// decodeWill reads the Will Properties, Will Topic and Will Payload [MQTT-3.1.2-9] [MQTT311-3.1.2-9].
func (p *Connect) decodeWill(r *reader, qos colibri.QoS, retain bool) {
	if r.will == nil {
		r.will = new(Will)
	}
	will := r.will
	*will = Will{QoS: qos, Retain: retain}
	if r.v == colibri.V5 {
		will.Properties = r.propertyList("Will Properties", willProperties, &r.willProperties)
	}
	will.Topic = r.text("Will Topic") // [MQTT-3.1.3-11] [MQTT311-3.1.3-10]
	r.willTopic(will.Topic)
	will.Payload = r.binary("Will Payload")
	p.Will = will
}

// decodeCredentials reads the User Name and the Password, if the flags say so.
func (p *Connect) decodeCredentials(r *reader) {
	if r.v == colibri.V31 {
		// In 3.1 the Remaining Length takes precedence over the flags: a flag may be
		// set and the field missing (MQTT 3.1 section 3.1).
		if r.left() == 0 {
			p.HasUserName, p.HasPassword = false, false
		}
	}
	if p.HasUserName {
		p.UserName = r.text("User Name") // [MQTT-3.1.2-17] [MQTT-3.1.3-12] [MQTT311-3.1.2-19] [MQTT311-3.1.3-11]
	}
	if r.v == colibri.V31 && r.left() == 0 {
		p.HasPassword = false
	}
	if p.HasPassword {
		p.Password = r.binary("Password") // [MQTT-3.1.2-19] [MQTT311-3.1.2-21]
	}
}

// connectFlags checks the Connect Flags against each other.
func (c *checker) connectFlags(will bool, qos colibri.QoS, retain, userName, password bool) {
	switch {
	case !will && qos != 0:
		c.fail("Will QoS", colibri.MalformedPacket, c.rule("MQTT-3.1.2-11", "MQTT311-3.1.2-13"), "is set without the Will Flag")
	case !will && retain:
		c.fail("Will Retain", colibri.MalformedPacket, c.rule("MQTT-3.1.2-13", "MQTT311-3.1.2-15"), "is set without the Will Flag")
	case !qos.Valid():
		c.fail("Will QoS", colibri.MalformedPacket, c.rule("MQTT-3.1.2-12", "MQTT311-3.1.2-14"), "is 3")
	case password && !userName && c.v != colibri.V5: // 5.0 allows it
		c.fail("Password Flag", colibri.MalformedPacket, "MQTT311-3.1.2-22", "is set without the User Name Flag")
	}
}

// willTopic checks what a Will Topic must obey as the Topic Name that it is going to be.
func (c *checker) willTopic(topic string) {
	switch {
	case topic == "":
		c.fail("Will Topic", c.protocolError(), c.rule("MQTT-4.7.3-1", "MQTT311-4.7.3-1"), "is empty")
	case hasWildcard(topic):
		c.fail("Will Topic", colibri.TopicNameInvalid, c.rule("MQTT-4.7.0-1", "MQTT311-4.7.1-1"), "holds a wildcard character")
	}
}

func (p *Connect) encode(w *writer) {
	w.v = p.Version
	w.begin(CONNECT, 0, 0)
	if !p.Version.Known() {
		w.fail("Protocol Version", colibri.UnsupportedProtocolVersion, "MQTT-3.1.2-2", p.Version.String())
		return
	}
	w.text("Protocol Name", protocolName(p.Version))
	level := byte(p.Version)
	if p.Bridge {
		if p.Version == colibri.V5 {
			w.fail("Protocol Version", colibri.ProtocolError, "", "5.0 has no mark for a bridge")
		}
		level |= bridgeBit
	}
	w.byte(level)
	w.byte(p.flags(w))
	w.twoByte(p.KeepAlive)
	if w.v == colibri.V5 {
		w.propertyList(CONNECT, p.Properties)
	} else {
		w.noProperties(p.Properties)
	}
	w.text("Client Identifier", p.ClientID)
	if p.Will != nil {
		p.Will.encode(w)
	}
	if p.HasUserName {
		w.text("User Name", p.UserName)
	}
	if p.HasPassword {
		w.binary("Password", p.Password)
	}
}

// flags returns the Connect Flags.
func (p *Connect) flags(w *writer) (flags byte) {
	if p.HasUserName {
		flags |= 0x80
	} else if p.UserName != "" {
		w.fail("User Name", colibri.MalformedPacket, w.rule("MQTT-3.1.2-16", "MQTT311-3.1.2-18"), "is there without the User Name Flag")
	}
	if p.HasPassword {
		flags |= 0x40
	} else if len(p.Password) != 0 {
		w.fail("Password", colibri.MalformedPacket, w.rule("MQTT-3.1.2-18", "MQTT311-3.1.2-20"), "is there without the Password Flag")
	}
	if p.CleanStart {
		flags |= 0x02
	}
	var qos colibri.QoS
	var retain bool
	if p.Will != nil {
		qos, retain = p.Will.QoS, p.Will.Retain
		flags |= 0x04 | byte(qos)<<3&0x18
		if retain {
			flags |= 0x20
		}
	}
	w.connectFlags(p.Will != nil, qos, retain, p.HasUserName, p.HasPassword)
	return flags
}

func (p *Will) encode(w *writer) {
	if w.v == colibri.V5 {
		w.propertyList(willProperties, p.Properties)
	} else {
		w.noProperties(p.Properties)
	}
	w.willTopic(p.Topic)
	w.text("Will Topic", p.Topic)
	w.binary("Will Payload", p.Payload)
}
