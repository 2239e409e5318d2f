package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// share connects a client and makes it a member of $share/s/a.
func share(scene *mqtest.Scene, clientID string, qos colibri.QoS, options ...func(*packet.Connect)) *mqtest.Peer {
	scene.Helper()
	p := scene.Connect(clientID, options...)
	p.Send(subscribe(1, to("$share/s/a", qos)))
	p.Expect(suback(1, colibri.ReasonCode(qos)))
	return p
}

// send publishes QoS 1 messages to a, one for each word.
func send(p *mqtest.Peer, words string) {
	for i, word := range strings.Fields(words) {
		p.Send(qos1(uint16(i+1), "a", word))
	}
	p.Received()
}

// payloads returns those of the messages that have arrived at p, which acknowledges QoS 1
// as long as more come.
func payloads(p *mqtest.Peer) string {
	var got []string
	for {
		arrived := p.Received()
		if len(arrived) == 0 {
			return strings.Join(got, " ")
		}
		for _, one := range arrived {
			if m, ok := one.(*packet.Publish); ok {
				got = append(got, string(m.Payload))
				if m.QoS == colibri.AtLeastOnce {
					p.Send(puback(m.PacketID, 0))
				}
			}
		}
	}
}

func expectDropped(scene *mqtest.Scene, reason broker.DropReason, want int64) {
	scene.Helper()
	if got := scene.Broker.Stats().Dropped[reason]; got != want {
		scene.Errorf("dropped (%s): got %d, want %d", reason, got, want)
	}
}

