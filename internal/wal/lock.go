package wal

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockName is the file that says who has the log open. It stays when the log is
// closed: only the system's locks count, on it and, where the system has that, on its
// directory. Somebody may take the file for the leftover of a crash and remove it.
const lockName = "lock"

// systemLock is what a log that is open holds.
type systemLock struct {
	system *system
	name   string   // of the directory
	dir    *os.File // open for SyncDir, and locked if the file system can do that; nil where that means nothing
	file   *os.File
}

func (l *systemLock) Close() error {
	l.system.mu.Lock()
	delete(l.system.held, l.name)
	left := len(l.system.held)
	l.system.mu.Unlock()
	if left == 0 {
		l.system.giveSpare()
	}
	if l.dir != nil {
		l.dir.Close()
	}
	return l.file.Close()
}

// Lock locks a directory and a file with the operating system's locks and writes the
// process id into the file.
func (s *system) Lock(name string) (io.Closer, error) {
	l := &systemLock{system: s, name: filepath.Dir(name)}
	var taken bool
	var err error
	if l.dir, taken, err = lockDir(l.name); err != nil {
		return nil, err
	}
	if taken {
		return nil, &LockedError{PID: holder(name), File: name}
	}
	if l.file, err = lockFile(name); err != nil {
		if l.dir != nil {
			l.dir.Close()
		}
		return nil, err
	}
	s.mu.Lock()
	if s.held == nil {
		s.held = make(map[string]*systemLock)
	}
	s.held[l.name] = l
	s.mu.Unlock()
	s.takeSpare()
	return l, nil
}

// lockFile locks a file and writes the process id into it.
func lockFile(name string) (*os.File, error) {
	f, err := openLocked(name)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, &LockedError{PID: holder(name), File: name}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// holder returns the process id in a lock file; 0 when there is none.
func holder(name string) int {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || id < 0 {
		return 0
	}
	return id
}
