package broker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// why returns the properties that hold a Reason String.
func why(reason string) colibri.Properties { return text(colibri.ReasonString, reason) }

// TestLedger shows, for each reason why a message is not delivered as asked, what the
// counters say, in total and for one client, what the events say, and what the publisher
// hears.
func TestLedger(t *testing.T) {
	events := make(map[broker.DropReason]map[string]int)
	config := func(limits broker.Limits) broker.Config {
		return broker.Config{Limits: limits, Events: func(e broker.Event) {
			if d, ok := e.(broker.Dropped); ok {
				if events[d.Reason] == nil {
					events[d.Reason] = make(map[string]int)
				}
				events[d.Reason][d.Client.ClientID] += d.Messages
			}
		}}
	}
	// dropped fails unless n messages were dropped for a reason, and for nothing else.
	dropped := func(scene *mqtest.Scene, reason broker.DropReason, clientID string, n int) {
		scene.Helper()
		synctest.Wait() // events come from other goroutines
		if got := scene.Broker.Stats().Dropped; got[reason] != int64(n) || len(got) != 1 {
			scene.Errorf("dropped in total: got %v, want %d as %q alone", got, n, reason)
		}
		if got := events[reason][clientID]; got != n || len(events) != 1 {
			scene.Errorf("events: got %v, want %d of %s as %q", events, n, clientID, reason)
		}
		if reason == broker.DropSessionEnded {
			return // the client is not known any more
		}
		client, ok := scene.Broker.Client(clientID)
		if !ok || client.Dropped[reason] != int64(n) || len(client.Dropped) != 1 {
			scene.Errorf("dropped for %s: got %v, want %d as %q alone", clientID, client.Dropped, n, reason)
		}
	}
	run := func(name string, versions []colibri.Version, config broker.Config, scenario func(scene *mqtest.Scene)) {
		t.Helper()
		mqtest.Run(t, name, versions, config, func(scene *mqtest.Scene) {
			clear(events)
			scenario(scene)
		})
	}
	// away leaves a lasting Session that is subscribed to a with QoS 2.
	away := func(scene *mqtest.Scene, clientID string) {
		p := scene.Connect(clientID, resume)
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		p.Disconnect()
	}

	full := broker.Limits{QueueMessages: 2}
	run("queue full: nobody has it [MQTT-3.4.2-1] [MQTT-3.5.2-1]", mqtest.All, config(full), func(scene *mqtest.Scene) {
		away(scene, "away")
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", "1"), qos1(2, "a", "2"), qos1(3, "a", "3"), qos2(4, "a", "4"), qos0("a", "5"))
		refused := in(scene.Version, colibri.QuotaExceeded)
		got := p.Expect(puback(1, 0), puback(2, 0), puback(3, refused), pubrec(4, refused))
		if scene.Version == v5 {
			reason, _ := got[2].(*packet.Puback).Properties.Value(colibri.ReasonString)
			if want := "the queue of every subscriber is full"; reason != want {
				scene.Errorf("Reason String: got %q, want %q", reason, want)
			}
		}
		scene.Connect("away", resume).Expect(qos1(1, "a", "1"), qos1(2, "a", "2"))
		if got := scene.Broker.Stats().Dropped; got[broker.DropQueueFull] != 2 || got[broker.DropOffline] != 1 {
			scene.Errorf("dropped: got %v, want 2 for the full queue and 1 of QoS 0", got)
		}
	})
	run("queue full: some have it", mqtest.V5, config(full), func(scene *mqtest.Scene) {
		away(scene, "away")
		here := scene.Connect("here")
		here.Send(subscribe(1, to("a", 0)))
		here.Expect(suback(1, 0))
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", "1"), qos1(2, "a", "2"), qos1(3, "a", "3"))
		p.Expect(puback(1, 0), puback(2, 0), &packet.Puback{PacketID: 3,
			Properties: why("1 of 2 subscribers do not get it, as their queues are full")})
		here.Expect(qos0("a", "1"), qos0("a", "2"), qos0("a", "3"))
		dropped(scene, broker.DropQueueFull, "away", 1)
	})
	oldest := config(full)
	oldest.WhenFull = broker.FullDropOldest
	run("replaced by newer", mqtest.All, oldest, func(scene *mqtest.Scene) {
		away(scene, "away")
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", "1"), qos1(2, "a", "2"), qos1(3, "a", "3"))
		p.Expect(puback(1, 0), puback(2, 0), puback(3, 0))
		dropped(scene, broker.DropReplaced, "away", 1)
		scene.Connect("away", resume).Expect(qos1(1, "a", "2"), qos1(2, "a", "3"))
	})
	reject := config(full)
	reject.WhenFull = broker.FullReject
	run("rejected: nobody else has it either", mqtest.V5, reject, func(scene *mqtest.Scene) {
		away(scene, "away")
		here := scene.Connect("here")
		here.Send(subscribe(1, to("a", 1)))
		here.Expect(suback(1, 1))
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", "1"), qos1(2, "a", "2"), qos1(3, "a", "3"), retain(qos2(4, "a", "4")))
		reason := why("refused for all, as the queue of a subscriber is full")
		p.Expect(puback(1, 0), puback(2, 0), &packet.Puback{PacketID: 3, Code: colibri.QuotaExceeded, Properties: reason},
			&packet.Pubrec{PacketID: 4, Code: colibri.QuotaExceeded, Properties: reason})
		here.Expect(qos1(1, "a", "1"), qos1(2, "a", "2"))
		dropped(scene, broker.DropRejected, "publisher", 2)
		if got := scene.Broker.Stats().Retained; got != 0 {
			scene.Errorf("retained: got %d, want 0", got)
		}
		back := scene.Connect("away", resume) // makes room
		back.Expect(qos1(1, "a", "1"), qos1(2, "a", "2"))
		p.Send(qos1(3, "a", "3"))
		p.Expect(puback(3, 0))
	})
	run("slow consumer", mqtest.All, config(broker.Limits{OutboxBytes: 5000}), func(scene *mqtest.Scene) {
		slow := scene.DialSize(100)
		slow.Connect("slow")
		slow.Send(subscribe(1, to("a", 0)))
		slow.Expect(suback(1, 0))
		slow.Pause()
		p := scene.Connect("publisher")
		for range 10 {
			p.Send(qos0("a", strings.Repeat("x", 1000)))
		}
		sent := int(scene.Broker.Stats().PublishSent)
		if sent >= 10 {
			scene.Fatalf("all %d messages were put on their way", sent)
		}
		dropped(scene, broker.DropSlow, "slow", 10-sent)
	})
	run("offline", mqtest.All, config(broker.Limits{}), func(scene *mqtest.Scene) {
		away(scene, "away")
		scene.Connect("publisher").Send(qos0("a", "lost"))
		dropped(scene, broker.DropOffline, "away", 1)
	})
	run("packet too large [MQTT-3.1.2-25]", mqtest.V5, config(broker.Limits{}), func(scene *mqtest.Scene) {
		small := scene.Connect("small", property(colibri.MaximumPacketSize, 50))
		small.Send(subscribe(1, to("a", 1)))
		small.Expect(suback(1, 1))
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", strings.Repeat("x", 100)))
		p.Expect(puback(1, 0))
		dropped(scene, broker.DropTooLarge, "small", 1)
	})
	run("expired in the queue [MQTT-3.3.2-5]", mqtest.V5, config(broker.Limits{}), func(scene *mqtest.Scene) {
		away(scene, "away")
		p := scene.Connect("publisher")
		p.Send(with(qos1(1, "a", "x"), number(colibri.MessageExpiryInterval, 5)))
		p.Expect(puback(1, 0))
		time.Sleep(6 * time.Second)
		scene.Connect("away", resume).Expect()
		dropped(scene, broker.DropExpired, "away", 1)
	})
	run("expired when it came [MQTT-3.3.2-5]", mqtest.V5, config(broker.Limits{}), func(scene *mqtest.Scene) {
		here := scene.Connect("here")
		here.Send(subscribe(1, to("a", 1)))
		p := scene.Connect("publisher")
		p.Send(with(qos1(1, "a", "x"), number(colibri.MessageExpiryInterval, 0)))
		here.Expect(suback(1, 1))
		dropped(scene, broker.DropExpired, "publisher", 1)
	})
	run("refused by the client [MQTT-4.4.0-2]", mqtest.V5, config(broker.Limits{}), func(scene *mqtest.Scene) {
		here := scene.Connect("here")
		here.Send(subscribe(1, to("a", 2)))
		here.Expect(suback(1, 2))
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", "1"), qos2(2, "a", "2"))
		here.Expect(qos1(1, "a", "1"), qos2(2, "a", "2"))
		here.Send(puback(1, colibri.QuotaExceeded), pubrec(2, colibri.ImplementationSpecificError))
		dropped(scene, broker.DropRefused, "here", 2)
	})
	run("session ended [MQTT-4.1.0-2]", mqtest.V5, config(broker.Limits{}), func(scene *mqtest.Scene) {
		away(scene, "away")
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", "1"), qos1(2, "a", "2"))
		p.Expect(puback(1, 0), puback(2, 0))
		time.Sleep(2 * time.Hour)
		dropped(scene, broker.DropSessionEnded, "away", 2)
	})
	run("no subscribers: 0x10", mqtest.All, config(broker.Limits{}), func(scene *mqtest.Scene) {
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a", "1"), qos2(2, "a", "2"), qos0("a", "3"))
		none := in(scene.Version, colibri.NoMatchingSubscribers)
		p.Expect(puback(1, none), pubrec(2, none))
		dropped(scene, broker.DropNoSubscribers, "publisher", 3)
	})
	run("paced: the client asked for everything", mqtest.All, config(broker.Limits{FirehoseRate: 3}), func(scene *mqtest.Scene) {
		all, some, shared := scene.Connect("all", resume), scene.Connect("some"), scene.Connect("shared")
		all.Send(subscribe(1, to("#", 1), to("a", 0)))
		all.Expect(suback(1, 1, 0))
		some.Send(subscribe(1, to("+", 0)))
		some.Expect(suback(1, 0))
		shared.Send(subscribe(1, to("$share/g/#", 0)))
		shared.Expect(suback(1, 0))
		p := scene.Connect("publisher")
		five := func(id uint16) {
			p.Send(qos0("a", "1"), qos0("b", "2"), qos0("c", "3"), qos0("a", "4"), qos1(id, "d", "5"))
			p.Expect(puback(id, 0))
			for _, free := range []*mqtest.Peer{some, shared} {
				free.Expect(qos0("a", "1"), qos0("b", "2"), qos0("c", "3"), qos0("a", "4"), qos0("d", "5"))
			}
		}
		five(1)
		all.Expect(qos0("a", "1"), qos0("b", "2"), qos0("c", "3"), qos1(0, "d", "5"))
		time.Sleep(time.Second)
		five(2)
		all.Expect(qos0("a", "1"), qos0("b", "2"), qos0("c", "3"), qos1(0, "d", "5"))
		all.Send(puback(1, 0), puback(2, 0))
		dropped(scene, broker.DropPaced, "all", 2)
		all.Disconnect()
		time.Sleep(time.Second)
		all = scene.Connect("all", resume)
		five(3)
		all.Expect(qos0("a", "1"), qos0("b", "2"), qos0("c", "3"), qos1(0, "d", "5"))
		dropped(scene, broker.DropPaced, "all", 3)
		all.Send(unsubscribe(9, "#"))
		all.Expect(unsuback(scene.Version, 9, 0))
		p.Send(qos0("a", "1"), qos0("a", "2"), qos0("a", "3"), qos0("a", "4"))
		all.Expect(qos0("a", "1"), qos0("a", "2"), qos0("a", "3"), qos0("a", "4"))
	})
	denied := config(broker.Limits{})
	denied.Authorizer = rules{}
	run("denied: 0x87", mqtest.All, denied, func(scene *mqtest.Scene) {
		p := scene.Connect("publisher")
		p.Send(qos0("no", "0"), qos1(1, "no", "1"), qos2(2, "no", "2"))
		if scene.Version == v5 {
			reason := why("this client may not publish to this topic")
			p.Expect(&packet.Puback{PacketID: 1, Code: colibri.NotAuthorized, Properties: reason},
				&packet.Pubrec{PacketID: 2, Code: colibri.NotAuthorized, Properties: reason})
		} else {
			p.Expect(puback(1, 0), pubrec(2, 0)) // as if it were accepted [MQTT311-3.3.5-2]
		}
		dropped(scene, broker.DropDenied, "publisher", 3)
	})
	denied.DisconnectDenied = true
	run("denied: disconnected before 5.0 when asked for [MQTT311-3.3.5-2]", mqtest.All, denied, func(scene *mqtest.Scene) {
		p := scene.Connect("publisher")
		p.Send(qos1(1, "no", "1"))
		if scene.Version == v5 {
			p.Expect(puback(1, colibri.NotAuthorized))
		} else {
			p.ExpectClosed()
		}
		if got := scene.Broker.Stats().Dropped[broker.DropDenied]; got != 1 {
			scene.Errorf("denied: got %d, want 1", got)
		}
	})
	run("invalid: too many levels, too long", mqtest.V5, config(broker.Limits{TopicLevels: 3, TopicBytes: 10}), func(scene *mqtest.Scene) {
		p := scene.Connect("publisher")
		p.Send(qos1(1, "a/b/c/d", "1"), qos1(2, "abcdefghijk", "2"))
		p.Expect(&packet.Puback{PacketID: 1, Code: colibri.TopicNameInvalid, Properties: why("the Topic Name has more than 3 levels")},
			&packet.Puback{PacketID: 2, Code: colibri.TopicNameInvalid, Properties: why("the Topic Name has more than 10 bytes")})
		dropped(scene, broker.DropInvalid, "publisher", 2)
	})
	checked := config(broker.Limits{})
	checked.CheckPayloads = true
	run("invalid: not the payload that it says: 0x99", mqtest.V5, checked, func(scene *mqtest.Scene) {
		here := scene.Connect("here")
		here.Send(subscribe(1, to("a", 0)))
		here.Expect(suback(1, 0))
		p := scene.Connect("publisher")
		utf8 := number(colibri.PayloadFormatIndicator, 1)
		p.Send(with(qos1(1, "a", "\xff"), utf8), with(qos1(2, "a", "é"), utf8), qos1(3, "a", "\xff"))
		p.Expect(&packet.Puback{PacketID: 1, Code: colibri.PayloadFormatInvalid,
			Properties: why("the payload is not UTF-8, as its Payload Format Indicator says")}, puback(2, 0), puback(3, 0))
		here.Expect(with(qos0("a", "é"), utf8), qos0("a", "\xff"))
		dropped(scene, broker.DropInvalid, "publisher", 1)
	})
	quota := config(broker.Limits{})
	run("state full: nobody has it, and who needs no state is served", mqtest.All, quota, func(scene *mqtest.Scene) {
		scene.Use(mqtest.New(t, broker.Config{Log: &keptLog{}, LogQuota: 1000, Events: quota.Events}))
		away(scene, "away")
		here := scene.Connect("here")
		here.Send(subscribe(1, to("a", 1), to("b", 1)))
		here.Expect(suback(1, 1, 1))
		filler := scene.Connect("filler")
		filler.Send(qos1(1, "a", strings.Repeat("x", 1000)))
		filler.Expect(puback(1, 0))
		here.Received()

		p := scene.Connect("publisher")
		p.Send(qos1(1, "b", "1"), retain(qos0("b", "2")))
		p.Expect(puback(1, 0))
		here.Expect(qos1(0, "b", "1"), qos0("b", "2")) // delivered, and not retained
		if scene.Version == v5 {
			reason := why("the state of this Server has no room for it")
			p.Send(qos1(2, "a", "2"), qos2(3, "a", "3"), retain(qos1(4, "b", "4")))
			p.Expect(&packet.Puback{PacketID: 2, Code: colibri.QuotaExceeded, Properties: reason},
				&packet.Pubrec{PacketID: 3, Code: colibri.QuotaExceeded, Properties: reason},
				&packet.Puback{PacketID: 4, Code: colibri.QuotaExceeded, Properties: reason})
			dropped(scene, broker.DropStateFull, "publisher", 4)
		} else {
			p.Send(qos1(2, "a", "2"))
			p.ExpectClosed()
			if got := scene.Broker.Stats().Dropped[broker.DropStateFull]; got != 2 {
				scene.Errorf("dropped: got %d, want 2", got)
			}
		}
		here.Expect()
		p = scene.Connect("away", resume)
		for _, got := range p.Expect(qos1(0, "a", strings.Repeat("x", 1000))) {
			p.Send(puback(got.(*packet.Publish).PacketID, 0))
		}
		p.Send(subscribe(2, to("a", 1)), subscribe(3, to("new", 0)))
		refused := in(scene.Version, colibri.QuotaExceeded)
		if scene.Version != v5 {
			refused = 0x80
		}
		p.Expect(suback(2, 1), suback(3, refused))
	})
	run("too many retained", mqtest.V5, config(broker.Limits{Retained: 1}), func(scene *mqtest.Scene) {
		here := scene.Connect("here")
		here.Send(subscribe(1, to("b", 0)))
		here.Expect(suback(1, 0))
		p := scene.Connect("publisher")
		p.Send(retain(qos1(1, "a", "1")), retain(qos1(2, "b", "2")), retain(qos1(3, "c", "3")), retain(qos1(4, "a", "4")))
		p.Expect(puback(1, colibri.NoMatchingSubscribers),
			&packet.Puback{PacketID: 2, Properties: why("delivered but not retained, as too much is retained already")},
			&packet.Puback{PacketID: 3, Code: colibri.QuotaExceeded,
				Properties: why("not retained, as too much is retained already, and nobody else gets it")},
			puback(4, colibri.NoMatchingSubscribers))
		here.Expect(qos0("b", "2"))
		dropped(scene, broker.DropRetained, "publisher", 2)
	})
	run("too many bytes retained", mqtest.V5, config(broker.Limits{RetainedBytes: 10}), func(scene *mqtest.Scene) {
		p := scene.Connect("publisher")
		p.Send(retain(qos1(1, "a", "12345")), retain(qos1(2, "b", "12345")), retain(qos1(3, "a", "123")), retain(qos1(4, "b", "12345")),
			retain(qos1(5, "a", "1234567")))
		none := colibri.NoMatchingSubscribers
		p.Expect(puback(1, none), puback(2, colibri.QuotaExceeded), puback(3, none), puback(4, none), puback(5, colibri.QuotaExceeded))
		dropped(scene, broker.DropRetained, "publisher", 2)
		if got := scene.Broker.Stats().RetainedBytes; got != 4+6 {
			scene.Errorf("bytes retained: got %d, want 10", got)
		}
		p.Send(retain(qos1(6, "b", "")))
		p.Expect(puback(6, none))
		if got := scene.Broker.Stats().RetainedBytes; got != 4 {
			scene.Errorf("bytes retained after a removal: got %d, want 4", got)
		}
	})
}