// TestSharedLeave shows what becomes of the messages of a member that goes.
func TestSharedLeave(t *testing.T) {
	mqtest.Run(t, "what was not acknowledged goes to the others when the connection ends", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		for _, leave := range []func(*mqtest.Peer){(*mqtest.Peer).Drop, (*mqtest.Peer).Disconnect} {
			p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
			other := scene.Connect("other")
			send(other, "x y")
			p.Expect(qos1(0, "a", "x"))
			q.Expect(qos1(0, "a", "y"))
			leave(p)
			q.Expect(qos1(0, "a", "x")) // to this Client it goes for the first time: no DUP
			p = scene.Connect("p", resume)
			p.ExpectNothing(time.Minute)
			p.Send(unsubscribe(9, "$share/s/a"))
			q.Send(puback(1, 0), puback(2, 0), unsubscribe(9, "$share/s/a"))
		}
	})
	mqtest.Run(t, "also when the Session ends with it", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1), share(scene, "q", 1)
		other := scene.Connect("other")
		send(other, "x y")
		p.Expect(qos1(0, "a", "x"))
		p.Drop()
		q.Expect(qos1(0, "a", "y"), qos1(0, "a", "x"))
		expectDropped(scene, broker.DropNoSubscribers, 0)
	})
	mqtest.Run(t, "what was acknowledged does not", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
		other := scene.Connect("other")
		send(other, "x y")
		p.Expect(qos1(1, "a", "x"))
		p.Send(puback(1, 0))
		p.Drop()
		q.Expect(qos1(0, "a", "y"))
	})
	mqtest.Run(t, "and neither does what it has refused [MQTT-4.8.2-6]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 2, resume), share(scene, "q", 2, resume)
		scene.Connect("other").Send(qos1(1, "a", "x"), qos1(2, "a", "y"), qos2(3, "a", "z"))
		p.Expect(qos1(1, "a", "x"), qos2(2, "a", "z"))
		p.Send(puback(1, colibri.QuotaExceeded), pubrec(2, colibri.QuotaExceeded))
		p.Drop()
		q.Expect(qos1(1, "a", "y"))
	})
	mqtest.Run(t, "what was not sent goes first to those who have room", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 2, resume), share(scene, "q", 2, resume)
		other := scene.Connect("other")
		send(other, "0 1 2 3 4 5 6 7 8 9")
		p.Expect(qos1(1, "a", "0"), qos1(2, "a", "2"))
		p.Drop()
		if got := payloads(q); got != "1 3 5 7 9 0 2 4 6 8" {
			scene.Errorf("got %s, want its own messages and then those of the other, in order", got)
		}
		expectDropped(scene, broker.DropNoSubscribers, 0)
	})
	mqtest.Run(t, "a QoS 2 message that was sent stays with its Client, one that was not goes [MQTT-4.8.2-4]", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 2, resume), share(scene, "q", 2, resume)
		other := scene.Connect("other")
		for i := range 8 {
			other.Send(qos2(uint16(i+1), "a", fmt.Sprint(i)))
		}
		p.Expect(qos2(1, "a", "0"), qos2(2, "a", "2"))
		q.Expect(qos2(1, "a", "1"), qos2(2, "a", "3"))
		p.Send(pubrec(1, 0))
		p.Expect(pubrel(1, 0))
		p.Drop()
		q.Expect()
		for i, want := range []string{"5", "7", "4", "6", ""} {
			id := uint16(i + 1)
			q.Send(pubrec(id, 0), pubcomp(id, 0))
			if want == "" {
				q.Expect(pubrel(id, 0))
				break
			}
			q.Expect(pubrel(id, 0), qos2(id+2, "a", want))
		}
		p = scene.Connect("p", resume)
		p.Expect(pubrel(1, 0), dup(qos2(2, "a", "2")))
	})
	mqtest.Run(t, "with no other the same Client is sent it again, under the same Packet Identifier", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		p := share(scene, "p", 1, resume)
		other := scene.Connect("other")
		send(other, "0 1 2 3")
		p.Expect(qos1(1, "a", "0"), qos1(2, "a", "1"))
		p.Drop()
		send(other, "4")
		p = scene.Connect("p", resume)
		p.Expect(dup(qos1(1, "a", "0")), dup(qos1(2, "a", "1")))
		p.Send(puback(1, 0), puback(2, 0))
		p.Expect(qos1(0, "a", "2"), qos1(0, "a", "3"))
		if got := payloads(p); got != "" {
			scene.Errorf("got %s without acknowledging", got)
		}
		p.Send(puback(3, 0), puback(4, 0))
		p.Expect(qos1(0, "a", "4"))
	})
	mqtest.Run(t, "with no other it goes to the first that comes, by CONNECT or by SUBSCRIBE", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 2, resume), share(scene, "q", 2, resume)
		q.Disconnect()
		other := scene.Connect("other")
		send(other, "x")
		other.Send(qos2(2, "a", "y"))
		p.Expect(qos1(1, "a", "x"), qos2(2, "a", "y"))
		p.Drop()
		q = scene.Connect("q", resume)
		q.Expect(qos1(0, "a", "x"))
		q.Drop()
		r := scene.Connect("r", resume)
		r.Send(subscribe(1, to("$share/s/a", 1)))
		r.Expect(suback(1, 1), qos1(0, "a", "x"))
		p = scene.Connect("p", resume)
		p.Expect(dup(qos2(2, "a", "y"))) // it cannot go to others [MQTT-4.8.2-5]
		scene.Connect("q", resume).Expect()
	})
	mqtest.Run(t, "a Session that expires gives up what it held, but for QoS 2 [MQTT-4.8.2-5]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		q := share(scene, "q", 2, resume)
		q.Disconnect()
		p := scene.ConnectVersion(v5, "p", property(colibri.SessionExpiryInterval, 60))
		p.Send(subscribe(1, to("$share/s/a", 2)))
		p.Expect(suback(1, 2))
		other := scene.Connect("other")
		send(other, "x")
		other.Send(qos2(2, "a", "y"))
		p.Expect(qos1(1, "a", "x"), qos2(2, "a", "y"))
		p.Drop()
		time.Sleep(61 * time.Second)
		if n := scene.Broker.Stats().Sessions; n != 2 {
			scene.Fatalf("%d Sessions, want 2", n)
		}
		scene.Connect("q", resume).Expect(qos1(0, "a", "x"))
	})
	mqtest.Run(t, "so does one that a new one replaces", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
		other := scene.Connect("other")
		send(other, "x y")
		p.Expect(qos1(1, "a", "x"))
		q.Expect(qos1(1, "a", "y"))
		again := scene.Connect("p") // while the old one is connected
		q.Expect(qos1(2, "a", "x"))
		again.Expect()
		q.Drop()
		send(other, "z")
		scene.Connect("q") // nobody is left to have x and y, which it was sent, and z
		expectDropped(scene, broker.DropSessionEnded, 2)
		expectDropped(scene, broker.DropNoSubscribers, 1)
	})
	mqtest.Run(t, "a takeover keeps what the Session holds", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
		other := scene.Connect("other")
		send(other, "x y")
		p.Expect(qos1(1, "a", "x"))
		q.Expect(qos1(1, "a", "y"))
		p = scene.Connect("p", resume)
		p.Expect(dup(qos1(1, "a", "x")))
		q.Expect()
	})
	mqtest.Run(t, "UNSUBSCRIBE gives the others what was not sent", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
		other := scene.Connect("other")
		send(other, "0 1 2 3 4 5")
		p.Expect(qos1(1, "a", "0"), qos1(2, "a", "2"))
		p.Send(unsubscribe(2, "$share/s/a"))
		p.Expect(unsuback(scene.Version, 2, 0))
		if got := payloads(q); got != "1 3 5 4" {
			scene.Errorf("got %s, want its own and the one that the other was not sent", got)
		}
		p.Send(puback(1, 0)) // of the others it may still acknowledge any
		p.Drop()
		q.Expect(qos1(0, "a", "2"))
		scene.Connect("p", resume).Expect()
	})
	mqtest.Run(t, "who has unsubscribed keeps nothing when it goes", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		share(scene, "q", 1, resume).Disconnect()
		p := share(scene, "p", 1, resume)
		send(scene.Connect("other"), "x")
		p.Expect(qos1(1, "a", "x"))
		p.Send(unsubscribe(2, "$share/s/a"))
		p.Expect(unsuback(scene.Version, 2, 0))
		p.Drop() // nobody is there
		scene.Connect("q", resume).Expect(qos1(1, "a", "x"))
		scene.Connect("p", resume).Expect()
	})
	mqtest.Run(t, "UNSUBSCRIBE of the last member leaves it what waits", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		p := share(scene, "p", 1, resume)
		p.Send(subscribe(2, to("$share/s/a", 1))) // again: it is one member as before
		p.Expect(suback(2, 1))
		other := scene.Connect("other")
		send(other, "0 1 2")
		p.Expect(qos1(1, "a", "0"), qos1(2, "a", "1"))
		p.Send(unsubscribe(2, "$share/s/a"))
		p.Expect(unsuback(scene.Version, 2, 0))
		p.Drop()
		p = scene.Connect("p", resume)
		p.Expect(dup(qos1(1, "a", "0")), dup(qos1(2, "a", "1")))
		p.Send(puback(1, 0))
		p.Expect(qos1(0, "a", "2"))
		expectDropped(scene, broker.DropNoSubscribers, 0)
	})
	mqtest.Run(t, "what a Client has of its own stays with it", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 3}}, func(scene *mqtest.Scene) {
		p := scene.Connect("p", resume)
		p.Send(subscribe(1, to("$share/s/a", 1), to("a", 1), to("$share/other/a", 1)))
		p.Expect(suback(1, 1, 1, 1))
		q := share(scene, "q", 1, resume)
		other := scene.Connect("other")
		send(other, "x y")
		p.Expect(qos1(1, "a", "x"), qos1(2, "a", "x"), qos1(3, "a", "x"))
		q.Expect(qos1(1, "a", "y"))
		p.Drop()
		q.Expect(qos1(2, "a", "x"))
		p = scene.Connect("p", resume)
		if got := payloads(p); got != "x x y y" { // its own copies, and those of the other group
			scene.Errorf("got %s, want x x y y", got)
		}
		q.Expect()
	})
}

