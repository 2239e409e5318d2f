package wal

import (
	"bytes"
	"fmt"
	"io"
)

// scanner reads the records of one segment.
type scanner struct {
	file   File
	name   string
	of     *segment
	seed   uint32
	limit  int64 // nothing is read from here on
	window []byte
	at     int64 // offset of window
}

// windowBytes is read at once. A larger frame gets a larger window, once it is known
// that its bytes are there.
const windowBytes = 1 << 20

func newScanner(file File, name string, of *segment, limit int64) *scanner {
	return &scanner{file: file, name: name, of: of, seed: of.seed(), limit: limit}
}

// bytes returns n bytes from an offset on; they are valid until the next call. The
// caller has made sure that they lie before the limit.
func (s *scanner) bytes(offset int64, n int) ([]byte, error) {
	if offset < s.at || offset+int64(n) > s.at+int64(len(s.window)) {
		size := min(max(windowBytes, int64(n)), s.limit-offset)
		if int64(cap(s.window)) < size {
			s.window = make([]byte, size)
		}
		s.window, s.at = s.window[:size], offset
		if got, err := s.file.ReadAt(s.window, offset); got < len(s.window) {
			s.window = s.window[:0]
			if err == io.EOF {
				return nil, &CorruptError{s.name, offset + int64(got), "the file has become shorter"}
			}
			return nil, fmt.Errorf("read log: %w", err)
		}
	}
	return s.window[offset-s.at:][:n], nil
}

// outcome is what stands at an offset.
type outcome int

const (
	nothing outcome = iota // zeroes, or the rest of another segment
	begun                  // the head of a record, but not its frame
	whole
)

// record returns what stands at an offset: the frame, when it is whole, is valid until
// the next call.
func (s *scanner) record(offset int64) (outcome, head, []byte, error) {
	if offset+recordBytes > s.limit {
		return nothing, head{}, nil, nil
	}
	b, err := s.bytes(offset, recordBytes)
	if err != nil {
		return nothing, head{}, nil, err
	}
	h, ok := decodeHead(b, s.seed, offset)
	if !ok {
		return nothing, head{}, nil, nil
	}
	if offset+recordBytes+int64(h.frameBytes) > s.limit {
		return begun, h, nil, nil
	}
	frame, err := s.bytes(offset+recordBytes, h.frameBytes)
	if err != nil {
		return nothing, head{}, nil, err
	}
	if sum(frame) != h.frameSum {
		return begun, h, nil, nil
	}
	return whole, h, frame, nil
}

// walked is how far the whole records of a segment go.
type walked struct {
	end    int64 // of the last whole record
	marked int64 // offset of the last marked record; 0 when there is none
	frames int
	broken *Torn // what stands at end; nil when nothing does
}

// walk calls fn for all records up to the first that is not whole.
func (s *scanner) walk(fn func(Pos, []byte) error) (walked, error) {
	w := walked{end: headerBytes}
	for {
		at := w.end
		found, h, frame, err := s.record(at)
		if err != nil {
			return w, err
		}
		if found == nothing && nextSector(at) != at {
			at = nextSector(at)
			found, h, frame, err = s.record(at)
			if err != nil {
				return w, err
			}
			if !h.marked {
				found = nothing
			}
		}
		if found != whole {
			w.broken, err = s.rest(found, at, w.end)
			return w, err
		}
		if h.marked {
			w.marked = at
		}
		w.end = at + recordBytes + int64(len(frame))
		w.frames++
		if err := fn(s.of.pos(at), frame); err != nil {
			return w, err
		}
	}
}

// rest describes what stands behind the last whole record; nil when that is nothing.
func (s *scanner) rest(found outcome, at, end int64) (*Torn, error) {
	if found == begun {
		return &Torn{s.name, at, "the record is not whole"}, nil
	}
	if !s.of.zeroed {
		return nil, nil // the file has been another segment, whose records mean nothing
	}
	for _, at := range []int64{end, nextSector(end)} {
		n := min(recordBytes, s.limit-at)
		if n <= 0 {
			continue
		}
		b, err := s.bytes(at, int(n))
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(b, make([]byte, n)) {
			return &Torn{s.name, at, "these bytes begin no record"}, nil
		}
	}
	return nil, nil
}

// markedAfter returns the offset of a whole, marked record behind an offset; 0 when
// there is none.
func (s *scanner) markedAfter(offset int64) (int64, error) {
	for at := nextSector(offset + 1); at+recordBytes <= s.limit; at += sectorBytes {
		found, h, _, err := s.record(at)
		if err != nil {
			return 0, err
		}
		if found == whole && h.marked {
			return at, nil
		}
	}
	return 0, nil
}

// walkSealed walks a segment that is not the last: it must be whole up to its end.
func (s *scanner) walkSealed(fn func(Pos, []byte) error) (walked, error) {
	w, err := s.walk(fn)
	if err == nil && w.end != s.of.end {
		at, reason := w.end, "the record is missing"
		if w.broken != nil {
			at, reason = w.broken.Offset, w.broken.Reason
		}
		err = &CorruptError{s.name, at, reason + fmt.Sprintf(", but the next segment says that the records go on to offset %d", s.of.end)}
	}
	return w, err
}

// walkLast walks the last segment: it ends where its whole records do, unless what
// comes then had reached the disk.
func (s *scanner) walkLast(fn func(Pos, []byte) error) (walked, error) {
	w, err := s.walk(fn)
	if err != nil {
		return w, err
	}
	later, err := s.markedAfter(w.end)
	if err == nil && later != 0 {
		at, reason := w.end, "the record is missing"
		if w.broken != nil {
			at, reason = w.broken.Offset, w.broken.Reason
		}
		err = &CorruptError{s.name, at, reason + fmt.Sprintf(", but what was written after it, at offset %d, is whole", later)}
	}
	return w, err
}
