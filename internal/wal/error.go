package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Refusals of one frame. The Log goes on, and a later frame may pass.
var (
	// ErrFull refuses a frame because too much waits to be written already.
	ErrFull = errors.New("the log is slower than its appenders: too much waits to be written")
	// ErrTooLarge refuses a frame of more than MaxFrameBytes.
	ErrTooLarge = errors.New("the frame is larger than the log can hold")
)

// Misuse of a Log.
var (
	// ErrClosed answers everything after Close.
	ErrClosed = errors.New("the log is closed")
	// ErrAppended answers Replay after the first Append.
	ErrAppended = errors.New("the log is read before the first append only")
)

// CorruptError says that what had been written and synced is not there as it was.
// Nothing is repaired: the segment, or the whole log, comes back from a copy, or the
// operator decides to give it up.
type CorruptError struct {
	File   string
	Offset int64 // in bytes
	Reason string
}

// Error names file and offset.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s, offset %d: %s: the log is damaged; bring the file back from a copy, or move the directory away and begin an empty log",
		e.File, e.Offset, e.Reason)
}

// VersionError says that a segment is of another format.
type VersionError struct {
	File    string
	Version uint32 // of the file; this package writes and reads 1
}

// Error names the file and both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s: has format %d and this program reads format %d: use the program that wrote it", e.File, e.Version, formatVersion)
}

// LockedError says that another process, or another Log of this one, has the directory.
type LockedError struct {
	PID  int // 0 when the holder has not written it yet, or the lock file was removed
	File string
}

// Error names the holder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: %s has the log open: stop it, or use another directory", e.File, e.Holder())
}

// Holder names the process: by its number, or as "another process" where that is not known.
func (e *LockedError) Holder() string {
	if e.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d", e.PID)
}

// StoppedError is what every append gets after a write or a sync has failed: what the
// disk holds is not known any more, so nothing is promised until the log is opened again.
type StoppedError struct {
	Err error // the failure, as the operating system has told it
}

// Error says what failed and, for the usual causes, what to do.
func (e *StoppedError) Error() string {
	return fmt.Sprintf("the log has stopped and records nothing more: %v%s", e.Err, advice(e.Err))
}

// Unwrap returns the failure.
func (e *StoppedError) Unwrap() error { return e.Err }

// advice returns what to do about an error of the operating system, from a colon on;
// empty when the error says it all.
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return ": make room on the disk and start again"
	case errors.Is(err, syscall.EROFS):
		return ": the file system can only be read; mount it for writing or use another directory"
	case errors.Is(err, fs.ErrPermission):
		return ": give this user the directory and its files, for reading and writing"
	}
	return ""
}

// openError wraps a failure to open a log.
func openError(err error) error {
	return fmt.Errorf("open log: %w%s", err, advice(err))
}
