package broker

import (
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

// Authorizer decides what clients may do. It must not block, and is called by many
// goroutines.
type Authorizer interface {
	// Permissions returns what c may do, nil for everything but publishing to topics that
	// begin with $SYS/. The broker asks when a client connects and keeps the answer with its
	// Session, also while the client is away, until Reauthorize asks again.
	Permissions(c ClientInfo) Permissions
}

// Permissions say what one client may do. Its methods run on the road: they must not block,
// and are called by many goroutines. Values must be comparable, pointers for example: when
// those of several clients are equal, the broker asks once for all of them whether they
// receive a message.
type Permissions interface {
	// Publish returns Success, or the code that refuses the message.
	Publish(topic string, qos colibri.QoS, retain bool) colibri.ReasonCode
	// Subscribe returns the granted QoS as a code, or the code that refuses.
	Subscribe(s colibri.Subscription) colibri.ReasonCode
	// Unsubscribe returns Success, or the code that refuses to end the Subscription with this
	// Topic Filter, whether there is one or not.
	Unsubscribe(filter string) colibri.ReasonCode
	// Receive reports whether the client may be sent a message of this topic that its
	// Subscriptions match.
	Receive(topic string) bool
}

// Action is what a client was not allowed to do.
type Action int

// The actions of Denied.
const (
	ActionPublish     Action = iota // also of a Will Message
	ActionSubscribe                 // at SUBSCRIBE
	ActionKeep                      // a Subscription that it had and has no longer: see Reauthorize
	ActionUnsubscribe               // at UNSUBSCRIBE: the Subscription stands
	ActionReceive                   // never Denied but counted as DropWithheld: for Reasoned
	actions
)

// String returns a word for the action.
func (a Action) String() string {
	return [actions]string{"publish", "subscribe", "keep", "unsubscribe", "receive"}[a]
}

// Reasoned are Permissions that can name the rule which decides, for Broker.Explain. They are
// asked away from the road.
type Reasoned interface {
	// Why names the rule that decides whether the client may do action with topic, for people:
	// where it stands and what it says.
	Why(action Action, topic string) string
}

// Denied is a client that was not allowed to do something by its Permissions. A message
// that a client does not receive is no Denied but counted as DropWithheld.
type Denied struct {
	Client ClientInfo
	Action Action
	Topic  string // the topic, or the Topic Filter
	Code   colibri.ReasonCode
}

func (Denied) event() {}

// access is whose Session it is, and what that client may do. It does not change.
type access struct {
	client      ClientInfo
	permissions Permissions // nil: everything
}

// admitted keeps with s whose it is, and returns whether what s holds has to be looked at
// again: not when the same client has come back, as it was looked at meanwhile. The caller
// holds s.mu.
func (b *Broker) admitted(s *liveSession, client ClientInfo) (again bool) {
	if b.authorizer == nil {
		return false
	}
	before := s.access.Load()
	s.access.Store(&access{client, b.authorizer.Permissions(client)})
	return before == nil || before.client.UserName != client.UserName || before.client.Rights != nil || client.Rights != nil
}

// permissionsOf returns what a client may do that is not connected yet.
func (b *Broker) permissionsOf(client ClientInfo) Permissions {
	if b.authorizer == nil {
		return nil
	}
	return b.authorizer.Permissions(client)
}

// permissions returns what the client of s may do; nil for everything. Without an
// Authorizer, and as long as nobody knows whose s is after a restart, nobody says no: it
// is looked at again when the client connects.
func (s *liveSession) permissions() Permissions {
	if a := s.access.Load(); a != nil {
		return a.permissions
	}
	return nil
}

// permissions returns what the client of c may do. They are those of its Session, unless
// another user has taken that over at this moment.
func (c *conn) permissions() Permissions {
	a := c.session.access.Load()
	switch {
	case a == nil:
		return nil
	case a.client.UserName != c.client.UserName:
		return nothing{}
	}
	return a.permissions
}

// nothing are Permissions for nothing.
type nothing struct{}

func (nothing) Publish(string, colibri.QoS, bool) colibri.ReasonCode { return colibri.NotAuthorized }

func (nothing) Subscribe(colibri.Subscription) colibri.ReasonCode { return colibri.NotAuthorized }

func (nothing) Unsubscribe(string) colibri.ReasonCode { return colibri.NotAuthorized }

func (nothing) Receive(string) bool { return false }

// receives reports whether s may be sent a message of this topic.
func (s *liveSession) receives(topic string) bool {
	p := s.permissions()
	return p == nil || p.Receive(topic)
}

// receivable returns those of messages, which it may change, that p allows.
func receivable(p Permissions, messages []*colibri.Message) []*colibri.Message {
	if p == nil {
		return messages
	}
	return slices.DeleteFunc(messages, func(m *colibri.Message) bool { return !p.Receive(m.Topic) })
}

// route fills b.matches with who receives m, without those who may not. When it is sent, the
// members of Shared Subscriptions that are chosen have had their turn, and those who may not
// receive it are counted.
func (b *batch) route(m *colibri.Message, publisher *liveSession, sent bool) {
	if sent {
		b.broker.router.Route(m.Topic, publisher, &b.matches)
	} else {
		b.broker.router.Peek(m.Topic, publisher, &b.matches)
	}
	b.withheld = 0
	if b.broker.authorizer == nil {
		return
	}
	var asked Permissions // of the last one, whose answer the next mostly shares
	answer := true
	kept := b.matches.List[:0]
	for i := range b.matches.List {
		match := &b.matches.List[i]
		receives := true
		if s := match.Subscriber; s == nil {
			receives = b.broker.memberReceives(match.Share, m.Topic)
		} else if p := s.permissions(); p != nil {
			if p != asked {
				asked, answer = p, p.Receive(m.Topic)
			}
			receives = answer
		}
		switch {
		case !receives:
			b.withheld++
			if sent {
				b.broker.withhold(match.Subscriber, match.Share)
			}
		case len(kept) == i: // nobody was left out before
			kept = b.matches.List[:i+1]
		default:
			kept = append(kept, *match)
		}
	}
	b.matches.List = kept
}

// memberReceives reports whether a member of a Shared Subscription, connected or not, may
// be sent a message of this topic.
func (b *Broker) memberReceives(filter, topic string) (receives bool) {
	b.router.Members(filter, func(s *liveSession) bool {
		receives = s.receives(topic)
		return !receives
	})
	return receives
}

// withhold counts a message that s, or every member of a Shared Subscription when it is nil,
// may not receive.
func (b *Broker) withhold(s *liveSession, share string) {
	if s == nil {
		b.dropShared(share, DropWithheld, 1)
		return
	}
	b.drop(s, DropWithheld, 1)
}

// deny counts and tells that a client may not do something.
func (b *Broker) deny(client ClientInfo, action Action, text string, code colibri.ReasonCode) {
	b.counters.denied[action].Add(1)
	b.emit(Denied{Client: client, Action: action, Topic: strings.Clone(text), Code: code})
}

// revise takes from s what its client may not have any more: Subscriptions that it may not
// keep, and what waits for it that it may not receive; what was sent is resent if it may
// still receive it. It returns the Topic Filters of the Subscriptions. The caller holds s.mu
// and calls revised without it.
func (b *batch) revise(s *liveSession) (ended []string) {
	p := s.permissions()
	if p == nil {
		return nil
	}
	for _, sub := range s.state.Subscriptions() {
		if p.Subscribe(sub).Failed() {
			ended = append(ended, sub.Filter)
		}
	}
	for _, filter := range ended {
		s.state.Revoke(filter)
		b.broker.router.Unsubscribe(s, filter)
		b.recordRemoved(s, filter)
	}
	queued, payload := s.state.Queued(), s.state.QueuedPayload()
	withdrawn := s.state.Withdraw(p.Receive)
	for i := range withdrawn {
		b.recordEnded(s, withdrawn[i].Number)
	}
	b.broker.counters.forgotQueue(queued-s.state.Queued(), payload-s.state.QueuedPayload())
	b.broker.drop(s, DropWithheld, len(withdrawn))
	s.countLoad()
	return ended
}

// revised is the second half of revise.
func (b *batch) revised(s *liveSession, ended []string) {
	for _, filter := range ended {
		if _, _, shared := topic.SplitShared(filter); shared {
			b.leaveGroup(s, filter)
		}
		if c := s.conn.Load(); c != nil && isFirehose(filter) {
			c.firehoseEnds()
		}
		b.broker.deny(s.info(), ActionKeep, filter, colibri.NotAuthorized)
	}
}

// Reauthorize asks the Authorizer again about every Session, after its rules have changed.
// When it returns, what is published from then on is delivered as the rules of now allow:
// Subscriptions that a client may not have any more are gone, with a Denied event each, and messages that
// waited for a client that may not receive them are dropped as DropWithheld. A client may
// subscribe again at any time; it is not told, as MQTT has no packet for that.
//
// Sessions are looked at one after the other; others go on meanwhile.
func (b *Broker) Reauthorize() {
	if b.authorizer == nil {
		return
	}
	b.ruleChanges.Add(1)
	batch := b.takeBatch()
	defer batch.giveBack()
	for _, s := range b.registry.all() {
		batch.reauthorize(s)
	}
}

// reauthorize is Reauthorize for one Session.
func (b *batch) reauthorize(s *liveSession) {
	defer b.broker.decisions.end(b.broker.decisions.begin())
	b.now = time.Now()
	s.mu.Lock()
	var ended []string
	if a := s.access.Load(); a != nil && !s.ended {
		s.access.Store(&access{a.client, b.broker.authorizer.Permissions(a.client)})
		ended = b.revise(s)
	}
	s.mu.Unlock()
	b.revised(s, ended)
	b.recordAndReply()
}
