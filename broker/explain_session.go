package broker

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/topic"
)

// Filters that an Explanation has at most.
const (
	explainMatching = 20
	explainNearest  = 3
)

// sessionView is what a Session was at one moment.
type sessionView struct {
	conn          *conn // nil while it is not connected
	closed, due   time.Time
	subscriptions []colibri.Subscription
}

// session asks whether there is a Session of the client.
func (x *explainer) session() {
	if x.s != nil {
		x.s.mu.Lock()
		if x.s.ended {
			x.s.mu.Unlock()
			x.s = nil
		} else {
			x.view = sessionView{x.s.conn.Load(), x.s.closed, x.s.due, slices.Clone(x.s.state.Subscriptions())}
			x.s.mu.Unlock()
		}
	}
	switch {
	case x.s == nil:
		x.miss(MissNoSession, "session", "there is no Session of this Client Identifier")
	case x.view.conn != nil:
		c := x.view.conn
		x.check("session", CheckOK, "connected since %s from %s with MQTT %s", clock(c.opened), far(c.nc.RemoteAddr()), c.version)
	default:
		text := "not connected"
		if !x.view.closed.IsZero() {
			text += " since " + clock(x.view.closed)
		}
		if x.view.due.IsZero() {
			text += "; its Session does not expire"
		} else {
			text += "; its Session expires at " + clock(x.view.due)
		}
		x.check("session", CheckNote, "%s", text)
	}
}

// far names the other end of a connection.
func far(a net.Addr) string {
	if a == nil || a.String() == "" || a.String() == "@" {
		return "a local socket"
	}
	return a.String()
}

// subscriptions compares those of the client with the topic, and returns those that match.
func (x *explainer) subscriptions() (matching []colibri.Subscription) {
	if x.s == nil {
		return nil
	}
	var others []MatchedFilter
	for _, sub := range x.view.subscriptions {
		filter := sub.Filter
		if _, inner, shared := topic.SplitShared(filter); shared {
			filter = inner
		}
		if topic.Match(filter, x.q.Topic) {
			if matching = append(matching, sub); len(matching) <= explainMatching {
				x.Filters = append(x.Filters, MatchedFilter{sub, true, topic.Explain(filter, x.q.Topic)})
				x.check("subscription", CheckOK, "%s matches%s", sub.Filter, optionsOf(&sub))
			}
			continue
		}
		others = append(others, MatchedFilter{sub, false, topic.Explain(filter, x.q.Topic)})
		if len(others) > 100 { // a Session may have very many
			others = nearest(others)
		}
	}
	if more := len(matching) - explainMatching; more > 0 {
		x.check("subscription", CheckOK, "%d more match", more)
	}
	others = nearest(others)
	for i := range others {
		result := CheckNote
		if len(matching) == 0 {
			result = CheckNo
		}
		x.check("subscription", result, "%s does not match: %s", others[i].Subscription.Filter, difference(others[i].Levels))
	}
	x.Filters = append(x.Filters, others...)
	if n := len(x.view.subscriptions) - len(matching) - len(others); n > 0 {
		x.check("subscription", CheckNote, "%s more, further away", several(n, "Subscription"))
	}
	switch {
	case len(matching) > 0:
	case len(others) == 0:
		x.miss(MissNoMatch, "subscription", "it has no Subscription")
	default:
		x.conclude(MissNoMatch, "%s does not get it: none of its %s matches; the nearest is %s, where %s", x.q.ClientID,
			several(len(x.view.subscriptions), "Subscription"), others[0].Subscription.Filter, difference(others[0].Levels))
	}
	return matching
}

// optionsOf says what is special about a Subscription.
func optionsOf(sub *colibri.Subscription) string {
	text := fmt.Sprintf(", with %s", sub.QoS)
	if sub.NoLocal {
		text += ", No Local"
	}
	if sub.RetainAsPublished {
		text += ", Retain As Published"
	}
	if sub.Identifier != 0 {
		text += fmt.Sprintf(", Subscription Identifier %d", sub.Identifier)
	}
	return text
}

