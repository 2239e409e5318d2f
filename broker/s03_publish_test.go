package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestPublish shows a message on its way in: how it is acknowledged.
func TestPublish(t *testing.T) {
	mqtest.Run(t, "answers by QoS [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-2.2.1-5] [MQTT311-3.3.4-1] [MQTT311-4.3.2-2] [MQTT311-4.3.3-2] [MQTT311-2.3.1-6]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("a", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Connect("client")
		p.Send(qos0("a", "0"))
		p.Expect()
		p.Send(qos1(0xFFFF, "a", "1"))
		p.Expect(puback(0xFFFF, 0))
		p.Send(qos2(0x0102, "a", "2"))
		p.Expect(pubrec(0x0102, 0))
		p.Send(pubrel(0x0102, 0))
		p.Expect(pubcomp(0x0102, 0))
		watcher.Expect(qos0("a", "0"), qos0("a", "1"), qos0("a", "2"))
	})
	mqtest.Run(t, "nobody subscribes: 0x10", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(qos1(1, "a", "1"), qos2(2, "a", "2"), pubrel(2, 0))
		none := in(scene.Version, colibri.NoMatchingSubscribers)
		p.Expect(puback(1, none), pubrec(2, none), pubcomp(2, 0))
	})
	mqtest.Run(t, "PUBREL for nothing: 0x92 [MQTT-4.3.3-11]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(pubrel(7, 0))
		p.Expect(pubcomp(7, in(scene.Version, colibri.PacketIdentifierNotFound)))
	})
	mqtest.Run(t, "PUBREC for nothing: 0x92", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(pubrec(7, 0))
		p.Expect(pubrel(7, in(scene.Version, colibri.PacketIdentifierNotFound)))
	})
	mqtest.Run(t, "PUBACK and PUBCOMP for nothing are late, no more", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(puback(7, 0), pubcomp(8, 0))
		p.Ping()
	})
	mqtest.Run(t, "QoS 1 again is a new message, DUP or not [MQTT-4.3.2-5] [MQTT311-4.3.2-2] [MQTT-3.3.1-3] [MQTT311-3.3.1-3]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("a", 1)))
		watcher.Expect(suback(1, 1))
		p := scene.Connect("client")
		p.Send(qos1(1, "a", "x"), dup(qos1(1, "a", "x")), dup(qos1(2, "a", "y")))
		p.Expect(puback(1, 0), puback(1, 0), puback(2, 0))
		watcher.Expect(qos1(0, "a", "x"), qos1(0, "a", "x"), qos1(0, "a", "y")) // each with DUP 0
	})
	mqtest.Run(t, "QoS 2 is delivered once [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT-3.3.1-3] [MQTT311-4.3.3-2] [MQTT311-3.3.1-3]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("a", 2)))
		watcher.Expect(suback(1, 2))
		p := scene.Connect("client")
		p.Send(qos2(1, "a", "x"), dup(qos2(1, "a", "x")), qos2(1, "a", "x"))
		p.Expect(pubrec(1, 0), pubrec(1, 0), pubrec(1, 0))
		watcher.Expect(qos2(0, "a", "x"))
		p.Send(pubrel(1, 0), pubrel(1, 0))
		p.Expect(pubcomp(1, 0), pubcomp(1, in(scene.Version, colibri.PacketIdentifierNotFound)))
		p.Send(dup(qos2(1, "a", "y")))
		p.Expect(pubrec(1, 0))
		watcher.Expect(qos2(0, "a", "y"))
	})
	mqtest.Run(t, "QoS 2 is delivered once over a reconnection [MQTT-4.3.3-10] [MQTT311-4.3.3-2]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("a", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Connect("client", resume)
		p.Send(qos2(1, "a", "x"))
		p.Expect(pubrec(1, 0))
		watcher.Expect(qos0("a", "x"))
		p.Drop()
		p = scene.Connect("client", resume)
		p.Send(dup(qos2(1, "a", "x")), pubrel(1, 0))
		p.Expect(pubrec(1, 0), pubcomp(1, 0))
		watcher.Expect()
	})
	mqtest.Run(t, "a QoS 1 PUBLISH under the identifier of a QoS 2 one", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(qos2(1, "a", "x"))
		p.Expect(pubrec(1, in(scene.Version, colibri.NoMatchingSubscribers)))
		p.Send(qos1(1, "a", "y"))
		p.ExpectEnded(colibri.ProtocolError)
	})
	mqtest.Run(t, "acknowledgements keep the order of the messages", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		var send, want []packet.Packet
		for id := uint16(1); id <= 200; id++ {
			send = append(send, qos1(id, "b", "x"))
			want = append(want, puback(id, in(scene.Version, colibri.NoMatchingSubscribers)))
		}
		p.Send(send...)
		p.Expect(want...)
	})
}

