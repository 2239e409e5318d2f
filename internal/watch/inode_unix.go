//go:build unix

package watch

import (
	"io/fs"
	"syscall"
)

// inode tells two files with the same name, size and time apart; 0 where it is not known.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
