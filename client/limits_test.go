package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// TestLimits: what the Server does not take is an error, and nothing is sent.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		property colibri.Property
		m        *colibri.Message
		code     colibri.ReasonCode
		rule     string
	}{
		"[MQTT-3.2.2-11] Maximum QoS": {number(colibri.MaximumQoS, 1), message(2, "a", ""), colibri.QoSNotSupported, "MQTT-3.2.2-11"},
		"[MQTT-3.2.2-14] Retain Available": {number(colibri.RetainAvailable, 0),
			&colibri.Message{Topic: "a", Retain: true}, colibri.RetainNotSupported, "MQTT-3.2.2-14"},
		"[MQTT-3.2.2-15] Maximum Packet Size": {number(colibri.MaximumPacketSize, 30),
			message(1, "a", strings.Repeat("x", 30)), colibri.PacketTooLarge, "MQTT-3.2.2-15"},
		"[MQTT-3.2.2-17] Topic Alias Maximum": {number(colibri.TopicAliasMaximum, 3),
			&colibri.Message{Topic: "a", Properties: colibri.Properties{number(colibri.TopicAlias, 4)}}, colibri.TopicAliasInvalid, "MQTT-3.3.2-9"},
		"[MQTT-3.3.2-8] Topic Alias 0": {number(colibri.TopicAliasMaximum, 3),
			&colibri.Message{Topic: "a", Properties: colibri.Properties{number(colibri.TopicAlias, 0)}}, colibri.TopicAliasInvalid, "MQTT-3.3.2-8"},
		"[MQTT-3.2.2-18] no Topic Alias Maximum": {number(colibri.MaximumQoS, 1),
			&colibri.Message{Topic: "a", Properties: colibri.Properties{number(colibri.TopicAlias, 1)}}, colibri.TopicAliasInvalid, "MQTT-3.2.2-18"},
		"[MQTT-3.3.4-6] Subscription Identifier": {number(colibri.MaximumQoS, 1),
			&colibri.Message{Topic: "a", Properties: colibri.Properties{number(colibri.SubscriptionIdentifier, 1)}}, colibri.ProtocolError, "MQTT-3.3.4-6"},
		"[MQTT-3.3.1-4] QoS 3": {number(colibri.MaximumQoS, 1), message(3, "a", ""), colibri.ProtocolError, "MQTT-3.3.1-4"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				client, p := s.dial(Options{}, accepted(c.property))
				_, err := client.Publish(t.Context(), c.m)
				var broken *colibri.Error
				if !errors.As(err, &broken) || broken.Code != c.code || broken.Rule != c.rule {
					t.Errorf("Publish: got %v, want %v [%s]", err, c.code, c.rule)
				}
				p.silent()
				p.disconnect(client)
			})
		})
	}
}

// TestTopicAliasSent: what the Server takes is sent as the program says.
func TestTopicAliasSent(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted(number(colibri.TopicAliasMaximum, 3)))
		properties := colibri.Properties{number(colibri.TopicAlias, 3)}
		if _, err := c.Publish(t.Context(), &colibri.Message{Topic: "a", Properties: properties}); err != nil {
			t.Fatal(err)
		}
		p.expectAll(&packet.Publish{Topic: "a", Payload: []byte{}, Properties: properties})
		p.disconnect(c)
	})
}

func TestSubscribeLimits(t *testing.T) {
	for name, c := range map[string]struct {
		property colibri.Property
		s        colibri.Subscription
		code     colibri.ReasonCode
	}{
		"wildcard": {number(colibri.WildcardSubscriptionAvailable, 0), colibri.Subscription{Filter: "a/+"}, colibri.WildcardSubscriptionsNotSupported},
		"wildcard, shared": {number(colibri.WildcardSubscriptionAvailable, 0),
			colibri.Subscription{Filter: "$share/g/#"}, colibri.WildcardSubscriptionsNotSupported},
		"shared": {number(colibri.SharedSubscriptionAvailable, 0), colibri.Subscription{Filter: "$share/g/a"}, colibri.SharedSubscriptionsNotSupported},
		"identifier": {number(colibri.SubscriptionIdentifierAvailable, 0),
			colibri.Subscription{Filter: "a", Identifier: 1}, colibri.SubscriptionIdentifiersNotSupported},
		"packet size": {number(colibri.MaximumPacketSize, 20), colibri.Subscription{Filter: strings.Repeat("x", 20)}, colibri.PacketTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				client, p := s.dial(Options{}, accepted(c.property))
				if _, err := client.Subscribe(t.Context(), c.s); !errors.Is(err, c.code) {
					t.Errorf("Subscribe: got %v, want %v", err, c.code)
				}
				p.silent()
				p.disconnect(client)
			})
		})
	}
}

