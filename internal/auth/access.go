package auth

import (
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/acl"
)

// Access decides what clients may do, by the rules of an acl.Set or by those that came with
// the client: an *acl.Rules as broker.ClientInfo.Rights. It is a broker.Authorizer, and safe
// for concurrent use.
type Access struct {
	Firehose acl.Firehose // does not change

	set atomic.Pointer[acl.Set]
}

// Set puts other rules in the place of those that held before; nil for none. Sessions that
// exist keep the old ones until broker.Broker.Reauthorize.
func (a *Access) Set(s *acl.Set) { a.set.Store(s) }

// Permissions is broker.Authorizer's.
func (a *Access) Permissions(c broker.ClientInfo) broker.Permissions {
	return permissions{a.rights(c), a.Firehose}
}

// foreign stands for rights that nobody here knows how to read: they allow nothing.
var foreign = &acl.Rules{Source: "rights of an unknown kind"}

func (a *Access) rights(c broker.ClientInfo) *acl.Rights {
	own, known := c.Rights.(*acl.Rules)
	if c.Rights != nil && !known {
		own = foreign
	}
	return a.set.Load().Rights(acl.Client{ID: c.ClientID, User: c.UserName}, own)
}

// Decide decides by the rules of now, and names the one that did: for logs, away from the
// road.
func (a *Access) Decide(c broker.ClientInfo, action acl.Action, text string) acl.Decision {
	if action == acl.Subscribe {
		return a.Firehose.Subscribe(a.rights(c), text)
	}
	return a.rights(c).Decide(action, text)
}

// permissions are what one client may do. Those of clients that share their Rights are
// equal.
type permissions struct {
	rights   *acl.Rights
	firehose acl.Firehose
}

func (p permissions) Publish(topic string, _ colibri.QoS, _ bool) colibri.ReasonCode {
	if !p.rights.Decide(acl.Publish, topic).Allowed {
		return colibri.NotAuthorized
	}
	return colibri.Success
}

func (p permissions) Subscribe(s colibri.Subscription) colibri.ReasonCode {
	if !p.firehose.Subscribe(p.rights, s.Filter).Allowed {
		return colibri.NotAuthorized
	}
	return colibri.ReasonCode(s.QoS)
}

func (p permissions) Unsubscribe(filter string) colibri.ReasonCode {
	if !p.rights.Decide(acl.Unsubscribe, filter).Allowed {
		return colibri.NotAuthorized
	}
	return colibri.Success
}

// Why is that of broker.Reasoned.
func (p permissions) Why(action broker.Action, topic string) string {
	switch action {
	case broker.ActionPublish:
		return p.rights.Decide(acl.Publish, topic).Rule.String()
	case broker.ActionReceive:
		return p.rights.Decide(acl.Receive, topic).Rule.String()
	case broker.ActionUnsubscribe:
		return p.rights.Decide(acl.Unsubscribe, topic).Rule.String()
	}
	return p.firehose.Subscribe(p.rights, topic).Rule.String()
}

func (p permissions) Receive(topic string) bool { return p.rights.Decide(acl.Receive, topic).Allowed }
