package broker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestConnect shows how a Network Connection begins when all goes well.
func TestConnect(t *testing.T) {
	mqtest.Run(t, "accepted [MQTT-3.2.2-1] [MQTT-3.1.4-5] [MQTT311-3.1.4-4] [MQTT-3.1.2-6] [MQTT-4.2-1] [MQTT311-7.1.1-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		if p.Connack.SessionPresent {
			scene.Error("Session Present: got 1 for a Client that is new, want 0")
		}
		p.Ping()
	})
	mqtest.Run(t, "one CONNACK, before anything else [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT311-3.2.0-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.ExpectNothing(time.Second)
		p.Send(p.NewConnect("client"), subscribe(1, to("a", 0)), qos0("a", "x"), &packet.Pingreq{})
		got := p.Received()
		if len(got) != 4 {
			scene.Fatalf("got %d packets, want CONNACK, SUBACK, PUBLISH and PINGRESP", len(got))
		}
		for i, want := range []packet.Type{packet.CONNACK, packet.SUBACK, packet.PUBLISH, packet.PINGRESP} {
			if got[i].Type() != want {
				scene.Errorf("packet %d: got %v, want %v", i+1, got[i].Type(), want)
			}
		}
	})
	mqtest.Run(t, "resumed messages come behind the CONNACK [MQTT-3.2.0-1] [MQTT311-3.2.0-1]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		scene.Connect("other").Send(qos1(1, "a", "x"))
		p = scene.Connect("client", resume) // reads the first packet: it has to be a CONNACK
		p.Expect(qos1(0, "a", "x"))
	})
	mqtest.Run(t, "a whole visit in one write", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("a", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Dial()
		p.Send(p.NewConnect("client"), subscribe(1, to("b", 0)), qos1(2, "a", "x"), &packet.Disconnect{})
		got := p.Received()
		if len(got) != 3 || got[1].Type() != packet.SUBACK || got[2].Type() != packet.PUBACK {
			scene.Errorf("got %d packets, want CONNACK, SUBACK and PUBACK", len(got))
		}
		p.ExpectClosed()
		watcher.Expect(qos0("a", "x"))
	})
	mqtest.Run(t, "packets byte by byte [MQTT-4.2-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		big := strings.Repeat("x", 40_000) // more than a batch takes
		for _, one := range []packet.Packet{p.NewConnect("client"), subscribe(1, to("a", 2)), qos1(2, "a", "x")} {
			for _, b := range p.Encode(one) {
				p.SendBytes([]byte{b})
			}
		}
		got := p.Received()
		if len(got) != 4 {
			scene.Fatalf("got %d packets, want CONNACK, SUBACK, PUBLISH and PUBACK", len(got))
		}
		p.Send(puback(got[2].(*packet.Publish).PacketID, 0))
		for b := p.Encode(qos0("a", big)); len(b) > 0; {
			n := min(len(b), 777)
			p.SendBytes(b[:n])
			b = b[n:]
		}
		p.Expect(qos0("a", big))
		p.Ping()
	})
	mqtest.Run(t, "a limit on the time until CONNECT is complete", mqtest.All, broker.Config{Limits: broker.Limits{ConnectTime: 5 * time.Second}}, func(scene *mqtest.Scene) {
		silent, half := scene.Dial(), scene.Dial()
		half.SendBytes(half.Encode(half.NewConnect("client"))[:9])
		time.Sleep(4900 * time.Millisecond)
		silent.Expect()
		half.Expect()
		time.Sleep(200 * time.Millisecond)
		silent.ExpectClosed()
		half.ExpectClosed()
	})
	mqtest.Run(t, "a limit on the size of CONNECT", mqtest.All, broker.Config{Limits: broker.Limits{ConnectBytes: 200}}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect(strings.Repeat("x", 200)))
		p.ExpectClosed()
	})
	mqtest.Run(t, "a large CONNECT within the limit", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect(strings.Repeat("x", 65_535)).Ping()
	})
	mqtest.Run(t, "all fields, each in its place [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT311-3.1.3-1] [MQTT311-3.1.3-3]", mqtest.Modern, broker.Config{Authenticator: authenticate(func(r *broker.ConnectRequest) error {
		if r.ClientID == "id" && (r.UserName != "user" || string(r.Password) != "pass") {
			return colibri.BadUserNameOrPassword
		}
		return nil
	})}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("topic", 2)))
		watcher.Expect(suback(1, 2))
		p := scene.Dial()
		if scene.Version == v5 {
			p.SendHex(`10 29 "MQTT" 05 ce 0000 00 "id" 00 "topic" "gone" "user" "pass"`)
		} else {
			p.SendHex(`10 27 "MQTT" 04 ce 0000 "id" "topic" "gone" "user" "pass"`)
		}
		if got := p.Received(); len(got) != 1 || got[0].(*packet.Connack).Code != 0 {
			scene.Fatalf("got %v, want a CONNACK that accepts", got)
		}
		p.Drop()
		watcher.Expect(qos1(0, "topic", "gone"))
	})
	mqtest.Run(t, "every QoS and retaining are there, so nothing is announced", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", will(retain(qos2(0, "will", "x"))))
		for _, id := range []colibri.PropertyID{colibri.MaximumQoS, colibri.RetainAvailable, colibri.WildcardSubscriptionAvailable,
			colibri.SubscriptionIdentifierAvailable, colibri.SharedSubscriptionAvailable} {
			if p.Connack.Properties.Has(id) {
				scene.Errorf("%v is there, want everything to be available", id)
			}
		}
		p.Send(subscribe(1, to("+", 2)), retain(qos2(2, "a", "x")))
		p.Expect(suback(1, 2), qos2(0, "a", "x"), pubrec(2, 0))
		p.Drop()
		if got := scene.Broker.Stats().Retained; got != 2 {
			scene.Errorf("Retained Messages: got %d, want 2", got)
		}
	})
	mqtest.Run(t, "PINGREQ [MQTT-3.12.4-1] [MQTT311-3.12.4-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(&packet.Pingreq{}, &packet.Pingreq{})
		p.Expect(&packet.Pingresp{}, &packet.Pingresp{})
	})
	mqtest.Run(t, "what the Server takes is told", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", keepAlive(60))
		limits := broker.DefaultLimits()
		for id, want := range map[colibri.PropertyID]uint32{
			colibri.ReceiveMaximum:    uint32(limits.ReceiveMaximum),
			colibri.MaximumPacketSize: uint32(limits.PacketBytes),
			colibri.TopicAliasMaximum: uint32(limits.TopicAliasMaximum),
		} {
			if got, _ := p.Connack.Properties.Number(id); got != want {
				scene.Errorf("%v: got %d, want %d", id, got, want)
			}
		}
		for _, id := range []colibri.PropertyID{colibri.ServerKeepAlive, colibri.AssignedClientIdentifier, colibri.AuthenticationMethod, colibri.ResponseInformation} {
			if p.Connack.Properties.Has(id) {
				scene.Errorf("%v is there, and nobody asked for it", id)
			}
		}
	})
	mqtest.Run(t, "no Response Information unless it was asked for [MQTT-3.1.2-28], no method [MQTT-4.12.0-6]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", property(colibri.RequestResponseInformation, 0))
		if p.Connack.Properties.Has(colibri.ResponseInformation) || p.Connack.Properties.Has(colibri.AuthenticationMethod) {
			scene.Errorf("got %v", p.Connack.Properties)
		}
		p.ExpectNothing(time.Minute)
	})
}

