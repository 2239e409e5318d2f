package wal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Pos is the place of a frame: the number of its segment in the upper 32 bits, the
// offset in that file in the lower. A later frame has a greater one, and none is ever
// used again, not even that of a frame which a crash has taken. 0 is no place.
type Pos uint64

// String returns "segment/offset".
func (p Pos) String() string { return fmt.Sprintf("%d/%d", p>>32, uint32(p)) }

// Segment returns the number of the segment.
func (p Pos) Segment() uint32 { return uint32(p >> 32) }

// File returns the name of the segment's file in the directory of the log.
func (p Pos) File() string { return segmentName(p.Segment()) }

// Offset returns where in the file the record begins, in bytes.
func (p Pos) Offset() int64 { return int64(uint32(p)) }

// Limits of Options.
const (
	minSegmentBytes = 4 << 10
	maxSegmentBytes = 1 << 30
)

// Options are what a Log can be told. The zero value is good.
type Options struct {
	// SegmentBytes is how large a file gets, 4 KiB to 1 GiB, by default 64 MiB; a larger
	// frame gets a file of its own. Truncate lets go of whole files.
	SegmentBytes int64
	// PendingBytes is how much may wait to be written, by default 64 MiB. As much again
	// may be on its way to the disk. While so much waits, an Append gets ErrFull.
	PendingBytes int64
	// SyncInterval is 0 when a frame is done once it survives a power cut. Otherwise it
	// is done once it survives the end of the process, and a sync follows within that time.
	SyncInterval time.Duration
	// FS is where the log lies; nil is the operating system.
	FS FS
}

func (o *Options) setDefaults() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes > maxSegmentBytes {
		return fmt.Errorf("SegmentBytes is %d: it must be %d to %d", o.SegmentBytes, minSegmentBytes, maxSegmentBytes)
	}
	if o.PendingBytes == 0 {
		o.PendingBytes = 64 << 20
	}
	if o.PendingBytes < 0 {
		return fmt.Errorf("PendingBytes is %d: it must be positive", o.PendingBytes)
	}
	if o.SyncInterval < 0 {
		return fmt.Errorf("SyncInterval is %v: it must be 0 or positive", o.SyncInterval)
	}
	if o.FS == nil {
		o.FS = &system{}
	}
	return nil
}

// Log is an open log. Its methods may be called from any goroutine, but Close not from
// a done function.
type Log struct {
	options Options
	dir     string
	lock    io.Closer
	torn    *Torn
	salt    uint64
	wake    chan struct{} // tells the committer that it is no longer idle
	ended   chan struct{} // closed when the committer has ended
	stopped chan struct{} // closed when err is set

	cut sync.Mutex // held by Truncate and Close, over I/O; taken before mu

	mu       sync.Mutex // never held over I/O or a done function
	volume   *volume    // its segments include the one that is written
	pending  batch
	bytes    atomic.Int64 // in the segments, and what is on the way there; changed under mu
	next     Pos          // all frames that are written lie before
	idle     bool         // the committer sleeps
	urgent   bool         // somebody waits for what is pending, or it has waited long enough
	soon     bool         // a timer will make it urgent
	appended bool         // Append was called
	closing  bool
	err      error // *StoppedError after a failure

	writer writer // the committer's own
}

// Open opens the log in a directory, which it creates if need be, and takes its lock. It
// reads the header of each segment and all of the last. It changes nothing but the end
// of that: what a crash has left of a write that was never done is cut; see Torn.
//
// Errors are *LockedError, *CorruptError, *VersionError, those of the operating system
// and, for Options out of range, a plain one.
func Open(dir string, o Options) (*Log, error) {
	l, err := open(dir, o)
	if err != nil {
		return nil, openError(err)
	}
	go l.commit()
	return l, nil
}

func open(dir string, o Options) (*Log, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if err := o.FS.MakeDir(dir); err != nil {
		return nil, err
	}
	v := &volume{fs: o.FS, dir: dir}
	lock, err := o.FS.Lock(v.path(lockName))
	if err != nil {
		return nil, err
	}
	l := &Log{
		options: o, dir: dir, lock: lock,
		wake: make(chan struct{}, 1), ended: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := l.load(); err != nil {
		lock.Close()
		return nil, err
	}
	return l, nil
}

// load finds out what the directory holds and settles the end.
func (l *Log) load() error {
	// A name that a process before has changed and not synced would otherwise come back
	// after a power cut, for a file that has become something else.
	if err := l.options.FS.SyncDir(l.dir); err != nil {
		return err
	}
	v, err := load(l.options.FS, l.dir)
	if err != nil {
		return err
	}
	if l.torn, err = v.settle(); err != nil {
		return err
	}
	l.volume = v
	for i := range v.segments {
		l.bytes.Add(v.segments[i].end)
	}
	following := segment{number: 1}
	if last := v.last(); last != nil {
		if last.number == math.MaxUint32 {
			return fmt.Errorf("%s: has the last number there is: move the directory away and begin an empty log", v.file(last))
		}
		following.number, l.salt = last.number+1, last.salt
	} else {
		var b [8]byte
		rand.Read(b[:]) // never fails
		l.salt = binary.LittleEndian.Uint64(b[:])
	}
	l.next = following.pos(headerBytes)
	return nil
}

// Torn returns what Open has cut off the end; nil when nothing had to be.
func (l *Log) Torn() *Torn { return l.torn }

// Replay calls fn for each frame that the log held when it was opened, oldest first, and
// must be called before the first Append. The frame is valid until fn returns. An error
// of fn ends Replay and is returned as it is; others are *CorruptError and those of the
// operating system.
func (l *Log) Replay(fn func(Pos, []byte) error) error {
	l.cut.Lock() // no segment goes meanwhile
	defer l.cut.Unlock()
	l.mu.Lock()
	switch {
	case l.closing:
		l.mu.Unlock()
		return ErrClosed
	case l.appended:
		l.mu.Unlock()
		return ErrAppended
	}
	v := *l.volume
	l.mu.Unlock()
	for i := range v.segments {
		if _, err := v.scan(i, fn); err != nil {
			return err
		}
	}
	return nil
}

// Bytes returns what the segments hold, headers included and with what waits to be
// written. The files can be larger by one spare segment and by what is zeroed ahead, up to
// 1 MiB.
func (l *Log) Bytes() int64 {
	return l.bytes.Load()
}

// Segments returns the number of files that hold frames.
func (l *Log) Segments() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.volume.segments)
}

// Oldest returns a place before which there is no frame.
func (l *Log) Oldest() Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.volume.segments) == 0 {
		return l.next
	}
	return l.volume.segments[0].pos(headerBytes)
}

// Next returns a place before which all frames lie that are written, and none that is
// appended from now on.
func (l *Log) Next() Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Stopped returns a channel that is closed when a write or a sync has failed; Err says why.
func (l *Log) Stopped() <-chan struct{} { return l.stopped }

// Err returns the *StoppedError that all appends get since a write or a sync has failed;
// nil before.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// stop sets the error that ends the Log's work. The first one counts.
func (l *Log) stop(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = &StoppedError{err}
		close(l.stopped)
	}
	return l.err
}

// Close writes and syncs what is pending, waits until all of it is done, and gives the
// lock back. It returns the error that has stopped the Log, if any. Closing again does
// nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.wakeUp()
	<-l.ended
	l.cut.Lock()
	defer l.cut.Unlock()
	if l.lock == nil {
		return l.Err()
	}
	err := l.lock.Close()
	l.lock = nil
	if stopped := l.Err(); stopped != nil {
		return stopped
	}
	return err
}