// TestSyntax: names and filters are checked before anything is sent [MQTT-4.7.0-1]
// [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.8.2-2] [MQTT-3.3.2-2] [MQTT-3.3.2-14].
func TestSyntax(t *testing.T) {
	versions(t, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		var syntax *topic.SyntaxError
		for _, name := range []string{"", "a/+", "#", "a\x00", "\xff"} {
			if _, err := c.Publish(t.Context(), message(0, name, "")); !errors.As(err, &syntax) {
				t.Errorf("Publish to %q: got %v, want a *topic.SyntaxError", name, err)
			}
		}
		for _, filter := range []string{"", "a/#/b", "a+", "$share/g/"} {
			if _, err := c.Subscribe(t.Context(), colibri.Subscription{Filter: filter}); !errors.As(err, &syntax) {
				t.Errorf("Subscribe to %q: got %v, want a *topic.SyntaxError", filter, err)
			}
			if _, err := c.Unsubscribe(t.Context(), nil, filter); !errors.As(err, &syntax) {
				t.Errorf("Unsubscribe from %q: got %v, want a *topic.SyntaxError", filter, err)
			}
		}
		response := &colibri.Message{Topic: "a", Properties: colibri.Properties{}.AppendValue(colibri.ResponseTopic, "b/#")}
		if _, err := c.Publish(t.Context(), response); !errors.As(err, &syntax) {
			t.Errorf("Publish with Response Topic b/#: got %v, want a *topic.SyntaxError", err)
		}
		if _, err := c.Subscribe(t.Context()); err == nil { // [MQTT-3.8.3-2] [MQTT311-3.8.3-3]
			t.Error("Subscribe to nothing: got no error")
		}
		if _, err := c.Unsubscribe(t.Context(), nil); err == nil { // [MQTT-3.10.3-2] [MQTT311-3.10.3-2]
			t.Error("Unsubscribe from nothing: got no error")
		}
		if s.v != colibri.V5 {
			m := &colibri.Message{Topic: "a", Properties: colibri.Properties{}.AppendUser("a", "b")}
			if _, err := c.Publish(t.Context(), m); err == nil {
				t.Error("Publish with properties: got no error")
			}
		}
		p.silent()
		p.disconnect(c)
	})
}

// TestWindow covers the Receive Maximum of the Server and MaxInflight
// [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-3.3.4-7]: other packets are not held back
// [MQTT-3.3.4-8] [MQTT-4.9.0-3].
func TestWindow(t *testing.T) {
	for name, c := range map[string]struct {
		maxInflight int
		connack     *packet.Connack
	}{
		"Receive Maximum":           {0, accepted(number(colibri.ReceiveMaximum, 3))},
		"MaxInflight":               {3, accepted()},
		"the lower one of the two":  {3, accepted(number(colibri.ReceiveMaximum, 10))},
		"the lower one, the Server": {10, accepted(number(colibri.ReceiveMaximum, 3))},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				client, p := s.dial(Options{MaxInflight: c.maxInflight}, c.connack)
				all := start(func() (any, error) {
					for i := range 20 {
						qos := colibri.QoS(1 + i%2)
						if _, err := client.Start(t.Context(), message(qos, "a", string(rune('a'+i)))); err != nil {
							return nil, err
						}
					}
					return nil, nil
				})
				want := 'a'
				var ids []*packet.Publish
				for want < 'a'+20 {
					for len(ids) < 3 && want < 'a'+20 {
						got := expect[*packet.Publish](p)
						if string(got.Payload) != string(want) {
							t.Fatalf("got message %s, want %c", got.Payload, want)
						}
						want++
						ids = append(ids, got)
					}
					p.silent()
					if _, err := client.Publish(t.Context(), message(0, "zero", "")); err != nil {
						t.Fatal(err)
					}
					expect[*packet.Publish](p)
					first := ids[0]
					ids = ids[1:]
					if first.QoS == 1 {
						p.send(&packet.Puback{PacketID: first.PacketID})
					} else {
						p.send(&packet.Pubrec{PacketID: first.PacketID})
						expect[*packet.Pubrel](p)
						p.silent() // the PUBREC does not give room
						p.send(&packet.Pubcomp{PacketID: first.PacketID})
					}
				}
				if _, err := all(); err != nil {
					t.Errorf("Start: %v", err)
				}
				p.disconnect(client)
			})
		})
	}
}

// TestDefaultWindow: before 5.0 a Server cannot say how much it takes, and takes 20.
func TestDefaultWindow(t *testing.T) {
	bubble(t, colibri.V311, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		for ; n < 100; n++ {
			if _, err := c.Start(ctx, message(2, "a", "")); err != nil {
				break
			}
			expect[*packet.Publish](p)
		}
		if n != 20 {
			t.Errorf("got %d messages in flight, want 20", n)
		}
		p.disconnect(c)
	})
}
