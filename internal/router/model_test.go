package router

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

// model is a router as one would write it at first: a map, gone through for each message.
type model map[place]colibri.Subscription

type place struct {
	who    string
	filter string
}

// route returns what Route must find, in the form of routed, and for each Shared
// Subscription that matches the lines of its members of which one must be chosen, or one
// line of nobody with the highest QoS when none is online.
func (m model) route(name, publisher string, online func(string) bool) (plain []string, shared map[string][]string) {
	found := map[string]*Match[string]{}
	shared = map[string][]string{}
	for at, sub := range m {
		_, filter, isShared := topic.SplitShared(at.filter)
		if !isShared {
			filter = at.filter
		}
		if !topic.Match(filter, name) || sub.NoLocal && at.who == publisher {
			continue
		}
		match := &Match[string]{Subscriber: at.who}
		if isShared {
			nobody := found[at.filter]
			if nobody == nil {
				nobody = &Match[string]{}
				found[at.filter] = nobody
			}
			nobody.QoS = max(nobody.QoS, sub.QoS)
		} else if found[at.who] == nil {
			found[at.who] = match
		} else {
			match = found[at.who]
		}
		match.QoS = max(match.QoS, sub.QoS)
		match.RetainAsPublished = match.RetainAsPublished || sub.RetainAsPublished
		if sub.Identifier != 0 {
			match.Identifiers = append(match.Identifiers, sub.Identifier)
		}
		if isShared && online(at.who) {
			shared[at.filter] = append(shared[at.filter], line(match))
		}
	}
	for who, match := range found {
		switch {
		case match.Subscriber != "":
			plain = append(plain, line(match))
		case shared[who] == nil:
			shared[who] = []string{line(match)}
		}
	}
	return plain, shared
}

// FuzzRouter compares the router with the model after each of a series of changes, which
// are read from the input: four bytes each.
func FuzzRouter(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 1, 1, 2, 0, 0, 2, 1, 7, 9, 0, 1, 0})
	f.Fuzz(func(t *testing.T, input []byte) { compare(t, input[:min(len(input), 800)]) })
}

// TestRouterAgainstModel compares them after random changes, which go on for long enough
// that sets have several pages.
func TestRouterAgainstModel(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 0))
		input := make([]byte, 4*2000)
		for i := range input {
			input[i] = byte(random.Uint32())
			if i%4 == 1 && seed < 4 { // a few filters that many have
				input[i] %= 2 * byte(seed+1)
			}
			if i%4 == 2 && random.IntN(10) > 0 {
				input[i] |= 1 // no comparison
			}
		}
		compare(t, input)
	}
}

var (
	modelFilters = []string{"a/b", "a/+", "#", "+/b", "$share/g/a/b", "$share/h/a/b", "$share/g/#", "a/#", "$SYS/#", "c"}
	modelTopics  = []string{"a/b", "a/c", "c", "$SYS/x", "a"}
)

func compare(t *testing.T, input []byte) {
	m := model{}
	online := func(s string) bool { return len(s)%2 == 0 }
	r := New(Options[string]{Online: online})
	for ; len(input) >= 4; input = input[4:] {
		at := place{fmt.Sprint("s", input[0]%150), modelFilters[int(input[1])%len(modelFilters)]}
		_, existed := m[at]
		if input[3]%4 == 3 {
			delete(m, at)
			if got := r.Unsubscribe(at.who, at.filter); got != existed {
				t.Fatalf("Unsubscribe(%s, %s): got %v, want %v", at.who, at.filter, got, existed)
			}
		} else {
			sub := colibri.Subscription{Filter: at.filter, QoS: colibri.QoS(input[2] % 3), NoLocal: input[2]&8 != 0 && !strings.HasPrefix(at.filter, "$share"), // [MQTT-3.8.3-4]
				RetainAsPublished: input[2]&16 != 0, Identifier: uint32(input[2] >> 5)}
			m[at] = sub
			if got := r.Subscribe(at.who, sub); got != existed {
				t.Fatalf("Subscribe(%s, %s): existed %v, want %v", at.who, at.filter, got, existed)
			}
		}
		if len(input) < 8 || input[2]%8 == 0 { // not after each change of a long series
			for _, name := range modelTopics {
				m.check(t, r, name, at.who)
			}
		}
	}
	for _, at := range slices.Collect(maps.Keys(m)) {
		if !r.Unsubscribe(at.who, at.filter) {
			t.Fatalf("Unsubscribe(%s, %s) at the end: there was none", at.who, at.filter)
		}
	}
	if all, shared := r.Len(); all != 0 || shared != 0 || r.tree.Len() != 0 {
		t.Fatalf("the empty router: %d Subscriptions, %d shared, %d filters", all, shared, r.tree.Len())
	}
}

func (m model) check(t *testing.T, r *Router[string], name, publisher string) {
	t.Helper()
	got := routed(r, name, publisher)
	plain, shared := m.route(name, publisher, r.online)
	for _, want := range plain {
		i := slices.Index(got, want)
		if i < 0 {
			t.Fatalf("Route(%q) of %s: got %q, want among them %s", name, publisher, got, want)
		}
		got = slices.Delete(got, i, i+1)
	}
	if len(got) != len(shared) || !assigned(got, slices.Collect(maps.Values(shared))) {
		t.Fatalf("Route(%q) of %s: %q for Shared Subscriptions, want one of each of %q", name, publisher, got, shared)
	}
	all, sharedCount := 0, 0
	for at := range m {
		all++
		if _, _, isShared := topic.SplitShared(at.filter); isShared {
			sharedCount++
		}
	}
	if gotAll, gotShared := r.Len(); gotAll != all || gotShared != sharedCount {
		t.Fatalf("Len: got %d, %d, want %d, %d", gotAll, gotShared, all, sharedCount)
	}
}

// assigned reports whether each group can be given one of the chosen that is its member.
func assigned(chosen []string, groups [][]string) bool {
	if len(groups) == 0 {
		return true
	}
	for i, line := range chosen {
		if slices.Contains(groups[0], line) && assigned(slices.Delete(slices.Clone(chosen), i, i+1), groups[1:]) {
			return true
		}
	}
	return false
}
