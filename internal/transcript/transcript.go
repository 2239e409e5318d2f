// Package transcript is the form of test that reads as prose: testdata/*.txt holds lines
// that go in, and indented below each what came out.
package transcript

import (
	"bufio"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// Run plays every testdata/*.txt as a subtest. start is called for each file; what it
// returns is called with the words of each line that is neither empty, nor indented, nor
// begins with #, and returns what the line leads to, line by line. A file that differs
// from what came out fails the test, or with -update is rewritten.
func Run(t *testing.T, start func(t *testing.T) (call func(words []string) string)) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts: got %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(string(text), start(t))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("%s differs (-want +got), -update rewrites it:\n%s", file, diff)
			}
		})
	}
}

// play returns text with the outcome of each line in place of the old one.
func play(text string, call func(words []string) string) string {
	var out strings.Builder
	for in := bufio.NewScanner(strings.NewReader(text)); in.Scan(); {
		line := in.Text()
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		for result := range strings.Lines(call(strings.Fields(line))) {
			out.WriteString("    " + result)
		}
	}
	return out.String()
}
