package broker

import (
	"container/heap"
	"sync"
	"time"
)

// alarm is the one clock for what becomes due long after it was set: the end of
// Sessions and delayed Will Messages. One timer serves all of them.
type alarm struct {
	ring func(s *liveSession, now time.Time)

	mu      sync.Mutex
	entries alarmHeap
	timer   *time.Timer
	stopped bool
}

type alarmEntry struct {
	at      time.Time
	session *liveSession
}

// set has ring called for s at the given time, or before: each Session has one entry,
// and the earliest time that was asked for counts. ring looks at what is due, and sets
// the alarm again for what is not.
func (a *alarm) set(at time.Time, s *liveSession) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch i := int(s.alarm); {
	case a.stopped:
		return
	case i == 0:
		heap.Push(&a.entries, alarmEntry{at, s})
	case at.Before(a.entries[i-1].at):
		a.entries[i-1].at = at
		heap.Fix(&a.entries, i-1)
	}
	if a.entries[0].session == s {
		a.arm()
	}
}

// clear forgets s.
func (a *alarm) clear(s *liveSession) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.alarm > 0 {
		heap.Remove(&a.entries, int(s.alarm)-1)
	}
}

// arm sets the timer for the first entry; the caller holds the lock.
func (a *alarm) arm() {
	wait := time.Until(a.entries[0].at)
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.rung)
	} else {
		a.timer.Reset(wait)
	}
}

func (a *alarm) rung() {
	now := time.Now()
	var due []*liveSession
	a.mu.Lock()
	for len(a.entries) > 0 && !now.Before(a.entries[0].at) {
		due = append(due, heap.Pop(&a.entries).(alarmEntry).session)
	}
	if len(a.entries) > 0 && !a.stopped {
		a.arm()
	}
	a.mu.Unlock()
	for _, s := range due {
		a.ring(s, now)
	}
}

func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

type alarmHeap []alarmEntry

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].session.alarm, h[j].session.alarm = int32(i+1), int32(j+1)
}
func (h *alarmHeap) Push(x any) {
	*h = append(*h, x.(alarmEntry))
	(*h)[len(*h)-1].session.alarm = int32(len(*h))
}
func (h *alarmHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = alarmEntry{}
	*h = old[:len(old)-1]
	last.session.alarm = 0
	return last
}
