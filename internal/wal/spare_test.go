//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package wal

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// takeDescriptors opens files until this process may not open any more, and returns them.
// The limit is low until the test ends.
func takeDescriptors(t *testing.T) (taken []*os.File) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range taken {
			f.Close()
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	for {
		f, err := os.Open(os.DevNull)
		if outOfDescriptors(err) {
			return taken
		}
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, f)
	}
}

// TestLogWithoutDescriptors shows that a log goes on, begins files and lets go of them,
// while others have all descriptors.
func TestLogWithoutDescriptors(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{SegmentBytes: minSegmentBytes})
	mustPut(t, l, make([]byte, 1000))
	takeDescriptors(t)
	for range 30 {
		mustPut(t, l, make([]byte, 3000))
		if l.Segments() > 4 {
			if err := l.Truncate(l.Next()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Err(); err != nil {
		t.Error(err)
	}
}

// TestSpareDescriptor shows what Open does without a descriptor: it uses the spare one, has
// another once a file is closed, and waits when there is none.
func TestSpareDescriptor(t *testing.T) {
	dir := t.TempDir()
	s := System()
	lock, err := s.Lock(filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	taken := takeDescriptors(t)
	open := func() File {
		f, err := s.Open(filepath.Join(dir, freshName), os.O_RDWR|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for range 3 {
		if err := open().Close(); err != nil {
			t.Error(err)
		}
		if f, err := os.Open(os.DevNull); err == nil {
			t.Error("others get the place of the file that was closed")
			f.Close()
		}
	}
	f := open() // the spare one is gone
	time.AfterFunc(2*descriptorPause, func() { taken[0].Close() })
	open().Close()
	f.Close()
}