// TestClientID shows which Client Identifiers are taken.
func TestClientID(t *testing.T) {
	mqtest.Run(t, "letters and digits [MQTT-3.1.3-5] [MQTT311-3.1.3-5] [MQTT-3.1.3-4] [MQTT311-3.1.3-4]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		for _, id := range []string{all[:23], all[23:46], all[46:], "a", "grün 🐦"} {
			scene.Connect(id).Ping()
		}
	})
	mqtest.Run(t, "it identifies the Session [MQTT-3.1.3-2] [MQTT311-3.1.3-2] [MQTT-1.5.4-3] [MQTT311-1.5.3-3]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("client", resume).Disconnect()
		for id, want := range map[string]bool{"client": true, "Client": false, "\uFEFFclient": false, "client ": false} {
			p := scene.Connect(id, resume)
			if p.Connack.SessionPresent != want {
				scene.Errorf("Session Present for %q: got %v, want %v", id, p.Connack.SessionPresent, want)
			}
		}
	})
	mqtest.Run(t, "an empty one is replaced [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		one, two := scene.Connect("", resume), scene.Connect("", resume)
		first, _ := one.Connack.Properties.Value(colibri.AssignedClientIdentifier)
		second, _ := two.Connack.Properties.Value(colibri.AssignedClientIdentifier)
		if first == "" || second == "" || first == second {
			scene.Fatalf("Assigned Client Identifiers: got %q and %q, want two that differ", first, second)
		}
		one.Disconnect()
		if !scene.Connect(first, resume).Connack.SessionPresent {
			scene.Errorf("Session Present of the assigned %q: got 0, want 1", first)
		}
		two.Ping()
	})
	mqtest.Run(t, "an empty one with Clean Session [MQTT311-3.1.3-6]", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		one, two := scene.Connect(""), scene.Connect("")
		one.Ping() // the second has not taken it over
		two.Ping()
	})
	mqtest.Run(t, "an empty one without Clean Session [MQTT311-3.1.3-8] [MQTT311-3.1.3-9] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("", resume))
		p.ExpectClosed(&packet.Connack{Code: 2})
	})
	mqtest.Run(t, "an empty one in 3.1", mqtest.V31, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect(""))
		p.ExpectClosed(&packet.Connack{Code: 2})
	})
}

