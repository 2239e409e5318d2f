package journal

import "encoding/binary"

// PublishReceived says that a QoS 2 PUBLISH of the client was taken: a repeat with this
// Packet Identifier is not delivered again [MQTT-4.3.3-10].
type PublishReceived struct {
	Session  uint64
	PacketID uint16
}

// PubrelReceived says that the client's PUBREL has come, or its PUBLISH was refused:
// the next PUBLISH with this Packet Identifier is a new Message [MQTT-4.3.3-12].
type PubrelReceived struct {
	Session  uint64
	PacketID uint16
}

func (PublishReceived) entry() {}
func (PubrelReceived) entry()  {}

func (e PublishReceived) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, e.Session), uint64(e.PacketID))
}

func (r *reader) publishReceived() Entry {
	return PublishReceived{Session: r.number("Session"), PacketID: r.packetID()}
}

func (e PubrelReceived) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, e.Session), uint64(e.PacketID))
}

func (r *reader) pubrelReceived() Entry {
	return PubrelReceived{Session: r.number("Session"), PacketID: r.packetID()}
}

func (s *State) publishReceived(e PublishReceived) {
	if session := s.session(e.Session); session != nil {
		session.Received[e.PacketID] = struct{}{}
	}
}

func (s *State) pubrelReceived(e PubrelReceived) {
	if session := s.session(e.Session); session != nil {
		delete(session.Received, e.PacketID)
	}
}
