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

// WillAuthor says whose the Will Message of the Session is, so that its permission can be asked
// for again when the broker has been restarted meanwhile. It stands behind WillStored in the
// same frame; a log of an older broker has none, and then nobody knows.
type WillAuthor struct {
	Session   uint64
	UserName  string // empty for an anonymous client
	OwnRights bool   // rights came with the client, such as with its token, and are not recorded
}

// Author is whose a Will Message is: see WillAuthor.
type Author struct {
	UserName  string
	OwnRights bool
}

// WillRemoved says that the Will Message was published, or taken back by DISCONNECT.
// [SessionOpened] removes it too.
type WillRemoved struct{ Session uint64 }

func (WillStored) entry()  {}
func (WillAuthor) entry()  {}
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

func (e WillAuthor) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = append(b, bit(e.OwnRights, 0))
	return appendString(b, e.UserName)
}

func (r *reader) willAuthor() Entry {
	return WillAuthor{Session: r.number("Session"), OwnRights: r.flags("flags of a Will Message's author", 1) == 1, UserName: r.string("User Name")}
}

func (e WillRemoved) append(b []byte) []byte { return binary.AppendUvarint(b, e.Session) }

func (r *reader) willRemoved() Entry { return WillRemoved{r.number("Session")} }

func (s *State) willStored(e WillStored) {
	if session := s.session(e.Session); session != nil {
		session.Will, session.WillDelay, session.WillAuthor = keep(e.Message), e.Delay, nil // [MQTT-3.1.2-7]
	}
}

func (s *State) willAuthor(e WillAuthor) {
	if session := s.session(e.Session); session != nil && session.Will != nil {
		session.WillAuthor = &Author{e.UserName, e.OwnRights}
	}
}

func (s *State) willRemoved(e WillRemoved) {
	if session := s.session(e.Session); session != nil {
		session.Will, session.WillDelay, session.WillAuthor = nil, 0, nil // [MQTT-3.1.2-10]
	}
}
