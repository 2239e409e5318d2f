package journal

import (
	"encoding/binary"

	"github.com/colibri-mqtt/colibri"
)

// WillStored says that the Session has a Will Message, to be published Delay seconds
// after SessionClosed. It may be written when the Network Connection is opened, so
// that the Will Message outlives the broker, or only when the delay begins.
type WillStored struct {
	Session uint64
	Delay   uint32 // Will Delay Interval in seconds
	Message *colibri.Message
}

// WillRemoved says that the Will Message was published, or taken back by DISCONNECT.
// [SessionOpened] removes it too.
type WillRemoved struct{ Session uint64 }

func (WillStored) entry()  {}
func (WillRemoved) entry() {}

func (e WillStored) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = binary.AppendUvarint(b, uint64(e.Delay))
	return appendMessage(b, e.Message)
}

func (r *reader) willStored() Entry {
	return WillStored{
		Session: r.number("Session"),
		Delay:   r.uint32("Will Delay Interval"),
		Message: r.message(),
	}
}

func (e WillRemoved) append(b []byte) []byte { return binary.AppendUvarint(b, e.Session) }

func (r *reader) willRemoved() Entry { return WillRemoved{r.number("Session")} }

func (s *State) willStored(e WillStored) {
	if session := s.session(e.Session); session != nil {
		session.Will, session.WillDelay = keep(e.Message), e.Delay // [MQTT-3.1.2-7]
	}
}

func (s *State) willRemoved(e WillRemoved) {
	if session := s.session(e.Session); session != nil {
		session.Will, session.WillDelay = nil, 0 // [MQTT-3.1.2-10]
	}
}