// TestDelivery shows a message on its way out.
func TestDelivery(t *testing.T) {
	mqtest.Run(t, "QoS 1 [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT311-4.3.2-1] [MQTT311-2.3.1-4]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client"), scene.Connect("other")
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		var send []packet.Packet
		for range 19 {
			send = append(send, qos1(1, "a", "x"))
		}
		other.Send(send...)
		used := map[uint16]bool{}
		for _, one := range p.Received() {
			m := one.(*packet.Publish)
			if m.PacketID == 0 || used[m.PacketID] || m.Dup || m.QoS != 1 {
				scene.Errorf("got %+v, want a Packet Identifier that is not 0 and not in use, and no DUP", m)
			}
			used[m.PacketID] = true
		}
		if len(used) != 19 {
			scene.Errorf("got %d messages, want 19", len(used))
		}
		for id := range used {
			p.Send(puback(id, 0))
		}
		p.Expect()
	})
	mqtest.Run(t, "QoS 2 [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-2.2.1-5] [MQTT311-4.3.3-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client"), scene.Connect("other")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other.Send(qos2(1, "a", "x"), qos2(2, "a", "y"))
		got := p.Expect(qos2(0, "a", "x"), qos2(0, "a", "y"))
		x, y := got[0].(*packet.Publish).PacketID, got[1].(*packet.Publish).PacketID
		if x == y {
			scene.Fatalf("both messages have the Packet Identifier %d", x)
		}
		p.Send(pubrec(y, 0))
		p.Expect(pubrel(y, 0))
		p.Send(pubrec(y, 0)) // once more: it is still owed a PUBREL
		p.Expect(pubrel(y, 0))
		p.Send(pubrec(x, 0), pubcomp(y, 0))
		p.Expect(pubrel(x, 0))
		p.Send(pubcomp(x, 0))
		p.ExpectNothing(time.Hour)
	})
	mqtest.Run(t, "nothing is sent twice on a connection [MQTT-4.4.0-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client"), scene.Connect("other")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other.Send(qos1(1, "a", "x"), qos2(2, "a", "y"), qos2(3, "a", "z"))
		p.Expect(qos1(1, "a", "x"), qos2(2, "a", "y"), qos2(3, "a", "z"))
		p.Send(pubrec(3, 0))
		p.Expect(pubrel(3, 0))
		p.ExpectNothing(time.Hour)
	})
	mqtest.Run(t, "a refusal of the Client ends the handshake [MQTT-4.4.0-2]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client", resume), scene.Connect("other")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other.Send(qos1(1, "a", "x"), qos2(2, "a", "y"))
		p.Expect(qos1(1, "a", "x"), qos2(2, "a", "y"))
		p.Send(puback(1, colibri.QuotaExceeded), pubrec(2, colibri.NotAuthorized))
		p.Expect()
		p.Drop()
		scene.Connect("client", resume).ExpectNothing(time.Second)
	})
	mqtest.Run(t, "a PUBACK for a QoS 2 message", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 2)), qos2(1, "a", "x"))
		p.Expect(suback(1, 2), qos2(1, "a", "x"), pubrec(1, 0))
		p.Send(puback(1, 0))
		p.ExpectEnded(colibri.ProtocolError)
	})
	mqtest.Run(t, "order is kept for each QoS [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client"), scene.Connect("other")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		for i := range 300 {
			id := uint16(i + 1)
			payload := fmt.Sprint(i)
			other.Send(qos0("a", payload), qos1(id, "a", payload), qos2(id+1000, "a", payload), pubrel(id+1000, 0))
		}
		next := [3]int{}
		for {
			got := p.Received()
			if len(got) == 0 {
				break
			}
			for _, one := range got {
				switch m := one.(type) {
				case *packet.Publish:
					if want := fmt.Sprint(next[m.QoS]); string(m.Payload) != want {
						scene.Fatalf("%v: got message %s, want %s", m.QoS, m.Payload, want)
					}
					next[m.QoS]++
					switch m.QoS {
					case 1:
						p.Send(puback(m.PacketID, 0))
					case 2:
						p.Send(pubrec(m.PacketID, 0))
					}
				case *packet.Pubrel:
					p.Send(pubcomp(m.PacketID, 0))
				}
			}
		}
		if next != [3]int{300, 300, 300} {
			scene.Errorf("got %v messages of QoS 0, 1 and 2, want 300 of each", next)
		}
	})
	mqtest.Run(t, "payloads pass unchanged, the empty one and the large one too", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		for _, size := range []int{0, 1, 100, 127, 128, 2000, 16_383, 16_384, 32_768, 100_000, 1_900_000} {
			payload := strings.Repeat("\x00\xff", size/2) + strings.Repeat("y", size%2)
			p.Send(qos0("a", payload))
			p.Expect(qos0("a", payload))
		}
	})
	mqtest.Run(t, "QoS 0 has no Packet Identifier, either way [MQTT-2.2.1-2] [MQTT311-2.3.1-5]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		if scene.Version == v5 {
			p.SendHex(`30 06 "a" 00 1234`)
		} else {
			p.SendHex(`30 05 "a" 1234`)
		}
		p.Expect(qos0("a", "\x12\x34"))
	})
	mqtest.Run(t, "a topic of 65,535 bytes [MQTT-4.7.3-3] [MQTT311-4.7.3-3]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		topic := strings.Repeat("x", 65_535)
		p := scene.Connect("client")
		p.Send(subscribe(1, to(topic, 0)), qos0(topic, "x"))
		p.Expect(suback(1, 0), qos0(topic, "x"))
	})
	mqtest.Run(t, "a byte order mark is part of the topic [MQTT-1.5.4-3] [MQTT311-1.5.3-3]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("\uFEFFa", 0), to("b", 0)), qos0("\uFEFFa", "x"), qos0("a", "y"), qos0("\uFEFFb", "z"))
		p.Expect(suback(1, 0, 0), qos0("\uFEFFa", "x"))
	})
	mqtest.Run(t, "between versions", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		old, older, p := scene.ConnectVersion(v311, "old"), scene.ConnectVersion(v31, "older"), scene.Connect("client")
		for _, one := range []*mqtest.Peer{old, older, p} {
			one.Send(subscribe(1, to("a", 1)))
			one.Expect(suback(1, 1))
		}
		content := text(colibri.ContentType, "text/plain")
		p.Send(with(qos1(2, "a", "new"), content))
		p.Expect(with(qos1(1, "a", "new"), content), puback(2, 0))
		old.Expect(qos1(1, "a", "new"))
		older.Expect(qos1(1, "a", "new"))
		older.Send(qos1(3, "a", "old"))
		p.Expect(qos1(2, "a", "old"))
		old.Expect(qos1(2, "a", "old"))
		older.Expect(qos1(2, "a", "old"), puback(3, 0))
	})
	mqtest.Run(t, "the broker's own messages", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		for qos := range colibri.QoS(3) {
			if err := scene.Broker.Publish(&colibri.Message{Topic: "a", Payload: []byte("x"), QoS: qos, Retain: qos == 0}); err != nil {
				scene.Errorf("Publish: %v", err)
			}
		}
		p.Expect(qos0("a", "x"), qos1(0, "a", "x"), qos2(0, "a", "x"))
		p.Send(subscribe(2, to("a", 0)))
		p.Expect(suback(2, 0), retain(qos0("a", "x")))
	})
}

