package broker

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// Two devices with one Client Identifier take the Session over from each other as fast as they
// connect, each of them thinking that the network is at fault.

const (
	flapTakeovers = 3                // within flapTime: that is no device that has moved
	flapTime      = 10 * time.Second // also how long the flapping counts as going on
	flapReport    = time.Minute      // between two events about one Client Identifier
	flapTable     = 1024             // Client Identifiers that are watched at a time
)

// flaps watches the Client Identifiers that were taken over of late.
type flaps struct {
	mu      sync.Mutex // a leaf
	clients map[string]*flap
	swept   time.Time
}

// flap is one of them.
type flap struct {
	last     [flapTakeovers]time.Time // takeovers, the latest first
	reported time.Time
	count    int64 // takeovers since then
}

// goingOn reports whether the last takeover belongs to a flapping that has not ended yet.
func (f *flap) goingOn(now time.Time) bool {
	return f.last[0].Sub(f.last[flapTakeovers-1]) <= flapTime && now.Sub(f.last[0]) <= flapTime
}

// took counts a takeover. flapping says that it belongs to a row of them, due how many there were
// when it is time to report them. full says that there was no room to watch it.
func (f *flaps) took(clientID string, now time.Time) (flapping bool, due int64, full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.clients[clientID]
	if one == nil {
		if len(f.clients) >= flapTable {
			f.sweep(now)
		}
		if len(f.clients) >= flapTable {
			return false, 0, true
		}
		if f.clients == nil {
			f.clients = make(map[string]*flap)
		}
		one = &flap{}
		f.clients[clientID] = one
	}
	copy(one.last[1:], one.last[:])
	one.last[0] = now
	one.count++
	if !one.goingOn(now) {
		one.count = min(one.count, flapTakeovers-1) // of an earlier row
		return false, 0, false
	}
	if one.reported.IsZero() || now.Sub(one.reported) >= flapReport {
		due, one.reported, one.count = one.count, now, 0
	}
	return true, due, false
}

// sweep forgets those of whom nothing is to be said any more, at most once a second. It needs mu.
func (f *flaps) sweep(now time.Time) {
	if now.Sub(f.swept) < time.Second {
		return
	}
	f.swept = now
	for clientID, one := range f.clients {
		if now.Sub(one.last[0]) > flapTime && now.Sub(one.reported) > flapReport {
			delete(f.clients, clientID)
		}
	}
}

// flapping reports whether a Client Identifier is taken over again and again.
func (f *flaps) flapping(clientID string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.clients[clientID]
	return one != nil && one.goingOn(now)
}

// tookOver counts that c has the place of taken, and tells when that happens too often.
func (b *Broker) tookOver(c *conn, taken net.Addr) {
	flapping, due, full := b.flaps.took(c.client.ClientID, time.Now())
	switch {
	case full:
		b.limited(c.client, LimitTakeoverTable)
	case flapping:
		b.counters.limited[LimitTakeovers].Add(1) // without an event: there is a better one
	}
	if due > 0 {
		b.emit(Flapping{Client: c.client, Remotes: [2]net.Addr{taken, c.nc.RemoteAddr()}, Takeovers: due})
	}
}

// slowTakeover has a client wait whose Client Identifier is taken over again and again:
// Limits.TakeoverPause.
func (b *Broker) slowTakeover(ctx context.Context, clientID string) error {
	if b.limits.TakeoverPause <= 0 || !b.flaps.flapping(clientID, time.Now()) {
		return nil
	}
	pause := time.NewTimer(min(b.limits.TakeoverPause, b.limits.ConnectTime/2))
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return refusal(colibri.ServerBusy, "", "this Client Identifier is taken over again and again")
	}
}
