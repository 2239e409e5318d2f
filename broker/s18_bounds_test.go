package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestLimits shows the answer and the counter of each limit.
func TestLimits(t *testing.T) {
	// reached fails unless a limit was counted n times, and no other.
	reached := func(scene *mqtest.Scene, l broker.Limit, n int64) {
		scene.Helper()
		if got := scene.Broker.Stats().Limited; got[l] != n || len(got) != 1 {
			scene.Errorf("limits reached: got %v, want %q %d times and no other", got, l, n)
		}
	}
	refused := func(scene *mqtest.Scene, clientID string, code colibri.ReasonCode, options ...func(*packet.Connect)) {
		scene.Helper()
		p := scene.Dial()
		p.Send(p.NewConnect(clientID, options...))
		if scene.Version < v5 {
			old, _ := code.ConnectReturnCode()
			code = colibri.ReasonCode(old)
		}
		p.ExpectClosed(&packet.Connack{Code: code})
	}
	run := func(name string, versions []colibri.Version, limits broker.Limits, scenario func(scene *mqtest.Scene)) {
		t.Helper()
		mqtest.Run(t, name, versions, broker.Config{Limits: limits}, scenario)
	}
	run("connections", mqtest.V5, broker.Limits{Connections: 2}, func(scene *mqtest.Scene) {
		scene.Connect("1")
		leaves := scene.Connect("2")
		refused(scene, "3", colibri.QuotaExceeded)
		leaves.Disconnect()
		scene.Connect("3")
		reached(scene, broker.LimitConnections, 1)
	})
	run("connections without a CONNECT", mqtest.All, broker.Limits{Unauthenticated: 2}, func(scene *mqtest.Scene) {
		scene.Connect("in") // does not count any more
		one := scene.Dial()
		scene.Dial()
		synctest.Wait()
		scene.Dial().ExpectClosed()
		one.Connect("in, too")
		scene.Connect("now there is room")
		reached(scene, broker.LimitUnauthenticated, 1)
	})
	run("time to CONNECT", mqtest.All, broker.Limits{ConnectTime: 3 * time.Second}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.SendBytes([]byte{0x10, 0x20})
		time.Sleep(2 * time.Second)
		p.Expect()
		time.Sleep(2 * time.Second)
		p.ExpectClosed()
		reached(scene, broker.LimitConnectTime, 1)
	})
	run("size of a CONNECT", mqtest.V5, broker.Limits{ConnectBytes: 100}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect(strings.Repeat("x", 100)))
		p.ExpectClosed()
		reached(scene, broker.LimitConnectBytes, 1)
	})
	run("CONNECT packets a second", mqtest.Modern, broker.Limits{ConnectRate: 5}, func(scene *mqtest.Scene) {
		for i := range 5 {
			scene.Connect(fmt.Sprint(i))
		}
		refused(scene, "6", colibri.ConnectionRateExceeded)
		refused(scene, "6", colibri.ConnectionRateExceeded)
		time.Sleep(200 * time.Millisecond)
		scene.Connect("6")
		refused(scene, "7", colibri.ConnectionRateExceeded)
		time.Sleep(time.Hour)
		for i := range 5 {
			scene.Connect(fmt.Sprint("later", i))
		}
		refused(scene, "8", colibri.ConnectionRateExceeded)
		reached(scene, broker.LimitConnectRate, 4)
	})
	run("Keep Alive [MQTT-3.2.2-21]", mqtest.V5, broker.Limits{KeepAlive: 60}, func(scene *mqtest.Scene) {
		scene.Connect("shorter", keepAlive(30))
		p := scene.Connect("longer", keepAlive(90))
		if got, _ := p.Connack.Properties.Number(colibri.ServerKeepAlive); got != 60 {
			scene.Errorf("Server Keep Alive: got %d, want 60", got)
		}
		reached(scene, broker.LimitKeepAlive, 1)
	})
	run("Session Expiry Interval", mqtest.V5, broker.Limits{SessionExpiry: 60}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", property(colibri.SessionExpiryInterval, 90))
		if got, _ := p.Connack.Properties.Number(colibri.SessionExpiryInterval); got != 60 {
			scene.Errorf("got %d, want 60", got)
		}
		reached(scene, broker.LimitSessionExpiry, 1)
	})
	run("size of a packet", mqtest.All, broker.Limits{PacketBytes: 100}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(qos0("a", strings.Repeat("x", 100)))
		p.ExpectEnded(colibri.PacketTooLarge)
		reached(scene, broker.LimitPacketBytes, 1)
	})
	run("Receive Maximum [MQTT-3.3.4-7]", mqtest.V5, broker.Limits{ReceiveMaximum: 1}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(qos2(1, "a", "x"), qos2(2, "a", "x"))
		p.ExpectClosed(pubrec(1, colibri.NoMatchingSubscribers), &packet.Disconnect{Code: colibri.ReceiveMaximumExceeded})
		reached(scene, broker.LimitReceiveMaximum, 1)
	})
	run("Topic Alias [MQTT-3.3.2-9]", mqtest.V5, broker.Limits{TopicAliasMaximum: 3}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(with(qos0("a", "x"), number(colibri.TopicAlias, 4)))
		p.ExpectEnded(colibri.TopicAliasInvalid)
		reached(scene, broker.LimitTopicAlias, 1)
	})
	run("Subscriptions, topic levels and bytes", mqtest.V5, broker.Limits{Subscriptions: 1, TopicLevels: 2, TopicBytes: 6}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 0), to("b", 0), to("a/b/c", 0), to("abcdefg", 0), to("a", 1)))
		p.Expect(suback(1, 0, colibri.QuotaExceeded, colibri.TopicFilterInvalid, colibri.TopicFilterInvalid, 1))
		got := scene.Broker.Stats().Limited
		if got[broker.LimitSubscriptions] != 1 || got[broker.LimitTopic] != 2 {
			scene.Errorf("limits reached: got %v, want 1 of Subscriptions and 2 of topics", got)
		}
	})
	run("messages a second: what is more is read later", mqtest.All, broker.Limits{MessageRate: 100}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("a", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Connect("client", keepAlive(2))
		var b []byte
		for range 1000 {
			b = append(b, p.Encode(qos0("a", "x"))...)
		}
		began := time.Now()
		p.Write(b)
		got := 0
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			got += len(watcher.Received())
			if most := 100*time.Since(began).Seconds() + 100 + 64; float64(got) > most {
				scene.Fatalf("%d messages after %v, want %.0f at most", got, time.Since(began), most)
			}
			other := scene.Broker.Stats().Connections // nobody else waits
			if other != 2 {
				scene.Fatalf("%d connections, want 2", other)
			}
		}
		if got != 1000 {
			scene.Errorf("got %d messages after %v, want all 1000", got, time.Since(began))
		}
		p.Ping()
		if n := scene.Broker.Stats().Limited[broker.LimitMessageRate]; n != 1 {
			scene.Errorf("limit reached: got %d times, want once for one flood", n)
		}
	})
	run("bytes a second: what is more is read later", mqtest.All, broker.Limits{ByteRate: 10_000}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		began := time.Now()
		for range 100 {
			p.Write(p.Encode(qos1(1, "a", strings.Repeat("x", 1000))))
		}
		for got := 0; got < 100; got += len(p.Received()) {
			time.Sleep(10 * time.Millisecond)
			if time.Since(began) > time.Minute {
				scene.Fatalf("got %d answers in a minute, want 100", got)
			}
		}
		if took := time.Since(began); took < 5*time.Second || took > 10*time.Second {
			scene.Errorf("100 KB at 10 KB a second took %v, want about 9 s less what one read brings", took)
		}
		reached(scene, broker.LimitByteRate, 1)
	})
	run("a Client that is held back can still be ended", mqtest.V5, broker.Limits{MessageRate: 1}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		var b []byte
		for range 1000 {
			b = append(b, p.Encode(qos0("a", "x"))...)
		}
		p.Write(b)
		scene.Connect("client").Ping() // takes over at once
		p.ExpectEnded(colibri.SessionTakenOver)
	})
}

// TestMaximumPacketSizeOfConnack shows what becomes of a Client that takes no CONNACK.
func TestMaximumPacketSizeOfConnack(t *testing.T) {
	mqtest.Run(t, "refused with what it takes [MQTT-3.1.2-24]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", property(colibri.MaximumPacketSize, 10)))
		p.ExpectClosed(&packet.Connack{Code: colibri.PacketTooLarge})
	})
	mqtest.Run(t, "or not at all [MQTT-3.1.2-24]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", property(colibri.MaximumPacketSize, 4)))
		p.ExpectClosed()
	})
}
