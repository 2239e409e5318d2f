package auth

import (
	"context"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
)

// Bound bounds the questions to one other server: some are asked at once, some more wait,
// and the rest is turned away. It is safe for concurrent use.
type Bound struct {
	places  chan struct{}
	waiting atomic.Int64
	most    int64
	turned  atomic.Uint64
}

// NewBound returns a Bound for that many questions at once, at least 1, and that many more
// that wait, at least 0.
func NewBound(atOnce, waiting int) *Bound {
	return &Bound{places: make(chan struct{}, atOnce), most: int64(waiting)}
}

// Enter waits for a place. Without an error, Leave must follow. The error is of type *Fault:
// too many wait already, or ctx has ended.
func (b *Bound) Enter(ctx context.Context) error {
	select {
	case b.places <- struct{}{}:
		return nil
	default:
	}
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > b.most {
		b.turned.Add(1)
		return &Fault{Code: colibri.ServerBusy, Text: "too many clients wait for their answer already"}
	}
	select {
	case b.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &Fault{Code: colibri.ServerBusy, Text: "the client's turn to be asked about did not come in time"}
	}
}

// Leave gives the place of a successful Enter back.
func (b *Bound) Leave() { <-b.places }

// Turned returns how many questions were turned away because too many waited.
func (b *Bound) Turned() uint64 { return b.turned.Load() }
