package router

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// TestConcurrentRoute routes while Subscriptions come and go. Every Route sees each
// subscriber once at most, with an entry that is whole; those who stay are never missed,
// and who has gone before the Route began is not seen: no message is added after an
// UNSUBSCRIBE has been answered [MQTT-3.10.4-2].
func TestConcurrentRoute(t *testing.T) {
	const (
		staying = 70 // more than one page, so that they move when others go
		coming  = 150
		rounds  = 20
	)
	r := New(Options[int]{Online: func(int) bool { return true }})
	subscribe := func(who int, filter string) {
		r.Subscribe(who, colibri.Subscription{Filter: filter, QoS: colibri.QoS(who % 3), Identifier: uint32(who)})
	}
	for who := 1; who <= staying; who++ {
		subscribe(who, "a/b")
	}
	subscribe(1, "a/+")
	subscribe(1, "$share/g/a/b")

	var gone [coming]atomic.Int64 // odd while the Subscription cannot be there
	for i := range gone {
		gone[i].Store(1)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var m Matches[int]
			before := make([]int64, coming)
			for {
				select {
				case <-stop:
					return
				default:
				}
				for i := range gone {
					before[i] = gone[i].Load()
				}
				r.Route("a/b", 0, &m)
				seen := map[int]bool{}
				for _, match := range m.List[:len(m.List)-1] { // the last one is of the Shared Subscription
					who := match.Subscriber
					if seen[who] {
						t.Errorf("%d receives the message twice", who)
					}
					seen[who] = true
					if who > 1 && (match.Identifier != uint32(who) || match.QoS != colibri.QoS(who%3)) {
						t.Errorf("%d is matched as %+v", who, match)
					}
					if i := who - staying - 1; i >= 0 && before[i]%2 == 1 && gone[i].Load() == before[i] {
						t.Errorf("%d receives a message after Unsubscribe has returned", who)
					}
				}
				for who := 1; who <= staying; who++ {
					if !seen[who] {
						t.Errorf("%d is missed", who)
					}
				}
			}
		})
	}
	var writers sync.WaitGroup
	for half := range 2 {
		writers.Go(func() {
			for range rounds {
				for i := half; i < coming; i += 2 {
					gone[i].Add(1)
					subscribe(staying+1+i, "a/b")
				}
				for i := half; i < coming; i += 2 {
					if !r.Unsubscribe(staying+1+i, "a/b") {
						t.Errorf("Unsubscribe(%d): there was none", staying+1+i)
					}
					gone[i].Add(1)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if all, shared := r.Len(); all != staying+2 || shared != 1 {
		t.Errorf("Len at the end: got %d, %d, want %d, 1", all, shared, staying+2)
	}
}
