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

// TestOffline shows what a Session collects while its Client is away.
func TestOffline(t *testing.T) {
	mqtest.Run(t, "QoS 1 and 2 in their order, QoS 0 not [MQTT-4.5.0-1] [MQTT-3.1.2-23] [MQTT-3.1.2-5] [MQTT311-3.1.2-5] [MQTT311-4.5.0-1] [MQTT311-4.6.0-6]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		p.Disconnect()
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "1"), qos0("a", "lost"), qos2(2, "a", "2"), qos1(3, "a", "3"))
		other.Expect(puback(1, 0), pubrec(2, 0), puback(3, 0))
		p = scene.Connect("client", resume)
		p.Expect(qos1(1, "a", "1"), qos2(2, "a", "2"), qos1(3, "a", "3")) // sent for the first time: no DUP
	})
	mqtest.Run(t, "up to a limit", mqtest.All, broker.Config{Limits: broker.Limits{QueueMessages: 3}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		other := scene.Connect("other")
		for i := range 5 {
			other.Send(qos1(1, "a", fmt.Sprint(i)))
		}
		scene.Connect("client", resume).Expect(qos1(1, "a", "0"), qos1(2, "a", "1"), qos1(3, "a", "2"))
		if got := scene.Broker.Stats().Dropped[broker.DropQueueFull]; got != 2 {
			scene.Errorf("dropped for a full queue: got %d, want 2", got)
		}
	})
	mqtest.Run(t, "up to a limit in bytes", mqtest.All, broker.Config{Limits: broker.Limits{QueueBytes: 25}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		scene.Connect("other").Send(qos1(1, "a", "0123456789"), qos1(2, "a", "0123456789"), qos1(3, "a", "0123456789"), qos1(4, "a", ""))
		scene.Connect("client", resume).Expect(qos1(1, "a", "0123456789"), qos1(2, "a", "0123456789"), qos1(3, "a", ""))
	})
	mqtest.Run(t, "more than the window: the rest as it opens [MQTT-4.9.0-2]", mqtest.All, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		p.Disconnect()
		scene.Connect("other").Send(qos1(1, "a", "1"), qos1(2, "a", "2"), qos2(3, "a", "3"), qos1(4, "a", "4"))
		p = scene.Connect("client", resume)
		p.Expect(qos1(1, "a", "1"), qos1(2, "a", "2"))
		p.Send(puback(2, 0)) // in any order
		p.Expect(qos2(3, "a", "3"))
		p.Send(pubrec(3, 0))
		p.Expect(pubrel(3, 0)) // PUBREC alone does not open it
		p.Send(puback(1, 0))
		p.Expect(qos1(4, "a", "4"))
	})
}

