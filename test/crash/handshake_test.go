package main

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// wired gives p a connection, and returns a function that ends it and says which packets
// p has sent over it, one a line.
func wired(t *testing.T, p *peer) (sent func() string) {
	t.Helper()
	near, far := net.Pipe()
	p.nc = near
	done := make(chan string)
	go func() {
		var lines []string
		r := bufio.NewReader(far)
		for {
			received, err := readPacket(r, p.version)
			if err != nil {
				done <- strings.Join(lines, "\n")
				return
			}
			lines = append(lines, line(received))
		}
	}()
	return func() string {
		near.Close()
		return <-done
	}
}

// line shows what of a packet the handshakes are about.
func line(p packet.Packet) string {
	text := p.Type().String()
	id := func(n uint16) string { return " " + string(rune('0'+n)) }
	switch p := p.(type) {
	case *packet.Publish:
		text += id(p.PacketID) + " " + p.QoS.String()
		if p.Dup {
			text += " DUP"
		}
	case *packet.Puback:
		text += id(p.PacketID)
	case *packet.Pubrec:
		text += id(p.PacketID)
	case *packet.Pubrel:
		text += id(p.PacketID)
	case *packet.Pubcomp:
		text += id(p.PacketID)
	}
	return text
}

func testRun(publishers int) *run {
	return &run{options: options{rate: 1, seed: 1}, history: newHistory(publishers)}
}

// publishOf is a PUBLISH with a message of publisher 0.
func publishOf(packetID uint16, n int, qos colibri.QoS) *packet.Publish {
	return &packet.Publish{PacketID: packetID, QoS: qos, Topic: "crash/0/a", Payload: payload(messageID{0, n})}
}

func TestPublisherResends(t *testing.T) {
	r := testRun(1)
	p := newPublisher(r, 0)
	p.window = 9
	sent := wired(t, &p.peer)
	for _, qos := range []colibri.QoS{1, 2, 1, 2, 2} {
		h := handshake{p.freeID(), r.history.publish(0, message{topic: "crash/0/a", qos: qos})}
		p.unanswered = append(p.unanswered, h)
	}
	p.outstanding.Store(5)
	for _, answer := range []packet.Packet{
		&packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 2}, &packet.Pubrec{PacketID: 4}, &packet.Pubcomp{PacketID: 2},
	} {
		if err := p.receive(answer); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := sent(), "PUBREL 2\nPUBREL 4"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	sent = wired(t, &p.peer)
	if err := p.again(); err != nil {
		t.Fatal(err)
	}
	if got, want := sent(), "PUBREL 4\nPUBLISH 3 QoS 1 DUP\nPUBLISH 5 QoS 2 DUP"; got != want {
		t.Errorf("after the reconnect: got\n%s\nwant\n%s", got, want)
	}
	if got, want := p.outstanding.Load(), int32(3); got != want {
		t.Errorf("outstanding: got %d, want %d", got, want)
	}
	if got, _ := r.history.progress(); got != 3 {
		t.Errorf("acknowledged: got %d, want 3", got)
	}
	if len(r.history.faults) > 0 {
		t.Errorf("got faults %v", r.history.faults)
	}
}

func TestPublisherFindsWrongAnswers(t *testing.T) {
	for _, answer := range []packet.Packet{&packet.Puback{PacketID: 2}, &packet.Puback{PacketID: 9}, &packet.Pubrec{PacketID: 1},
		&packet.Pubcomp{PacketID: 2}, &packet.Disconnect{}, &packet.Publish{}} {
		r := testRun(1)
		p := newPublisher(r, 0)
		for _, qos := range []colibri.QoS{1, 2} {
			p.unanswered = append(p.unanswered, handshake{p.freeID(), r.history.publish(0, message{qos: qos})})
		}
		if err := p.receive(answer); err != nil {
			t.Fatal(err)
		}
		if len(r.history.faults) != 1 || r.history.faults[0].Kind != protocol {
			t.Errorf("%s: got faults %v, want one", line(answer), r.history.faults)
		}
	}
}

