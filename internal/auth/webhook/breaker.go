package webhook

import (
	"sync"
	"time"
)

// breaker leaves a server alone that does not answer: after most faults one after the other
// nobody asks it for pause, then one question finds out whether it is back.
type breaker struct {
	most  int
	pause time.Duration

	mu     sync.Mutex // guards what follows; a leaf
	faults int        // one after the other
	until  time.Time  // when the server may be asked again; only with as many faults as most
	trying bool       // a question finds out
}

// enter reports whether the server may be asked; leave must follow then. probe says that the
// question finds out whether the server is back.
func (b *breaker) enter(now time.Time) (ok, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.faults < b.most:
		return true, false
	case b.trying || now.Before(b.until):
		return false, false
	}
	b.trying = true
	return true, true
}

// leave takes what a question has shown.
func (b *breaker) leave(now time.Time, probe bool, shown blame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.trying = false
	}
	switch shown {
	case works:
		b.faults = 0
	case fails:
		if b.faults++; b.faults >= b.most {
			b.faults, b.until = b.most, now.Add(b.pause)
		}
	}
}
