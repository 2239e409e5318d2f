package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Counts are what Copy has seen.
type Counts struct {
	Frames uint64
	Lost   uint64 // packets that are not in the capture, as its last statistics say
}

// ErrWrite is in the error of Copy when writing has failed.
var ErrWrite = errors.New("writing has failed")

const (
	blockStatistics = 5
	blockFrame      = 6
	maxBlock        = 1 << 20 // of those that Writer writes
)

// Copy copies a capture that a Writer of this machine writes, whole blocks only: wherever the
// stream breaks off, what was written is a file that can be read to its end. The error is nil
// at the end of the stream.
func Copy(w io.Writer, r io.Reader) (counts Counts, err error) {
	block := make([]byte, 0, 4096)
	for {
		block = block[:8]
		switch _, err := io.ReadFull(r, block); err {
		case nil:
		case io.EOF:
			return counts, nil
		default:
			return counts, fmt.Errorf("read the capture: %w", err)
		}
		kind, size := binary.LittleEndian.Uint32(block), int(binary.LittleEndian.Uint32(block[4:]))
		if size < 12 || size > maxBlock {
			return counts, fmt.Errorf("read the capture: a block claims to have %d bytes", size)
		}
		if cap(block) < size {
			block = append(make([]byte, 0, size), block...)
		}
		block = block[:size]
		if _, err := io.ReadFull(r, block[8:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return counts, fmt.Errorf("read the capture: %w", err)
		}
		switch kind {
		case blockFrame:
			counts.Frames++
		case blockStatistics:
			counts.Lost = lostOf(block)
		}
		if _, err := w.Write(block); err != nil {
			return counts, fmt.Errorf("%w: %w", ErrWrite, err)
		}
	}
}

// lostOf returns what Writer.Lost has written.
func lostOf(block []byte) uint64 {
	const isbDrop = 5
	for b := block[20 : len(block)-4]; len(b) >= 4; {
		code, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[4:]
		if code == isbDrop && size == 8 && len(b) >= 8 {
			return binary.LittleEndian.Uint64(b)
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return 0
}