// TestSharedQueue shows the queue of a Shared Subscription none of whose members is there.
func TestSharedQueue(t *testing.T) {
	mqtest.Run(t, "the first that comes back drains it, in order", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		share(scene, "q", 1, resume).Drop()
		other := scene.Connect("other")
		other.Send(qos1(7, "a", "0"))
		other.Expect(puback(7, 0))
		send(other, "1 2 3 4 5 6 7 8 9")
		if s := scene.Broker.Stats(); s.Queued != 10 || s.StoredBytes != 10 {
			scene.Errorf("got %d messages queued with %d bytes, want 10 and 10", s.Queued, s.StoredBytes)
		}
		if got := payloads(scene.Connect("q", resume)); got != "0 1 2 3 4 5 6 7 8 9" {
			scene.Errorf("got %s, want all in order", got)
		}
		scene.Connect("p", resume).Expect()
	})
	mqtest.Run(t, "those who are there take as they acknowledge, and nothing overtakes it", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		share(scene, "q", 1, resume).Disconnect()
		other := scene.Connect("other")
		send(other, "0 1 2 3 4 5")
		p, q := scene.Connect("p", resume), scene.Connect("q", resume)
		p.Expect(qos1(1, "a", "0"), qos1(2, "a", "1"))
		q.Expect(qos1(1, "a", "2"), qos1(2, "a", "3"))
		send(other, "6 7")
		q.Send(puback(1, 0), puback(2, 0))
		q.Expect(qos1(3, "a", "4"), qos1(4, "a", "5"))
		p.Send(puback(2, 0))
		p.Expect(qos1(3, "a", "6"))
		q.Send(puback(3, 0))
		q.Expect(qos1(0, "a", "7"))
		q.Send(puback(4, 0), puback(5, 0))
		p.Send(puback(1, 0), puback(3, 0))
		send(other, "8 9") // nothing waits any more, so that they go to one each
		if got := []string{payloads(p), payloads(q)}; !slices.Equal(got, []string{"8", "9"}) && !slices.Equal(got, []string{"9", "8"}) {
			scene.Errorf("got %q, want 8 and 9, one each", got)
		}
	})
	mqtest.Run(t, "it waits behind what the Client has of its own", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 2}}, func(scene *mqtest.Scene) {
		p := share(scene, "p", 1, resume)
		p.Send(subscribe(2, to("own", 1)))
		p.Expect(suback(2, 1))
		p.Disconnect()
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "shared"), qos1(2, "own", "1"), qos1(3, "own", "2"), qos1(4, "own", "3"))
		if got := payloads(scene.Connect("p", resume)); got != "1 2 3 shared" {
			scene.Errorf("got %s", got)
		}
	})
	mqtest.Run(t, "each with its QoS, its flags and its Subscription Identifier [MQTT-4.8.2-3] [MQTT-3.3.4-3]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("p", resume)
		rap := to("$share/s/a", 1)
		rap.RetainAsPublished = true
		p.Send(identified(subscribe(1, rap), 7))
		p.Expect(suback(1, 1))
		p.Disconnect()
		q := share(scene, "q", 2, resume)
		q.Disconnect()
		scene.Connect("other").Send(retain(qos2(1, "a", "x")), qos1(2, "a", "y"))
		p = scene.Connect("p", resume)
		p.Expect(with(retain(qos1(1, "a", "x")), number(colibri.SubscriptionIdentifier, 7)),
			with(qos1(2, "a", "y"), number(colibri.SubscriptionIdentifier, 7)))
		p.Drop() // unacknowledged; to the other it goes as the other has subscribed
		q = scene.Connect("q", resume)
		q.Expect(qos2(1, "a", "x"), qos1(2, "a", "y"))
	})
	mqtest.Run(t, "a Client that was granted QoS 0 takes all at once", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 1}}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		send(scene.Connect("other"), "0 1 2")
		q := scene.Connect("q")
		q.Send(subscribe(1, to("$share/s/a", 0)))
		q.Expect(suback(1, 0), qos0("a", "0"), qos0("a", "1"), qos0("a", "2"))
	})
	mqtest.Run(t, "and no place in the window", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 1}}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		other := scene.Connect("other")
		send(other, "0 1 2")
		q := scene.Connect("q")
		q.Send(subscribe(1, to("own", 1)))
		other.Send(qos1(1, "own", "x"))
		q.Expect(suback(1, 1), qos1(1, "own", "x"))
		q.Send(subscribe(1, to("$share/s/a", 0)))
		q.Expect(suback(1, 0), qos0("a", "0"), qos0("a", "1"), qos0("a", "2"))
	})
	mqtest.Run(t, "what is given back comes before what has come since", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 1}}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
		other := scene.Connect("other")
		send(other, "0 1 2 3")
		p.Drop() // 0 and 2
		send(other, "4")
		q.Drop() // 3, and 1 stays
		if got := payloads(scene.Connect("q", resume)); got != "1 3 0 2 4" {
			scene.Errorf("got %s, want 4 after all others", got)
		}
	})
	mqtest.Run(t, "QoS 0 does not wait", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		zero := scene.Connect("zero", resume)
		zero.Send(subscribe(1, to("$share/zero/a", 0)))
		zero.Expect(suback(1, 0))
		zero.Disconnect()
		scene.Connect("other").Send(qos0("a", "x"), qos1(1, "a", "y"))
		scene.Connect("p", resume).Expect(qos1(0, "a", "y"))
		scene.Connect("zero", resume).Expect()
		expectDropped(scene, broker.DropOffline, 3)
	})
	mqtest.Run(t, "two groups on one filter have a queue each", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("p", resume)
		p.Send(subscribe(1, to("$share/s/a", 1), to("$share/t/a", 1)))
		p.Expect(suback(1, 1, 1))
		p.Disconnect()
		q := scene.Connect("q", resume)
		q.Send(subscribe(1, to("$share/t/a", 1)))
		q.Expect(suback(1, 1))
		q.Disconnect()
		send(scene.Connect("other"), "x y")
		q = scene.Connect("q", resume)
		q.Expect(qos1(0, "a", "x"), qos1(0, "a", "y"))
		p = scene.Connect("p", resume)
		p.Expect(qos1(0, "a", "x"), qos1(0, "a", "y"))
	})
	mqtest.Run(t, "what expires there is not delivered [MQTT-3.3.2-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		scene.Connect("other").Send(with(qos1(1, "a", "x"), number(colibri.MessageExpiryInterval, 10)),
			with(qos1(2, "a", "y"), number(colibri.MessageExpiryInterval, 100)))
		time.Sleep(11 * time.Second)
		scene.Connect("p", resume).Expect(with(qos1(0, "a", "y"), number(colibri.MessageExpiryInterval, 89)))
		expectDropped(scene, broker.DropExpired, 1)
	})
	var dropped []broker.Dropped
	events := func(e broker.Event) {
		if e, ok := e.(broker.Dropped); ok {
			dropped = append(dropped, e)
		}
	}
	mqtest.Run(t, "it is bounded in messages", mqtest.Modern, broker.Config{Limits: broker.Limits{QueueMessages: 5, Inflight: 1}, Events: events}, func(scene *mqtest.Scene) {
		dropped = nil
		p := share(scene, "p", 1, resume)
		other := scene.Connect("other")
		send(other, "0 1 2 3") // one is under way, three wait
		p.Expect(qos1(1, "a", "0"))
		p.Drop()
		send(other, "4 5 6 7")
		if want := (broker.Dropped{Share: "$share/s/a", Reason: broker.DropQueueFull, Messages: 1}); !slices.Equal(dropped, []broker.Dropped{want, want}) {
			scene.Errorf("events: got %v, want two of %v", dropped, want)
		}
		if got := payloads(scene.Connect("p", resume)); got != "0 1 2 3 4 5" {
			scene.Errorf("got %s, want the one under way and the five that waited first", got)
		}
		expectDropped(scene, broker.DropQueueFull, 2)
	})
	mqtest.Run(t, "it is bounded in bytes, and what is given back comes before what waits", mqtest.Modern, broker.Config{Limits: broker.Limits{QueueBytes: 100, Inflight: 1}}, func(scene *mqtest.Scene) {
		share(scene, "q", 1, resume).Disconnect()
		p := share(scene, "p", 1, resume)
		other := scene.Connect("other")
		send(other, "0 1")
		p.Expect(qos1(1, "a", "0"))
		p.Drop()
		big := strings.Repeat("x", 50)
		send(other, big+" "+big) // the second does not fit
		send(other, "2")
		expectDropped(scene, broker.DropQueueFull, 1)
		q := scene.Connect("q", resume)
		if got := payloads(q); got != "1 0 "+big+" 2" {
			scene.Errorf("got %s", got)
		}
	})
	mqtest.Run(t, "a full one refuses, or lets the oldest or what has expired go, as a Client's does", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for _, test := range []struct {
			when   broker.WhenFull
			code   colibri.ReasonCode // for the fourth message
			reason broker.DropReason
			want   string
		}{
			{broker.FullDropNewest, colibri.QuotaExceeded, broker.DropQueueFull, "0 1 2"},
			{broker.FullDropOldest, colibri.Success, broker.DropReplaced, "1 2 3"},
			{broker.FullReject, colibri.QuotaExceeded, broker.DropRejected, "0 1 2"},
		} {
			scene.Use(mqtest.New(scene, broker.Config{WhenFull: test.when, Limits: broker.Limits{QueueMessages: 3}}))
			share(scene, "p", 1, resume).Disconnect()
			other := scene.Connect("other")
			send(other, "0 1 2")
			other.Send(qos1(9, "a", "3"))
			if got := other.Received()[0].(*packet.Puback).Code; got != test.code {
				scene.Errorf("full, %d: got %v, want %v", test.when, got, test.code)
			}
			if got := payloads(scene.Connect("p", resume)); got != test.want {
				scene.Errorf("full, %d: got %s, want %s", test.when, got, test.want)
			}
			expectDropped(scene, test.reason, 1)

			share(scene, "p", 1, resume).Disconnect()
			other.Send(with(qos1(1, "a", "old"), number(colibri.MessageExpiryInterval, 10)))
			send(other, "4 5")
			time.Sleep(11 * time.Second)
			send(other, "6")
			if got := payloads(scene.Connect("p", resume)); got != "4 5 6" {
				scene.Errorf("full with one that has expired, %d: got %s, want 4 5 6", test.when, got)
			}
			expectDropped(scene, broker.DropExpired, 1)
		}
	})
	mqtest.Run(t, "it goes with the last member", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		q := scene.ConnectVersion(v5, "q", property(colibri.SessionExpiryInterval, 60))
		q.Send(subscribe(1, to("$share/s/a", 1)))
		q.Expect(suback(1, 1))
		q.Disconnect()
		send(scene.Connect("other"), "x y")
		scene.Connect("p").Disconnect() // ends the Session
		expectDropped(scene, broker.DropNoSubscribers, 0)
		time.Sleep(61 * time.Second)
		expectDropped(scene, broker.DropNoSubscribers, 2)
		share(scene, "p", 1, resume).Expect()
	})
	mqtest.Run(t, "it drains through a connection that takes little at a time", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 1000, OutboxBytes: 1000}}, func(scene *mqtest.Scene) {
		share(scene, "p", 1, resume).Disconnect()
		other := scene.Connect("other")
		payload := strings.Repeat("x", 500)
		for i := range 300 {
			other.Send(qos1(uint16(i+1), "a", payload))
		}
		p := scene.DialSize(256)
		p.Connect("p", resume)
		if got := len(strings.Fields(payloads(p))); got != 300 {
			scene.Errorf("got %d messages, want 300", got)
		}
	})
}

