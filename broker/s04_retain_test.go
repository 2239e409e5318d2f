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

// TestRetain shows what the broker keeps for those who come later.
func TestRetain(t *testing.T) {
	mqtest.Run(t, "stored, with its QoS [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT311-3.3.1-5] [MQTT311-3.3.1-6] [MQTT311-3.3.1-8]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos2(1, "a/2", "two")), retain(qos1(2, "a/1", "one")), retain(qos0("a/0", "zero")), qos0("a/x", "not"))
		none := in(scene.Version, colibri.NoMatchingSubscribers)
		p.Expect(pubrec(1, none), puback(2, none))
		for granted := range colibri.QoS(3) {
			late := scene.Connect("late")
			late.Send(subscribe(1, to("a/+", granted)))
			two, one := qos2(0, "a/2", "two"), qos1(0, "a/1", "one")
			two.QoS, one.QoS = min(2, granted), min(1, granted)
			late.ExpectUnordered(suback(1, colibri.ReasonCode(granted)), retain(two), retain(one), retain(qos0("a/0", "zero")))
		}
	})
	mqtest.Run(t, "replaced [MQTT-3.3.1-5] [MQTT311-3.3.1-7]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos1(1, "a", "old")), retain(qos0("a", "new")))
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(puback(1, in(scene.Version, colibri.NoMatchingSubscribers)), suback(1, 1), retain(qos0("a", "new")))
	})
	mqtest.Run(t, "left alone by a message without RETAIN [MQTT-3.3.1-8] [MQTT311-3.3.1-12]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "kept")), qos0("a", "passing"), qos0("a", ""), subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1), retain(qos0("a", "kept")))
	})
	mqtest.Run(t, "removed by an empty payload, which is not stored itself [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p, watcher := scene.Connect("client"), scene.Connect("watcher")
		p.Send(retain(qos0("a", "kept")), retain(qos0("b", "stays")))
		watcher.Send(subscribe(1, to("a", 0)))
		watcher.Expect(suback(1, 0), retain(qos0("a", "kept")))
		p.Send(retain(qos0("a", "")), retain(qos0("never", "")))
		watcher.Expect(qos0("a", ""))
		p.Send(subscribe(1, to("#", 0)))
		p.Expect(suback(1, 0), retain(qos0("b", "stays")))
		if got := scene.Broker.Stats().Retained; got != 1 {
			scene.Errorf("Retained Messages: got %d, want 1", got)
		}
	})
	mqtest.Run(t, "not part of the publisher's Session [MQTT311-3.1.2-7]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "kept")))
		p.Disconnect()
		time.Sleep(time.Hour)
		p = scene.Connect("client")
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0), retain(qos0("a", "kept")))
	})
	mqtest.Run(t, "Retain Handling [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "kept")))
		handling := func(h colibri.RetainHandling) colibri.Subscription {
			return colibri.Subscription{Filter: "a", RetainHandling: h}
		}
		kept := retain(qos0("a", "kept"))
		p.Send(subscribe(1, handling(2)))
		p.Expect(suback(1, 0))
		p.Send(subscribe(2, handling(1)))
		p.Expect(suback(2, 0)) // the Subscription existed
		p.Send(subscribe(3, handling(0)))
		p.Expect(suback(3, 0), kept)
		p.Send(unsubscribe(4, "a"), subscribe(5, handling(1)))
		p.Expect(unsuback(v5, 4, 0), suback(5, 0), kept)
		p.Send(subscribe(6, handling(0)), subscribe(7, handling(0)))
		p.Expect(suback(6, 0), kept, suback(7, 0), kept)
	})
	mqtest.Run(t, "Retain Handling 1 on a resumed Session [MQTT-3.3.1-10]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		onceOnly := colibri.Subscription{Filter: "a", RetainHandling: colibri.SendRetainedIfNew}
		scene.Connect("other").Send(retain(qos0("a", "kept")))
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, onceOnly))
		p.Expect(suback(1, 0), retain(qos0("a", "kept")))
		p.Disconnect()
		p = scene.Connect("client", resume)
		p.Send(subscribe(1, onceOnly))
		p.Expect(suback(1, 0))
	})
	mqtest.Run(t, "RETAIN is set whatever Retain As Published says [MQTT-3.3.1-9]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "kept")), subscribe(1, to("a", 0), colibri.Subscription{Filter: "+", RetainAsPublished: true}))
		p.Expect(suback(1, 0, 0), retain(qos0("a", "kept")), retain(qos0("a", "kept")))
	})
	mqtest.Run(t, "each filter of a SUBSCRIBE gets its own [MQTT-3.8.4-5] [MQTT311-3.8.4-4]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a/b", "kept")), subscribe(1, to("a/b", 0), to("a/+", 0), to("x", 0)))
		p.Expect(suback(1, 0, 0, 0), retain(qos0("a/b", "kept")), retain(qos0("a/b", "kept")))
	})
	mqtest.Run(t, "expired ones are not sent, the others with what is left [MQTT-3.3.2-5] [MQTT-3.3.2-6]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		expiry := func(seconds uint32) colibri.Properties { return number(colibri.MessageExpiryInterval, seconds) }
		p := scene.Connect("client")
		p.Send(with(retain(qos0("a/short", "x")), expiry(10)), with(retain(qos0("a/long", "y")), expiry(100)))
		p.Expect()
		time.Sleep(30 * time.Second)
		p.Send(subscribe(1, to("a/#", 0)))
		p.Expect(suback(1, 0), with(retain(qos0("a/long", "y")), expiry(70)))
	})
	mqtest.Run(t, "more than the window holds", mqtest.All, broker.Config{Limits: broker.Limits{Inflight: 3}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		for i := range 20 {
			p.Send(retain(qos1(1, fmt.Sprintf("a/%d", i), "x")))
			p.Expect(puback(1, in(scene.Version, colibri.NoMatchingSubscribers)))
		}
		p.Send(subscribe(1, to("a/#", 1)))
		p.Send(&packet.Pingreq{})
		seen, pinged := map[string]bool{}, false
		for {
			got := p.Received()
			if len(got) == 0 {
				break
			}
			publishes := 0
			for _, one := range got {
				switch m := one.(type) {
				case *packet.Publish:
					publishes++
					if seen[m.Topic] || !m.Retain {
						scene.Errorf("got %s again or without RETAIN", m.Topic)
					}
					seen[m.Topic] = true
					p.Send(puback(m.PacketID, 0))
				case *packet.Pingresp:
					pinged = true
				}
			}
			if publishes > 3 {
				scene.Errorf("got %d messages at once, want 3 at most", publishes)
			}
		}
		if len(seen) != 20 || !pinged {
			scene.Errorf("got %d Retained Messages, PINGRESP %v; want 20 and true", len(seen), pinged)
		}
	})
	mqtest.Run(t, "what was replaced while it waited is not sent after its successor", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		other := scene.Connect("other")
		other.Send(retain(qos1(1, "a/1", "old")), retain(qos1(2, "a/2", "old")))
		p := scene.Connect("client", property(colibri.ReceiveMaximum, 1))
		p.Send(subscribe(1, to("a/+", 1)))
		got := p.Received()
		first := got[1].(*packet.Publish)
		waits := map[string]string{"a/1": "a/2", "a/2": "a/1"}[first.Topic]
		other.Send(retain(qos1(3, waits, "new")))
		p.Send(puback(first.PacketID, 0))
		got = p.Expect(qos1(0, waits, "new"))
		p.Send(puback(got[0].(*packet.Publish).PacketID, 0))
		p.ExpectNothing(time.Second)
	})
	mqtest.Run(t, "a limit on their number", mqtest.All, broker.Config{Limits: broker.Limits{Retained: 2}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "1")), retain(qos0("b", "1")), retain(qos0("c", "1")), retain(qos0("a", "2")))
		p.Send(subscribe(1, to("#", 0)))
		p.ExpectUnordered(suback(1, 0), retain(qos0("a", "2")), retain(qos0("b", "1")))
		p.Send(retain(qos0("c", "live")))
		p.Expect(qos0("c", "live"))
		p.Send(retain(qos0("b", "")), retain(qos0("c", "fits")))
		p.Expect(qos0("b", ""), qos0("c", "fits"))
		s := scene.Broker.Stats()
		if s.Retained != 2 || s.Dropped[broker.DropRetained] != 2 {
			scene.Errorf("got %d retained and %d not, want 2 and 2", s.Retained, s.Dropped[broker.DropRetained])
		}
	})
	mqtest.Run(t, "in a Session that is offline a live message has RETAIN 0 [MQTT-3.3.1-12] [MQTT311-3.3.1-9]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		scene.Connect("other").Send(retain(qos1(1, "a", "x")))
		scene.Connect("client", resume).Expect(qos1(0, "a", "x"))
	})
}
