// Command conformance writes docs/CONFORMANCE.md: each normative statement of MQTT
// 5.0 and 3.1.1, what we do, and the tests that cover it. It runs in the root of the
// module.
//
//	go run ./internal/spec/conformance          write the file
//	go run ./internal/spec/conformance -check   fail when the file is out of date
//
// Both say how many of the statements that can be observed have a test, and which cannot
// be observed. Both fail when one that can has no test.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/spec"
)

// outputFile is the page that is written, seen from the root of the module.
const outputFile = "docs/CONFORMANCE.md"

// waiting holds the statements that may be without a test yet, and what they wait for. One
// that has a test must be taken out.
var waiting = map[string]string{}

func main() {
	check := flag.Bool("check", false, "fail when "+outputFile+" is out of date instead of writing it")
	flag.Parse()
	standards := []standard{
		{"MQTT 5.0", spec.Statements5()},
		{"MQTT 3.1.1", spec.Statements311()},
	}
	if err := run(".", standards, waiting, *check, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// run writes or checks the page of the module in root, prints the counts and the statements
// that cannot be observed to out, and fails when another statement has no test.
func run(root string, standards []standard, waiting map[string]string, check bool, out io.Writer) error {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return fmt.Errorf("no go.mod here: run it in the root of the module: %w", err)
	}
	covered, err := spec.Coverage(os.DirFS(root))
	if err != nil {
		return err
	}
	for _, s := range standards {
		fmt.Fprintln(out, s.summary(covered))
	}
	fmt.Fprintln(out, "Not observable:")
	for _, s := range standards {
		for _, statement := range s.unobservable() {
			reason, _ := spec.Unobservable(statement.ID)
			fmt.Fprintf(out, "  %s (%s): %s\n", statement.ID, statement.Short, reason)
		}
	}
	var problems []error
	for _, s := range standards {
		problems = append(problems, s.gaps(covered, waiting)...)
	}
	for _, id := range slices.Sorted(maps.Keys(waiting)) {
		if _, ok := spec.Lookup(id); !ok {
			problems = append(problems, fmt.Errorf("%s waits for %s and is no statement: take it out of the list", id, waiting[id]))
		}
	}
	problems = append(problems, writeOrCheck(filepath.Join(root, outputFile), page(standards, covered, waiting), check))
	return joined(problems)
}

// writeOrCheck writes the page, or compares it with the file.
func writeOrCheck(name, want string, check bool) error {
	if !check {
		return os.WriteFile(name, []byte(want), 0o644)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%s is out of date: run %s", outputFile, command)
	}
	return nil
}

// joined returns one error with a line for each problem; nil without any.
func joined(problems []error) error {
	var lines []string
	for _, err := range problems {
		if err != nil {
			lines = append(lines, err.Error())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}
