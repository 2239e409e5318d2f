//go:build unix && !linux

package hasher

import "golang.org/x/sys/unix"

// lowerPriority has this process run when few others want to.
func lowerPriority() { unix.Setpriority(unix.PRIO_PROCESS, 0, lowestPriority) }
