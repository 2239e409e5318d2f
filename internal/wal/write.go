package wal

import (
	"fmt"
	"math"
	"os"
	"time"
)

// aheadBytes is how far a segment is zeroed ahead of its records. To sync a write into
// blocks that exist and have been written takes half the time of one that changes the
// file's size or its map of blocks.
const aheadBytes = 1 << 20

var zeroes [aheadBytes]byte

// writer writes the segment at the end. Only the committer uses it.
type writer struct {
	log   *Log
	file  File // nil before the first record
	of    segment
	seed  uint32
	end   int64     // of what is written
	since time.Time // when the first write after the last sync was; zero when all is synced
}

// write writes a batch, and syncs it unless there is an interval for that. It gives each
// entry its place.
func (w *writer) write(b *batch) error {
	from, to := 0, 0 // the part of b.records that goes into this segment in one write
	start := w.start()
	for i := range b.entries {
		e := &b.entries[i]
		if e.err != nil {
			continue
		}
		at := start + int64(to-from)
		if w.file == nil || at > headerBytes && at+int64(e.bytes) > w.log.options.SegmentBytes {
			if err := w.put(b.records[from:to], start); err != nil {
				return err
			}
			if err := w.roll(); err != nil {
				return err
			}
			from, start = to, w.start()
			at = start
		}
		seal(b.records[to:], w.seed, at, to == from && w.since.IsZero())
		e.pos = w.of.pos(at)
		to += e.bytes
	}
	if err := w.put(b.records[from:to], start); err != nil {
		return err
	}
	if w.log.options.SyncInterval == 0 {
		return w.sync()
	}
	return nil
}

// start returns where the next record goes: after a sync, into a sector of its own.
func (w *writer) start() int64 {
	if w.since.IsZero() {
		return nextSector(w.end)
	}
	return w.end
}

// put writes records at an offset, and zeroes ahead of them.
func (w *writer) put(records []byte, at int64) error {
	if len(records) == 0 {
		return nil
	}
	if _, err := w.file.WriteAt(records, at); err != nil {
		return err
	}
	if w.since.IsZero() {
		w.since = time.Now()
	}
	gap := at - w.end
	w.end = at + int64(len(records))
	if err := w.zeroAhead(); err != nil {
		return err
	}
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes.Add(gap)
	l.next = w.of.pos(w.end)
	last := l.volume.last()
	last.end, last.size = w.end, w.of.size
	return nil
}

// zeroAhead makes the file larger when its records have come to the end of it. Only
// Close lets a file end with its last record; settleFile relies on that.
func (w *writer) zeroAhead() error {
	if w.end < w.of.size {
		return nil
	}
	ahead := max(min(aheadBytes, w.log.options.SegmentBytes-w.end), sectorBytes)
	if _, err := w.file.WriteAt(zeroes[:ahead], w.end); err != nil {
		return err
	}
	w.of.size = w.end + ahead
	return nil
}

// sync makes all that is written durable.
func (w *writer) sync() error {
	if w.since.IsZero() {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.since = time.Time{}
	return nil
}

// due returns in how long the next sync must be, and false when there is nothing to sync.
func (w *writer) due() (time.Duration, bool) {
	if w.since.IsZero() {
		return 0, false
	}
	return w.log.options.SyncInterval - time.Since(w.since), true
}

// roll ends the segment and begins the next. Its header is durable before its name is,
// and its name before a record is in it: a segment whose header is bad is damaged, and
// none is lost.
func (w *writer) roll() error {
	if err := w.finish(); err != nil {
		return err
	}
	l := w.log
	l.mu.Lock()
	v := l.volume
	next := segment{number: 1, salt: l.salt, end: headerBytes}
	if last := v.last(); last != nil {
		next.number, next.before, next.endedAt = last.number+1, last.number, last.end
	}
	again := v.spare == ready
	if again {
		v.spare = inUse
	}
	l.mu.Unlock()
	if next.number == 0 || next.endedAt > math.MaxUint32 {
		return fmt.Errorf("%s: no segment can follow segment %d", l.dir, next.before)
	}

	file, flag := v.path(freshName), os.O_RDWR|os.O_CREATE|os.O_TRUNC
	if again {
		file, flag = v.path(spareName), os.O_RDWR
	}
	next.zeroed = !again
	var err error
	if next.size, err = w.prepare(&next, file, flag); err != nil {
		return err
	}
	name := v.file(&next)
	if err := v.fs.Rename(file, name); err != nil {
		return err
	}
	if err := v.fs.SyncDir(v.dir); err != nil {
		return err
	}
	if w.file, err = v.fs.Open(name, os.O_RDWR); err != nil {
		return err
	}
	w.of, w.seed, w.end = next, next.seed(), headerBytes
	l.mu.Lock()
	defer l.mu.Unlock()
	v.segments = append(v.segments, next)
	l.bytes.Add(headerBytes)
	l.next = next.pos(headerBytes)
	if again {
		v.spare = absent
	}
	return nil
}

// prepare writes the header of a segment into a file and returns the file's size.
func (w *writer) prepare(s *segment, name string, flag int) (int64, error) {
	f, err := w.log.volume.fs.Open(name, flag)
	if err != nil {
		return 0, err
	}
	if _, err = f.WriteAt(s.header(), 0); err == nil {
		err = f.Sync()
	}
	var size int64
	if err == nil {
		size, err = f.Size()
	}
	if err != nil {
		f.Close()
		return 0, err
	}
	return size, f.Close()
}

// finish syncs and closes the segment.
func (w *writer) finish() error {
	if w.file == nil {
		return nil
	}
	if err := w.sync(); err != nil {
		return err
	}
	f := w.file
	w.file = nil
	return f.Close()
}

// close finishes the segment and cuts off what is zeroed, so that the next Open need not
// look there. After a failure it only closes the file.
func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	if w.log.Err() != nil {
		return w.file.Close()
	}
	if err := w.sync(); err != nil {
		w.file.Close()
		return err
	}
	if err := w.file.Truncate(w.end); err != nil {
		w.file.Close()
		return err
	}
	return w.finish()
}
