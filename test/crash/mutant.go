package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mutant is a mistake that is made on purpose, to see that a run finds it.
type mutant struct {
	name     string
	finds    kind // the fault that a run must find
	replaced []replacement
}

// replacement is one text of a source file that the mutant has another one for.
type replacement struct {
	file     string // from the root of the module
	old, new string // whole lines
}

// readMutants reads a list of mutants. Its lines are
//
//	mutant NAME KIND   KIND is the fault that a run must find, such as lost
//	file PATH          a replacement begins
//	- LINE             a line that is taken out, as often as there are lines
//	+ LINE             a line that is put in
//
// and empty ones; a # begins a comment line.
func readMutants(text string) ([]mutant, error) {
	var mutants []mutant
	for i, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		var last *replacement
		if n := len(mutants); n > 0 && len(mutants[n-1].replaced) > 0 {
			last = &mutants[n-1].replaced[len(mutants[n-1].replaced)-1]
		}
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case word == "mutant" && strings.Contains(rest, " "):
			name, finds, _ := strings.Cut(rest, " ")
			mutants = append(mutants, mutant{name: name, finds: kind(finds)})
		case word == "file" && len(mutants) > 0:
			m := &mutants[len(mutants)-1]
			m.replaced = append(m.replaced, replacement{file: rest})
		case word == "-" && last != nil:
			last.old += rest + "\n"
		case word == "+" && last != nil:
			last.new += rest + "\n"
		default:
			return nil, fmt.Errorf("line %d has no meaning here: %q", i+1, line)
		}
	}
	return mutants, nil
}

// apply returns the text with the replacement made.
func (r replacement) apply(text string) (string, error) {
	text = "\n" + text // so that every line has a line end before it
	first := strings.Index(text, "\n"+r.old)
	if r.old == "" || first < 0 {
		return "", fmt.Errorf("%s does not have the lines %q: the list of mutants is out of date", r.file, r.old)
	}
	if strings.Contains(text[first+1:], "\n"+r.old) {
		return "", fmt.Errorf("%s has the lines %q more than once: the list of mutants does not say which", r.file, r.old)
	}
	return text[1:first+1] + r.new + text[first+1+len(r.old):], nil
}

// build builds the program with the mutant in it. The source stays as it is.
func (m *mutant) build(ctx context.Context, dir string) (binary string, err error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	changed := map[string]string{}
	for _, r := range m.replaced {
		if _, open := changed[r.file]; !open {
			b, err := os.ReadFile(r.file)
			if err != nil {
				return "", err
			}
			changed[r.file] = string(b)
		}
		if changed[r.file], err = r.apply(changed[r.file]); err != nil {
			return "", err
		}
	}
	for file, text := range changed {
		original, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		copied := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
			return "", err
		}
		overlay.Replace[original] = copied
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, b, 0o644); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "colibri-"+m.name)
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", list, "-o", binary, "./cmd/colibri")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mutant %s does not build: %w\n%s", m.name, err, out)
	}
	return binary, nil
}

// killMutants does a run with each mutant of a list, and returns an error when one of
// them is not found.
func killMutants(ctx context.Context, o options, list, only string, asJSON bool) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	mutants, err := readMutants(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	dir, err := os.MkdirTemp("", "colibri-mutant-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.discard = true
	var survivors []error
	for _, m := range mutants {
		if only != "" && m.name != only {
			continue
		}
		if o.binary, err = m.build(ctx, dir); err != nil {
			return err
		}
		out, err := do(ctx, o, asJSON)
		if err != nil {
			return err
		}
		n := out.countOfFaults[m.finds]
		if n == 0 {
			survivors = append(survivors, fmt.Errorf("mutant %s: no fault of the kind %q in %d kills", m.name, m.finds, out.kills))
			continue
		}
		fmt.Fprintf(os.Stderr, "crash: mutant %s is found: %d faults of the kind %q\n", m.name, n, m.finds)
	}
	return errors.Join(survivors...)
}
