package accept

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ErrCrowded ends a handshake in favour of a new one: all places were taken, and its peer was
// silent. Who has sent nothing at all goes first, the one that has waited longest; then who
// has paused longest, at first among those of the address with the most handshakes. So a
// crowd that is silent costs itself, and who is slow among it has the time that it needs.
var ErrCrowded = errors.New("all places for handshakes are taken, and this client has been silent")

const (
	places = 1024 // handshakes of a listener at the same time
	// silentTime is how long a peer may send nothing at all before it gives way, and
	// pauseTime how long one may pause that has sent something: it may be far away. It is
	// twice as long for all addresses but those with the most handshakes. While nobody is
	// silent for as long, new connections wait in the queue of the kernel.
	silentTime = 100 * time.Millisecond
	pauseTime  = 2 * time.Second
)

// Watched is a connection in its handshake. Its Read tells when its peer was heard;
// Conn is what it watches, for the time after the handshake.
type Watched struct {
	net.Conn
	crowd  *crowd
	origin netip.Addr
	place  int // in crowd.all

	// crowd.mu guards these.
	since   time.Time // when it began to wait for bytes; zero while it does not
	heard   bool      // the peer has sent something
	over    bool      // the handshake has failed, and what goes on is a courtesy
	settled bool      // it has no place any more
}

// Read reads, and notes how long it waits.
func (w *Watched) Read(b []byte) (int, error) {
	w.crowd.waits(w)
	n, err := w.Conn.Read(b)
	w.crowd.hears(w, n)
	return n, err
}

// CloseWrite ends the direction to the peer, where the connection below can. The handshake has
// failed then: from now on it gives way before all others, and when it has it is an error.
func (w *Watched) CloseWrite() error {
	if !w.crowd.fails(w) {
		return net.ErrClosed
	}
	return closeWrite(w.Conn)
}

// Unwatched returns the connection below nc if that is a *[Watched], else nc.
func Unwatched(nc net.Conn) net.Conn {
	if w, ok := nc.(*Watched); ok {
		return w.Conn
	}
	return nc
}

// crowd is the handshakes of one listener that are going on.
type crowd struct {
	changed chan struct{} // holds one when there may be a place

	mu    sync.Mutex // a leaf
	all   []*Watched
	count map[netip.Addr]int // of them, by address; the invalid one stands for all without
}

func newCrowd() *crowd {
	return &crowd{changed: make(chan struct{}, 1), count: make(map[netip.Addr]int)}
}

// enter waits for a place for nc, and makes one if somebody may give way. It returns nil when
// ctx is done before.
func (c *crowd) enter(ctx context.Context, nc net.Conn) *Watched {
	w := &Watched{Conn: nc, crowd: c, origin: AddressOf(nc.RemoteAddr())}
	for {
		entered, wait := c.tryEnter(w, time.Now())
		if entered {
			return w
		}
		again := time.NewTimer(wait)
		select {
		case <-c.changed:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// tryEnter gives w a place if there is one now; else it returns when to try again.
func (c *crowd) tryEnter(w *Watched, now time.Time) (entered bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) >= places {
		victim, wait := c.victim(now)
		if victim == nil {
			return false, wait
		}
		c.remove(victim)
		victim.Conn.SetDeadline(time.Unix(1, 0)) // its goroutine closes it
	}
	w.place = len(c.all)
	c.all = append(c.all, w)
	c.count[w.origin]++
	return true, 0
}

// victim returns who gives way; nil and when to look again if nobody has to. The caller
// holds mu.
func (c *crowd) victim(now time.Time) (victim *Watched, wait time.Duration) {
	most := 0 // handshakes of one address
	for _, n := range c.count {
		most = max(most, n)
	}
	var least time.Duration // patience with victim
	wait = silentTime       // somebody who is busy now may be silent then
	for _, w := range c.all {
		if w.since.IsZero() {
			continue
		}
		patience := w.patience(c.count[w.origin] == most)
		if due := w.since.Add(patience).Sub(now); due > 0 {
			wait = min(wait, due)
		} else if victim == nil || patience < least || patience == least && w.since.Before(victim.since) {
			victim, least = w, patience
		}
	}
	return victim, wait
}

// patience is how long w may wait for its peer; most says that no address has more handshakes
// than that of w. The caller holds mu.
func (w *Watched) patience(most bool) time.Duration {
	switch {
	case w.over:
		return 0
	case !w.heard:
		return silentTime
	case most:
		return pauseTime
	}
	return 2 * pauseTime
}

// remove takes w out, which is settled then. The caller holds mu.
func (c *crowd) remove(w *Watched) {
	last := c.all[len(c.all)-1]
	c.all[w.place], last.place = last, w.place
	c.all[len(c.all)-1] = nil
	c.all = c.all[:len(c.all)-1]
	if c.count[w.origin]--; c.count[w.origin] == 0 {
		delete(c.count, w.origin)
	}
	w.settled = true
}

// begin sets the time at which w has to be over; false when it has given way already.
func (c *crowd) begin(w *Watched, end time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.settled {
		w.Conn.SetDeadline(end)
	}
	return !w.settled
}

// done ends the watch over w, which keeps its place until leave; false when it has given way.
func (c *crowd) done(w *Watched) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.since = time.Time{}
	return !w.settled
}

// leave gives the place of w back, if it still has one.
func (c *crowd) leave(w *Watched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.settled {
		return
	}
	c.remove(w)
	c.look()
}

// look has who waits for a place look again.
func (c *crowd) look() {
	select {
	case c.changed <- struct{}{}:
	default: // it is told already
	}
}

func (c *crowd) waits(w *Watched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.since = time.Now()
	if w.over {
		c.look()
	}
}

func (c *crowd) hears(w *Watched, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.since = time.Time{}
	w.heard = w.heard || n > 0
}

// fails notes that the handshake of w has failed; false when it has given way.
func (c *crowd) fails(w *Watched) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.over = true
	return !w.settled
}
