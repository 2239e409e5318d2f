package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// shifter is a client that subscribes and unsubscribes all the time, and looks after
// each reconnect whether the broker knows what it has acknowledged.
type shifter struct {
	peer
	number   int
	shifts   shifts
	received map[uint16]bool // QoS 2, no PUBREL yet
	next     uint16

	asked   int // the filter of the request whose answer has not come; -1: none
	wanted  wish
	certain bool   // the state before the request is known
	askedAs uint16 // its Packet Identifier; 0 when it has to be asked again

	settled atomic.Bool  // all requests were answered, and the run is quiet
	rounds  atomic.Int32 // complete ones of the connections since the last kill
}

func newShifter(r *run, number int) *shifter {
	return &shifter{number: number, received: map[uint16]bool{}, asked: -1,
		peer: peer{run: r, id: fmt.Sprintf("crash-shifter-%d", number), version: versionOf(number), random: r.randomOf(3, number)}}
}

// errEnded is the end of a connection.
var errEnded = errors.New("the connection has ended")

func (s *shifter) live(ctx context.Context) {
	for ctx.Err() == nil {
		resumed, ok := s.connect(ctx)
		if !ok {
			return
		}
		if !resumed {
			clear(s.received)
			s.shifts.forget()
			s.asked = -1
		}
		s.askedAs = 0
		s.talk(ctx)
		s.hangUp()
	}
}

// talk looks, changes, looks again, until the connection ends.
func (s *shifter) talk(ctx context.Context) error {
	for {
		if err := s.look(ctx); err != nil {
			return err
		}
		for range 5 + s.random.IntN(10) {
			if s.asked < 0 {
				if s.run.quiet.Load() {
					break
				}
				s.choose()
			}
			if err := s.ask(ctx); err != nil {
				return err
			}
			if err := s.wait(ctx, s.between(0, 60*time.Millisecond), nil); err != nil {
				return err
			}
		}
		if s.run.quiet.Load() && s.asked < 0 {
			s.settled.Store(true)
			if err := s.wait(ctx, time.Second, nil); err != nil {
				return err
			}
		}
	}
}

// choose makes up the next request.
func (s *shifter) choose() {
	s.asked = s.random.IntN(shiftFilters)
	s.certain = true
	s.wanted = wish{}
	if s.random.IntN(5) < 3 {
		s.wanted = wish{on: true, qos: colibri.QoS(s.random.IntN(3))}
		if s.version == colibri.V5 {
			s.wanted.identifier = uint32(s.random.IntN(1000))
		}
	}
}

// ask sends the request, and waits for its answer.
func (s *shifter) ask(ctx context.Context) error {
	filter, _ := shiftFilter(s.number, s.asked)
	s.shifts.ask(s.asked)
	s.next = s.next%65_535 + 1
	s.askedAs = s.next
	var request packet.Packet = &packet.Unsubscribe{PacketID: s.askedAs, Filters: []string{filter}}
	if s.wanted.on {
		subscribe := &packet.Subscribe{PacketID: s.askedAs, Subscriptions: []colibri.Subscription{{Filter: filter, QoS: s.wanted.qos}}}
		if s.wanted.identifier > 0 {
			subscribe.Properties = subscribe.Properties.AppendNumber(colibri.SubscriptionIdentifier, s.wanted.identifier)
		}
		request = subscribe
	}
	if err := s.send(request); err != nil {
		return err
	}
	err := s.wait(ctx, connackTime, func() bool { return s.asked < 0 })
	if s.asked >= 0 {
		s.certain = false // it may have had its effect before it is asked again
	}
	return err
}

// look makes one round. When it is cut short nothing is known.
func (s *shifter) look(ctx context.Context) error {
	kills := s.run.history.killCount()
	round := s.shifts.begin()
	published := make(chan error, 1)
	go func() { published <- s.publishRound(ctx, round) }()
	var failed error
	done := false
	err := s.wait(ctx, connackTime, func() bool {
		if !done {
			select {
			case failed = <-published:
				done = true
			default:
			}
		}
		return done
	})
	if err == nil && !done {
		failed = errEnded
	}
	if !done {
		go func() { <-published }()
	}
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	if err := s.wait(ctx, connackTime, func() bool { return len(s.shifts.missing()) == 0 }); err != nil {
		return err
	}
	for _, n := range s.shifts.missing() {
		filter, _ := shiftFilter(s.number, n)
		s.wrong(fmt.Sprintf("filter %d (%s): no message came, and the last SUBACK has made a Subscription of it", n, filter))
	}
	s.rounds.Store(int32(kills) + 1)
	return nil
}

