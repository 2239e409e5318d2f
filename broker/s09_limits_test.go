package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestReceiveMaximum shows how many QoS 1 and 2 messages are under way at a time.
func TestReceiveMaximum(t *testing.T) {
	mqtest.Run(t, "the Server keeps within the Client's [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client", property(colibri.ReceiveMaximum, 2)), scene.Connect("other")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other.Send(qos1(1, "a", "1"), qos2(2, "a", "2"), qos1(3, "a", "3"), qos2(4, "a", "4"), qos0("a", "0"))
		p.Expect(qos1(1, "a", "1"), qos2(2, "a", "2"), qos0("a", "0")) // QoS 0 needs no quota
		p.Send(pubrec(2, 0))
		p.Expect(pubrel(2, 0))
		p.Send(pubcomp(2, 0))
		p.Expect(qos1(3, "a", "3"))
		p.Send(puback(3, 0), puback(1, 0))
		p.Expect(qos2(4, "a", "4"))
	})
	mqtest.Run(t, "the Server keeps within its own limit [MQTT-4.9.0-2]", mqtest.All, broker.Config{Limits: broker.Limits{Inflight: 1}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		scene.Connect("other").Send(qos1(1, "a", "1"), qos1(2, "a", "2"))
		p.Expect(qos1(0, "a", "1"))
		p.Send(puback(1, 0))
		p.Expect(qos1(0, "a", "2"))
	})
	mqtest.Run(t, "all else goes on while the quota is 0 [MQTT-4.9.0-3] [MQTT-3.3.4-10]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client", property(colibri.ReceiveMaximum, 1)), scene.Connect("other")
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		other.Send(qos1(1, "a", "1"), qos1(2, "a", "2"))
		p.Expect(qos1(1, "a", "1"))
		p.Send(&packet.Pingreq{}, subscribe(2, to("b", 2)), unsubscribe(3, "b"), qos1(4, "c", "x"), qos2(5, "c", "x"), pubrel(5, 0))
		p.Expect(&packet.Pingresp{}, suback(2, 2), unsuback(v5, 3, 0), puback(4, 0x10), pubrec(5, 0x10), pubcomp(5, 0))
		p.Send(puback(1, 0))
		p.Expect(qos1(2, "a", "2"))
	})
	mqtest.Run(t, "a Client that exceeds ours [MQTT-3.3.4-7]", mqtest.V5, broker.Config{Limits: broker.Limits{ReceiveMaximum: 2}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(qos2(1, "a", "x"), qos2(2, "a", "x"), qos2(1, "a", "x"), qos0("a", "x"))
		p.Expect(pubrec(1, 0x10), pubrec(2, 0x10), pubrec(1, 0)) // a repeat counts once
		p.Send(pubrel(1, 0), qos2(3, "a", "x"))
		p.Expect(pubcomp(1, 0), pubrec(3, 0x10))
		p.Send(qos2(4, "a", "x"))
		p.ExpectEnded(colibri.ReceiveMaximumExceeded)
	})
	mqtest.Run(t, "it counts for one connection [MQTT-3.3.4-7]", mqtest.V5, broker.Config{Limits: broker.Limits{ReceiveMaximum: 1}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(qos2(1, "a", "x"))
		p.Drop()
		p = scene.Connect("client", resume)
		p.Send(qos2(2, "a", "x"))
		p.Expect(pubrec(2, 0x10))
		p.Send(dup(qos2(1, "a", "x")))
		p.ExpectEnded(colibri.ReceiveMaximumExceeded)
	})
	mqtest.Run(t, "3.1.1 has none", mqtest.Old, broker.Config{Limits: broker.Limits{ReceiveMaximum: 1}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		for id := uint16(1); id <= 100; id++ {
			p.Send(qos2(id, "a", "x"))
			p.Expect(pubrec(id, 0))
		}
	})
}

