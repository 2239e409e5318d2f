package journal

import (
	"encoding/binary"

	"github.com/colibri-mqtt/colibri"
)

// RetainedSet makes a Message the Retained Message of its topic.
type RetainedSet struct {
	Number  uint64 // of the change: the highest for a topic counts
	Message *colibri.Message
}

// RetainedRemoved says that the topic has no Retained Message any more: one with an
// empty payload has come, or it has expired, or a limit was reached.
type RetainedRemoved struct {
	Number uint64 // of the change
	Topic  string
}

func (RetainedSet) entry()     {}
func (RetainedRemoved) entry() {}

func (e RetainedSet) append(b []byte) []byte {
	return appendMessage(binary.AppendUvarint(b, e.Number), e.Message)
}

func (r *reader) retainedSet() Entry {
	return RetainedSet{Number: r.number("number of the change"), Message: r.message()}
}

func (e RetainedRemoved) append(b []byte) []byte {
	return appendString(binary.AppendUvarint(b, e.Number), e.Topic)
}

func (r *reader) retainedRemoved() Entry {
	return RetainedRemoved{Number: r.number("number of the change"), Topic: r.string("Topic Name")}
}

// Retained is a Retained Message and the number of the change that set it.
type Retained struct {
	Number  uint64
	Message *colibri.Message
}

func (s *State) retainedSet(e RetainedSet) {
	if s.newest(e.Message.Topic, e.Number) {
		delete(s.removed, e.Message.Topic)
		s.Retained[e.Message.Topic] = Retained{e.Number, keep(e.Message)} // [MQTT-3.3.1-5]
	}
}

func (s *State) retainedRemoved(e RetainedRemoved) {
	if s.newest(e.Topic, e.Number) {
		delete(s.Retained, e.Topic) // [MQTT-3.3.1-6]
		if s.removed == nil {
			s.removed = map[string]uint64{}
		}
		s.removed[e.Topic] = e.Number
	}
}

// newest reports whether a change of a Retained Message is younger than all before.
func (s *State) newest(topic string, number uint64) bool {
	s.LastRetained = max(s.LastRetained, number)
	if number <= s.Retained[topic].Number || number <= s.removed[topic] {
		s.Ignored++
		return false
	}
	return true
}
