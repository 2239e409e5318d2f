package transport

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// Subprotocol is the name under which MQTT travels in WebSocket, for all versions.
const Subprotocol = "mqtt"

// farewellTime is how long Close may take to write its frame.
const farewellTime = time.Second

// WebSocket is a Network Connection inside WebSocket (RFC 6455): a stream of bytes whose
// borders have nothing to do with those of the frames [MQTT-6.0.0-2] [MQTT311-6.0.0-2].
// Each Write sends one binary frame. Pings are answered, Close sends a close frame. What
// the other end may not send, a text frame for one, ends the reading with an error that
// says so, and Close tells the peer.
//
// One goroutine may read, any may write and close. Between two reads it holds no buffer.
type WebSocket struct {
	net.Conn
	client bool     // we are the client, which masks what it sends
	in     unframer // this and the next two are the reader's
	early  []byte   // came with the handshake, at most 4 KB
	failed error    // what every further Read returns

	writing sync.Mutex
	broken  error // of a write that stopped inside a frame; writing guards it

	mu       sync.Mutex
	pong     []byte // the payload that a ping asks back; nil for none
	ponging  bool   // a goroutine writes pongs
	closed   bool
	farewell []byte // of the close frame; nil stands for code 1000
}

func newWebSocket(nc net.Conn, state ws.State, early []byte) *WebSocket {
	return &WebSocket{Conn: nc, client: state.ClientSide(), in: unframer{state: state}, early: early}
}

// NetConn returns the connection below.
func (c *WebSocket) NetConn() net.Conn { return c.Conn }

// Read reads what binary frames carry. The end is io.EOF, or a *[Closed] when the peer
// has named another reason than that it is done.
func (c *WebSocket) Read(b []byte) (int, error) {
	if c.failed != nil || len(b) == 0 {
		return 0, c.failed
	}
	for {
		var n int
		var err error
		if len(c.early) > 0 {
			n = copy(b, c.early)
			if c.early = c.early[n:]; len(c.early) == 0 {
				c.early = nil
			}
		} else {
			n, err = c.Conn.Read(b)
		}
		n, wrong := c.Unframe(b[:n])
		switch {
		case n > 0:
			return n, nil // the next Read meets the error again
		case wrong != nil:
			return 0, wrong
		case err != nil:
			return 0, err
		}
	}
}

// Descriptor returns the descriptor below, for a reader that wants no buffer while it
// waits and then calls ReadThrough. It is nil when there is none, and before the first Read,
// which returns what came with the handshake.
func (c *WebSocket) Descriptor() syscall.RawConn {
	if len(c.early) > 0 {
		return nil
	}
	if secure, ok := c.Conn.(*TLS); ok {
		return secure.Descriptor()
	}
	return descriptorOf(c.Conn)
}