// wrong notes that the broker's Subscriptions are not those it acknowledged.
func (s *shifter) wrong(text string) {
	h := s.run.history
	h.observe(fault{Kind: subscriptionWrong, Session: s.id, Text: text + ", " + h.momentNow()})
}

// wait takes packets until done says so, or for as long as given.
func (s *shifter) wait(ctx context.Context, long time.Duration, done func() bool) error {
	end := time.After(long)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return nil
		case <-tick.C:
		case received, ok := <-s.in:
			if !ok {
				return errEnded
			}
			if err := s.receive(received); err != nil {
				return err
			}
		}
		if done != nil && done() {
			return nil
		}
	}
}

// receive takes a packet of the broker.
func (s *shifter) receive(received packet.Packet) error {
	switch p := received.(type) {
	case *packet.Suback:
		if p.PacketID != s.askedAs || s.asked < 0 || len(p.Codes) != 1 || p.Codes[0] != colibri.ReasonCode(s.wanted.qos) {
			s.misplaced("SUBACK %d %v, want %d for %v", p.PacketID, p.Codes, s.askedAs, s.wanted)
			return nil
		}
		s.answered(-1)
	case *packet.Unsuback:
		if p.PacketID != s.askedAs || s.asked < 0 || s.wanted.on {
			s.misplaced("UNSUBACK %d, want %d", p.PacketID, s.askedAs)
			return nil
		}
		existed := -1
		if len(p.Codes) == 1 {
			existed = 1
			if p.Codes[0] == colibri.NoSubscriptionExisted {
				existed = 0
			}
		}
		s.answered(existed)
	case *packet.Publish:
		return s.delivery(p)
	case *packet.Pubrel:
		delete(s.received, p.PacketID)
		return s.send(&packet.Pubcomp{PacketID: p.PacketID})
	case *packet.Disconnect:
		s.misplaced("the broker said DISCONNECT: %s", p.Code)
	default:
		s.misplaced("%s for a client that only subscribes", received.Type())
	}
	return nil
}

// answered ends the request.
func (s *shifter) answered(existed int) {
	if text := s.shifts.answered(s.asked, s.wanted, existed, s.certain); text != "" {
		s.wrong(text)
	}
	s.asked = -1
}

// delivery takes a PUBLISH.
func (s *shifter) delivery(p *packet.Publish) error {
	var round, n int
	if _, err := fmt.Sscanf(string(p.Payload), "round %d filter %d", &round, &n); err != nil {
		s.misplaced("PUBLISH with the payload %.40q: %v", p.Payload, err)
	} else {
		identifier, _ := p.Properties.Number(colibri.SubscriptionIdentifier)
		if text := s.shifts.arrived(round, n, p.QoS, identifier); text != "" {
			s.wrong(text)
		}
	}
	switch p.QoS {
	case colibri.AtLeastOnce:
		return s.send(&packet.Puback{PacketID: p.PacketID})
	case colibri.ExactlyOnce:
		s.received[p.PacketID] = true
		return s.send(&packet.Pubrec{PacketID: p.PacketID})
	}
	return nil
}

// publishRound publishes a message to each filter over a connection of its own, and
// returns when all handshakes have ended.
func (s *shifter) publishRound(ctx context.Context, round int) error {
	connect := &packet.Connect{Version: colibri.V311, CleanStart: true, ClientID: s.id + "-looks"}
	nc, in, _, err := open(ctx, s.run.address, connect)
	if err != nil {
		return err
	}
	defer hangUp(nc, in)
	send := func(p packet.Packet) error {
		b, err := packet.Append(nil, p, colibri.V311)
		if err != nil {
			return err
		}
		return write(nc, b)
	}
	for n := range shiftFilters {
		_, name := shiftFilter(s.number, n)
		p := &packet.Publish{PacketID: uint16(n + 1), QoS: colibri.ExactlyOnce, Topic: name,
			Payload: fmt.Appendf(nil, "round %d filter %d", round, n)}
		if err := send(p); err != nil {
			return err
		}
	}
	nc.SetReadDeadline(time.Now().Add(connackTime))
	for complete := 0; complete < shiftFilters; {
		received, ok := <-in
		if !ok {
			return errEnded
		}
		switch p := received.(type) {
		case *packet.Pubrec:
			if err := send(&packet.Pubrel{PacketID: p.PacketID}); err != nil {
				return err
			}
		case *packet.Pubcomp:
			complete++
		}
	}
	return nil
}
