package packet

import (
	"strings"

	"github.com/colibri-mqtt/colibri"
)

// DataType is one of the data types of section 1.5 that a property can have.
type DataType byte

// The data types of properties. The zero value is the type of no property.
const (
	Byte                DataType = iota + 1 // in Property.Number
	TwoByteInteger                          // in Property.Number
	FourByteInteger                         // in Property.Number
	VariableByteInteger                     // in Property.Number, at most 268,435,455
	UTF8String                              // in Property.Value
	BinaryData                              // in Property.Value
	UTF8StringPair                          // in Property.Name and Property.Value
)

var dataTypeNames = [...]string{
	"no type", "Byte", "Two Byte Integer", "Four Byte Integer", "Variable Byte Integer",
	"UTF-8 Encoded String", "Binary Data", "UTF-8 String Pair",
}

// String returns the standard's name of the type.
func (d DataType) String() string {
	if int(d) < len(dataTypeNames) {
		return dataTypeNames[d]
	}
	return dataTypeNames[0]
}

// willProperties stands for the Will Properties of a CONNECT where a packet is
// asked for; no packet has type 0.
const willProperties Type = 0

// propertyRow is what the standard says about one property.
type propertyRow struct {
	name     string
	typ      DataType
	in       uint16             // a bit for each packet that may have it
	max      uint32             // largest Number; 0 where the data type is the only limit
	nonZero  bool               // Number must not be 0
	code     colibri.ReasonCode // answers a wrong Number, if not ProtocolError
	rule     string             // the statement about a wrong Number
	repeats  uint16             // a bit for each packet that may have it more than once
	wildless bool               // a Topic Name: no wildcards
}

func packets(types ...Type) (bits uint16) {
	for _, t := range types {
		bits |= 1 << t
	}
	return bits
}

// properties is the table of section 2.2.2.2, indexed by identifier. It drives
// Decode, Dissect and Append.
var properties = func() (rows [colibri.SharedSubscriptionAvailable + 1]propertyRow) {
	message := packets(PUBLISH, willProperties)
	connect, connack := packets(CONNECT), packets(CONNACK)
	both := connect | connack
	auth := both | packets(AUTH)
	everywhere := packets(CONNECT, CONNACK, PUBLISH, willProperties, PUBACK, PUBREC, PUBREL, PUBCOMP,
		SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH)
	reason := packets(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)

	rows[colibri.PayloadFormatIndicator] = propertyRow{typ: Byte, in: message, max: 1}
	rows[colibri.MessageExpiryInterval] = propertyRow{typ: FourByteInteger, in: message}
	rows[colibri.ContentType] = propertyRow{typ: UTF8String, in: message}                   // [MQTT-3.3.2-19]
	rows[colibri.ResponseTopic] = propertyRow{typ: UTF8String, in: message, wildless: true} // [MQTT-3.3.2-13]
	rows[colibri.CorrelationData] = propertyRow{typ: BinaryData, in: message}
	rows[colibri.SubscriptionIdentifier] = propertyRow{typ: VariableByteInteger, in: packets(PUBLISH, SUBSCRIBE),
		max: maxRemainingLength, nonZero: true, repeats: packets(PUBLISH)}
	rows[colibri.SessionExpiryInterval] = propertyRow{typ: FourByteInteger, in: both | packets(DISCONNECT)}
	rows[colibri.AssignedClientIdentifier] = propertyRow{typ: UTF8String, in: connack}
	rows[colibri.ServerKeepAlive] = propertyRow{typ: TwoByteInteger, in: connack}
	rows[colibri.AuthenticationMethod] = propertyRow{typ: UTF8String, in: auth}
	rows[colibri.AuthenticationData] = propertyRow{typ: BinaryData, in: auth}
	rows[colibri.RequestProblemInformation] = propertyRow{typ: Byte, in: connect, max: 1}
	rows[colibri.WillDelayInterval] = propertyRow{typ: FourByteInteger, in: packets(willProperties)}
	rows[colibri.RequestResponseInformation] = propertyRow{typ: Byte, in: connect, max: 1}
	rows[colibri.ResponseInformation] = propertyRow{typ: UTF8String, in: connack}
	rows[colibri.ServerReference] = propertyRow{typ: UTF8String, in: connack | packets(DISCONNECT)}
	rows[colibri.ReasonString] = propertyRow{typ: UTF8String, in: reason}
	rows[colibri.ReceiveMaximum] = propertyRow{typ: TwoByteInteger, in: both, nonZero: true}
	rows[colibri.TopicAliasMaximum] = propertyRow{typ: TwoByteInteger, in: both}
	rows[colibri.TopicAlias] = propertyRow{typ: TwoByteInteger, in: packets(PUBLISH), nonZero: true,
		code: colibri.TopicAliasInvalid, rule: "MQTT-3.3.2-8"}
	rows[colibri.MaximumQoS] = propertyRow{typ: Byte, in: connack, max: 1}
	rows[colibri.RetainAvailable] = propertyRow{typ: Byte, in: connack, max: 1}
	rows[colibri.UserProperty] = propertyRow{typ: UTF8StringPair, in: everywhere, repeats: everywhere} // [MQTT-1.5.7-1]
	rows[colibri.MaximumPacketSize] = propertyRow{typ: FourByteInteger, in: both, nonZero: true}
	rows[colibri.WildcardSubscriptionAvailable] = propertyRow{typ: Byte, in: connack, max: 1}
	rows[colibri.SubscriptionIdentifierAvailable] = propertyRow{typ: Byte, in: connack, max: 1}
	rows[colibri.SharedSubscriptionAvailable] = propertyRow{typ: Byte, in: connack, max: 1}

	for id := range rows {
		row := &rows[id]
		row.name = colibri.PropertyID(id).String()
		if row.code == 0 {
			row.code = colibri.ProtocolError
		}
		if row.max == 0 {
			row.max = map[DataType]uint32{Byte: 1<<8 - 1, TwoByteInteger: 1<<16 - 1}[row.typ]
			if row.max == 0 {
				row.max = 1<<32 - 1
			}
		}
	}
	return rows
}()

