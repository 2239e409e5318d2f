package wal

import (
	"errors"
	"os"
	"syscall"
)

// sharingViolation is what Windows answers when another has a file open.
const sharingViolation = syscall.Errno(32)

// openLocked opens a file that others may only read while it is open; nil when another
// has it.
func openLocked(name string) (*os.File, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ,
		nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(handle), name), nil
}

// lockDir does nothing: a file that is open, as the lock file is, cannot be removed here.
func lockDir(string) (f *os.File, taken bool, err error) { return nil, false, nil }
