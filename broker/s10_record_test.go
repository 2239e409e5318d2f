package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// heldLog is a Log that is done with nothing until it is told.
type heldLog struct {
	mu      sync.Mutex
	waiting []func(broker.Pos, error)
	pos     broker.Pos
	open    bool // done at once from now on
}

func (l *heldLog) Append(_ int, _ []byte, done func(broker.Pos, error)) {
	if done == nil {
		return // nobody waits
	}
	l.mu.Lock()
	if l.open {
		l.mu.Unlock()
		done(0, nil)
		return
	}
	l.waiting = append(l.waiting, done)
	l.mu.Unlock()
}

// release is done with all that waits, in order, with err.
func (l *heldLog) release(err error) {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, done := range waiting {
		l.pos++
		done(l.pos, err)
	}
}

// close lets everything through that comes from now on, so that the scene can end.
func (l *heldLog) close() {
	l.mu.Lock()
	l.open = true
	l.mu.Unlock()
	l.release(nil)
}

func (l *heldLog) Read(context.Context, broker.NodeID, broker.Pos, broker.Pos, func(broker.Pos, []byte) error) error {
	return nil
}
func (l *heldLog) Truncate(int, broker.Pos) error { return nil }
func (l *heldLog) Bytes() int64                   { return 0 }
func (l *heldLog) Durability() broker.Level       { return broker.OnDisk }
func (l *heldLog) Close() error                   { return nil }

