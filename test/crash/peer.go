package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// peer is a client with a Session that outlasts its connections and the broker's
// processes. It never ends before the run does, so its memory is the truth. One
// goroutine uses it.
type peer struct {
	run            *run
	id             string // the ClientID
	version        colibri.Version
	receiveMaximum uint16 // what it asks the Server for; 0: nothing. 5.0 only
	random         *rand.Rand

	acknowledged bool // a CONNACK has acknowledged the Session
	nc           net.Conn
	in           chan packet.Packet // closed when the connection ends
	buf          []byte
}

// retryEvery is how long a client waits before it dials again.
const retryEvery = 10 * time.Millisecond

// connect dials until the broker has let the client in. It returns false when ctx ends
// first, and otherwise whether the Session is one that the client and the broker share.
func (p *peer) connect(ctx context.Context) (resumed, ok bool) {
	for {
		connack, err := p.dial(ctx)
		if err == nil {
			resumed = p.acknowledged && connack.SessionPresent
			if p.acknowledged && !connack.SessionPresent {
				p.run.history.observe(fault{Kind: sessionLost, Session: p.id, Text: "Session Present is 0 for a Session that was acknowledged"})
			}
			p.acknowledged = true
			return resumed, true
		}
		select {
		case <-ctx.Done():
			return false, false
		case <-time.After(retryEvery + time.Duration(p.random.Int64N(int64(retryEvery)))):
		}
	}
}

// dial makes one connection and exchanges CONNECT and CONNACK.
func (p *peer) dial(ctx context.Context) (*packet.Connack, error) {
	connect := &packet.Connect{Version: p.version, ClientID: p.id}
	if p.version == colibri.V5 {
		connect.Properties = connect.Properties.AppendNumber(colibri.SessionExpiryInterval, 86_400)
		if p.receiveMaximum > 0 {
			connect.Properties = connect.Properties.AppendNumber(colibri.ReceiveMaximum, uint32(p.receiveMaximum))
		}
	}
	nc, in, connack, err := open(ctx, p.run.address, connect)
	if err != nil {
		return nil, err
	}
	p.nc, p.in = nc, in
	return connack, nil
}

// open makes a connection and exchanges connect for a CONNACK that says yes. The
// channel yields the packets that follow, and is closed when the connection ends.
func open(ctx context.Context, address string, connect *packet.Connect) (net.Conn, chan packet.Packet, *packet.Connack, error) {
	dialer := net.Dialer{Timeout: connackTime}
	nc, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, nil, err
	}
	connack, reader, err := exchange(nc, connect)
	if err != nil {
		nc.Close()
		return nil, nil, nil, err
	}
	in := make(chan packet.Packet, 256)
	go func() {
		defer close(in)
		for {
			received, err := readPacket(reader, connect.Version)
			if err != nil {
				nc.Close()
				return
			}
			select {
			case in <- received:
			case <-ctx.Done():
				nc.Close()
				return
			}
		}
	}()
	return nc, in, connack, nil
}

// connackTime is how long a client waits for a CONNACK before it dials again.
const connackTime = 10 * time.Second

func exchange(nc net.Conn, connect *packet.Connect) (*packet.Connack, *bufio.Reader, error) {
	b, err := packet.Append(nil, connect, connect.Version)
	if err != nil {
		return nil, nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(connackTime)); err != nil {
		return nil, nil, err
	}
	if _, err := nc.Write(b); err != nil {
		return nil, nil, err
	}
	reader := bufio.NewReaderSize(nc, 16<<10)
	received, err := readPacket(reader, connect.Version)
	if err != nil {
		return nil, nil, err
	}
	connack, ok := received.(*packet.Connack)
	if !ok {
		return nil, nil, fmt.Errorf("%s instead of CONNACK", received.Type())
	}
	if connack.Code != colibri.Success {
		return nil, nil, fmt.Errorf("CONNACK says %d", connack.Code)
	}
	return connack, reader, nc.SetDeadline(time.Time{})
}

// readPacket reads one packet into memory of its own.
func readPacket(r *bufio.Reader, version colibri.Version) (packet.Packet, error) {
	for n := 2; ; n++ {
		header, err := r.Peek(n)
		if err != nil {
			return nil, err
		}
		_, size, err := packet.Size(header)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		received, _, err := packet.Decode(b, version)
		return received, err
	}
}

// send writes packets in one go. An error has closed the connection.
func (p *peer) send(packets ...packet.Packet) error {
	p.buf = p.buf[:0]
	var err error
	for _, one := range packets {
		if p.buf, err = packet.Append(p.buf, one, p.version); err != nil {
			panic(fmt.Sprintf("crash: a client made a packet that cannot be sent: %v", err))
		}
	}
	return write(p.nc, p.buf)
}

// write writes b, and closes the connection when that fails.
func write(nc net.Conn, b []byte) error {
	nc.SetWriteDeadline(time.Now().Add(connackTime))
	_, err := nc.Write(b)
	if err != nil {
		nc.Close()
	}
	return err
}

// drop ends the connection, half of the time with a DISCONNECT. What had arrived is
// forgotten: it was not acknowledged.
func (p *peer) drop() {
	if p.random.IntN(2) == 0 {
		p.send(&packet.Disconnect{})
	}
	p.hangUp()
}

func (p *peer) hangUp() { hangUp(p.nc, p.in) }

// hangUp closes a connection and lets its reader end.
func hangUp(nc net.Conn, in chan packet.Packet) {
	nc.Close()
	for range in {
	}
}

// misplaced notes a packet that has no place in the client's handshakes.
func (p *peer) misplaced(format string, args ...any) {
	p.run.history.observe(fault{Kind: protocol, Session: p.id, Text: fmt.Sprintf(format, args...)})
}

// between returns a random duration from low to high.
func (p *peer) between(low, high time.Duration) time.Duration {
	return low + time.Duration(p.random.Int64N(int64(high-low)+1))
}
