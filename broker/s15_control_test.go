package broker_test

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestControlPasses shows that answers do not wait behind a flood of messages to the same
// Client: at most two chunks of 32 KB, of up to 1 MiB that waits, come before them.
func TestControlPasses(t *testing.T) {
	const payloadBytes = 1000
	mqtest.Run(t, "answers to a Client that takes its messages slowly", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		const pipe = 4 << 10
		p := scene.DialSize(pipe)
		p.Connect("slow")
		p.Send(subscribe(1, to("flood", 0), to("confirmed", 1)))
		p.Expect(suback(1, 0, 1))
		p.Pause()
		flood := scene.Connect("flood")
		for range 900 {
			flood.Send(qos0("flood", strings.Repeat("x", payloadBytes)))
		}
		asked := []packet.Packet{&packet.Pingreq{}, subscribe(2, to("more", 0)), qos1(3, "elsewhere", "1"),
			qos2(4, "elsewhere", "2"), pubrel(4, 0), unsubscribe(5, "more")}
		p.Send(asked...)
		p.Resume()
		before, answers := 0, 0
		var got []packet.Packet
		for batch := p.Received(); len(batch) > 0; batch = p.Received() {
			got = append(got, batch...)
		}
		for _, one := range got {
			if one.Type() != packet.PUBLISH {
				answers++
			} else if answers < len(asked) {
				before++
			}
		}
		if answers != len(asked) {
			scene.Fatalf("got %d answers, want %d", answers, len(asked))
		}
		if most := (2*32<<10+2*pipe)/payloadBytes + 3; before > most {
			scene.Errorf("%d messages came before the last answer, want %d at most", before, most)
		}
		if want := 900 + len(asked); len(got) != want {
			scene.Errorf("got %d packets, want %d", len(got), want)
		}
	})
	mqtest.Run(t, "requests are read however many messages wait", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.DialSize(4 << 10)
		p.Connect("slow")
		p.Send(subscribe(1, to("flood", 0)))
		p.Expect(suback(1, 0))
		p.Pause()
		flood, watch := scene.Connect("flood"), scene.Connect("watch")
		watch.Send(subscribe(1, to("from/slow", 0)))
		watch.Expect(suback(1, 0))
		for range 2000 { // more than its outbox takes
			flood.Send(qos0("flood", strings.Repeat("x", payloadBytes)))
		}
		for range 10 {
			p.Send(qos0("from/slow", "alive"))
			watch.Expect(qos0("from/slow", "alive"))
		}
	})
	mqtest.Run(t, "QoS 1 goes on under a flood of QoS 0", mqtest.All, broker.Config{Limits: broker.Limits{OutboxBytes: 20_000}},
		func(scene *mqtest.Scene) {
			p := scene.DialSize(4 << 10)
			p.Connect("slow")
			p.Send(subscribe(1, to("flood", 0), to("confirmed", 1)))
			p.Expect(suback(1, 0, 1))
			p.Pause()
			flood := scene.Connect("flood")
			for range 100 {
				flood.Send(qos0("flood", strings.Repeat("x", payloadBytes)))
			}
			flood.Send(qos1(1, "confirmed", "important"))
			flood.Expect(puback(1, 0))
			p.Resume()
			confirmed := 0
			for _, one := range p.Received() {
				if m, ok := one.(*packet.Publish); ok && m.QoS == colibri.AtLeastOnce {
					confirmed++
				}
			}
			if confirmed != 1 {
				scene.Errorf("got %d messages of QoS 1, want 1", confirmed)
			}
		})
}
