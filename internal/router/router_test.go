package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/google/go-cmp/cmp"
)

// always says of everybody that they are online.
func always(string) bool { return true }

// routed returns who receives a message, one line each, sorted.
func routed(r *Router[string], name, publisher string) []string {
	var m Matches[string]
	r.Route(name, publisher, &m)
	lines := []string{}
	for i := range m.List {
		lines = append(lines, line(&m.List[i]))
	}
	slices.Sort(lines)
	return lines
}

// line is such as "anna QoS 1 RAP ids [1 2]"; the identifiers are sorted, as the standard
// asks for no order.
func line(match *Match[string]) string {
	text := fmt.Sprintf("%s %s", match.Subscriber, match.QoS)
	if match.RetainAsPublished {
		text += " RAP"
	}
	ids := slices.Sorted(slices.Values(match.Identifiers))
	if ids == nil && match.Identifier != 0 {
		ids = []uint32{match.Identifier}
	}
	if ids != nil {
		text += fmt.Sprintf(" ids %d", ids)
	}
	return text
}

type subscribed struct {
	who string
	sub colibri.Subscription
}

func on(who, filter string, qos colibri.QoS) subscribed {
	return subscribed{who, colibri.Subscription{Filter: filter, QoS: qos}}
}

func (s subscribed) id(id uint32) subscribed { s.sub.Identifier = id; return s }
func (s subscribed) noLocal() subscribed     { s.sub.NoLocal = true; return s }
func (s subscribed) rap() subscribed         { s.sub.RetainAsPublished = true; return s }