// ReadThrough is Read, but that the bytes of the descriptor come from read, which must not
// wait: it returns 0 and no error when nothing has come. ReadThrough does the same, and only
// then. It may return bytes and the error that came behind them.
func (c *WebSocket) ReadThrough(read func([]byte) (int, error), b []byte) (n int, err error) {
	if c.failed != nil {
		return 0, c.failed
	}
	secure, _ := c.Conn.(*TLS)
	for {
		if secure != nil {
			n, err = secure.ReadThrough(read, b)
		} else {
			n, err = read(b)
		}
		if n == 0 {
			return 0, err
		}
		n, wrong := c.Unframe(b[:n])
		if wrong != nil {
			err = wrong
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Protocol names what carries MQTT.
func (c *WebSocket) Protocol() string {
	if _, secure := c.Conn.(*TLS); secure {
		return "WebSocket over TLS"
	}
	return "WebSocket"
}

// ConnectionState returns that of the TLS below; its Version is 0 when there is none.
func (c *WebSocket) ConnectionState() tls.ConnectionState {
	if secure, ok := c.Conn.(*TLS); ok {
		return secure.ConnectionState()
	}
	return tls.ConnectionState{}
}

// Unframe takes the frames off b, which was read from the descriptor, and heeds the
// control frames among them: what Read would have returned is b[:n] afterwards.
func (c *WebSocket) Unframe(b []byte) (n int, err error) {
	if c.failed != nil {
		return 0, c.failed
	}
	n, err = c.in.take(b, c)
	if err != nil {
		c.failed = err
		if wrong, ok := err.(*wrongFrame); ok {
			c.takeLeave(ws.NewCloseFrameBody(wrong.code, wrong.err.Error()))
		}
	}
	return n, err
}

// control heeds a control frame.
func (c *WebSocket) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		c.answer(payload)
	case ws.OpClose:
		return c.peerCloses(payload)
	}
	return nil
}

// Closed is the end of a WebSocket whose peer has said why it closes. It is an io.EOF
// to errors.Is.
type Closed struct {
	Code   int // of RFC 6455, such as 1002 for a protocol error
	Reason string
}

// Error returns the code and the reason.
func (e *Closed) Error() string {
	return fmt.Sprintf("WebSocket: the peer has closed with code %d %q", e.Code, e.Reason)
}

// Unwrap returns io.EOF.
func (e *Closed) Unwrap() error { return io.EOF }

// peerCloses answers a close frame with the same code, as soon as Close is called.
func (c *WebSocket) peerCloses(payload []byte) error {
	if len(payload) == 0 {
		c.takeLeave([]byte{})
		return io.EOF
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil { // also a payload of one byte
		return &wrongFrame{ws.StatusProtocolError, err}
	}
	c.takeLeave(ws.NewCloseFrameBody(code, ""))
	if code == ws.StatusNormalClosure || code == ws.StatusGoingAway {
		return io.EOF
	}
	return &Closed{int(code), reason}
}

// takeLeave chooses the payload of the close frame.
func (c *WebSocket) takeLeave(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.farewell = payload
}

// answer has a ping answered, without waiting for the peer to take the answer. Of pings
// that come meanwhile the last is answered, which RFC 6455 allows.
func (c *WebSocket) answer(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pong = append([]byte{}, payload...)
	if !c.ponging {
		c.ponging = true
		go c.writePongs()
	}
}

// writePongs ends when every ping is answered or the connection closed.
func (c *WebSocket) writePongs() {
	for {
		c.mu.Lock()
		pong := c.pong
		c.pong = nil
		if pong == nil || c.closed {
			c.ponging = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.writing.Lock()
		c.writeFrame(ws.OpPong, pong) // a failed write shows in the next Write
		c.writing.Unlock()
	}
}

// Write sends b as one binary frame [MQTT-6.0.0-1] [MQTT311-6.0.0-1].
func (c *WebSocket) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.writeFrame(ws.OpBinary, b)
}

// Close sends a close frame, if nothing else is being written, and closes the connection.
func (c *WebSocket) Close() error {
	c.mu.Lock()
	first, farewell := !c.closed, c.farewell
	c.closed = true
	c.mu.Unlock()
	if farewell == nil {
		farewell = ws.NewCloseFrameBody(ws.StatusNormalClosure, "")
	}
	if first && c.writing.TryLock() {
		c.SetWriteDeadline(time.Now().Add(farewellTime))
		c.writeFrame(ws.OpClose, farewell) // the peer may have gone
		c.writing.Unlock()
	}
	return c.Conn.Close()
}

// frameBytes is the size of the buffers in which frames are put together: a server's larger
// frames leave in two writes, a client's in pieces of that size.
const frameBytes = 16 << 10

var frames = sync.Pool{New: func() any { return new([frameBytes]byte) }}

// writeFrame sends one frame. It needs writing. It does not change payload.
func (c *WebSocket) writeFrame(op ws.OpCode, payload []byte) (written int, err error) {
	if c.broken != nil {
		return 0, c.broken
	}
	frame := frames.Get().(*[frameBytes]byte)
	defer frames.Put(frame)
	b, mask := appendHeader(frame[:0], op, len(payload), c.client)
	for {
		k := min(frameBytes-len(b), len(payload)-written)
		b = append(b, payload[written:written+k]...)
		if c.client {
			ws.Cipher(b[len(b)-k:], mask, written%4)
		}
		if _, err := c.Conn.Write(b); err != nil {
			c.broken = err
			return written, err
		}
		written += k
		b = frame[:0]
		switch rest := payload[written:]; {
		case len(rest) == 0:
			return written, nil
		case !c.client:
			n, err := c.Conn.Write(rest)
			c.broken = err
			return written + n, err
		}
	}
}

// appendHeader appends the header of a whole message. A client masks with a key that the
// program at the other end of a proxy cannot guess.
func appendHeader(b []byte, op ws.OpCode, length int, masked bool) (_ []byte, mask [4]byte) {
	b = append(b, 0x80|byte(op))
	switch {
	case length < 126:
		b = append(b, byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(length))
	}
	if masked {
		rand.Read(mask[:])
		b[1] |= 0x80
		b = append(b, mask[:]...)
	}
	return b, mask
}
