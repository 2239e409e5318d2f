package journal

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// SessionOpened says that a Network Connection was opened on a Session. A Session
// that exists is carried on, and its Will Message is removed. A number not seen before
// is a new Session, and discards what its ClientID had.
type SessionOpened struct {
	Session        uint64
	ClientID       string
	Version        colibri.Version
	ExpiryInterval uint32 // Session Expiry Interval in seconds; 0xFFFFFFFF for ever
}

// SessionClosed says that the Network Connection of a Session has ended. The Session
// Expiry Interval runs from here, and may have been changed by DISCONNECT.
type SessionClosed struct {
	Session        uint64
	At             int64 // nanoseconds since 1970 (UTC)
	ExpiryInterval uint32
}

// SessionEnded says that a Session has expired or was discarded, with all it held.
type SessionEnded struct{ Session uint64 }

func (SessionOpened) entry() {}
func (SessionClosed) entry() {}
func (SessionEnded) entry()  {}

func (e SessionOpened) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = append(b, byte(e.Version))
	b = binary.AppendUvarint(b, uint64(e.ExpiryInterval))
	return appendString(b, e.ClientID)
}

func (r *reader) sessionOpened() Entry {
	e := SessionOpened{
		Session:        r.number("Session"),
		Version:        colibri.Version(r.byte("Protocol Version")),
		ExpiryInterval: r.uint32("Session Expiry Interval"),
		ClientID:       r.string("Client Identifier"),
	}
	if !e.Version.Known() {
		r.fail("Protocol Version", "is unknown")
	}
	return e
}

func (e SessionClosed) append(b []byte) []byte {
	b = binary.AppendUvarint(b, e.Session)
	b = appendTime(b, e.At)
	return binary.AppendUvarint(b, uint64(e.ExpiryInterval))
}

func (r *reader) sessionClosed() Entry {
	return SessionClosed{
		Session:        r.number("Session"),
		At:             r.time("time of closing"),
		ExpiryInterval: r.uint32("Session Expiry Interval"),
	}
}

func (e SessionEnded) append(b []byte) []byte { return binary.AppendUvarint(b, e.Session) }

func (r *reader) sessionEnded() Entry { return SessionEnded{r.number("Session")} }

// Session is the folded state of one Session.
type Session struct {
	Number         uint64
	ClientID       string
	Version        colibri.Version
	ExpiryInterval uint32 // seconds; 0xFFFFFFFF for ever
	Closed         int64  // when its Network Connection ended, in nanoseconds since 1970 (UTC); 0 while there is one

	Will       *colibri.Message // nil when there is none
	WillDelay  uint32           // Will Delay Interval in seconds
	WillAuthor *Author          // nil when nobody knows

	Subscriptions map[string]colibri.Subscription // by Topic Filter
	Received      map[uint16]struct{}             // Packet Identifiers of QoS 2 messages of the client whose PUBREL has not come

	LastDelivery uint64 // the highest number of a Delivery so far
	deliveries   map[uint64]*Delivery
	gaps         gaps // numbers up to LastDelivery that no entry has named
}

// Expires returns the instant, in nanoseconds since 1970 (UTC), at which the Session
// ends. ok is false when it does not: it never expires, or its client is connected
// [MQTT-4.1.0-2].
func (s *Session) Expires() (at int64, ok bool) {
	if s.Closed == 0 || s.ExpiryInterval == math.MaxUint32 {
		return 0, false
	}
	return later(s.Closed, s.ExpiryInterval), true
}

// WillDue returns the instant, in nanoseconds since 1970 (UTC), at which the Will
// Message is to be published: when the Will Delay Interval has passed or the Session
// ends, whichever is first [MQTT-3.1.2-8]. ok is false when there is no Will Message or
// the client is connected.
func (s *Session) WillDue() (at int64, ok bool) {
	if s.Closed == 0 || s.Will == nil {
		return 0, false
	}
	return later(s.Closed, min(s.WillDelay, s.ExpiryInterval)), true
}

// later returns the instant that many seconds after at, or the last that there is.
func later(at int64, seconds uint32) int64 {
	span := int64(seconds) * int64(time.Second)
	if at > math.MaxInt64-span {
		return math.MaxInt64
	}
	return at + span
}

func (s *State) sessionOpened(e SessionOpened) error {
	s.LastSession = max(s.LastSession, e.Session)
	session := s.numbered[e.Session]
	switch {
	case session == nil:
		if before := s.Sessions[e.ClientID]; before != nil {
			if before.Number > e.Session {
				s.Ignored++
				return nil
			}
			s.end(before) // [MQTT-3.1.2-4]
		}
		session = &Session{
			Number:        e.Session,
			ClientID:      e.ClientID,
			Subscriptions: map[string]colibri.Subscription{},
			Received:      map[uint16]struct{}{},
			deliveries:    map[uint64]*Delivery{},
		}
		s.Sessions[e.ClientID], s.numbered[e.Session] = session, session
	case session.ClientID != e.ClientID:
		return fmt.Errorf("the Session with number %d belongs to client %q, not to %q", e.Session, session.ClientID, e.ClientID)
	}
	session.Version, session.ExpiryInterval = e.Version, e.ExpiryInterval
	session.Closed = 0
	session.Will, session.WillDelay, session.WillAuthor = nil, 0, nil // [MQTT-3.1.3-9]
	return nil
}

func (s *State) sessionClosed(e SessionClosed) {
	s.Latest = max(s.Latest, e.At)
	if session := s.session(e.Session); session != nil {
		session.Closed, session.ExpiryInterval = e.At, e.ExpiryInterval
	}
}

func (s *State) sessionEnded(e SessionEnded) {
	if session := s.session(e.Session); session != nil {
		s.end(session)
	}
}

// end removes a Session. Retained Messages are not part of it.
func (s *State) end(session *Session) {
	for _, d := range session.deliveries {
		s.release(d)
	}
	delete(s.Sessions, session.ClientID)
	delete(s.numbered, session.Number)
}
