package session

import (
	"testing"
	"time"
	"unsafe"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestIdleSession holds the price of a Session that owes nothing.
func TestIdleSession(t *testing.T) {
	if got := unsafe.Sizeof(Session{}); got > 272 {
		t.Errorf("a Session takes %d bytes, want 272 at most", got)
	}
}

// TestHandshakeAllocations holds that the ways of a message without properties, to the
// client and from it, cost no memory beyond the message.
func TestHandshakeAllocations(t *testing.T) {
	s := New(&Limits{Inflight: 100, ReceiveMaximum: 100})
	s.Open(Options{Version: colibri.V5, ReceiveMaximum: 100})
	now := time.Unix(1_000_000_000, 0)
	var out Output
	receive := func(p packet.Packet) {
		if err := s.Receive(now, p, &out); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func(qos colibri.QoS) uint16 {
		out.Reset()
		if got := s.Deliver(time.Time{}, colibri.Delivery{Message: &message, QoS: qos}, true, &out); got != Sent {
			t.Fatalf("Deliver: got %q, want %q", verdictWords[got], verdictWords[Sent])
		}
		return out.Replies[0].PacketID
	}
	var (
		publish = packet.Publish{Topic: "t", PacketID: 7}
		puback  packet.Puback
		pubrec  packet.Pubrec
		pubrel  = packet.Pubrel{PacketID: 7}
		pubcomp packet.Pubcomp
	)
	ways := map[string]func(){
		"QoS 1 to the client": func() {
			puback.PacketID = deliver(colibri.AtLeastOnce)
			receive(&puback)
		},
		"QoS 2 to the client": func() {
			pubrec.PacketID = deliver(colibri.ExactlyOnce)
			receive(&pubrec)
			pubcomp.PacketID = pubrec.PacketID
			receive(&pubcomp)
		},
		"QoS 0 from the client": func() {
			out.Reset()
			publish.QoS = colibri.AtMostOnce
			receive(&publish)
		},
		"QoS 1 from the client": func() {
			out.Reset()
			publish.QoS = colibri.AtLeastOnce
			receive(&publish)
			s.Published(7, colibri.AtLeastOnce, colibri.Success, "", &out)
		},
		"QoS 2 from the client": func() {
			out.Reset()
			publish.QoS = colibri.ExactlyOnce
			receive(&publish)
			s.Published(7, colibri.ExactlyOnce, colibri.Success, "", &out)
			receive(&pubrel)
		},
	}
	for name, way := range ways {
		if got := testing.AllocsPerRun(100, way); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

var message = colibri.Message{Topic: "t"}

// BenchmarkDeliver is the way of a QoS 1 message to a client that is there: PUBLISH and
// PUBACK.
func BenchmarkDeliver(b *testing.B) {
	s := New(&Limits{Inflight: 100})
	s.Open(Options{Version: colibri.V5, ReceiveMaximum: 100})
	d := colibri.Delivery{Message: &colibri.Message{Topic: "t"}, QoS: colibri.AtLeastOnce}
	var out Output
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if s.Deliver(time.Time{}, d, true, &out) != Sent {
			b.Fatal("not sent")
		}
		if _, err := s.sending.Puback(out.Replies[0].PacketID); err != nil {
			b.Fatal(err)
		}
	}
}
