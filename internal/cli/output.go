package cli

import (
	"bufio"
	"io"
	"sync"
)

// outputBytes is how much a command prints at most before it hands it on, when it has
// more to print at once.
const outputBytes = 64 << 10

// output is standard output with a buffer. Messages and the lines of -d come from
// different goroutines, so that each line is one call of write. Safe for concurrent use.
type output struct {
	mu     sync.Mutex
	w      *bufio.Writer
	failed error // of the first write that failed: nobody reads any more
}

func newOutput(w io.Writer) *output {
	return &output{w: bufio.NewWriterSize(w, outputBytes)}
}

// write puts b into the buffer, which goes on when it is full.
func (out *output) write(b []byte) {
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.failed == nil {
		_, out.failed = out.w.Write(b)
	}
}

// flush hands on what was written. It returns false once that has failed.
func (out *output) flush() bool {
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.failed == nil {
		out.failed = out.w.Flush()
	}
	return out.failed == nil
}

// writeLine writes and hands on one line.
func (out *output) writeLine(line string) {
	out.write(append([]byte(line), '\n'))
	out.flush()
}
