package broker_test

import (
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestWill shows when a Will Message is published and when it is not.
func TestWill(t *testing.T) {
	// watch returns a subscriber to the Will Topic.
	watch := func(scene *mqtest.Scene) *mqtest.Peer {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("will", 2)))
		watcher.Expect(suback(1, 2))
		return watcher
	}
	delay := func(seconds uint32) colibri.Properties { return number(colibri.WillDelayInterval, seconds) }
	expiry := func(seconds uint32) func(*packet.Connect) {
		return property(colibri.SessionExpiryInterval, seconds)
	}

	mqtest.Run(t, "published after the connection was lost, once [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT311-3.1.2-8] [MQTT311-3.1.2-10]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		p := scene.Connect("client", will(qos1(0, "will", "gone")))
		watcher.ExpectNothing(time.Minute)
		p.Drop()
		watcher.Expect(qos1(0, "will", "gone"))
		scene.Connect("client").Drop()
		watcher.ExpectNothing(time.Hour)
	})
	mqtest.Run(t, "with its QoS, and its empty payload [MQTT-3.1.2-12] [MQTT311-3.1.2-14] [MQTT311-3.1.2-9]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		for _, m := range []*packet.Publish{qos0("will", ""), qos1(0, "will", "\x00\xff"), qos2(0, "will", "x")} {
			scene.Connect("client", will(m)).Drop()
			watcher.Expect(m)
		}
	})
	mqtest.Run(t, "not after DISCONNECT [MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT311-3.14.4-3] [MQTT311-3.1.2-10]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		scene.Connect("client", will(qos0("will", "gone"))).Disconnect()
		watcher.ExpectNothing(time.Hour)
	})
	mqtest.Run(t, "not without a Will Flag [MQTT311-3.1.2-12]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("#", 0)))
		watcher.Expect(suback(1, 0))
		scene.Connect("client").Drop()
		watcher.ExpectNothing(time.Hour)
	})
	mqtest.Run(t, "after DISCONNECT with 0x04 [MQTT-3.1.2-8]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		p := scene.Connect("client", will(qos0("will", "gone")))
		p.Send(&packet.Disconnect{Code: colibri.DisconnectWithWillMessage})
		p.ExpectClosed()
		watcher.Expect(qos0("will", "gone"))
	})
	mqtest.Run(t, "after a protocol error [MQTT-3.1.2-8] [MQTT311-3.1.2-8]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		p := scene.Connect("client", will(qos0("will", "gone")))
		p.Send(p.NewConnect("client"))
		p.ExpectEnded(colibri.ProtocolError)
		watcher.Expect(qos0("will", "gone"))
	})
	mqtest.Run(t, "not retained [MQTT-3.1.2-14] [MQTT311-3.1.2-16]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("client", will(qos0("will", "gone"))).Drop()
		watch(scene).Expect()
	})
	mqtest.Run(t, "published with its RETAIN flag [MQTT-3.1.2-14] [MQTT-3.1.2-15]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, colibri.Subscription{Filter: "will", RetainAsPublished: true}))
		watcher.Expect(suback(1, 0))
		for _, m := range []*packet.Publish{qos0("will", "gone"), retain(qos0("will", "gone"))} {
			scene.Connect("client", will(m)).Drop()
			watcher.Expect(m)
		}
	})
	mqtest.Run(t, "retained [MQTT-3.1.2-15] [MQTT311-3.1.2-17]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		early := watch(scene)
		scene.Connect("client", will(retain(qos1(0, "will", "gone")))).Drop()
		early.Expect(qos1(0, "will", "gone"))
		late := scene.Connect("late")
		late.Send(subscribe(1, to("will", 2)))
		late.Expect(suback(1, 2), retain(qos1(0, "will", "gone")))
	})
	mqtest.Run(t, "retained and empty: it clears", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("other").Send(retain(qos0("will", "status")))
		scene.Connect("client", will(retain(qos0("will", "")))).Drop()
		watch(scene).Expect()
	})
	mqtest.Run(t, "its properties travel, in their order; the delay does not [MQTT-3.1.3-10] [MQTT-3.1.2-9]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		travel := colibri.Properties{}.AppendUser("b", "1").AppendValue(colibri.ContentType, "text").AppendUser("a", "2").
			AppendValue(colibri.ResponseTopic, "answer").AppendUser("b", "1").AppendValue(colibri.CorrelationData, "\x00").
			AppendNumber(colibri.PayloadFormatIndicator, 1)
		m := with(with(qos1(0, "will", "gone"), delay(0)), travel)
		scene.Connect("client", will(m)).Drop()
		watcher.Expect(with(qos1(0, "will", "gone"), travel))
	})
	mqtest.Run(t, "it expires like any message [MQTT-3.3.2-5] [MQTT-3.3.2-6]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher", resume)
		watcher.Send(subscribe(1, to("will", 1)))
		watcher.Expect(suback(1, 1))
		watcher.Disconnect()
		for _, seconds := range []uint32{20, 60} {
			m := with(qos1(0, "will", "gone"), number(colibri.MessageExpiryInterval, seconds))
			scene.Connect("client", will(m)).Drop()
		}
		time.Sleep(30 * time.Second)
		watcher = scene.Connect("watcher", resume)
		watcher.Expect(with(qos1(0, "will", "gone"), number(colibri.MessageExpiryInterval, 30)))
	})
	mqtest.Run(t, "delayed [MQTT-3.1.2-8]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		scene.Connect("client", expiry(3600), will(with(qos0("will", "gone"), delay(60)))).Drop()
		watcher.ExpectNothing(59 * time.Second)
		time.Sleep(2 * time.Second)
		watcher.Expect(qos0("will", "gone"))
		watcher.ExpectNothing(2 * time.Hour) // the end of the Session publishes nothing more
	})
	mqtest.Run(t, "its expiry counts from the end of the delay [MQTT-3.3.2-6]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		m := with(with(qos0("will", "gone"), delay(60)), number(colibri.MessageExpiryInterval, 10))
		scene.Connect("client", expiry(3600), will(m)).Drop()
		time.Sleep(61 * time.Second)
		watcher.Expect(with(qos0("will", "gone"), number(colibri.MessageExpiryInterval, 10)))
	})
	mqtest.Run(t, "the end of the Session comes first [MQTT-3.1.2-8]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		delayed := will(with(qos0("will", "gone"), delay(3600)))
		scene.Connect("client", expiry(10), delayed).Drop()
		watcher.ExpectNothing(9 * time.Second)
		time.Sleep(2 * time.Second)
		watcher.Expect(qos0("will", "gone"))
		scene.Connect("client", delayed).Drop() // a Session that ends with its connection
		watcher.Expect(qos0("will", "gone"))
		watcher.ExpectNothing(2 * time.Hour)
	})
	mqtest.Run(t, "cancelled by a new connection [MQTT-3.1.3-9]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		scene.Connect("client", expiry(3600), will(with(qos0("will", "gone"), delay(60)))).Drop()
		watcher.ExpectNothing(30 * time.Second)
		scene.Connect("client", resume).Disconnect()
		watcher.ExpectNothing(2 * time.Hour)
	})
	mqtest.Run(t, "cancelled, and set anew by that connection [MQTT-3.1.3-9] [MQTT-3.1.2-8]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		scene.Connect("client", expiry(3600), will(with(qos0("will", "one"), delay(60)))).Drop()
		watcher.ExpectNothing(30 * time.Second)
		scene.Connect("client", resume, will(with(qos0("will", "two"), delay(60)))).Drop()
		watcher.ExpectNothing(59 * time.Second)
		time.Sleep(2 * time.Second)
		watcher.Expect(qos0("will", "two"))
		watcher.ExpectNothing(2 * time.Hour)
	})
	mqtest.Run(t, "due when a new Session replaces the old one [MQTT-3.1.2-8]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		scene.Connect("client", expiry(3600), will(with(qos0("will", "gone"), delay(60)))).Drop()
		watcher.Expect()
		scene.Connect("client")
		watcher.Expect(qos0("will", "gone"))
		watcher.ExpectNothing(2 * time.Hour)
	})
	mqtest.Run(t, "not when the Server refuses the connection", mqtest.All, broker.Config{Limits: broker.Limits{Connections: 1}}, func(scene *mqtest.Scene) {
		watcher := watch(scene)
		p := scene.Dial()
		p.Send(p.NewConnect("client", will(qos0("will", "gone"))))
		p.Received()
		p.Drop()
		watcher.ExpectNothing(time.Minute)
	})
	mqtest.Run(t, "to its own Session, which waits", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume, will(qos1(0, "will", "gone")))
		p.Send(subscribe(1, to("will", 1)))
		p.Expect(suback(1, 1))
		p.Drop()
		scene.Connect("client", resume).Expect(qos1(0, "will", "gone"))
	})
}
