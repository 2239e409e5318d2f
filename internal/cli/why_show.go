package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/colibri-mqtt/colibri/internal/control"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// printChecks writes a line for each check.
func (env *invocation) printChecks(checks []whyCheck) {
	paint := inspect.Paint(wantsColour(env.stdout))
	for _, c := range checks {
		result := fmt.Sprintf("%-5s", fitted(shown(c.Result), 5))
		switch c.Result {
		case "no":
			result = paint.Wrong(result)
		case "note":
			result = paint.Dim(result)
		}
		fmt.Fprintf(env.stdout, "%s %-13s %s\n", result, shown(c.About), escaped(c.Text, 1<<12))
	}
}

// printRecorded writes the last packets of the client that the flight recorder has, as a table,
// or one line that there are none.
func (env *invocation) printRecorded(o *whyOptions) {
	answer, err := o.broker.ask(env.ctx, "recording", url.Values{"client": {o.client}})
	if err != nil {
		reason := "the broker has no flight recorder"
		if refused, ok := errors.AsType[*control.Refused](err); ok && refused.Text != control.UnknownQuestion {
			reason = refused.Text
		} else if !ok {
			reason = err.Error()
		}
		fmt.Fprintf(env.stdout, "No packets are shown: %s.\n", escaped(reason, 1<<12))
		return
	}
	defer answer.Close()
	tail := &tailWriter{most: o.packets}
	n, err := recordedTable(tail, answer, inspect.Paint(wantsColour(env.stdout)))
	switch {
	case n == 0 && err != nil:
		fmt.Fprintf(env.stdout, "No packets are shown: what the flight recorder says cannot be read: %s.\n", escaped(err.Error(), 1<<12))
		return
	case n == 0:
		fmt.Fprintln(env.stdout, "No packets are shown: the flight recorder has none of this client.")
		return
	}
	fmt.Fprintln(env.stdout, "The last packets:")
	tail.writeTo(env.stdout)
	if err != nil {
		fmt.Fprintf(env.stdout, "The rest of the packets cannot be read: %s.\n", escaped(err.Error(), 1<<12))
	}
}

// recordedTable writes a capture as a table, and returns how many packets it has.
func recordedTable(w io.Writer, capture io.Reader, paint inspect.Paint) (n int, err error) {
	source := &faultReader{from: capture}
	reader, err := pcap.NewReader(source)
	if errors.Is(err, io.EOF) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	table := inspect.NewTable(w)
	table.Paint, table.Ports = paint, true
	in := inspect.New(inspect.Config{Packet: func(r *inspect.Record) {
		n++
		table.Packet(r)
	}})
	var frame *pcap.Frame
	for err == nil {
		if frame, err = reader.Next(); err == nil {
			in.Frame(frame)
		}
	}
	in.Finish()
	if flushed := table.Flush(); errors.Is(err, io.EOF) {
		err = flushed
	}
	if source.fault != nil {
		err = source.fault
	}
	return n, err
}

// faultReader keeps the error with which an answer broke off: to the reader of a capture that is
// its end.
type faultReader struct {
	from  io.Reader
	fault error
}

func (f *faultReader) Read(b []byte) (int, error) {
	n, err := f.from.Read(b)
	if err != nil && err != io.EOF {
		f.fault = err
	}
	return n, err
}

// tailWriter keeps the first line that is written and the last ones.
type tailWriter struct {
	most    int
	head    []byte
	lines   [][]byte
	next    int // in lines, once that is full
	partial []byte
}

func (t *tailWriter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		t.partial = append(t.partial, line...)
		if !ok {
			return n, nil
		}
		t.line(append(t.partial, '\n'))
		t.partial, b = nil, rest
	}
}

func (t *tailWriter) line(line []byte) {
	switch {
	case t.head == nil:
		t.head = line
	case len(t.lines) < t.most:
		t.lines = append(t.lines, line)
	default:
		t.lines[t.next] = line
		t.next = (t.next + 1) % t.most
	}
}

// writeTo writes what was kept.
func (t *tailWriter) writeTo(w io.Writer) {
	w.Write(t.head)
	for i := range t.lines {
		w.Write(t.lines[(t.next+i)%len(t.lines)])
	}
}