func TestRoute(t *testing.T) {
	tests := []struct {
		name      string
		subs      []subscribed
		topic     string
		publisher string
		want      []string
	}{
		{"nobody", nil, "a", "pub", nil},
		{"what is received matches a filter [MQTT-3.3.2-3] [MQTT311-3.3.2-3]",
			[]subscribed{on("anna", "a/+", 1), on("ben", "b/+", 1), on("cora", "a/#", 0)},
			"a/x", "pub", []string{"anna QoS 1", "cora QoS 0"}},
		{"a wildcard at the start does not match $ [MQTT-4.7.2-1] [MQTT311-4.7.2-1]",
			[]subscribed{on("anna", "#", 1), on("ben", "+/x", 1), on("cora", "$SYS/#", 0)},
			"$SYS/x", "pub", []string{"cora QoS 0"}},
		{"overlapping filters: one copy with the highest QoS [MQTT-3.3.4-2] [MQTT311-3.3.5-1]",
			[]subscribed{on("anna", "a/#", 0), on("anna", "a/+", 2), on("anna", "a/x", 1), on("ben", "a/x", 1)},
			"a/x", "pub", []string{"anna QoS 2", "ben QoS 1"}},
		{"overlapping filters: all identifiers [MQTT-3.3.4-3] [MQTT-3.3.4-4]",
			[]subscribed{on("anna", "a/#", 0).id(7), on("anna", "a/+", 2).id(3), on("anna", "#", 1), on("anna", "a/x", 1).id(9)},
			"a/x", "pub", []string{"anna QoS 2 ids [3 7 9]"}},
		{"the same identifier twice stays twice",
			[]subscribed{on("anna", "a/#", 0).id(7), on("anna", "a/+", 1).id(7)},
			"a/x", "pub", []string{"anna QoS 1 ids [7 7]"}},
		{"one identifier among several Subscriptions",
			[]subscribed{on("anna", "a/#", 0), on("anna", "a/+", 2).id(3), on("anna", "a/x", 1)},
			"a/x", "pub", []string{"anna QoS 2 ids [3]"}},
		{"No Local [MQTT-3.8.3-3]",
			[]subscribed{on("anna", "a", 1).noLocal(), on("ben", "a", 1).noLocal(), on("cora", "a", 1)},
			"a", "anna", []string{"ben QoS 1", "cora QoS 1"}},
		{"No Local is of one Subscription, not of the subscriber [MQTT-3.8.3-3]",
			[]subscribed{on("anna", "a/x", 2).id(1).noLocal(), on("anna", "a/+", 1).id(2), on("anna", "a/#", 0).id(3).noLocal(), on("ben", "#", 0)},
			"a/x", "anna", []string{"anna QoS 1 ids [2]", "ben QoS 0"}},
		{"No Local in all of them",
			[]subscribed{on("anna", "a/x", 2).noLocal(), on("anna", "a/+", 1).noLocal(), on("anna", "#", 1).noLocal()},
			"a/x", "anna", nil},
		{"Retain As Published of any Subscription [MQTT-3.3.1-13]; without it not [MQTT-3.3.1-12]",
			[]subscribed{on("anna", "a/x", 1), on("anna", "a/+", 0).rap(), on("ben", "a/x", 0).rap(), on("cora", "a/x", 0)},
			"a/x", "pub", []string{"anna QoS 1 RAP", "ben QoS 0 RAP", "cora QoS 0"}},
		{"the same filter again replaces all options [MQTT-3.8.4-3]",
			[]subscribed{on("anna", "a", 2).id(5).noLocal().rap(), on("anna", "a", 1)},
			"a", "anna", []string{"anna QoS 1"}},
		{"several filters in the order of three subscribers",
			[]subscribed{on("anna", "a/x", 0), on("ben", "a/+", 0), on("cora", "a/#", 0), on("anna", "a/#", 1), on("ben", "#", 2), on("cora", "a/x", 1)},
			"a/x", "pub", []string{"anna QoS 1", "ben QoS 2", "cora QoS 1"}},
		{"Shared Subscription: one member, its QoS [MQTT-4.8.2-3]",
			[]subscribed{on("anna", "$share/g/a", 1).id(4).rap()},
			"a", "pub", []string{"anna QoS 1 RAP ids [4]"}},
		{"two groups on one filter: one member of each",
			[]subscribed{on("anna", "$share/g/a", 1), on("ben", "$share/h/a", 2)},
			"a", "pub", []string{"anna QoS 1", "ben QoS 2"}},
		{"one group on two filters: they are two Shared Subscriptions",
			[]subscribed{on("anna", "$share/g/a", 1), on("anna", "$share/g/+", 2)},
			"a", "pub", []string{"anna QoS 1", "anna QoS 2"}},
		{"shared and plain: a copy for each",
			[]subscribed{on("anna", "$share/g/a", 1).id(1), on("anna", "a", 0).id(2), on("anna", "#", 2).id(3)},
			"a", "pub", []string{"anna QoS 1 ids [1]", "anna QoS 2 ids [2 3]"}},
		{"a Shared Subscription does not match its own text",
			[]subscribed{on("anna", "$share/g/a", 1)}, "$share/g/a", "pub", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := New(Options[string]{Online: always})
			for _, s := range test.subs {
				r.Subscribe(s.who, s.sub)
			}
			if test.want == nil {
				test.want = []string{}
			}
			if diff := cmp.Diff(test.want, routed(r, test.topic, test.publisher)); diff != "" {
				t.Errorf("Route(%q) of %s (-want +got):\n%s", test.topic, test.publisher, diff)
			}
		})
	}
}

