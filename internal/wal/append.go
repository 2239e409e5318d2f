package wal

import (
	"encoding/binary"
	"time"
)

// batch is what one commit writes.
type batch struct {
	records []byte // with heads that lack the place
	entries []entry
}

// entry is one call of Append.
type entry struct {
	bytes int // of its record
	pos   Pos // once it has one
	err   error
	done  func(Pos, error)
}

// entryBytes is what an entry counts against Options.PendingBytes beside its record.
const entryBytes = 64

// cost is what the batch counts against Options.PendingBytes.
func (b *batch) cost() int64 { return int64(len(b.records) + len(b.entries)*entryBytes) }

// add copies a frame into the batch.
func (b *batch) add(frame []byte, frameSum uint32) {
	b.records = binary.LittleEndian.AppendUint32(b.records, uint32(recordBytes+len(frame)))
	b.records = binary.LittleEndian.AppendUint32(b.records, frameSum)
	b.records = append(b.records, 0, 0, 0, 0)
	b.records = append(b.records, frame...)
}

// keptBytes is the largest buffer that an emptied batch keeps.
const keptBytes = 4 << 20

// reset empties the batch. Its memory is used again, unless a burst has made it large.
func (b *batch) reset() {
	clear(b.entries)
	b.records, b.entries = b.records[:0], b.entries[:0]
	if cap(b.records) > keptBytes {
		b.records = nil
	}
	if cap(b.entries)*entryBytes > keptBytes {
		b.entries = nil
	}
}

// Append appends a frame, which it copies before it returns, and calls done exactly once:
// with the frame's place when it is as safe as Options.SyncInterval says, or with an
// error. Append does not wait for the disk.
//
// All done functions are called in the order of the calls to Append, one after the
// other, by the goroutine that writes, so done should be short; it may call any method
// but Close. Two errors come at once instead, inside Append, out of that order: ErrFull, so
// that what waits stays bounded, and ErrClosed.
//
// ErrTooLarge refuses this frame only: nothing of it is written. A nil done says that nobody waits: the frame is
// written with the next one that somebody waits for, or within soonTime. After a *StoppedError, and with it, nothing is
// done successfully any more; whether the frame is in the log shows when it is opened again.
func (l *Log) Append(frame []byte, done func(Pos, error)) {
	size := int64(recordBytes) + int64(len(frame))
	frameSum := sum(frame)
	l.mu.Lock()
	l.appended = true
	e := entry{bytes: int(size), done: done, err: l.err}
	switch {
	case e.err != nil:
	case len(frame) > MaxFrameBytes:
		e.err = ErrTooLarge
	}
	if e.err != nil {
		size = 0
	}
	var refused error
	switch {
	case l.closing:
		refused = ErrClosed
	case l.pending.cost() >= l.options.PendingBytes:
		refused = ErrFull
	}
	if refused != nil {
		l.mu.Unlock()
		if done != nil {
			done(0, refused)
		}
		return
	}
	if e.err == nil {
		l.pending.add(frame, frameSum)
		l.bytes.Add(size)
	}
	l.pending.entries = append(l.pending.entries, e)
	if done == nil && l.pending.cost() < soonBytes {
		if !l.soon {
			l.soon = true
			time.AfterFunc(soonTime, l.hurry)
		}
		l.mu.Unlock()
		return
	}
	l.startWork()
}

const (
	soonTime  = 100 * time.Millisecond // how long a frame waits that nobody waits for
	soonBytes = 256 << 10              // and how much of them
)

// hurry has what waits written.
func (l *Log) hurry() {
	l.mu.Lock()
	l.soon = false
	if len(l.pending.entries) == 0 {
		l.mu.Unlock()
		return
	}
	l.startWork()
}

// startWork lets the committer write what is pending. It needs l.mu and unlocks it.
func (l *Log) startWork() {
	l.urgent = true
	idle := l.idle
	l.idle = false
	l.mu.Unlock()
	if idle {
		l.wakeUp()
	}
}

// wakeUp makes the committer look for work.
func (l *Log) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
