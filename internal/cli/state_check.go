package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/wal"
)

// stateSummary is what check prints. The JSON keys are read by scripts.
type stateSummary struct {
	Directory     string     `json:"directory"`
	OK            bool       `json:"ok"`
	Error         string     `json:"error,omitempty"`
	File          string     `json:"file,omitempty"`   // of the fault
	Offset        *int64     `json:"offset,omitempty"` // in it
	Segments      int        `json:"segments"`
	Bytes         int64      `json:"bytes"`
	Frames        int        `json:"frames"`
	Entries       int        `json:"entries"`
	Sessions      int        `json:"sessions"`
	SharedQueues  int        `json:"shared_queues"`
	Subscriptions int        `json:"subscriptions"`
	Queued        int        `json:"queued"`
	InFlight      int        `json:"in_flight"`
	Retained      int        `json:"retained"`
	Torn          *tornState `json:"torn"`
}

// tornState is a torn end.
type tornState struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

// checkState is "state check": it verifies the checksums and folds the entries, as a
// broker does that starts.
func checkState(env *invocation, o *stateOptions) int {
	s, err := summarize(o.dir)
	if err != nil {
		fault := faultOf(err)
		s.OK, s.Error, s.File = false, fault.Error(), fault.File
		if s.File != "" {
			s.Offset = &fault.Offset
		}
	}
	switch {
	case o.json:
		encoder := json.NewEncoder(env.stdout)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(s); err != nil {
			return exitStateBad
		}
	case s.OK:
		s.print(env)
	default:
		fmt.Fprintf(env.stderr, "Error: %s\n", s.Error)
	}
	if !s.OK {
		return exitStateBad
	}
	return exitOK
}

// summarize reads the state in a directory. What it returns with an error is what it has
// read before.
func summarize(dir string) (*stateSummary, error) {
	s := &stateSummary{Directory: dir, OK: true}
	var index journal.Index
	wal.Check(dir, func(pos wal.Pos, frame []byte) error { // an error comes again when the entries are read
		index.Add(uint64(pos), frame)
		return nil
	})
	state := journal.NewState()
	counts := false
	report, err := walkState(dir, func(pos wal.Pos, frame []byte) { counts = index.Counts(uint64(pos), frame) },
		func(_ wal.Pos, _ int, e journal.Entry) error {
			s.Entries++
			if !counts {
				return nil
			}
			return state.Apply(e)
		})
	s.Segments, s.Bytes, s.Frames = report.Segments, report.Bytes, report.Frames
	if err != nil {
		return s, err
	}
	if t := report.Torn; t != nil {
		s.Torn = &tornState{t.File, t.Offset, t.Reason}
	}
	if err := state.Apply(journal.Recovered{At: time.Now().UnixNano()}); err != nil {
		return s, err
	}
	for _, session := range state.Sessions {
		s.count(session)
	}
	s.Retained = len(state.Retained)
	return s, nil
}

// count adds a Session, or the queue of a Shared Subscription, which the log holds as one.
func (s *stateSummary) count(session *journal.Session) {
	if session.ClientID != "" && session.ClientID[0] == 0 {
		s.SharedQueues++
	} else {
		s.Sessions++
	}
	s.Subscriptions += len(session.Subscriptions)
	for _, d := range session.Deliveries() {
		if d.State == journal.Queued {
			s.Queued++
		} else {
			s.InFlight++
		}
	}
}

func (s *stateSummary) print(env *invocation) {
	fmt.Fprintf(env.stdout, "The state in %s is whole.\n", s.Directory)
	for _, line := range []struct {
		name  string
		value int64
	}{
		{"segments", int64(s.Segments)},
		{"bytes", s.Bytes},
		{"entries", int64(s.Entries)},
		{"sessions", int64(s.Sessions)},
		{"shared queues", int64(s.SharedQueues)},
		{"subscriptions", int64(s.Subscriptions)},
		{"queued messages", int64(s.Queued)},
		{"messages in flight", int64(s.InFlight)},
		{"retained messages", int64(s.Retained)},
	} {
		fmt.Fprintf(env.stdout, "  %-20s %d\n", line.name, line.value)
	}
	if t := s.Torn; t != nil {
		fmt.Fprintf(env.stdout, "A crash has cut off its last write, which nobody was promised: %s, offset %d: %s. The broker cuts it when it starts.\n",
			t.File, t.Offset, t.Reason)
	}
}

// walkState reads a state and calls begin for each frame and fn for each entry in it: pos is
// the place of the frame, at where in it the entry begins, in bytes. Errors name file and
// offset. An entry is valid until fn returns.
func walkState(dir string, begin func(pos wal.Pos, frame []byte), fn func(pos wal.Pos, at int, e journal.Entry) error) (wal.Report, error) {
	report, err := wal.Check(dir, func(pos wal.Pos, frame []byte) error {
		begin(pos, frame)
		for at := 0; at < len(frame); {
			e, n, err := journal.Decode(frame[at:])
			if wrong, ok := errors.AsType[*journal.SyntaxError](err); ok {
				wrong.Offset += at
			} else if err == nil {
				err = fn(pos, at, e)
				if err != nil {
					err = fmt.Errorf("journal entry, byte %d: %w", at, err)
				}
			}
			if err != nil {
				file := filepath.Join(dir, pos.File())
				return &stateFault{file, pos.Offset(), fmt.Errorf("%s, offset %d: %w", file, pos.Offset(), err)}
			}
			at += n
		}
		return nil
	})
	if err == nil && report.Segments == 0 {
		err = noState(dir)
	}
	return report, err
}

// repairState is "state repair".
func repairState(env *invocation, o *stateOptions) int {
	do := wal.CheckLocked
	if o.yes {
		do = wal.Repair
	}
	report, err := do(o.dir)
	if err == nil && report.Segments == 0 {
		err = noState(o.dir)
	}
	if locked, ok := errors.AsType[*wal.LockedError](err); ok {
		err = fmt.Errorf("a broker (%s) keeps its state in %s: stop it first; it cuts a torn end by itself when it starts", locked.Holder(), o.dir)
	}
	switch {
	case err != nil:
		fmt.Fprintf(env.stderr, "Error: %s\n", faultOf(err))
		return exitStateBad
	case report.Torn == nil:
		fmt.Fprintln(env.stdout, "Nothing has to be repaired.")
		return exitOK
	case o.yes:
		fmt.Fprintf(env.stdout, "Cut: %s.\n", report.Torn)
		return exitOK
	}
	fmt.Fprintf(env.stdout, "This would be cut: %s. Say --yes to cut it.\n", report.Torn)
	return exitStateUntold
}
