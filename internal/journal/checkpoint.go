package journal

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Checkpoint opens each frame of a checkpoint, which writes again all that lives, so that
// what stands before it can be let go of. Its frames lie between others of the road. They
// count only if the checkpoint is complete: its End is in the log.
type Checkpoint struct {
	Number uint64 // of the checkpoint, from the numbers of the Messages
	Part   Part
}

// Part says which frame of a checkpoint it is.
type Part uint8

// The parts.
const (
	Begin Part = 1 + iota // the first frame
	Piece                 // in between
	End                   // the last frame
)

// String returns the part in words.
func (p Part) String() string {
	switch p {
	case Begin:
		return "begin"
	case Piece:
		return "piece"
	case End:
		return "end"
	}
	return fmt.Sprintf("part %d", uint8(p))
}

func (Checkpoint) entry() {}

func (e Checkpoint) append(b []byte) []byte {
	return append(binary.AppendUvarint(b, e.Number), byte(e.Part))
}

func (r *reader) checkpoint() Entry {
	return Checkpoint{r.uvarint("checkpoint", math.MaxUint64), Part(r.uvarint("part of a checkpoint", uint64(End)))}
}

// checkpoint begins or ends one. In between, a Message stays that nothing refers to any
// more, as a later piece may.
func (s *State) checkpoint(e Checkpoint) {
	s.LastMessage = max(s.LastMessage, e.Number)
	switch e.Part {
	case Begin:
		s.inCheckpoint = true
	case End:
		s.inCheckpoint = false
		s.forgetMessages()
	}
}

// Index finds out which frames of a log count: those from the beginning of the last complete
// checkpoint on, without those of checkpoints that were given up. What stands before may
// refer to what the log has let go of. The zero value is that of an empty log. It is not safe
// for concurrent use.
type Index struct {
	begins   map[uint64]uint64 // places, by checkpoint
	complete uint64            // the last one; 0 without one
	from     uint64            // where that begins
}

// Add takes note of a frame, which begins at a place in the log. Frames come in their order.
func (x *Index) Add(at uint64, frame []byte) {
	e, ok := checkpointOf(frame)
	switch {
	case !ok:
	case e.Part == Begin:
		if x.begins == nil {
			x.begins = make(map[uint64]uint64)
		}
		x.begins[e.Number] = at
	case e.Part == End:
		if from, ok := x.begins[e.Number]; ok {
			x.complete, x.from = e.Number, from
		}
	}
}

// From returns the place from which on frames count; 0 is the beginning of the log.
func (x *Index) From() uint64 { return x.from }

// Counts reports whether a frame, which Add has seen, counts.
func (x *Index) Counts(at uint64, frame []byte) bool {
	if at < x.from {
		return false
	}
	e, ok := checkpointOf(frame)
	return !ok || e.Number == x.complete
}

// checkpointOf returns the entry with which a frame of a checkpoint begins. It decodes no
// other entry.
func checkpointOf(frame []byte) (Checkpoint, bool) {
	length, n := binary.Uvarint(frame)
	if n <= 0 || length == 0 || n >= len(frame) || frame[n] != typeCheckpoint {
		return Checkpoint{}, false
	}
	e, _, err := Decode(frame)
	if err != nil {
		return Checkpoint{}, false
	}
	c, ok := e.(Checkpoint)
	return c, ok
}