// TestProperties shows what of a 5.0 PUBLISH reaches the subscribers.
func TestProperties(t *testing.T) {
	mqtest.Run(t, "forwarded unaltered, in their order [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		all := colibri.Properties{}.
			AppendUser("k", "1").AppendNumber(colibri.PayloadFormatIndicator, 1).AppendUser("k", "1").
			AppendValue(colibri.ResponseTopic, "answer/here").AppendUser("", "").
			AppendValue(colibri.CorrelationData, "\x00\xff\x00").AppendUser("b", "2").
			AppendValue(colibri.ContentType, "text/plain; ä").AppendUser("a", "3")
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		p.Send(with(qos0("a", "ü"), all), with(retain(qos1(1, "a", "ü")), all), with(qos2(2, "a", "ü"), all))
		p.Expect(with(qos0("a", "ü"), all), with(qos1(0, "a", "ü"), all), puback(1, 0), with(qos2(0, "a", "ü"), all), pubrec(2, 0))
		p.Send(subscribe(2, to("a", 0)))
		p.Expect(suback(2, 0), with(retain(qos0("a", "ü")), all))
	})
	mqtest.Run(t, "also after a wait [MQTT-3.3.2-18]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		all := colibri.Properties{}.AppendUser("b", "1").AppendUser("a", "2").AppendUser("b", "1")
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		scene.Connect("other").Send(with(qos1(1, "a", "x"), all))
		time.Sleep(time.Minute)
		p = scene.Connect("client", resume)
		p.Expect(with(qos1(0, "a", "x"), all))
		p.Drop()
		p = scene.Connect("client", resume)
		p.Expect(with(dup(qos1(0, "a", "x")), all))
	})
	mqtest.Run(t, "no texts in acknowledgements [MQTT-3.1.2-29] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]", mqtest.V5, broker.Config{Authorizer: rules{}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", property(colibri.RequestProblemInformation, 0), property(colibri.MaximumPacketSize, 30))
		p.Send(subscribe(1, to("no", 0)), unsubscribe(2, "no"), qos1(3, "no", "x"), qos2(4, "no", "x"), pubrel(5, 0), pubrec(6, 0))
		p.Expect(suback(1, colibri.NotAuthorized), unsuback(v5, 2, colibri.NoSubscriptionExisted), puback(3, colibri.NotAuthorized),
			pubrec(4, colibri.NotAuthorized), pubcomp(5, colibri.PacketIdentifierNotFound), pubrel(6, colibri.PacketIdentifierNotFound))
	})
}

