// Package acl holds access rules and decides by them: what a client may publish, subscribe
// to and receive. Rules come from an ACL file as Mosquitto reads it (File), from roles and
// groups (Model), or with a client, such as from its token (Rules). Each of them is worked
// out once for a client into Rights, which decide without allocating.
//
// It knows no network and no clock. What it returns is never changed afterwards, so all of
// it is safe for concurrent use.
package acl

import (
	"fmt"
	"strings"

	"github.com/colibri-mqtt/colibri/topic"
)

// Action is what a client wants to do.
type Action uint8

// The actions.
const (
	Publish     Action = iota // send a message to a topic
	Receive                   // be sent a message of a topic, although it has subscribed
	Subscribe                 // have a Subscription with a Topic Filter
	Unsubscribe               // end it
	actions
)

var actionNames = [actions]string{"publish", "receive", "subscribe", "unsubscribe"}

// String returns the action as a verb.
func (a Action) String() string { return actionNames[a] }

// ParseAction returns the action with this name; ok is false when there is none.
func ParseAction(name string) (a Action, ok bool) {
	for i, known := range actionNames {
		if name == known {
			return Action(i), true
		}
	}
	return 0, false
}

// Client is who asks.
type Client struct {
	ID   string // Client Identifier
	User string // User Name; empty for an anonymous client
}

// Rule is one rule and where it stands.
type Rule struct {
	File  string // of an ACL file; empty for others
	Line  int    // in File, from 1
	Role  string // of a Model; empty for others
	Index int    // among the rules of Role in the order of the state file, from 1
	Text  string // the rule as it was written, or in words
}

// Place says where the rule stands: "acl.conf:7" or "role 'device', rule 2"; empty for a
// rule that stands nowhere.
func (r *Rule) Place() string {
	switch {
	case r.File != "":
		return fmt.Sprintf("%s:%d", r.File, r.Line)
	case r.Role != "":
		return fmt.Sprintf("role '%s', rule %d", r.Role, r.Index)
	}
	return ""
}

// String returns place and text.
func (r *Rule) String() string {
	if place := r.Place(); place != "" {
		return place + " (" + r.Text + ")"
	}
	return r.Text
}

// Decision is what the rules say, and which of them said it.
type Decision struct {
	Allowed bool
	Rule    *Rule // that decided; never nil
}

// how says what an entry is compared with.
type how uint8

const (
	matches how = iota // a topic that the filter matches
	covers             // a Topic Filter that matches nothing the filter does not match
	spans              // as covers, but a wildcard at the beginning stands for "$" as well
	equals             // exactly this Topic Filter
	always             // anything
)

// entry is a rule as it concerns one client and one action.
type entry struct {
	filter string // with %u and %c replaced
	fixed  int    // bytes of filter with which every topic begins that it matches
	how    how
	allow  bool
	rule   *Rule
}

// decides reports whether the entry has something to say about a topic or Topic Filter.
func (e *entry) decides(text string) bool {
	switch e.how {
	case matches: // most rules are about other topics, and that is seen at their beginning
		return len(text) >= e.fixed && text[:e.fixed] == e.filter[:e.fixed] && topic.Match(e.filter, text)
	case covers:
		return coversEither(e, text, Covers)
	case spans:
		return coversEither(e, text, coversLevels)
	case equals:
		return coversEither(e, text, func(a, b string) bool { return a == b })
	}
	return true
}

// fixedBytes returns how many bytes of filter every topic begins with that it matches.
func fixedBytes(filter string) int {
	wildcard := strings.IndexAny(filter, "+#")
	switch {
	case wildcard < 0:
		return len(filter)
	case wildcard > 0 && filter[wildcard] == '#':
		return wildcard - 1 // "a/#" matches "a" too
	}
	return wildcard
}

// coversEither compares a Topic Filter with e. What denies a filter denies it in a Shared
// Subscription as well; what allows it does not, as a further member takes messages from
// the others: that rule has to name the Shared Subscription.
func coversEither(e *entry, filter string, compare func(rule, filter string) bool) bool {
	if compare(e.filter, filter) {
		return true
	}
	_, inner, shared := topic.SplitShared(filter)
	return shared && !e.allow && compare(e.filter, inner)
}

// Covers reports whether a rule for the Topic Filter rule speaks of every topic that filter
// matches. It compares level by level: "+" stands for one level other than "#", and "#" for
// all that follow. A rule that begins with a wildcard says nothing about filters that begin
// with "$".
func Covers(rule, filter string) bool {
	if filter != "" && filter[0] == '$' && rule != "" && (rule[0] == '+' || rule[0] == '#') {
		return false
	}
	return coversLevels(rule, filter)
}

