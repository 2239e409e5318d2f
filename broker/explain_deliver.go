package broker

import (
	"fmt"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/router"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/topic"
)

// deliveries asks what becomes of the message on each way to the client: that of its
// Subscriptions together, and that of each Shared Subscription.
func (x *explainer) deliveries() {
	matching := x.subscriptions()
	if len(matching) == 0 {
		return
	}
	x.b.broker.router.Peek(x.q.Topic, x.from, &x.b.matches)
	var own *router.Match[*liveSession]
	shared := make(map[string]*router.Match[*liveSession])
	for i := range x.b.matches.List {
		switch match := &x.b.matches.List[i]; {
		case match.Share != "":
			shared[match.Share] = match
		case match.Subscriber == x.s:
			own = match
		}
	}
	x.b.encoder.begin(x.m, x.b.now)
	if !x.mayReceive() {
		return
	}
	if own != nil {
		x.deliver(own.Delivery(x.m))
	}
	for i := range matching {
		_, _, isShared := topic.SplitShared(matching[i].Filter)
		switch {
		case isShared && shared[matching[i].Filter] != nil:
			x.shared(shared[matching[i].Filter])
		case !isShared && own == nil && matching[i].NoLocal && x.from == x.s:
			x.miss(MissNoLocal, "no local", "it is the publisher, and its Subscription to %s has No Local", matching[i].Filter)
		}
	}
	if !x.found { // a Subscription that has gone meanwhile
		x.miss(MissNoMatch, "subscription", "its Subscriptions change at this moment: ask again")
	}
}

// mayReceive asks whether the client has the right to receive the message.
func (x *explainer) mayReceive() bool {
	if x.b.broker.authorizer == nil {
		return true
	}
	rule := ""
	permissions := x.s.permissions()
	if r, ok := permissions.(Reasoned); ok {
		rule = ": " + r.Why(ActionReceive, x.m.Topic)
	}
	switch {
	case !x.s.receives(x.m.Topic):
		x.miss(MissWithheld, "may receive", "it may not receive messages of this topic%s", rule)
		return false
	case permissions == nil && x.s.access.Load() == nil:
		x.check("may receive", CheckNote, "which rules hold for it is known when it connects")
	default:
		x.check("may receive", CheckOK, "it may receive messages of this topic%s", rule)
	}
	return true
}

// deliver asks what becomes of one delivery to the client.
func (x *explainer) deliver(d colibri.Delivery) {
	if d.QoS < x.m.QoS {
		x.check("qos", CheckNote, "sent with %s, as the Subscription asks for no more", d.QoS)
	} else {
		x.check("qos", CheckOK, "sent with %s", d.QoS)
	}
	if x.m.Retain && !d.Retain {
		x.check("retain", CheckNote, "it arrives without the RETAIN flag, as the Subscription has no Retain As Published")
	}
	if d.QoS == colibri.AtMostOnce {
		x.deliverQoS0(d)
		return
	}
	x.deliverQueued(d)
}

// deliverQoS0 is batch.deliver with QoS 0.
func (x *explainer) deliverQoS0(d colibri.Delivery) {
	limits := &x.b.broker.limits
	switch c := x.s.conn.Load(); {
	case c == nil:
		x.miss(MissOffline, "offline", "it is not connected, and with QoS 0 nothing waits for it")
	case c.paced(x.b.now, false):
		x.miss(MissPaced, "rate", "it subscribes to '#' and has had the %d QoS 0 messages of this second", limits.FirehoseRate)
	case x.tooLarge(c, d, true):
	case c.out.isOver(limits.OutboxBytes):
		x.miss(MissSlow, "outbox", "it does not read as fast as it is sent to: more than %d bytes wait for its connection", limits.OutboxBytes)
	default:
		x.check("outbox", CheckOK, "its connection has room")
		x.gets(d)
	}
}

// gets concludes that nothing is in the way.
func (x *explainer) gets(d colibri.Delivery) {
	x.conclude(GetsIt, "%s gets it at once, with %s", x.q.ClientID, d.QoS)
}

// tooLarge asks whether the client takes a packet of this size; soon says that it is sent at once.
func (x *explainer) tooLarge(c *conn, d colibri.Delivery, soon bool) bool {
	p := x.b.encoder.publication(&d, c.version, plain, 1, false)
	if c.tooLarge(p) {
		later := ""
		if !soon {
			later = "; it waits, and is dropped when its turn comes, unless the client has connected with a larger one by then"
		}
		x.miss(MissTooLarge, "packet size", "the packet has %d bytes, and its Maximum Packet Size is %d%s", p.size(), c.maxPacket, later)
		return true
	}
	if c.maxPacket > 0 {
		x.check("packet size", CheckOK, "%d bytes; its Maximum Packet Size is %d", p.size(), c.maxPacket)
	}
	return false
}

