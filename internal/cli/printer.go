package cli

import (
	"fmt"
	"io"
	"math/rand/v2"
)

// printer writes received messages to standard output as the options say. It is not
// safe for concurrent use. What it writes stays in the buffer of out until that is
// flushed.
type printer struct {
	out     *output
	stderr  io.Writer
	options *options
	line    []byte         // reused for each message
	rows    map[string]int // with --watch: the line of the screen of each topic
}

func newPrinter(out *output, stderr io.Writer, o *options) *printer {
	p := &printer{out: out, stderr: stderr, options: o}
	if o.watch {
		p.rows = map[string]int{}
		p.out.write([]byte("\x1b[2J\x1b[H")) // clear the screen
	}
	return p
}

// print writes one message, unless the options hide it.
func (p *printer) print(m received) {
	o := p.options
	if o.randomFilter < 100 && rand.Float64()*100 >= o.randomFilter {
		return
	}
	p.line = p.line[:0]
	if p.rows != nil {
		row, known := p.rows[m.Topic]
		if !known {
			row = len(p.rows) + 1
			p.rows[m.Topic] = row
		}
		p.line = fmt.Appendf(p.line, "\x1b[%d;1H\x1b[2K", row) // to the topic's line, and empty it
	}
	if !p.appendMessage(m) {
		return
	}
	switch {
	case p.rows != nil:
		p.line = fmt.Appendf(p.line, "\x1b[%d;1H", len(p.rows)+1)
	case !o.noEOL:
		p.line = append(p.line, '\n')
	}
	p.out.write(p.line)
}

// appendMessage adds m to the line without its end. It returns false if there is
// nothing to print.
func (p *printer) appendMessage(m received) bool {
	o := p.options
	switch {
	case o.format != nil:
		start := len(p.line)
		var err error
		if p.line, err = o.format.append(p.line, m, o.pretty); err == nil {
			return true
		}
		if !o.quiet {
			p.out.flush()
			fmt.Fprintf(p.stderr, "Error: %s.\n", capitalised(err.Error()))
		}
		return len(p.line) > start
	case len(m.Payload) > 0:
		if o.verbose {
			p.line = append(append(p.line, m.Topic...), ' ')
		}
		p.line = append(p.line, m.Payload...)
	case o.verbose && !o.noEOL:
		p.line = append(append(p.line, m.Topic...), " (null)"...)
	default:
		return false
	}
	return true
}
