//go:build unix

package cli

import (
	"math"
	"syscall"
)

// descriptorsOfProcess returns how many file descriptors this process may have; 0 when that
// is not known. The Go runtime has raised the limit as far as this user may.
func descriptorsOfProcess() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0
	}
	return uint64(limit.Cur)
}
