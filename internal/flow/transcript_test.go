package flow

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transcript"
)

// TestTranscripts plays every testdata/*.txt: a line is a call, the indented lines
// below it are what came out, and # begins a comment.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, func(t *testing.T) func(words []string) string {
		var e ends
		return func(words []string) string { return e.call(t, words) }
	})
}

type ends struct {
	sender   Sender[string]
	receiver Receiver
}

var stateWords = map[string]State{"puback": AwaitPuback, "pubrec": AwaitPubrec, "pubcomp": AwaitPubcomp}

// call makes one call of a transcript and returns its outcome.
func (e *ends) call(t *testing.T, words []string) string {
	s, r := &e.sender, &e.receiver
	number := func(i int) int {
		if i >= len(words) {
			t.Fatalf("%q: number missing", words)
		}
		n, err := strconv.Atoi(words[i])
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		return n
	}
	id := func() uint16 { return uint16(number(1)) }
	switch words[0] {
	case "window":
		s.SetWindow(number(1))
		return s.status()
	case "add":
		id, ok := s.Add(colibri.QoS(number(1)), words[2])
		if !ok {
			return "not now\n" + s.status()
		}
		return fmt.Sprintf("PUBLISH %d %s\n", id, words[2]) + s.status()
	case "puback":
		v, err := s.Puback(id())
		if err != nil {
			return err.Error() + "\n"
		}
		return "done " + v + "\n" + s.status()
	case "pubrec":
		v, release, err := s.Pubrec(id(), len(words) > 2 && words[2] == "failed")
		switch {
		case err != nil:
			return err.Error() + "\n"
		case release:
			return fmt.Sprintf("PUBREL %d (%s)\n", id(), v) + s.status()
		}
		return "done " + v + "\n" + s.status()
	case "pubcomp":
		v, err := s.Pubcomp(id())
		if err != nil {
			return err.Error() + "\n"
		}
		return "done " + v + "\n" + s.status()
	case "pending":
		var b strings.Builder
		s.Pending(func(id uint16, state State, v *string) bool {
			fmt.Fprintf(&b, "%d %s %s\n", id, *v, state)
			return true
		})
		return b.String() + s.status()
	case "resume":
		s.Resume()
		r.Resume()
		return s.status() + r.status()
	case "resend":
		var b strings.Builder
		for {
			id, state, v, ok := s.Resend()
			if !ok {
				return b.String() + s.status()
			}
			if state == AwaitPubcomp {
				fmt.Fprintf(&b, "PUBREL %d\n", id)
			} else {
				fmt.Fprintf(&b, "PUBLISH %d %s DUP\n", id, *v)
			}
		}
	case "remove":
		v, ok := s.Remove(id())
		return fmt.Sprintf("%q %v\n", v, ok) + s.status()
	case "restore":
		return fmt.Sprintln(s.Restore(id(), stateWords[words[2]], words[3])) + s.status()
	case "reserve":
		id, ok := s.Reserve()
		return fmt.Sprintln(id, ok)
	case "unreserve":
		return fmt.Sprintln(s.Unreserve(id()))
	case "clear":
		s.Clear()
		r.Clear()
		return s.status() + r.status()

	case "grant":
		r.SetWindow(number(1))
		return r.status()
	case "publish":
		isNew, err := r.Publish(id(), colibri.QoS(number(2)))
		switch {
		case err != nil:
			return err.Error() + "\n" + r.status()
		case isNew:
			return "deliver\n" + r.status()
		}
		return "repeat\n" + r.status()
	case "acked":
		r.Puback()
		return r.status()
	case "pubrel":
		if !r.Pubrel(id()) {
			return "unknown\n"
		}
		return "known\n" + r.status()
	case "forget":
		r.Forget(id())
		return r.status()
	case "held":
		r.Restore(id())
		return r.status()
	}
	t.Fatalf("%q: no such call", words)
	return ""
}

func (s *Sender[T]) status() string { return fmt.Sprintf("len %d free %d\n", s.Len(), s.Free()) }

func (r *Receiver) status() string {
	ids := []uint16{}
	for id := range r.All() {
		ids = append(ids, id)
	}
	return fmt.Sprintf("held %v open %d\n", ids, r.Open())
}
