package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

const (
	maxOutBytes  = 1 << 20         // a publisher waits while more than that is not yet written
	keepOutBytes = 64 << 10        // a larger buffer is dropped once it is written
	readBytes    = 16 << 10        // the least that a read buffer holds
	drainTimeout = time.Second     // how long the Server has to close after our DISCONNECT
	finalTimeout = 5 * time.Second // how long a DISCONNECT may take to be written
)

// conn is one Network Connection.
type conn struct {
	nc      net.Conn
	wake    chan struct{} // there is something for the writer; capacity 1
	closed  chan struct{} // closed by end
	written chan struct{} // closed when the writer has ended
	once    sync.Once
	err     error // why it has ended; set before closed is closed

	// Of the reader alone.
	in      []byte // in[start:] has not been decoded
	start   int
	decoder packet.Decoder
	aliases map[uint32]string // Topic Aliases of the Server [MQTT-3.3.2-7]

	// Under the lock of the Client.
	out          []byte // not yet written
	final        bool   // out ends with our DISCONNECT: nothing may follow, and the connection ends
	lastSent     time.Time
	lastReceived time.Time
	pinged       time.Time // of the first PINGREQ without an answer; zero if there is none
	paused       bool      // the program does not take its messages: nothing is read
	exchange     Exchange  // of Options.Method, while an authentication is going on
	broken       error     // of the Write that has failed: nothing more is written
}

// connect dials, sends CONNECT and waits for the CONNACK. Then the Client has its
// connection, and what was not acknowledged is on its way again.
func (c *Client) connect(ctx context.Context, first bool) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.ConnectTimeout)
	defer cancel()
	nc, err := c.o.Dial(ctx, c.url)
	if err != nil {
		return nil, err
	}
	cn := &conn{nc: nc, wake: make(chan struct{}, 1), closed: make(chan struct{}), written: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	connack, err := c.handshake(cn, first)
	if !stop() && err == nil || err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil {
		err = c.attach(cn, connack, first)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to %s: %w", c.url, err)
	}
	return cn, nil
}

// handshake exchanges CONNECT, AUTH and CONNACK over cn. The CONNACK that it returns
// accepts the connection and is valid until the next read.
func (c *Client) handshake(cn *conn, first bool) (*packet.Connack, error) {
	c.mu.Lock()
	cleanStart := c.cleanStart(first)
	connect := c.o.connect(c.clientID, cleanStart)
	c.mu.Unlock()
	if m := c.o.Method; m != nil {
		x, ps, err := m.begin()
		if err != nil {
			return nil, err
		}
		cn.exchange = x // there is no other goroutine yet
		connect.Properties = append(ps, connect.Properties...)
	}
	if err := c.sendNow(cn, connect); err != nil {
		return nil, c.lastWords(cn, err)
	}
	for {
		p, size, err := c.next(cn)
		if err != nil {
			c.sendCode(cn, err)
			return nil, err
		}
		c.mu.Lock()
		c.trace(Event{Kind: Received, Packet: p, Bytes: size})
		c.mu.Unlock()
		switch p := p.(type) {
		case *packet.Auth:
			reply, err := c.authenticate(cn, p)
			if err != nil {
				c.sendCode(cn, err)
				return nil, err
			}
			if err := c.sendNow(cn, reply); err != nil { // [MQTT-4.12.0-3] [MQTT-3.1.2-30]
				return nil, err
			}
		case *packet.Connack:
			if err := connackRefusal(p, c.o.Version); err != nil {
				return nil, err
			}
			if p.SessionPresent && cleanStart { // [MQTT-3.2.2-4]
				err := &colibri.Error{Op: "CONNACK Session Present", Code: colibri.ProtocolError, Rule: "MQTT-3.2.2-4",
					Err: errors.New("the Server has a Session that this Client does not have")}
				c.sendCode(cn, err)
				return nil, err
			}
			if m := c.o.Method; m != nil {
				if err := m.finish(cn.exchange, "CONNACK", p.Properties); err != nil {
					c.sendCode(cn, err)
					return nil, err
				}
				cn.exchange = nil
			}
			return p, nil
		default:
			err := &colibri.Error{Op: p.Type().String(), Code: colibri.ProtocolError, Rule: "MQTT-3.2.0-1",
				Err: errors.New("the first packet of a Server is a CONNACK")}
			c.sendCode(cn, err)
			return nil, err
		}
	}
}

