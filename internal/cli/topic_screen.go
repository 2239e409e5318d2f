package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri/internal/display"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/topics"
)

// treeScreen is a screen with a tree that scrolls. It is not safe for concurrent use.
type treeScreen struct {
	*screen
	paint inspect.Paint

	first int // the row at the top
	rows  int // that there were
	page  int // rows that fit
}

// scroll moves the rows as a key says.
func (s *treeScreen) scroll(k key) {
	switch k {
	case keyUp:
		s.first--
	case keyDown:
		s.first++
	case keyPageUp:
		s.first -= s.page
	case keyPageDown:
		s.first += s.page
	case keyTop:
		s.first = 0
	case keyBottom:
		s.first = s.rows
	}
	s.first = max(0, min(s.first, s.rows-s.page))
}

// treeView is what the screen shows.
type treeView struct {
	title  string
	rows   []*topics.Row
	notes  []string
	status string // a sentence about the connection, while it is news
	away   bool   // the connection is lost
}

// draw redraws the screen. It returns false when that has failed.
func (s *treeScreen) draw(v *treeView) bool {
	width, height := s.size()
	return s.show(s.lines(v, width, height))
}

// lines returns the lines of the screen, height at most, each of width columns at most.
func (s *treeScreen) lines(v *treeView, width, height int) []string {
	table := newTreeTable(v.rows, width, s.paint)
	plain := func(text string) string { return table.fitted(display.Safe(text)) }
	top := []string{s.paint.Bold(plain(v.title)), table.header()}
	var bottom []string
	for _, note := range v.notes {
		bottom = append(bottom, plain(note))
	}
	s.rows, s.page = len(v.rows), max(1, height-len(top)-len(bottom)-1)
	s.first = max(0, min(s.first, s.rows-s.page))
	last := min(s.first+s.page, s.rows)
	switch {
	case v.away:
		bottom = append(bottom, s.paint.Wrong(plain("The connection to the broker was lost; trying again until it is back. q ends.")))
	case v.status != "":
		bottom = append(bottom, plain(v.status))
	case s.rows == 0:
		bottom = append(bottom, plain("Nothing has come yet: Retained Messages come at once, others as they are published. q ends."))
	default:
		bottom = append(bottom, s.paint.Dim(plain(fmt.Sprintf("q ends, arrows and Page Up/Down scroll; rows %d-%d of %d.", s.first+1, last, s.rows))))
	}
	lines := top
	for i := s.first; i < last; i++ {
		lines = append(lines, table.line(i))
	}
	for len(lines)+len(bottom) < height {
		lines = append(lines, "")
	}
	lines = append(lines, bottom...)
	if len(lines) > height { // of a very low terminal the end counts: it says how to get out
		lines = lines[len(lines)-height:]
	}
	return lines
}

// statusLine is standard error, but for the time in which a screen is drawn: then it keeps
// the last sentence for the screen. Safe for concurrent use.
type statusLine struct {
	mu   sync.Mutex
	w    io.Writer
	held bool
	text string
	at   time.Time // of text
}

// Write implements io.Writer.
func (s *statusLine) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return s.w.Write(b)
	}
	s.text, s.at = strings.TrimSpace(string(b)), time.Now()
	return len(b), nil
}

func (s *statusLine) hold()    { s.set(true) }
func (s *statusLine) release() { s.set(false) }

func (s *statusLine) set(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
}

// line returns the sentence that was kept, if it is not older than age.
func (s *statusLine) line(age time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) > age {
		return ""
	}
	return s.text
}
