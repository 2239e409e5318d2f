package wal

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// record is a frame and its place.
type record struct {
	pos   Pos
	frame []byte
}

// replayed returns all that a log holds.
func replayed(l *Log) ([]record, error) {
	var all []record
	err := l.Replay(func(pos Pos, frame []byte) error {
		all = append(all, record{pos, bytes.Clone(frame)})
		return nil
	})
	return all, err
}

// sameRecords compares places and frames.
func sameRecords(a, b []record) bool {
	return slices.EqualFunc(a, b, func(a, b record) bool { return a.pos == b.pos && bytes.Equal(a.frame, b.frame) })
}

// places lists the places of records, to be printed.
func places(all []record) string {
	var b bytes.Buffer
	for _, r := range all {
		fmt.Fprintf(&b, " %v+%d", r.pos, len(r.frame))
	}
	return b.String()
}

// life is what one process has done with a log, and what it had been told after each
// step of its file system.
type life struct {
	trace   []change
	records []record // all that were appended
	told    []promise
}

// promise is what holds after a step.
type promise struct {
	done    int // so many records were done
	synced  int // so many had been done before the last Sync
	oldest  Pos // Truncate has let go of all before
	keeping int // Truncate was not asked to let go of records from this one on
}

// workload appends batches of frames of many sizes, the next from within the done of the
// last, so that each is one commit and every run takes the same steps; and lets go of
// segments now and then.
func workload(t *testing.T, o Options) life {
	t.Helper()
	d := newCrashFS()
	o.FS = d
	var (
		lived life
		now   promise
	)
	d.notify = func(c change) {
		if c.kind == "sync" {
			now.synced = now.done
		}
		lived.told = append(lived.told, now)
	}
	l, err := Open("log", o)
	if err != nil {
		t.Fatal(err)
	}
	batches := []int{1, 1, 3, 1, 2, 5, 1, 1, 4, 1, 2, 1, 6, 1, 1, 3}
	sizes := []int{300, 1, 488, 500, 501, 0, 700, 1500, 20, 499, 5000, 12, 512, 3}
	finished, most := make(chan struct{}), 0
	var appendBatch func()
	appendBatch = func() {
		if len(batches) == 0 {
			close(finished)
			return
		}
		n := batches[0]
		batches = batches[1:]
		for i := range n {
			at := len(lived.records)
			frame := bytes.Repeat([]byte{byte(at + 1)}, sizes[at%len(sizes)])
			lived.records = append(lived.records, record{frame: frame})
			l.Append(frame, func(pos Pos, err error) {
				if err != nil {
					t.Error(err)
				}
				lived.records[at].pos = pos
				now.done++
				if i < n-1 {
					return
				}
				most = max(most, l.Segments())
				if len(batches)%4 == 0 {
					now.keeping = max(at-7, 0)
					if err := l.Truncate(lived.records[now.keeping].pos); err != nil {
						t.Error(err)
					}
					now.oldest = l.Oldest()
				}
				appendBatch()
			})
		}
	}
	appendBatch()
	<-finished
	if most < 3 {
		t.Errorf("got at most %d segments at a time, want more", most)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	lived.trace = d.trace
	return lived
}

// recovered is a log that was opened after a crash.
type recovered struct {
	log     *Log
	records []record
}

// recover opens the log after a crash of a life in which that had been promised, and
// checks that what was promised is there, in order, and nothing else.
func (lived *life) recover(d *crashFS, told promise, safe int, o Options) (*recovered, error) {
	o.FS = d
	l, err := Open("log", o)
	if err != nil {
		return nil, err
	}
	got, err := replayed(l)
	if err != nil {
		return nil, err
	}
	from := 0
	if len(got) > 0 {
		from = slices.IndexFunc(lived.records, func(r record) bool { return r.pos == got[0].pos })
	} else if safe > told.keeping {
		return nil, fmt.Errorf("the log is empty, and %d records were safe", safe)
	}
	switch upTo := from + len(got); {
	case from < 0 || upTo > len(lived.records) || !sameRecords(got, lived.records[from:upTo]):
		return nil, fmt.Errorf("got what was not appended:%s", places(got))
	case len(got) > 0 && from > told.keeping:
		return nil, fmt.Errorf("begins with record %d, and was told to keep from %d on", from, told.keeping)
	case len(got) > 0 && got[0].pos < told.oldest:
		return nil, fmt.Errorf("begins at %v, and all before %v had gone", got[0].pos, told.oldest)
	case len(got) > 0 && upTo < safe:
		return nil, fmt.Errorf("ends before record %d, and %d were safe", upTo, safe)
	}
	if told.done > 0 && l.Next() <= lived.records[told.done-1].pos {
		return nil, fmt.Errorf("goes on at %v, and %v had been given away", l.Next(), lived.records[told.done-1].pos)
	}
	return &recovered{l, got}, nil
}

// goOn appends to a recovered log and closes it.
func (r *recovered) goOn() ([]record, error) {
	all := slices.Clone(r.records)
	var failed error
	for i := range 3 {
		frame := bytes.Repeat([]byte{0xEE}, 600*i)
		r.log.Append(frame, func(pos Pos, err error) {
			if err != nil {
				failed = err
			}
			if len(all) > 0 && pos <= all[len(all)-1].pos {
				failed = fmt.Errorf("got place %v after %v", pos, all[len(all)-1].pos)
			}
			all = append(all, record{pos, frame})
		})
	}
	if err := r.log.Close(); err != nil {
		return nil, err
	}
	return all, failed
}

// crashModes are how a log can be used when it crashes.
var crashModes = []struct {
	name    string
	options Options
}{
	{"a sync each commit", Options{SegmentBytes: 4096}},
	{"a sync now and then", Options{SegmentBytes: 4096, SyncInterval: time.Hour}},
}

// safe returns how many records a power cut must leave.
func (o Options) safe(told promise) int {
	if o.SyncInterval == 0 {
		return told.done
	}
	return told.synced
}

func TestCrashAtEveryByte(t *testing.T) {
	for _, mode := range crashModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			lived := workload(t, mode.options)
			d := newCrashFS()
			var told promise
			seed := uint64(0)
			for step, c := range lived.trace {
				for taken := range max(len(c.data), 1) {
					if taken%101 > 0 && c.data[taken-1] == c.data[taken] {
						continue // within the zeroes, or a frame: alike
					}
					before := d
					if taken > 0 {
						before = d.clone()
						part := c
						part.data = c.data[:taken]
						before.apply(part)
					}
					for _, way := range cuts {
						seed++
						after := way.cut(before, seed)
						safe := mode.options.safe(told)
						if way.name == "kill -9" {
							safe = told.done
						}
						if err := checkRecovery(&lived, after, told, safe, mode.options); err != nil {
							t.Fatalf("%s before step %d (%v), %d bytes of it written, seed %d: %v", way.name, step, c, taken, seed, err)
						}
					}
				}
				d.apply(c)
				told = lived.told[step]
			}
		})
	}
}