// TestUnsubscribe shows that exactly the named Subscription goes [MQTT-3.10.4-1], and that
// nothing is routed by it afterwards [MQTT-3.10.4-2].
func TestUnsubscribe(t *testing.T) {
	r := New(Options[string]{Online: always})
	for _, s := range []subscribed{on("anna", "a/x", 1).id(1), on("anna", "a/+", 1).id(2), on("ben", "a/x", 1),
		on("anna", "$share/g/a/x", 1).id(3), on("ben", "$share/h/a/x", 1)} {
		if r.Subscribe(s.who, s.sub) {
			t.Errorf("Subscribe(%s, %s): existed before", s.who, s.sub.Filter)
		}
	}
	if !r.Subscribe("anna", colibri.Subscription{Filter: "$share/g/a/x", QoS: 2, Identifier: 3}) {
		t.Error("Subscribe to a Shared Subscription again: did not exist before")
	}
	steps := []struct {
		who, filter string
		existed     bool
		all, shared int
		want        string
	}{
		{"cora", "a/x", false, 5, 2, "anna QoS 1 ids [1 2], anna QoS 2 ids [3], ben QoS 1, ben QoS 1"},
		{"anna", "a/#", false, 5, 2, "anna QoS 1 ids [1 2], anna QoS 2 ids [3], ben QoS 1, ben QoS 1"},
		{"anna", "$share/h/a/x", false, 5, 2, "anna QoS 1 ids [1 2], anna QoS 2 ids [3], ben QoS 1, ben QoS 1"},
		{"anna", "$share/i/a/x", false, 5, 2, "anna QoS 1 ids [1 2], anna QoS 2 ids [3], ben QoS 1, ben QoS 1"},
		{"anna", "a/x", true, 4, 2, "anna QoS 1 ids [2], anna QoS 2 ids [3], ben QoS 1, ben QoS 1"},
		{"anna", "a/x", false, 4, 2, "anna QoS 1 ids [2], anna QoS 2 ids [3], ben QoS 1, ben QoS 1"},
		{"anna", "$share/g/a/x", true, 3, 1, "anna QoS 1 ids [2], ben QoS 1, ben QoS 1"},
		{"ben", "a/x", true, 2, 1, "anna QoS 1 ids [2], ben QoS 1"},
		{"ben", "$share/h/a/x", true, 1, 0, "anna QoS 1 ids [2]"},
		{"anna", "a/+", true, 0, 0, ""},
		{"anna", "a/+", false, 0, 0, ""},
	}
	for _, step := range steps {
		if got := r.Unsubscribe(step.who, step.filter); got != step.existed {
			t.Errorf("Unsubscribe(%s, %s): got %v, want %v", step.who, step.filter, got, step.existed)
		}
		if all, shared := r.Len(); all != step.all || shared != step.shared {
			t.Errorf("Len after Unsubscribe(%s, %s): got %d, %d, want %d, %d", step.who, step.filter, all, shared, step.all, step.shared)
		}
		if got := strings.Join(routed(r, "a/x", "pub"), ", "); got != step.want {
			t.Errorf("Route after Unsubscribe(%s, %s):\n got %s\nwant %s", step.who, step.filter, got, step.want)
		}
	}
	if n := r.tree.Len(); n != 0 {
		t.Errorf("the empty router holds %d filters", n)
	}
}

// TestMatchesAreReused shows that nothing of one message is left for the next.
func TestMatchesAreReused(t *testing.T) {
	r := New(Options[string]{Online: always})
	for _, s := range []subscribed{on("anna", "a", 1).id(1), on("anna", "#", 1).id(2), on("anna", "$share/g/a", 0), on("ben", "b", 2)} {
		r.Subscribe(s.who, s.sub)
	}
	for i := range 2 * keepOverlap {
		r.Subscribe(fmt.Sprint("many", i), colibri.Subscription{Filter: "many"})
	}
	var m Matches[string]
	for _, name := range []string{"a", "b", "many", "none", "a", "a"} {
		r.Route(name, "pub", &m)
		got := []string{}
		for i := range m.List {
			got = append(got, line(&m.List[i]))
		}
		slices.Sort(got)
		if want := routed(r, name, "pub"); !slices.Equal(got, want) {
			t.Errorf("Route(%q): got %d matches %.100q, want %d %.100q", name, len(got), got, len(want), want)
		}
	}
	ids := m.List[0].Identifiers
	r.Route("a", "pub", &m)
	if slices.Sort(ids); !slices.Equal(ids, []uint32{1, 2}) {
		t.Errorf("the identifiers of an earlier message have become %d", ids)
	}
}
