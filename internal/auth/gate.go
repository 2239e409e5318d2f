package auth

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// Gate lets a number of goroutines at once do something that costs much processor time or
// memory, such as comparing a password with its hash. Others wait for their turn, in the
// order in which they came. It is safe for concurrent use.
type Gate struct {
	places  chan struct{} // holds one for each that is inside
	most    int64         // that may wait
	waiting atomic.Int64
	entered atomic.Int64
	refused atomic.Int64
}

// NewGate returns a Gate through which inside goroutines may go at once, at least 1, while
// at most waiting others wait.
func NewGate(inside, waiting int) *Gate {
	return &Gate{places: make(chan struct{}, max(1, inside)), most: int64(waiting)}
}

// errQueue is the error for one too many: 0x89, or Server unavailable before 5.0.
var errQueue = &broker.LimitError{Limit: broker.LimitLoginQueue, Err: &colibri.Error{Op: "CONNECT", Code: colibri.ServerBusy,
	Err: errors.New("too many clients are logging in; try again in some seconds")}}

// Enter waits for a place inside, which Leave gives back. waited says that it was not there at
// once. An error says that too many wait already, or that ctx has ended: it holds
// colibri.ServerBusy, and there is nothing to give back.
func (g *Gate) Enter(ctx context.Context) (waited bool, err error) {
	select {
	case g.places <- struct{}{}:
		g.entered.Add(1)
		return false, nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.most {
		g.refused.Add(1)
		return false, errQueue
	}
	select {
	case g.places <- struct{}{}:
		g.entered.Add(1)
		return true, nil
	case <-ctx.Done():
		g.refused.Add(1)
		return true, errQueue
	}
}

// Leave ends what Enter has allowed.
func (g *Gate) Leave() { <-g.places }

// GateStats are the numbers of a Gate at one moment.
type GateStats struct {
	Inside, Waiting  int   // now
	Entered, Refused int64 // since the beginning
}

// Stats returns the numbers.
func (g *Gate) Stats() GateStats {
	return GateStats{Inside: len(g.places), Waiting: int(g.waiting.Load()), Entered: g.entered.Load(), Refused: g.refused.Load()}
}
