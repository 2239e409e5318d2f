package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// role is how a subscriber behaves.
type role struct {
	version        colibri.Version
	subscriptions  []colibri.Subscription // none of them overlap
	share          string
	receiveMaximum uint16
	seldom         bool          // it is offline most of the time
	slow           time.Duration // it acknowledges at most this much later
}

// roleOf returns the role of a subscriber. They repeat.
func roleOf(number int) role {
	subscribe := func(qos colibri.QoS, filters ...string) (all []colibri.Subscription) {
		for _, filter := range filters {
			all = append(all, colibri.Subscription{Filter: filter, QoS: qos})
		}
		return all
	}
	share := fmt.Sprintf("pair-%d", number/6)
	shared := subscribe(colibri.AtLeastOnce, "$share/"+share+"/crash/+/+")
	return []role{
		{version: colibri.V5, subscriptions: subscribe(colibri.ExactlyOnce, "crash/#"), slow: 20 * time.Millisecond},
		{version: colibri.V5, seldom: true, subscriptions: slices.Concat(
			subscribe(colibri.ExactlyOnce, "crash/0/a", "crash/1/a", "crash/1/b"), subscribe(colibri.AtLeastOnce, "crash/0/b"))},
		{version: colibri.V311, seldom: true, slow: 5 * time.Millisecond, subscriptions: slices.Concat(
			subscribe(colibri.ExactlyOnce, "crash/+/a"), subscribe(colibri.AtLeastOnce, "crash/+/b"))},
		{version: colibri.V5, subscriptions: subscribe(colibri.ExactlyOnce, "crash/0/#", "crash/1/+"), receiveMaximum: 3},
		{version: colibri.V5, subscriptions: shared, share: share, slow: 10 * time.Millisecond},
		{version: colibri.V311, subscriptions: shared, share: share, seldom: true},
	}[number%6]
}

// subscriber receives, and acknowledges as a correct client does.
type subscriber struct {
	peer
	role
	session *session

	received map[uint16]messageID // QoS 2, PUBREC owed or sent and no PUBREL yet
	unacked  map[uint16]bool      // of this connection, which the Receive Maximum is about
	owed     []owed
	asked    bool
	ready    chan struct{} // closed when the first SUBACK has come
	online   atomic.Bool
}

// owed is an answer that a slow client sends later.
type owed struct {
	packet packet.Packet
	id     uint16
	ends   bool // the handshake
	due    time.Time
}

func newSubscriber(r *run, number int) *subscriber {
	s := &subscriber{role: roleOf(number), received: map[uint16]messageID{}, ready: make(chan struct{})}
	s.peer = peer{run: r, id: fmt.Sprintf("crash-subscriber-%d", number), version: s.role.version,
		receiveMaximum: s.role.receiveMaximum, random: r.randomOf(2, number)}
	s.session = r.history.addSession(s.id, s.share)
	return s
}

// live subscribes and receives until ctx ends. A client that is seldom there stays when
// the run asks for quiet.
func (s *subscriber) live(ctx context.Context) {
	for ctx.Err() == nil {
		resumed, ok := s.connect(ctx)
		if !ok {
			return
		}
		s.unacked, s.owed = map[uint16]bool{}, nil
		if !resumed {
			clear(s.received)
			s.asked = false
		}
		s.online.Store(true)
		if s.subscribe() == nil {
			s.talk(ctx)
		}
		s.online.Store(false)
		s.drop()
		if s.seldom && s.asked {
			s.run.sleep(ctx, s.between(500*time.Millisecond, 3*time.Second))
		}
	}
}

// subscribe asks for the Subscriptions unless a SUBACK has come.
func (s *subscriber) subscribe() error {
	if s.asked {
		return nil
	}
	subscribe := &packet.Subscribe{PacketID: 1}
	for _, sub := range s.subscriptions {
		if s.peer.version == colibri.V5 && s.share == "" {
			sub.RetainHandling = colibri.NoRetained
		}
		subscribe.Subscriptions = append(subscribe.Subscriptions, sub)
	}
	return s.send(subscribe)
}

// talk answers until the connection ends, which the client does itself now and then.
func (s *subscriber) talk(ctx context.Context) {
	stay := s.between(2*time.Second, 10*time.Second)
	if s.seldom {
		stay = s.between(100*time.Millisecond, 700*time.Millisecond)
	}
	leave := time.After(stay)
	answer := time.NewTimer(0)
	defer answer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-leave:
			if !s.run.quiet.Load() && s.asked {
				return
			}
		case received, ok := <-s.in:
			if !ok || s.receive(received) != nil {
				return
			}
			if len(s.owed) > 0 {
				answer.Reset(time.Until(s.owed[0].due))
			}
		case <-answer.C:
			if s.pay() != nil {
				return
			}
			if len(s.owed) > 0 {
				answer.Reset(time.Until(s.owed[0].due))
			}
		}
	}
}

