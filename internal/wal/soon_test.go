package wal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestAppendSoon shows that a frame which nobody waits for is written with the next that
// somebody waits for, within soonTime, when there are many, or at the end.
func TestAppendSoon(t *testing.T) {
	open := func(t *testing.T, dir string) *Log {
		l, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	// frames returns what is on the disk.
	frames := func(t *testing.T, dir string) (all []string) {
		if _, err := Check(dir, func(_ Pos, frame []byte) error {
			all = append(all, string(frame[:min(len(frame), 10)]))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	for _, c := range []struct {
		name string
		then func(l *Log)
		want int
	}{
		{"nothing else: not yet", func(*Log) {}, 0},
		{"time", func(*Log) { time.Sleep(2 * soonTime) }, 1},
		{"one that is waited for", func(l *Log) {
			done := make(chan error)
			l.Append([]byte("b"), func(_ Pos, err error) { done <- err })
			<-done
		}, 2},
		{"many", func(l *Log) { l.Append(make([]byte, soonBytes), nil) }, 2},
		{"the end", func(l *Log) { l.Close() }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				l := open(t, dir)
				defer l.Close()
				l.Append([]byte("a"), nil)
				c.then(l)
				synctest.Wait()
				if got := frames(t, dir); len(got) != c.want || len(got) > 0 && got[0] != "a" {
					t.Errorf("got %d frames on the disk (%s), want %d", len(got), fmt.Sprint(got), c.want)
				}
			})
		})
	}
}
