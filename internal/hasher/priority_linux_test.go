package hasher

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlace asks the system where the threads of the process may run, and with which priority.
func TestPlace(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	var s said
	h := newHasher(t, &s, "serve")
	if right, err := h.Match(dear(t), []byte(secret)); !right || err != nil {
		t.Fatalf("got %v, %v", right, err)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", h.process.Load().command.Process.Pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("got no threads, %v", err)
	}
	for _, task := range tasks {
		var id int
		fmt.Sscan(filepath.Base(task), &id)
		var place unix.CPUSet
		if err := unix.SchedGetaffinity(id, &place); err != nil {
			t.Fatal(err)
		}
		if want := 1; place.Count() != want {
			t.Errorf("thread %d may use %d processors, want %d", id, place.Count(), want)
		}
		if nice, err := unix.Getpriority(unix.PRIO_PROCESS, id); err != nil || 20-nice != lowestPriority {
			t.Errorf("thread %d has nice %d, %v, want %d", id, 20-nice, err, lowestPriority)
		}
	}
	if len(s.lines) > 0 {
		t.Errorf("said %q", s.all())
	}
}

// TestLastProcessors looks at which ones are chosen.
func TestLastProcessors(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if _, fewer := lastProcessors(all.Count()); fewer {
		t.Errorf("all %d processors are fewer than there are", all.Count())
	}
	for n := 1; n < all.Count(); n++ {
		last, fewer := lastProcessors(n)
		if !fewer || last.Count() != n {
			t.Fatalf("%d of %d: got %d, %v", n, all.Count(), last.Count(), fewer)
		}
		left := 0
		for cpu := 0; !last.IsSet(cpu); cpu++ {
			if all.IsSet(cpu) {
				left++
			}
		}
		if left != all.Count()-n {
			t.Errorf("%d of %d: %d processors are before the first one chosen, want %d", n, all.Count(), left, all.Count()-n)
		}
	}
}
