package client

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// brokenConn is a Network Connection that the Server has closed while the Client was
// writing: once it is broken, a Write fails before what has come before is read.
type brokenConn struct {
	net.Conn
	broken atomic.Bool
	failed chan struct{} // closed by the first Write that fails
}

func (nc *brokenConn) Read(b []byte) (int, error) {
	n, err := nc.Conn.Read(b)
	if nc.broken.Load() {
		<-nc.failed
		time.Sleep(time.Millisecond) // until everybody else is idle
	}
	return n, err
}

func (nc *brokenConn) Write(b []byte) (int, error) {
	if !nc.broken.Load() {
		return nc.Conn.Write(b)
	}
	select {
	case <-nc.failed:
	default:
		close(nc.failed)
	}
	return 0, syscall.ECONNRESET
}

// TestDisconnectBehindAFailedWrite: why the Server has disconnected is not
// lost when the Client finds out by a Write that fails.
func TestDisconnectBehindAFailedWrite(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p, nc := s.dialBroken()
		nc.broken.Store(true)
		p.send(&packet.Disconnect{Code: colibri.SessionTakenOver})
		p.nc.Close()
		if _, err := c.Publish(t.Context(), message(0, "a", "")); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		var refusal *Refusal
		if err := c.Err(); !errors.As(err, &refusal) || refusal.Code != colibri.SessionTakenOver {
			t.Errorf("Err: got %v, want %v", err, colibri.SessionTakenOver)
		}
	})
}

// TestFailedWrite: a Write that fails ends the connection soon, with its error, also
// when the Server does not close its direction.
func TestFailedWrite(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p, nc := s.dialBroken()
		nc.broken.Store(true)
		began := time.Now()
		if _, err := c.Publish(t.Context(), message(0, "a", "")); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		if err := c.Err(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Err: got %v, want %v", err, syscall.ECONNRESET)
		}
		if got := time.Since(began); got > 2*drainTimeout {
			t.Errorf("the end took %v, want about %v", got, drainTimeout)
		}
		p.nc.Close()
	})
}

// dialBroken lets a Client connect over a brokenConn.
func (s *server) dialBroken() (*Client, *peer, *brokenConn) {
	s.t.Helper()
	broken := &brokenConn{failed: make(chan struct{})}
	o := s.options(Options{})
	o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
		nc, err := s.l.Dial(ctx)
		broken.Conn = nc
		return broken, err
	}
	dialed := start(func() (*Client, error) { return Dial(s.t.Context(), "memory", o) })
	p := s.accept()
	expect[*packet.Connect](p)
	p.send(accepted())
	c, err := dialed()
	if err != nil {
		s.t.Fatalf("Dial: %v", err)
	}
	return c, p, broken
}