func TestSubscriberHandshakes(t *testing.T) {
	r := testRun(1)
	s := newSubscriber(r, 3) // Receive Maximum 3
	s.unacked = map[uint16]bool{}
	sent := wired(t, &s.peer)
	for _, p := range []packet.Packet{
		publishOf(1, 0, colibri.AtLeastOnce),
		publishOf(2, 1, colibri.ExactlyOnce),
		publishOf(2, 1, colibri.ExactlyOnce), // PUBREC was not read
		&packet.Pubrel{PacketID: 2},
		publishOf(2, 1, colibri.ExactlyOnce), // the same message once more
		publishOf(2, 4, colibri.ExactlyOnce), // another one in its handshake
		&packet.Publish{PacketID: 3, QoS: colibri.ExactlyOnce, Topic: "crash/0/retained/0"},
		&packet.Publish{PacketID: 4, QoS: colibri.AtLeastOnce, Retain: true, Topic: "crash/0/retained/0", Payload: payload(messageID{0, 5})},
	} {
		if err := s.receive(p); err != nil {
			t.Fatal(err)
		}
	}
	want := "PUBACK 1\nPUBREC 2\nPUBREC 2\nPUBCOMP 2\nPUBREC 2\nPUBREC 2\nPUBREC 3\nPUBACK 4"
	if diff := cmp.Diff(want, sent()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	type arrived struct {
		n     int
		again bool
	}
	var got []arrived
	for _, a := range s.session.arrivals {
		got = append(got, arrived{a.message.sequence, a.again})
	}
	if diff := cmp.Diff([]arrived{{0, false}, {1, false}, {1, true}, {1, false}}, got, cmp.AllowUnexported(arrived{})); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
	if len(r.history.faults) != 1 || !strings.Contains(r.history.faults[0].Text, "whose handshake is open for number 1") {
		t.Errorf("got faults %v, want one about Packet Identifier 2", r.history.faults)
	}
}

func TestSubscriberFindsMoreThanReceiveMaximum(t *testing.T) {
	r := testRun(1)
	s := newSubscriber(r, 3)
	s.unacked = map[uint16]bool{}
	sent := wired(t, &s.peer)
	for n := range 3 {
		s.receive(publishOf(uint16(n+1), n, colibri.ExactlyOnce))
	}
	if len(r.history.faults) > 0 {
		t.Errorf("within the Receive Maximum: got faults %v", r.history.faults)
	}
	s.receive(publishOf(4, 3, colibri.ExactlyOnce))
	if len(r.history.faults) != 1 {
		t.Errorf("beyond the Receive Maximum: got faults %v, want one", r.history.faults)
	}
	sent()
}

func TestShifterHandshakes(t *testing.T) {
	r := testRun(0)
	s := newShifter(r, 0)
	sent := wired(t, &s.peer)
	s.asked, s.askedAs, s.certain, s.wanted = 4, 1, true, wish{on: true, qos: 2}
	s.shifts.ask(4)
	s.receive(&packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{2}})
	round := s.shifts.begin()
	s.receive(&packet.Publish{PacketID: 7, QoS: 2, Payload: []byte("round 1 filter 4")})
	s.receive(&packet.Pubrel{PacketID: 7})
	if got := s.shifts.missing(); round != 1 || len(got) > 0 {
		t.Errorf("round %d: got %v missing, want none", round, got)
	}
	if len(r.history.faults) > 0 {
		t.Errorf("got faults %v", r.history.faults)
	}
	s.receive(&packet.Publish{PacketID: 8, QoS: 1, Payload: []byte("round 1 filter 5")})
	s.receive(&packet.Suback{PacketID: 9, Codes: []colibri.ReasonCode{2}})
	if got, want := sent(), "PUBREC 7\nPUBCOMP 7\nPUBACK 8"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := len(r.history.faults); got != 2 {
		t.Errorf("got %d faults %v, want a Subscription too many and a SUBACK too many", got, r.history.faults)
	}
}
