package client

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/google/go-cmp/cmp"
)

// unsuback is the answer to an UNSUBSCRIBE of n filters.
func (p *peer) unsuback(id uint16, n int) *packet.Unsuback {
	if p.v != colibri.V5 {
		return &packet.Unsuback{PacketID: id}
	}
	return &packet.Unsuback{PacketID: id, Codes: make([]colibri.ReasonCode, n)}
}

// TestUnsubscribeLostSession: an UNSUBSCRIBE that waits while the Session is lost takes
// effect after the Subscriptions are made anew, not before.
func TestUnsubscribeLostSession(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		subscribe := start(func() (*Subscription, error) {
			return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a"}, colibri.Subscription{Filter: "b"})
		})
		p.send(&packet.Suback{PacketID: expect[*packet.Subscribe](p).PacketID, Codes: make([]colibri.ReasonCode, 2)})
		sub, err := subscribe()
		if err != nil {
			t.Fatal(err)
		}
		unsubscribe := start(func() ([]colibri.ReasonCode, error) { return c.Unsubscribe(t.Context(), nil, "a") })
		expect[*packet.Unsubscribe](p)
		p.nc.Close()

		p, _ = s.again(accepted())
		first := expect[*packet.Subscribe](p)
		second := expect[*packet.Unsubscribe](p)
		p.send(&packet.Suback{PacketID: first.PacketID, Codes: make([]colibri.ReasonCode, 2)}, p.unsuback(second.PacketID, 1))
		if _, err := unsubscribe(); err != nil {
			t.Errorf("Unsubscribe: %v", err)
		}
		p.send(&packet.Publish{Topic: "b", Payload: []byte("1")})
		if m, err := sub.Next(t.Context()); err != nil || m.Topic != "b" {
			t.Errorf("Next: got %+v, %v, want the message of b", m, err)
		}
		p.disconnect(c)
	})
}

// TestSubscribeAfterUnsubscribe: a Subscription of a filter whose UNSUBSCRIBE was on
// its way before is not ended by it.
func TestSubscribeAfterUnsubscribe(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		before := p.subscribed(c, "a")
		unsubscribe := start(func() ([]colibri.ReasonCode, error) { return c.Unsubscribe(t.Context(), nil, "a") })
		first := expect[*packet.Unsubscribe](p)
		subscribe := start(func() (*Subscription, error) { return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a"}) })
		second := expect[*packet.Subscribe](p)
		p.send(p.unsuback(first.PacketID, 1))
		if _, err := unsubscribe(); err != nil {
			t.Fatalf("Unsubscribe: %v", err)
		}
		if _, err := before.Next(t.Context()); !errors.Is(err, ErrUnsubscribed) {
			t.Errorf("Next of the first Subscription: got %v, want %v", err, ErrUnsubscribed)
		}
		p.send(&packet.Suback{PacketID: second.PacketID, Codes: []colibri.ReasonCode{0}}, &packet.Publish{Topic: "a"})
		after, err := subscribe()
		if err != nil {
			t.Fatalf("Subscribe: %v", err)
		}
		if m, err := after.Next(t.Context()); err != nil || m.Topic != "a" {
			t.Errorf("Next of the second Subscription: got %+v, %v, want the message of a", m, err)
		}
		p.disconnect(c)
	})
}

// TestSubackAfterUnsuback: a Server may answer in another order than it was asked in.
func TestSubackAfterUnsuback(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		subscribe := start(func() (*Subscription, error) {
			return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a"}, colibri.Subscription{Filter: "b"})
		})
		first := expect[*packet.Subscribe](p)
		unsubscribe := start(func() ([]colibri.ReasonCode, error) { return c.Unsubscribe(t.Context(), nil, "a") })
		second := expect[*packet.Unsubscribe](p)
		p.send(p.unsuback(second.PacketID, 1))
		if _, err := unsubscribe(); err != nil {
			t.Errorf("Unsubscribe: %v", err)
		}
		p.send(&packet.Suback{PacketID: first.PacketID, Codes: []colibri.ReasonCode{0, 1}})
		sub, err := subscribe()
		if err != nil {
			t.Fatalf("Subscribe: %v", err)
		}
		if diff := cmp.Diff([]colibri.ReasonCode{0, 1}, sub.Granted()); diff != "" {
			t.Errorf("Granted (-want +got):\n%s", diff)
		}
		p.disconnect(c)
	})
}

// TestResubscribeLess: a Server that takes less than the one before ends a Subscription
// with an error, so that nobody waits for its messages.
func TestResubscribeLess(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		sub := p.subscribed(c, "a/#")
		p.nc.Close()
		p, _ = s.again(accepted(number(colibri.WildcardSubscriptionAvailable, 0)))
		synctest.Wait()
		p.silent()
		if _, err := sub.Next(t.Context()); !errors.Is(err, colibri.WildcardSubscriptionsNotSupported) {
			t.Errorf("Next: got %v, want %v", err, colibri.WildcardSubscriptionsNotSupported)
		}
		p.disconnect(c)
	})
}