// TestCleanStart shows what becomes of the Session that a ClientID has.
func TestCleanStart(t *testing.T) {
	mqtest.Run(t, "resumed [MQTT-3.1.2-5] [MQTT-3.2.2-3] [MQTT-3.1.2-23] [MQTT311-3.1.2-4] [MQTT311-3.2.2-2] [MQTT311-3.2.2-3]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		if p.Connack.SessionPresent {
			scene.Error("Session Present: got 1 for the first connection, want 0")
		}
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		p.Drop()
		p = scene.Connect("client", resume)
		if !p.Connack.SessionPresent {
			scene.Error("Session Present: got 0 for the second connection, want 1")
		}
		p.Send(qos0("a", "x"))
		p.Expect(qos0("a", "x"))
	})
	mqtest.Run(t, "in 3.1 a resumed Session is not announced", mqtest.V31, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		p.Drop()
		p = scene.Connect("client", resume)
		if p.Connack.SessionPresent {
			scene.Error("Session Present: got 1, want 0: the byte is reserved in 3.1")
		}
		p.Send(qos0("a", "x"))
		p.Expect(qos0("a", "x"))
	})
	mqtest.Run(t, "discarded [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] [MQTT311-3.2.2-1]", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "while away"))
		other.Expect(puback(1, 0))
		p = scene.Connect("client")
		if p.Connack.SessionPresent {
			scene.Error("Session Present: got 1 with Clean Start, want 0")
		}
		other.Send(qos1(2, "a", "for nobody"))
		other.Expect(puback(2, in(scene.Version, colibri.NoMatchingSubscribers)))
		p.ExpectNothing(time.Minute)
		p.Disconnect()
		if scene.Version == v311 && scene.Connect("client", resume).Connack.SessionPresent {
			scene.Error("Session Present: got 1 after a clean Session, want 0")
		}
	})
	mqtest.Run(t, "5.0 keeps a new Session when asked", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("client", fresh).Disconnect()
		if !scene.Connect("client", resume).Connack.SessionPresent {
			scene.Error("Session Present: got 0, want 1")
		}
	})
	mqtest.Run(t, "the versions share their Sessions", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.ConnectVersion(v311, "client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		if !scene.Connect("client", resume).Connack.SessionPresent {
			scene.Error("Session Present: got 0, want 1")
		}
	})
}

