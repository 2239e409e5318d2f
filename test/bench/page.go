package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// replaceSection puts text between the marks of a section of the file, and leaves what is
// around it. A section that the file does not have yet is added at its end.
func replaceSection(file, name, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, []byte(withSection(string(old), name, text)), 0o644)
}

func withSection(page, name, text string) string {
	begin, end := fmt.Sprintf("<!-- %s: made by make bench -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		before, after = page+"\n", ""
	}
	return before + begin + text + end + after
}
