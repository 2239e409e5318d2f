//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package wal

import (
	"os"
	"syscall"
)

// openLocked opens and locks a file; nil when another has it.
func openLocked(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = flock(f); err == nil {
		return f, nil
	}
	f.Close()
	if err == syscall.EWOULDBLOCK {
		return nil, nil
	}
	return nil, &os.PathError{Op: "flock", Path: name, Err: err}
}

// lockDir opens and locks a directory; taken is true when another has it. On a file system
// where only files can be locked, such as some over a network, it opens it only.
func lockDir(dir string) (f *os.File, taken bool, err error) {
	if f, err = os.Open(dir); err != nil {
		return nil, false, err
	}
	if flock(f) == syscall.EWOULDBLOCK {
		f.Close()
		return nil, true, nil
	}
	return f, false, nil
}

func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EINTR {
			return err
		}
	}
}