// lastWords returns why the Server has ended the connection, if it has said so, else failed,
// which is the end of a Write. In TLS 1.3 a client is through with the handshake before the
// Server has looked at its certificate: what that says may come after our first Write, or
// before it fails.
func (c *Client) lastWords(cn *conn, failed error) error {
	cn.nc.SetReadDeadline(time.Now().Add(drainTimeout))
	p, size, err := c.next(cn)
	if isAlert(err) {
		return err
	}
	if connack, ok := p.(*packet.Connack); ok && err == nil { // without a look at the CONNECT, as it has no time
		c.mu.Lock()
		c.trace(Event{Kind: Received, Packet: p, Bytes: size})
		c.mu.Unlock()
		if refusal := connackRefusal(connack, c.o.Version); refusal != nil {
			return refusal
		}
	}
	return failed
}

// isAlert reports whether err is an alert by which the Server has ended TLS.
func isAlert(err error) bool {
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "remote error"
}

// sendNow writes p in the calling goroutine, while there is no writer.
func (c *Client) sendNow(cn *conn, p packet.Packet) error {
	b, err := packet.Append(nil, p, c.o.Version)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.trace(Event{Kind: Sent, Packet: p, Bytes: len(b)})
	c.mu.Unlock()
	_, err = cn.nc.Write(b)
	return err
}

// sendCode tells the Server of 5.0 why the connection ends, if it has broken a rule.
func (c *Client) sendCode(cn *conn, err error) {
	if p := farewell(err); p != nil && c.o.Version == colibri.V5 {
		c.sendNow(cn, p) //nolint:errcheck // the connection ends in any case
	}
}

// farewell returns the DISCONNECT for an error that we have found, nil for others
// [MQTT-4.13.2-1].
func farewell(err error) *packet.Disconnect {
	var broken *colibri.Error
	if !errors.As(err, &broken) {
		return nil
	}
	code := broken.Code
	if !packet.ReasonCodeAllowed(packet.DISCONNECT, code) { // [MQTT-3.14.2-1]
		code = colibri.ProtocolError
	}
	return &packet.Disconnect{Code: code}
}

// serve reads from cn until it has ended, and returns why.
func (c *Client) serve(cn *conn) error {
	go c.write(cn)
	err := c.read(cn)
	if p := farewell(err); p != nil && c.o.Version == colibri.V5 {
		c.mu.Lock()
		if !cn.final && c.send(cn, p) == nil {
			cn.finish()
			c.mu.Unlock()
			<-cn.written
			c.mu.Lock()
		}
		c.mu.Unlock()
	}
	var refusal *Refusal
	c.mu.Lock()
	if cn.broken != nil && farewell(err) == nil && !isAlert(err) && !errors.As(err, &refusal) {
		err = cn.broken
	}
	c.mu.Unlock()
	cn.end(err)
	<-cn.written
	return cn.err
}

