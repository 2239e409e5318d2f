package journal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transcript"
)

// TestTranscripts plays every testdata/*.txt: a line is an entry, which goes through its
// bytes into a State, or a question; the indented lines below it are what came out; and
// # begins a comment. Times are seconds since 1970.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, func(t *testing.T) func(words []string) string {
		s := NewState()
		return func(words []string) string { return s.call(t, words) }
	})
}

// call answers one line of a transcript.
func (s *State) call(t *testing.T, words []string) string {
	switch words[0] {
	case "show":
		return s.text()
	case "snapshot":
		var b strings.Builder
		for e := range s.Entries {
			fmt.Fprintln(&b, entryText(e))
		}
		return b.String()
	}
	ignored := s.Ignored
	if err := s.Fold(Append(nil, parse(t, words))); err != nil {
		return err.Error() + "\n"
	}
	if s.Ignored > ignored {
		return "ignored\n"
	}
	return ""
}

// parse makes an entry of its name and fields: numbers in the order of the struct,
// strings as they are, and name=value for what is seldom there.
func parse(t *testing.T, words []string) Entry {
	number := func(i int) uint64 {
		if i >= len(words) {
			t.Fatalf("%q: number missing", words)
		}
		n, err := strconv.ParseUint(words[i], 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		return n
	}
	at := func(i int) int64 { return int64(number(i)) * int64(time.Second) }
	option := func(name string) (value string, ok bool) {
		for _, word := range words {
			if value, ok = strings.CutPrefix(word, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
	message := func(i int) *colibri.Message {
		m := &colibri.Message{Topic: words[i], Payload: []byte(words[i+1])}
		if value, ok := option("qos"); ok {
			m.QoS = colibri.QoS(value[0] - '0')
		}
		if value, ok := option("type"); ok {
			m.Properties = m.Properties.AppendValue(colibri.ContentType, value)
		}
		return m
	}
	packetID := func(i int) uint16 { return uint16(number(i)) }
	switch words[0] {
	case "Recovered":
		return Recovered{at(1)}
	case "SessionOpened":
		return SessionOpened{number(1), words[2], colibri.V5, uint32(number(3))}
	case "SessionClosed":
		return SessionClosed{number(1), at(2), uint32(number(3))}
	case "SessionEnded":
		return SessionEnded{number(1)}
	case "WillStored":
		return WillStored{number(1), uint32(number(2)), message(3)}
	case "WillAuthor":
		return WillAuthor{number(1), words[2], len(words) > 3}
	case "WillRemoved":
		return WillRemoved{number(1)}
	case "SubscriptionGranted":
		return SubscriptionGranted{number(1), colibri.Subscription{Filter: words[2], QoS: colibri.QoS(number(3))}}
	case "SubscriptionRemoved":
		return SubscriptionRemoved{number(1), words[2]}
	case "RetainedSet":
		return RetainedSet{number(1), message(2)}
	case "RetainedRemoved":
		return RetainedRemoved{number(1), words[2]}
	case "MessageStored":
		return MessageStored{number(1), message(2)}
	case "DeliveryQueued":
		return DeliveryQueued{number(1), number(2), number(3), colibri.QoS(number(4)), false, nil, ""}
	case "DeliverySent":
		return DeliverySent{number(1), number(2), packetID(3)}
	case "PubrecReceived":
		return PubrecReceived{number(1), number(2), packetID(3)}
	case "DeliveryEnded":
		return DeliveryEnded{number(1), number(2)}
	case "DeliveriesSettled":
		return DeliveriesSettled{number(1), number(2), number(3)}
	case "PublishReceived":
		return PublishReceived{number(1), packetID(2)}
	case "PubrelReceived":
		return PubrelReceived{number(1), packetID(2)}
	}
	t.Fatalf("%q: no such entry", words)
	return nil
}

func entryText(e Entry) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", e), "journal.")
	switch e := e.(type) {
	case WillStored:
		return fmt.Sprintf("%s %d %d %s", name, e.Session, e.Delay, messageText(e.Message))
	case RetainedSet:
		return fmt.Sprintf("%s %d %s", name, e.Number, messageText(e.Message))
	case MessageStored:
		return fmt.Sprintf("%s %d %s", name, e.Number, messageText(e.Message))
	}
	return strings.TrimSpace(name + " " + strings.Trim(fmt.Sprint(e), "{}"))
}

func messageText(m *colibri.Message) string {
	text := fmt.Sprintf("%s %q %s", m.Topic, m.Payload, m.QoS)
	for _, p := range m.Properties {
		text += fmt.Sprintf(" %s=%s", p.ID, p.Value)
	}
	return text
}

// text shows s as a person would tell it.
func (s *State) text() string {
	var b strings.Builder
	byNumber := func(x, y *Session) int { return cmp.Compare(x.Number, y.Number) }
	for _, session := range slices.SortedFunc(maps.Values(s.Sessions), byNumber) {
		session.text(&b)
	}
	for _, topic := range slices.Sorted(maps.Keys(s.Retained)) {
		fmt.Fprintf(&b, "retained (%d): %s\n", s.Retained[topic].Number, messageText(s.Retained[topic].Message))
	}
	for _, number := range slices.Sorted(maps.Keys(s.messages)) {
		fmt.Fprintf(&b, "message %d: %d references\n", number, s.messages[number].references)
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func (s *Session) text(b *strings.Builder) {
	fmt.Fprintf(b, "session %d of %s:", s.Number, s.ClientID)
	switch expires, ok := s.Expires(); {
	case s.Closed == 0:
		b.WriteString(" connected\n")
	case ok:
		fmt.Fprintf(b, " expires at %d\n", expires/second)
	default:
		b.WriteString(" never expires\n")
	}
	if s.Will != nil {
		fmt.Fprintf(b, "  will: %s", messageText(s.Will))
		if due, ok := s.WillDue(); ok {
			fmt.Fprintf(b, " at %d", due/second)
		}
		b.WriteByte('\n')
	}
	for _, filter := range slices.Sorted(maps.Keys(s.Subscriptions)) {
		fmt.Fprintf(b, "  subscription %s %s\n", filter, s.Subscriptions[filter].QoS)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Received)) {
		fmt.Fprintf(b, "  received %d, awaits PUBREL\n", id)
	}
	for _, d := range s.Deliveries() {
		fmt.Fprintf(b, "  delivery %d: %s", d.Number, d.State)
		if d.PacketID != 0 {
			fmt.Fprintf(b, " as %d", d.PacketID)
		}
		switch {
		case d.Message != nil:
			fmt.Fprintf(b, ", %s %q %s", d.Message.Topic, d.Message.Payload, d.QoS)
		case d.State == Sent:
			b.WriteString(", message unknown")
		}
		b.WriteByte('\n')
	}
}