// coversLevels is Covers without the rule about "$".
func coversLevels(rule, filter string) bool {
	for {
		ruleLevel, ruleRest, moreRule := strings.Cut(rule, "/")
		if ruleLevel == "#" && !moreRule {
			return true
		}
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" || ruleLevel != "+" && ruleLevel != level {
			return false
		}
		if !more {
			return !moreRule || ruleRest == "#" // "a/#" speaks of "a" too
		}
		if !moreRule {
			return false
		}
		rule, filter = ruleRest, rest
	}
}

// Rights are what one client may do. They do not change.
type Rights struct {
	lists     [actions][]entry // the first that decides does
	otherwise [actions]Decision
	shut      bool // by roles that name the client and let it do nothing
}

// append adds an entry for a.
func (r *Rights) append(a Action, e entry) {
	e.fixed = fixedBytes(e.filter)
	r.lists[a] = append(r.lists[a], e)
}

// Rules that stand nowhere.
var (
	sysRule      = &Rule{Text: "clients do not write below $SYS, except to $SYS/broker/connection/+/state"}
	shareRule    = &Rule{Text: "there are no messages with a topic that begins with $share"}
	noRule       = &Rule{Text: "no rule allows it"}
	openRule     = &Rule{Text: "the rules of the file are not about Subscriptions, but about the messages that come with them"}
	controlRule  = &Rule{Text: "what begins with $CONTROL has to be allowed by a rule"}
	nameRule     = &Rule{Text: "a User Name or Client Identifier with + or # gets nothing by a pattern"}
	tokenRule    = &Rule{Text: "the rules that came with the client do not allow it"}
	unknownRule  = &Rule{Text: "the roles know no such client"}
	disabledRule = &Rule{Text: "the client is disabled"}
	otherIDRule  = &Rule{Text: "the roles know this user only with another Client Identifier"}
)

// stateFilter are the topics below $SYS that clients may write: bridges say there whether
// they are connected.
const stateFilter = "$SYS/broker/connection/+/state"

// Decide decides whether the client may do a. text is a topic for Publish and Receive, a
// Topic Filter for the others; it must be valid. It does not allocate.
func (r *Rights) Decide(a Action, text string) Decision {
	if rule := forbidden(a, text); rule != nil {
		return Decision{Rule: rule}
	}
	list := r.lists[a]
	for i := range list {
		if e := &list[i]; e.decides(text) {
			return Decision{e.allow, e.rule}
		}
	}
	return r.otherwise[a]
}

// forbidden returns the rule that forbids everybody to publish to a topic, nil without one.
func forbidden(a Action, name string) *Rule {
	switch {
	case a != Publish || name == "" || name[0] != '$':
		return nil
	case strings.HasPrefix(name, "$SYS") && !topic.Match(stateFilter, name):
		return sysRule
	case strings.HasPrefix(name, "$share"):
		return shareRule
	}
	return nil
}

// Unlimited reports whether the client may do a with everything, so that nobody has to ask.
func (r *Rights) Unlimited(a Action) bool {
	return a != Publish && len(r.lists[a]) == 0 && r.otherwise[a].Allowed
}

// Names reports whether a rule allows the client exactly this Topic Filter, by which it may
// subscribe or receive, rather than a wider one.
func (r *Rights) Names(filter string) bool {
	for _, a := range []Action{Subscribe, Receive} {
		for i := range r.lists[a] {
			if e := &r.lists[a][i]; e.allow && e.filter == filter {
				return true
			}
		}
	}
	return false
}

// Considered is a rule that was looked at, and whether it spoke of what was asked.
type Considered struct {
	Rule    *Rule
	Filter  string // with %u and %c replaced; empty for a rule without one
	Allows  bool   // what the rule says
	Decides bool
}

// Explain is Decide with all rules that were looked at, in their order.
func (r *Rights) Explain(a Action, text string) (d Decision, looked []Considered) {
	d = r.Decide(a, text)
	if forbidden(a, text) != nil {
		return d, []Considered{{Rule: d.Rule, Decides: true}}
	}
	for i := range r.lists[a] {
		e := &r.lists[a][i]
		c := Considered{Rule: e.rule, Filter: e.filter, Allows: e.allow, Decides: e.decides(text)}
		if looked = append(looked, c); c.Decides {
			return d, looked
		}
	}
	return d, append(looked, Considered{Rule: d.Rule, Allows: d.Allowed, Decides: true})
}
