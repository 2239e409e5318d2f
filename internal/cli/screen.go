package cli

import (
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// screen is a whole terminal on which lines are shown in place of those before. It knows no
// colours, and nothing that a terminal over ssh would not.
type screen struct {
	out   *os.File
	quit  chan struct{} // closed when the person has typed q or Ctrl-C
	in    *os.File      // nil when it is no terminal
	state *term.State
	once  sync.Once
}

// openScreen takes over the terminal until close, and reads what is typed on in if that is one.
func openScreen(in io.Reader, out *os.File) *screen {
	s := &screen{out: out, quit: make(chan struct{})}
	if file := plainFile(in); file != nil && term.IsTerminal(int(file.Fd())) {
		if state, err := term.MakeRaw(int(file.Fd())); err == nil {
			s.in, s.state = file, state
			go s.read()
		}
	}
	io.WriteString(s.out, "\x1b[?1049h\x1b[?25l") // another screen than the person's, without a cursor
	return s
}

// read ends with the process: nothing ends the Read of a terminal.
func (s *screen) read() {
	typed := make([]byte, 16)
	for {
		n, err := s.in.Read(typed)
		if err != nil {
			return
		}
		if strings.ContainsAny(string(typed[:n]), "qQ\x03") {
			close(s.quit)
			return
		}
	}
}

// size returns the columns and rows that there are now.
func (s *screen) size() (columns, rows int) {
	columns, rows, err := term.GetSize(int(s.out.Fd()))
	if err != nil || columns < 20 || rows < 5 {
		return 80, 24
	}
	return columns, rows
}

// show puts lines in place of what is there. They hold nothing but text and fit.
func (s *screen) show(lines []string) {
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	io.WriteString(s.out, b.String())
}

// close gives the terminal back as it was.
func (s *screen) close() {
	s.once.Do(func() {
		io.WriteString(s.out, "\x1b[?25h\x1b[?1049l")
		if s.in != nil {
			term.Restore(int(s.in.Fd()), s.state)
		}
	})
}
