package config

import (
	"fmt"
	"strings"
)

// Error is a mistake in a file, or something in it that cannot be honoured.
type Error struct {
	File string
	Line int    // from 1; 0 when the mistake is not in one line
	Key  string // the option; empty when there is none
	Text string // in plain words, without a full stop
}

// Error returns "file:line: text".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// nearest returns the name of the option that was probably meant by typed, or "".
func nearest(typed string) string {
	typed = strings.ToLower(typed)
	best, limit := "", max(2, 1+len(typed)/3)
	for i := range options {
		for _, name := range options[i].names {
			if d := distance(typed, name, limit); d < limit {
				best, limit = name, d
			}
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace to turn a into b. It
// stops at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, cost)
		}
	}
	return row[len(b)]
}
