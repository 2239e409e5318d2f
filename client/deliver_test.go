package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/google/go-cmp/cmp"
)

// TestReceive plays the three handshakes from the receiving end: [MQTT-4.3.2-4]
// [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-2.2.1-5], in 3.1.1
// [MQTT311-4.3.2-2] [MQTT311-4.3.3-2] [MQTT311-2.3.1-6] [MQTT311-3.3.4-1].
func TestReceive(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		sub := p.subscribed(c, "a/#")
		next := func(want string) {
			t.Helper()
			m, err := sub.Next(t.Context())
			if err != nil || string(m.Payload) != want {
				t.Fatalf("Next: got %+v, %v, want %q", m, err, want)
			}
		}
		p.send(&packet.Publish{Topic: "a", Payload: []byte("zero")})
		next("zero")
		p.send(&packet.Publish{QoS: 1, PacketID: 1, Topic: "a", Payload: []byte("one")})
		next("one")
		p.expectAll(&packet.Puback{PacketID: 1})

		two := &packet.Publish{QoS: 2, PacketID: 1, Topic: "a/b", Payload: []byte("two"), Retain: true}
		p.send(two)
		next("two")
		p.expectAll(&packet.Pubrec{PacketID: 1})
		again := *two
		again.Dup = true
		p.send(&again) // [MQTT-4.3.3-10]
		p.expectAll(&packet.Pubrec{PacketID: 1})
		p.send(&packet.Pubrel{PacketID: 1})
		p.expectAll(&packet.Pubcomp{PacketID: 1})
		p.send(two) // a new message now
		next("two")
		p.expectAll(&packet.Pubrec{PacketID: 1})

		// A PUBREL for nothing is answered, in 5.0 with what is wrong.
		p.send(&packet.Pubrel{PacketID: 9})
		pubcomp := &packet.Pubcomp{PacketID: 9}
		if s.v == colibri.V5 {
			pubcomp.Code = colibri.PacketIdentifierNotFound
		}
		p.expectAll(pubcomp)
		p.disconnect(c)
	})
}

// TestMessage checks everything that a program sees of a message, and that it may
// keep it.
func TestMessage(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		sub := p.subscribed(c, "a")
		properties := colibri.Properties{}.AppendValue(colibri.ContentType, "text/plain").
			AppendNumber(colibri.SubscriptionIdentifier, 3).AppendNumber(colibri.SubscriptionIdentifier, 4).AppendUser("k", "v")
		p.send(&packet.Publish{QoS: 1, PacketID: 5, Dup: true, Retain: true, Topic: "a", Payload: []byte("x"), Properties: properties})
		m, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // over the read buffer
			p.send(&packet.Publish{Topic: "a", Payload: []byte(strings.Repeat("y", 1000))})
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := colibri.Message{Topic: "a", Payload: []byte("x"), QoS: 1, Retain: true, Properties: properties}
		if diff := cmp.Diff(want, m.Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]uint32{3, 4}, m.Identifiers); diff != "" || m.PacketID != 5 || !m.Dup {
			t.Errorf("got %+v; identifiers (-want +got):\n%s", m, diff)
		}
		p.expectAll(&packet.Puback{PacketID: 5})
		p.disconnect(c)
	})
}

// TestIncomingTopicAlias covers [MQTT-3.3.2-10] and, over a second connection,
// [MQTT-3.3.2-7].
func TestIncomingTopicAlias(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		o := Options{Properties: colibri.Properties{number(colibri.TopicAliasMaximum, 2)}, Reconnect: &Backoff{}}
		c, p := s.dial(o, accepted())
		sub := p.subscribed(c, "#")
		alias := func(n uint32) colibri.Properties { return colibri.Properties{number(colibri.TopicAlias, n)} }
		p.send(
			&packet.Publish{Topic: "one", Properties: alias(1)},
			&packet.Publish{Topic: "two", Properties: alias(2)},
			&packet.Publish{Properties: alias(1)},
			&packet.Publish{Topic: "three", Properties: alias(1)},
			&packet.Publish{Properties: alias(1)},
			&packet.Publish{Properties: alias(2)},
		)
		for _, want := range []string{"one", "two", "one", "three", "three", "two"} {
			m, err := sub.Next(t.Context())
			if err != nil || m.Topic != want {
				t.Fatalf("Next: got %+v, %v, want topic %q", m, err, want)
			}
		}
		p.nc.Close()
		p = s.accept()
		expect[*packet.Connect](p)
		p.send(accepted())
		p.resubscribed()
		p.send(&packet.Publish{Properties: alias(2)})
		p.expectAll(&packet.Disconnect{Code: colibri.TopicAliasInvalid})
		c.Close()
	})
}

