package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestWithout shows what a broker says and does that leaves out parts of the standard.
func TestWithout(t *testing.T) {
	for _, c := range []struct {
		name      string
		without   broker.Without
		announced colibri.Properties
		refused   packet.Packet // closes the connection of a 5.0 client
		code      colibri.ReasonCode
		will      *packet.Publish // makes a CONNECT be refused
	}{
		{"QoS 2 [MQTT-3.2.2-9] [MQTT-3.2.2-12]", broker.WithoutQoS2, number(colibri.MaximumQoS, 1),
			qos2(1, "a", "x"), colibri.QoSNotSupported, qos2(0, "a", "x")},
		{"QoS 1 and 2 [MQTT-3.2.2-9] [MQTT-3.2.2-12]", broker.WithoutQoS1, number(colibri.MaximumQoS, 0),
			qos1(1, "a", "x"), colibri.QoSNotSupported, qos1(0, "a", "x")},
		{"Retained Messages [MQTT-3.2.2-13]", broker.WithoutRetain, number(colibri.RetainAvailable, 0),
			retain(qos0("a", "x")), colibri.RetainNotSupported, retain(qos0("a", "x"))},
		{"wildcards", broker.WithoutWildcards, number(colibri.WildcardSubscriptionAvailable, 0),
			subscribe(1, to("a", 0), to("b/+", 0)), colibri.WildcardSubscriptionsNotSupported, nil},
		{"Subscription Identifiers", broker.WithoutIdentifiers, number(colibri.SubscriptionIdentifierAvailable, 0),
			identified(subscribe(1, to("a", 0)), 7), colibri.SubscriptionIdentifiersNotSupported, nil},
		{"Shared Subscriptions", broker.WithoutShared, number(colibri.SharedSubscriptionAvailable, 0),
			subscribe(1, to("$share/g/a", 0)), colibri.SharedSubscriptionsNotSupported, nil},
	} {
		mqtest.Run(t, c.name, mqtest.V5, broker.Config{Without: c.without}, func(scene *mqtest.Scene) {
			p := scene.Connect("client")
			want := c.announced[0]
			if got, ok := p.Connack.Properties.Number(want.ID); !ok || got != want.Number {
				scene.Errorf("CONNACK %v: got %d, %v, want %d", want.ID, got, ok, want.Number)
			}
			p.Send(c.refused)
			p.ExpectEnded(c.code)
			if c.will != nil {
				refused := scene.Dial()
				refused.Send(refused.NewConnect("other", will(c.will)))
				refused.ExpectClosed(&packet.Connack{Code: c.code})
			}
		})
	}
	mqtest.Run(t, "any QoS may be asked for [MQTT-3.2.2-10]", mqtest.All, broker.Config{Without: broker.WithoutQoS1}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 2), to("b", 1), to("c", 0)))
		p.Expect(suback(1, 0, 0, 0))
	})
	mqtest.Run(t, "everything is there and nothing announced by default [MQTT-3.2.2-9]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", will(retain(qos2(0, "w", "x"))))
		for _, one := range p.Connack.Properties {
			switch one.ID {
			case colibri.MaximumQoS, colibri.RetainAvailable, colibri.WildcardSubscriptionAvailable,
				colibri.SubscriptionIdentifierAvailable, colibri.SharedSubscriptionAvailable:
				scene.Errorf("CONNACK holds %v %d", one.ID, one.Number)
			}
		}
	})
	mqtest.Run(t, "a Client before 5.0 hears it where that can be said [MQTT311-3.8.3-2]", mqtest.Old,
		broker.Config{Without: broker.WithoutWildcards | broker.WithoutShared | broker.WithoutQoS2}, func(scene *mqtest.Scene) {
			p := scene.Connect("client")
			p.Send(subscribe(1, to("a/#", 1), to("$share/g/a", 1), to("a", 2)))
			p.Expect(suback(1, 0x80, 0x80, 1))
			p.Send(qos2(2, "a", "x"))
			p.ExpectClosed()
		})
}

// TestResponseInformation shows who is told.
func TestResponseInformation(t *testing.T) {
	config := broker.Config{ResponseInformation: func(c broker.ClientInfo) string { return "answers/" + c.ClientID }}
	mqtest.Run(t, "only who asks [MQTT-3.1.2-28]", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Connect("asks", property(colibri.RequestResponseInformation, 1))
		if got, _ := p.Connack.Properties.Value(colibri.ResponseInformation); got != "answers/asks" {
			scene.Errorf("got %q, want answers/asks", got)
		}
		for _, p := range []*mqtest.Peer{scene.Connect("does-not", property(colibri.RequestResponseInformation, 0)), scene.Connect("says-nothing")} {
			if p.Connack.Properties.Has(colibri.ResponseInformation) {
				scene.Errorf("got Response Information without asking: %v", p.Connack.Properties)
			}
		}
	})
}

// TestDrain shows how clients are sent to another Server.
func TestDrain(t *testing.T) {
	mqtest.Run(t, "all leave, and who comes is sent on", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		var peers []*mqtest.Peer
		for i := range 20 {
			peers = append(peers, scene.Connect(fmt.Sprint("client", i)))
		}
		if err := scene.Broker.Drain(context.Background(), "other.example:1883"); err != nil {
			scene.Errorf("Drain: %v", err)
		}
		reference := text(colibri.ServerReference, "other.example:1883")
		for _, p := range peers {
			if scene.Version == v5 {
				p.ExpectClosed(&packet.Disconnect{Code: colibri.UseAnotherServer, Properties: reference})
			} else {
				p.ExpectClosed()
			}
		}
		late := scene.Dial()
		late.Send(late.NewConnect("late"))
		if scene.Version == v5 {
			late.ExpectClosed(&packet.Connack{Code: colibri.UseAnotherServer, Properties: reference})
		} else {
			late.ExpectClosed(&packet.Connack{Code: 3})
		}
	})
	mqtest.Run(t, "it gives up with its context", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.DialSize(10)
		p.Connect("stuck")
		p.Pause()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := scene.Broker.Drain(ctx, strings.Repeat("x", 100)); !errors.Is(err, context.DeadlineExceeded) {
			scene.Errorf("Drain: got %v, want a deadline", err)
		}
	})
}