// checkRecovery opens the log, goes on with it, and opens it again.
func checkRecovery(lived *life, d *crashFS, told promise, safe int, o Options) error {
	r, err := lived.recover(d, told, safe, o)
	if err != nil {
		return err
	}
	want, err := r.goOn()
	if err != nil {
		return err
	}
	o.FS = d
	l, err := Open("log", o)
	if err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	defer l.Close()
	got, err := replayed(l)
	if err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	if torn := l.Torn(); torn != nil {
		return fmt.Errorf("opened again, and it was closed well: torn: %v", torn)
	}
	if !sameRecords(got, want) {
		return fmt.Errorf("opened again: got%s, want%s", places(got), places(want))
	}
	return nil
}

// TestCrashInRecovery crashes a second time while the log is opened and used again. What
// the first recovery has shown must be there in the second. No sector is ruined, since
// recovery writes some again.
func TestCrashInRecovery(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for _, mode := range crashModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			lived := workload(t, mode.options)
			d := newCrashFS()
			var told promise
			seed := uint64(0)
			for step, c := range lived.trace {
				if len(c.data) > 1 { // the first crash is in the middle of a write
					part := c
					part.data = c.data[:len(c.data)/2]
					d.apply(part)
				}
				if step%stride == 0 {
					for _, first := range cuts[:4] {
						seed++
						between := first.cut(d, seed)
						if err := crashAgain(&lived, between, told, seed); err != nil {
							t.Fatalf("%s at step %d (%v), then %v", first.name, step, c, err)
						}
					}
				}
				d.apply(c)
				told = lived.told[step]
			}
		})
	}
}

// crashAgain opens the log on a file system, goes on, and crashes after each step of that.
func crashAgain(lived *life, between *crashFS, told promise, seed uint64) error {
	start := between.clone()
	base := 0 // what is safe was checked by TestCrashAtEveryByte
	r, err := lived.recover(between, told, base, Options{SegmentBytes: 4096})
	if err != nil {
		return err
	}
	opened := len(between.trace)
	all, err := r.goOn()
	if err != nil {
		return err
	}
	for step, c := range between.trace {
		start.apply(c)
		for _, second := range cuts[1:4] {
			seed++
			after := second.cut(start, seed)
			l, err := Open("log", Options{FS: after})
			if err != nil {
				return fmt.Errorf("%s after step %d (%v): %w", second.name, step, c, err)
			}
			got, err := replayed(l)
			l.Close()
			if err != nil {
				return fmt.Errorf("%s after step %d (%v): %w", second.name, step, c, err)
			}
			if step+1 < opened {
				continue
			}
			if len(got) < len(r.records) || len(got) > len(all) || !sameRecords(got, all[:len(got)]) {
				return fmt.Errorf("%s after step %d (%v): got%s, want%s", second.name, step, c, places(got), places(all))
			}
		}
	}
	return nil
}

// TestFailedSyncLosesWhatItShows is what Linux does: after a failed sync it shows what was
// written, and takes it for synced although the disk does not have it. Whoever opens the
// log then sees frames, and what was seen must survive a power cut.
func TestFailedSyncLosesWhatItShows(t *testing.T) {
	for _, lost := range []int{2000, 5000} { // in the first segment, and alone in one that it fills
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			d := newCrashFS()
			l := mustOpen(t, "log", Options{FS: d, SegmentBytes: 4096})
			mustPut(t, l, []byte("safe"))
			d.refuseWith(func(c change) (int, error) {
				if c.kind == "sync" && filepath.Ext(c.name) == suffix {
					d.files[c.file].since = nil
					return 0, syscall.EIO
				}
				return 0, nil
			})
			if a := put(l, bytes.Repeat([]byte("x"), lost))[0]; a.err == nil {
				t.Error("got a frame done after a failed sync")
			}
			l.Close()
			d.refuseWith(nil)
			l = mustOpen(t, "log", Options{FS: d})
			seen := texts(t, l)
			mustPut(t, l, []byte("goes on"))
			after := d.powerCut(func() bool { return false })
			got := texts(t, mustOpen(t, "log", Options{FS: after}))
			if want := append(seen, "goes on"); len(seen) != 2 || !slices.Equal(got, want) {
				t.Errorf("got %d frames after the power cut, want the %d that were seen before and one more", len(got), len(seen))
			}
		})
	}
}