// TestMessageExpiry shows how long a message is good for.
func TestMessageExpiry(t *testing.T) {
	expiry := func(seconds uint32) colibri.Properties { return number(colibri.MessageExpiryInterval, seconds) }
	mqtest.Run(t, "the rest is sent along [MQTT-3.3.2-6] [MQTT-3.3.2-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		other := scene.Connect("other")
		other.Send(with(qos1(1, "a", "at once"), expiry(100)))
		p.Expect(with(qos1(1, "a", "at once"), expiry(100)))
		p.Send(puback(1, 0))
		p.Disconnect()
		other.Send(with(qos1(2, "a", "short"), expiry(10)), with(qos1(3, "a", "long"), expiry(100)), qos1(4, "a", "for ever"))
		time.Sleep(30 * time.Second)
		p = scene.Connect("client", resume)
		p.Expect(with(qos1(0, "a", "long"), expiry(70)), qos1(0, "a", "for ever"))
		if got := scene.Broker.Stats().Dropped[broker.DropExpired]; got != 1 {
			scene.Errorf("expired messages: got %d, want 1", got)
		}
	})
	mqtest.Run(t, "what was sent does not expire [MQTT-4.3.3-7] [MQTT-4.3.3-13]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 2)), with(qos2(7, "a", "x"), expiry(10)))
		p.Expect(suback(1, 2), with(qos2(1, "a", "x"), expiry(10)), pubrec(7, 0))
		p.Drop()
		time.Sleep(time.Minute)
		p = scene.Connect("client", resume)
		p.Expect(with(dup(qos2(1, "a", "x")), expiry(0)))
		p.Send(pubrec(1, 0), pubrel(7, 0))
		p.Expect(pubrel(1, 0), pubcomp(7, 0))
	})
	mqtest.Run(t, "while it waits for the window [MQTT-3.3.2-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", property(colibri.ReceiveMaximum, 1))
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		scene.Connect("other").Send(qos1(1, "a", "one"), with(qos1(2, "a", "two"), expiry(10)), with(qos1(3, "a", "three"), expiry(60)))
		p.Expect(qos1(1, "a", "one"))
		time.Sleep(20 * time.Second)
		p.Send(puback(1, 0))
		p.Expect(with(qos1(0, "a", "three"), expiry(40)))
	})
	mqtest.Run(t, "the broker's own messages too [MQTT-3.3.2-6]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		for _, seconds := range []uint32{10, 60} {
			m := &colibri.Message{Topic: "a", QoS: 1, Properties: expiry(seconds)}
			if err := scene.Broker.Publish(m); err != nil {
				scene.Errorf("Publish: %v", err)
			}
		}
		time.Sleep(20 * time.Second)
		scene.Connect("client", resume).Expect(with(qos1(0, "a", ""), expiry(40)))
	})
}

