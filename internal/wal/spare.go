package wal

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// A process that has all the file descriptors which it may have cannot open a file: those
// who connect to a broker can bring that about, and go away again. It is no reason to stop
// a log, as nothing has been written. So a log that is open keeps its directory open, holds
// one more descriptor that it gives up for the next file, and waits a while for another.

// How long Open waits for a descriptor, and how long between two attempts.
const (
	descriptorWait  = 10 * time.Second
	descriptorPause = 5 * time.Millisecond
)

// outOfDescriptors reports whether the process, or the system, has too many open files.
func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// openFile opens a file, with the spare descriptor if there is no other.
func (s *system) openFile(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	for began := time.Now(); err != nil && outOfDescriptors(err); {
		if !s.giveSpare() {
			if time.Since(began) > descriptorWait {
				break
			}
			time.Sleep(descriptorPause)
		}
		f, err = os.OpenFile(name, flag, 0o600)
	}
	return f, err
}

// takeSpare opens the spare descriptor while a log is open, unless there is one. Without
// it Open works as well, as long as there are others.
func (s *system) takeSpare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spare == nil && len(s.held) > 0 {
		s.spare, _ = os.Open(os.DevNull)
	}
}

// giveSpare closes the spare descriptor; false when there is none.
func (s *system) giveSpare() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spare == nil {
		return false
	}
	s.spare.Close()
	s.spare = nil
	return true
}