// resubscribed answers the SUBSCRIBE of a Client that has lost its Session.
func (p *peer) resubscribed() *packet.Subscribe {
	p.t.Helper()
	request := expect[*packet.Subscribe](p)
	p.send(&packet.Suback{PacketID: request.PacketID, Codes: make([]colibri.ReasonCode, len(request.Subscriptions))})
	return request
}

// TestAckOrder covers [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT311-4.6.0-2] [MQTT311-4.6.0-3]: acknowledgements go out in the
// order of arrival, whatever order the program takes messages in.
func TestAckOrder(t *testing.T) {
	for _, v := range []colibri.Version{colibri.V311, colibri.V5} {
		bubble(t, v, func(t *testing.T, s *server) {
			c, p := s.dial(Options{}, accepted())
			a, b := p.subscribed(c, "a"), p.subscribed(c, "b")
			p.send(
				&packet.Publish{QoS: 1, PacketID: 1, Topic: "a"},
				&packet.Publish{QoS: 2, PacketID: 2, Topic: "b"},
				&packet.Publish{QoS: 1, PacketID: 3, Topic: "a"},
				&packet.Publish{QoS: 2, PacketID: 4, Topic: "unknown"}, // nobody's, and acknowledged all the same [MQTT-4.5.0-2] [MQTT311-4.5.0-2]
			)
			take := func(s *Subscription) {
				t.Helper()
				if _, err := s.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			take(b)
			p.silent()
			take(a)
			p.expectAll(&packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 2})
			p.silent()
			take(a)
			p.expectAll(&packet.Puback{PacketID: 3}, &packet.Pubrec{PacketID: 4})
			p.disconnect(c)
		})
	}
}

func TestManualAck(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{ManualAck: true}, accepted())
		sub := p.subscribed(c, "a")
		var ms []*Message
		for id := uint16(1); id <= 3; id++ {
			p.send(&packet.Publish{QoS: 1, PacketID: id, Topic: "a"})
			m, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ms = append(ms, m)
		}
		p.send(&packet.Publish{Topic: "a"})
		zero, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		zero.Ack()
		ms[1].Ack()
		p.silent()
		ms[0].Ack()
		ms[0].Ack()
		p.expectAll(&packet.Puback{PacketID: 1}, &packet.Puback{PacketID: 2})
		p.silent()
		ms[2].Ack()
		p.expectAll(&packet.Puback{PacketID: 3})
		p.disconnect(c)
	})
}

// TestManualAckOfTwo: a message that went to two Subscriptions needs an
// acknowledgement of each.
func TestManualAckOfTwo(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{ManualAck: true}, accepted())
		a, b := p.subscribed(c, "a"), p.subscribed(c, "+")
		p.send(&packet.Publish{QoS: 1, PacketID: 1, Topic: "a"})
		one, err := a.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		two, err := b.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		one.Ack()
		one.Ack()
		p.silent()
		two.Ack()
		p.expectAll(&packet.Puback{PacketID: 1})
		p.disconnect(c)
	})
}