// TestResume shows what is sent again when a Client comes back.
func TestResume(t *testing.T) {
	mqtest.Run(t, "PUBLISH with DUP and PUBREL, in order, with their identifiers [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT311-4.4.0-1] [MQTT311-3.3.1-1] [MQTT311-4.3.2-1] [MQTT311-4.3.3-1] [MQTT311-2.3.1-4]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "1"), qos2(2, "a", "2"), qos2(3, "a", "3"), qos1(4, "a", "4"), qos2(5, "a", "5"))
		p.Expect(qos1(1, "a", "1"), qos2(2, "a", "2"), qos2(3, "a", "3"), qos1(4, "a", "4"), qos2(5, "a", "5"))
		p.Send(pubrec(2, 0), puback(1, 0), pubrec(5, 0))
		p.Expect(pubrel(2, 0), pubrel(5, 0))
		p.Send(pubcomp(5, 0))
		p.Drop()
		other.Send(qos1(6, "a", "6"))
		for range 3 { // again and again
			p = scene.Connect("client", resume)
			got := p.Received()
			want := []packet.Packet{pubrel(2, 0), dup(qos2(3, "a", "3")), dup(qos1(4, "a", "4"))}
			if len(got) != 4 {
				scene.Fatalf("got %d packets, want 4", len(got))
			}
			for i := range want {
				if got[i].Type() != want[i].Type() {
					scene.Errorf("packet %d: got %v, want %v", i+1, got[i].Type(), want[i].Type())
				}
			}
			for i, id := range []uint16{3, 4} {
				if m := got[i+1].(*packet.Publish); m.PacketID != id || !m.Dup {
					scene.Errorf("got the identifier %d, DUP %v; want %d and true", m.PacketID, m.Dup, id)
				}
			}
			p.Drop()
		}
		p = scene.Connect("client", resume)
		p.Expect(pubrel(2, 0), dup(qos2(3, "a", "3")), dup(qos1(4, "a", "4")), dup(qos1(6, "a", "6")))
		p.Send(pubcomp(2, 0), pubrec(3, 0), puback(4, 0), puback(6, 0))
		p.Expect(pubrel(3, 0))
		p.Send(pubcomp(3, 0))
		p.Disconnect()
		scene.Connect("client", resume).ExpectNothing(time.Minute)
	})
	mqtest.Run(t, "as far as the new Receive Maximum allows, new messages behind [MQTT-3.3.4-9]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "1"), qos1(2, "a", "2"), qos1(3, "a", "3"))
		p.Expect(qos1(1, "a", "1"), qos1(2, "a", "2"), qos1(3, "a", "3"))
		p.Drop()
		p = scene.Connect("client", resume, property(colibri.ReceiveMaximum, 1))
		p.Expect(dup(qos1(1, "a", "1")))
		other.Send(qos1(4, "a", "4"))
		p.Send(puback(1, 0))
		p.Expect(dup(qos1(2, "a", "2")))
		p.Send(puback(2, 0))
		p.Expect(dup(qos1(3, "a", "3")))
		p.Send(puback(3, 0))
		p.Expect(qos1(4, "a", "4"))
	})
	mqtest.Run(t, "a clean Session resends nothing [MQTT-3.1.2-4] [MQTT311-3.1.2-6]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		scene.Connect("other").Send(qos1(1, "a", "x"))
		p.Expect(qos1(1, "a", "x"))
		p.Drop()
		scene.Connect("client").ExpectNothing(time.Minute)
		scene.Connect("client", resume).ExpectNothing(time.Minute)
	})
	mqtest.Run(t, "identifiers under way are not used again [MQTT-2.2.1-4] [MQTT311-2.3.1-4]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "held"))
		p.Expect(qos1(1, "a", "held"))
		for range 200 {
			other.Send(qos1(1, "a", "x"))
			m := p.Expect(qos1(0, "a", "x"))[0].(*packet.Publish)
			if m.PacketID == 1 {
				scene.Fatal("the Packet Identifier 1 was used again before its PUBACK")
			}
			p.Send(puback(m.PacketID, 0))
		}
	})
	mqtest.Run(t, "the client's QoS 2 identifiers outlive the connection, not a clean Session [MQTT-3.1.2-4]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("a", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Connect("client", resume)
		p.Send(qos2(1, "a", "x"))
		p.Drop()
		p = scene.Connect("client", resume)
		p.Send(dup(qos2(1, "a", "x")))
		watcher.Expect(qos0("a", "x"))
		p.Drop()
		p = scene.Connect("client")
		p.Send(qos2(1, "a", "y"))
		watcher.Expect(qos0("a", "y"))
	})
}

