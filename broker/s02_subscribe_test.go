package broker_test

import (
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestSubscribe shows what SUBSCRIBE does and how it is answered.
func TestSubscribe(t *testing.T) {
	mqtest.Run(t, "several filters, codes in their order [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-2.2.1-6] [MQTT311-3.8.4-1] [MQTT311-3.8.4-2] [MQTT311-3.8.4-4] [MQTT311-3.8.4-5] [MQTT311-3.9.3-1] [MQTT311-2.3.1-7]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(0xABCD, to("a", 2), to("b/#", 0), to("+/c", 1)))
		p.Expect(suback(0xABCD, 2, 0, 1))
		for topic, qos := range map[string]colibri.QoS{"a": 2, "b": 0, "b/x/y": 0, "x/c": 1} {
			p.Send(qos2(1, topic, "x"))
			got := p.Received()
			if len(got) != 2 || got[0].Type() != packet.PUBLISH || got[0].(*packet.Publish).QoS != qos {
				scene.Errorf("%s: got %v, want a PUBLISH of %v and a PUBREC", topic, got, qos)
			}
			p.Send(pubrel(1, 0))
			p.Expect(pubcomp(1, 0))
		}
		p.Send(qos0("c", "x"), qos0("a/a", "x"), qos0("A", "x"))
		p.Expect()
	})
	mqtest.Run(t, "wildcards [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-3.3.2-3] [MQTT311-3.3.2-3] [MQTT-4.7.3-4] [MQTT311-4.7.3-4]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		for _, c := range []struct {
			filter  string
			matches []string
			misses  []string
		}{
			{"#", []string{"a", "a/b", "/", "/a"}, []string{"$a", "$a/b"}},
			{"+", []string{"a", "ä"}, []string{"a/b", "/", "/a", "$a"}},
			{"+/+", []string{"a/b", "/", "/a", "a/"}, []string{"a", "a/b/c"}},
			{"a/#", []string{"a", "a/", "a/b/c"}, []string{"ab", "b", "A/b"}},
			{"a/+", []string{"a/", "a/b"}, []string{"a", "a/b/c"}},
			{"a//b", []string{"a//b"}, []string{"a/b", "a/x/b"}},
			{"a", []string{"a"}, []string{"a/", "/a", "A", "a ", "á"}},
			{"a\u030A", []string{"a\u030A"}, []string{"\u00E5"}}, // not normalized
			{"$a/#", []string{"$a/b"}, []string{"a/b"}},
			{"$a/+", []string{"$a/b"}, []string{"$a"}},
		} {
			p := scene.Connect("client")
			p.Send(subscribe(1, to(c.filter, 0)))
			p.Expect(suback(1, 0))
			for _, topic := range c.matches {
				p.Send(qos0(topic, c.filter))
				p.Expect(qos0(topic, c.filter))
			}
			for _, topic := range c.misses {
				p.Send(qos0(topic, c.filter))
				p.Expect()
			}
		}
	})
	mqtest.Run(t, "$ topics stay out of wildcards at the front [MQTT-4.7.2-1] [MQTT311-4.7.2-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("$a/b", "kept")))
		p.Send(subscribe(1, to("#", 0), to("+/b", 0), to("+/#", 0)))
		p.Expect(suback(1, 0, 0, 0))
		p.Send(qos0("$a/b", "x"))
		p.Expect()
		p.Send(subscribe(2, to("$a/+", 0)))
		p.Expect(suback(2, 0), retain(qos0("$a/b", "kept")))
		p.Send(qos0("$a/b", "y"))
		p.Expect(qos0("$a/b", "y"))
	})
	mqtest.Run(t, "the lower QoS counts [MQTT-3.8.4-8] [MQTT311-3.8.4-6] [MQTT-4.3.1-1] [MQTT311-4.3.1-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		publisher := scene.Connect("publisher")
		for granted := range colibri.QoS(3) {
			p.Send(subscribe(1, to("a", granted)))
			p.Expect(suback(1, colibri.ReasonCode(granted)))
			publisher.Send(qos0("a", "0"), qos1(1, "a", "1"), qos2(2, "a", "2"), pubrel(2, 0))
			publisher.Expect(puback(1, 0), pubrec(2, 0), pubcomp(2, 0))
			got := p.Received()
			for published := range colibri.QoS(3) {
				want := min(published, granted)
				if m := got[published].(*packet.Publish); m.QoS != want || m.Dup {
					scene.Errorf("published %v, granted %v: got %v, want %v without DUP", published, granted, m.QoS, want)
				}
			}
		}
	})
	mqtest.Run(t, "the same filter again replaces [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT311-3.8.4-3] [MQTT311-3.3.1-6]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "kept")), subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0), retain(qos0("a", "kept")))
		p.Send(subscribe(2, to("a", 1)), qos1(3, "a", "x"))
		p.Expect(suback(2, 1), retain(qos0("a", "kept")), qos1(0, "a", "x"), puback(3, 0))
		p.Send(unsubscribe(4, "a"), qos1(5, "a", "y"))
		p.Expect(unsuback(scene.Version, 4, 0), puback(5, in(scene.Version, colibri.NoMatchingSubscribers)))
		if got := scene.Broker.Stats().Subscriptions; got != 0 {
			scene.Errorf("Subscriptions: got %d, want 0", got)
		}
	})
	mqtest.Run(t, "replacing loses no message [MQTT-3.8.4-4]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, publisher := scene.Connect("client"), scene.Connect("publisher")
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		got := 0
		for id := uint16(2); id < 100; id++ {
			publisher.Send(qos0("a", "x"))
			p.Send(subscribe(id, to("a", 0)))
			for _, one := range p.Received() {
				if one.Type() == packet.PUBLISH {
					got++
				}
			}
		}
		if got != 98 {
			scene.Errorf("got %d messages, want 98", got)
		}
	})
	mqtest.Run(t, "the same filter twice in one packet [MQTT-3.8.4-5]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 1), to("a", 0)), qos1(2, "a", "x"))
		p.Expect(suback(1, 1, 0), qos0("a", "x"), puback(2, 0))
	})
	mqtest.Run(t, "overlapping Subscriptions: the highest QoS, once [MQTT-3.3.4-2] [MQTT311-3.3.5-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a/#", 0), to("a/+", 2), to("a/b", 1), to("#", 0)))
		p.Expect(suback(1, 0, 2, 1, 0))
		p.Send(qos2(2, "a/b", "x"))
		p.Expect(qos2(0, "a/b", "x"), pubrec(2, 0))
	})
	mqtest.Run(t, "No Local [MQTT-3.8.3-3]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client"), scene.Connect("other")
		p.Send(subscribe(1, colibri.Subscription{Filter: "a", NoLocal: true}))
		p.Expect(suback(1, 0))
		p.Send(qos1(2, "a", "mine"))
		p.Expect(puback(2, colibri.NoMatchingSubscribers))
		other.Send(qos0("a", "theirs"))
		p.Expect(qos0("a", "theirs"))
	})
	mqtest.Run(t, "No Local does not silence another Subscription [MQTT-3.8.3-3]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(identified(subscribe(1, colibri.Subscription{Filter: "a", NoLocal: true}), 1))
		p.Send(identified(subscribe(2, to("+", 0)), 2))
		p.Expect(suback(1, 0), suback(2, 0))
		p.Send(qos0("a", "mine"))
		p.Expect(with(qos0("a", "mine"), number(colibri.SubscriptionIdentifier, 2)))
	})
	mqtest.Run(t, "Retain As Published [MQTT-3.3.1-12] [MQTT-3.3.1-13]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, colibri.Subscription{Filter: "as", RetainAsPublished: true}, to("not", 0)))
		p.Expect(suback(1, 0, 0))
		p.Send(retain(qos0("as", "1")), qos0("as", "2"), retain(qos0("not", "3")), qos0("not", "4"))
		p.Expect(retain(qos0("as", "1")), qos0("as", "2"), qos0("not", "3"), qos0("not", "4"))
	})
	mqtest.Run(t, "RETAIN is 0 on the way to an established Subscription [MQTT311-3.3.1-9]", mqtest.Old, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		p.Send(retain(qos0("a", "x")))
		p.Expect(qos0("a", "x"))
	})
	mqtest.Run(t, "Subscription Identifier [MQTT-3.3.4-3]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "kept")))
		p.Send(identified(subscribe(1, to("a", 1)), 268_435_455))
		with42 := number(colibri.SubscriptionIdentifier, 268_435_455)
		p.Expect(suback(1, 1), with(retain(qos0("a", "kept")), with42))
		p.Send(qos0("a", "x"), qos1(2, "a", "y"))
		p.Expect(with(qos0("a", "x"), with42), with(qos1(0, "a", "y"), with42), puback(2, 0))
		p.Send(subscribe(3, to("a", 0))) // without one now
		p.Expect(suback(3, 0), retain(qos0("a", "kept")))
		p.Send(qos0("a", "z"))
		p.Expect(qos0("a", "z"))
	})
	mqtest.Run(t, "one copy with all identifiers [MQTT-3.3.4-4] [MQTT-3.3.4-3]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(identified(subscribe(1, to("a/b", 0)), 1), identified(subscribe(2, to("a/+", 1)), 2),
			subscribe(3, to("a/#", 2)), identified(subscribe(4, to("#", 0)), 4), identified(subscribe(5, to("other", 0)), 5))
		p.Expect(suback(1, 0), suback(2, 1), suback(3, 2), suback(4, 0), suback(5, 0))
		p.Send(qos2(9, "a/b", "x"))
		got := p.Received()
		if len(got) != 2 {
			scene.Fatalf("got %d packets, want one PUBLISH and a PUBREC", len(got))
		}
		m := got[0].(*packet.Publish)
		identifiers := map[uint32]bool{}
		for _, one := range m.Properties {
			if one.ID == colibri.SubscriptionIdentifier {
				identifiers[one.Number] = true
			}
		}
		if len(m.Properties) != 3 || len(identifiers) != 3 || !identifiers[1] || !identifiers[2] || !identifiers[4] || m.QoS != 2 {
			scene.Errorf("got %v of %v, want the identifiers 1, 2 and 4, QoS 2", m.Properties, m.QoS)
		}
	})
	mqtest.Run(t, "a limit on Subscriptions", mqtest.All, broker.Config{Limits: broker.Limits{Subscriptions: 2}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 1), to("b", 1), to("c", 1), to("a", 0)))
		refused := colibri.ReasonCode(0x80)
		if scene.Version == v5 {
			refused = colibri.QuotaExceeded
		}
		p.Expect(suback(1, 1, 1, refused, 0))
		p.Send(qos0("c", "x"))
		p.Expect()
		p.Send(unsubscribe(2, "b"), subscribe(3, to("c", 1)))
		p.Expect(unsuback(scene.Version, 2, 0), suback(3, 1))
	})
	mqtest.Run(t, "many filters in one packet", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		s := subscribe(1)
		codes := []colibri.ReasonCode{}
		for i := range 500 {
			s.Subscriptions = append(s.Subscriptions, to(string(rune('A'+i)), colibri.QoS(i%3)))
			codes = append(codes, colibri.ReasonCode(i%3))
		}
		p.Send(s)
		p.Expect(suback(1, codes...))
		p.Send(qos0(string(rune('A'+499)), "x"))
		p.Expect(qos0(string(rune('A'+499)), "x"))
	})
	mqtest.Run(t, "an invalid filter ends the connection, the good one beside it included", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1), to("b#", 1)))
		p.ExpectEnded(colibri.MalformedPacket)
		if got := scene.Broker.Stats().Subscriptions; got != 0 {
			scene.Errorf("Subscriptions: got %d, want 0", got)
		}
	})
}

