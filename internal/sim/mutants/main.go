// Command mutants shows that the simulation can fail: it builds the test binary of
// internal/sim once for each mistake that internal/sim/mutants.txt holds, runs it for up
// to a minute, and prints a table of what was noticed, when, and by which rule. It ends
// with an error when a mistake goes unnoticed or does not fit the sources any more.
//
// The sources are not touched: the compiler gets an overlay.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	limit := flag.Duration("time", time.Minute, "how long each mistake may stay unnoticed")
	only := flag.String("only", "", "try those whose name contains this")
	flag.Parse()
	if err := run(".", *limit, *only, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// mutant is one mistake.
type mutant struct {
	name, file string
	old, new   string
}

// parse reads mutants.txt.
func parse(text string) (all []mutant, err error) {
	for block := range strings.SplitSeq(text, "\n\n") {
		var m mutant
		for line := range strings.SplitSeq(block, "\n") {
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '<':
				m.old += line[1:] + "\n"
			case line[0] == '>':
				m.new += line[1:] + "\n"
			case m.name == "":
				m.name = line
			case m.file == "":
				m.file = line
			default:
				return nil, fmt.Errorf("mutants.txt: %q: this line begins with neither < nor >", line)
			}
		}
		switch {
		case m.name == "":
		case m.file == "" || m.old == "" || m.new == "":
			return nil, fmt.Errorf("mutants.txt: %q has no file, no old lines or no new ones", m.name)
		default:
			all = append(all, m)
		}
	}
	return all, nil
}

// apply returns the file with the mistake in it.
func (m *mutant) apply(source string) (string, error) {
	if n := strings.Count(source, m.old); n != 1 {
		return "", fmt.Errorf("mutants.txt: the old lines of %q stand in %s %d times, want once:\n%s", m.name, m.file, n, m.old)
	}
	return strings.Replace(source, m.old, m.new, 1), nil
}

func run(root string, limit time.Duration, only string, out io.Writer) error {
	text, err := os.ReadFile(filepath.Join(root, "internal/sim/mutants.txt"))
	if err != nil {
		return fmt.Errorf("%w (run this from the root of the module)", err)
	}
	all, err := parse(string(text))
	if err != nil {
		return err
	}
	sources := make([]string, len(all))
	var misfits error
	for i := range all { // all of them before the first, which takes a while
		source, err := os.ReadFile(filepath.Join(root, all[i].file))
		if err == nil {
			sources[i], err = all[i].apply(string(source))
		}
		misfits = errors.Join(misfits, err)
	}
	if misfits != nil {
		return misfits
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	missed := 0
	fmt.Fprintf(out, "%-68s %-8s %-8s %s\n", "mistake", "noticed", "after", "rule")
	for i := range all {
		if !strings.Contains(all[i].name, only) {
			continue
		}
		rule, after, err := try(root, dir, &all[i], sources[i], limit)
		if err != nil {
			return err
		}
		noticed := "yes"
		if rule == "" {
			noticed = "NO"
			missed++
		}
		fmt.Fprintf(out, "%-68s %-8s %-8s %s\n", all[i].name, noticed, after.Round(100*time.Millisecond), rule)
	}
	if missed > 0 {
		return fmt.Errorf("%d mistakes were not noticed", missed)
	}
	return nil
}

var violation = regexp.MustCompile(`(?m)^violation: (.*)$`)

// try runs the simulation with one mistake; rule is empty when it notices nothing.
func try(root, dir string, m *mutant, source string, limit time.Duration) (rule string, after time.Duration, err error) {
	original, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		return "", 0, err
	}
	copied, overlay, binary := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim.test")
	if err := os.WriteFile(copied, []byte(source), 0o600); err != nil {
		return "", 0, err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: copied}})
	if err != nil {
		return "", 0, err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return "", 0, err
	}
	build := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", binary, "./internal/sim")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return "", 0, fmt.Errorf("mutants.txt: %q does not compile: %w\n%s", m.name, err, output)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit+30*time.Second)
	defer cancel()
	simulate := exec.CommandContext(ctx, binary, "-test.run", "^TestSim$", "-test.v", "-simtime", limit.String())
	simulate.Dir = filepath.Join(root, "internal/sim")
	began := time.Now()
	output, err := simulate.CombinedOutput()
	after = time.Since(began)
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return "", 0, err
	}
	if found := violation.FindSubmatch(output); found != nil {
		return string(found[1]), after, nil
	}
	switch {
	case err == nil:
		return "", after, nil
	case strings.Contains(string(output), "hangs in step"), ctx.Err() != nil:
		return "the broker hangs", after, nil
	case strings.Contains(string(output), "deadlock"):
		return "goroutines left behind", after, nil
	case strings.Contains(string(output), "panic"):
		return "panic", after, nil
	}
	return "", after, fmt.Errorf("%q: the simulation has failed and named no rule:\n%s", m.name, output)
}