// receive takes a packet of the broker.
func (s *subscriber) receive(received packet.Packet) error {
	switch p := received.(type) {
	case *packet.Suback:
		s.subscribed(p)
	case *packet.Publish:
		return s.delivery(p)
	case *packet.Pubrel:
		delete(s.received, p.PacketID)
		return s.owe(&packet.Pubcomp{PacketID: p.PacketID}, p.PacketID, true)
	case *packet.Disconnect:
		s.misplaced("the broker said DISCONNECT: %s", p.Code)
	default:
		s.misplaced("%s for a client that only subscribes", received.Type())
	}
	return nil
}

func (s *subscriber) subscribed(suback *packet.Suback) {
	for i, sub := range s.subscriptions {
		if i >= len(suback.Codes) || suback.Codes[i] != colibri.ReasonCode(sub.QoS) {
			s.misplaced("SUBACK %v does not grant %s with %s", suback.Codes, sub.Filter, sub.QoS)
			return
		}
		filter := sub.Filter
		if _, inner, shared := topic.SplitShared(filter); shared {
			filter = inner
		}
		s.run.history.subscribe(s.session, filter, sub.QoS)
	}
	if !s.asked {
		s.asked = true
		select {
		case <-s.ready:
		default:
			close(s.ready)
		}
	}
}

// delivery takes a PUBLISH.
func (s *subscriber) delivery(p *packet.Publish) error {
	if p.PacketID != 0 && s.peer.receiveMaximum > 0 && !s.unacked[p.PacketID] && len(s.unacked) >= int(s.peer.receiveMaximum) {
		s.misplaced("PUBLISH with Packet Identifier %d, and %d are unacknowledged: more than the Receive Maximum", p.PacketID, len(s.unacked))
	}
	if len(p.Payload) > 0 && !p.Retain {
		if err := s.note(p); err != nil {
			s.misplaced("%v", err)
		}
	}
	switch p.QoS {
	case colibri.AtLeastOnce:
		s.unacked[p.PacketID] = true
		return s.owe(&packet.Puback{PacketID: p.PacketID}, p.PacketID, true)
	case colibri.ExactlyOnce:
		s.unacked[p.PacketID] = true
		if _, open := s.received[p.PacketID]; !open {
			s.received[p.PacketID] = messageID{-1, -1} // a removal, or not for us; note has said what it is otherwise
		}
		return s.owe(&packet.Pubrec{PacketID: p.PacketID}, p.PacketID, false)
	}
	return nil
}

// note tells the history what has arrived.
func (s *subscriber) note(p *packet.Publish) error {
	id, err := readPayload(p.Payload)
	if err != nil {
		return err
	}
	a := arrival{message: id, topic: p.Topic, qos: p.QoS}
	if p.QoS == colibri.ExactlyOnce {
		before, open := s.received[p.PacketID]
		if open && before != id {
			return fmt.Errorf("PUBLISH with number %d of publisher %d has Packet Identifier %d, whose handshake is open for number %d of publisher %d",
				id.sequence, id.publisher, p.PacketID, before.sequence, before.publisher)
		}
		a.again = open
		s.received[p.PacketID] = id
	}
	s.run.history.arrive(s.session, a)
	return nil
}

// owe sends an answer, at once or a little later; the order stays [MQTT-4.6.0-2].
func (s *subscriber) owe(answer packet.Packet, id uint16, ends bool) error {
	due := time.Now()
	if s.slow > 0 {
		due = due.Add(s.between(0, s.slow))
	}
	if n := len(s.owed); n > 0 && due.Before(s.owed[n-1].due) {
		due = s.owed[n-1].due
	}
	s.owed = append(s.owed, owed{answer, id, ends, due})
	return s.pay()
}

// pay sends the answers that are due.
func (s *subscriber) pay() error {
	now, n := time.Now(), 0
	var packets []packet.Packet
	for ; n < len(s.owed) && !s.owed[n].due.After(now); n++ {
		packets = append(packets, s.owed[n].packet)
		if s.owed[n].ends {
			delete(s.unacked, s.owed[n].id)
		}
	}
	if n == 0 {
		return nil
	}
	s.owed = slices.Delete(s.owed, 0, n)
	return s.send(packets...)
}