// nearest returns the few filters that differ least.
func nearest(filters []MatchedFilter) []MatchedFilter {
	wrong := func(f *MatchedFilter) (levels, first, missing int) {
		for i, level := range slices.Backward(f.Levels) {
			if !level.Matches {
				levels, first = levels+1, i
				missing += index(!level.HasFilter || !level.HasName)
			}
		}
		return levels, first, missing
	}
	slices.SortStableFunc(filters, func(a, b MatchedFilter) int {
		levelsA, firstA, missingA := wrong(&a)
		levelsB, firstB, missingB := wrong(&b)
		return cmp.Or(cmp.Compare(levelsA, levelsB), cmp.Compare(missingA, missingB), -cmp.Compare(firstA, firstB), strings.Compare(a.Subscription.Filter, b.Subscription.Filter))
	})
	return filters[:min(len(filters), explainNearest)]
}

// difference names the first level that differs.
func difference(levels []topic.Level) string {
	for i, level := range levels {
		switch {
		case level.Matches:
		case level.HasFilter && level.HasName:
			return fmt.Sprintf("level %d is '%s' there and '%s' in the topic (%s)", i+1, level.Filter, level.Name, level.Why)
		case level.HasFilter:
			return fmt.Sprintf("level %d is '%s' there (%s)", i+1, level.Filter, level.Why)
		default:
			return fmt.Sprintf("level %d is '%s' in the topic (%s)", i+1, level.Name, level.Why)
		}
	}
	return "nothing differs"
}

// retained says what is retained for the topic, and whether the Subscriptions of the client ask
// for it.
func (x *explainer) retained() {
	m := x.b.broker.retained.names.Get(x.q.Topic)
	if m == nil || m.Expired(x.b.now) {
		return
	}
	text := fmt.Sprintf("a message of %s is retained for the topic", several(len(m.Payload), "byte"))
	if m.Expires != 0 {
		text += fmt.Sprintf(" and expires at %s", clock(time.Unix(0, m.Expires)))
	}
	x.check("retained", CheckNote, "%s", text)
	if x.s == nil {
		return
	}
	if !x.s.receives(m.Topic) {
		x.check("retained", CheckNote, "%s may not receive it", x.q.ClientID)
		return
	}
	for _, f := range x.Filters {
		if !f.Matches {
			continue
		}
		_, _, shared := topic.SplitShared(f.Subscription.Filter)
		handling := "gets it with each SUBSCRIBE (Retain Handling 0)"
		switch {
		case shared:
			handling = "does not get it, as Shared Subscriptions get no Retained Messages"
		case f.Subscription.RetainHandling == colibri.SendRetainedIfNew:
			handling = "gets it when it is new, and not when the client subscribes again (Retain Handling 1)"
		case f.Subscription.RetainHandling == colibri.NoRetained:
			handling = "never gets it (Retain Handling 2)"
		}
		x.check("retained", CheckNote, "the Subscription to %s %s", f.Subscription.Filter, handling)
	}
}

// ledger says what the client did not get until now.
func (x *explainer) ledger() {
	if x.s == nil {
		return
	}
	drops := x.s.dropped.Load()
	if drops == nil {
		x.check("ledger", CheckOK, "no message for it, or from it, was dropped until now")
		return
	}
	for reason := range drops.ledger {
		if n := drops.ledger[reason].Load(); n > 0 {
			x.check("ledger", CheckNote, "dropped until now (%s): %d, the last one at %s", DropReason(reason), n,
				clock(time.Unix(0, drops.last[reason].Load())))
		}
	}
}

// queueText says how full the queue of a Session or of a group is.
func queueText(messages, bytes int, limits *session.Limits) string {
	text := several(messages, "message")
	if limits.QueueMessages > 0 {
		text = fmt.Sprintf("%d of %d messages", messages, limits.QueueMessages)
	}
	text += fmt.Sprintf(", %d", bytes)
	if limits.QueueBytes > 0 {
		text += fmt.Sprintf(" of %d", limits.QueueBytes)
	}
	return text + " bytes"
}