// PropertyType returns the data type of property id, 0 if 5.0 has no such property.
func PropertyType(id colibri.PropertyID) DataType {
	if int(id) < len(properties) {
		return properties[id].typ
	}
	return 0
}

// PropertyAllowed reports whether a packet t may have property id. For the Will
// Properties, which are part of a CONNECT, ask [WillProperty].
func PropertyAllowed(id colibri.PropertyID, t Type) bool {
	return int(id) < len(properties) && t != willProperties && t < 16 && properties[id].in&(1<<t) != 0
}

// WillProperty reports whether property id may be among the Will Properties.
func WillProperty(id colibri.PropertyID) bool {
	return int(id) < len(properties) && properties[id].in&(1<<willProperties) != 0
}

// PropertyByName finds a property by its name as command lines write it: the
// standard's name in lower case, with hyphens, such as "user-property".
func PropertyByName(name string) (colibri.PropertyID, bool) {
	for id := range properties {
		row := &properties[id]
		if row.typ != 0 && strings.ToLower(strings.ReplaceAll(row.name, " ", "-")) == name {
			return colibri.PropertyID(id), true
		}
	}
	return 0, false
}

// propertyKnown returns what the standard says about property id among the
// properties of in, nil after a fault. seen has a bit for each property so far.
func (c *checker) propertyKnown(id uint32, in Type, seen *uint64) *propertyRow {
	if id >= uint32(len(properties)) || properties[id].typ == 0 {
		c.fail("Property Identifier", colibri.MalformedPacket, "", colibri.PropertyID(id).String()+" does not exist")
		return nil
	}
	row := &properties[id]
	if row.in&(1<<in) == 0 {
		where := "in " + in.String()
		if in == willProperties {
			where = "among the Will Properties"
		}
		c.fail(row.name, colibri.MalformedPacket, "", "is not allowed "+where)
		return nil
	}
	if *seen&(1<<id) != 0 && row.repeats&(1<<in) == 0 {
		c.fail(row.name, colibri.ProtocolError, "", "is there twice")
		return nil
	}
	*seen |= 1 << id
	return row
}

// propertyNumber checks the value of an integer property.
func (c *checker) propertyNumber(row *propertyRow, value uint32) {
	if row.nonZero && value == 0 {
		c.fail(row.name, row.code, row.rule, "is 0")
	} else if value > row.max {
		c.fail(row.name, row.code, row.rule, "is too large")
	}
}

// propertyText checks what a string property must obey beyond being a string.
func (c *checker) propertyText(row *propertyRow, value string) {
	if row.wildless && hasWildcard(value) {
		c.fail(row.name, colibri.ProtocolError, "MQTT-3.3.2-14", "holds a wildcard character")
	}
}

