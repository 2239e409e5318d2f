package cli

import (
	"bytes"
	"context"
	"io"
	"testing"
)

// startedReader is a standard input to which nobody writes.
type startedReader struct {
	io.Reader
	started chan struct{}
}

func (r *startedReader) Read(b []byte) (int, error) {
	close(r.started)
	return r.Reader.Read(b)
}

// TestInterruptBeforeThePayload: Ctrl-C ends a command that waits for its standard input.
func TestInterruptBeforeThePayload(t *testing.T) {
	isolate(t)
	for _, line := range []string{"colibri pub -t a -s", "colibri rr -t a -e b -s"} {
		t.Run(line, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(context.Background())
			reader, writer := io.Pipe()
			defer writer.Close()
			stdin := &startedReader{reader, make(chan struct{})}
			exited := make(chan int, 1)
			var stdout, stderr bytes.Buffer
			go func() { exited <- run(ctx, words(line), stdin, &stdout, &stderr) }()
			<-stdin.started
			interrupt()
			if exit := <-exited; exit != exitInterrupted || stdout.Len() > 0 || stderr.Len() > 0 {
				t.Errorf("got exit %d, stdout %q, stderr %q; want exit %d and no text", exit, &stdout, &stderr, exitInterrupted)
			}
		})
	}
}
