package main

import (
	"fmt"

	"github.com/colibri-mqtt/colibri"
)

// shiftFilters is how many filters a client has that subscribes and unsubscribes.
const shiftFilters = 12

// shiftFilter returns one of those filters, and a topic that no other one matches.
func shiftFilter(client, n int) (filter, name string) {
	base := fmt.Sprintf("shift/%d/%d", client, n)
	switch n % 3 {
	case 0:
		return base, base
	case 1:
		return base + "/+", base + "/x"
	}
	return base + "/#", base + "/x/y"
}

// wish is what a Subscription of a shifting client should be.
type wish struct {
	on         bool
	unknown    bool // it was asked for, and the answer has not come
	qos        colibri.QoS
	identifier uint32 // Subscription Identifier; 0: none
}

// shifts is what a client that subscribes and unsubscribes knows about its
// Subscriptions. Now and then a message is published to each filter, a round, which
// shows what the broker knows.
type shifts struct {
	wishes   [shiftFilters]wish
	round    int
	snapshot [shiftFilters]wish // when the round began
	seen     [shiftFilters]bool
}

// ask notes that a SUBSCRIBE or UNSUBSCRIBE is on its way: from now on both is right.
func (s *shifts) ask(n int) { s.wishes[n].unknown = true }

// answered notes a SUBACK or UNSUBACK. existed says what an UNSUBACK of 5.0 tells:
// whether there was a Subscription; 1 yes, 0 no, -1 it does not say. The text is empty
// unless that is wrong.
func (s *shifts) answered(n int, now wish, existed int, certain bool) (text string) {
	before := s.wishes[n]
	if certain && existed >= 0 && before.on != (existed == 1) {
		text = fmt.Sprintf("UNSUBACK for filter %d says existed %t, and the last SUBACK or UNSUBACK made it %t", n, existed == 1, before.on)
	}
	s.wishes[n] = now
	return text
}

// forget notes that the Session is gone.
func (s *shifts) forget() { s.wishes = [shiftFilters]wish{} }

// begin starts a round and returns its number.
func (s *shifts) begin() int {
	s.round++
	s.snapshot, s.seen = s.wishes, [shiftFilters]bool{}
	return s.round
}

// arrived judges the message of a round; the text is empty if it is right.
func (s *shifts) arrived(round, n int, qos colibri.QoS, identifier uint32) string {
	if round != s.round || n < 0 || n >= shiftFilters || s.snapshot[n].unknown {
		return ""
	}
	s.seen[n] = true
	want := s.snapshot[n]
	switch {
	case !want.on:
		return fmt.Sprintf("filter %d: a message came, and the last UNSUBACK has ended the Subscription", n)
	case want.qos != qos:
		return fmt.Sprintf("filter %d: a message came with %s, and the last SUBACK grants %s", n, qos, want.qos)
	case want.identifier != identifier:
		return fmt.Sprintf("filter %d: a message came with Subscription Identifier %d, and the last SUBACK is for %d", n, identifier, want.identifier)
	}
	return ""
}

// missing returns the filters whose message has not come in this round.
func (s *shifts) missing() (filters []int) {
	for n, want := range s.snapshot {
		if want.on && !want.unknown && !s.seen[n] {
			filters = append(filters, n)
		}
	}
	return filters
}
