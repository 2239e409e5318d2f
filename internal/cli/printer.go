package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
)

// printer writes received messages to standard output as the options say. It is not
// safe for concurrent use. What it writes stays in a buffer until flush.
type printer struct {
	out     *bufio.Writer
	stderr  io.Writer
	options *options
	line    []byte         // reused for each message
	rows    map[string]int // with --watch: the line of the screen of each topic
	failed  error          // of the last flush: nobody reads any more
}

func newPrinter(env *invocation, o *options) *printer {
	p := &printer{out: bufio.NewWriterSize(env.stdout, 64<<10), stderr: env.stderr, options: o}
	if o.watch {
		p.rows = map[string]int{}
		p.out.WriteString("\x1b[2J\x1b[H") // clear the screen
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
	end := "\n"
	if o.noEOL {
		end = ""
	}
	switch {
	case o.format != nil:
		var err error
		if p.line, err = o.format.append(p.line, m, o.pretty); err != nil {
			var notJSON *notJSONError
			if errors.As(err, &notJSON) && !o.quiet {
				p.flush()
				fmt.Fprintf(p.stderr, "Error: %s\n", err)
			}
			if len(p.line) == 0 {
				return
			}
		}
	case o.verbose && len(m.Payload) > 0:
		p.line = append(append(append(p.line, m.Topic...), ' '), m.Payload...)
	case o.verbose:
		if o.noEOL {
			return
		}
		p.line = append(append(p.line, m.Topic...), " (null)"...)
	case len(m.Payload) > 0:
		p.line = append(p.line, m.Payload...)
	default:
		return
	}
	if p.rows != nil {
		end = ""
		row, known := p.rows[m.Topic]
		if !known {
			row = len(p.rows) + 1
			p.rows[m.Topic] = row
		}
		fmt.Fprintf(p.out, "\x1b[%d;1H\x1b[2K", row) // to the topic's line, and empty it
	}
	p.out.Write(p.line)
	p.out.WriteString(end)
	if p.rows != nil {
		fmt.Fprintf(p.out, "\x1b[%d;1H", len(p.rows)+1)
	}
}

// flush hands what was printed to whoever reads standard output. It returns false once
// that failed.
func (p *printer) flush() bool {
	if p.failed == nil {
		p.failed = p.out.Flush()
	}
	return p.failed == nil
}
