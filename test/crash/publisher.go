package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// publisher publishes numbered messages to topics of its own.
type publisher struct {
	peer
	number int
	window int           // handshakes that may be open at a time
	pause  time.Duration // between two bursts, on average
	slow   time.Duration // it looks at what has come at most this much later

	next        uint16
	unread      []unread
	unanswered  []handshake // PUBLISH sent, in this order
	released    []handshake // PUBREL sent, in this order
	outstanding atomic.Int32
}

// handshake is one message on its way to the broker.
type handshake struct {
	packetID uint16
	message  messageID
}

// unread is an answer that has come and that the client has not looked at. With its
// connection it is lost, as if it had been on its way: the broker has recorded what the
// client sends again.
type unread struct {
	answer packet.Packet
	due    time.Time
}

func newPublisher(r *run, number int) *publisher {
	p := &publisher{number: number, peer: peer{run: r, id: fmt.Sprintf("crash-publisher-%d", number),
		version: versionOf(number), random: r.randomOf(1, number)}}
	p.window = 1 + p.random.IntN(20)
	if number == 0 {
		p.window = 20
	}
	if number%3 != 2 {
		p.slow = 20 * time.Millisecond
	}
	p.pause = time.Duration(float64(time.Second) * float64(1+p.window) / 2 / r.rate)
	return p
}

// versionOf mixes 5.0 and 3.1.1.
func versionOf(number int) colibri.Version {
	if number%2 == 0 {
		return colibri.V5
	}
	return colibri.V311
}

// live publishes until the run asks for quiet, and then ends the handshakes that are open.
func (p *publisher) live(ctx context.Context) {
	for ctx.Err() == nil {
		resumed, ok := p.connect(ctx)
		if !ok {
			return
		}
		if !resumed {
			p.unanswered, p.released = nil, nil // the broker knows nothing of them [MQTT-3.2.2-5]
		}
		p.unread = nil
		if p.again() == nil {
			p.talk(ctx)
		}
		p.drop()
	}
}

// again resends what the broker has not answered, in the order of the first time
// [MQTT-4.4.0-1] [MQTT-4.6.0-1].
func (p *publisher) again() error {
	var packets []packet.Packet
	for _, h := range p.released {
		packets = append(packets, &packet.Pubrel{PacketID: h.packetID})
	}
	for _, h := range p.unanswered {
		p.run.history.publishAgain(h.message)
		packets = append(packets, p.packetOf(h, true))
	}
	p.outstanding.Store(int32(len(packets)))
	if len(packets) == 0 {
		return nil
	}
	return p.send(packets...)
}

// packetOf returns the PUBLISH of a handshake.
func (p *publisher) packetOf(h handshake, again bool) *packet.Publish {
	m := p.run.history.message(h.message)
	publish := &packet.Publish{PacketID: h.packetID, Topic: m.topic, QoS: m.qos, Retain: m.retain, Dup: again}
	if !m.removal {
		publish.Payload = payload(h.message)
	}
	return publish
}

// talk publishes and answers until the connection ends, which the client does itself now and then.
func (p *publisher) talk(ctx context.Context) {
	leave := time.After(p.between(time.Second, 8*time.Second))
	burst, read := time.NewTimer(0), time.NewTimer(0)
	defer burst.Stop()
	defer read.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-leave:
			return
		case received, ok := <-p.in:
			if !ok {
				return
			}
			due := time.Now().Add(p.between(0, p.slow))
			if n := len(p.unread); n > 0 && due.Before(p.unread[n-1].due) {
				due = p.unread[n-1].due
			}
			p.unread = append(p.unread, unread{received, due})
			read.Reset(time.Until(p.unread[0].due))
		case <-read.C:
			if p.read() != nil {
				return
			}
			if len(p.unread) > 0 {
				read.Reset(time.Until(p.unread[0].due))
			}
		case <-burst.C:
			if p.run.quiet.Load() {
				if p.outstanding.Load() == 0 {
					leave = nil // nothing is left to do
				}
				burst.Reset(10 * time.Millisecond)
				continue
			}
			if p.publish(1+p.random.IntN(p.window)) != nil {
				return
			}
			burst.Reset(p.between(0, 2*p.pause))
		}
	}
}

