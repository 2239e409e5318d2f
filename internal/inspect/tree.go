package inspect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
)

// Tree writes each Record as the layers of its frame with their fields, values and byte
// ranges. Not safe for concurrent use.
type Tree struct {
	Hex     bool // the bytes of each field before it
	Secrets bool // show passwords
	Explain *Explainer
	Paint   Paint

	w *bufio.Writer
}

// NewTree returns a Tree that writes to w.
func NewTree(w io.Writer) *Tree { return &Tree{w: bufio.NewWriter(w)} }

// maxShown is how much of a value a line of the tree shows.
const maxShown = 80

// Packet writes a Record.
func (t *Tree) Packet(r *Record) {
	f := &r.Frame
	if f.Number > 0 {
		fmt.Fprintf(t.w, "%s\n", t.Paint.Bold(fmt.Sprintf("Frame %d: %d bytes, %s, %.6f s after the first", f.Number, f.Length, clock(f.Time), f.Relative.Seconds())))
		if f.Comment != "" {
			fmt.Fprintf(t.w, "  Comment: %s\n", printable(f.Comment))
		}
		if f.Segment != nil {
			t.layers(f)
		}
	}
	t.mqtt(r)
	t.w.WriteByte('\n')
}

func clock(at time.Time) string {
	if at.IsZero() {
		return "without a time"
	}
	return at.Format("2006-01-02 15:04:05.000000 UTC")
}

// layers writes the headers below MQTT.
func (t *Tree) layers(f *Frame) {
	for _, l := range f.Segment.Layers(f.Data) {
		t.line(1, f.Data[l.Start:l.End], l.Start, l.End, 0, t.Paint.Bold(l.Name)+about(&l))
		for _, field := range l.Fields {
			t.line(2, f.Data[field.Start:field.End], field.Start, field.End, 0, field.Name+": "+field.Text)
		}
	}
}

// about adds the addresses to the name of a layer.
func about(l *pcap.Layer) string {
	source, destination := "", ""
	for _, f := range l.Fields {
		switch {
		case strings.HasPrefix(f.Name, "Source"):
			source = f.Text
		case strings.HasPrefix(f.Name, "Destination"):
			destination = f.Text
		}
	}
	if source == "" || destination == "" {
		return ""
	}
	return ", Src: " + source + ", Dst: " + destination
}

// mqtt writes the packet.
func (t *Tree) mqtt(r *Record) {
	title := "MQ Telemetry Transport, " + r.Info()
	if r.Connection.Transport != TCP {
		title = "(" + r.Connection.Transport.String() + ") " + title
	}
	where := "over several frames, or wrapped: byte numbers are those of the packet"
	if r.At >= 0 {
		where = fmt.Sprintf("bytes %d-%d of the frame: byte numbers are those of the packet", r.At, r.At+r.Size-1)
	}
	if r.Frame.Number == 0 {
		where = fmt.Sprintf("%d bytes", r.Size)
	}
	version := "MQTT " + r.Version.String()
	if r.Guessed {
		version += " (a guess: the CONNECT was not seen)"
	}
	fmt.Fprintf(t.w, "  %s\n  %s\n", t.Paint.Bold(title), t.Paint.Dim(version+", "+where))
	if t.Explain != nil {
		for _, line := range wrap(t.Explain.Packet(r), 96) {
			fmt.Fprintf(t.w, "  %s\n", t.Paint.Note(line))
		}
	}
	fields, b := r.Fields(), r.Bytes
	if !t.Secrets {
		b = hide(fields, b)
	}
	for i := range fields {
		field := &fields[i]
		if i == 0 {
			continue // the packet itself
		}
		label := field.Name
		if field.Text != "" {
			label += ": " + short(field)
		}
		mask := byte(0)
		if field.Mask != 0 {
			mask = field.Mask
			label = bits(field.Mask, b[field.Start]) + " = " + label
		}
		if field.Name == "Not decoded" {
			label = t.Paint.Wrong(label)
		}
		shown := b[field.Start:field.End]
		if hiddenBytes(field) {
			shown = nil
		}
		t.line(field.Depth+1, shown, field.Start, field.End, mask, label)
		if t.Explain == nil {
			continue
		}
		if text, section := t.Explain.Field(field, r.Type, r.Version); text != "" {
			if section != "" {
				text += " (" + section + ")"
			}
			indent := t.width() + 2*(field.Depth+1) + 2
			for _, line := range wrap(text, 96) {
				fmt.Fprintf(t.w, "%s%s\n", strings.Repeat(" ", indent), t.Paint.Note(line))
			}
		}
	}
	t.fault(r)
}

