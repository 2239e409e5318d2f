package inspect

import (
	"errors"
	"io"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// mqttStream cuts one direction into Control Packets.
type mqttStream struct {
	buffer  []byte // a packet that is incomplete
	missing int    // of buffer, bytes that the capture lacks
	skip    int    // bytes that are left of a packet that is too large
	synced  bool   // a packet begins at the start of buffer, for sure
}

// mqtt takes the next bytes; at is where they begin in the frame, or -1.
func (c *conn) mqtt(d int, b []byte, at int) {
	m := &c.halves[d].mqtt
	if m.skip > 0 {
		n := min(m.skip, len(b))
		m.skip -= n
		if b = b[n:]; len(b) == 0 {
			return
		}
		at = moved(at, n)
	}
	if len(m.buffer) > 0 {
		c.grow(m, b)
		b, at = m.buffer, -1
	}
	rest := c.packets(d, m, b, at)
	if m.skip > 0 {
		rest = nil
	}
	switch {
	case len(rest) == 0:
		c.release(m)
	case len(m.buffer) == 0:
		c.grow(m, rest)
	default:
		m.buffer = m.buffer[:copy(m.buffer, rest)]
	}
}

// moved is at, n bytes on.
func moved(at, n int) int {
	if at < 0 {
		return at
	}
	return at + n
}

// grow appends b to the buffer.
func (c *conn) grow(m *mqttStream, b []byte) {
	before := cap(m.buffer)
	m.buffer = append(m.buffer, b...)
	c.in.buffered += cap(m.buffer) - before
}

// release empties the buffer.
func (c *conn) release(m *mqttStream) {
	if cap(m.buffer) > 0 {
		c.in.buffered -= cap(m.buffer)
		m.buffer = nil
	}
	m.missing = 0
}

// packets shows the packets in b and returns what is left.
func (c *conn) packets(d int, m *mqttStream, b []byte, at int) []byte {
	for len(b) > 0 {
		t, size, err := packet.Size(b)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return b
		}
		if err == nil && !m.synced {
			if !c.plausible(b, size) {
				c.in.summary.SkippedBytes += len(b)
				return nil
			}
			if len(b) >= size {
				m.synced = true
				c.in.event(Event{Kind: PickedUp, Connection: &c.public, FromClient: c.fromClient(d)})
			}
		}
		if err != nil { // the Remaining Length: nothing behind it can be told apart
			if m.synced {
				c.show(d, &Record{Type: t, Bytes: b[:min(len(b), 5)], Size: min(len(b), 5), Err: err, At: at})
			}
			c.in.summary.SkippedBytes += len(b)
			m.synced = false
			return nil
		}
		if size > maxPacketBytes {
			c.in.summary.TooLarge++
			c.show(d, &Record{Type: t, Bytes: b[:min(len(b), 256)], Size: size, At: at})
			n := min(len(b), size)
			m.skip = size - n
			b, at = b[n:], moved(at, n)
			continue
		}
		if len(b) < size {
			return b
		}
		c.show(d, &Record{Type: t, Bytes: b[:size], Size: size, Missing: m.missing, At: at})
		m.missing = 0
		b, at = b[size:], moved(at, size)
	}
	return nil
}

// candidates are the versions that a connection is decoded with while it is not known.
var candidates = [...]colibri.Version{colibri.V5, colibri.V311, colibri.V31}

// plausible reports whether a packet of size bytes may begin at b.
func (c *conn) plausible(b []byte, size int) bool {
	if size > maxGuessBytes {
		return false
	}
	for _, v := range candidates {
		if _, _, err := packet.Decode(b, v); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			return true
		}
	}
	return false
}

// show completes a Record and hands it on.
func (c *conn) show(d int, r *Record) {
	in := c.in
	if !c.counted {
		c.counted = true
		in.summary.Connections++
	}
	in.summary.Packets++
	r.Number = in.summary.Packets
	r.Frame = in.frame
	r.Connection = &c.public
	r.FromClient = c.fromClient(d)
	c.decode(r)
	if r.Err != nil {
		in.summary.Malformed++
	}
	c.learn(r)
	if in.config.Packet != nil {
		in.config.Packet(r)
	}
}

// decode decodes the packet of r, with the version of the connection.
func (c *conn) decode(r *Record) {
	if r.Err != nil || len(r.Bytes) < r.Size {
		r.Version, r.Guessed = c.versionOrGuess(), c.version == 0 || c.guessed
		return
	}
	if c.version == 0 && r.Type != packet.CONNECT {
		c.guess(r.Bytes)
	}
	r.Version, r.Guessed = c.versionOrGuess(), c.version == 0 || c.guessed
	r.Packet, _, r.Err = packet.Decode(r.Bytes, r.Version)
	if connect, ok := r.Packet.(*packet.Connect); ok {
		if connect.Version != 0 {
			c.version = min(max(connect.Version, colibri.V31), colibri.V5)
			c.guessed = c.version != connect.Version
		}
		r.Version, r.Guessed = c.versionOrGuess(), c.version == 0 || c.guessed
	}
}

func (c *conn) versionOrGuess() colibri.Version {
	if c.version == 0 {
		return colibri.V311
	}
	return c.version
}

// guess finds out the version from a packet that only one of them allows. Where both do,
// it is undecided, except for the packets whose bytes in 5.0 are as good as never those of
// 3.1.1 by chance: a list of properties that ends where it says.
func (c *conn) guess(b []byte) {
	_, _, old := packet.Decode(b, colibri.V311)
	p, _, err := packet.Decode(b, colibri.V5)
	switch {
	case old == nil && err != nil:
		c.version, c.guessed = colibri.V311, true
	case old != nil && err == nil:
		c.version, c.guessed = colibri.V5, true
	case old != nil:
		return
	default:
		if _, ok := p.(*packet.Publish); ok {
			c.version, c.guessed = colibri.V5, true
		}
	}
}

// learn remembers what a packet says about its connection.
func (c *conn) learn(r *Record) {
	switch p := r.Packet.(type) {
	case *packet.Connect:
		if r.Err == nil {
			c.public.ClientID = string([]byte(p.ClientID))
			c.public.KeepAlive = p.KeepAlive
		}
	case *packet.Connack:
		if id, ok := p.Properties.Value(colibri.AssignedClientIdentifier); ok {
			c.public.ClientID = string([]byte(id))
		}
		if seconds, ok := p.Properties.Number(colibri.ServerKeepAlive); ok {
			c.public.KeepAlive = uint16(seconds)
		}
	}
}

// missing is told that n bytes of a direction are not in the capture.
func (c *conn) missing(d, n int) {
	c.in.summary.MissingBytes += n
	m := &c.halves[d].mqtt
	plain := c.outer == speaksMQTT
	if plain && m.skip >= n {
		m.skip -= n
		return
	}
	if plain && m.synced && m.skip == 0 {
		if _, size, err := packet.Size(m.buffer); err == nil && len(m.buffer)+n <= size {
			// Inside one packet, whose end is known.
			m.missing += n
			c.mqtt(d, make([]byte, n), -1)
			return
		}
	}
	c.release(m)
	m.skip, m.synced = 0, false
	c.in.event(Event{Kind: Gap, Connection: &c.public, FromClient: c.fromClient(d), Bytes: n})
	if c.socket != nil {
		c.socket.lost(d)
	}
	if c.secured != nil {
		c.secured.lost(c.side(d))
	}
}
