package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// limits are what the Server takes, as its CONNACK says (5.0 section 3.2.2.3), or
// what holds without a word of it.
type limits struct {
	keepAlive                time.Duration
	receiveMaximum           int
	maximumQoS               colibri.QoS
	maximumPacketSize        int // bytes
	topicAliasMaximum        uint32
	noRetain                 bool
	noWildcard               bool
	noSharedSubscription     bool
	noSubscriptionIdentifier bool
}

func (o *Options) limits(p *packet.Connack) limits {
	number := func(id colibri.PropertyID, otherwise uint32) uint32 {
		if n, ok := p.Properties.Number(id); ok {
			return n
		}
		return otherwise
	}
	return limits{
		keepAlive:                time.Duration(number(colibri.ServerKeepAlive, uint32(o.KeepAlive/time.Second))) * time.Second, // [MQTT-3.2.2-21]
		receiveMaximum:           int(number(colibri.ReceiveMaximum, 65_535)),
		maximumQoS:               colibri.QoS(number(colibri.MaximumQoS, 2)),
		maximumPacketSize:        int(number(colibri.MaximumPacketSize, packet.MaxSize)),
		topicAliasMaximum:        number(colibri.TopicAliasMaximum, 0),
		noRetain:                 number(colibri.RetainAvailable, 1) == 0,
		noWildcard:               number(colibri.WildcardSubscriptionAvailable, 1) == 0,
		noSharedSubscription:     number(colibri.SharedSubscriptionAvailable, 1) == 0,
		noSubscriptionIdentifier: number(colibri.SubscriptionIdentifierAvailable, 1) == 0,
	}
}

// window returns how many messages may be in flight when the Server takes receiveMaximum.
func (o *Options) window(receiveMaximum int) int {
	if o.MaxInflight == 0 {
		return receiveMaximum
	}
	return min(o.MaxInflight, receiveMaximum) // [MQTT-4.9.0-1] [MQTT-3.3.4-7]
}

// message checks m against what the Server takes, all but its size.
func (l *limits) message(m *colibri.Message) error {
	fail := func(code colibri.ReasonCode, rule, format string, args ...any) error {
		return &colibri.Error{Op: "PUBLISH", Code: code, Rule: rule, Err: fmt.Errorf(format, args...)}
	}
	if m.QoS > l.maximumQoS {
		return fail(colibri.QoSNotSupported, "MQTT-3.2.2-11", "the Server takes %v at most", l.maximumQoS)
	}
	if m.Retain && l.noRetain {
		return fail(colibri.RetainNotSupported, "MQTT-3.2.2-14", "the Server does not retain messages")
	}
	if alias, ok := m.Properties.Number(colibri.TopicAlias); ok {
		if l.topicAliasMaximum == 0 {
			return fail(colibri.TopicAliasInvalid, "MQTT-3.2.2-18", "the Server takes no Topic Aliases")
		}
		if alias == 0 {
			return fail(colibri.TopicAliasInvalid, "MQTT-3.3.2-8", "a Topic Alias is not 0")
		}
		if alias > l.topicAliasMaximum { // [MQTT-3.2.2-17]
			return fail(colibri.TopicAliasInvalid, "MQTT-3.3.2-9", "the Server takes Topic Aliases from 1 to %d", l.topicAliasMaximum)
		}
	}
	return nil
}

// subscription checks s against what the Server takes.
func (l *limits) subscription(s *colibri.Subscription) error {
	var code colibri.ReasonCode
	var reason string
	_, inner, shared := topic.SplitShared(s.Filter)
	if !shared {
		inner = s.Filter
	}
	switch {
	case shared && l.noSharedSubscription:
		code, reason = colibri.SharedSubscriptionsNotSupported, "the Server takes no Shared Subscriptions"
	case l.noWildcard && hasWildcard(inner):
		code, reason = colibri.WildcardSubscriptionsNotSupported, "the Server takes no wildcards"
	case l.noSubscriptionIdentifier && s.Identifier != 0:
		code, reason = colibri.SubscriptionIdentifiersNotSupported, "the Server takes no Subscription Identifiers"
	default:
		return nil
	}
	return &colibri.Error{Op: "SUBSCRIBE", Code: code, Err: errors.New(reason)}
}

func hasWildcard(filter string) bool {
	for i := range len(filter) {
		if filter[i] == '+' || filter[i] == '#' {
			return true
		}
	}
	return false
}
