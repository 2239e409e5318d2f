package accept

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// far is the end of a pipe that has an address.
type far struct {
	net.Conn
	remote net.Addr
}

func (c far) RemoteAddr() net.Addr { return c.remote }

// pipes is a listener whose connections are pipes, so that time can pass in a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return address("127.0.0.1:1883") }

func address(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// hall is a listener whose handshake is two bytes: "hi".
type hall struct {
	*testing.T
	below *pipes
	l     net.Listener

	mu     sync.Mutex
	failed map[string]error // by address
	order  []string
}

func newHall(t *testing.T) *hall {
	h := &hall{T: t, below: newPipes(), failed: make(map[string]error)}
	open := func(w *Watched) (net.Conn, error) {
		b := make([]byte, 2)
		if _, err := io.ReadFull(w, b); err != nil {
			return nil, err
		}
		if string(b) == "no" {
			w.CloseWrite() // a courtesy: the client may read why
			io.Copy(io.Discard, w)
			return nil, errors.New("that is no greeting")
		}
		return w.Conn, nil
	}
	h.l = Handshakes{Network: "test", Time: 10 * time.Second, Open: open, Failed: func(remote net.Addr, err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.failed[remote.String()] = err
		h.order = append(h.order, remote.String())
	}}.Listen(h.below)
	t.Cleanup(func() { h.l.Close() })
	return h
}

// dial connects from an address, and returns when that was accepted below.
func (h *hall) dial(from string) net.Conn {
	client, server := net.Pipe()
	h.below.conns <- far{server, address(from)}
	h.Cleanup(func() { client.Close() })
	return client
}

// fill takes all places from so many addresses.
func (h *hall) fill(addresses int) (all []net.Conn) {
	for i := range places {
		all = append(all, h.dial(fmt.Sprintf("192.0.2.%d:%d", i%addresses, 1000+i)))
	}
	synctest.Wait()
	return all
}

// crowded returns who has given way, in order.
func (h *hall) crowded() (all []string) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, remote := range h.order {
		if errors.Is(h.failed[remote], ErrCrowded) {
			all = append(all, remote)
		}
	}
	return all
}

func (h *hall) wantCrowded(when string, want ...string) {
	h.Helper()
	if got := h.crowded(); fmt.Sprint(got) != fmt.Sprint(want) {
		h.Errorf("%s: %v have given way, want %v", when, got, want)
	}
}

// TestCrowdSilent shows that of silent peers the one gives way that came first, that who speaks
// is let in, and that nobody gives way before its time or when there is room.
func TestCrowdSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		all := h.fill(1)
		start := time.Now()
		h.wantCrowded("with all places taken")
		late := h.dial("192.0.2.7:1")
		go io.WriteString(late, "hi")
		nc, err := h.l.Accept()
		if err != nil || nc.RemoteAddr().String() != "192.0.2.7:1" {
			t.Fatalf("got %v, %v", nc, err)
		}
		if got := time.Since(start); got != silentTime {
			t.Errorf("let in after %v, want %v", got, silentTime)
		}
		h.wantCrowded("after one more", "192.0.2.0:1000")
		if _, err := all[0].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("who gave way: got %v, want the end", err)
		}
		h.dial("192.0.2.8:1") // has the place of who was let in
		h.wantCrowded("with one place free", "192.0.2.0:1000")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(h.order); got != places+1 { // all but the one that was let in
			t.Errorf("%d handshakes have failed, want %d", got, places+1)
		}
		if err := h.failed["192.0.2.0:1001"]; err == nil || errors.Is(err, ErrCrowded) {
			t.Errorf("one that was silent for too long: got %v", err)
		}
	})
}