// TestTopicAlias shows the short names that a 5.0 Client may use.
func TestTopicAlias(t *testing.T) {
	alias := func(n uint32) colibri.Properties { return number(colibri.TopicAlias, n) }
	mqtest.Run(t, "set, used, replaced; never sent on [MQTT-3.3.2-12]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("#", 0)))
		p.Expect(suback(1, 0))
		p.Send(with(qos0("a", "1"), alias(1)), with(qos0("ten", "2"), alias(10)))
		p.Expect(qos0("a", "1"), qos0("ten", "2"))
		p.Send(with(qos0("", "3"), alias(1)), with(qos0("", "4"), alias(10)), with(qos1(1, "", "5"), alias(1)))
		p.Expect(qos0("a", "3"), qos0("ten", "4"), qos0("a", "5"), puback(1, 0))
		p.Send(with(qos0("b", "6"), alias(1)), with(retain(qos0("", "7")), alias(1)))
		p.Expect(qos0("b", "6"), qos0("b", "7"))
		other := scene.Connect("other")
		other.Send(subscribe(1, to("#", 0)))
		other.Expect(suback(1, 0), retain(qos0("b", "7")))
	})
	mqtest.Run(t, "it ends with its connection [MQTT-3.3.2-7]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(with(qos0("a", "1"), alias(1)))
		p.Disconnect()
		p = scene.Connect("client", resume)
		p.Send(with(qos0("", "2"), alias(1)))
		p.ExpectEnded(colibri.ProtocolError)
	})
	mqtest.Run(t, "it is the connection's own [MQTT-3.3.2-7]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("one").Send(with(qos0("a", "1"), alias(1)))
		p := scene.Connect("two")
		p.Send(with(qos0("", "2"), alias(1)))
		p.ExpectEnded(colibri.ProtocolError)
	})
	mqtest.Run(t, "a repeated QoS 2 PUBLISH sets it too", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(9, to("a", 0)), with(qos2(1, "a", "1"), alias(1)))
		p.Expect(suback(9, 0), qos0("a", "1"), pubrec(1, 0))
		p.Drop()
		p = scene.Connect("client", resume)
		p.Send(with(dup(qos2(1, "a", "1")), alias(1)), with(qos0("", "2"), alias(1)))
		p.Expect(pubrec(1, 0), qos0("a", "2"))
	})
}
