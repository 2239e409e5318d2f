package hasher

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lowerPriority has this process run when few others want to. The policy SCHED_IDLE would be
// worse: Linux takes a processor with such a thread for an idle one, wakes others there, and has them
// wait for the next tick when it does not preempt. Linux has a priority for each
// thread, and gives it to those that a thread starts: so all are gone through until there is no
// new one. What is not allowed stays as it is. The process gets its name too: it was started as
// /proc/self/exe, and tools would call it exe.
func lowerPriority() {
	os.WriteFile("/proc/self/comm", []byte("colibri"), 0)
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
		}
	}
}
