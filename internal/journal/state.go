package journal

import (
	"errors"
	"fmt"
)

// State is what the entries of a log add up to. NewState makes one. It is not safe for
// concurrent use. What it holds belongs to it, and may be taken over by a reader that
// does not use the State any more.
type State struct {
	Sessions map[string]*Session // by ClientID
	Retained map[string]Retained // by topic

	// The highest numbers used so far: the broker goes on after them.
	LastSession  uint64
	LastMessage  uint64
	LastRetained uint64

	// Latest is the latest time, in nanoseconds since 1970 (UTC), at which a Session was
	// closed or the log was read: a clock that says less has gone back.
	Latest int64

	// Ignored counts entries that changed nothing, because they repeat another or are
	// about what has ended. It is no part of a snapshot.
	Ignored uint64

	numbered     map[uint64]*Session
	messages     map[uint64]*stored
	inCheckpoint bool              // its pieces may refer to Messages that nothing else does
	removed      map[string]uint64 // RetainedRemoved by topic, as an older RetainedSet may follow
}

// NewState returns the State of an empty log.
func NewState() *State {
	return &State{
		Sessions: map[string]*Session{},
		Retained: map[string]Retained{},
		numbered: map[uint64]*Session{},
		messages: map[uint64]*stored{},
	}
}

// Apply folds e into s. s keeps the strings, Properties and Identifiers of e, which
// Decode has made, and copies a Payload.
//
// An error says that the log is not what a broker writes: a format of the future, a
// Delivery of a Message that is not there, a Session that changes its ClientID. s must not be used after it.
func (s *State) Apply(e Entry) error {
	switch e := e.(type) {
	case Format:
		return s.format(e)
	case Recovered:
		s.recovered(e)
	case Checkpoint:
		s.checkpoint(e)
	case SessionOpened:
		return s.sessionOpened(e)
	case SessionClosed:
		s.sessionClosed(e)
	case SessionEnded:
		s.sessionEnded(e)
	case WillStored:
		s.willStored(e)
	case WillAuthor:
		s.willAuthor(e)
	case WillRemoved:
		s.willRemoved(e)
	case SubscriptionGranted:
		s.subscriptionGranted(e)
	case SubscriptionRemoved:
		s.subscriptionRemoved(e)
	case RetainedSet:
		s.retainedSet(e)
	case RetainedRemoved:
		s.retainedRemoved(e)
	case MessageStored:
		s.messageStored(e)
	case DeliveryQueued:
		return s.deliveryQueued(e)
	case DeliverySent:
		s.deliverySent(e)
	case PubrecReceived:
		s.pubrecReceived(e)
	case DeliveryEnded:
		s.deliveryEnded(e)
	case DeliveriesSettled:
		s.deliveriesSettled(e)
	case PublishReceived:
		s.publishReceived(e)
	case PubrelReceived:
		s.pubrelReceived(e)
	default:
		panic("journal: Apply of nil or of a pointer to an entry")
	}
	return nil
}

// Fold applies all entries of b, such as one record of the log, which must hold whole
// entries. An error names the byte of b; a *SyntaxError and io.ErrUnexpectedEOF can be
// found in it. Nothing of b is kept.
func (s *State) Fold(b []byte) error {
	for at := 0; at < len(b); {
		e, n, err := Decode(b[at:])
		if wrong, ok := errors.AsType[*SyntaxError](err); ok {
			wrong.Offset += at
			return wrong
		}
		if err == nil {
			err = s.Apply(e)
		}
		if err != nil {
			return fmt.Errorf("journal entry, byte %d: %w", at, err)
		}
		at += n
	}
	return nil
}

// session returns the Session with that number; nil when it has ended.
func (s *State) session(number uint64) *Session {
	session := s.numbered[number]
	if session == nil {
		s.Ignored++
	}
	return session
}