// TestReceiveMaximumExceeded: a Server that sends more than it was told breaks the
// rule of [MQTT-3.3.4-9].
func TestReceiveMaximumExceeded(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{MaxQueued: 3}, accepted())
		p.subscribed(c, "a")
		for id := uint16(1); id <= 3; id++ {
			p.send(&packet.Publish{QoS: colibri.QoS(1 + id%2), PacketID: id, Topic: "a"})
		}
		p.silent()
		// While it waits for an answer, the Client reads on.
		c.Start(t.Context(), message(1, "b", ""))
		expect[*packet.Publish](p)
		p.send(&packet.Publish{QoS: 1, PacketID: 4, Topic: "a"})
		p.expectAll(&packet.Disconnect{Code: colibri.ReceiveMaximumExceeded})
		p.end()
		<-c.Done()
	})
}

// TestBackpressure: what a program does not take stays with the Server, nothing is
// lost, and in the end everything comes in order.
func TestBackpressure(t *testing.T) {
	for name, o := range map[string]Options{
		"messages": {MaxQueued: 10},
		"bytes":    {MaxQueuedBytes: 10_000},
	} {
		for qos := colibri.QoS(0); qos <= 1; qos++ {
			t.Run(fmt.Sprintf("%s, %v", name, qos), func(t *testing.T) {
				bubble(t, colibri.V311, func(t *testing.T, s *server) {
					c, p := s.dial(o, accepted())
					sub := p.subscribed(c, "a")
					go func() {
						for i := range 2000 {
							m := &packet.Publish{QoS: qos, Topic: "a", Payload: fmt.Appendf(nil, "%1000d", i)}
							if qos > 0 {
								m.PacketID = uint16(i + 1)
							}
							p.send(m)
						}
					}()
					synctest.Wait()
					c.mu.Lock()
					if c.queued < 10 || c.queued > 11 {
						t.Errorf("%d messages wait, want about 10", c.queued)
					}
					c.mu.Unlock()
					go func() {
						for {
							if _, err := p.receive(); err != nil {
								return
							}
						}
					}()
					for i := range 2000 {
						m, err := sub.Next(t.Context())
						if err != nil || strings.TrimSpace(string(m.Payload)) != fmt.Sprint(i) {
							t.Fatalf("message %d: got %+v, %v", i, m, err)
						}
					}
					c.Close()
				})
			})
		}
	}
}

// TestNoDeadlock: a program that publishes from the loop in which it takes messages
// gets its acknowledgement, though more messages wait than there is room for.
func TestNoDeadlock(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{MaxQueued: 2}, accepted())
		sub := p.subscribed(c, "a")
		for range 5 {
			p.send(&packet.Publish{Topic: "a"})
		}
		synctest.Wait()
		publish := start(func() (Result, error) { return c.Publish(t.Context(), message(1, "b", "")) })
		one := expect[*packet.Publish](p)
		p.send(&packet.Puback{PacketID: one.PacketID})
		if _, err := publish(); err != nil {
			t.Errorf("Publish: %v", err)
		}
		got := 0
		for sub.Dropped()+got < 5 {
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			got++
		}
		if got < 2 {
			t.Errorf("got %d messages, want at least the 2 for which there is room", got)
		}
		p.disconnect(c)
	})
}

// TestSeveralSubscriptions: each gets what matches its filters, or what carries its
// Subscription Identifier.
func TestSeveralSubscriptions(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		plain := p.subscribed(c, "house/+")
		shared := p.subscribed(c, "$share/g/house/kitchen")
		numbered := start(func() (*Subscription, error) {
			return c.Subscribe(t.Context(), colibri.Subscription{Filter: "house/#", Identifier: 7})
		})
		request := expect[*packet.Subscribe](p)
		if id, _ := request.Properties.Number(colibri.SubscriptionIdentifier); id != 7 {
			t.Errorf("Subscription Identifier: got %d, want 7", id)
		}
		p.send(&packet.Suback{PacketID: request.PacketID, Codes: []colibri.ReasonCode{0}})
		seven, err := numbered()
		if err != nil {
			t.Fatal(err)
		}
		p.send(
			&packet.Publish{QoS: 1, PacketID: 1, Topic: "house/kitchen"},
			&packet.Publish{Topic: "house", Properties: colibri.Properties{number(colibri.SubscriptionIdentifier, 7)}},
			&packet.Publish{Topic: "house/hall", Properties: colibri.Properties{number(colibri.SubscriptionIdentifier, 8)}},
		)
		take := func(s *Subscription, want ...string) {
			t.Helper()
			for _, topic := range want {
				if m, err := s.Next(t.Context()); err != nil || m.Topic != topic {
					t.Fatalf("Next: got %+v, %v, want %q", m, err, topic)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if m, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Next: got %+v, %v, want nothing more", m, err)
			}
		}
		take(plain, "house/kitchen", "house/hall")
		take(shared, "house/kitchen")
		p.silent() // one of three has not taken it
		take(seven, "house/kitchen", "house")
		p.expectAll(&packet.Puback{PacketID: 1})
		p.disconnect(c)
	})
}

