package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/colibri-mqtt/colibri/internal/inspect"
)

// show writes Records in the form that was asked for.
type show struct {
	env    *invocation
	o      *inspectOptions
	failed bool // nobody reads any more

	table  *inspect.Table
	writer interface {
		Packet(r *inspect.Record)
		Flush() error
	}
	follow *inspect.Follow // nil but with --follow
	shown  int
}

func newShow(env *invocation, o *inspectOptions) *show {
	s := &show{env: env, o: o}
	paint := inspect.Paint(wantsColour(env.stdout))
	var explain *inspect.Explainer
	if o.explain {
		explain = &inspect.Explainer{French: o.french}
	}
	switch {
	case o.following:
		s.follow = inspect.NewFollow(env.stdout, o.follow)
		s.follow.French, s.follow.Explain, s.follow.Paint = o.french, explain, paint
		s.writer = s.follow
	case o.form == "tree":
		tree := inspect.NewTree(env.stdout)
		tree.Hex, tree.Secrets, tree.Explain, tree.Paint = o.hex, o.secrets, explain, paint
		s.writer = tree
	case o.form == "json":
		lines := inspect.NewJSON(env.stdout)
		lines.Hex, lines.Secrets, lines.Explain = o.hex, o.secrets, explain
		s.writer = lines
	default:
		s.table = inspect.NewTable(env.stdout)
		s.table.Ports, s.table.Paint = o.showPorts, paint
		s.writer = s.table
	}
	return s
}

// wantsColour reports whether w is a terminal whose person has not said no.
func wantsColour(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// packet is called for each Record.
func (s *show) packet(r *inspect.Record) {
	if s.o.selection.Takes(r) {
		s.shown++
		s.writer.Packet(r)
	}
}

// event is called for each Event.
func (s *show) event(e *inspect.Event) {
	if s.follow != nil {
		s.follow.Event(e)
	}
	if s.table != nil && s.o.filter == "" && e.Kind == inspect.Encrypted {
		s.table.Note(e, "TLS", "Encrypted, "+e.Text)
	}
}

func (s *show) flush() {
	if s.writer.Flush() != nil {
		s.failed = true
	}
}

// finish writes what is left.
func (s *show) finish() {
	if s.follow != nil {
		s.follow.Finish()
	}
	s.flush()
}

// leftOut says what was skipped, and returns the exit code. err is what ended the file
// before its end.
func (s *show) leftOut(summary inspect.Summary, err error) int {
	w, exit := s.env.stderr, exitOK
	if err != nil {
		exit = exitInspectPart
		fmt.Fprintf(w, "The capture is damaged: %s. What stands before is shown; what follows was skipped.\n", err)
	}
	for _, part := range []struct {
		n         int
		one, many string
		skipped   bool
	}{
		{summary.MissingBytes, "1 byte of MQTT's connections is not in the capture", "%d bytes of MQTT's connections are not in the capture", true},
		{summary.SkippedBytes, "1 byte was skipped in which no packet could be found", "%d bytes were skipped in which no packets could be found", true},
		{summary.Fragments, "1 frame with a fragment of an IP packet was skipped: fragments are not put together", "%d frames with fragments of IP packets were skipped: fragments are not put together", true},
		{summary.Damaged, "1 frame was skipped whose headers do not fit into it", "%d frames were skipped whose headers do not fit into them", true},
		{summary.UnknownLink, "1 frame was skipped of a link type that is not known", "%d frames were skipped of link types that are not known", true},
		{summary.TooLarge, "1 packet was too large to be kept as a whole", "%d packets were too large to be kept as a whole", true},
		{summary.Evicted, "1 connection was given up to stay within memory", "%d connections were given up to stay within memory", true},
		{summary.Encrypted, "1 connection is encrypted: give the secrets with --keylog FILE", "%d connections are encrypted: give the secrets with --keylog FILE", true},
		{summary.Malformed, "1 packet is malformed", "%d packets are malformed", false},
	} {
		if part.n == 0 {
			continue
		}
		if part.skipped {
			exit = exitInspectPart
		}
		text := part.one
		if part.n > 1 {
			text = fmt.Sprintf(part.many, part.n)
		}
		fmt.Fprintln(w, text+".")
	}
	switch {
	case summary.Packets == 0 && summary.Frames > 0:
		fmt.Fprintf(w, "There is no MQTT in these %d frames. If it is spoken on another port than 1883 and the capture begins after CONNECT, say --port PORT.\n", summary.Frames)
	case summary.Packets > 0 && s.follow != nil && !s.follow.Found():
		fmt.Fprintf(w, "No client with the id '%s' is in these %d packets.\n", s.o.follow, summary.Packets)
	case summary.Packets > 0 && s.shown == 0:
		fmt.Fprintf(w, "None of the %d packets is one of those asked for.\n", summary.Packets)
	}
	return exit
}

// readKeyLog reads the file of --keylog.
func readKeyLog(o *inspectOptions) (*inspect.KeyLog, error) {
	keys := inspect.NewKeyLog()
	if o.keyLog == "" {
		return keys, nil
	}
	file, err := os.Open(o.keyLog)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("the key log %s cannot be opened: %w", o.keyLog, err)
	}
	defer file.Close()
	if err := keys.Read(file); err != nil {
		return nil, fmt.Errorf("the key log %s cannot be read: %w", o.keyLog, err)
	}
	return keys, nil
}

// progressStep is how many bytes are read between two progress lines.
const progressStep = 16 << 20

// progress says on a terminal how far a large file was read.
type progress struct {
	w    io.Writer // nil to say nothing
	size int64
	next int64
}

func newProgress(env *invocation, size int64) *progress {
	p := &progress{size: size, next: progressStep}
	if size > progressStep && wantsColour(env.stderr) && !wantsColour(env.stdout) {
		p.w = env.stderr
	}
	return p
}

func (p *progress) at(offset int64) {
	if p.w != nil && offset >= p.next {
		p.next = offset + progressStep
		fmt.Fprintf(p.w, "\r%d %% of %d MB", offset*100/p.size, p.size>>20)
	}
}

// clear removes the progress line.
func (p *progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