// TestRecord shows that no promise leaves before what it promises is recorded.
func TestRecord(t *testing.T) {
	// run runs a scenario with a log of its own; watcher has a Session that outlives its
	// connection, with a Subscription to a; p and plain have none.
	run := func(name string, scenario func(scene *mqtest.Scene, log *heldLog, watcher, p, plain *mqtest.Peer)) {
		for _, v := range mqtest.All {
			log := &heldLog{}
			mqtest.Run(t, name+" in "+v.String(), []colibri.Version{v}, broker.Config{Log: log}, func(scene *mqtest.Scene) {
				defer log.close()
				connect := func(name string, options ...func(*packet.Connect)) *mqtest.Peer {
					p := scene.Dial()
					p.Send(p.NewConnect(name, options...))
					log.release(nil)
					if got := p.Received(); len(got) != 1 || got[0].Type() != packet.CONNACK {
						scene.Fatalf("got %v, want a CONNACK", got)
					}
					return p
				}
				watcher := connect("watcher", resume)
				watcher.Send(subscribe(1, to("a", 2)))
				log.release(nil)
				watcher.Expect(suback(1, 2))
				scenario(scene, log, watcher, connect("client"), connect("plain"))
			})
		}
	}
	run("QoS 1: delivery and PUBACK wait [MQTT-4.3.2-4] [MQTT311-4.3.2-2]", func(_ *mqtest.Scene, log *heldLog, watcher, p, _ *mqtest.Peer) {
		p.Send(qos1(1, "a", "x"))
		p.ExpectNothing(time.Second)
		watcher.Expect()
		log.release(nil)
		p.Expect(puback(1, 0))
		watcher.Expect(qos1(0, "a", "x"))
	})
	run("QoS 2: delivery and PUBREC wait [MQTT-4.3.3-8] [MQTT311-4.3.3-2]", func(_ *mqtest.Scene, log *heldLog, watcher, p, _ *mqtest.Peer) {
		p.Send(qos2(1, "a", "x"))
		p.ExpectNothing(time.Second)
		watcher.Expect()
		log.release(nil)
		p.Expect(pubrec(1, 0))
		watcher.Expect() // its identifier is not recorded yet
		log.release(nil)
		watcher.Expect(qos2(1, "a", "x"))
		watcher.Send(pubrec(1, 0))
		watcher.Expect() // nor that the client has it
		log.release(nil)
		watcher.Expect(pubrel(1, 0))
		watcher.Send(pubcomp(1, 0))
	})
	run("QoS 2 of a Session that lasts: PUBREC and PUBCOMP wait, whoever subscribes", func(scene *mqtest.Scene, log *heldLog, watcher, _, _ *mqtest.Peer) {
		watcher.Send(qos2(7, "nobody", "x"))
		watcher.ExpectNothing(time.Second)
		log.release(nil)
		watcher.Expect(pubrec(7, in(scene.Version, colibri.NoMatchingSubscribers)))
		watcher.Send(pubrel(7, 0))
		watcher.ExpectNothing(time.Second)
		log.release(nil)
		watcher.Expect(pubcomp(7, 0))
	})
	run("a window that opens: the next QoS 2 message waits, the next of QoS 1 does not", func(scene *mqtest.Scene, log *heldLog, watcher, p, _ *mqtest.Peer) {
		for i := range uint16(30) {
			qos := qos1(i+1, "a", fmt.Sprint(i))
			if i >= 25 {
				qos.QoS = colibri.ExactlyOnce
			}
			p.Send(qos)
		}
		log.release(nil)
		p.Received()
		first := watcher.Received()
		for i := range first {
			watcher.Send(puback(uint16(i+1), 0))
		}
		if got := watcher.Received(); len(first) != 20 || len(got) != 5 {
			scene.Errorf("got %d messages and then %d, want the window of 20 and then the rest of QoS 1", len(first), len(got))
		}
		log.release(nil)
		if got := watcher.Received(); len(got) != 5 {
			scene.Errorf("got %d messages of QoS 2, want 5", len(got))
		}
	})
	run("CONNACK waits for what it says of the Session [MQTT-3.2.2-3]", func(scene *mqtest.Scene, log *heldLog, watcher, _, _ *mqtest.Peer) {
		again := scene.Dial()
		again.Send(again.NewConnect("watcher")) // Clean Start ends the Session
		again.ExpectNothing(time.Second)
		log.release(nil)
		if got := again.Received(); len(got) != 1 || got[0].Type() != packet.CONNACK {
			scene.Errorf("got %v, want a CONNACK", got)
		}
	})
	run("SUBACK and UNSUBACK wait", func(scene *mqtest.Scene, log *heldLog, watcher, _, _ *mqtest.Peer) {
		watcher.Send(subscribe(2, to("b", 1)))
		watcher.ExpectNothing(time.Second)
		log.release(nil)
		watcher.Expect(suback(2, 1))
		watcher.Send(unsubscribe(3, "b"))
		watcher.ExpectNothing(time.Second)
		log.release(nil)
		watcher.Expect(unsuback(scene.Version, 3, 0))
	})
	run("a Retained Message: PUBACK waits", func(scene *mqtest.Scene, log *heldLog, _, p, _ *mqtest.Peer) {
		p.Send(retain(qos1(1, "r", "x")))
		p.ExpectNothing(time.Second)
		log.release(nil)
		p.Expect(puback(1, in(scene.Version, colibri.NoMatchingSubscribers)))
	})
	run("who is away gets it, and PUBACK waits for that", func(scene *mqtest.Scene, log *heldLog, watcher, p, _ *mqtest.Peer) {
		watcher.Disconnect()
		log.release(nil)
		p.Send(qos1(1, "a", "x"))
		p.ExpectNothing(time.Second)
		log.release(nil)
		p.Expect(puback(1, 0))
	})
	run("what promises nothing does not wait for others", func(scene *mqtest.Scene, log *heldLog, watcher, p, plain *mqtest.Peer) {
		plain.Send(subscribe(1, to("q", 1)))
		plain.Expect(suback(1, 1))
		p.Send(qos1(1, "a", "held"))
		plain.Send(qos0("a", "0"), qos1(2, "q", "x"), &packet.Pingreq{})
		plain.Expect(qos1(0, "q", "x"), puback(2, 0), &packet.Pingresp{})
		watcher.Expect(qos0("a", "0"))
		p.Expect()
		log.release(nil)
		p.Expect(puback(1, 0))
	})
	run("acknowledgements of a connection keep their order", func(scene *mqtest.Scene, log *heldLog, watcher, p, _ *mqtest.Peer) {
		none := in(scene.Version, colibri.NoMatchingSubscribers)
		p.Send(qos1(1, "b", "x"), qos1(2, "a", "x"), qos1(3, "b", "x"))
		p.Send(qos1(4, "b", "x"))
		p.Send(&packet.Pingreq{})
		log.release(nil)
		log.release(nil)
		log.release(nil)
		p.Expect(puback(1, none), &packet.Pingresp{}, puback(2, 0), puback(3, none), puback(4, none)) // PINGRESP promises nothing
		watcher.Expect(qos1(0, "a", "x"))
	})
	run("messages keep their order, recorded or not [MQTT-4.6.0-5] [MQTT311-4.6.0-6]", func(scene *mqtest.Scene, log *heldLog, watcher, p, plain *mqtest.Peer) {
		plain.Send(subscribe(1, to("a", 1)))
		plain.Expect(suback(1, 1))
		p.Send(qos1(1, "a", "1"))
		p.Send(qos0("a", "2"))
		p.Send(qos1(3, "a", "3"))
		for range 3 {
			log.release(nil)
		}
		plain.Expect(qos1(0, "a", "1"), qos0("a", "2"), qos1(0, "a", "3"))
		watcher.Expect(qos0("a", "2"), qos1(0, "a", "1"), qos1(0, "a", "3")) // each QoS in its order
	})
	run("a failed append: all connections are closed, without an acknowledgement [MQTT311-4.8.0-2]", func(scene *mqtest.Scene, log *heldLog, watcher, p, plain *mqtest.Peer) {
		p.Send(qos1(1, "a", "x"))
		log.release(errors.New("disk full"))
		p.ExpectEnded(colibri.UnspecifiedError)
		for _, one := range watcher.Received() {
			if one.Type() == packet.PUBLISH {
				scene.Error("a message that was not recorded was delivered")
			}
		}
		plain.ExpectEnded(colibri.UnspecifiedError) // what it would be told could not be kept
		late := scene.Dial()
		late.Send(late.NewConnect("late"))
		late.ExpectClosed(&packet.Connack{Code: map[bool]colibri.ReasonCode{true: colibri.ServerUnavailable, false: 3}[scene.Version == v5]})
	})
}