// TestUnclaimed: messages of a Session from an earlier process wait for the
// Subscribe that asks for them again.
func TestUnclaimed(t *testing.T) {
	bubble(t, colibri.V311, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, present())
		p.send(
			&packet.Publish{QoS: 1, PacketID: 1, Topic: "a", Payload: []byte("first")},
			&packet.Publish{QoS: 1, PacketID: 2, Topic: "b", Payload: []byte("other")},
			&packet.Publish{QoS: 1, PacketID: 3, Topic: "a", Payload: []byte("second")},
		)
		synctest.Wait()
		a := p.subscribed(c, "a")
		p.send(&packet.Publish{QoS: 1, PacketID: 4, Topic: "a", Payload: []byte("third")})
		for _, want := range []string{"first", "second", "third"} {
			if m, err := a.Next(t.Context()); err != nil || string(m.Payload) != want {
				t.Fatalf("Next: got %+v, %v, want %q", m, err, want)
			}
		}
		if m, err := c.Unclaimed().Next(t.Context()); err != nil || string(m.Payload) != "other" {
			t.Fatalf("Unclaimed: got %+v, %v", m, err)
		}
		for id := uint16(1); id <= 4; id++ {
			p.expectAll(&packet.Puback{PacketID: id})
		}
		p.disconnect(c)
	})
}

// TestUnclaimedAgain: a Subscribe that is given up does not acknowledge what an earlier
// process has left in the Session.
func TestUnclaimedAgain(t *testing.T) {
	bubble(t, colibri.V311, func(t *testing.T, s *server) {
		c, p := s.dial(Options{ManualAck: true}, present())
		p.send(
			&packet.Publish{QoS: 1, PacketID: 1, Topic: "a", Payload: []byte("first")},
			&packet.Publish{QoS: 1, PacketID: 2, Topic: "a", Payload: []byte("second")},
		)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		subscribe := start(func() (*Subscription, error) {
			return c.Subscribe(ctx, colibri.Subscription{Filter: "a", QoS: 1})
		})
		expect[*packet.Subscribe](p)
		cancel()
		if _, err := subscribe(); !errors.Is(err, context.Canceled) {
			t.Fatalf("Subscribe: got %v, want it to be given up", err)
		}
		for _, want := range []string{"first", "second"} {
			soon, done := context.WithTimeout(t.Context(), time.Second)
			m, err := c.Unclaimed().Next(soon)
			done()
			if err != nil || string(m.Payload) != want {
				t.Fatalf("Unclaimed: got %+v, %v, want %q", m, err, want)
			}
			m.Ack()
			p.expectAll(&packet.Puback{PacketID: m.PacketID})
		}
		p.disconnect(c)
	})
}

