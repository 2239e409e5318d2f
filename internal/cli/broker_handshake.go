package cli

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/accept"
	"github.com/colibri-mqtt/colibri/internal/certs"
)

// failedHandshake returns what is told of the connections of a listener that have not got over a
// handshake.
func (s *brokerServer) failedHandshake(handshake broker.Handshake) func(net.Addr, error) {
	return func(remote net.Addr, err error) {
		b := s.broker.Load()
		if errors.Is(err, accept.ErrCrowded) {
			if b != nil {
				b.TurnedAway(remote, broker.LimitHandshakes)
			}
			return
		}
		if handshake == broker.HandshakeTLS || handshake == broker.HandshakeQUIC {
			err = errors.New(certs.ExplainClient(err))
		}
		e := broker.HandshakeFailed{Remote: remote, Handshake: handshake, Err: err}
		if b == nil { // it is just starting
			s.log.event(e)
			return
		}
		b.HandshakeFailed(e)
	}
}

// countedAddresses returns what counts the connections of all listeners by their addresses; nil without
// a limit.
func (s *brokerServer) countedAddresses() *accept.Addresses {
	if s.config.Abuse.MaxPerAddress <= 0 {
		return nil
	}
	return &accept.Addresses{Most: s.config.Abuse.MaxPerAddress, Refused: func(remote net.Addr) {
		if b := s.broker.Load(); b != nil {
			b.TurnedAway(remote, broker.LimitAddress)
		}
	}}
}

// Of lines about handshakes that fail so many are written at once, and then one in each such
// time: in all, and about one address. Who scans ports cannot fill the log.
const (
	failureLines, failureEach               = 200, time.Second
	failureAddressLines, failureAddressEach = 50, 10 * time.Second
	failureAddresses                        = 1024 // of which something is known at the same time
	failurePause                            = 10 * time.Second
)

// allowance lets a number of lines through at once, and then one in each time. The zero value
// is full.
type allowance struct {
	debt float64 // lines let through that have not been paid back
	at   time.Time
}

// left returns how many lines it lets through now.
func (a *allowance) left(now time.Time, most int, each time.Duration) float64 {
	if !a.at.IsZero() {
		a.debt = max(0, a.debt-float64(now.Sub(a.at))/float64(each))
	}
	a.at = now
	return float64(most) - a.debt
}

// failures writes about handshakes that fail, and counts what it leaves out: the next line
// says it, which comes in failurePause at the latest. Its lock is a leaf.
type failures struct {
	log *brokerLog

	mu      sync.Mutex
	all     allowance
	from    map[netip.Addr]*allowance
	left    int                    // out, since the last line
	last    broker.HandshakeFailed // of these
	waiting *time.Timer            // for the line about them; nil for none
	closed  bool
}

func newFailures(log *brokerLog) *failures {
	return &failures{log: log, from: make(map[netip.Addr]*allowance)}
}

// failed writes the line of an event, or counts it. It does not block.
func (f *failures) failed(e broker.HandshakeFailed) {
	if left, ok := f.allowed(e, time.Now()); ok {
		f.write(e, left)
	}
}

// write writes a line about e, before which so many were left out.
func (f *failures) write(e broker.HandshakeFailed, left int) {
	if left == 0 {
		f.log.connection("A connection from %s was closed: %s.", address(e.Remote), escaped(e.Err.Error(), 1<<9))
		return
	}
	f.log.connection("A connection from %s was closed: %s; %d more were left out before.", address(e.Remote), escaped(e.Err.Error(), 1<<9), left)
}

// allowed reports whether e may have a line, and how many before it have had none.
func (f *failures) allowed(e broker.HandshakeFailed, now time.Time) (left int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, false
	}
	from := f.of(accept.AddressOf(e.Remote), now)
	if f.all.left(now, failureLines, failureEach) < 1 || from.left(now, failureAddressLines, failureAddressEach) < 1 {
		f.left++
		f.last = e
		if f.waiting == nil {
			f.waiting = time.AfterFunc(failurePause, f.more)
		}
		return 0, false
	}
	f.all.debt++
	from.debt++
	return f.take(), true
}

// of returns the allowance of an address. When there are many, those that are full again are
// forgotten: f.all sees to it that few are not. The caller holds mu.
func (f *failures) of(address netip.Addr, now time.Time) *allowance {
	if a := f.from[address]; a != nil {
		return a
	}
	if len(f.from) >= failureAddresses {
		maps.DeleteFunc(f.from, func(_ netip.Addr, a *allowance) bool {
			return a.left(now, failureAddressLines, failureAddressEach) >= failureAddressLines
		})
	}
	a := &allowance{}
	f.from[address] = a
	return a
}

// take returns how many were left out, which begin anew. The caller holds mu.
func (f *failures) take() int {
	left := f.left
	f.left = 0
	if f.waiting != nil {
		f.waiting.Stop()
		f.waiting = nil
	}
	return left
}

// more says what was left out.
func (f *failures) more() {
	f.mu.Lock()
	last, left := f.last, f.take()
	f.mu.Unlock()
	if left > 0 {
		f.write(last, left-1)
	}
}

// close writes what was counted and not said.
func (f *failures) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.more()
}
