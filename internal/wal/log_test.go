package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// answer is what a done function was called with.
type answer struct {
	pos Pos
	err error
}

// put appends frames and waits for the answers, in the order in which they came.
func put(l *Log, frames ...[]byte) []answer {
	answers := make(chan answer, len(frames))
	for _, frame := range frames {
		l.Append(frame, func(pos Pos, err error) { answers <- answer{pos, err} })
	}
	all := make([]answer, len(frames))
	for i := range all {
		all[i] = <-answers
	}
	return all
}

// mustPut appends frames, which must succeed, and returns the place of the first.
func mustPut(t *testing.T, l *Log, frames ...[]byte) Pos {
	t.Helper()
	all := put(l, frames...)
	for _, a := range all {
		if a.err != nil {
			t.Fatalf("append: %v", a.err)
		}
	}
	return all[0].pos
}

func mustOpen(t *testing.T, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustClose(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// texts returns the frames that a log holds, as texts.
func texts(t *testing.T, l *Log) []string {
	t.Helper()
	all, err := replayed(l)
	if err != nil {
		t.Fatal(err)
	}
	var frames []string
	for _, r := range all {
		frames = append(frames, string(r.frame))
	}
	return frames
}

// wantText fails unless got says all of want.
func wantText(t *testing.T, got fmt.Stringer, want ...string) {
	t.Helper()
	for _, part := range want {
		if !strings.Contains(got.String(), part) {
			t.Errorf("got %q, want it to say %q", got, part)
		}
	}
}

// said is the text of an error.
type said struct{ err error }

func (s said) String() string { return fmt.Sprint(s.err) }

func TestFramesSurviveAClose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "log")
	l := mustOpen(t, dir, Options{})
	if got := texts(t, l); got != nil {
		t.Errorf("got %q in a new log, want nothing", got)
	}
	first := mustPut(t, l, []byte("one"))
	mustPut(t, l, nil)
	mustPut(t, l, []byte("three"))
	if first != 1<<32+512 || l.Oldest() != first {
		t.Errorf("got the first frame at %v and the oldest at %v, want 1/512", first, l.Oldest())
	}
	mustClose(t, l)

	l = mustOpen(t, dir, Options{})
	if got, want := texts(t, l), []string{"one", "", "three"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if l.Torn() != nil {
		t.Errorf("got %v after a close, want nothing torn", l.Torn())
	}
	next := l.Next()
	if got := mustPut(t, l, []byte("four")); got != next || got <= first {
		t.Errorf("got the fourth frame at %v, want it where Next said, %v", got, next)
	}
	if got := l.Segments(); got != 2 {
		t.Errorf("got %d segments, want one for each process", got)
	}
	mustClose(t, l)
	if info, err := os.Stat(filepath.Join(dir, segmentName(2))); err != nil || info.Size() != 512+16 {
		t.Errorf("got %v and error %v after a close, want a file of 528 bytes without zeroes", info, err)
	}
	report, err := Check(dir, nil)
	want := Report{Segments: 2, Frames: 4, Bytes: 3*512 + 17 + 512 + 16, Oldest: first, Next: next + 16}
	if err != nil || report != want {
		t.Errorf("got %+v and error %v, want %+v", report, err, want)
	}
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := mustOpen(t, dir, Options{})
	mustPut(t, l, []byte("secret"))
	for _, name := range []string{"", lockName, segmentName(1)} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm() & 0o077; got != 0 {
			t.Errorf("%s: others may do %o, want nothing", info.Name(), got)
		}
	}
}

func TestAppendCopies(t *testing.T) {
	l := mustOpen(t, "log", Options{FS: newCrashFS()})
	answers := make(chan answer, 1)
	frame := []byte("before")
	l.Append(frame, func(pos Pos, err error) { answers <- answer{pos, err} })
	copy(frame, "after!")
	<-answers
	mustClose(t, l)
	l = mustOpen(t, "log", Options{FS: l.options.FS})
	if got := texts(t, l); !slices.Equal(got, []string{"before"}) {
		t.Errorf("got %q, want the frame as it was", got)
	}
}

func TestManyAppendersShareASync(t *testing.T) {
	d := newCrashFS()
	l := mustOpen(t, "log", Options{FS: d})
	mustPut(t, l, []byte("the segment is there"))
	hold, held := make(chan struct{}), make(chan struct{})
	l.Append(nil, func(Pos, error) { close(held); <-hold })
	<-held
	before := len(d.stepsFrom(0))
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		l.Append([]byte("x"), func(_ Pos, err error) {
			if err != nil {
				t.Error(err)
			}
			all.Done()
		})
	}
	close(hold)
	all.Wait()
	if got := d.stepsFrom(before); len(got) != 2 {
		t.Errorf("got %v, want one write and one sync", got)
	}
}