// read takes packets until there is an error.
func (c *Client) read(cn *conn) error {
	for {
		if err := c.pause(cn); err != nil {
			return err
		}
		p, size, err := c.next(cn)
		if err != nil {
			return err
		}
		c.mu.Lock()
		if cn.final { // what comes after our DISCONNECT has no meaning any more
			c.mu.Unlock()
			continue
		}
		c.trace(Event{Kind: Received, Packet: p, Bytes: size})
		err = c.receive(cn, p)
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// next returns the next packet, which is valid until the next call, and its size.
func (c *Client) next(cn *conn) (packet.Packet, int, error) {
	limit := packet.MaxSize
	if n, ok := c.o.Properties.Number(colibri.MaximumPacketSize); ok {
		limit = int(n)
	}
	for {
		p, n, err := cn.decoder.Decode(cn.in[cn.start:], c.o.Version)
		if err == nil && n > limit || err == io.ErrUnexpectedEOF && cn.size() > limit { // [MQTT-3.1.2-24]
			return nil, 0, &colibri.Error{Op: "packet", Code: colibri.PacketTooLarge, Rule: "MQTT-3.1.2-24",
				Err: fmt.Errorf("is larger than the Maximum Packet Size of %d bytes", limit)}
		}
		if err == nil {
			cn.start += n
			return p, n, nil
		}
		if err != io.ErrUnexpectedEOF {
			return nil, 0, err
		}
		cn.room()
		n, err = cn.nc.Read(cn.in[len(cn.in):cap(cn.in)])
		cn.in = cn.in[:len(cn.in)+n]
		if n > 0 {
			c.mu.Lock()
			cn.lastReceived = time.Now()
			c.mu.Unlock()
			continue
		}
		if err == io.EOF {
			err = fmt.Errorf("the Server has closed the connection: %w", err)
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// size returns the size of the packet that has begun, 0 while it is not known.
func (cn *conn) size() int {
	_, size, err := packet.Size(cn.in[cn.start:])
	if err != nil {
		return 0
	}
	return size
}

// room makes room for a read. The buffer grows with what arrives, not with what a
// Fixed Header promises.
func (cn *conn) room() {
	rest := cn.in[cn.start:]
	switch {
	case len(rest) == 0 && cap(cn.in) > 0 && cap(cn.in) <= keepOutBytes:
		cn.in = cn.in[:0]
	case cn.start > 0 && len(rest) <= cap(cn.in)/2 && cap(cn.in) <= keepOutBytes:
		cn.in = cn.in[:copy(cn.in[:cap(cn.in)], rest)]
	case len(cn.in) == cap(cn.in) || len(rest) == 0:
		cn.in = append(make([]byte, 0, max(readBytes, 2*len(rest))), rest...)
	default:
		return
	}
	cn.start = 0
}

// pause waits while the program does not take its messages. While an acknowledgement
// is awaited it does not wait, as that may be what the program waits for.
func (c *Client) pause(cn *conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.full(1) && !cn.final && (c.full(2) || c.sender.Len() == 0 && len(c.requests) == 0) {
		if cn.broken != nil {
			return cn.broken
		}
		cn.paused = true
		changed := c.changed.wait()
		c.mu.Unlock()
		select {
		case <-changed:
		case <-cn.closed:
		}
		c.mu.Lock()
		cn.paused = false
		cn.lastReceived = time.Now() // what has come meanwhile was not looked at
		select {
		case <-cn.closed:
			return cn.err
		default:
		}
	}
	return nil
}

// full reports whether times the limit waits for the program. It needs the lock.
func (c *Client) full(times int) bool {
	return c.queued >= times*c.o.MaxQueued || c.queuedBytes >= times*c.o.MaxQueuedBytes
}

// send puts p at the end of what cn has to write. It needs the lock. When it returns
// an error nothing has been sent.
func (c *Client) send(cn *conn, p packet.Packet) error {
	before := len(cn.out)
	out, err := packet.Append(cn.out, p, c.o.Version)
	if err != nil {
		return err
	}
	if size := len(out) - before; size > c.limits.maximumPacketSize { // [MQTT-3.2.2-15]
		return &colibri.Error{Op: p.Type().String(), Code: colibri.PacketTooLarge, Rule: "MQTT-3.2.2-15",
			Err: fmt.Errorf("has %d bytes, the Server takes %d at most", size, c.limits.maximumPacketSize)}
	}
	cn.out = out
	c.trace(Event{Kind: Sent, Packet: p, Bytes: len(out) - before})
	cn.signal()
	return nil
}

// signal tells the writer that there is something to do.
func (cn *conn) signal() {
	select {
	case cn.wake <- struct{}{}:
	default:
	}
}

// finish says that out ends with our DISCONNECT. It needs the lock. A write that is
// going on has to end in time, too.
func (cn *conn) finish() {
	cn.final = true                                      // [MQTT-3.14.4-1] [MQTT311-3.14.4-2]
	cn.nc.SetWriteDeadline(time.Now().Add(finalTimeout)) //nolint:errcheck // Write reports it
	cn.signal()
}

// end closes the connection; the first call says why.
func (cn *conn) end(err error) {
	cn.once.Do(func() {
		cn.err = err
		close(cn.closed)
		cn.nc.Close()
	})
}

// write writes what is to be sent and keeps the connection alive, until it has
// ended or a DISCONNECT was written. It runs in a goroutine of its own.
func (c *Client) write(cn *conn) {
	defer close(cn.written)
	var spare []byte
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.mu.Lock()
		next, err := c.ping(cn, time.Now())
		b, final := cn.out, cn.final
		if len(b) > 0 {
			cn.out, spare = spare[:0], nil
		}
		if keepAlive := c.limits.keepAlive; len(b) > 0 && !final {
			var deadline time.Time
			if keepAlive > 0 { // a Server that takes nothing for so long has gone
				deadline = time.Now().Add(keepAlive + keepAlive/2)
			}
			cn.nc.SetWriteDeadline(deadline) //nolint:errcheck // Write reports it
		}
		c.mu.Unlock()
		if err != nil {
			cn.end(err)
			return
		}
		if len(b) > 0 {
			if _, err := cn.nc.Write(b); err != nil {
				c.writeFailed(cn, fmt.Errorf("write: %w", err))
				return
			}
			if cap(b) <= keepOutBytes {
				spare = b
			}
			c.mu.Lock()
			cn.lastSent = time.Now()
			c.changed.broadcast() // there is room in out
			c.mu.Unlock()
		}
		if final {
			cn.closeWrite() // [MQTT-3.14.4-2] [MQTT311-3.14.4-1]
			return
		}
		if len(b) > 0 {
			continue
		}
		timer.Reset(next)
		select {
		case <-cn.wake:
		case <-timer.C:
		case <-cn.closed:
			return
		}
	}
}

// writeFailed ends a connection on which nothing can be written any more. A Server that
// has closed it may have said why: what has come is still read, unless
// the program keeps the reader waiting.
func (c *Client) writeFailed(cn *conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cn.final || errors.Is(err, os.ErrDeadlineExceeded) { // the Server is there, and takes nothing
		cn.end(err)
		return
	}
	cn.broken = err
	cn.nc.SetReadDeadline(time.Now().Add(drainTimeout)) //nolint:errcheck // then Read fails, which ends it too
	c.changed.broadcast()
}

// closeWrite ends our direction and gives the Server a moment to end the other one: a
// connection that is closed with something unread could take the DISCONNECT with it.
func (cn *conn) closeWrite() {
	half, ok := cn.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		cn.nc.Close()
		return
	}
	cn.nc.SetReadDeadline(time.Now().Add(drainTimeout)) //nolint:errcheck // then Read fails, which ends it too
}

// ping puts a PINGREQ into out when one is due, and returns how long nothing needs to
// be done, or ErrPingTimeout. It needs the lock.
func (c *Client) ping(cn *conn, now time.Time) (time.Duration, error) {
	keepAlive := c.limits.keepAlive
	if keepAlive == 0 || cn.final {
		return time.Hour, nil
	}
	timeout := c.o.PingTimeout
	if timeout == 0 {
		timeout = min(keepAlive, maxPingTimeout)
	}
	// Nothing was sent for so long, or something was and nobody seems to hear it.
	idle := cn.lastSent.Add(keepAlive) // [MQTT-3.1.2-20] [MQTT311-3.1.2-23]
	unheard := cn.lastReceived.Add(keepAlive)
	doubt := cn.pinged.IsZero()
	if len(cn.out) == 0 && !now.Before(idle) || doubt && !now.Before(unheard) {
		if err := c.send(cn, &packet.Pingreq{}); err != nil {
			return 0, err
		}
		if cn.pinged.IsZero() {
			cn.pinged = now
		}
		return 0, nil
	}
	due := idle
	if doubt && unheard.Before(due) {
		due = unheard
	}
	if !cn.pinged.IsZero() && !cn.paused {
		end := cn.pinged.Add(timeout)
		if heard := cn.lastReceived.Add(timeout); heard.After(end) {
			end = heard
		}
		if !now.Before(end) {
			return 0, ErrPingTimeout
		}
		if end.Before(due) {
			due = end
		}
	}
	return max(due.Sub(now), 0), nil
}
