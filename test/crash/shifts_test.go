package main

import (
	"slices"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

func TestShiftFiltersDoNotOverlap(t *testing.T) {
	for n := range shiftFilters {
		for other := range shiftFilters {
			filter, _ := shiftFilter(1, n)
			_, name := shiftFilter(1, other)
			if got, want := topic.Match(filter, name), n == other; got != want {
				t.Errorf("%s matches %s: got %t, want %t", filter, name, got, want)
			}
		}
	}
}

func TestShifts(t *testing.T) {
	const one, two = colibri.AtLeastOnce, colibri.ExactlyOnce
	on := wish{on: true, qos: two, identifier: 9}
	// Filter 0 is subscribed, 1 was, 2 waits for an answer, 3 never was.
	known := func() *shifts {
		s := &shifts{}
		s.answered(0, on, -1, true)
		s.answered(1, on, -1, true)
		s.answered(1, wish{}, 1, true)
		s.ask(2)
		s.begin()
		return s
	}
	for _, test := range []struct {
		name       string
		n          int
		qos        colibri.QoS
		identifier uint32
		right      bool
	}{
		{"subscribed", 0, two, 9, true},
		{"with another QoS", 0, one, 9, false},
		{"with another Subscription Identifier", 0, two, 0, false},
		{"unsubscribed", 1, two, 9, false},
		{"unsubscribed, and it came with QoS 0", 1, colibri.AtMostOnce, 0, false},
		{"not answered", 2, two, 9, true},
		{"never subscribed", 3, two, 9, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := known()
			if got := s.arrived(s.round, test.n, test.qos, test.identifier); (got == "") != test.right {
				t.Errorf("got %q, want right %t", got, test.right)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		s := known()
		if got, want := s.missing(), []int{0}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		s.arrived(s.round, 0, two, 9)
		if got := s.missing(); len(got) > 0 {
			t.Errorf("got %v, want none", got)
		}
	})
	t.Run("an earlier round", func(t *testing.T) {
		s := known()
		s.begin()
		if got := s.arrived(s.round-1, 1, two, 9); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	})
	t.Run("a change after the round began", func(t *testing.T) {
		s := known()
		s.answered(0, wish{}, 1, true)
		if got := s.arrived(s.round, 0, two, 9); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	})
	t.Run("UNSUBACK tells of another state", func(t *testing.T) {
		s := known()
		if got := s.answered(0, wish{}, 0, true); got == "" {
			t.Error("got nothing for a Subscription that is gone")
		}
		if got := s.answered(3, wish{}, 1, true); got == "" {
			t.Error("got nothing for a Subscription that is there again")
		}
		if got := s.answered(2, wish{}, 1, false); got != "" {
			t.Errorf("got %q for a state that nobody knows", got)
		}
	})
	t.Run("Session lost", func(t *testing.T) {
		s := known()
		s.forget()
		s.begin()
		if got := s.missing(); len(got) > 0 {
			t.Errorf("got %v, want none", got)
		}
	})
}