// TestTakeover shows what happens when a ClientID connects a second time.
func TestTakeover(t *testing.T) {
	mqtest.Run(t, "the old connection is told and closed [MQTT-3.1.4-3] [MQTT311-3.1.4-2] [MQTT-4.13.2-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		old := scene.Connect("client")
		young := scene.Connect("client")
		old.ExpectEnded(colibri.SessionTakenOver)
		young.Ping()
	})
	mqtest.Run(t, "with the Session and what is under way", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		old := scene.Connect("client", resume)
		old.Send(subscribe(1, to("a", 1)))
		old.Expect(suback(1, 1))
		old.Send(qos1(2, "a", "x"))
		old.Expect(qos1(1, "a", "x"), puback(2, 0))
		young := scene.Connect("client", resume)
		old.ExpectEnded(colibri.SessionTakenOver)
		if !young.Connack.SessionPresent {
			scene.Error("Session Present: got 0, want 1")
		}
		young.Expect(dup(qos1(1, "a", "x")))
		if got := scene.Broker.Stats().Sessions; got != 1 {
			scene.Errorf("Sessions: got %d, want 1", got)
		}
	})
	mqtest.Run(t, "its Will is published: the connection was closed [MQTT-3.1.2-8] [MQTT311-3.1.2-8]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("will", 0)))
		watcher.Expect(suback(1, 0))
		scene.Connect("client", will(qos0("will", "gone")))
		scene.Connect("client")
		watcher.Expect(qos0("will", "gone"))
	})
	mqtest.Run(t, "a delayed Will is not, when the Session goes on [MQTT-3.1.3-9]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("will", 0)))
		watcher.Expect(suback(1, 0))
		delayed := will(with(qos0("will", "gone"), number(colibri.WillDelayInterval, 10)))
		scene.Connect("client", fresh, delayed)
		scene.Connect("client", resume)
		watcher.ExpectNothing(time.Minute)
	})
	mqtest.Run(t, "a delayed Will is, when the Session ends [MQTT-3.1.2-8]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("will", 0)))
		watcher.Expect(suback(1, 0))
		delayed := will(with(qos0("will", "gone"), number(colibri.WillDelayInterval, 10)))
		scene.Connect("client", fresh, delayed)
		scene.Connect("client")
		watcher.Expect(qos0("will", "gone"))
		watcher.ExpectNothing(time.Minute)
	})
	mqtest.Run(t, "a hundred at once leave one", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		var peers []*mqtest.Peer
		for range 100 {
			p := scene.Dial()
			p.Write(p.Encode(p.NewConnect("client")))
			peers = append(peers, p)
		}
		synctest.Wait()
		if got := scene.Broker.Stats().Connections; got != 1 {
			scene.Errorf("Connections: got %d, want 1", got)
		}
		for _, p := range peers {
			if got := p.Received(); len(got) == 0 || got[0].Type() != packet.CONNACK {
				scene.Errorf("got %v, want a CONNACK first", got)
			}
		}
	})
}