// TestMaximumPacketSize shows what becomes of packets that are too large.
func TestMaximumPacketSize(t *testing.T) {
	large := strings.Repeat("x", 100)
	mqtest.Run(t, "for the Client: left out, as if it had been sent [MQTT-3.1.2-24] [MQTT-3.1.2-25]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client", property(colibri.MaximumPacketSize, 100)), scene.Connect("other")
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other.Send(qos0("a", large), qos1(1, "a", large), qos2(2, "a", large), qos0("a", "0"), qos1(3, "a", "1"))
		other.Expect(puback(1, 0), pubrec(2, 0), puback(3, 0))
		p.Expect(qos0("a", "0"), qos1(0, "a", "1"))
		if got := scene.Broker.Stats().Dropped[broker.DropTooLarge]; got != 3 {
			scene.Errorf("too large: got %d, want 3", got)
		}
	})
	mqtest.Run(t, "to the byte [MQTT-3.1.2-24]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		// 2 Fixed Header, 3 Topic Name, 1 Property Length, 2 Packet Identifier with QoS 1
		p := scene.Connect("client", property(colibri.MaximumPacketSize, 56))
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		scene.Connect("other").Send(qos0("a", large[:50]), qos0("a", large[:51]), qos1(1, "a", large[:48]), qos1(2, "a", large[:49]))
		p.Expect(qos0("a", large[:50]), qos1(0, "a", large[:48]))
	})
	mqtest.Run(t, "it does not block what waits behind it [MQTT-3.1.2-25]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p, other := scene.Connect("client", property(colibri.MaximumPacketSize, 100), property(colibri.ReceiveMaximum, 1)), scene.Connect("other")
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		other.Send(qos1(1, "a", "1"), qos1(2, "a", large), qos1(3, "a", "3"))
		p.Expect(qos1(0, "a", "1"))
		p.Send(puback(1, 0))
		p.Expect(qos1(0, "a", "3"))
	})
	mqtest.Run(t, "it does not block what waits offline behind it [MQTT-3.1.2-25]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		small := []func(*packet.Connect){resume, property(colibri.MaximumPacketSize, 100), property(colibri.ReceiveMaximum, 1)}
		p := scene.Connect("client", small...)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		scene.Connect("other").Send(qos1(1, "a", large), qos1(2, "a", large), qos1(3, "a", "3"))
		scene.Connect("client", small...).Expect(qos1(0, "a", "3"))
	})
	mqtest.Run(t, "nor Retained Messages behind it [MQTT-3.1.2-25]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		other := scene.Connect("other")
		for i := range 5 {
			other.Send(retain(qos1(1, fmt.Sprint("a/", i), large)), retain(qos1(1, fmt.Sprint("b/", i), "x")))
		}
		p := scene.Connect("client", property(colibri.MaximumPacketSize, 100), property(colibri.ReceiveMaximum, 1))
		p.Send(subscribe(1, to("a/+", 1), to("b/+", 1)))
		seen := 0
		for {
			got := p.Received()
			if len(got) == 0 {
				break
			}
			for _, one := range got {
				if m, ok := one.(*packet.Publish); ok {
					seen++
					p.Send(puback(m.PacketID, 0))
				}
			}
		}
		if seen != 5 {
			scene.Errorf("Retained Messages that fit: got %d, want 5", seen)
		}
	})
	mqtest.Run(t, "for the Server: 0x95 as soon as the header says so", mqtest.All, broker.Config{Limits: broker.Limits{PacketBytes: 1000}}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(qos0("a", strings.Repeat("x", 900)))
		p.Ping()
		p.SendHex("30 e9 07")
		p.ExpectEnded(colibri.PacketTooLarge)
	})
}

