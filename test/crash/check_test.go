package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
)

// at is the n-th millisecond of a made-up run.
func at(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// sent is a message of a made-up run, sent at 10 ms and acknowledged at 20 ms.
func sent(topic string, qos colibri.QoS) message {
	return message{topic: topic, qos: qos, sent: at(10), acknowledged: at(20)}
}

// without is m with no acknowledgement.
func without(m message) message {
	m.acknowledged = 0
	return m
}

// came is the arrival of a message of publisher 0.
func came(n int, topic string, qos colibri.QoS) arrival {
	return arrival{message: messageID{0, n}, topic: topic, qos: qos, at: at(30 + n)}
}

// again is a as the resend of an open handshake.
func again(a arrival) arrival {
	a.again = true
	return a
}

func subscriptions(filter string, qos colibri.QoS) []subscribed {
	return []subscribed{{filter: filter, qos: qos, at: at(1)}}
}

func TestCheck(t *testing.T) {
	const one, two = colibri.AtLeastOnce, colibri.ExactlyOnce
	type counts struct{ acknowledged, refused, delivered, qos1Doubled int }
	for _, test := range []struct {
		name     string
		sent     []message
		sessions []*session
		want     counts
		faults   map[kind]int
	}{
		{"everything came once",
			[]message{sent("a", one), sent("a", two)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", one), came(1, "a", two)}}},
			counts{acknowledged: 2, delivered: 2}, nil},
		{"an acknowledged message did not come",
			[]message{sent("a", one), sent("a", two)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(1, "a", two)}}},
			counts{acknowledged: 2, delivered: 1}, map[kind]int{lost: 1}},
		{"each Session counts for itself",
			[]message{sent("a", one)},
			[]*session{{subscriptions: subscriptions("a", two)}, {subscriptions: subscriptions("+", one)}, {subscriptions: subscriptions("b", one)}},
			counts{acknowledged: 1}, map[kind]int{lost: 2}},
		{"an unacknowledged message may come or not",
			[]message{without(sent("a", two)), without(sent("a", one))},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", two)}}},
			counts{delivered: 1}, nil},
		{"an unacknowledged QoS 2 message comes once at most",
			[]message{without(sent("a", two))},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", two), came(0, "a", two)}}},
			counts{delivered: 1}, map[kind]int{doubled: 1}},
		{"a refused message is not acknowledged",
			[]message{{topic: "a", qos: one, sent: at(10), refused: colibri.QuotaExceeded}},
			[]*session{{subscriptions: subscriptions("a", two)}},
			counts{refused: 1}, nil},
		{"a message sent before the SUBACK need not come",
			[]message{{topic: "a", qos: one, sent: at(1), acknowledged: at(9)}},
			[]*session{{subscriptions: []subscribed{{"a", one, at(5)}}}},
			counts{acknowledged: 1}, nil},
		{"QoS 1 may come twice",
			[]message{sent("a", one)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", one), came(0, "a", one)}}},
			counts{acknowledged: 1, delivered: 1, qos1Doubled: 1}, nil},
		{"QoS 2 may come twice to a Subscription with QoS 1",
			[]message{sent("a", two)},
			[]*session{{subscriptions: subscriptions("a", one), arrivals: []arrival{came(0, "a", one), came(0, "a", one)}}},
			counts{acknowledged: 1, delivered: 1, qos1Doubled: 1}, nil},
		{"QoS 2 twice",
			[]message{sent("a", two)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", two), came(0, "a", two)}}},
			counts{acknowledged: 1, delivered: 1}, map[kind]int{doubled: 1}},
		{"a resend before PUBREL is the same delivery",
			[]message{sent("a", two)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", two), again(came(0, "a", two))}}},
			counts{acknowledged: 1, delivered: 1}, nil},
		{"QoS 2 must not come as QoS 1, which would hide that it came twice",
			[]message{sent("a", two)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", one)}}},
			counts{acknowledged: 1}, map[kind]int{notAsked: 1, lost: 1}},
		{"nobody asked for it",
			[]message{sent("a", one), sent("b", one)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", one), came(1, "b", one)}}},
			counts{acknowledged: 2, delivered: 1}, map[kind]int{notAsked: 1}},
		{"it came on another topic",
			[]message{sent("a", one)},
			[]*session{{subscriptions: subscriptions("+", two), arrivals: []arrival{came(0, "b", one)}}},
			counts{acknowledged: 1}, map[kind]int{notAsked: 1, lost: 1}},
		{"it was never sent",
			[]message{sent("a", one)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", one), came(1, "a", one), {message: messageID{7, 0}}}}},
			counts{acknowledged: 1, delivered: 1}, map[kind]int{notAsked: 2}},
		{"out of order",
			[]message{sent("a", one), sent("a", one), sent("a", one)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", one), came(2, "a", one), came(1, "a", one)}}},
			counts{acknowledged: 3, delivered: 3}, map[kind]int{reordered: 1}},
		{"what is sent again is not out of order",
			[]message{sent("a", one), sent("a", one)},
			[]*session{{subscriptions: subscriptions("a", two), arrivals: []arrival{came(0, "a", one), came(1, "a", one), came(0, "a", one), came(1, "a", one)}}},
			counts{acknowledged: 2, delivered: 2, qos1Doubled: 2}, nil},
		{"topics and QoS have an order each",
			[]message{sent("a", two), sent("a", one), sent("b", one)},
			[]*session{{subscriptions: subscriptions("+", one), arrivals: []arrival{came(2, "b", one), came(1, "a", one), came(0, "a", one)}}},
			counts{acknowledged: 3, delivered: 3}, nil},
		{"a removal has no number and is not looked for",
			[]message{{topic: "a", qos: two, retain: true, removal: true, sent: at(10), acknowledged: at(20)}},
			[]*session{{subscriptions: subscriptions("a", two)}},
			counts{acknowledged: 1}, nil},
		{"the members of a Shared Subscription count as one",
			[]message{sent("a", one), sent("a", one), sent("a", one)},
			[]*session{
				{share: "s", subscriptions: subscriptions("a", one), arrivals: []arrival{came(2, "a", one)}},
				{share: "s", subscriptions: subscriptions("a", one), arrivals: []arrival{came(0, "a", one), came(2, "a", one)}}},
			counts{acknowledged: 3, delivered: 2, qos1Doubled: 1}, map[kind]int{lost: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory(1)
			h.sent[0], h.sessions = test.sent, test.sessions
			v := check(h)
			got := counts{v.acknowledged, v.refused, v.delivered, v.qos1Doubled}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if test.faults == nil {
				test.faults = map[kind]int{}
			}
			if diff := cmp.Diff(test.faults, v.countOfFaults); diff != "" {
				t.Errorf("faults (-want +got):\n%s\n%v", diff, v.faults)
			}
		})
	}
}

func TestCheckTellsWhich(t *testing.T) {
	h := newHistory(1)
	h.kills = []time.Duration{at(5), at(15), at(25)}
	h.sent[0] = []message{sent("a", colibri.AtLeastOnce)}
	h.sessions = []*session{{name: "s", subscriptions: subscriptions("a", colibri.AtLeastOnce)}}
	v := check(h)
	if len(v.faults) != 1 {
		t.Fatalf("got %v, want one fault", v.faults)
	}
	got, want := v.faults[0].line(), "lost at 0.020 s, s: number 0 of publisher 0 (a, QoS 1, sent at 0.010 s, "+
		"acknowledged at 0.020 s, after kill 2 at 0.015 s, before kill 3 at 0.025 s) was never received\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestCheckKeepsSomeFaultsAndCountsAll(t *testing.T) {
	h := newHistory(1)
	for range 3 * faultsKept {
		h.sent[0] = append(h.sent[0], sent("a", colibri.AtLeastOnce))
	}
	h.sessions = []*session{{subscriptions: subscriptions("a", colibri.AtLeastOnce)}}
	h.observe(fault{Kind: sessionLost})
	v := check(h)
	if got, want := v.countOfFaults[lost], 3*faultsKept; got != want {
		t.Errorf("got %d lost, want %d", got, want)
	}
	if got, want := len(v.faults), faultsKept+1; got != want {
		t.Errorf("got %d faults, want %d", got, want)
	}
}

func TestCheckRetained(t *testing.T) {
	set := func(topic string) message {
		m := sent(topic, colibri.AtLeastOnce)
		m.retain = true
		return m
	}
	removed := func(topic string) message {
		m := set(topic)
		m.removal = true
		return m
	}
	again := func(m message) message {
		m.again = m.sent + time.Hour
		return m
	}
	twice := func(m message) message {
		m.qos = colibri.ExactlyOnce
		return m
	}
	plain := sent("a", colibri.AtLeastOnce)
	for _, test := range []struct {
		name string
		sent []message
		is   int    // the number that is retained; -1: none
		want string // part of the fault; empty: none
	}{
		{"the last one", []message{set("a"), set("a"), plain}, 1, ""},
		{"an old one", []message{set("a"), set("a")}, 0, "number 0 is retained, want number 1"},
		{"nothing", []message{set("a")}, -1, "nothing is retained, want number 0"},
		{"removed", []message{set("a"), removed("a")}, -1, ""},
		{"removed in vain", []message{set("a"), removed("a")}, 0, "number 0 is retained, want nothing"},
		{"set anew", []message{set("a"), removed("a"), set("a")}, 2, ""},
		{"a later one that was not acknowledged", []message{set("a"), without(set("a"))}, 1, ""},
		{"not the later one that was not acknowledged", []message{set("a"), without(set("a"))}, 0, ""},
		{"a removal that was not acknowledged", []message{set("a"), without(removed("a"))}, -1, ""},
		{"an earlier one that was not acknowledged", []message{without(set("a")), set("a")}, 0, "number 0 is retained, want number 1"},
		{"none was acknowledged", []message{without(set("a"))}, -1, ""},
		{"an earlier one with QoS 1, sent again after the last", []message{again(set("a")), set("a")}, 0, ""},
		{"the last one, and an earlier one was sent again", []message{again(set("a")), set("a")}, 1, ""},
		{"an earlier one with QoS 2, sent again after the last", []message{twice(again(set("a"))), set("a")}, 0, "number 0 is retained, want number 1"},
		{"a removal with QoS 1, sent again after the last", []message{again(removed("a")), set("a")}, -1, ""},
		{"without RETAIN", []message{plain}, 0, "was never sent with RETAIN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory(1)
			h.sent[0] = test.sent
			found := map[string]messageID{}
			if test.is >= 0 {
				found["a"] = messageID{0, test.is}
			}
			got := checkRetained(h, found)
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("got %v, want no fault", got)
			case test.want != "" && (len(got) != 1 || !strings.Contains(got[0].Text, test.want)):
				t.Errorf("got %v, want %q", got, test.want)
			}
		})
	}
}
