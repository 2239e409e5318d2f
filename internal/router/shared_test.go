package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// turns routes n messages and returns which member got each.
func turns(r *Router[string], n int) string {
	var got []string
	var m Matches[string]
	for range n {
		r.Route("a", "pub", &m)
		for i := range m.List {
			if match := &m.List[i]; match.Subscriber == "" {
				got = append(got, "nobody of "+match.Share)
			} else {
				got = append(got, match.Subscriber)
			}
		}
	}
	return strings.Join(got, " ")
}

// TestSharedTurns shows that the members of a Shared Subscription take turns, those that
// are online before the others, and that nobody of them is left out or preferred.
func TestSharedTurns(t *testing.T) {
	offline := map[string]bool{}
	r := New(Options[string]{Online: func(s string) bool { return !offline[s] }})
	share := func(who string) { r.Subscribe(who, colibri.Subscription{Filter: "$share/g/a"}) }
	expect := func(when string, n int, want string) {
		t.Helper()
		if got := turns(r, n); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
	share("anna")
	expect("one member", 2, "anna anna")
	share("ben")
	share("cora")
	expect("three members", 6, "cora anna ben cora anna ben")
	offline["ben"] = true
	expect("one of them offline: the others get the same number", 4, "cora anna cora anna")
	offline["anna"], offline["cora"] = true, true
	expect("all offline: nobody", 2, "nobody of $share/g/a nobody of $share/g/a")
	offline["cora"] = false
	expect("one online", 3, "cora cora cora")
	clear(offline)
	r.Unsubscribe("cora", "$share/g/a")
	r.Unsubscribe("ben", "$share/g/a")
	expect("one left", 2, "anna anna")
	r.Unsubscribe("anna", "$share/g/a")
	expect("none left", 2, "")
}

// TestSharedTurnWraps shows that the turn survives the end of its counter.
func TestSharedTurnWraps(t *testing.T) {
	r := New(Options[string]{Online: always})
	for i := range 5 {
		r.Subscribe(fmt.Sprint(i), colibri.Subscription{Filter: "$share/g/a"})
	}
	counter := &r.tree.Get("a").groups[0].choice.turn
	for _, at := range []uint32{1<<31 - 2, 1<<32 - 2} {
		counter.Store(at)
		if got := len(strings.Fields(turns(r, 5))); got != 5 {
			t.Errorf("5 messages from turn %d on reached %d members", at, got)
		}
	}
}
