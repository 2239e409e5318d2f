package session

import (
	"errors"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// The client's acknowledgements of our PUBLISH packets. One that names a Packet
// Identifier which is not in use is ignored, as it may be late; one that does not fit
// the QoS of its PUBLISH is a Protocol Error. Each that frees the window lets the next
// waiting message go.

func (s *Session) receivePuback(p *packet.Puback, out *Output) error {
	d, err := s.sending.Puback(p.PacketID) // [MQTT-4.3.2-3], [MQTT-4.4.0-2]: also with an error code
	if err == nil {
		out.over(d.Number)
		if p.Code.Failed() {
			out.Refused++
		}
	}
	return s.acknowledged("PUBACK", err)
}

func (s *Session) receivePubrec(p *packet.Pubrec, out *Output) error {
	d, release, err := s.sending.Pubrec(p.PacketID, p.Code.Failed())
	switch {
	case errors.Is(err, colibri.PacketIdentifierNotFound):
		out.acknowledge(packet.PUBREL, p.PacketID, colibri.Success) // lets the client finish its half
		if s.version == colibri.V5 {
			out.Replies[len(out.Replies)-1].Code = colibri.PacketIdentifierNotFound
			s.explain("no QoS 2 message with this Packet Identifier waits for its PUBREC", out)
		}
		return nil
	case err == nil && p.Code.Failed():
		out.Refused++
		out.over(d.Number)
	case release:
		if d := s.sending.Value(p.PacketID); d != nil {
			d.Message = nil // the client has it
		}
		out.acknowledge(packet.PUBREL, p.PacketID, colibri.Success) // [MQTT-4.3.3-4]
		out.Replies[len(out.Replies)-1].Number = d.Number
	}
	return s.acknowledged("PUBREC", err)
}

func (s *Session) receivePubcomp(p *packet.Pubcomp, out *Output) error {
	d, err := s.sending.Pubcomp(p.PacketID) // [MQTT-4.3.3-5]
	if err == nil {
		out.over(d.Number)
	}
	return s.acknowledged("PUBCOMP", err)
}

func (s *Session) acknowledged(op string, err error) error {
	if err == nil || errors.Is(err, colibri.PacketIdentifierNotFound) {
		return nil
	}
	return protocolError(op, "", "does not fit the PUBLISH that has its Packet Identifier")
}