// TestSilentReader shows a Client that takes nothing of what it is sent.
func TestSilentReader(t *testing.T) {
	const outbox, pipe = 64 << 10, 4 << 10
	config := broker.Config{Limits: broker.Limits{OutboxBytes: outbox, QueueMessages: 50}}
	payload := strings.Repeat("x", 1000)
	// connect returns a peer that has subscribed to a and reads nothing from now on.
	connect := func(scene *mqtest.Scene, qos colibri.QoS) *mqtest.Peer {
		p := scene.DialSize(pipe)
		p.Connect("silent")
		p.Send(subscribe(1, to("a", qos)))
		p.Expect(suback(1, colibri.ReasonCode(qos)))
		p.Pause()
		return p
	}
	mqtest.Run(t, "QoS 0 is dropped beyond its bound, others get all", mqtest.All, config, func(scene *mqtest.Scene) {
		silent := connect(scene, 0)
		reader, publisher := scene.Connect("reader"), scene.Connect("publisher")
		reader.Send(subscribe(1, to("a", 0)))
		reader.Expect(suback(1, 0))
		began := time.Now()
		for range 1000 {
			publisher.Send(qos0("a", payload))
		}
		if got := len(reader.Received()); got != 1000 {
			scene.Errorf("the one who reads: got %d messages, want 1000", got)
		}
		if waited := time.Since(began); waited > 0 {
			scene.Errorf("the others waited %v for the silent one", waited)
		}
		dropped := int(scene.Broker.Stats().Dropped[broker.DropSlow])
		silent.Resume()
		got := len(silent.Received())
		if got+dropped != 1000 {
			scene.Errorf("the silent one: got %d and %d dropped, want 1000 together", got, dropped)
		}
		if most := (outbox + 2*pipe) / 1000; got > most+2 {
			scene.Errorf("%d messages waited for the silent one, want %d at most", got, most)
		}
		publisher.Send(qos0("a", "again"))
		silent.Expect(qos0("a", "again"))
	})
	mqtest.Run(t, "QoS 1 waits up to the queue's limit", mqtest.All, config, func(scene *mqtest.Scene) {
		silent := connect(scene, 1)
		publisher := scene.Connect("publisher")
		for i := range 200 {
			publisher.Send(qos1(1, "a", fmt.Sprint(i)))
			code := colibri.Success
			if i >= 20+50 {
				code = in(scene.Version, colibri.QuotaExceeded)
			}
			publisher.Expect(puback(1, code))
		}
		if got := scene.Broker.Stats().Dropped[broker.DropQueueFull]; got != 200-20-50 {
			scene.Errorf("dropped: got %d, want 130", got)
		}
		silent.Resume()
		next := 0
		for {
			got := silent.Received()
			if len(got) == 0 {
				break
			}
			for _, one := range got {
				m := one.(*packet.Publish)
				if want := fmt.Sprint(next); string(m.Payload) != want {
					scene.Fatalf("got message %s, want %s", m.Payload, want)
				}
				next++
				silent.Send(puback(m.PacketID, 0))
			}
		}
		if next != 70 {
			scene.Errorf("got %d messages, want 70", next)
		}
	})
	mqtest.Run(t, "large QoS 1 messages wait in the queue, not in the outbox", mqtest.All, config, func(scene *mqtest.Scene) {
		silent := connect(scene, 1)
		publisher := scene.Connect("publisher")
		big := strings.Repeat("x", outbox)
		for range 40 {
			publisher.Send(qos1(1, "a", big))
			publisher.Expect(puback(1, 0))
		}
		if got := scene.Broker.Stats().PublishSent; got > 3 {
			scene.Errorf("messages put on their way to the silent one: got %d, want 3 at most", got)
		}
		silent.Resume()
		all := 0
		for {
			got := silent.Received()
			if len(got) == 0 {
				break
			}
			all += len(got)
			for _, one := range got {
				silent.Send(puback(one.(*packet.Publish).PacketID, 0))
			}
		}
		if all != 40 {
			scene.Errorf("got %d messages, want 40", all)
		}
	})
	wide := config
	wide.Limits.Inflight, wide.Limits.QueueMessages = 1000, 1000
	mqtest.Run(t, "QoS 1 keeps its order while it catches up [MQTT-4.6.0-5] [MQTT311-4.6.0-6]", mqtest.All, wide, func(scene *mqtest.Scene) {
		silent := connect(scene, 1)
		publisher := scene.Connect("publisher")
		const messages = 900
		for i := range uint16(messages) {
			if i == messages/2 {
				silent.Resume() // the rest comes while it reads
			}
			publisher.Write(publisher.Encode(qos1(i+1, "a", payload+fmt.Sprint(i))))
		}
		got := silent.Received()
		if len(got) != messages {
			scene.Fatalf("got %d messages, want %d", len(got), messages)
		}
		for i, one := range got {
			if m := one.(*packet.Publish); string(m.Payload) != payload+fmt.Sprint(i) {
				scene.Fatalf("message %d: got %s", i, m.Payload[len(payload):])
			}
		}
	})
	mqtest.Run(t, "its own requests wait when it takes no answers", mqtest.All, config, func(scene *mqtest.Scene) {
		silent := connect(scene, 0)
		const pings = 80_000
		written := make(chan struct{})
		go func() {
			for range pings / 100 {
				silent.Write(slices.Repeat([]byte{0xC0, 0}, 100))
			}
			close(written)
		}()
		synctest.Wait()
		select {
		case <-written:
			scene.Error("the broker took all of its requests, want them to wait")
		default:
		}
		scene.Connect("other").Ping()
		silent.Resume()
		<-written
		if got := len(silent.Received()); got != pings {
			scene.Errorf("PINGRESP: got %d, want %d", got, pings)
		}
	})
	mqtest.Run(t, "its end is not held up", mqtest.All, config, func(scene *mqtest.Scene) {
		connect(scene, 0)
		publisher := scene.Connect("publisher")
		for range 100 {
			publisher.Send(qos0("a", payload))
		}
		scene.Connect("silent").Ping() // takes over
		began := time.Now()
		if err := scene.Broker.Shutdown(context.Background()); err != nil {
			scene.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(began); took > 6*time.Second {
			scene.Errorf("Shutdown took %v", took)
		}
	})
}

// TestUndisturbed shows that what one connection does wrong costs nobody else a message.
func TestUndisturbed(t *testing.T) {
	const subscribers, publishers, messages, attackers = 1000, 5, 10, 200
	mqtest.Run(t, "1,000 Clients beside 200 that send rubbish", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		var peers, bad []*mqtest.Peer
		for i := range subscribers {
			p := scene.ConnectVersion([]colibri.Version{v31, v311, v5}[i%3], fmt.Sprint("subscriber", i))
			p.Send(subscribe(1, to("news/#", 0)))
			p.Expect(suback(1, 0))
			peers = append(peers, p)
		}
		for i := range attackers {
			p := scene.DialVersion([]colibri.Version{v31, v311, v5}[i%3])
			if i%2 == 0 {
				p.Connect(fmt.Sprint("attacker", i))
			}
			bad = append(bad, p)
		}
		var all sync.WaitGroup
		for i, p := range bad {
			all.Go(func() {
				for _, b := range rubbish(p, rand.New(rand.NewPCG(uint64(i), 7))) {
					p.Write(b)
				}
			})
		}
		for i, p := range peers[:publishers] {
			all.Go(func() {
				for j := range messages {
					p.Write(p.Encode(qos0(fmt.Sprint("news/", i), fmt.Sprint(j))))
				}
			})
		}
		all.Wait()
		for i, p := range peers {
			var next [publishers]int
			for _, one := range p.Received() {
				m, ok := one.(*packet.Publish)
				if !ok {
					scene.Fatalf("subscriber %d: got a %v", i, one.Type())
				}
				var from, n int
				fmt.Sscan(strings.TrimPrefix(m.Topic, "news/"), &from)
				fmt.Sscan(string(m.Payload), &n)
				if n != next[from] {
					scene.Fatalf("subscriber %d: got message %d of publisher %d, want %d", i, n, from, next[from])
				}
				next[from]++
			}
			for from, n := range next {
				if n != messages {
					scene.Fatalf("subscriber %d: got %d messages of publisher %d, want %d", i, n, from, messages)
				}
			}
		}
		peers[subscribers-1].Ping()
		if got := scene.Broker.Stats().Connections; got < subscribers {
			scene.Errorf("Connections: got %d, want %d and the attackers that only wait", got, subscribers)
		}
	})
}

