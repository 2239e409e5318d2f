package journal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// TestIndex shows which frames of a log count. A frame is written as a letter and a number:
// b1, p1 and e1 begin, continue and end checkpoint 1, r is one of the road.
func TestIndex(t *testing.T) {
	for _, test := range []struct{ name, frames, want string }{
		{"nothing", "", ""},
		{"no checkpoint", "r r r", "1 2 3"},
		{"one", "r r b1 p1 r p1 e1 r", "3 4 5 6 7 8"},
		{"the last of two", "r b1 p1 e1 r b2 p2 r e2 r", "6 7 8 9 10"},
		{"one that was given up", "r b1 p1 e1 r b2 p2 r p2 r", "2 3 4 5 8 10"},
		{"one that was given up, before another", "r b1 p1 r b2 p2 e2 r", "5 6 7 8"},
		{"only one, and it was given up", "r b1 p1 r p1", "1 4"},
		{"the end of what was let go of", "p1 r e1 r b2 p2 r e2", "5 6 7 8"},
		{"a number that a crash has let be used again", "r b1 p1 r b1 p1 e1 r", "5 6 7 8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var index Index
			var frames [][]byte
			for _, name := range strings.Fields(test.frames) {
				e := Entry(SessionEnded{Session: 1})
				if part, ok := map[byte]Part{'b': Begin, 'p': Piece, 'e': End}[name[0]]; ok {
					e = Checkpoint{Number: uint64(name[1] - '0'), Part: part}
				}
				frames = append(frames, Append(Append(nil, e), SessionEnded{Session: 2}))
			}
			for i, frame := range frames {
				index.Add(uint64(i+1), frame)
			}
			var got []string
			for i, frame := range frames {
				if at := uint64(i + 1); index.Counts(at, frame) {
					got = append(got, fmt.Sprint(at))
				}
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestIndexRubbish: what cannot be read is no frame of a checkpoint.
func TestIndexRubbish(t *testing.T) {
	for _, frame := range []string{"", "\x00", "\x01", "\x02\x03", "\x80", "\x01\x03", "\x04\x03\x01\x09\x00"} {
		var index Index
		index.Add(1, []byte(frame))
		if !index.Counts(1, []byte(frame)) || index.From() != 0 {
			t.Errorf("% x: it does not count, or is taken for a checkpoint", frame)
		}
	}
}

// TestMessagesOfACheckpoint shows how long a Message stays that nothing refers to any more.
func TestMessagesOfACheckpoint(t *testing.T) {
	m := &colibri.Message{Topic: "a", QoS: 1}
	queued := func(session, delivery uint64) Entry {
		return DeliveryQueued{Session: session, Delivery: delivery, Message: 1, QoS: 1}
	}
	s := NewState()
	apply := func(entries ...Entry) (err error) {
		for _, e := range entries {
			if err == nil {
				err = s.Apply(e)
			}
		}
		return err
	}
	open := []Entry{SessionOpened{Session: 1, ClientID: "a", Version: colibri.V5, ExpiryInterval: 1}, SessionOpened{Session: 2, ClientID: "b", Version: colibri.V5, ExpiryInterval: 1}}
	if err := apply(append(open, Checkpoint{9, Begin}, MessageStored{1, m}, queued(1, 1), DeliveryEnded{1, 1}, queued(2, 1))...); err != nil {
		t.Errorf("in a checkpoint: %v", err)
	}
	if err := apply(DeliveryEnded{2, 1}, Checkpoint{9, End}, queued(2, 2)); err == nil {
		t.Error("after it: got no error, want none to have stayed")
	}
	if s.LastMessage != 9 {
		t.Errorf("the last number: got %d, want that of the checkpoint", s.LastMessage)
	}
}