// TestUnsubscribe shows what UNSUBSCRIBE does and how it is answered.
func TestUnsubscribe(t *testing.T) {
	mqtest.Run(t, "several filters [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-2.2.1-6] [MQTT311-3.10.4-1] [MQTT311-3.10.4-2] [MQTT311-3.10.4-4] [MQTT311-3.10.4-5] [MQTT311-3.10.4-6]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 0), to("a/+", 0), to("b", 0)))
		p.Expect(suback(1, 0, 0, 0))
		p.Send(unsubscribe(0x1234, "a", "#", "a/b", "a/+", "B", "a"))
		const none = colibri.NoSubscriptionExisted
		p.Expect(unsuback(scene.Version, 0x1234, 0, none, none, 0, none, none))
		p.Send(qos0("a", "x"), qos0("a/b", "x"), qos0("b", "y"))
		p.Expect(qos0("b", "y"))
	})
	mqtest.Run(t, "from nothing [MQTT-3.10.4-5] [MQTT311-3.10.4-5]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(unsubscribe(7, "a"))
		p.Expect(unsuback(scene.Version, 7, colibri.NoSubscriptionExisted))
	})
	mqtest.Run(t, "what is under way is completed [MQTT-3.10.4-3] [MQTT311-3.10.4-3]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "one"), qos2(2, "a", "two"))
		other.Expect(puback(1, 0), pubrec(2, 0))
		p.Expect(qos1(1, "a", "one"), qos2(2, "a", "two"))
		p.Send(unsubscribe(2, "a"))
		p.Expect(unsuback(scene.Version, 2, 0))
		p.Drop()
		p = scene.Connect("client", resume)
		p.Expect(dup(qos1(1, "a", "one")), dup(qos2(2, "a", "two")))
		p.Send(puback(1, 0), pubrec(2, 0))
		p.Expect(pubrel(2, 0))
		p.Send(pubcomp(2, 0))
		p.ExpectNothing(time.Second)
	})
	mqtest.Run(t, "one of several that overlap", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 1), to("+", 0)), unsubscribe(2, "a"), qos1(3, "a", "x"))
		p.Expect(suback(1, 1, 0), unsuback(v5, 2, 0), qos0("a", "x"), puback(3, 0))
	})
	mqtest.Run(t, "the Session forgets it too [MQTT-3.10.4-1]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)), unsubscribe(2, "a"))
		p.Expect(suback(1, 1), unsuback(scene.Version, 2, 0))
		p.Disconnect()
		scene.Connect("other").Send(qos1(1, "a", "x"))
		scene.Connect("client", resume).ExpectNothing(time.Second)
	})
}