// rubbish returns what one attacker writes, one kind for each.
func rubbish(p *mqtest.Peer, random *rand.Rand) (writes [][]byte) {
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	valid := p.Encode(qos1(1, "other/topic", strings.Repeat("y", 300)))
	if random.IntN(2) == 0 {
		valid = p.Encode(p.NewConnect("half", will(qos0("other/will", "x")), user("u", "p")))
	}
	switch random.IntN(6) {
	case 0: // noise
		for range 20 {
			writes = append(writes, noise(1+random.IntN(200)))
		}
	case 1: // stops half-way
		writes = append(writes, valid[:random.IntN(len(valid))])
	case 2: // a huge length, and little behind it
		writes = append(writes, []byte{byte(1+random.IntN(15)) << 4, 0xFF, 0xFF, 0xFF, 0x7F}, noise(1000))
	case 3: // the largest length that is taken, and little behind it
		writes = append(writes, []byte{0x30, 0xFC, 0x88, 0x7A}, noise(40_000))
	case 4: // valid packets with a byte changed
		for range 10 {
			b := slices.Clone(valid)
			b[random.IntN(len(b))] ^= byte(1 + random.IntN(255))
			writes = append(writes, b)
		}
	case 5: // a Fixed Header with flags as they come
		for range 10 {
			writes = append(writes, append([]byte{byte(random.Uint32()), 10}, noise(10)...))
		}
	}
	return writes
}
