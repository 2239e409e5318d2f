package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri/internal/display"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/topics"
)

// The columns of the tree. What stands right of the names takes numberColumns.
const (
	leastNameColumns  = 12
	leastValueColumns = 16
	mostNameColumns   = 60 // where the line may be of any length
	numberColumns     = 27
)

// treeTable formats the rows of a tree.
type treeTable struct {
	rows  []*topics.Row
	width int // columns of a line; 0 for any number
	names int // columns of the names
	paint inspect.Paint
}

func newTreeTable(rows []*topics.Row, width int, paint inspect.Paint) *treeTable {
	t := &treeTable{rows: rows, width: width, names: leastNameColumns, paint: paint}
	limit := mostNameColumns
	if width > 0 {
		limit = max(leastNameColumns, width-numberColumns-leastValueColumns)
	}
	t.names = max(t.names, widest(rows, limit))
	return t
}

// widest returns how many columns the names of rows take, limit at most.
func widest(rows []*topics.Row, limit int) int {
	widest := 0
	for _, row := range rows {
		name := row.Name[:min(len(row.Name), utf8.UTFMax*limit)] // more is wider anyway
		if widest = max(widest, 2*row.Depth+display.Width(display.Safe(name))); widest >= limit {
			return limit
		}
	}
	return widest
}

// header returns the titles of the columns.
func (t *treeTable) header() string {
	return t.paint.Dim(t.fitted(display.Pad("topic", t.names) + " R   msg/s   count   age  value"))
}

// fitted cuts a line to the width.
func (t *treeTable) fitted(line string) string {
	if t.width > 0 {
		return display.Cut(line, t.width)
	}
	return line
}

// line returns row i.
func (t *treeTable) line(i int) string {
	row := t.rows[i]
	name := "(empty)"
	if row.Name != "" {
		name = display.Safe(row.Name)
	}
	indent := min(2*row.Depth, t.names/2)
	name = display.Pad(strings.Repeat(" ", indent)+display.Cut(name, t.names-indent), t.names)
	if row.Topic == nil {
		line := t.fitted(fmt.Sprintf("%s   %7s %7s %5s  %s", name, shortRate(row.Rate), "", "", counted(row.Below, "topic")))
		if rest, ok := strings.CutPrefix(line, name); ok {
			return name + t.paint.Dim(rest)
		}
		return line
	}
	retained := " "
	if row.Topic.Retained {
		retained = "R"
	}
	return t.fitted(fmt.Sprintf("%s %s %7s %7s %5s  %s", name, retained, shortRate(row.Rate), shortCount(row.Topic.Count), shortAge(row.Topic.Age), row.Topic.Value()))
}

// shortRate returns messages a second in 7 columns at most.
func shortRate(rate float64) string {
	switch {
	case rate == 0:
		return "0"
	case rate < 0.05:
		return "<0.1"
	case rate < 10_000:
		return fmt.Sprintf("%.1f", rate)
	}
	return shortCount(int(rate))
}

// shortCount returns a number in 7 columns at most.
func shortCount(n int) string {
	switch {
	case n < 1_000_000:
		return fmt.Sprint(n)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fG", float64(n)/1e9)
}

// shortAge returns seconds in 5 columns at most.
func shortAge(seconds float64) string {
	for _, unit := range []struct {
		seconds float64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if seconds >= unit.seconds {
			return fmt.Sprintf("%d%s", int(seconds/unit.seconds), unit.name)
		}
	}
	return fmt.Sprintf("%ds", int(seconds))
}