// fault writes what is wrong with the packet.
func (t *Tree) fault(r *Record) {
	if r.Err == nil {
		return
	}
	text := r.Err.Error()
	if t.Explain != nil {
		if fault, ok := errors.AsType[*colibri.Error](r.Err); ok {
			text = t.Explain.Fault(fault)
		}
	}
	for _, line := range wrap(text, 96) {
		fmt.Fprintf(t.w, "  %s\n", t.Paint.Wrong(line))
	}
}

// width is the size of the column of bytes.
func (t *Tree) width() int {
	if t.Hex {
		return 11 + 3*hexColumns
	}
	return 11
}

// hexColumns is how many bytes a line shows.
const hexColumns = 8

// line writes one line: the byte range, the bytes with Hex, and text.
func (t *Tree) line(depth int, b []byte, start, end int, mask byte, text string) {
	left := ""
	switch {
	case mask != 0 || end == start:
	case end-start == 1:
		left = fmt.Sprintf("%d", start)
	default:
		left = fmt.Sprintf("%d-%d", start, end-1)
	}
	left = fmt.Sprintf("%-11s", left)
	if t.Hex {
		shown := ""
		if mask == 0 {
			shown = fmt.Sprintf("% x", b[:min(len(b), hexColumns)])
		}
		if len(b) > hexColumns {
			shown = shown[:3*hexColumns-3] + ".."
		}
		if b == nil && end > start {
			shown = strings.TrimSpace(strings.Repeat("** ", min(end-start, hexColumns)))
		}
		left += fmt.Sprintf("%-*s", 3*hexColumns, shown)
	}
	fmt.Fprintf(t.w, "%s%s%s\n", t.Paint.Dim(left), strings.Repeat("  ", depth), text)
}

// short is the text of a field on one line.
func short(f *packet.Field) string {
	text := f.Text
	if b, ok := f.Value.([]byte); ok {
		text = readable(b)
	}
	if len([]rune(text)) > maxShown {
		text = string([]rune(text)[:maxShown]) + "…"
	}
	return printable(text)
}

// readable shows bytes as text where they are text, else as hex digits.
func readable(b []byte) string {
	cut := b[:min(len(b), 4*maxShown)]
	for len(cut) > 0 && len(cut) < len(b) && b[len(cut)]&0xC0 == 0x80 {
		cut = cut[:len(cut)-1]
	}
	text := string(cut)
	if strings.ToValidUTF8(text, "") != text || printable(text) != text {
		return fmt.Sprintf("% x (%d bytes)", cut, len(b))
	}
	return fmt.Sprintf("%q (%d bytes)", text, len(b))
}

// bits shows the bits of one byte that a field takes, as an analyser does: "..1. ....".
func bits(mask, value byte) string {
	var b strings.Builder
	for i := 7; i >= 0; i-- {
		switch {
		case mask&(1<<i) == 0:
			b.WriteByte('.')
		case value&(1<<i) != 0:
			b.WriteByte('1')
		default:
			b.WriteByte('0')
		}
		if i == 4 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
				lines = append(lines, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return lines
}

// Flush hands on what was written. The error is that of the first write that failed.
func (t *Tree) Flush() error { return t.w.Flush() }
