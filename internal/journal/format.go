package journal

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
)

// Format opens a log and each snapshot: which version of the format follows, and up to
// where numbers are used.
type Format struct {
	Version      uint64 // FormatVersion
	LastSession  uint64
	LastMessage  uint64
	LastRetained uint64
}

// Recovered says that a broker has read the log up to here and goes on with it. What
// was still expected to follow does not come any more; Network Connections that were
// open ended no later than At, in nanoseconds since 1970 (UTC).
type Recovered struct{ At int64 }

func (Format) entry()    {}
func (Recovered) entry() {}

func (e Format) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Version)
	b = binary.AppendUvarint(b, e.LastSession)
	b = binary.AppendUvarint(b, e.LastMessage)
	return binary.AppendUvarint(b, e.LastRetained)
}

func (r *reader) format() Entry {
	return Format{
		Version:      r.number("Format Version"),
		LastSession:  r.uvarint("last Session", math.MaxUint64),
		LastMessage:  r.uvarint("last Message", math.MaxUint64),
		LastRetained: r.uvarint("last Retained Message", math.MaxUint64),
	}
}

func (e Recovered) append(b []byte) []byte { return appendTime(b, e.At) }

func (r *reader) recovered() Entry { return Recovered{r.time("time of recovery")} }

func (s *State) format(e Format) error {
	if e.Version != FormatVersion {
		return fmt.Errorf("the journal has format %d, this version of Colibri reads format %d: start the version that wrote it",
			e.Version, FormatVersion)
	}
	s.LastSession = max(s.LastSession, e.LastSession)
	s.LastMessage = max(s.LastMessage, e.LastMessage)
	s.LastRetained = max(s.LastRetained, e.LastRetained)
	return nil
}

func (s *State) recovered(e Recovered) {
	s.Latest = max(s.Latest, e.At)
	for _, session := range s.Sessions {
		if session.Closed == 0 {
			session.Closed = e.At
		}
		s.settle(session)
	}
	s.inCheckpoint = false
	s.forgetMessages()
	s.removed = nil
}

// forgetMessages forgets those that nothing refers to.
func (s *State) forgetMessages() {
	maps.DeleteFunc(s.messages, func(_ uint64, of *stored) bool { return of.references == 0 })
}
