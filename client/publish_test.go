package client

import (
	"errors"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestPublish plays the three handshakes: [MQTT-4.3.1-1], [MQTT-4.3.2-1]
// [MQTT-4.3.2-2] [MQTT-4.3.2-3], [MQTT-4.3.3-1] to [MQTT-4.3.3-4].
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
