//go:build unix && !linux

package hasher

import "golang.org/x/sys/unix"

// StayBehind has this process run when few others want to.
func StayBehind(int) { unix.Setpriority(unix.PRIO_PROCESS, 0, lowestPriority) }

func setName() {}
