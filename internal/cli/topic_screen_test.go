package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri/internal/display"
	"github.com/colibri-mqtt/colibri/internal/topics"
)

// treeOf returns the rows of a tree of these topics, whose payloads are their places.
func treeOf(names ...string) []*topics.Row {
	start := time.Unix(0, 0)
	l := topics.NewLive(1000, start, true)
	for i, name := range names {
		l.Add(start, name, []byte(fmt.Sprint("value ", i)), 0, i == 0)
	}
	return l.Rows(start.Add(90 * time.Second))
}

func TestScreenLines(t *testing.T) {
	s := &treeScreen{}
	view := &treeView{title: "tcp://localhost:1883  '#'", rows: treeOf("maison/salon/température", "maison/a\x1b[2J", "x"), notes: []string{"3 topics."}}
	want := []string{
		"tcp://localhost:1883  '#'",
		"topic           R   msg/s   count   age  value",
		"maison                  0                2 topics",
		"  a␛[2J                 0       1    1m  value 1",
		"  salon                 0                1 topic",
		"    température R       0       1    1m  value 0",
		"x                       0       1    1m  value 2",
		"", "",
		"3 topics.",
		"q ends, arrows and Page Up/Down scroll; rows 1-5 of 5.",
	}
	if diff := cmp.Diff(want, s.lines(view, 80, 11)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	view.away = true
	if lines := s.lines(view, 80, 24); lines[23] != "The connection to the broker was lost; trying again until it is back. q ends." {
		t.Errorf("away: got %q", lines[23])
	}
	view.away, view.status = false, "The connection to the broker is back."
	if lines := s.lines(view, 80, 24); lines[23] != view.status {
		t.Errorf("back: got %q", lines[23])
	}
	if lines := s.lines(&treeView{}, 80, 24); !strings.HasPrefix(lines[23], "Nothing has come yet") {
		t.Errorf("empty: got %q", lines[23])
	}
}

// TestScreenFits holds that every size of a terminal is kept to.
func TestScreenFits(t *testing.T) {
	rows := treeOf(strings.Repeat("long/", 40)+"é", strings.Repeat("温", 200), "a/b", strings.Repeat("x", 300)+"/y")
	for width := 1; width < 200; width += 7 {
		for height := 1; height < 40; height += 3 {
			s := &treeScreen{}
			lines := s.lines(&treeView{title: strings.Repeat("t", 300), rows: rows, notes: []string{strings.Repeat("n", 300)}}, width, height)
			if len(lines) != height {
				t.Fatalf("%dx%d: got %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if display.Width(line) > width {
					t.Fatalf("%dx%d: a line takes %d columns: %q", width, height, display.Width(line), line)
				}
			}
		}
	}
}

func TestScreenScrolls(t *testing.T) {
	s := &treeScreen{}
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("t%02d", i))
	}
	view := &treeView{rows: treeOf(names...), notes: []string{"note"}}
	s.lines(view, 80, 8) // four rows fit
	for _, step := range []struct {
		key   key
		first string
	}{{keyUp, "t00"}, {keyDown, "t01"}, {keyPageDown, "t05"}, {keyUp, "t04"}, {keyPageUp, "t00"}, {keyBottom, "t16"}, {keyDown, "t16"}, {keyTop, "t00"}} {
		s.scroll(step.key)
		if got := s.lines(view, 80, 8)[2][:3]; got != step.first {
			t.Errorf("after key %d: got %s at the top, want %s", step.key, got, step.first)
		}
	}
	s.scroll(keyBottom)
	view.rows = view.rows[:2]
	if got := s.lines(view, 80, 8)[2][:3]; got != "t00" {
		t.Errorf("when there are fewer rows: got %s at the top", got)
	}
}

func TestSplitKeys(t *testing.T) {
	for text, want := range map[string][]key{
		"q":                  {keyQuit},
		"\x03":               {keyQuit},
		"jk":                 {keyDown, keyUp},
		"\x1b[A\x1b[B":       {keyUp, keyDown},
		"\x1b[5~\x1b[6~":     {keyPageUp, keyPageDown},
		"\x1b[1;5q":          nil, // another key, whose last byte is a q
		"\x1b[1;5Cq":         {keyQuit},
		"x\x1b":              nil,
		"\x1b[":              nil,
		"\xff\x00é温":         nil,
		"\x1bOA\x1b[H\x1b[F": {keyUp, keyTop, keyBottom},
	} {
		if got := splitKeys(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// TestScreenDraw shows that a screen is one write, and that a terminal that is gone is
// noticed.
func TestScreenDraw(t *testing.T) {
	w := &countingWriter{}
	s := &treeScreen{screen: &screen{w: w, size: func() (int, int) { return 40, 6 }}}
	if !s.draw(&treeView{title: "x"}) || w.writes != 1 || !strings.HasPrefix(w.text.String(), "\x1b[H\x1b[Kx\r\n") || strings.Count(w.text.String(), "\n") != 5 {
		t.Errorf("got %d writes: %q", w.writes, w.text.String())
	}
	s.close()
	s.close()
	if got := w.text.String(); strings.Count(got, leaveScreen) != 1 {
		t.Errorf("after close twice: got %q", got)
	}
	w.err = errors.New("gone")
	if s.draw(&treeView{}) {
		t.Error("a write that fails is not noticed")
	}
}

type countingWriter struct {
	text   strings.Builder
	writes int
	err    error
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.writes++
	w.text.Write(b)
	return len(b), w.err
}

func TestStatusLine(t *testing.T) {
	w := &countingWriter{}
	s := &statusLine{w: w}
	fmt.Fprintln(s, "before")
	s.hold()
	fmt.Fprintln(s, "meanwhile")
	if got := s.line(time.Hour); got != "meanwhile" {
		t.Errorf("got %q, want meanwhile", got)
	}
	if got := s.line(0); got != "" {
		t.Errorf("old news: got %q, want nothing", got)
	}
	s.release()
	fmt.Fprintln(s, "after")
	if got := w.text.String(); got != "before\nafter\n" {
		t.Errorf("standard error: got %q", got)
	}
}

func TestShortNumbers(t *testing.T) {
	for got, want := range map[string]string{
		shortRate(0): "0", shortRate(0.01): "<0.1", shortRate(3.14): "3.1", shortRate(12_345): "12345", shortRate(1e7): "10.0M",
		shortCount(999_999): "999999", shortCount(1_200_000): "1.2M", shortCount(3_000_000_000): "3.0G",
		shortAge(0.9): "0s", shortAge(59): "59s", shortAge(61): "1m", shortAge(7200): "2h", shortAge(200_000): "2d",
	} {
		if got != want || len(got) > 7 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
