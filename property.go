package colibri

import (
	"fmt"
	"iter"
	"strings"
)

// PropertyID is the identifier of an MQTT 5.0 property (section 2.2.2.2).
type PropertyID byte

// The properties of MQTT 5.0, in the order of their identifiers.
const (
	PayloadFormatIndicator          PropertyID = 0x01
	MessageExpiryInterval           PropertyID = 0x02
	ContentType                     PropertyID = 0x03
	ResponseTopic                   PropertyID = 0x08
	CorrelationData                 PropertyID = 0x09
	SubscriptionIdentifier          PropertyID = 0x0B
	SessionExpiryInterval           PropertyID = 0x11
	AssignedClientIdentifier        PropertyID = 0x12
	ServerKeepAlive                 PropertyID = 0x13
	AuthenticationMethod            PropertyID = 0x15
	AuthenticationData              PropertyID = 0x16
	RequestProblemInformation       PropertyID = 0x17
	WillDelayInterval               PropertyID = 0x18
	RequestResponseInformation      PropertyID = 0x19
	ResponseInformation             PropertyID = 0x1A
	ServerReference                 PropertyID = 0x1C
	ReasonString                    PropertyID = 0x1F
	ReceiveMaximum                  PropertyID = 0x21
	TopicAliasMaximum               PropertyID = 0x22
	TopicAlias                      PropertyID = 0x23
	MaximumQoS                      PropertyID = 0x24
	RetainAvailable                 PropertyID = 0x25
	UserProperty                    PropertyID = 0x26
	MaximumPacketSize               PropertyID = 0x27
	WildcardSubscriptionAvailable   PropertyID = 0x28
	SubscriptionIdentifierAvailable PropertyID = 0x29
	SharedSubscriptionAvailable     PropertyID = 0x2A
)

var propertyNames = map[PropertyID]string{
	PayloadFormatIndicator:          "Payload Format Indicator",
	MessageExpiryInterval:           "Message Expiry Interval",
	ContentType:                     "Content Type",
	ResponseTopic:                   "Response Topic",
	CorrelationData:                 "Correlation Data",
	SubscriptionIdentifier:          "Subscription Identifier",
	SessionExpiryInterval:           "Session Expiry Interval",
	AssignedClientIdentifier:        "Assigned Client Identifier",
	ServerKeepAlive:                 "Server Keep Alive",
	AuthenticationMethod:            "Authentication Method",
	AuthenticationData:              "Authentication Data",
	RequestProblemInformation:       "Request Problem Information",
	WillDelayInterval:               "Will Delay Interval",
	RequestResponseInformation:      "Request Response Information",
	ResponseInformation:             "Response Information",
	ServerReference:                 "Server Reference",
	ReasonString:                    "Reason String",
	ReceiveMaximum:                  "Receive Maximum",
	TopicAliasMaximum:               "Topic Alias Maximum",
	TopicAlias:                      "Topic Alias",
	MaximumQoS:                      "Maximum QoS",
	RetainAvailable:                 "Retain Available",
	UserProperty:                    "User Property",
	MaximumPacketSize:               "Maximum Packet Size",
	WildcardSubscriptionAvailable:   "Wildcard Subscription Available",
	SubscriptionIdentifierAvailable: "Subscription Identifier Available",
	SharedSubscriptionAvailable:     "Shared Subscription Available",
}

// String returns the standard's name of the property.
func (id PropertyID) String() string {
	if name, ok := propertyNames[id]; ok {
		return name
	}
	return fmt.Sprintf("property 0x%02X", byte(id))
}

// Property is one property of a Control Packet. Which of the fields counts depends
// on the type that the standard gives to ID: Number for integers, Value for UTF-8
// strings and binary data, Name and Value for a User Property.
type Property struct {
	ID     PropertyID
	Number uint32
	Name   string
	Value  string
}

// Properties are the properties of a packet in the order of the wire. The nil slice
// is ready to use. The methods do not change the slice, so concurrent readers are safe.
type Properties []Property

// Number returns the value of the first integer property id, and whether it is there.
func (ps Properties) Number(id PropertyID) (uint32, bool) {
	for i := range ps {
		if ps[i].ID == id {
			return ps[i].Number, true
		}
	}
	return 0, false
}

// Value returns the value of the first string or binary property id, and whether it is there.
func (ps Properties) Value(id PropertyID) (string, bool) {
	for i := range ps {
		if ps[i].ID == id {
			return ps[i].Value, true
		}
	}
	return "", false
}

// Has reports whether property id is there.
func (ps Properties) Has(id PropertyID) bool {
	for i := range ps {
		if ps[i].ID == id {
			return true
		}
	}
	return false
}

// UserProperties yields the name and value of each User Property, in order.
func (ps Properties) UserProperties() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := range ps {
			if ps[i].ID == UserProperty && !yield(ps[i].Name, ps[i].Value) {
				return
			}
		}
	}
}

// AppendNumber returns ps with the integer property id added at its end.
func (ps Properties) AppendNumber(id PropertyID, value uint32) Properties {
	return append(ps, Property{ID: id, Number: value})
}

// AppendValue returns ps with the string or binary property id added at its end.
func (ps Properties) AppendValue(id PropertyID, value string) Properties {
	return append(ps, Property{ID: id, Value: value})
}

// AppendUser returns ps with a User Property added at its end.
func (ps Properties) AppendUser(name, value string) Properties {
	return append(ps, Property{ID: UserProperty, Name: name, Value: value})
}

// Clone returns a copy that shares no memory with ps; nil for an empty slice.
func (ps Properties) Clone() Properties {
	if len(ps) == 0 {
		return nil
	}
	clone := make(Properties, len(ps))
	for i, p := range ps {
		clone[i] = Property{ID: p.ID, Number: p.Number, Name: strings.Clone(p.Name), Value: strings.Clone(p.Value)}
	}
	return clone
}
