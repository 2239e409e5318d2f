package sim

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	simTime = flag.Duration("simtime", 0, "how long TestSim runs; 0: a fixed number of seeds")
	simLog  = flag.Bool("simlog", false, "give the broker a Log in every other run")
	simSeed = flag.Uint64("simseed", 0, "the one seed that TestSim runs, again and again; 0: many")
)

// TestSim runs seed after seed.
func TestSim(t *testing.T) {
	Recorded = *simLog
	var total Counts
	seeds, steps := 0, 0
	began, told := time.Now(), time.Now()
	first := uint64(1)
	if *simTime > 0 {
		first = uint64(began.Unix())
	}
	more := func() bool {
		switch {
		case *simTime > 0:
			return time.Since(began) < *simTime
		case *simSeed > 0:
			return seeds < 20
		}
		return seeds < 40
	}
	for seed := first; more() && !t.Failed(); seed++ {
		if *simSeed > 0 {
			seed = *simSeed
		}
		result := runWatched(t, seed)
		seeds++
		steps += result.Steps
		total.Add(result.Counts)
		if *simTime > 0 && time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stdout, "%v: %d seeds, %d steps, %d operations\n", time.Since(began).Round(time.Second), seeds, steps, total.Total())
		}
	}
	t.Logf("%d seeds from %d on, %d steps, %d operations: %s", seeds, first, steps, total.Total(), &total)
}

// runWatched runs a seed, and gives up when it hangs.
func runWatched(t *testing.T, seed uint64) Result {
	watchdog := time.AfterFunc(30*time.Second, func() {
		panic(fmt.Sprintf("seed %d hangs in step %d", seed, Progress.Load()))
	})
	defer watchdog.Stop()
	return Run(t, seed, func(v *Violation) {
		t.Errorf("%v", v)
		fmt.Fprintln(os.Stdout, "violation:", v.Rule)
	})
}

// TestSeeds runs the seeds that have failed before.
func TestSeeds(t *testing.T) {
	text, err := os.ReadFile("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		seed, err := strconv.ParseUint(line, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runWatched(t, seed)
	}
}
