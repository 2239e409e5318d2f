package broker

import "sync"

// grace tells a checkpoint when all that was decided before some moment is on its way to the
// Log: what a checkpoint has seen of a Session must not be in the Log when what has led to
// it is not. Whoever decides begins before and ends when it has appended; that may nest.
type grace struct {
	off bool // there are no checkpoints; never changes

	mu    sync.Mutex
	ended sync.Cond // its lock is mu
	now   int       // 0 or 1: where those who begin are counted
	open  [2]int
}

// begin begins a decision; its result is for end.
func (g *grace) begin() (at int) {
	if g.off {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[g.now]++
	return g.now
}

func (g *grace) end(at int) {
	if g.off {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[at]--; g.open[at] == 0 {
		g.ended.Broadcast()
	}
}

// pass waits until all that had begun when it was called has ended. One goroutine may call it
// at a time.
func (g *grace) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended.L = &g.mu
	for range 2 {
		for g.open[1-g.now] > 0 {
			g.ended.Wait()
		}
		g.now = 1 - g.now
	}
}