// TestSharedSlow shows that a member which does not read takes no more than its outbox may
// hold, and leaves the rest to the others.
func TestSharedSlow(t *testing.T) {
	mqtest.Run(t, "a member that does not read", mqtest.Modern, broker.Config{Limits: broker.Limits{Inflight: 1000, OutboxBytes: 1000}}, func(scene *mqtest.Scene) {
		share(scene, "q", 1, resume).Disconnect()
		other := scene.Connect("other")
		payload := strings.Repeat("x", 500)
		for i := range 300 {
			other.Send(qos1(uint16(i+1), "a", payload))
		}
		p := scene.DialSize(256)
		p.Connect("p", resume)
		p.Pause()
		p.Send(&packet.Pingreq{}) // Pause lets one more read through
		p.Send(subscribe(1, to("$share/s/a", 1)))
		if got := len(strings.Fields(payloads(scene.Connect("q", resume)))); got < 290 {
			scene.Errorf("the one that reads got %d messages, want nearly all of 300", got)
		}
		p.Resume()
		p.Received()
		expectDropped(scene, broker.DropSlow, 0)
	})
}

// TestSharedStrategies shows whom each strategy chooses; internal/router has the rest.
func TestSharedStrategies(t *testing.T) {
	run := func(name string, strategy broker.SharedStrategy, scenario func(scene *mqtest.Scene)) {
		mqtest.Run(t, name, mqtest.Modern, broker.Config{SharedStrategy: strategy}, scenario)
	}
	run("sticky: one until it leaves", broker.SharedSticky, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
		other := scene.Connect("other")
		send(other, "0 1 2")
		if got := payloads(p); got != "0 1 2" {
			scene.Errorf("got %s, want all", got)
		}
		p.Disconnect()
		send(other, "3 4")
		p = scene.Connect("p", resume)
		send(other, "5")
		if got := payloads(q); got != "3 4 5" {
			scene.Errorf("got %s, want all that came after the other had left", got)
		}
		p.Expect()
	})
	run("least in flight: those who acknowledge get more", broker.SharedLeastInflight, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1, resume), share(scene, "q", 1, resume)
		other := scene.Connect("other")
		for i := range 20 {
			send(other, fmt.Sprint(i))
			payloads(q)
		}
		if got := len(p.Received()); got > 1 {
			scene.Errorf("the one that acknowledges nothing got %d messages, want 1 at most", got)
		}
		send(other, "a b c d")
		if got := payloads(p) + " + " + payloads(q); strings.Count(got, " ") < 4 {
			scene.Errorf("got %s, want all four", got)
		}
	})
	run("hash of client: one for each publisher", broker.SharedHashClient, func(scene *mqtest.Scene) {
		var members []*mqtest.Peer
		for i := range 4 {
			members = append(members, share(scene, fmt.Sprint("member", i), 1, resume))
		}
		busy := 0
		for i := range 16 {
			other := scene.Connect(fmt.Sprint("publisher", i))
			send(other, "0 1 2")
			for _, p := range members {
				if got := payloads(p); got != "" && got != "0 1 2" {
					scene.Errorf("publisher %d: one member got %s, want all or nothing", i, got)
				} else if got != "" && i < 4 {
					busy |= 1 << slices.Index(members, p)
				}
			}
		}
		if busy&(busy-1) == 0 {
			scene.Errorf("all publishers have the same member")
		}
	})
	run("hash of topic: one for each topic", broker.SharedHashTopic, func(scene *mqtest.Scene) {
		p, q := scene.Connect("p"), scene.Connect("q")
		for _, member := range []*mqtest.Peer{p, q} {
			member.Send(subscribe(1, to("$share/s/#", 0)))
			member.Expect(suback(1, 0))
		}
		both := [2]int{}
		for i := range 32 {
			topic := fmt.Sprint("topic/", i)
			scene.Connect("one").Send(qos0(topic, "x"))
			scene.Connect("two").Send(qos0(topic, "x"))
			got := [2]int{len(p.Received()), len(q.Received())}
			if got != [2]int{2, 0} && got != [2]int{0, 2} {
				scene.Errorf("%s: got %d messages, want both at one member", topic, got)
			}
			both[got[0]/2]++
		}
		if both[0] == 0 || both[1] == 0 {
			scene.Errorf("all topics have the same member")
		}
	})
	if _, err := broker.New(broker.Config{SharedStrategy: 5}); err == nil {
		t.Error("a SharedStrategy that does not exist: got no error")
	}
}

// TestSharedRejectTurns shows that a broker which refuses messages when a queue is full, and so
// looks at the queues first, lets every member have its turn all the same.
func TestSharedRejectTurns(t *testing.T) {
	mqtest.Run(t, "in turn", mqtest.V5, broker.Config{WhenFull: broker.FullReject}, func(scene *mqtest.Scene) {
		p, q := share(scene, "p", 1), share(scene, "q", 1)
		send(scene.Connect("other"), "1 2 3 4")
		if got, other := payloads(p), payloads(q); got != "1 3" || other != "2 4" {
			scene.Errorf("got %q and %q, want \"1 3\" and \"2 4\"", got, other)
		}
	})
}