// TestAliasesToClient shows how the Server uses Topic Aliases towards a Client.
func TestAliasesToClient(t *testing.T) {
	const often, other = "house/kitchen/temperature", "house/kitchen/humidity"
	// name restores the Topic Names that aliases stand for, as a Client does.
	name := func(scene *mqtest.Scene, known map[uint32]string, most uint32, got []packet.Packet) (names []string, aliased int) {
		for _, one := range got {
			m, ok := one.(*packet.Publish)
			if !ok {
				continue
			}
			alias, has := m.Properties.Number(colibri.TopicAlias)
			switch {
			case !has:
				names = append(names, m.Topic)
				continue
			case alias == 0 || alias > most:
				scene.Fatalf("alias %d, and the Client takes 1 to %d", alias, most)
			case m.Topic != "":
				known[alias] = m.Topic
			case known[alias] == "":
				scene.Fatalf("alias %d was never given a Topic Name", alias)
			}
			aliased++
			names = append(names, known[alias])
		}
		return names, aliased
	}
	mqtest.Run(t, "topics that repeat get one [MQTT-3.3.2-11] [MQTT-3.1.2-26]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", property(colibri.TopicAliasMaximum, 1))
		p.Send(identified(subscribe(1, to("#", 1)), 9))
		p.Expect(suback(1, 1))
		publisher := scene.Connect("publisher")
		var want []string
		for i := range 20 { // as many as may be under way
			topic := often
			if i%5 == 4 {
				topic = fmt.Sprint("once/", i)
			}
			want = append(want, topic)
			publisher.Send(with(qos1(uint16(i+1), topic, "payload"), text(colibri.ContentType, "text/plain")))
		}
		got := p.Received()
		names, aliased := name(scene, map[uint32]string{}, 1, got)
		if strings.Join(names, " ") != strings.Join(want, " ") {
			scene.Errorf("got topics %v, want %v", names, want)
		}
		if aliased != 14 {
			scene.Errorf("got %d packets with an alias, want 14: all but the first two of the topic that repeats", aliased)
		}
		for _, one := range got {
			m := one.(*packet.Publish)
			if id, _ := m.Properties.Number(colibri.SubscriptionIdentifier); id != 9 {
				scene.Errorf("Subscription Identifier: got %d, want 9", id)
			}
			if kind, _ := m.Properties.Value(colibri.ContentType); kind != "text/plain" || string(m.Payload) != "payload" || m.PacketID == 0 {
				scene.Errorf("got %+v, want the message as it was sent", m)
			}
			p.Send(puback(m.PacketID, 0))
		}
	})
	mqtest.Run(t, "they end with the connection [MQTT-3.3.2-7]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		publisher := scene.Connect("publisher")
		for range 2 {
			p := scene.Connect("client", resume, property(colibri.TopicAliasMaximum, 5))
			p.Send(subscribe(1, to("#", 0)))
			p.Expect(suback(1, 0))
			for range 10 {
				publisher.Send(qos0(often, "x"))
				publisher.Send(qos0(other, "x"))
			}
			names, aliased := name(scene, map[uint32]string{}, 5, p.Received())
			if len(names) != 20 || aliased != 16 {
				scene.Errorf("got %d messages, %d with an alias, want 20 and 16", len(names), aliased)
			}
			p.Disconnect()
		}
	})
	mqtest.Run(t, "none for a Client that takes none [MQTT-3.1.2-27]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for _, p := range []*mqtest.Peer{scene.Connect("zero", property(colibri.TopicAliasMaximum, 0)), scene.Connect("silent")} {
			p.Send(subscribe(1, to("#", 0)))
			p.Expect(suback(1, 0))
			for range 10 {
				p.Send(qos0(often, "x"))
			}
			for _, one := range p.Received() {
				if ps := one.(*packet.Publish).Properties; len(ps) > 0 {
					scene.Errorf("got properties %v, want none", ps)
				}
			}
			p.Disconnect()
		}
	})
	mqtest.Run(t, "large payloads, and a Maximum Packet Size that only the plain form keeps [MQTT-3.1.2-24]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		// 2 bytes of header, 2 and the topic, 1 of properties: the alias would be 3 too many.
		const most = 2 + 2 + len(often) + 1 + 20
		p := scene.Connect("client", property(colibri.TopicAliasMaximum, 5), property(colibri.MaximumPacketSize, uint32(most)))
		big := scene.Connect("big", property(colibri.TopicAliasMaximum, 5))
		for _, one := range []*mqtest.Peer{p, big} {
			one.Send(subscribe(1, to(often, 0)))
			one.Expect(suback(1, 0))
		}
		publisher := scene.Connect("publisher")
		for range 6 {
			publisher.Send(qos0(often, strings.Repeat("x", 20)))
			p.Expect(qos0(often, strings.Repeat("x", 20)))
		}
		large := strings.Repeat("y", 10_000)
		for range 6 {
			publisher.Send(qos0(often, large))
		}
		got := big.Received()
		names, aliased := name(scene, map[uint32]string{}, 5, got)
		if len(names) != 12 || aliased != 10 || string(got[11].(*packet.Publish).Payload) != large {
			scene.Errorf("got %d messages, %d with an alias, want 12 and 10, the last with its payload", len(names), aliased)
		}
	})
}
