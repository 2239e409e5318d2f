package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/colibri-mqtt/colibri/internal/accept"
)

const (
	// quicHandshakes is how many clients of a listener may be between their first packet and
	// their stream, and quicOfAddress how many of them may have the same address. From
	// quicSuspicious on each of them has to show first that it receives at its address.
	quicHandshakes = 1024
	quicOfAddress  = quicHandshakes / 2
	quicSuspicious = 128
	// quicSilent is how long a client may have a connection and no stream when all places
	// are taken. Before it has a connection it cannot be made to give way.
	quicSilent = 100 * time.Millisecond
)

// quicHandshake is a client from its first packet to its stream.
type quicHandshake struct {
	crowd  *quicCrowd
	remote net.Addr
	origin netip.Addr

	// crowd.mu guards these.
	conn    quicConn  // nil until TLS is done
	since   time.Time // when that was
	opened  bool      // it has its stream
	settled bool      // it has no place any more
	counted bool      // in perAddress
	ended   bool      // end was called
	err     error     // why it was ended; nil when it was not we
}

// quicConn is what ends a connection, a *quic.Conn.
type quicConn interface {
	CloseWithError(code quic.ApplicationErrorCode, reason string) error
}

// quicCrowd is the clients of one listener without a stream.
type quicCrowd struct {
	perAddress *accept.Addresses // nil for none

	mu    sync.Mutex // a leaf
	all   map[*quicHandshake]struct{}
	count map[netip.Addr]int // of them
}

func newQUICCrowd(perAddress *accept.Addresses) *quicCrowd {
	return &quicCrowd{perAddress: perAddress, all: make(map[*quicHandshake]struct{}), count: make(map[netip.Addr]int)}
}

// suspicious reports whether clients have to show that they receive at their addresses.
func (c *quicCrowd) suspicious() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all) >= quicSuspicious
}

var errQUICAddress = errors.New("its address has as many connections as it may have")

// enter gives a client a place, which end gives back. verified says that it receives at its
// address: only then it counts as a connection of it.
func (c *quicCrowd) enter(remote net.Addr, verified bool) (*quicHandshake, error) {
	h := &quicHandshake{crowd: c, remote: remote, origin: accept.AddressOf(remote)}
	if verified && c.perAddress != nil {
		if !c.perAddress.Take(remote) {
			return nil, errQUICAddress
		}
		h.counted = true
	}
	if c.add(h) {
		return h, nil
	}
	if h.counted {
		c.perAddress.GiveBack(remote)
	}
	return nil, accept.ErrCrowded
}

// add gives h a place; false when there is none.
func (c *quicCrowd) add(h *quicHandshake) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[h.origin] >= quicOfAddress || len(c.all) >= quicHandshakes && !c.makeRoom(time.Now()) {
		return false
	}
	c.all[h] = struct{}{}
	c.count[h.origin]++
	return true
}

// makeRoom ends the client that has had a connection for the longest time, and no stream; false
// when there is none. The caller holds mu.
func (c *quicCrowd) makeRoom(now time.Time) bool {
	var victim *quicHandshake
	for h := range c.all {
		if h.conn != nil && !h.opened && now.Sub(h.since) >= quicSilent && (victim == nil || h.since.Before(victim.since)) {
			victim = h
		}
	}
	if victim == nil {
		return false
	}
	c.remove(victim)
	victim.err = accept.ErrCrowded
	go victim.conn.CloseWithError(0, "") // which waits for the connection's own goroutine
	return true
}

// remove takes h out, which is settled then. The caller holds mu.
func (c *quicCrowd) remove(h *quicHandshake) {
	delete(c.all, h)
	if c.count[h.origin]--; c.count[h.origin] == 0 {
		delete(c.count, h.origin)
	}
	h.settled = true
}

// connected notes that the TLS of h is done, so that its address is known. An error says that
// it has to end.
func (h *quicHandshake) connected(conn quicConn) error {
	addresses := h.crowd.perAddress
	h.crowd.mu.Lock()
	h.conn, h.since = conn, time.Now()
	count := addresses != nil && !h.counted
	h.crowd.mu.Unlock()
	if !count {
		return nil
	}
	late, err := h.counts(addresses.Take(h.remote))
	if late {
		addresses.GiveBack(h.remote)
	}
	return err
}

// counts notes whether there was room for h among the connections of its address. late says that
// it has ended meanwhile.
func (h *quicHandshake) counts(taken bool) (late bool, err error) {
	h.crowd.mu.Lock()
	defer h.crowd.mu.Unlock()
	if !taken && h.err == nil {
		h.err = errQUICAddress
	}
	h.counted = taken && !h.ended
	return taken && h.ended, h.err
}

// open notes that h has its stream, and keeps its place until leave; false when it has given way.
func (h *quicHandshake) open() bool {
	h.crowd.mu.Lock()
	defer h.crowd.mu.Unlock()
	h.opened = !h.settled
	return h.opened
}

// leave gives the place of h back, if it still has one.
func (h *quicHandshake) leave() {
	h.crowd.mu.Lock()
	defer h.crowd.mu.Unlock()
	if !h.settled {
		h.crowd.remove(h)
	}
}

// fails notes why h will have no stream, unless that is known.
func (h *quicHandshake) fails(err error) {
	h.crowd.mu.Lock()
	defer h.crowd.mu.Unlock()
	if h.err == nil {
		h.err = quicFailure(err)
	}
}

// end is called once, with why the connection of h has ended. It returns why h has failed;
// nil if it had its stream.
func (h *quicHandshake) end(cause error) error {
	h.crowd.mu.Lock()
	h.ended = true
	if h.counted {
		defer h.crowd.perAddress.GiveBack(h.remote)
	}
	defer h.crowd.mu.Unlock()
	switch {
	case h.opened:
		return nil
	case h.err == nil:
		h.err = quicFailure(cause)
	}
	if !h.settled {
		h.crowd.remove(h)
	}
	return h.err
}

var errQUICNoStream = errors.New("the client has closed the connection without opening a stream")

// quicFailure returns the end of a handshake as crypto/tls would tell it.
func quicFailure(err error) error {
	if failed, ok := errors.AsType[*quic.TransportError](err); ok {
		const crypto = 0x100 // RFC 9001 section 4.8: an alert of TLS is behind it
		if failed.Remote && failed.ErrorCode >= crypto && failed.ErrorCode < crypto+0x100 {
			return &net.OpError{Op: "remote error", Err: tls.AlertError(failed.ErrorCode - crypto)}
		}
		if failed.Remote && (failed.ErrorCode == quic.ApplicationErrorErrorCode || failed.ErrorCode == quic.NoError) {
			return errQUICNoStream
		}
		for _, cause := range failed.Unwrap() {
			if cause != nil && cause != net.ErrClosed {
				return cause
			}
		}
	}
	if failed, ok := errors.AsType[*quic.ApplicationError](err); ok && failed.Remote {
		return errQUICNoStream
	}
	if late, ok := err.(net.Error); ok && late.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("QUIC: %w", os.ErrDeadlineExceeded)
	}
	return err
}
