package broker

import "sync"

// gate bounds the bytes of the batches that wait for the Log: beyond, readers wait. One
// batch may be larger, alone.
type gate struct {
	most int64

	mu     sync.Mutex
	left   sync.Cond // somebody has left; its lock is mu
	inside int64
}

// recordBytes is how many bytes may wait for the Log.
const recordBytes = 32 << 20

func newGate(most int64) *gate {
	g := &gate{most: most}
	g.left.L = &g.mu
	return g
}

// enter waits until there is room for n bytes.
func (g *gate) enter(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.inside > 0 && g.inside+n > g.most {
		g.left.Wait()
	}
	g.inside += n
}

func (g *gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside -= n
	g.left.Broadcast()
}