// TestSessionExpiry shows when a Session ends.
func TestSessionExpiry(t *testing.T) {
	expiry := func(seconds uint32) func(*packet.Connect) {
		return func(c *packet.Connect) {
			c.CleanStart = false
			c.Properties = append(c.Properties, number(colibri.SessionExpiryInterval, seconds)...)
		}
	}
	// left reports whether the Session of the client is still there, and ends it.
	left := func(scene *mqtest.Scene) bool {
		p := scene.Connect("client", expiry(0))
		defer p.Disconnect()
		return p.Connack.SessionPresent
	}
	mqtest.Run(t, "after its interval [MQTT-3.1.2-23] [MQTT-4.1.0-2]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for wait, want := range map[time.Duration]bool{59 * time.Second: true, 61 * time.Second: false} {
			scene.Connect("client", expiry(60)).Drop()
			time.Sleep(wait)
			if got := scene.Broker.Stats().Sessions; got != map[bool]int{true: 1}[want] {
				scene.Errorf("Sessions after %v: got %d", wait, got)
			}
			if got := left(scene); got != want {
				scene.Errorf("Session Present after %v: got %v, want %v", wait, got, want)
			}
		}
	})
	mqtest.Run(t, "not while the connection is open [MQTT-4.1.0-1]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", expiry(10))
		time.Sleep(time.Hour)
		p.Drop()
		time.Sleep(9 * time.Second)
		if !left(scene) {
			scene.Error("Session Present 9 s after the connection was closed: got 0, want 1")
		}
	})
	mqtest.Run(t, "at once with 0 or without [MQTT-4.1.0-2]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for _, option := range []func(*packet.Connect){expiry(0), func(c *packet.Connect) { c.CleanStart = false }} {
			p := scene.Connect("client", option)
			p.Send(subscribe(1, to("a", 1)))
			p.Expect(suback(1, 1))
			p.Drop()
			if s := scene.Broker.Stats(); s.Sessions != 0 || s.Subscriptions != 0 {
				scene.Errorf("got %d Sessions and %d Subscriptions, want none", s.Sessions, s.Subscriptions)
			}
			if left(scene) {
				scene.Error("Session Present: got 1, want 0")
			}
		}
	})
	mqtest.Run(t, "never with 0xFFFFFFFF [MQTT-3.1.2-23]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("client", expiry(0xFFFFFFFF)).Drop()
		time.Sleep(24 * time.Hour)
		if !left(scene) {
			scene.Error("Session Present after a day: got 0, want 1")
		}
	})
	mqtest.Run(t, "never with Clean Session 0 [MQTT311-3.1.2-4] [MQTT311-4.1.0-1] [MQTT311-4.1.0-2]", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("client", resume).Disconnect()
		time.Sleep(24 * time.Hour)
		if !scene.Connect("client", resume).Connack.SessionPresent {
			scene.Error("Session Present after a day: got 0, want 1")
		}
	})
	mqtest.Run(t, "with its connection when Clean Session was 1 [MQTT311-3.1.2-6] [MQTT311-4.1.0-2]", mqtest.Old, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		time.Sleep(time.Hour)
		p.Send(qos1(1, "a", "x"))
		p.Expect(qos1(1, "a", "x"), puback(1, 0))
		p.Drop()
		if s := scene.Broker.Stats(); s.Sessions != 0 || s.Subscriptions != 0 {
			scene.Errorf("got %d Sessions and %d Subscriptions, want none", s.Sessions, s.Subscriptions)
		}
	})
	mqtest.Run(t, "the interval of the last connection counts", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("client", expiry(10)).Drop()
		time.Sleep(5 * time.Second)
		scene.Connect("client", expiry(1000)).Drop()
		time.Sleep(500 * time.Second)
		scene.Connect("client", expiry(20)).Drop()
		time.Sleep(15 * time.Second)
		if !left(scene) {
			scene.Error("Session Present: got 0, want 1")
		}
	})
	mqtest.Run(t, "DISCONNECT may change it", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		say := func(seconds uint32) packet.Packet {
			return &packet.Disconnect{Properties: number(colibri.SessionExpiryInterval, seconds)}
		}
		p := scene.Connect("client", expiry(1000))
		p.Send(say(10))
		p.ExpectClosed()
		time.Sleep(11 * time.Second)
		if left(scene) {
			scene.Error("shortened: got Session Present 1, want 0")
		}
		p = scene.Connect("client", expiry(10))
		p.Send(say(1000))
		p.ExpectClosed()
		time.Sleep(900 * time.Second)
		if !left(scene) {
			scene.Error("prolonged: got Session Present 0, want 1")
		}
		p = scene.Connect("client", expiry(1000))
		p.Send(say(0))
		p.ExpectClosed()
		if left(scene) {
			scene.Error("ended: got Session Present 1, want 0")
		}
	})
	mqtest.Run(t, "DISCONNECT may not make it last when CONNECT did not", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(&packet.Disconnect{Properties: number(colibri.SessionExpiryInterval, 10)})
		p.ExpectEnded(colibri.ProtocolError)
		if left(scene) {
			scene.Error("Session Present: got 1, want 0")
		}
	})
	mqtest.Run(t, "the Server's limit", mqtest.V5, broker.Config{Limits: broker.Limits{SessionExpiry: 60}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", expiry(1000))
		if got, _ := p.Connack.Properties.Number(colibri.SessionExpiryInterval); got != 60 {
			scene.Errorf("Session Expiry Interval: got %d, want 60", got)
		}
		p.Drop()
		time.Sleep(61 * time.Second)
		if left(scene) {
			scene.Error("Session Present: got 1, want 0")
		}
		if scene.Connect("client", expiry(10)).Connack.Properties.Has(colibri.SessionExpiryInterval) {
			scene.Error("Session Expiry Interval is there for a Client that asked for less")
		}
	})
	mqtest.Run(t, "the Server's limit holds for DISCONNECT", mqtest.V5, broker.Config{Limits: broker.Limits{SessionExpiry: 60}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", expiry(10))
		p.Send(&packet.Disconnect{Properties: number(colibri.SessionExpiryInterval, 1000)})
		p.ExpectClosed()
		time.Sleep(61 * time.Second)
		if left(scene) {
			scene.Error("Session Present: got 1, want 0")
		}
	})
	mqtest.Run(t, "many at once", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for i := range 200 {
			p := scene.Connect(fmt.Sprint(i), expiry(uint32(100-i/2)))
			p.Send(subscribe(1, to("a", 1)))
			p.Expect(suback(1, 1))
			p.Drop()
		}
		time.Sleep(time.Second / 2)
		for passed := range 101 {
			s := scene.Broker.Stats()
			if want := min(200, 2*(100-passed)); s.Sessions != want || s.Subscriptions != want {
				scene.Fatalf("after %d s: got %d Sessions and %d Subscriptions, want %d", passed, s.Sessions, s.Subscriptions, want)
			}
			time.Sleep(time.Second)
		}
	})
}

// TestResumeTooLarge shows that what is too large for a client which comes back holds nothing up:
// neither what was sent behind it nor what waits.
func TestResumeTooLarge(t *testing.T) {
	mqtest.Run(t, "with a smaller Maximum Packet Size and Receive Maximum [MQTT-3.1.2-25]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		c := scene.Connect("c", resume, property(colibri.ReceiveMaximum, 3))
		c.Send(subscribe(1, to("a", 1)))
		c.Expect(suback(1, 1))
		p := scene.Connect("publisher")
		large := strings.Repeat("x", 100)
		p.Send(qos1(1, "a", "1"), qos1(2, "a", large), qos1(3, "a", "3"), qos1(4, "a", "4"))
		c.Expect(qos1(1, "a", "1"), qos1(2, "a", large), qos1(3, "a", "3"))
		c.Drop()
		c = scene.Connect("c", resume, property(colibri.ReceiveMaximum, 2), property(colibri.MaximumPacketSize, 50))
		c.Expect(dup(qos1(1, "a", "1")), dup(qos1(3, "a", "3")))
		c.Send(puback(1, 0))
		c.Expect(qos1(4, "a", "4"))
	})
}
