package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// findDisk sets an empty dir to a directory for temporary files whose content lies on a
// disk, and refuses one whose content lies in memory, as nothing is synced there.
func findDisk(dir *string) error {
	if *dir != "" {
		if inMemory(*dir) {
			return errors.New(*dir + " is in memory; name another with -disk DIR")
		}
		return nil
	}
	for _, each := range []string{os.TempDir(), "/var/tmp", "."} {
		if !inMemory(each) {
			*dir = each
			return nil
		}
	}
	return errors.New("all directories for temporary files are in memory; name one on a disk with -disk DIR")
}

func inMemory(dir string) bool { return slices.Contains([]string{"tmpfs", "ramfs"}, fileSystem(dir)) }

// fileSystem returns the kind of file system that holds dir, such as "ext4".
func fileSystem(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "unknown"
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	kind, longest := "unknown", 0
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		at := strings.TrimSuffix(fields[1], "/")
		if (dir == at || strings.HasPrefix(dir, at+"/")) && len(at)+1 >= longest { // the last mount on a place hides those before
			kind, longest = fields[2], len(at)+1
		}
	}
	return kind
}

// directoryBytes returns how large the files of dir are together.
func directoryBytes(dir string) (float64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		sum += float64(info.Size())
	}
	return sum, nil
}
