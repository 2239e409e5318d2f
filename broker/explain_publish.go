package broker

import (
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// message makes the message, and asks whether anybody may send it.
func (x *explainer) message() bool {
	limits := &x.b.broker.limits
	version := colibri.V5
	if x.from != nil {
		if c := x.from.conn.Load(); c != nil {
			version = c.version
		}
	}
	m := &colibri.Message{Topic: x.q.Topic, QoS: x.q.QoS, Retain: x.q.Retain}
	if x.q.Expiry != nil {
		m.Properties = m.Properties.AppendNumber(colibri.MessageExpiryInterval, *x.q.Expiry)
		m.Expires = x.b.now.UnixNano() + int64(*x.q.Expiry)*int64(time.Second)
	}
	size := x.q.Bytes
	if limits.refusedBytes(size) == nil { // otherwise no memory is taken for it
		m.Payload = make([]byte, x.q.Bytes)
		p := packet.Publish{Topic: m.Topic, QoS: m.QoS, Retain: m.Retain, Payload: m.Payload}
		if version == colibri.V5 {
			p.Properties = m.Properties
		}
		if m.QoS > colibri.AtMostOnce {
			p.PacketID = 1
		}
		encoded, err := packet.AppendPublish(nil, &p, version)
		if err != nil {
			x.miss(MissInvalid, "message", "no client can send it: %v", err)
			return false
		}
		size = len(encoded)
	}
	x.m = m
	if err := limits.refusedBytes(size); err != nil {
		x.miss(MissInvalid, "packet size", "the broker closes the connection of its publisher, as the packet has %v", err.Err)
		return false
	}
	if code, why := x.b.broker.without.message(m.QoS, m.Retain); code.Failed() {
		x.miss(MissInvalid, "message", "the broker closes the connection of its publisher: %s", why)
		return false
	}
	if result := x.b.broker.validMessage(m); result.code.Failed() {
		x.miss(MissInvalid, "message", "it is refused: %s", result.reason)
		return false
	}
	return true
}

// publisher asks whether the message is taken from its publisher.
func (x *explainer) publisher() bool {
	broker := x.b.broker
	switch {
	case x.q.From == "" && broker.authorizer != nil:
		x.check("publisher", CheckNote, "whether its publisher may send it was not looked at: say who that is")
	case x.q.From == "":
	case x.from == nil && broker.authorizer != nil:
		x.check("publisher", CheckNote, "there is no Session of %s, so it is not known by which rules it may publish", x.q.From)
	default:
		if !x.mayPublish() {
			return false
		}
	}
	if limits := &broker.limits; limits.MessageRate > 0 {
		x.check("rate", CheckNote, "of one client the broker takes %d messages a second; what is more is read later", limits.MessageRate)
	}
	if x.m.Expires != 0 && x.m.Expired(x.b.now) {
		x.miss(MissExpired, "expiry", "its Message Expiry Interval is %d, so it has expired when it comes", *x.q.Expiry)
		return false
	}
	switch result := x.b.refused(x.m, x.from, true); result.dropped {
	case DropRejected:
		x.miss(MissRejected, "queues", "it is refused for everybody, as the queue of a subscriber is full and the broker rejects then")
		return false
	case DropStateFull:
		x.miss(MissStateFull, "state", "it is refused, as %s", result.reason)
		return false
	}
	x.retainable()
	return true
}

// mayPublish asks whether the publisher has the right to.
func (x *explainer) mayPublish() bool {
	var permissions Permissions
	if x.from == nil {
		x.check("publisher", CheckNote, "there is no Session of %s now", x.q.From)
	} else {
		permissions = x.from.permissions()
		if c := x.from.conn.Load(); c != nil {
			permissions = c.permissions()
		} else {
			x.check("publisher", CheckNote, "%s is not connected now", x.q.From)
		}
	}
	rule := ""
	if r, ok := permissions.(Reasoned); ok {
		rule = ": " + r.Why(ActionPublish, x.m.Topic)
	}
	if permitted(permissions, x.m).code.Failed() {
		if permissions == nil {
			rule = ": topics below $SYS are the broker's own to write"
		}
		x.miss(MissDenied, "may publish", "%s may not publish to %s%s", x.q.From, x.m.Topic, rule)
		return false
	}
	x.check("may publish", CheckOK, "%s may publish to %s%s", x.q.From, x.m.Topic, rule)
	return true
}

// retainable says what becomes of the RETAIN flag.
func (x *explainer) retainable() {
	if !x.m.Retain {
		return
	}
	store, limits := &x.b.broker.retained, &x.b.broker.limits
	switch {
	case len(x.m.Payload) == 0:
		x.check("retain", CheckNote, "without a payload it removes what is retained for the topic")
	case x.b.broker.full() && x.m.QoS == colibri.AtMostOnce:
		x.check("retain", CheckNote, "it is delivered and not retained, as the state of this Server has no room for it")
	case !store.hasRoom(store.names.Get(x.m.Topic), x.m, limits.Retained, limits.RetainedBytes):
		x.check("retain", CheckNote, "it is delivered and not retained, as too much is retained already")
	default:
		x.check("retain", CheckNote, "it is retained for those who subscribe later")
	}
}
