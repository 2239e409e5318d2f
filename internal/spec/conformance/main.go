// Command conformance writes docs/CONFORMANCE.md: each normative statement of MQTT
// 5.0 and 3.1.1 with the tests that cover it. It runs in the root of the module.
//
//	go run ./internal/spec/conformance          write the file
//	go run ./internal/spec/conformance -check   fail when the file is out of date
//
// Both say how many statements have a test.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/colibri-mqtt/colibri/internal/spec"
)

// outputFile is the page that is written, seen from the root of the module.
const outputFile = "docs/CONFORMANCE.md"

func main() {
	check := flag.Bool("check", false, "fail when "+outputFile+" is out of date instead of writing it")
	flag.Parse()
	if err := run(".", *check, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// run writes or checks the page of the module in root and prints the counts to out.
func run(root string, check bool, out io.Writer) error {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return fmt.Errorf("no go.mod here: run it in the root of the module: %w", err)
	}
	covered, err := spec.Coverage(os.DirFS(root))
	if err != nil {
		return err
	}
	standards := []standard{
		{"MQTT 5.0", spec.Statements5()},
		{"MQTT 3.1.1", spec.Statements311()},
	}
	for _, s := range standards {
		fmt.Fprintln(out, s.summary(covered))
	}
	want, name := page(standards, covered), filepath.Join(root, outputFile)
	if check {
		got, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if string(got) != want {
			return fmt.Errorf("%s is out of date: run %s", outputFile, command)
		}
		return nil
	}
	return os.WriteFile(name, []byte(want), 0o644)
}
