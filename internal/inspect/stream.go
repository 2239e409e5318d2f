package inspect

import (
	"bytes"
	"slices"

	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// Bounds on segments that wait for one before them.
const (
	maxPendingSegments = 256
	maxPendingBytes    = 1 << 20
)

// patientSegments is how many segments may follow one that is missing although the other
// end has acknowledged it: captures hold frames out of order, but not for long.
const patientSegments = 8

// stream puts the segments of one direction into order.
type stream struct {
	known bool   // next is
	first uint32 // the first byte of the connection, when SYN was seen
	next  uint32 // the byte that comes next

	pending      []piece // in the order of their sequence numbers
	pendingBytes int
	waited       int // segments since the missing one was acknowledged
}

// piece is a segment that came before its turn.
type piece struct {
	seq  uint32
	data []byte
	cut  int // bytes behind data that the capture lacks

	frame Frame // without its data
}

// take takes a segment and hands on what is in order.
func (st *stream) take(c *conn, d int, s *pcap.Segment) {
	seq := s.Seq
	if s.Flags&pcap.SYN != 0 {
		seq++
		if !st.known {
			st.known, st.first, st.next = true, seq, seq
		}
	}
	if len(s.Payload)+s.Cut == 0 {
		return
	}
	if !st.known {
		st.known, st.next = true, seq
	}
	switch distance := int32(seq - st.next); {
	case distance <= 0:
		st.inOrder(c, d, piece{seq: seq, data: s.Payload, cut: s.Cut}, s.PayloadAt)
	default:
		c.in.summary.Reordered++
		p := piece{seq: seq, data: bytes.Clone(s.Payload), cut: s.Cut, frame: c.in.frame}
		p.frame.Data, p.frame.Segment = nil, nil
		i, _ := slices.BinarySearchFunc(st.pending, p, func(a, b piece) int { return int(int32(a.seq - b.seq)) })
		st.pending = slices.Insert(st.pending, i, p)
		st.hold(c, len(p.data))
		if len(st.pending) > maxPendingSegments || st.pendingBytes > maxPendingBytes {
			st.jump(c, d)
		}
	}
	st.drain(c, d, false)
}

// hold counts n bytes more that wait.
func (st *stream) hold(c *conn, n int) {
	st.pendingBytes += n
	c.in.buffered += n
}

// inOrder hands on what p has beyond what was seen.
func (st *stream) inOrder(c *conn, d int, p piece, at int) {
	old := int(int32(st.next - p.seq))
	if old >= len(p.data)+p.cut {
		c.in.summary.Retransmitted++
		return
	}
	seen := min(old, len(p.data))
	if data := p.data[seen:]; len(data) > 0 {
		if at >= 0 {
			at += seen
		}
		st.next += uint32(len(data))
		c.data(d, data, at)
	}
	if cut := p.cut - (old - seen); cut > 0 {
		st.next += uint32(cut)
		c.missing(d, cut)
	}
}

// drain hands on the pieces whose turn has come: as a part of the frame at hand, or of
// their own.
func (st *stream) drain(c *conn, d int, own bool) {
	n := 0
	for n < len(st.pending) && int32(st.pending[n].seq-st.next) <= 0 {
		p := st.pending[n]
		st.hold(c, -len(p.data))
		n++
		if own {
			c.in.frame = p.frame
		}
		st.inOrder(c, d, p, -1)
		if st.pending == nil { // the connection was given up meanwhile
			return
		}
	}
	if n > 0 {
		st.pending = slices.Delete(st.pending, 0, n)
		st.waited = 0
	}
}

// jump passes over the gap before the first piece.
func (st *stream) jump(c *conn, d int) {
	frame := c.in.frame
	gap := int(int32(st.pending[0].seq - st.next))
	st.next = st.pending[0].seq
	st.waited = 0
	c.in.frame = st.pending[0].frame
	c.missing(d, gap)
	st.drain(c, d, true)
	c.in.frame = frame
}

// acknowledged is told what the other end has received: then what is missing here will
// not be sent again.
func (st *stream) acknowledged(c *conn, d int, ack uint32) {
	if !st.known || len(st.pending) == 0 || int32(ack-st.pending[0].seq) < 0 {
		return
	}
	if st.waited++; st.waited > patientSegments {
		st.jump(c, d)
	}
}

// flush hands on all that waits.
func (st *stream) flush(c *conn, d int) {
	for len(st.pending) > 0 {
		st.jump(c, d)
	}
}
