package cli

import (
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// What is sent to a terminal: another page than the person's, without a cursor and without
// breaking lines, and back to the old one.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// screen is a whole terminal on which lines are shown in place of those before. It sends
// nothing that a terminal over ssh would not know. It is not safe for concurrent use.
type screen struct {
	w     io.Writer
	size  func() (columns, rows int) // that there are now
	keys  chan key                   // what is typed
	in    *os.File                   // nil when it is no terminal
	state *term.State
	once  sync.Once
}

// openScreen takes over the terminal until close, and reads what is typed on in if that is one.
func openScreen(in io.Reader, out *os.File) *screen {
	s := &screen{w: out, keys: make(chan key), size: func() (columns, rows int) {
		columns, rows, err := term.GetSize(int(out.Fd()))
		if err != nil || columns < 1 || rows < 1 {
			return 80, 24
		}
		return columns, rows
	}}
	if file := plainFile(in); file != nil && term.IsTerminal(int(file.Fd())) {
		if state, err := term.MakeRaw(int(file.Fd())); err == nil {
			s.in, s.state = file, state
			go s.read()
		}
	}
	io.WriteString(s.w, enterScreen)
	return s
}

// read ends with the process: nothing ends the Read of a terminal.
func (s *screen) read() {
	typed := make([]byte, 64)
	for {
		n, err := s.in.Read(typed)
		for _, k := range splitKeys(string(typed[:n])) {
			s.keys <- k
		}
		if err != nil {
			return
		}
	}
}

// show puts lines, as many as the terminal has, in place of what is there, in one write.
// They hold nothing but text and colours. It returns false when that has failed.
func (s *screen) show(lines []string) bool {
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		// Emptied before and not behind the text: behind a full line the cursor stands on
		// its last character.
		b.WriteString("\x1b[K" + line)
	}
	_, err := io.WriteString(s.w, b.String())
	return err == nil
}

// close gives the terminal back as it was. It may be called again.
func (s *screen) close() {
	s.once.Do(func() {
		io.WriteString(s.w, leaveScreen)
		if s.in != nil {
			term.Restore(int(s.in.Fd()), s.state)
		}
	})
}

// key is what a person has typed.
type key int

const (
	keyQuit key = iota + 1
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyTop
	keyBottom
)

// typedKeys are the keys by what terminals send for them.
var typedKeys = map[string]key{
	"q": keyQuit, "Q": keyQuit, "\x03": keyQuit, "\x04": keyQuit,
	"k": keyUp, "\x1b[A": keyUp, "\x1bOA": keyUp, "j": keyDown, "\x1b[B": keyDown, "\x1bOB": keyDown,
	"\x1b[5~": keyPageUp, "b": keyPageUp, "\x1b[6~": keyPageDown, " ": keyPageDown,
	"g": keyTop, "\x1b[H": keyTop, "\x1b[1~": keyTop, "G": keyBottom, "\x1b[F": keyBottom, "\x1b[4~": keyBottom,
}

// splitKeys finds the keys in what a terminal has sent; what it does not know it skips.
func splitKeys(text string) []key {
	var found []key
	for text != "" {
		length := 1
		for n := min(len(text), 4); n > 0; n-- {
			if k, ok := typedKeys[text[:n]]; ok {
				found, length = append(found, k), n
				break
			}
		}
		if length == 1 && strings.HasPrefix(text, "\x1b[") { // another key, to its last byte
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
			length = len(text)
			if end >= 0 {
				length = 3 + end
			}
		}
		text = text[length:]
	}
	return found
}
