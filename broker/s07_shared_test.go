package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestShared shows Subscriptions that several Clients have together.
func TestShared(t *testing.T) {
	// members connects clients that share a filter.
	members := func(scene *mqtest.Scene, n int, sub colibri.Subscription, options ...func(*packet.Connect)) (peers []*mqtest.Peer) {
		for i := range n {
			p := scene.Connect(fmt.Sprint("member", i), options...)
			p.Send(subscribe(1, sub))
			p.Expect(suback(1, colibri.ReasonCode(sub.QoS)))
			peers = append(peers, p)
		}
		return peers
	}
	mqtest.Run(t, "each message to one of them, in turn [MQTT-4.8.2-1] [MQTT-4.8.2-2]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		peers := members(scene, 4, to("$share/s/a/+", 0))
		other := scene.Connect("other")
		for i := range 400 {
			other.Send(qos0("a/b", fmt.Sprint(i)))
		}
		seen := map[string]bool{}
		for i, p := range peers {
			got := p.Received()
			if len(got) != 100 {
				scene.Errorf("member %d: got %d messages, want 100", i, len(got))
			}
			for _, one := range got {
				seen[string(one.(*packet.Publish).Payload)] = true
			}
		}
		if len(seen) != 400 {
			scene.Errorf("got %d different messages, want 400", len(seen))
		}
	})
	mqtest.Run(t, "each group by itself, beside Subscriptions that are not shared", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p, q := scene.Connect("p"), scene.Connect("q")
		p.Send(subscribe(1, to("$share/one/a", 0), to("$share/two/a", 0), to("a", 0), to("$share/one/#", 0)))
		p.Expect(suback(1, 0, 0, 0, 0))
		q.Send(subscribe(1, to("$share/three/+", 0)))
		q.Expect(suback(1, 0))
		scene.Connect("other").Send(qos0("a", "x"))
		p.Expect(qos0("a", "x"), qos0("a", "x"), qos0("a", "x"), qos0("a", "x"))
		q.Expect(qos0("a", "x"))
		if s := scene.Broker.Stats(); s.Subscriptions != 5 || s.SharedSubscriptions != 4 {
			scene.Errorf("got %d Subscriptions, %d shared; want 5 and 4", s.Subscriptions, s.SharedSubscriptions)
		}
	})
	mqtest.Run(t, "each with the QoS that it was granted [MQTT-4.8.2-3]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		zero, two := scene.Connect("zero"), scene.Connect("two")
		zero.Send(subscribe(1, to("$share/s/a", 0)))
		zero.Expect(suback(1, 0))
		two.Send(subscribe(1, to("$share/s/a", 2)))
		two.Expect(suback(1, 2))
		scene.Connect("other").Send(qos2(1, "a", "x"), qos2(2, "a", "x"))
		zero.Expect(qos0("a", "x"))
		two.Expect(qos2(1, "a", "x"))
	})
	mqtest.Run(t, "a copy of its own, with the Subscription Identifier of its own [MQTT-3.3.4-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(identified(subscribe(1, to("$share/s/a", 0)), 7), identified(subscribe(2, to("a", 0)), 8))
		p.Expect(suback(1, 0), suback(2, 0))
		p.Send(qos0("a", "x"))
		p.Expect(with(qos0("a", "x"), number(colibri.SubscriptionIdentifier, 8)),
			with(qos0("a", "x"), number(colibri.SubscriptionIdentifier, 7)))
	})
	mqtest.Run(t, "no Retained Messages", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "kept")), subscribe(1, to("$share/s/a", 0)))
		p.Expect(suback(1, 0))
	})
	mqtest.Run(t, "to those who are there, before those who are not", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		peers := members(scene, 3, to("$share/s/a", 1), resume)
		peers[0].Disconnect()
		peers[2].Drop()
		other := scene.Connect("other")
		for range 10 {
			other.Send(qos1(1, "a", "x"))
		}
		if got := peers[1].Received(); len(got) != 10 {
			scene.Errorf("got %d messages, want 10", len(got))
		}
	})
	mqtest.Run(t, "it waits for one of them when none is there", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		peers := members(scene, 2, to("$share/s/a", 1), resume)
		peers[0].Disconnect()
		peers[1].Disconnect()
		scene.Connect("other").Send(qos1(1, "a", "x"), qos1(2, "a", "y"))
		got := append(scene.Connect("member0", resume).Received(), scene.Connect("member1", resume).Received()...)
		if len(got) != 2 {
			scene.Errorf("got %d messages, want 2", len(got))
		}
	})
	mqtest.Run(t, "UNSUBSCRIBE and the end of a Session leave the group", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		peers := members(scene, 3, to("$share/s/a", 0))
		peers[0].Send(unsubscribe(2, "$share/s/a", "a"))
		peers[0].Expect(unsuback(scene.Version, 2, 0, colibri.NoSubscriptionExisted))
		peers[1].Drop()
		other := scene.Connect("other")
		other.Send(qos0("a", "x"), qos0("a", "y"))
		peers[2].Expect(qos0("a", "x"), qos0("a", "y"))
		peers[0].Expect()
		peers[2].Disconnect()
		other.Send(qos1(1, "a", "z"))
		other.Expect(puback(1, in(scene.Version, colibri.NoMatchingSubscribers)))
	})
	mqtest.Run(t, "one under way waits for its Client, and for nobody else [MQTT-4.8.2-4] [MQTT-4.8.2-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		peers := members(scene, 2, to("$share/s/a", 2), resume)
		other := scene.Connect("other")
		other.Send(qos2(1, "a", "x"), qos2(2, "a", "y"))
		first := peers[0].Expect(qos2(0, "a", "x"))[0].(*packet.Publish)
		peers[1].Expect(qos2(0, "a", "y"))
		peers[0].Drop()
		peers[1].Drop()
		peers[1] = scene.Connect("member1", resume)
		peers[1].Expect(dup(qos2(0, "a", "y")))
		peers[0] = scene.Connect("member0", resume)
		peers[0].Expect(dup(qos2(first.PacketID, "a", "x")))
		peers[0].Drop()
		time.Sleep(2 * time.Hour) // the Session of the first ends
		peers[1].Expect()
		scene.Connect("member0", resume).ExpectNothing(time.Minute)
	})
	mqtest.Run(t, "one that its Client refuses goes to nobody else [MQTT-4.8.2-6]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		peers := members(scene, 2, to("$share/s/a", 2))
		scene.Connect("other").Send(qos1(1, "a", "x"), qos2(2, "a", "y"))
		peers[0].Expect(qos1(1, "a", "x"))
		peers[1].Expect(qos2(1, "a", "y"))
		peers[0].Send(puback(1, colibri.NotAuthorized))
		peers[1].Send(pubrec(1, colibri.QuotaExceeded))
		peers[0].ExpectNothing(time.Hour)
		peers[1].ExpectNothing(time.Hour)
	})
	mqtest.Run(t, "$share alone is a topic like any other", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("$shared/s/a", 0)))
		p.Expect(suback(1, 0))
		p.Send(qos0("a", "x"), qos0("$shared/s/a", "y"))
		p.Expect(qos0("$shared/s/a", "y"))
	})
}
