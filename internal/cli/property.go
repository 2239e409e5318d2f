package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// propertyCommands are the words that may follow -D and take properties. The Will
// Properties are part of CONNECT, but a list of their own.
var propertyCommands = map[string]packet.Type{
	"connect":     packet.CONNECT,
	"publish":     packet.PUBLISH,
	"subscribe":   packet.SUBSCRIBE,
	"unsubscribe": packet.UNSUBSCRIBE,
	"disconnect":  packet.DISCONNECT,
	"will":        packet.CONNECT,
}

// otherCommands are packets that pub, sub and rr do not let anybody add properties to:
// AUTH, those of the server, and acknowledgements, which the client library writes.
var otherCommands = []string{"auth", "connack", "puback", "pubrec", "pubrel", "pubcomp", "suback", "unsuback"}

// propertyArguments returns how many arguments -D takes: three, or four for a User
// Property.
func propertyArguments(rest []string) int {
	if len(rest) >= 2 && strings.EqualFold(rest[1], "user-property") {
		return 4
	}
	return 3
}

// addProperty is -D COMMAND PROPERTY VALUE, or -D COMMAND user-property NAME VALUE. It
// makes the connection one of MQTT 5.0.
func addProperty(o *options, values []string) error {
	command, name := strings.ToLower(values[0]), strings.ToLower(values[1])
	packetType, known := propertyCommands[command]
	for _, other := range otherCommands {
		if command == other {
			return usagef("%s property not supported for %s in --property argument.", name, command)
		}
	}
	if !known {
		return usagef("Invalid command given in --property argument: '%s' is none of connect, publish, subscribe, unsubscribe, disconnect, will.", values[0])
	}
	id, ok := packet.PropertyByName(name)
	if !ok {
		return usagef("Invalid property name given in --property argument: '%s'%s.", values[1], nearestProperty(name))
	}
	allowed := packet.PropertyAllowed(id, packetType)
	if command == "will" {
		allowed = packet.WillProperty(id)
	}
	if id == colibri.SubscriptionIdentifier && packetType == packet.PUBLISH {
		allowed = false // only the Server sends one there [MQTT-3.3.4-6]
	}
	if !allowed {
		return usagef("%s property not allowed for %s in --property argument.", name, command)
	}
	property, err := parseProperty(id, name, values[2:])
	if err != nil {
		return err
	}
	o.properties[command] = append(o.properties[command], property)
	o.version = colibri.V5
	return nil
}

// parseProperty turns the text of a value into the property id, with the range of its
// data type. What the standard forbids beyond that is found when all are together.
func parseProperty(id colibri.PropertyID, name string, values []string) (colibri.Property, error) {
	largest := uint64(0)
	switch packet.PropertyType(id) {
	case packet.UTF8StringPair:
		return colibri.Property{ID: id, Name: values[0], Value: values[1]}, nil
	case packet.UTF8String, packet.BinaryData:
		return colibri.Property{ID: id, Value: values[0]}, nil
	case packet.Byte:
		largest = math.MaxUint8
	case packet.TwoByteInteger:
		largest = math.MaxUint16
	case packet.VariableByteInteger:
		largest = 268_435_455
	default:
		largest = math.MaxUint32
	}
	number, err := strconv.ParseUint(values[0], 10, 64)
	if err != nil || number > largest {
		if _, negative := strconv.ParseInt(values[0], 10, 64); err != nil && negative != nil && !errors.Is(err, strconv.ErrRange) {
			return colibri.Property{}, usagef("Property value (%s) of property %s is not a number.", values[0], name)
		}
		return colibri.Property{}, usagef("Property value (%s) out of range for property %s.", values[0], name)
	}
	return colibri.Property{ID: id, Number: uint32(number)}, nil
}

// checkProperties writes each list of properties into a packet and lets the codec say
// what is wrong with it: a value that the standard forbids, a property given twice.
func (o *options) checkProperties() error {
	if len(o.properties) > 0 && o.version < colibri.V5 {
		return usagef("Properties exist in MQTT 5.0 only, but the options ask for MQTT %s.", o.version)
	}
	for _, command := range []string{"connect", "publish", "subscribe", "unsubscribe", "disconnect", "will"} {
		properties := o.properties[command]
		if len(properties) == 0 {
			continue
		}
		var p packet.Packet
		switch command {
		case "connect":
			p = &packet.Connect{Version: colibri.V5, Properties: properties}
		case "publish":
			p = &packet.Publish{Topic: "t", Properties: properties}
		case "subscribe":
			p = &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "t"}}, Properties: properties}
		case "unsubscribe":
			p = &packet.Unsubscribe{PacketID: 1, Filters: []string{"t"}, Properties: properties}
		case "disconnect":
			p = &packet.Disconnect{Properties: properties}
		case "will":
			p = &packet.Connect{Version: colibri.V5, Will: &packet.Will{Topic: "t", Properties: properties}}
		}
		if _, err := packet.Append(nil, p, colibri.V5); err != nil {
			return usagef("Invalid %s properties: %s", strings.ToUpper(command), propertyFault(err))
		}
	}
	return nil
}

// propertyFault returns the words of the codec without the code for the other side.
func propertyFault(err error) string {
	var fault *colibri.Error
	if errors.As(err, &fault) && fault.Err != nil {
		_, field, _ := strings.Cut(fault.Op, " ")
		return fmt.Sprintf("%s %s.", field, fault.Err)
	}
	return err.Error() + "."
}

// propertyName returns the name of a property as -D and the JSON output write it.
func propertyName(id colibri.PropertyID) string {
	return strings.ToLower(strings.ReplaceAll(id.String(), " ", "-"))
}

// isNumber reports whether the value of property id is an integer.
func isNumber(id colibri.PropertyID) bool {
	switch packet.PropertyType(id) {
	case packet.Byte, packet.TwoByteInteger, packet.FourByteInteger, packet.VariableByteInteger:
		return true
	}
	return false
}

// nearestProperty returns ", the nearest is 'NAME'" for a mistyped property name.
func nearestProperty(typed string) string {
	best, bestDistance := "", 1+len(typed)/3
	for id := colibri.PropertyID(0); id <= colibri.SharedSubscriptionAvailable; id++ {
		if packet.PropertyType(id) == 0 {
			continue
		}
		if d := distance(typed, propertyName(id)); d < bestDistance {
			best, bestDistance = propertyName(id), d
		}
	}
	if best == "" {
		return ""
	}
	return ", the nearest is '" + best + "'"
}
