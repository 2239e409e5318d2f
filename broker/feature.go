package broker

import (
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

// Without is a set of optional parts of the standard that a Broker does not offer. A 5.0
// client is told in CONNACK; one that uses them all the same loses its connection, as the
// standard asks, or before 5.0 is refused where that can be said.
type Without uint8

// The parts that can be left out.
const (
	WithoutQoS2        Without = 1 << iota // [MQTT-3.2.2-9]
	WithoutQoS1                            // and without QoS 2
	WithoutRetain                          // Retained Messages
	WithoutWildcards                       // Topic Filters with + or #
	WithoutIdentifiers                     // Subscription Identifiers
	WithoutShared                          // Shared Subscriptions
)

// maximumQoS is the highest QoS of a PUBLISH, in both directions.
func (w Without) maximumQoS() colibri.QoS {
	switch {
	case w&WithoutQoS1 != 0:
		return colibri.AtMostOnce
	case w&WithoutQoS2 != 0:
		return colibri.AtLeastOnce
	}
	return colibri.ExactlyOnce
}

// announce adds what is left out to the properties of a CONNACK.
func (w Without) announce(ps colibri.Properties) colibri.Properties {
	if q := w.maximumQoS(); q < colibri.ExactlyOnce {
		ps = ps.AppendNumber(colibri.MaximumQoS, uint32(q)) // [MQTT-3.2.2-9]
	}
	for _, part := range []struct {
		without Without
		id      colibri.PropertyID
	}{
		{WithoutRetain, colibri.RetainAvailable},
		{WithoutWildcards, colibri.WildcardSubscriptionAvailable},
		{WithoutIdentifiers, colibri.SubscriptionIdentifierAvailable},
		{WithoutShared, colibri.SharedSubscriptionAvailable},
	} {
		if w&part.without != 0 {
			ps = ps.AppendNumber(part.id, 0)
		}
	}
	return ps
}

// message returns the code and the words that refuse a message, also a Will Message
// [MQTT-3.2.2-12] [MQTT-3.2.2-13]; Success when it may be sent.
func (w Without) message(qos colibri.QoS, retain bool) (code colibri.ReasonCode, why string) {
	switch {
	case qos > w.maximumQoS():
		return colibri.QoSNotSupported, "this Server takes no messages of this QoS"
	case retain && w&WithoutRetain != 0:
		return colibri.RetainNotSupported, "this Server retains no messages"
	}
	return colibri.Success, ""
}

// subscription returns the code and the words that refuse a Subscription; Success when it
// may be had. Any QoS may be asked for [MQTT-3.2.2-10].
func (w Without) subscription(sub *colibri.Subscription) (code colibri.ReasonCode, why string) {
	_, inner, shared := topic.SplitShared(sub.Filter)
	if !shared {
		inner = sub.Filter
	}
	switch {
	case shared && w&WithoutShared != 0:
		return colibri.SharedSubscriptionsNotSupported, "this Server has no Shared Subscriptions"
	case sub.Identifier != 0 && w&WithoutIdentifiers != 0:
		return colibri.SubscriptionIdentifiersNotSupported, "this Server has no Subscription Identifiers"
	case w&WithoutWildcards != 0 && strings.ContainsAny(inner, "+#"):
		return colibri.WildcardSubscriptionsNotSupported, "this Server has no Subscriptions with wildcards"
	}
	return colibri.Success, ""
}
