package broker

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// A Network Connection that has a file descriptor is driven without buffers while it
// is idle and without a goroutine that writes: see wait and writeSome. One that has
// none (the in-memory transport) is read with a buffer at hand and written by drain. TLS
// and WebSocket are between the two: see framed.

// rawConn returns the descriptor's access of nc, nil when it has none.
func rawConn(nc net.Conn) syscall.RawConn {
	if !haveDescriptors {
		return nil
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// writer writes to a descriptor without allocating: it keeps the function that
// RawConn.Write wants. A batch has one; others come from writers.
type writer struct {
	buf     *buffer
	n       int
	err     error
	whole   bool // wait until everything is written
	attempt func(fd uintptr) bool
}

var writers = sync.Pool{New: func() any { return newWriter() }}

func newWriter() *writer {
	w := &writer{}
	w.attempt = func(fd uintptr) bool {
		for w.n < w.buf.len() {
			piece, last := w.buf.from(w.n)
			n, err := writeDescriptor(fd, piece, !last)
			switch err {
			case nil:
				w.n += n
			case syscall.EINTR:
			case syscall.EAGAIN:
				return !w.whole
			default:
				w.err = err
				return true
			}
		}
		return true
	}
	return w
}

// write writes buf from an offset on, and returns the offset it has come to.
func (w *writer) write(raw syscall.RawConn, buf *buffer, from int, whole bool) (int, error) {
	w.buf, w.n, w.err, w.whole = buf, from, nil, whole
	err := raw.Write(w.attempt)
	w.buf = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// writeSome writes what the peer takes of buf at once, and returns how much that is:
// nothing on a Network Connection without a descriptor.
func (c *conn) writeSome(w *writer, buf *buffer) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	return w.write(c.raw, buf, 0, false)
}

// writeAll writes buf from an offset on and waits as long as it takes.
func (c *conn) writeAll(w *writer, buf *buffer, from int) error {
	if c.raw != nil {
		_, err := w.write(c.raw, buf, from, true)
		return err
	}
	for from < buf.len() {
		piece, _ := buf.from(from)
		n, err := c.nc.Write(piece)
		if err != nil {
			return err
		}
		from += n
	}
	return nil
}

// wait reads and processes packets until the Network Connection ends. again is true
// when it returned only to go on in a fresh goroutine with a small stack.
func (c *conn) wait() (again bool, err error) {
	raw := c.raw
	if c.framed != nil {
		raw = c.framed.raw
	}
	if raw == nil {
		return false, c.waitBlocking()
	}
	var cause error
	err = raw.Read(func(fd uintptr) bool {
		for {
			var idle bool
			idle, cause = c.readDescriptor(fd)
			switch {
			case cause != nil:
				return true
			case idle && c.deep:
				again = true // let go of a stack that a rare packet has grown
				c.deep = false
				return true
			case idle:
				return false
			}
		}
	})
	if cause != nil {
		err = cause
	}
	return again, err
}

// readDescriptor reads once and processes what came; idle is true when nothing did.
func (c *conn) readDescriptor(fd uintptr) (idle bool, err error) {
	b := c.broker.takeBatch()
	defer b.giveBack()
	space := c.space(b)
	if c.framed != nil {
		b.reader.fd = fd
		n, err := c.framed.ReadThrough(b.reader.read, space)
		if n > 0 {
			if failed := c.arrived(b, n); failed != nil {
				err = failed
			}
		}
		return n == 0 && err == nil, err
	}
	n, err := readDescriptor(fd, space)
	switch {
	case err == syscall.EAGAIN:
		return true, nil
	case err == syscall.EINTR:
		return false, nil
	case err != nil:
		return false, err
	case n == 0:
		return false, io.EOF
	}
	return false, c.arrived(b, n)
}

// waitBlocking is wait for a Network Connection without a descriptor.
func (c *conn) waitBlocking() error {
	for {
		b := c.broker.takeBatch()
		n, err := c.nc.Read(c.space(b))
		if n > 0 {
			if failed := c.arrived(b, n); failed != nil {
				err = failed
			}
		}
		b.giveBack()
		if err != nil {
			return err
		}
	}
}

// peerGone reports whether err only says that the peer or we have closed.
func peerGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