// deliverQueued is batch.deliverTo.
func (x *explainer) deliverQueued(d colibri.Delivery) {
	broker, s := x.b.broker, x.s
	s.mu.Lock()
	c := s.conn.Load()
	room := c != nil && !c.out.isOver(broker.limits.OutboxBytes)
	if broker.durable && s.log != nil {
		d.Number = s.nextDelivery()
	}
	verdict, replaced := s.state.Foresee(x.b.now, d, room)
	soon := verdict == session.Sent || verdict == session.Queued && room && s.state.Ready() // when it is recorded
	queued, bytes, inflight := s.state.Queued(), s.state.QueuedBytes(), s.state.Inflight()
	free, window := s.state.Room()
	s.mu.Unlock()

	full := queueText(queued, bytes, &broker.sessionLimits) + " wait for it"
	if verdict == session.QueueFull {
		x.miss(MissQueueFull, "queue", "its queue has no place for it: %s, and %s", full, whenFullText[broker.whenFull])
		return
	}
	x.check("queue", CheckOK, "%s", full)
	if replaced > 0 {
		x.check("queue", CheckNote, "%s of the queue, the oldest, would give way to it", several(replaced, "message"))
	}
	if c == nil {
		x.away()
		return
	}
	result := CheckOK
	if free == 0 {
		result = CheckNote
	}
	x.check("in flight", result, "%d of %d messages are on their way and not acknowledged", inflight, window)
	if x.tooLarge(c, d, soon) {
		return
	}
	switch {
	case soon:
		x.gets(d)
	case !room:
		x.conclude(WaitsOutbox, "%s gets it when it has read what waits: more than %d bytes do for its connection", x.q.ClientID, broker.limits.OutboxBytes)
	default:
		x.conclude(WaitsWindow, "%s gets it when it has acknowledged: %d messages are in flight, %d may be, and %d wait before it", x.q.ClientID, inflight, window, queued)
	}
}

// away concludes that the message waits for a client that is not connected.
func (x *explainer) away() {
	until := ""
	switch due, expires := x.view.due, time.Unix(0, x.m.Expires); {
	case x.m.Expires != 0 && (due.IsZero() || expires.Before(due)):
		until = ", until " + clock(expires) + ", when the message expires"
	case !due.IsZero():
		until = ", until " + clock(due) + ", when its Session ends"
	}
	x.conclude(WaitsAway, "%s gets it when it connects again with Clean Start 0: it waits in its queue%s", x.q.ClientID, until)
}

// whenFullText says what gives way.
var whenFullText = map[WhenFull]string{FullDropNewest: "the newest message is dropped", FullDropOldest: "the message alone is larger than the queue",
	FullReject: "the message is dropped for it"}

// strategyText says how a member is chosen.
var strategyText = map[SharedStrategy]string{
	SharedRoundRobin:    "one after the other",
	SharedLeastInflight: "the one with the fewest messages under way and waiting",
	SharedSticky:        "the same one until it leaves",
	SharedHashClient:    "the same one for each publisher",
	SharedHashTopic:     "the same one for each topic",
}

// explainMembers is how many members of a Shared Subscription are named.
const explainMembers = 8

// members names those of the Shared Subscription to filter.
func (x *explainer) members(filter string) {
	var names []string
	n, connected := 0, 0
	x.b.broker.router.Members(filter, func(s *liveSession) bool {
		n++
		online := s.online()
		if online {
			connected++
		}
		if len(names) < explainMembers {
			name := s.clientID
			if !online {
				name += " (away)"
			}
			names = append(names, name)
		}
		return true
	})
	if n > len(names) {
		names = append(names, fmt.Sprintf("%d more", n-len(names)))
	}
	x.check("shared", CheckOK, "%s has %s, %d connected: %s; who gets a message: %s", filter, several(n, "member"), connected, strings.Join(names, ", "),
		strategyText[SharedStrategy(x.b.broker.router.Strategy())])
}

// shared asks what becomes of the message of a Shared Subscription of the client. It is
// batch.deliverShared.
func (x *explainer) shared(match *router.Match[*liveSession]) {
	chosen, d := match.Subscriber, match.Delivery(x.m)
	x.members(match.Share)
	way := sharedWayOf(chosen, d)
	waits := way == sharedQueue || way == sharedMember && x.b.sharedWaits(chosen, match.Share)
	switch {
	case way == sharedNobody:
		x.miss(MissOffline, "shared", "no member of %s is connected that may have it, and with QoS 0 nothing waits", match.Share)
	case waits:
		x.sharedQueue(match)
	case chosen == x.s:
		x.check("shared", CheckOK, "%s is chosen", x.q.ClientID)
		x.deliver(d)
	case !x.s.online():
		x.miss(MissNotChosen, "shared", "it is not connected, so another member of %s is chosen: %s", match.Share, chosen.clientID)
	default:
		x.miss(MissNotChosen, "shared", "another member of %s is chosen: %s", match.Share, chosen.clientID)
	}
}

// sharedQueue asks whether the message can wait for the members. It is batch.place.
func (x *explainer) sharedQueue(match *router.Match[*liveSession]) {
	limits := &x.b.broker.sessionLimits
	g, _ := x.b.broker.groups.find(match.Share)
	if g == nil {
		return // the last member leaves at this moment
	}
	g.mu.Lock()
	full := queueText(len(g.queue), g.bytes, limits) + " wait for " + match.Share
	g.mu.Unlock()
	if !g.foresee(x.b.now, x.m, limits) {
		x.miss(MissQueueFull, "shared", "the queue of its Shared Subscription has no place for it: %s, and %s", full, whenFullText[x.b.broker.whenFull])
		return
	}
	x.check("shared", CheckNote, "%s", full)
	x.conclude(WaitsGroup, "%s gets it if it is the first member of %s that is connected and has room: it waits for all of them together", x.q.ClientID, match.Share)
}