// TestCrowdOrder shows that of silent peers the one gives way that has waited longest, whatever
// its place.
func TestCrowdOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		var all []net.Conn
		for i := range places + 1 {
			all = append(all, h.dial(fmt.Sprintf("192.0.2.1:%d", 1000+i)))
			if i == places/2 {
				all[0].Close() // a later one takes its place
			}
			synctest.Wait()
			time.Sleep(time.Microsecond)
		}
		time.Sleep(silentTime)
		h.dial("192.0.2.2:1")
		h.wantCrowded("one more", "192.0.2.1:1001")
		h.dial("192.0.2.2:2")
		h.wantCrowded("two more", "192.0.2.1:1001", "192.0.2.1:1002")
	})
}

// TestCrowdSlow shows that a peer that sends a byte now and then outlives a silent crowd that
// comes again and again.
func TestCrowdSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		slow := h.dial("192.0.2.100:1")
		io.WriteString(slow, "h")
		h.fill(250)
		for i := range 3 * places {
			h.dial(fmt.Sprintf("198.51.100.%d:%d", i%250, 1000+i))
		}
		if got := len(h.crowded()); got < 3*places {
			t.Errorf("only %d have given way", got)
		}
		go io.WriteString(slow, "i")
		nc, err := h.l.Accept()
		if err != nil || nc.RemoteAddr().String() != "192.0.2.100:1" {
			t.Errorf("got %v, %v", nc, err)
		}
	})
}

// TestCrowdPauses shows who gives way when all have said something: after a while, of the address
// with the most handshakes, who has paused longest.
func TestCrowdPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		far := h.dial("192.0.2.200:1")
		io.WriteString(far, "h")
		time.Sleep(time.Millisecond)
		start := time.Now()
		for i := range places - 1 {
			io.WriteString(h.dial(fmt.Sprintf("192.0.2.1:%d", 1000+i)), "h")
			time.Sleep(time.Microsecond)
		}
		synctest.Wait()
		entered := make(chan time.Duration)
		go func() {
			h.dial("192.0.2.201:1")
			h.dial("192.0.2.202:1") // taken from the listener below when the one before is in
			entered <- time.Since(start)
		}()
		if got := <-entered; got != pauseTime {
			t.Errorf("the next one is in after %v, want %v", got, pauseTime)
		}
		h.wantCrowded("after the pause", "192.0.2.1:1000")
		go io.WriteString(far, "i")
		if nc, err := h.l.Accept(); err != nil || nc.RemoteAddr().String() != "192.0.2.200:1" {
			t.Errorf("got %v, %v, want the one that has paused longer", nc, err)
		}
	})
}

// TestCrowdFailed shows that who is only told why it was refused gives way at once, and that
// nobody does who is done and waits for Accept.
func TestCrowdFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		done := h.dial("192.0.2.100:1")
		io.WriteString(done, "hi")
		all := h.fill(250)[:places-1] // the last one waits for a place
		synctest.Wait()
		io.WriteString(all[500], "no")
		h.wantCrowded("with one refused", "192.0.2.0:1500")
		for range places {
			h.dial("198.51.100.1:1")
		}
		nc, err := h.l.Accept()
		if err != nil || nc.RemoteAddr().String() != "192.0.2.100:1" {
			t.Errorf("got %v, %v", nc, err)
		}
	})
}

// TestCrowdLeaves shows that who waits for a place has it as soon as somebody is done.
func TestCrowdLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		all := h.fill(1)
		next := h.dial("192.0.2.100:1")
		start := time.Now()
		all[9].Close()
		go io.WriteString(next, "hi")
		if nc, err := h.l.Accept(); err != nil || nc.RemoteAddr().String() != "192.0.2.100:1" || time.Since(start) != 0 {
			t.Errorf("got %v, %v after %v", nc, err, time.Since(start))
		}
		h.wantCrowded("with a place free")
		h.dial("192.0.2.100:2")
		h.dial("192.0.2.100:3")
		h.l.Close() // while one waits for a place
		synctest.Wait()
		if got := len(h.order); got != 1 { // the one that has left
			t.Errorf("%d handshakes have failed, want 1: %v", got, h.failed)
		}
	})
}
