package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// keptLog keeps what is appended, for brokers that come one after the other. A crash ends
// what one broker can still append, and may lose what nobody waited for.
type keptLog struct {
	mu     sync.Mutex
	frames []keptFrame
	ended  bool // the broker that uses it has crashed
	bytes  int64
}

type keptFrame struct {
	pos    broker.Pos
	bytes  []byte
	waited bool
}

func (l *keptLog) Append(_ int, entries []byte, done func(broker.Pos, error)) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return // whoever waits waits for ever
	}
	pos := broker.Pos(1)
	if n := len(l.frames); n > 0 {
		pos = l.frames[n-1].pos + 1
	}
	l.frames = append(l.frames, keptFrame{pos, slices.Clone(entries), done != nil})
	l.bytes += int64(len(entries))
	l.mu.Unlock()
	if done != nil {
		done(pos, nil)
	}
}

func (l *keptLog) Read(_ context.Context, _ broker.NodeID, _, _ broker.Pos, fn func(broker.Pos, []byte) error) error {
	for _, f := range l.frames {
		if err := fn(f.pos, f.bytes); err != nil {
			return err
		}
	}
	return nil
}

func (l *keptLog) Truncate(_ int, before broker.Pos) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = slices.DeleteFunc(l.frames, func(f keptFrame) bool {
		if f.pos < before {
			l.bytes -= int64(len(f.bytes))
		}
		return f.pos < before
	})
	return nil
}

func (l *keptLog) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// first returns the position of the oldest frame.
func (l *keptLog) first() broker.Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames[0].pos
}

func (l *keptLog) Durability() broker.Level { return broker.OnDisk }
func (l *keptLog) Close() error             { return nil }

// crash returns the log as the next broker finds it. With power it has lost, from some
// point on, what nobody waited for.
func (l *keptLog) crash(power bool) *keptLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	next := &keptLog{}
	for _, f := range l.frames {
		if f.waited || !power {
			next.frames = append(next.frames, f)
			next.bytes += int64(len(f.bytes))
		}
	}
	return next
}