func TestDoneMayAppend(t *testing.T) {
	l := mustOpen(t, "log", Options{FS: newCrashFS()})
	finished := make(chan struct{})
	l.Append([]byte("1"), func(Pos, error) {
		l.Append([]byte("2"), func(_ Pos, err error) {
			if err != nil {
				t.Error(err)
			}
			close(finished)
		})
	})
	<-finished
}

func TestDoneInOrder(t *testing.T) {
	const appenders, each = 32, 200
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{SegmentBytes: 16 << 10, SyncInterval: time.Minute})
	var all sync.WaitGroup
	var last Pos // written by done functions only, of which one runs at a time
	for a := range appenders {
		all.Go(func() {
			next := 0
			var done sync.WaitGroup
			for i := range each {
				done.Add(1)
				l.Append(fmt.Appendf(nil, "%d of %d", i, a), func(pos Pos, err error) {
					if err != nil || pos <= last {
						t.Errorf("got place %v after %v and error %v", pos, last, err)
					}
					if i != next {
						t.Errorf("appender %d: frame %d is done, want %d", a, i, next)
					}
					last, next = pos, next+1
					done.Done()
				})
				l.Bytes()
				if i%50 == 49 {
					done.Wait()
					if err := l.Truncate(l.Oldest()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	mustClose(t, l)
	report, err := Check(dir, nil)
	if err != nil || report.Frames != appenders*each {
		t.Errorf("got %+v and error %v, want %d frames", report, err, appenders*each)
	}
}

func TestReplayComesBeforeAppend(t *testing.T) {
	l := mustOpen(t, "log", Options{FS: newCrashFS()})
	mustPut(t, l, []byte("x"))
	if err := l.Replay(ignore); !errors.Is(err, ErrAppended) {
		t.Errorf("got %v, want ErrAppended", err)
	}
	mustClose(t, l)
	if err := l.Replay(ignore); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	l = mustOpen(t, "log", Options{FS: l.options.FS})
	stop := errors.New("enough")
	if err := l.Replay(func(Pos, []byte) error { return stop }); err != stop {
		t.Errorf("got %v, want the error of the function", err)
	}
}

func TestClose(t *testing.T) {
	d := newCrashFS()
	l := mustOpen(t, "log", Options{FS: d, SyncInterval: time.Hour})
	done := 0
	for range 10 {
		l.Append([]byte("x"), func(_ Pos, err error) {
			if err != nil {
				t.Error(err)
			}
			done++
			l.Append([]byte("late"), func(_ Pos, err error) {
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		})
	}
	mustClose(t, l)
	if done != 10 {
		t.Errorf("got %d done after Close, want 10", done)
	}
	mustClose(t, l)
	var got error
	l.Append([]byte("x"), func(_ Pos, err error) { got = err })
	if !errors.Is(got, ErrClosed) {
		t.Errorf("append: got %v, want ErrClosed at once", got)
	}
	if err := l.Truncate(l.Next()); !errors.Is(err, ErrClosed) {
		t.Errorf("truncate: got %v, want ErrClosed", err)
	}
	left := d.powerCut(func() bool { return false })
	if got := texts(t, mustOpen(t, "log", Options{FS: left})); len(got) < 10 {
		t.Errorf("got %d frames after Close and a power cut, want 10 at least", len(got))
	}
}

func TestTruncateLetsGoOfWholeSegments(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{SegmentBytes: 4096})
	var all []Pos
	for range 20 {
		all = append(all, mustPut(t, l, make([]byte, 1500)))
	}
	if got := l.Segments(); got != 10 {
		t.Fatalf("got %d segments, want 10 of two frames", got)
	}
	bytesBefore := l.Bytes()
	if err := l.Truncate(all[5]); err != nil {
		t.Fatal(err)
	}
	if got := l.Oldest(); got != all[4] || l.Segments() != 8 {
		t.Errorf("got %v as the oldest of %d segments, want %v of 8: frame 5 is in that segment", got, l.Segments(), all[4])
	}
	if got, want := l.Bytes(), bytesBefore*8/10; got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
	names := readDir(t, dir)
	if !slices.Contains(names, spareName) || len(names) != 8+2 {
		t.Errorf("got files %q, want one that waits to become a segment again", names)
	}
	if err := l.Truncate(l.Next()); err != nil {
		t.Fatal(err)
	}
	if l.Segments() != 1 || l.Oldest() != all[18] {
		t.Errorf("got %v as the oldest of %d segments, want the last one left", l.Oldest(), l.Segments())
	}
	mustPut(t, l, make([]byte, 3000))
	if names := readDir(t, dir); slices.Contains(names, spareName) {
		t.Errorf("got files %q, want the spare used again", names)
	}
	mustClose(t, l)
	l = mustOpen(t, dir, Options{})
	if got := texts(t, l); len(got) != 3 {
		t.Errorf("got %d frames, want 3", len(got))
	}
	if l.Next() <= all[19] {
		t.Errorf("got %v as the next place, want it after %v", l.Next(), all[19])
	}
}

func readDir(t *testing.T, dir string) []string {
	t.Helper()
	names, err := System().ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPendingIsBounded(t *testing.T) {
	l := mustOpen(t, "log", Options{FS: newCrashFS(), PendingBytes: 4096})
	hold, held := make(chan struct{}), make(chan struct{})
	l.Append(nil, func(Pos, error) { close(held); <-hold })
	<-held
	var answered sync.WaitGroup
	accepted := 0
	for {
		full := make(chan error, 1)
		answered.Add(1)
		l.Append(make([]byte, 100), func(_ Pos, err error) {
			if err != nil {
				full <- err
			}
			answered.Done()
		})
		if len(full) > 0 {
			if err := <-full; !errors.Is(err, ErrFull) {
				t.Errorf("got %v, want ErrFull", err)
			}
			break
		}
		accepted++
	}
	if want := 4096/(112+entryBytes) + 1; accepted != want { // the last one fills it
		t.Errorf("got %d frames accepted, want %d", accepted, want)
	}
	close(hold)
	answered.Wait()
	mustPut(t, l, make([]byte, 100_000)) // alone, it may be larger
}

func TestLargeFrameGetsAFileOfItsOwn(t *testing.T) {
	d := newCrashFS()
	l := mustOpen(t, "log", Options{FS: d, SegmentBytes: 4096})
	large := bytes.Repeat([]byte("large"), 1<<20)
	mustPut(t, l, []byte("a"), large, []byte("b"))
	if got := l.Segments(); got != 3 {
		t.Errorf("got %d segments, want 3", got)
	}
	mustClose(t, l)
	if got := texts(t, mustOpen(t, "log", Options{FS: d})); len(got) != 3 || got[1] != string(large) {
		t.Errorf("got %d frames, want 3 and the large one as it was", len(got))
	}
}

func TestIntervalSyncsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCrashFS()
		l := mustOpen(t, "log", Options{FS: d, SyncInterval: time.Second})
		mustPut(t, l, []byte("1"))
		mustPut(t, l, []byte("2"))
		frames := func() int {
			l := mustOpen(t, "log", Options{FS: d.powerCut(func() bool { return false })})
			return len(texts(t, l))
		}
		time.Sleep(time.Second - 1)
		synctest.Wait()
		if got := frames(); got != 0 {
			t.Errorf("got %d frames durable before the interval is over, want 0", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := frames(); got != 2 {
			t.Errorf("got %d frames durable after the interval, want 2", got)
		}
		before := len(d.stepsFrom(0))
		time.Sleep(time.Hour)
		if got := d.stepsFrom(before); len(got) > 0 {
			t.Errorf("got %v while nothing was appended, want nothing", got)
		}
		mustClose(t, l)
	})
}

func TestNothingIsDoneAfterAFailure(t *testing.T) {
	for _, kind := range []string{"write", "sync", "syncdir", "create", "rename"} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
			t.Run(kind+" "+cause.Error(), func(t *testing.T) {
				d := newCrashFS()
				l := mustOpen(t, "log", Options{FS: d, SegmentBytes: 4096})
				mustPut(t, l, []byte("safe"))
				failed := false
				d.refuseWith(func(c change) (int, error) {
					if failed {
						t.Errorf("got %v after a failure, want nothing written any more", c)
					}
					if c.kind == kind {
						failed = true
						return 100, cause
					}
					return 0, nil
				})
				all := put(l, make([]byte, 1000), make([]byte, 4000), []byte("late"))
				all = append(all, put(l, []byte("later"))...)
				for i, a := range all {
					var stopped *StoppedError
					if a.err != nil && (!errors.As(a.err, &stopped) || !errors.Is(a.err, cause)) {
						t.Errorf("frame %d: got %v, want a StoppedError of %v", i, a.err, cause)
					}
					if i > 0 && a.err == nil && all[i-1].err != nil {
						t.Errorf("frame %d is done, and frame %d was not", i, i-1)
					}
				}
				if all[3].err == nil {
					t.Error("the last frame is done after a failure")
				}
				<-l.Stopped()
				if err := l.Truncate(l.Next()); !errors.Is(err, cause) {
					t.Errorf("truncate: got %v, want the failure", err)
				}
				if err := l.Close(); !errors.Is(err, cause) {
					t.Errorf("close: got %v, want the failure", err)
				}
				d.refuseWith(nil)
				if got := texts(t, mustOpen(t, "log", Options{FS: d})); len(got) == 0 || got[0] != "safe" {
					t.Errorf("got %d frames, want those that were done", len(got))
				}
			})
		}
	}
}

func TestFailedSyncOfAnIntervalIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCrashFS()
		l := mustOpen(t, "log", Options{FS: d, SyncInterval: time.Second})
		mustPut(t, l, []byte("x"))
		d.refuseWith(func(change) (int, error) { return 0, syscall.EIO })
		<-l.Stopped()
		if !errors.Is(l.Err(), syscall.EIO) {
			t.Errorf("got %v, want the failure", l.Err())
		}
		if a := put(l, []byte("y"))[0]; !errors.Is(a.err, syscall.EIO) {
			t.Errorf("got %+v, want the failure", a)
		}
		l.Close()
	})
}

func TestTruncateThatFailsKeepsTheSegments(t *testing.T) {
	d := newCrashFS()
	l := mustOpen(t, "log", Options{FS: d, SegmentBytes: 4096})
	mustPut(t, l, make([]byte, 3000), make([]byte, 3000), make([]byte, 3000))
	for _, kind := range []string{"rename", "remove"} {
		d.refuseWith(func(c change) (int, error) {
			if c.kind == kind {
				return 0, fs.ErrPermission
			}
			return 0, nil
		})
		before := l.Segments()
		if err := l.Truncate(l.Next()); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v, want the failure", err)
		}
		if kind == "rename" && l.Segments() != before {
			t.Errorf("got %d segments, want %d still", l.Segments(), before)
		}
	}
	d.refuseWith(nil)
	mustPut(t, l, []byte("goes on"))
	if err := l.Truncate(l.Next()); err != nil || l.Segments() != 1 {
		t.Errorf("got %d segments and error %v, want one left", l.Segments(), err)
	}
}

