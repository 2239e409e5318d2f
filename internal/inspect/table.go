package inspect

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// Table writes Records as an analyser's table: one row for each frame in which a Control
// Packet ends. Packets that end in one frame share a row. Not safe for concurrent use.
type Table struct {
	Ports bool // show ports behind addresses
	Paint Paint

	w      *bufio.Writer
	header bool
	row    struct {
		frame               int // 0 for none
		seconds             float64
		length              int
		source, destination netip.AddrPort
		protocol            string
		info                []string
		bytes               int // of info
		wrong               bool
	}
}

// maxInfoBytes bounds the words of one row, as analysers do: a frame may end a thousand packets.
const maxInfoBytes = 4096

// NewTable returns a Table that writes to w.
func NewTable(w io.Writer) *Table { return &Table{w: bufio.NewWriter(w)} }

// Packet adds a Record.
func (t *Table) Packet(r *Record) {
	if t.row.frame != r.Frame.Number {
		t.begin(&r.Frame, r.Connection, r.FromClient, "MQTT")
	}
	if t.row.bytes < maxInfoBytes {
		info := r.Info()
		t.row.info = append(t.row.info, info)
		t.row.bytes += len(info) + len(", ")
	}
	t.row.wrong = t.row.wrong || r.Err != nil
}

// Note adds a row of its own for an Event, with text.
func (t *Table) Note(e *Event, protocol, text string) {
	t.begin(&e.Frame, e.Connection, e.FromClient, protocol)
	t.row.info = append(t.row.info, text)
	t.end()
}

// begin begins a row.
func (t *Table) begin(f *Frame, c *Connection, fromClient bool, protocol string) {
	t.end()
	t.row.frame = f.Number
	t.row.seconds, t.row.length = f.Relative.Round(time.Microsecond).Seconds(), f.Length
	t.row.source, t.row.destination, t.row.protocol = c.Client, c.Server, protocol
	if !fromClient {
		t.row.source, t.row.destination = c.Server, c.Client
	}
}

// end writes the row at hand.
func (t *Table) end() {
	if t.row.frame == 0 {
		return
	}
	if !t.header {
		t.header = true
		t.w.WriteString(t.Paint.Dim(fmt.Sprintf("%5s %-12s %-15s %-15s %-8s %6s %s", "No.", "Time", "Source", "Destination", "Protocol", "Length", "Info")))
		t.w.WriteByte('\n')
	}
	source, destination := t.row.source.Addr().String(), t.row.destination.Addr().String()
	if t.Ports {
		source, destination = t.row.source.String(), t.row.destination.String()
	}
	info := strings.Join(t.row.info, ", ")
	if t.row.wrong {
		info = t.Paint.Wrong(info)
	}
	fmt.Fprintf(t.w, "%5d %-12.6f %-15s %-15s %-8s %6d %s\n", t.row.frame, t.row.seconds, source, destination,
		t.row.protocol, t.row.length, info)
	t.row.frame = 0
	t.row.info, t.row.bytes = t.row.info[:0], 0
	t.row.wrong = false
}

// Flush writes what is waiting. The error is that of the first write that failed.
func (t *Table) Flush() error {
	t.end()
	return t.w.Flush()
}

// Paint colours text for a terminal; the zero value leaves it as it is.
type Paint bool

func (p Paint) escape(code, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Dim is for what frames the rest.
func (p Paint) Dim(text string) string { return p.escape("2", text) }

// Wrong is for faults.
func (p Paint) Wrong(text string) string { return p.escape("31", text) }

// Bold is for names.
func (p Paint) Bold(text string) string { return p.escape("1", text) }

// Note is for explanations.
func (p Paint) Note(text string) string { return p.escape("36", text) }
