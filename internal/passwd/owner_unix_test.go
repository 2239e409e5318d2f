//go:build unix

package passwd

import (
	"os"
	"syscall"
	"testing"
)

func ownerOf(t *testing.T, path string) [2]uint32 {
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	of := info.Sys().(*syscall.Stat_t)
	return [2]uint32{of.Uid, of.Gid}
}
