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

// TestManyRetained shows that 200,000 Retained Messages behind one filter arrive, paced, and
// that nothing else waits for them.
func TestManyRetained(t *testing.T) {
	all := 200_000
	if raced {
		all = 20_000
	}
	config := broker.Config{Limits: broker.Limits{QueueMessages: 10, OutboxBytes: 128 << 10}}
	load := func(scene *mqtest.Scene) {
		for i := range all {
			publish(scene, &colibri.Message{Topic: fmt.Sprint("r/", i/1000, "/", i%1000), Payload: []byte("retained"), QoS: 1, Retain: true})
		}
	}
	mqtest.Run(t, "QoS 0", mqtest.V5, config, func(scene *mqtest.Scene) {
		load(scene)
		p := scene.Connect("client")
		seen := map[string]bool{}
		before, live := -1, -1
		p.Write(p.Encode(subscribe(1, to("#", 0)), &packet.Pingreq{}, qos0("live", "x")))
		other := scene.Connect("other")
		other.Ping()
		for batch := p.Received(); len(batch) > 0; batch = p.Received() {
			for _, one := range batch {
				switch m := one.(type) {
				case *packet.Pingresp:
					before = len(seen)
				case *packet.Publish:
					if m.Topic == "live" {
						live = len(seen)
						continue
					}
					if seen[m.Topic] || !m.Retain {
						scene.Fatalf("%s came twice, or without RETAIN", m.Topic)
					}
					seen[m.Topic] = true
				}
			}
		}
		if len(seen) != all {
			scene.Errorf("got %d Retained Messages, want %d", len(seen), all)
		}
		if most := 128 << 10 / 15; before < 0 || before > most || live < 0 || live > 2*most {
			scene.Errorf("PINGRESP came after %d messages, and a live one after %d, want %d and %d at most", before, live, most, 2*most)
		}
		if got := scene.Broker.Stats().Dropped; len(got) != 0 {
			scene.Errorf("dropped %v, want nothing", got)
		}
	})
	mqtest.Run(t, "QoS 1, with a live message for each, and a connection that is cut", mqtest.Modern, config, func(scene *mqtest.Scene) {
		all := all / 20
		for i := range all {
			publish(scene, &colibri.Message{Topic: fmt.Sprint("r/", i), Payload: []byte("retained"), QoS: 1, Retain: true})
		}
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("#", 1)))
		seen, live, sent := map[string]int{}, 0, 0
		for rounds := 0; ; rounds++ {
			batch := p.Received()
			if len(batch) == 0 {
				break
			}
			var answers []packet.Packet
			for _, one := range batch {
				m, ok := one.(*packet.Publish)
				if !ok {
					continue
				}
				answers = append(answers, puback(m.PacketID, 0))
				if m.Retain {
					seen[m.Topic]++
				} else {
					live++
				}
			}
			if rounds == 50 { // what was not sent comes on the next connection
				p.Drop()
				p = scene.Connect("client", resume)
				continue
			}
			if sent < 200 {
				sent++
				publish(scene, &colibri.Message{Topic: "live", Payload: []byte("x"), QoS: 1})
			}
			p.Send(answers...)
		}
		if len(seen) != all || live < sent {
			scene.Errorf("got %d Retained Messages and %d live ones, want %d and %d", len(seen), live, all, sent)
		}
		if got := scene.Broker.Stats().Dropped; len(got) != 0 {
			scene.Errorf("dropped %v, want nothing", got)
		}
	})
}

// TestRetainedRecorded shows that what is recorded of Retained Messages on their way goes to
// the log in small frames, however many fit into the window of the client, and that each
// leaves only then.
func TestRetainedRecorded(t *testing.T) {
	const all, size, mostBytes = 1000, 10_000, 1 << 20
	mqtest.Run(t, "", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		log := newSlowLog(&keptLog{}, 0)
		scene.Use(mqtest.New(t, broker.Config{Log: log, Limits: broker.Limits{Inflight: all}}))
		for i := range all {
			publish(scene, &colibri.Message{Topic: fmt.Sprint("r/", i), Payload: make([]byte, size), QoS: 1, Retain: true})
		}
		time.Sleep(time.Minute) // all are recorded
		p := scene.Dial()
		p.Send(p.NewConnect("client", resume), subscribe(1, to("r/#", 1)))
		seen := map[string]bool{}
		for range 1000 {
			time.Sleep(20 * time.Millisecond)
			for _, one := range p.Received() {
				if m, ok := one.(*packet.Publish); ok {
					seen[m.Topic] = true
				}
			}
		}
		if len(seen) != all {
			scene.Errorf("got %d Retained Messages, want %d", len(seen), all)
		}
		kept := log.crash(true)
		for _, f := range kept.frames {
			if len(f.bytes) > mostBytes {
				scene.Errorf("a frame has %d bytes, want %d at most", len(f.bytes), mostBytes)
			}
		}
		scene.Use(mqtest.New(t, broker.Config{Log: kept, Limits: broker.Limits{Inflight: all}}))
		p = scene.Connect("client", resume)
		again := 0
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			again += len(p.Received())
		}
		if again != all {
			scene.Errorf("after a crash %d come again, want all %d that are not acknowledged", again, all)
		}
	})
}