// TestKeepAlive shows how long a silent Client stays connected.
func TestKeepAlive(t *testing.T) {
	mqtest.Run(t, "one and a half times Keep Alive, the Client's own [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT311-3.1.2-24]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("will", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Connect("client", keepAlive(60), will(qos0("will", "gone")))
		if p.Connack.Properties.Has(colibri.ServerKeepAlive) {
			scene.Error("Server Keep Alive is there, and the Server has none of its own")
		}
		p.ExpectNothing(90 * time.Second)
		time.Sleep(2 * time.Second)
		p.ExpectEnded(colibri.KeepAliveTimeout)
		watcher.Expect(qos0("will", "gone")) // as if the network had failed
	})
	mqtest.Run(t, "any packet keeps it", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", keepAlive(10))
		for range 5 {
			time.Sleep(14 * time.Second)
			p.Ping()
			time.Sleep(14 * time.Second)
			p.Send(qos0("a", "x"))
			p.Expect()
		}
		time.Sleep(17 * time.Second)
		p.ExpectEnded(colibri.KeepAliveTimeout)
	})
	mqtest.Run(t, "what the Client receives does not keep it", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", keepAlive(10))
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		other := scene.Connect("other")
		for range 17 {
			time.Sleep(time.Second)
			other.Send(qos0("a", "x"))
		}
		got := p.Received()
		if n := len(got); n < 14 || n > 17 {
			scene.Errorf("got %d packets until the end, want 15 or so", n)
		}
		p.ExpectClosed()
	})
	mqtest.Run(t, "0 means no limit", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.ExpectNothing(time.Hour)
		p.Ping()
	})
	mqtest.Run(t, "the Server's counts [MQTT-3.2.2-21] [MQTT-3.1.2-21]", mqtest.V5, broker.Config{Limits: broker.Limits{KeepAlive: 20}}, func(scene *mqtest.Scene) {
		for _, asked := range []uint16{0, 60} {
			p := scene.Connect("client", keepAlive(asked))
			if got, _ := p.Connack.Properties.Number(colibri.ServerKeepAlive); got != 20 {
				scene.Errorf("Server Keep Alive for %d: got %d, want 20", asked, got)
			}
			p.ExpectNothing(30 * time.Second)
			time.Sleep(2 * time.Second)
			p.ExpectEnded(colibri.KeepAliveTimeout)
		}
		p := scene.Connect("client", keepAlive(10))
		if p.Connack.Properties.Has(colibri.ServerKeepAlive) {
			scene.Error("Server Keep Alive is there for a Client that asked for less")
		}
		time.Sleep(17 * time.Second)
		p.ExpectEnded(colibri.KeepAliveTimeout)
	})
	mqtest.Run(t, "half a packet does not hold a connection open", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", keepAlive(10))
		p.SendHex("30 7f 00")
		time.Sleep(17 * time.Second)
		p.ExpectEnded(colibri.KeepAliveTimeout)
	})
}

// TestShutdown shows how a broker ends.
func TestShutdown(t *testing.T) {
	mqtest.Run(t, "Clients are told, Wills stay unsent [MQTT-3.14.0-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("will", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Connect("client", will(qos0("will", "gone")))
		early := scene.Dial() // has sent no CONNECT: hears nothing
		if err := scene.Broker.Shutdown(context.Background()); err != nil {
			scene.Errorf("Shutdown: %v", err)
		}
		watcher.ExpectEnded(colibri.ServerShuttingDown)
		p.ExpectEnded(colibri.ServerShuttingDown)
		early.Drop()
		if got := scene.Broker.Stats().Connections; got != 0 {
			scene.Errorf("Connections: got %d, want 0", got)
		}
	})
	mqtest.Run(t, "Serve ends, its listener is closed", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		l := transport.NewMemory()
		served := make(chan error)
		go func() { served <- scene.Broker.Serve(l) }()
		nc, err := l.Dial(context.Background())
		if err != nil {
			scene.Fatalf("Dial: %v", err)
		}
		if err := scene.Broker.Shutdown(context.Background()); err != nil {
			scene.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			scene.Errorf("Serve: got %v, want nil after Shutdown", err)
		}
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			scene.Error("a connection without CONNECT got an answer")
		}
		if _, err := l.Dial(context.Background()); err == nil {
			scene.Error("Dial: got nil, want an error from a closed listener")
		}
		if err := scene.Broker.Serve(transport.NewMemory()); err == nil {
			scene.Error("Serve after Shutdown: got nil, want an error")
		}
	})
}