func TestOneProcessHasTheLog(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	mustPut(t, l, []byte("x"))
	_, err := Open(dir, Options{})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.File != filepath.Join(dir, lockName) {
		t.Errorf("got %v, want a LockedError that names this process", err)
	}
	wantText(t, said{err}, "open log: ", fmt.Sprintf("process %d has the log open", os.Getpid()))
	if _, err := Repair(dir); !errors.As(err, &locked) {
		t.Errorf("repair: got %v, want a LockedError", err)
	}
	if report, err := Check(dir, nil); err != nil || report.Frames != 1 {
		t.Errorf("check: got %+v and error %v, want it to read without the lock", report, err)
	}
	mustClose(t, l)
	mustOpen(t, dir, Options{})
}

// TestLockFileRemoved shows that a log which is open stays locked when somebody takes its
// lock file for the leftover of a crash and removes it.
func TestLockFileRemoved(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir, Options{})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != 0 {
		t.Errorf("got %v, want a LockedError without a number", err)
	}
	wantText(t, said{err}, "another process has the log open")
	mustClose(t, l)
	mustOpen(t, dir, Options{})
}

func TestOptionsOutOfRange(t *testing.T) {
	for _, o := range []Options{
		{SegmentBytes: 100}, {SegmentBytes: 2 << 30}, {PendingBytes: -1}, {SyncInterval: -1},
	} {
		o.FS = newCrashFS()
		if _, err := Open("log", o); err == nil || !strings.Contains(err.Error(), "must be") {
			t.Errorf("%+v: got %v, want what it must be", o, err)
		}
	}
}

func TestOpenWhereItCannot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file, Options{})
	wantText(t, said{err}, "open log: ", file, "not a directory")

	_, err = Open("log", Options{FS: refusing{newCrashFS(), fs.ErrPermission}})
	wantText(t, said{err}, "open log: ", "permission denied", "give this user the directory")
	_, err = Open("log", Options{FS: refusing{newCrashFS(), syscall.EROFS}})
	wantText(t, said{err}, "open log: ", "read-only file system", "mount it for writing")
	if _, err := Check(filepath.Join(file, "none"), nil); err == nil {
		t.Error("got no error for a log that is not there")
	}
}

// refusing is a file system on which nothing can be made.
type refusing struct {
	*crashFS
	err error
}

func (r refusing) MakeDir(dir string) error {
	return &fs.PathError{Op: "mkdir", Path: dir, Err: r.err}
}
