package acl

import "github.com/colibri-mqtt/colibri/topic"

// Firehose says who may subscribe to everything: see Wide.
type Firehose uint8

// The rules about the firehose.
const (
	FirehoseAllow    Firehose = iota // whoever may subscribe at all; the rules about receiving still hold
	FirehoseRestrict                 // whoever has a rule for exactly this Topic Filter
	FirehoseRefuse                   // nobody
)

var (
	firehoseRefused = &Rule{Text: "colibri_firehose refuse: nobody subscribes to everything"}
	firehoseUnnamed = &Rule{Text: "colibri_firehose restrict: no rule of this client names exactly this Topic Filter"}
)

// Wide reports whether a Topic Filter, shared or not, asks for everything: it has no level
// that is not a wildcard and ends in "#", such as "#" and "+/#", or is "$SYS/#".
func Wide(filter string) bool {
	if _, inner, shared := topic.SplitShared(filter); shared {
		filter = inner
	}
	if filter == "$SYS/#" {
		return true
	}
	for len(filter) > 1 && filter[:2] == "+/" {
		filter = filter[2:]
	}
	return filter == "#"
}

// Subscribe decides whether the client may have a Subscription to filter.
func (f Firehose) Subscribe(r *Rights, filter string) Decision {
	if rule := f.forbids(r, filter); rule != nil {
		return Decision{Rule: rule}
	}
	return r.Decide(Subscribe, filter)
}

// forbids returns the rule by which f forbids the Subscription, nil when it does not.
func (f Firehose) forbids(r *Rights, filter string) *Rule {
	switch {
	case f == FirehoseAllow || !Wide(filter):
		return nil
	case f == FirehoseRefuse:
		return firehoseRefused
	}
	if _, inner, shared := topic.SplitShared(filter); r.Names(filter) || shared && r.Names(inner) {
		return nil
	}
	return firehoseUnnamed
}

// Explain is Rights.Explain under the rule about the firehose.
func (f Firehose) Explain(r *Rights, a Action, text string) (Decision, []Considered) {
	if a == Subscribe {
		if rule := f.forbids(r, text); rule != nil {
			return Decision{Rule: rule}, []Considered{{Rule: rule, Decides: true}}
		}
	}
	return r.Explain(a, text)
}
