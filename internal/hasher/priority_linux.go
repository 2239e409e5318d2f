package hasher

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// StayBehind has all threads of this process run when few others want to, and on the last n of
// the processors it may use. On all of them it would be in the way of somebody who wakes,
// wherever that is: Linux does not stop it inside a system call or a page fault when it does not
// preempt. The policy SCHED_IDLE would be worse: Linux takes a processor with such a thread for
// an idle one, and wakes others there. What the system does not allow stays as it is.
//
// Linux has a priority for each thread, and gives it to those that a thread starts: so all are
// gone through until there is no new one.
func StayBehind(n int) {
	last, fewer := lastProcessors(n)
	behind := unix.SchedAttr{Size: unix.SizeofSchedAttr, Nice: lowestPriority, Runtime: uint64(slice)}
	done := make(map[int]bool)
	for again := true; again; {
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			unix.Setpriority(unix.PRIO_PROCESS, 0, lowestPriority)
			return
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], again = true, true
			unix.Setpriority(unix.PRIO_PROCESS, id, lowestPriority)
			unix.SchedSetAttr(id, &behind, 0)
			if fewer {
				unix.SchedSetaffinity(id, &last)
			}
		}
	}
}

// setName gives the process its name: it was started as /proc/self/exe, and tools would call it
// exe.
func setName() { os.WriteFile("/proc/self/comm", []byte("colibri"), 0) }

// slice is what Linux 6.12 and later let a thread run before another one that wakes may take
// its processor. The shortest possible; the default is about 3 ms.
const slice = 100 * time.Microsecond

// lastProcessors returns the n last processors of those this thread may use; false when it
// may not use more than these.
func lastProcessors(n int) (last unix.CPUSet, fewer bool) {
	var all unix.CPUSet
	if unix.SchedGetaffinity(0, &all) != nil || all.Count() <= n {
		return last, false
	}
	for cpu := len(all)*strconv.IntSize - 1; last.Count() < n; cpu-- {
		if all.IsSet(cpu) {
			last.Set(cpu)
		}
	}
	return last, true
}