// propertySet checks what properties must obey together.
func (c *checker) propertySet(seen uint64) {
	const method, data = 1 << colibri.AuthenticationMethod, 1 << colibri.AuthenticationData
	if seen&(method|data) == data {
		c.fail("Authentication Data", colibri.ProtocolError, "", "is there without an Authentication Method")
	}
}

// propertyList reads the properties of in, from their length on, into memory that
// it keeps in *memory; nil if there are none, which a length of zero says [MQTT-2.2.2-1].
func (r *reader) propertyList(name string, in Type, memory *colibri.Properties) colibri.Properties {
	if r.err != nil {
		return nil
	}
	group := r.open(name)
	length := int(r.variable("Property Length"))
	if r.err == nil && length > r.left() {
		r.fail("Property Length", colibri.MalformedPacket, "", "goes past the end")
	}
	if r.err != nil {
		return nil
	}
	outer := r.end
	r.end = r.at + length
	var seen uint64
	list := (*memory)[:0]
	for r.err == nil && r.at < r.end {
		list = append(list, r.property(in, &seen))
	}
	*memory = list
	r.end = outer
	if r.err == nil {
		r.propertySet(seen)
	}
	r.close(group)
	if r.err != nil || len(list) == 0 {
		return nil
	}
	return list
}

// property reads one property of in.
func (r *reader) property(in Type, seen *uint64) colibri.Property {
	start := r.at
	id := r.variable("Property Identifier")
	if r.err != nil {
		return colibri.Property{}
	}
	row := r.propertyKnown(id, in, seen)
	if row == nil {
		return colibri.Property{}
	}
	if r.record != nil {
		r.record.wrapLast(row.name, start)
	}
	p := colibri.Property{ID: colibri.PropertyID(id)}
	switch row.typ {
	case Byte:
		p.Number = uint32(r.byte(row.name))
		r.propertyNumber(row, p.Number)
	case TwoByteInteger:
		p.Number = uint32(r.twoByte(row.name))
		r.propertyNumber(row, p.Number)
	case FourByteInteger:
		p.Number = r.fourByte(row.name)
		r.propertyNumber(row, p.Number)
	case VariableByteInteger:
		p.Number = r.variable(row.name)
		r.propertyNumber(row, p.Number)
	case UTF8String:
		p.Value = r.text(row.name)
		r.propertyText(row, p.Value)
	case BinaryData:
		p.Value = view(r.binary(row.name))
	case UTF8StringPair:
		p.Name = r.text("User Property name") // the only one of this type
		p.Value = r.text("User Property value")
	}
	if r.record != nil && r.err == nil {
		r.record.unwrap(r.at)
	}
	return p
}

// propertyList writes the properties of in with their length.
func (w *writer) propertyList(in Type, ps colibri.Properties) {
	at := len(w.b)
	w.b = append(w.b, 0)
	if len(ps) == 0 {
		return
	}
	var seen uint64
	for i := range ps {
		w.property(&ps[i], in, &seen)
	}
	w.propertySet(seen)
	if w.err == nil {
		w.length("Property Length", at, at+1)
	}
}

// property writes one property of in.
func (w *writer) property(p *colibri.Property, in Type, seen *uint64) {
	row := w.propertyKnown(uint32(p.ID), in, seen)
	if row == nil {
		return
	}
	w.byte(byte(p.ID))
	switch row.typ {
	case Byte:
		w.propertyNumber(row, p.Number)
		w.byte(byte(p.Number))
	case TwoByteInteger:
		w.propertyNumber(row, p.Number)
		w.twoByte(uint16(p.Number))
	case FourByteInteger:
		w.propertyNumber(row, p.Number)
		w.fourByte(p.Number)
	case VariableByteInteger:
		w.propertyNumber(row, p.Number)
		w.variable(p.Number)
	case UTF8String:
		w.propertyText(row, p.Value)
		w.text(row.name, p.Value)
	case BinaryData:
		w.binaryString(row.name, p.Value)
	case UTF8StringPair:
		w.text("User Property name", p.Name)
		w.text("User Property value", p.Value)
	}
}

// noProperties checks that a packet for 3.1 or 3.1.1 has no properties.
func (c *checker) noProperties(ps colibri.Properties) {
	if len(ps) != 0 {
		c.fail("Properties", colibri.ProtocolError, "", "do not exist in "+c.v.String())
	}
}
