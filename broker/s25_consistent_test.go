package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// tardyLog is a keptLog that is slow to be done, as a disk is. Frames of the road that say LATE
// come to it an hour after they were decided, as if their goroutine had waited for its turn.
type tardyLog struct {
	*keptLog
	slow  atomic.Bool
	late  atomic.Bool
	full  atomic.Bool // it refuses all
	dones chan func()
}

func newTardyLog() *tardyLog {
	l := &tardyLog{keptLog: &keptLog{}, dones: make(chan func(), 1<<16)}
	go func() {
		for done := range l.dones {
			if l.slow.Load() {
				time.Sleep(time.Second)
			}
			done()
		}
	}()
	return l
}

func (l *tardyLog) Append(lane int, entries []byte, done func(broker.Pos, error)) {
	if l.late.Load() && bytes.Contains(entries, []byte("LATE")) && !isPiece(entries) {
		time.Sleep(time.Hour)
	}
	switch {
	case l.full.Load() && done != nil:
		l.dones <- func() { done(0, fmt.Errorf("%w: a test", broker.ErrRefused)) }
	case l.full.Load():
	case done == nil:
		l.keptLog.Append(lane, entries, nil)
	default:
		l.keptLog.Append(lane, entries, func(at broker.Pos, err error) {
			l.dones <- func() { done(at, err) }
		})
	}
}

func (l *tardyLog) Close() error {
	close(l.dones)
	return nil
}

// isPiece reports whether a frame is one of a checkpoint.
func isPiece(entries []byte) bool { return len(entries) > 1 && entries[1] == 0x03 }

// bodies returns those of the PUBLISH packets that have come, and acknowledges nothing.
func bodies(p *mqtest.Peer) (all []string) {
	for _, one := range p.Received() {
		if m, ok := one.(*packet.Publish); ok {
			all = append(all, string(m.Payload))
		}
	}
	return all
}

// TestCheckpointOfWhatIsNotRecorded shows that a checkpoint which sees a QoS 2 message that is
// decided and not recorded yet does not count after a crash: the client repeats the message,
// and each Session has it once.
func TestCheckpointOfWhatIsNotRecorded(t *testing.T) {
	mqtest.Run(t, "", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		log := newTardyLog()
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		const watchers = 8
		for i := range watchers {
			p := scene.Connect(fmt.Sprint("watcher", i), resume)
			p.Send(subscribe(1, to("a", 2), to(fmt.Sprint("large/", i), 1)))
			p.Received()
			p.Disconnect()
		}
		other := scene.Connect("other")
		for i := range watchers { // so that the checkpoint waits between two Sessions
			other.Send(qos1(uint16(i+1), fmt.Sprint("large/", i), string(make([]byte, 300_000))))
			other.Received()
		}
		p := scene.Connect("client", resume)
		p.Received()
		log.slow.Store(true)
		log.late.Store(true)
		go broker.Checkpoint(scene.Broker)
		time.Sleep(4500 * time.Millisecond)
		p.Write(p.Encode(qos2(5, "a", "LATE")))
		time.Sleep(time.Minute)
		if got := p.Received(); len(got) != 0 {
			scene.Fatalf("got %v before it is recorded", got)
		}
		scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false)}))
		p = scene.Connect("client", resume)
		p.Send(dup(qos2(5, "a", "LATE")))
		p.Expect(pubrec(5, 0))
		p.Send(pubrel(5, 0))
		p.Expect(pubcomp(5, 0))
		for i := range watchers {
			got := bodies(scene.Connect(fmt.Sprint("watcher", i), resume))
			if n := len(slices.DeleteFunc(got, func(payload string) bool { return payload != "LATE" })); n != 1 {
				scene.Errorf("watcher %d: got the message %d times", i, n)
			}
		}
	})
}

// TestCheckpointWhileAMemberTakes shows that a message which a member takes from the queue of
// its Shared Subscription, while a checkpoint writes the one and then the other, is not lost.
func TestCheckpointWhileAMemberTakes(t *testing.T) {
	mqtest.Run(t, "", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		log := newTardyLog()
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		const others = 8
		for i := range others {
			p := scene.Connect(fmt.Sprint("watcher", i), resume)
			p.Send(subscribe(1, to(fmt.Sprint("large/", i), 1)))
			p.Received()
			p.Disconnect()
		}
		member := scene.Connect("member", resume)
		member.Send(subscribe(1, to("$share/g/a", 1)))
		member.Received()
		member.Disconnect()
		other := scene.Connect("other")
		for i := range others {
			other.Send(qos1(uint16(i+1), fmt.Sprint("large/", i), string(make([]byte, 300_000))))
			other.Received()
		}
		other.Send(qos1(100, "a", "LATE"))
		other.Expect(puback(100, 0)) // acknowledged
		log.slow.Store(true)
		log.late.Store(true)
		go broker.Checkpoint(scene.Broker)
		time.Sleep(6500 * time.Millisecond)
		member = scene.Dial()
		member.Write(member.Encode(member.NewConnect("member", resume)))
		time.Sleep(time.Minute)
		scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false)}))
		if got := bodies(scene.Connect("member", resume)); !slices.Equal(got, []string{"LATE"}) {
			scene.Errorf("got %q, want the message that was acknowledged", got)
		}
	})
}

