package wal

import (
	"io"
	"os"
	"strconv"
	"strings"
)

// lockName is the file that says who has the log open. It stays when the log is
// closed: only the system's lock on it counts.
const lockName = "lock"

// Lock locks a file with the operating system's lock and writes the process id into it.
func (system) Lock(name string) (io.Closer, error) {
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
