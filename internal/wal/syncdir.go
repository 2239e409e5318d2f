//go:build !windows

package wal

import (
	"os"
	"path/filepath"
)

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// syncParents makes durable that dir and the directories above it exist. Of those
// above, one that this user may not read was not made by us just now.
func syncParents(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		if err := syncDir(parent); err != nil && !os.IsPermission(err) {
			return err
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}
