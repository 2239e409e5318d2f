package broker

import (
	"iter"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// Retained Messages that have expired are removed when a Subscription matches them, and
// otherwise by a walk that goes on a little each second: nobody may ever ask for them.
// None is counted as dropped, as none was owed to anybody.

// expiredSteps is how many names the walk looks at in a second; it goes round a million in
// less than two minutes.
const expiredSteps = 10_000

// removeExpired removes m, which has expired, if it is still what is retained for its topic.
// The Log has its expiry and need not hear of it; but a checkpoint tells it so, in case an
// older change of the topic is only on its way there.
func (b *Broker) removeExpired(m *colibri.Message) {
	r := &b.retained
	r.names.Update(m.Topic, func(latest *colibri.Message) *colibri.Message {
		if latest != m {
			return latest
		}
		r.changed(m.Topic, m, nil)
		r.bury(m.Topic, b.numbers.retained.Add(1))
		return nil
	})
}

// expiredSweep walks over all that is retained, again and again. One goroutine owns it.
type expiredSweep struct {
	broker *Broker
	next   func() (string, *colibri.Message, bool) // nil between two walks
	stop   func()
}

// step goes on with the walk. While nothing is retained that expires there is none.
func (w *expiredSweep) step(now time.Time) {
	r := &w.broker.retained
	if w.next == nil {
		if r.expiring.Load() == 0 {
			return
		}
		w.next, w.stop = iter.Pull2(r.names.All)
	}
	for range expiredSteps {
		_, m, ok := w.next()
		if !ok {
			w.end()
			return
		}
		if m.Expired(now) {
			w.broker.removeExpired(m)
		}
	}
}

// end ends the walk.
func (w *expiredSweep) end() {
	if w.next != nil {
		w.stop()
		w.next, w.stop = nil, nil
	}
}
