package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBytes is what each direction of a connection in memory holds before a
// writer waits, about what a socket holds.
const pipeBytes = 64 << 10

// Memory is a listener whose connections live in this process: for tests, and for
// programs that hold a broker and its clients. It works inside a bubble of
// testing/synctest, where waiting for it lets the time pass. Safe for concurrent use.
type Memory struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	dialed int // connections so far, which names them
}

// NewMemory returns a listener in memory.
func NewMemory() *Memory {
	return &Memory{accept: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to m and returns once the connection was accepted. It gives up when
// ctx is done or m is closed.
func (m *Memory) Dial(ctx context.Context) (net.Conn, error) {
	m.mu.Lock()
	m.dialed++
	name := memoryAddr(fmt.Sprintf("memory:%d", m.dialed))
	m.mu.Unlock()
	client, server := newPipe(pipeBytes, name, "memory")
	select {
	case m.accept <- server:
		return client, nil
	case <-m.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: m.Addr(), Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: m.Addr(), Err: ctx.Err()}
	}
}

// Accept waits for the next Dial.
func (m *Memory) Accept() (net.Conn, error) {
	select {
	case nc := <-m.accept:
		return nc, nil
	case <-m.closed:
		return nil, &net.OpError{Op: "accept", Net: "memory", Addr: m.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and Dial; connections stay.
func (m *Memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr returns "memory".
func (m *Memory) Addr() net.Addr { return memoryAddr("memory") }

type memoryAddr string

func (a memoryAddr) Network() string { return "memory" }
func (a memoryAddr) String() string  { return string(a) }

// Pipe returns the two ends of a connection in memory that behaves as a TCP
// connection does: each direction holds 64 KiB before a writer waits, what was
// written before Close can still be read, and deadlines work.
func Pipe() (net.Conn, net.Conn) { return PipeSize(pipeBytes) }

// PipeSize is [Pipe] with room for the given number of bytes, at least 1, in each
// direction, to test what happens when a peer does not read.
func PipeSize(bytes int) (net.Conn, net.Conn) {
	a, b := newPipe(max(bytes, 1), "memory:1", "memory:2")
	return a, b
}

func newPipe(bytes int, a, b memoryAddr) (*memoryConn, *memoryConn) {
	ab, ba := newStream(bytes), newStream(bytes)
	return &memoryConn{in: ba, out: ab, local: a, remote: b}, &memoryConn{in: ab, out: ba, local: b, remote: a}
}

// memoryConn is one end of a connection in memory.
type memoryConn struct {
	in, out       *stream
	local, remote memoryAddr
}

func (c *memoryConn) LocalAddr() net.Addr  { return c.local }
func (c *memoryConn) RemoteAddr() net.Addr { return c.remote }

func (c *memoryConn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

func (c *memoryConn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

// Close ends both directions. The other end reads what was written and then io.EOF.
func (c *memoryConn) Close() error {
	c.in.closeReader()
	c.out.closeWriter()
	return nil
}

// CloseWrite ends the direction to the other end, as that of a *net.TCPConn does.
func (c *memoryConn) CloseWrite() error {
	c.out.closeWriter()
	return nil
}

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.in.readDeadline.set(c.in, t)
	c.out.writeDeadline.set(c.out, t)
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.readDeadline.set(c.in, t)
	return nil
}

func (c *memoryConn) SetWriteDeadline(t time.Time) error {
	c.out.writeDeadline.set(c.out, t)
	return nil
}

func (c *memoryConn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: c.local, Addr: c.remote, Err: err}
}

// stream is one direction of a connection: a bounded queue of bytes.
type stream struct {
	mu           sync.Mutex
	changed      sync.Cond // any field has changed
	buffer       []byte    // buffer[start:] is unread
	start        int
	limit        int
	writerClosed bool
	readerClosed bool

	readDeadline, writeDeadline deadline
}

func newStream(limit int) *stream {
	s := &stream{limit: limit}
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readerClosed:
			return 0, net.ErrClosed
		case s.readDeadline.passed:
			return 0, os.ErrDeadlineExceeded
		case s.start < len(s.buffer):
			n := copy(b, s.buffer[s.start:])
			s.start += n
			if s.start == len(s.buffer) {
				s.buffer, s.start = s.buffer[:0], 0
			}
			s.changed.Broadcast()
			return n, nil
		case s.writerClosed:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}

func (s *stream) write(b []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writerClosed:
			return written, net.ErrClosed
		case s.writeDeadline.passed:
			return written, os.ErrDeadlineExceeded
		case s.readerClosed:
			return written, io.ErrClosedPipe
		case len(b) == 0:
			return written, nil
		}
		if room := s.limit - (len(s.buffer) - s.start); room > 0 {
			if s.start > 0 && len(s.buffer)+min(room, len(b)) > cap(s.buffer) {
				s.buffer, s.start = s.buffer[:copy(s.buffer, s.buffer[s.start:])], 0
			}
			n := min(room, len(b))
			s.buffer = append(s.buffer, b[:n]...)
			b, written = b[n:], written+n
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
}

func (s *stream) closeWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writerClosed = true
	s.writeDeadline.stop()
	s.changed.Broadcast()
}

func (s *stream) closeReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readerClosed = true
	s.readDeadline.stop()
	s.changed.Broadcast()
}

// deadline is one of the two deadlines of a stream; the mutex of the stream guards it.
type deadline struct {
	timer  *time.Timer
	passed bool
}

// set takes the mutex of s.
func (d *deadline) set(s *stream, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.stop()
	d.passed = false
	if !at.IsZero() {
		wait := time.Until(at)
		if d.passed = wait <= 0; !d.passed {
			var timer *time.Timer
			timer = time.AfterFunc(wait, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if d.timer == timer { // not set anew in the meantime
					d.passed = true
					s.changed.Broadcast()
				}
			})
			d.timer = timer
		}
	}
	s.changed.Broadcast()
}

// stop needs the mutex of the stream.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
