package wal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// childDir names the directory in which a process that this test has started appends.
const childDir = "COLIBRI_WAL_CHILD"

// TestKill kills a process that appends to a log on the real file system, three times, and
// looks for all that it was told of.
func TestKill(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		appendForever(dir)
	}
	dir := t.TempDir()
	frames := 0
	for range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), childDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		told := bufio.NewScanner(out)
		done := 0
		for told.Scan() {
			done++
			if done == 200 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); child.ProcessState.ExitCode() != -1 {
			t.Fatalf("the child has ended by itself after %d frames: %v", done, err)
		}
		l := mustOpen(t, dir, Options{})
		got := texts(t, l)
		if len(got) < frames+done {
			t.Errorf("got %d frames, want the %d of before and the %d that were done since", len(got), frames, done)
		}
		for i, text := range got[frames:] {
			if text != fmt.Sprintf("%0100d", i) {
				t.Fatalf("frame %d: got %q", i, text)
			}
		}
		frames = len(got)
		mustClose(t, l)
	}
}

// appendForever appends frames from many goroutines, in order, and prints a line for each
// that is done.
func appendForever(dir string) {
	l, err := Open(dir, Options{SegmentBytes: 16 << 10})
	if err != nil {
		panic(err)
	}
	var order sync.Mutex
	next := 0
	for range 8 {
		go func() {
			for {
				done := make(chan struct{})
				order.Lock()
				l.Append(fmt.Appendf(nil, "%0100d", next), func(pos Pos, err error) {
					if err == nil {
						_, err = fmt.Fprintln(os.Stdout, pos)
					}
					if err != nil {
						panic(err)
					}
					close(done)
				})
				next++
				order.Unlock()
				<-done
			}
		}()
	}
	select {}
}