// read looks at the answers that are due.
func (p *publisher) read() error {
	for now := time.Now(); len(p.unread) > 0 && !p.unread[0].due.After(now); p.unread = p.unread[1:] {
		if err := p.receive(p.unread[0].answer); err != nil {
			return err
		}
	}
	return nil
}

// publish sends at most n new messages, as the window allows.
func (p *publisher) publish(n int) error {
	var packets []packet.Packet
	for range min(n, p.window-len(p.unanswered)-len(p.released)) {
		h := handshake{p.freeID(), p.run.history.publish(p.number, p.newMessage())}
		p.unanswered = append(p.unanswered, h)
		p.outstanding.Add(1)
		packets = append(packets, p.packetOf(h, false))
	}
	if len(packets) == 0 {
		return nil
	}
	return p.send(packets...)
}

// newMessage makes up what is sent next.
func (p *publisher) newMessage() message {
	m := message{qos: colibri.QoS(1 + p.random.IntN(2))}
	switch {
	case p.number%2 == 0 && p.random.IntN(6) == 0:
		m.topic = fmt.Sprintf("crash/%d/retained/%d", p.number, p.random.IntN(5))
		m.retain, m.removal = true, p.random.IntN(4) == 0
	case p.random.IntN(2) == 0:
		m.topic = fmt.Sprintf("crash/%d/a", p.number)
	default:
		m.topic = fmt.Sprintf("crash/%d/b", p.number)
	}
	return m
}

// freeID returns a Packet Identifier that no open handshake has.
func (p *publisher) freeID() uint16 {
	for {
		p.next++
		used := func(h handshake) bool { return h.packetID == p.next }
		if p.next != 0 && !slices.ContainsFunc(p.unanswered, used) && !slices.ContainsFunc(p.released, used) {
			return p.next
		}
	}
}

// receive takes an answer of the broker.
func (p *publisher) receive(received packet.Packet) error {
	switch answer := received.(type) {
	case *packet.Puback:
		h, ok := p.take(&p.unanswered, answer.PacketID, colibri.AtLeastOnce)
		if !ok {
			p.misplaced("PUBACK for Packet Identifier %d, of which no QoS 1 PUBLISH is open", answer.PacketID)
			return nil
		}
		p.run.history.acknowledge(h.message, answer.Code)
		p.outstanding.Add(-1)
	case *packet.Pubrec:
		h, ok := p.take(&p.unanswered, answer.PacketID, colibri.ExactlyOnce)
		if !ok {
			p.misplaced("PUBREC for Packet Identifier %d, of which no QoS 2 PUBLISH is open", answer.PacketID)
			return nil
		}
		p.run.history.acknowledge(h.message, answer.Code)
		if answer.Code >= colibri.UnspecifiedError {
			p.outstanding.Add(-1)
			return nil
		}
		p.released = append(p.released, h)
		return p.send(&packet.Pubrel{PacketID: answer.PacketID})
	case *packet.Pubcomp:
		if _, ok := p.take(&p.released, answer.PacketID, colibri.ExactlyOnce); !ok {
			p.misplaced("PUBCOMP for Packet Identifier %d, of which no PUBREL is open", answer.PacketID)
			return nil
		}
		p.outstanding.Add(-1)
	case *packet.Disconnect:
		p.misplaced("the broker said DISCONNECT: %s", answer.Code)
	default:
		p.misplaced("%s for a client that only publishes", received.Type())
	}
	return nil
}

// take removes the handshake of a Packet Identifier from those given.
func (p *publisher) take(from *[]handshake, id uint16, qos colibri.QoS) (handshake, bool) {
	i := slices.IndexFunc(*from, func(h handshake) bool { return h.packetID == id })
	if i < 0 || p.run.history.message((*from)[i].message).qos != qos {
		return handshake{}, false
	}
	h := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return h, true
}