// coarseLog is a keptLog that lets go of whole segments only, as a log in files does, and
// remembers its largest frame.
type coarseLog struct {
	*keptLog
	largest int
}

func (l *coarseLog) Append(lane int, entries []byte, done func(broker.Pos, error)) {
	l.mu.Lock()
	l.largest = max(l.largest, len(entries))
	l.mu.Unlock()
	l.keptLog.Append(lane, entries, done)
}

func (l *coarseLog) Truncate(lane int, before broker.Pos) error {
	const frames = 40 // in a segment
	return l.keptLog.Truncate(lane, (before-1)/frames*frames+1)
}

// copied returns the log as it is, for another broker.
func (l *coarseLog) copied() *keptLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &keptLog{frames: slices.Clone(l.frames), bytes: l.bytes}
}

// TestCheckpointAfterCheckpoint shows that a log can be read of which a checkpoint has let go
// of some pieces of the checkpoint before, and not of others.
func TestCheckpointAfterCheckpoint(t *testing.T) {
	mqtest.Run(t, "", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		log := &coarseLog{keptLog: &keptLog{}}
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		const clients = 60
		for i := range clients {
			p := scene.Connect(fmt.Sprint("client", i), resume)
			p.Send(subscribe(1, to("a", 1)))
			p.Expect(suback(1, 1))
			p.Disconnect()
		}
		other := scene.Connect("other")
		for round := range uint16(12) {
			for i := range 10 + round {
				other.Send(qos1(round*30+i+1, "a", fmt.Sprint("message ", round, i)))
				other.Expect(puback(round*30+i+1, 0))
			}
			if !broker.Checkpoint(scene.Broker) {
				scene.Fatal("the log was not shortened")
			}
			b, err := broker.New(broker.Config{Log: log.copied()})
			if err != nil {
				scene.Fatalf("round %d: a broker cannot start any more: %v", round, err)
			}
			b.Shutdown(context.Background())
		}
		if log.first() == 1 {
			scene.Error("nothing was let go of")
		}
	})
}

// TestCheckpointPieces shows that a checkpoint writes what waits in small pieces.
func TestCheckpointPieces(t *testing.T) {
	mqtest.Run(t, "", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		log := &coarseLog{keptLog: &keptLog{}}
		scene.Use(mqtest.New(t, broker.Config{Log: log, Limits: broker.Limits{Inflight: 1000}}))
		for clientID, filter := range map[string]string{"away": "a", "member": "$share/g/a"} {
			p := scene.Connect(clientID, resume)
			p.Send(subscribe(1, to(filter, 1)))
			p.Expect(suback(1, 1))
			p.Disconnect()
		}
		here := scene.Connect("here", resume)
		here.Send(subscribe(1, to("a", 1)))
		here.Expect(suback(1, 1))
		other := scene.Connect("other")
		for i := range uint16(100) {
			other.Send(qos1(i+1, "a", string(make([]byte, 100_000))))
			other.Expect(puback(i+1, 0))
			here.Received() // and does not acknowledge
		}
		if !broker.Checkpoint(scene.Broker) {
			scene.Fatal("the log was not shortened")
		}
		if log.largest > 512<<10 {
			scene.Errorf("the largest frame has %d bytes, and a piece should have about 256 KiB", log.largest)
		}
		scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false)}))
		for clientID, want := range map[string]int{"away": 100, "member": 100, "here": 100} {
			p := scene.Connect(clientID, resume)
			got := 0
			for some := p.Received(); len(some) > 0; some = p.Received() {
				for _, one := range some {
					got++
					p.Send(puback(one.(*packet.Publish).PacketID, 0))
				}
			}
			if got != want {
				scene.Errorf("%s: got %d messages, want %d", clientID, got, want)
			}
		}
	})
}

// TestConnackOfWhatIsNotRecorded shows that a client whose CONNECT the log has not taken gets
// no CONNACK: that a Session was ended, or is there, would be forgotten by a crash.
func TestConnackOfWhatIsNotRecorded(t *testing.T) {
	mqtest.Run(t, "refused", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		log := newTardyLog()
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		scene.Connect("client", resume).Drop()
		log.full.Store(true)
		p := scene.Dial()
		p.Send(p.NewConnect("other", resume))
		if got := p.Received(); len(got) > 0 {
			scene.Errorf("got %v for a Session that the log has refused", got)
		}
	})
	mqtest.Run(t, "a disk that fails", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		log := &heldLog{}
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		defer log.close()
		p := scene.Dial()
		p.Send(p.NewConnect("client", resume))
		p.ExpectNothing(time.Second)
		log.release(errors.New("the disk is broken"))
		if got := p.Received(); len(got) > 0 {
			scene.Errorf("got %v after the log has failed", got)
		}
	})
}
