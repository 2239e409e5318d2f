package wal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// FS is the part of an operating system that a log needs. Names are paths with the
// directory of the log before them.
type FS interface {
	// MakeDir makes a directory, and those above it, durably, unless it exists.
	MakeDir(dir string) error
	// ReadDir returns the names of all files in a directory, in any order.
	ReadDir(dir string) ([]string, error)
	// SyncDir makes durable which names a directory holds.
	SyncDir(dir string) error
	// Open opens a file; flag is os.O_RDONLY or os.O_RDWR, with os.O_CREATE and os.O_TRUNC.
	Open(name string, flag int) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// Lock creates a file and locks it, and its directory, against all other calls of Lock
	// until the result is closed or the process ends. If another has it, that is a
	// *LockedError.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the file's content and size durable.
	Sync() error
}

// System returns the file system of the operating system.
func System() FS { return &system{} }

// system is the file system of the operating system. Directories and files that it
// makes are for their owner only.
type system struct {
	mu    sync.Mutex             // a leaf
	held  map[string]*systemLock // of the logs that are open, by directory
	spare *os.File               // see openFile; nil without one
}

func (*system) MakeDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncParents(dir)
}

func (*system) ReadDir(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (s *system) SyncDir(dir string) error {
	s.mu.Lock()
	held := s.held[filepath.Clean(dir)]
	s.mu.Unlock()
	if held != nil && held.dir != nil {
		return held.dir.Sync()
	}
	return syncDir(dir)
}

func (s *system) Open(name string, flag int) (File, error) {
	f, err := s.openFile(name, flag)
	if err != nil {
		return nil, err
	}
	return systemFile{f, s}, nil
}

func (*system) Rename(from, to string) error { return os.Rename(from, to) }

func (*system) Remove(name string) error { return os.Remove(name) }

type systemFile struct {
	*os.File
	system *system
}

// Close closes the file, and lets the spare descriptor have its place if there is none.
func (f systemFile) Close() error {
	err := f.File.Close()
	f.system.takeSpare()
	return err
}

func (f systemFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f systemFile) Sync() error { return syncData(f.File) }