func TestUnsubscribe(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		subscribe := start(func() (*Subscription, error) {
			return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a"}, colibri.Subscription{Filter: "b"})
		})
		expect[*packet.Subscribe](p)
		p.send(&packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{0, 0}})
		sub, err := subscribe()
		if err != nil {
			t.Fatal(err)
		}
		unsuback := func(codes ...colibri.ReasonCode) *packet.Unsuback {
			u := expect[*packet.Unsubscribe](p)
			answer := &packet.Unsuback{PacketID: u.PacketID}
			if s.v == colibri.V5 {
				answer.Codes = codes
			}
			return answer
		}
		// One of the two: the rest goes on.
		one := start(func() ([]colibri.ReasonCode, error) { return c.Unsubscribe(t.Context(), nil, "a", "unknown") })
		p.send(unsuback(colibri.Success, colibri.NoSubscriptionExisted))
		if codes, err := one(); err != nil || s.v == colibri.V5 && len(codes) != 2 {
			t.Errorf("Unsubscribe: got %v, %v", codes, err)
		}
		p.send(&packet.Publish{Topic: "a"}, &packet.Publish{QoS: 1, PacketID: 1, Topic: "b", Payload: []byte("last")})
		synctest.Wait()
		// Then the other: what has come can still be taken, and counts as acknowledged.
		all := start(func() (any, error) { return nil, sub.Unsubscribe(t.Context()) })
		p.send(unsuback(colibri.Success))
		if _, err := all(); err != nil {
			t.Errorf("Unsubscribe: %v", err)
		}
		p.expectAll(&packet.Puback{PacketID: 1})
		got := 0
		for m, err := range sub.All(t.Context()) {
			if err != nil || string(m.Payload) != "last" {
				t.Errorf("All: got %+v, %v", m, err)
			}
			got++
		}
		if got != 1 {
			t.Errorf("All: got %d messages, want 1", got)
		}
		if _, err := sub.Next(t.Context()); err != ErrUnsubscribed {
			t.Errorf("Next: got %v, want ErrUnsubscribed", err)
		}
		if err := sub.Unsubscribe(t.Context()); err != nil {
			t.Errorf("Unsubscribe again: %v", err)
		}
		p.disconnect(c)
	})
}

func TestSubscribeRefused(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		ask := func(codes ...colibri.ReasonCode) (*Subscription, error) {
			t.Helper()
			subscribe := start(func() (*Subscription, error) {
				return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a"}, colibri.Subscription{Filter: "b", QoS: 1})
			})
			request := expect[*packet.Subscribe](p)
			p.send(&packet.Suback{PacketID: request.PacketID, Codes: codes})
			return subscribe()
		}
		sub, err := ask(0x80, 0x80)
		var refusal *Refusal
		if sub != nil || !errors.As(err, &refusal) || refusal.Packet != packet.SUBACK || len(refusal.Codes) != 2 {
			t.Errorf("all refused: got %v, %v", sub, err)
		}
		sub, err = ask(0x80, 1)
		if sub == nil || !errors.As(err, &refusal) {
			t.Fatalf("one refused: got %v, %v, want both", sub, err)
		}
		if diff := cmp.Diff([]colibri.ReasonCode{0x80, 1}, sub.Granted()); diff != "" {
			t.Errorf("Granted (-want +got):\n%s", diff)
		}
		p.send(&packet.Publish{Topic: "b"})
		if _, err := sub.Next(t.Context()); err != nil {
			t.Errorf("Next: %v", err)
		}
		p.disconnect(c)
	})
}

// TestSubscribeGivenUp: an answer that nobody waits for any more does no harm.
func TestSubscribeGivenUp(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Subscribe(ctx, colibri.Subscription{Filter: "a", QoS: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe: got %v", err)
		}
		request := expect[*packet.Subscribe](p)
		p.send(&packet.Suback{PacketID: request.PacketID, Codes: []colibri.ReasonCode{1}},
			&packet.Publish{QoS: 1, PacketID: 1, Topic: "a"})
		p.expectAll(&packet.Puback{PacketID: 1})
		p.disconnect(c)
	})
}

// TestSubscribeGivenUpAndLost: the identifier of a SUBSCRIBE that was given up and
// never answered is free again on the next connection.
func TestSubscribeGivenUpAndLost(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Subscribe(ctx, colibri.Subscription{Filter: "a"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe: got %v", err)
		}
		id := expect[*packet.Subscribe](p).PacketID
		p.nc.Close()
		p, _ = s.again(present())
		synctest.Wait()
		c.mu.Lock()
		if c.sender.Unreserve(id) {
			t.Errorf("Packet Identifier %d is still reserved", id)
		}
		c.mu.Unlock()
		p.disconnect(c)
	})
}