// TestReasonStrings shows when answers carry them.
func TestReasonStrings(t *testing.T) {
	config := broker.Config{Authorizer: rules{}, Limits: broker.Limits{Subscriptions: 2}}
	mqtest.Run(t, "not to a Client that wants none [MQTT-3.1.2-29]", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Connect("client", property(colibri.RequestProblemInformation, 0))
		p.Send(qos1(1, "no", "x"), qos2(2, "no", "x"), subscribe(3, to("no", 1)), pubrel(4, 0), pubrec(5, 0))
		for _, got := range p.Received() {
			if ps := propertiesOf(got); len(ps) > 0 {
				scene.Errorf("%v: got properties %v, want none", got.Type(), ps)
			}
		}
	})
	mqtest.Run(t, "left out when the packet became too large [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2] [MQTT-3.9.2-1]",
		mqtest.V5, config, func(scene *mqtest.Scene) {
			p := scene.Connect("client", property(colibri.MaximumPacketSize, 30))
			p.Send(qos1(1, "no", "x"), qos2(2, "no", "x"), subscribe(3, to("no", 1)), pubrel(4, 0), pubrec(5, 0))
			answers := p.Received()
			if len(answers) != 5 {
				scene.Errorf("got %d answers, want 5", len(answers))
			}
			for _, got := range answers {
				if ps := propertiesOf(got); len(ps) > 0 {
					scene.Errorf("%v: got properties %v, want none", got.Type(), ps)
				}
			}
		})
	mqtest.Run(t, "of a SUBACK: the first that is not as asked", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 1), to("low/a", 2), to("no", 1)), subscribe(2, to("c", 1)))
		p.Expect(&packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{1, 0, colibri.NotAuthorized},
			Properties: why("Subscription 2: granted with QoS 0")},
			&packet.Suback{PacketID: 2, Codes: []colibri.ReasonCode{colibri.QuotaExceeded},
				Properties: why("this Session has 2 Subscriptions, as many as it may have")})
	})
	mqtest.Run(t, "an answer too large for the Client without one [MQTT-3.1.2-24]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", property(colibri.MaximumPacketSize, 24))
		p.Send(subscribe(1, manyFilters(20)...))
		p.ExpectEnded(colibri.PacketTooLarge)
	})
}

// manyFilters returns n Subscriptions, whose SUBACK takes n bytes and a few more.
func manyFilters(n int) (subscriptions []colibri.Subscription) {
	for i := range n {
		subscriptions = append(subscriptions, to("a/"+strings.Repeat("b", i), 0))
	}
	return subscriptions
}

func propertiesOf(p packet.Packet) colibri.Properties {
	switch p := p.(type) {
	case *packet.Puback:
		return p.Properties
	case *packet.Pubrec:
		return p.Properties
	case *packet.Pubrel:
		return p.Properties
	case *packet.Pubcomp:
		return p.Properties
	case *packet.Suback:
		return p.Properties
	}
	return nil
}
