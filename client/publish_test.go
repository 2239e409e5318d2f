package client

import (
	"errors"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestPublish plays the three handshakes: [MQTT-4.3.1-1] [MQTT-3.3.1-2], [MQTT-4.3.2-1]
// [MQTT-4.3.2-2] [MQTT-4.3.2-3], [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3]
// [MQTT-4.3.3-4]; in 3.1.1 [MQTT311-4.3.1-1] [MQTT311-4.3.2-1] [MQTT311-4.3.3-1]
// [MQTT311-2.3.1-1] [MQTT311-2.3.1-2] [MQTT311-2.3.1-5].
func TestPublish(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		if _, err := c.Publish(t.Context(), message(0, "a", "zero")); err != nil {
			t.Fatalf("Publish with QoS 0: %v", err)
		}
		p.expectAll(&packet.Publish{Topic: "a", Payload: []byte("zero")})

		one := start(func() (Result, error) { return c.Publish(t.Context(), message(1, "a", "one")) })
		p.expectAll(&packet.Publish{QoS: 1, PacketID: 1, Topic: "a", Payload: []byte("one")})
		p.silent()
		p.send(&packet.Puback{PacketID: 1})
		if got, err := one(); err != nil || got.PacketID != 1 {
			t.Errorf("Publish with QoS 1: got %+v, %v", got, err)
		}

		two := start(func() (Result, error) { return c.Publish(t.Context(), message(2, "a", "two")) })
		p.expectAll(&packet.Publish{QoS: 2, PacketID: 2, Topic: "a", Payload: []byte("two")})
		p.send(&packet.Pubrec{PacketID: 2})
		p.expectAll(&packet.Pubrel{PacketID: 2})
		p.send(&packet.Pubcomp{PacketID: 2})
		if got, err := two(); err != nil || got.PacketID != 2 {
			t.Errorf("Publish with QoS 2: got %+v, %v", got, err)
		}
		three, err := c.Start(t.Context(), message(1, "a", ""))
		if err != nil {
			t.Fatal(err)
		}
		id := expect[*packet.Publish](p).PacketID
		select {
		case <-three.Done():
			t.Error("Done before the PUBACK")
		default:
		}
		p.send(&packet.Puback{PacketID: id})
		<-three.Done()
		p.disconnect(c)
		if _, err := c.Publish(t.Context(), message(0, "a", "")); !errors.Is(err, ErrClosed) {
			t.Errorf("Publish after Disconnect: got %v, want ErrClosed", err)
		}
	})
}

func TestSubscribe(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		subscribe := start(func() (*Subscription, error) {
			return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a/+", QoS: 2})
		})
		p.expectAll(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a/+", QoS: 2}}})
		p.send(&packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{1}})
		sub, err := subscribe()
		if err != nil {
			t.Fatalf("Subscribe: %v", err)
		}
		p.send(&packet.Publish{QoS: 1, PacketID: 7, Topic: "a/b", Payload: []byte("hello")})
		p.silent() // not acknowledged before it is taken
		m, err := sub.Next(t.Context())
		if err != nil || m.Topic != "a/b" || string(m.Payload) != "hello" {
			t.Errorf("Next: got %+v, %v", m, err)
		}
		p.expectAll(&packet.Puback{PacketID: 7})
		p.disconnect(c)
	})
}

// TestPubrelOrder covers [MQTT-4.6.0-4] [MQTT311-4.6.0-4]: PUBREL packets go out in the
// order of the PUBRECs.
func TestPubrelOrder(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		for range 3 {
			if _, err := c.Start(t.Context(), message(2, "a", "")); err != nil {
				t.Fatal(err)
			}
			expect[*packet.Publish](p)
		}
		p.send(&packet.Pubrec{PacketID: 3}, &packet.Pubrec{PacketID: 1}, &packet.Pubrec{PacketID: 2})
		p.expectAll(&packet.Pubrel{PacketID: 3}, &packet.Pubrel{PacketID: 1}, &packet.Pubrel{PacketID: 2})
		p.disconnect(c)
	})
}

// TestForward covers [MQTT-3.3.1-3] [MQTT311-3.3.1-3]: the DUP flag of a message that
// came is not that of the message that goes.
func TestForward(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		sub := p.subscribed(c, "a")
		p.send(&packet.Publish{Dup: true, QoS: 1, PacketID: 1, Topic: "a"})
		m, err := sub.Next(t.Context())
		if err != nil || !m.Dup {
			t.Fatalf("Next: got %+v, %v", m, err)
		}
		expect[*packet.Puback](p)
		if _, err := c.Start(t.Context(), &m.Message); err != nil {
			t.Fatal(err)
		}
		if got := expect[*packet.Publish](p); got.Dup {
			t.Error("the message goes on with the DUP flag")
		}
		p.disconnect(c)
	})
}

// TestPublishRefused: a Reason Code of 0x80 or greater is an error, ends the handshake
// and gives room for the next message [MQTT-4.4.0-2].
func TestPublishRefused(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{MaxInflight: 1}, accepted())
		for _, answer := range []packet.Packet{
			&packet.Puback{PacketID: 1, Code: colibri.QuotaExceeded, Properties: colibri.Properties{}.AppendValue(colibri.ReasonString, "full")},
			&packet.Pubrec{PacketID: 2, Code: colibri.QuotaExceeded},
			&packet.Puback{PacketID: 3, Code: colibri.NoMatchingSubscribers},
		} {
			qos := colibri.AtLeastOnce
			if answer.Type() == packet.PUBREC {
				qos = colibri.ExactlyOnce
			}
			publish := start(func() (Result, error) { return c.Publish(t.Context(), message(qos, "a", "")) })
			expect[*packet.Publish](p)
			p.send(answer)
			got, err := publish()
			var refusal *Refusal
			switch {
			case got.Code == colibri.NoMatchingSubscribers:
				if err != nil {
					t.Errorf("%v: got %v, want no error", got.Code, err)
				}
			case !errors.As(err, &refusal) || refusal.Packet != answer.Type() || !errors.Is(err, colibri.QuotaExceeded):
				t.Errorf("%v: got %+v, %v", answer.Type(), got, err)
			}
		}
		p.silent()
		p.disconnect(c)
	})
}

// TestStrayAnswers: what nobody asked for is no reason to end a connection, but an
// answer of the wrong kind is.
func TestStrayAnswers(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		p.send(&packet.Puback{PacketID: 7}, &packet.Pubcomp{PacketID: 7}, &packet.Pubrec{PacketID: 7})
		pubrel := &packet.Pubrel{PacketID: 7}
		if s.v == colibri.V5 {
			pubrel.Code = colibri.PacketIdentifierNotFound
		}
		p.expectAll(pubrel)
		if _, err := c.Start(t.Context(), message(1, "a", "")); err != nil {
			t.Fatal(err)
		}
		id := expect[*packet.Publish](p).PacketID
		p.send(&packet.Pubrec{PacketID: id})
		if s.v == colibri.V5 {
			p.expectAll(&packet.Disconnect{Code: colibri.ProtocolError})
		}
		p.end()
		<-c.Done()
	})
}