// TestRecordOrder shows that the Log changes nothing about the order of what arrives,
// whenever and in whatever goroutine it is done.
func TestRecordOrder(t *testing.T) {
	mqtest.Run(t, "a window that opens while an append waits [MQTT-4.6.0-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		log := &heldLog{open: true}
		b := mqtest.New(t, broker.Config{Log: log})
		scene.Use(b)
		defer log.close()
		watcher := scene.Connect("watcher", resume, property(colibri.ReceiveMaximum, 2))
		watcher.Send(subscribe(1, to("a", 1)))
		watcher.Expect(suback(1, 1))
		p := scene.Connect("client")
		p.Send(qos1(1, "a", "1"))
		p.Expect(puback(1, 0))
		watcher.Expect(qos1(1, "a", "1"))
		log.mu.Lock()
		log.open = false
		log.mu.Unlock()
		p.Send(qos1(2, "a", "2"), qos1(3, "a", "3"))
		watcher.Send(puback(1, 0))
		watcher.Expect() // neither is recorded
		log.release(nil)
		p.Expect(puback(2, 0), puback(3, 0))
		log.close()
		watcher.Expect(qos1(0, "a", "2"), qos1(0, "a", "3"))
	})
	mqtest.Run(t, "done in other goroutines at other times [MQTT-4.6.0-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		log := newLateLog()
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		watcher := scene.Connect("watcher", resume)
		watcher.Send(subscribe(1, to("a", 1)))
		time.Sleep(time.Second)
		watcher.Expect(suback(1, 1))
		plain := scene.Connect("plain")
		plain.Send(subscribe(1, to("a", 0)))
		plain.Expect(suback(1, 0))
		p := scene.Connect("client")
		const messages = 2000
		for i := range messages {
			one := qos0("a", fmt.Sprint(i))
			if i%3 == 0 {
				one = qos1(uint16(i+1), "a", fmt.Sprint(i))
			}
			p.Write(p.Encode(one))
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		next := 0
		for _, one := range plain.Received() {
			if got := string(one.(*packet.Publish).Payload); got != fmt.Sprint(next) {
				scene.Fatalf("got message %s, want %d", got, next)
			}
			next++
		}
		if next != messages {
			scene.Errorf("got %d messages, want %d", next, messages)
		}
		want := uint16(1)
		for _, one := range p.Received() {
			if got := one.(*packet.Puback).PacketID; got != want {
				scene.Fatalf("got the PUBACK of %d, want that of %d", got, want)
			}
			want += 3
		}
	})
}

// lateLog is done in its own goroutine, in order, a random time later.
type lateLog struct {
	heldLog
	appends chan func(broker.Pos, error)
}

func newLateLog() *lateLog {
	l := &lateLog{appends: make(chan func(broker.Pos, error), 10_000)}
	go func() {
		random := rand.New(rand.NewPCG(3, 4))
		for done := range l.appends {
			if random.IntN(3) == 0 {
				time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
			}
			done(0, nil)
		}
	}()
	return l
}

func (l *lateLog) Append(_ int, _ []byte, done func(broker.Pos, error)) {
	if done != nil {
		l.appends <- done
	}
}

func (l *lateLog) Close() error {
	close(l.appends)
	synctest.Wait()
	return nil
}