// TestRestart shows what a broker knows that follows one which has crashed.
func TestRestart(t *testing.T) {
	// run runs a scenario three times: with a crash of the process, with one that loses what
	// nobody waited for, and with one after a checkpoint. restart ends the broker and starts
	// the next.
	run := func(name string, versions []colibri.Version, scenario func(scene *mqtest.Scene, power bool, restart func())) {
		for _, how := range []string{"killed", "power cut", "killed after a checkpoint"} {
			mqtest.Run(t, name+", "+how, versions, broker.Config{}, func(scene *mqtest.Scene) {
				log := &keptLog{}
				config := broker.Config{Log: log}
				scene.Use(mqtest.New(t, config))
				scenario(scene, how == "power cut", func() {
					if how == "killed after a checkpoint" && !broker.Checkpoint(scene.Broker) {
						scene.Error("the log was not shortened")
					}
					log = log.crash(how == "power cut")
					config.Log = log
					scene.Use(mqtest.New(t, config))
				})
			})
		}
	}
	run("Subscriptions and what was queued [MQTT-3.1.2-5] [MQTT-4.1.0-1]", mqtest.All, func(scene *mqtest.Scene, _ bool, restart func()) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a/+", 2), to("b", 1), to("c", 1)), unsubscribe(2, "c"))
		p.Received()
		p.Disconnect()
		other := scene.Connect("other")
		other.Send(qos1(1, "a/1", "1"), qos2(2, "a/2", "2"), qos1(3, "b", "3"), qos1(4, "c", "4"), qos0("b", "5"))
		other.Received()
		restart()
		p = scene.Connect("client", resume)
		if scene.Version > v31 && !p.Connack.SessionPresent {
			scene.Error("Session Present: got 0, want 1")
		}
		p.ExpectUnordered(qos1(0, "a/1", "1"), qos2(0, "a/2", "2"), qos1(0, "b", "3"))
		other = scene.Connect("other")
		other.Send(qos1(1, "b", "again"))
		p.Expect(qos1(0, "b", "again"))
	})
	run("QoS 1 in flight comes again, with its identifier and DUP unless that is lost [MQTT-4.4.0-1]", mqtest.All,
		func(scene *mqtest.Scene, power bool, restart func()) {
			p := scene.Connect("client", resume)
			p.Send(subscribe(1, to("a", 1)))
			p.Expect(suback(1, 1))
			other := scene.Connect("other")
			other.Send(qos1(1, "a", "1"), qos1(2, "a", "2"))
			p.Expect(qos1(1, "a", "1"), qos1(2, "a", "2"))
			p.Send(puback(1, 0))
			restart()
			p = scene.Connect("client", resume)
			if power {
				p.Expect(qos1(0, "a", "1"), qos1(0, "a", "2")) // as if it had never been sent
			} else {
				p.Expect(dup(qos1(2, "a", "2")))
			}
		})
	run("QoS 2 towards the client: never twice, whatever is lost [MQTT-4.3.3-6]", mqtest.All, func(scene *mqtest.Scene, power bool, restart func()) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 2)))
		p.Expect(suback(1, 2))
		other := scene.Connect("other")
		other.Send(qos2(1, "a", "sent"), qos2(2, "a", "had"), qos2(3, "a", "done"))
		p.Expect(qos2(1, "a", "sent"), qos2(2, "a", "had"), qos2(3, "a", "done"))
		p.Send(pubrec(2, 0), pubrec(3, 0))
		p.Expect(pubrel(2, 0), pubrel(3, 0))
		p.Send(pubcomp(3, 0))
		restart()
		p = scene.Connect("client", resume)
		want := []packet.Packet{dup(qos2(1, "a", "sent")), pubrel(2, 0)}
		if power {
			want = append(want, pubrel(3, 0)) // asks once more
		}
		p.ExpectUnordered(want...)
		p.Send(pubrec(1, 0), pubcomp(2, 0), pubcomp(3, 0))
		p.Expect(pubrel(1, 0))
	})
	run("QoS 2 from the client: a repeat is known, and an identifier is free after its PUBCOMP [MQTT-4.3.3-10] [MQTT-4.3.3-12]", mqtest.All,
		func(scene *mqtest.Scene, _ bool, restart func()) {
			watcher := scene.Connect("watcher", resume)
			watcher.Send(subscribe(1, to("a", 1)))
			watcher.Expect(suback(1, 1))
			p := scene.Connect("client", resume)
			p.Send(qos2(1, "a", "first"), qos2(2, "a", "second"))
			p.Expect(pubrec(1, 0), pubrec(2, 0))
			p.Send(pubrel(2, 0))
			p.Expect(pubcomp(2, 0))
			for _, one := range watcher.Received() {
				watcher.Send(puback(one.(*packet.Publish).PacketID, 0))
			}
			restart()
			watcher = scene.Connect("watcher", resume)
			watcher.Received()
			p = scene.Connect("client", resume)
			p.Send(dup(qos2(1, "a", "first")), qos2(2, "a", "third"))
			p.Expect(pubrec(1, 0), pubrec(2, 0))
			watcher.Expect(qos1(0, "a", "third"))
		})
	run("Retained Messages: set, replaced, removed [MQTT-3.3.1-5] [MQTT-3.3.1-6]", mqtest.All, func(scene *mqtest.Scene, _ bool, restart func()) {
		p := scene.Connect("client")
		p.Send(retain(qos1(1, "r/1", "old")), retain(qos1(2, "r/1", "new")), retain(qos1(3, "r/2", "gone")), retain(qos1(4, "r/2", "")),
			retain(qos1(5, "r/3", "gone")), retain(qos1(6, "r/3", "")), retain(qos1(7, "r/3", "back")))
		p.Received()
		for range 2 {
			restart()
			p = scene.Connect("client")
			p.Send(subscribe(1, to("r/#", 0)))
			p.ExpectUnordered(suback(1, 0), retain(qos0("r/1", "new")), retain(qos0("r/3", "back")))
		}
		p.Send(retain(qos1(8, "r/1", "newest"))) // goes on after the numbers of before
		p.Received()
		restart()
		p = scene.Connect("client")
		p.Send(subscribe(1, to("r/1", 0)))
		p.Expect(suback(1, 0), retain(qos0("r/1", "newest")))
	})
	run("Clean Start ends what was [MQTT-3.1.2-4]", mqtest.All, func(scene *mqtest.Scene, _ bool, restart func()) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		scene.Connect("client").Drop()
		restart()
		if p = scene.Connect("client", resume); p.Connack.SessionPresent {
			scene.Error("Session Present: got 1, want 0")
		}
		scene.Connect("other").Send(qos1(1, "a", "x"))
		p.Expect()
	})
	run("time goes on: Sessions and messages expire [MQTT-3.1.2-23] [MQTT-3.3.2-5]", mqtest.V5, func(scene *mqtest.Scene, _ bool, restart func()) {
		for _, seconds := range []uint32{60, 600} {
			p := scene.Connect(fmt.Sprint("client", seconds), property(colibri.SessionExpiryInterval, seconds))
			p.Send(subscribe(1, to("a", 1)))
			p.Expect(suback(1, 1))
			p.Disconnect()
		}
		began := time.Now()
		other := scene.Connect("other")
		other.Send(with(qos1(1, "a", "short"), number(colibri.MessageExpiryInterval, 30)), with(qos1(2, "a", "long"), number(colibri.MessageExpiryInterval, 300)))
		other.Received()
		restart()
		time.Sleep(100 * time.Second)
		if p := scene.Connect("client60", resume); p.Connack.SessionPresent {
			scene.Error("a Session of 60 seconds is there after 100")
		}
		p := scene.Connect("client600", resume)
		got := p.Received()
		if len(got) != 1 || string(got[0].(*packet.Publish).Payload) != "long" {
			scene.Fatalf("got %v, want the message that has not expired", got)
		}
		if left, _ := got[0].(*packet.Publish).Properties.Number(colibri.MessageExpiryInterval); left != 300-uint32(time.Since(began).Seconds()) {
			scene.Errorf("Message Expiry Interval: got %d after %v, want the rest of 300", left, time.Since(began))
		}
	})
	run("Will Messages of who was connected, and of who had gone [MQTT-3.1.2-8]", mqtest.V5, func(scene *mqtest.Scene, _ bool, restart func()) {
		watcher := scene.Connect("watcher", resume)
		watcher.Send(subscribe(1, to("will/#", 1)))
		watcher.Expect(suback(1, 1))
		delayed := func(topic string) func(*packet.Connect) {
			return will(with(qos1(0, topic, "x"), number(colibri.WillDelayInterval, 60)))
		}
		scene.Connect("connected", fresh, will(qos1(0, "will/connected", "x")))
		scene.Connect("goodbye", fresh, will(qos1(0, "will/goodbye", "x"))).Disconnect()
		scene.Connect("gone", fresh, delayed("will/gone")).Drop()
		scene.Connect("back", fresh, delayed("will/back"))
		restart()
		watcher = scene.Connect("watcher", resume)
		scene.Connect("back", resume)
		time.Sleep(50 * time.Second)
		topics := func() (all []string) {
			for _, one := range watcher.Received() {
				if m, ok := one.(*packet.Publish); ok {
					all = append(all, m.Topic)
				}
			}
			slices.Sort(all)
			return slices.Compact(all)
		}
		if got := topics(); fmt.Sprint(got) != "[will/connected]" {
			scene.Errorf("at once: got %v, want that of the client that was connected", got)
		}
		time.Sleep(20 * time.Second)
		if got := topics(); fmt.Sprint(got) != "[will/gone]" {
			scene.Errorf("later: got %v, want that of the client that had gone", got)
		}
	})
	run("the queue of a Shared Subscription, and what a member had", mqtest.Modern, func(scene *mqtest.Scene, _ bool, restart func()) {
		for _, name := range []string{"one", "two"} {
			p := scene.Connect(name, resume)
			p.Send(subscribe(1, to("$share/g/a", 2)))
			p.Expect(suback(1, 2))
			p.Disconnect()
		}
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "1"), qos2(2, "a", "2"), qos1(3, "a", "3"))
		other.Expect(puback(1, 0), pubrec(2, 0), puback(3, 0))
		restart()
		one := scene.Connect("one", resume)
		one.ExpectUnordered(qos1(0, "a", "1"), qos2(0, "a", "2"), qos1(0, "a", "3"))
		restart()
		two := scene.Connect("two", resume) // QoS 1 goes to who comes first
		got := two.Received()
		if len(got) != 2 {
			scene.Errorf("got %v, want the two messages of QoS 1", got)
		}
		scene.Connect("one", resume).Expect(dup(qos2(0, "a", "2")))
		for _, m := range got {
			two.Send(puback(m.(*packet.Publish).PacketID, 0))
		}
		two.Expect()
	})
	// lent has a message for a group with the member "lasting", which is away, come to the
	// member "plain", which has no lasting Session.
	lent := func(scene *mqtest.Scene, queued bool, m *packet.Publish) (plain *mqtest.Peer) {
		lasting := scene.Connect("lasting", resume)
		lasting.Send(subscribe(1, to("$share/g/a", 2)))
		lasting.Expect(suback(1, 2))
		lasting.Disconnect()
		plain, other := scene.Connect("plain"), scene.Connect("other")
		if queued {
			other.Send(m)
			other.Received()
		}
		plain.Send(subscribe(1, to("$share/g/a", 2)))
		plain.Received()
		if !queued {
			other.Send(m)
			other.Received()
		}
		return plain
	}
	for _, queued := range []bool{false, true} {
		how := map[bool]string{false: "at once", true: "from the queue"}[queued]
		run("a member without a lasting Session has a message of QoS 1, "+how, mqtest.Modern, func(scene *mqtest.Scene, power bool, restart func()) {
			lent(scene, queued, qos1(1, "a", "x"))
			restart()
			lasting := scene.Connect("lasting", resume)
			lasting.Expect(qos1(0, "a", "x"))
			lasting.Send(puback(1, 0))
			if power {
				return // that is lost
			}
			lasting.Received()
			restart()
			scene.Connect("lasting", resume).Expect()
		})
		run("and acknowledges it, "+how, mqtest.Modern, func(scene *mqtest.Scene, power bool, restart func()) {
			plain := lent(scene, queued, qos1(1, "a", "x"))
			plain.Send(puback(1, 0))
			plain.Received()
			if power {
				return // that is lost
			}
			restart()
			scene.Connect("lasting", resume).Expect()
		})
		run("and goes, "+how, mqtest.Modern, func(scene *mqtest.Scene, power bool, restart func()) {
			lent(scene, queued, qos1(1, "a", "x")).Drop()
			restart()
			lasting := scene.Connect("lasting", resume)
			lasting.Expect(qos1(0, "a", "x"))
			if power {
				return
			}
			lasting.Send(puback(1, 0))
			lasting.Received()
			restart()
			scene.Connect("lasting", resume).Expect()
		})
		run("it has one of QoS 2, "+how+" [MQTT-4.8.2-5]", mqtest.Modern, func(scene *mqtest.Scene, _ bool, restart func()) {
			lent(scene, queued, qos2(1, "a", "x"))
			restart()
			scene.Connect("lasting", resume).Expect()
		})
	}
	run("it takes one with QoS 0 from the queue", mqtest.Modern, func(scene *mqtest.Scene, power bool, restart func()) {
		lasting := scene.Connect("lasting", resume)
		lasting.Send(subscribe(1, to("$share/g/a", 1)))
		lasting.Expect(suback(1, 1))
		lasting.Disconnect()
		plain, other := scene.Connect("plain"), scene.Connect("other")
		other.Send(qos1(1, "a", "x"))
		other.Expect(puback(1, 0))
		plain.Send(subscribe(1, to("$share/g/a", 0)))
		plain.Expect(suback(1, 0), qos0("a", "x"))
		if power {
			return // that it was taken is lost
		}
		restart()
		scene.Connect("lasting", resume).Expect()
	})
	for _, sent := range []bool{false, true} {
		how := map[bool]string{false: "before it is sent", true: "when it is sent [MQTT-4.8.2-5]"}[sent]
		run("it has one of QoS 2 behind another, "+how, mqtest.V5, func(scene *mqtest.Scene, _ bool, restart func()) {
			lasting := scene.Connect("lasting", resume)
			lasting.Send(subscribe(1, to("$share/g/a", 2)))
			lasting.Expect(suback(1, 2))
			lasting.Disconnect()
			plain, other := scene.Connect("plain", property(colibri.ReceiveMaximum, 1)), scene.Connect("other")
			plain.Send(subscribe(1, to("$share/g/a", 2)))
			plain.Expect(suback(1, 2))
			other.Send(qos2(1, "a", "1"), qos2(2, "a", "2"))
			other.Expect(pubrec(1, 0), pubrec(2, 0))
			plain.Expect(qos2(1, "a", "1"))
			if sent {
				plain.Send(pubrec(1, 0))
				plain.Expect(pubrel(1, 0))
				plain.Send(pubcomp(1, 0))
				plain.Expect(qos2(0, "a", "2"))
			}
			restart()
			lasting = scene.Connect("lasting", resume)
			if sent {
				lasting.Expect()
			} else {
				lasting.Expect(qos2(0, "a", "2"))
			}
		})
	}
	for _, c := range []struct {
		qos     colibri.QoS
		publish func(id uint16, topic, payload string) *packet.Publish
	}{{1, qos1}, {2, qos2}} {
		run(fmt.Sprintf("a Retained Message on its way with QoS %d [MQTT-4.4.0-1]", c.qos), mqtest.All, func(scene *mqtest.Scene, _ bool, restart func()) {
			publish(scene, &colibri.Message{Topic: "r", Payload: []byte("x"), QoS: c.qos, Retain: true})
			p := scene.Connect("client", resume)
			p.Send(subscribe(1, to("r", c.qos)))
			p.Expect(suback(1, colibri.ReasonCode(c.qos)), retain(c.publish(1, "r", "x")))
			restart()
			p = scene.Connect("client", resume)
			p.Expect(dup(retain(c.publish(1, "r", "x"))))
		})
	}
}
