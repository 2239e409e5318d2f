package broker_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// slowLog is a keptLog that is done some time after an append, in order, so that others go on
// between the pieces of a checkpoint. It can refuse one of the appends.
type slowLog struct {
	*keptLog
	mu      sync.Mutex
	random  *rand.Rand
	appends chan func()
	refuse  int // the append to refuse, counted from 1; 0 for none
	count   int
}

func newSlowLog(kept *keptLog, seed uint64) *slowLog {
	l := &slowLog{keptLog: kept, random: rand.New(rand.NewPCG(seed, 0)), appends: make(chan func(), 1<<16)}
	go func() {
		for done := range l.appends {
			time.Sleep(time.Duration(l.random.IntN(60)) * time.Millisecond)
			done()
		}
	}()
	return l
}

func (l *slowLog) Append(lane int, entries []byte, done func(broker.Pos, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if l.count == l.refuse {
		if done != nil {
			done(0, fmt.Errorf("%w: a test", broker.ErrRefused))
		}
		return
	}
	if done == nil {
		l.keptLog.Append(lane, entries, nil)
		return
	}
	l.keptLog.Append(lane, entries, func(at broker.Pos, err error) {
		l.appends <- func() { done(at, err) }
	})
}

func (l *slowLog) Close() error {
	close(l.appends)
	return nil
}

// TestCheckpointUnderTraffic shows that a log which is shortened again and again, while
// messages that many Sessions share are delivered and acknowledged, gives back all that was
// acknowledged to the publisher and not by the clients.
func TestCheckpointUnderTraffic(t *testing.T) {
	for seed := range uint64(8) {
		mqtest.Run(t, fmt.Sprint("seed ", seed), mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
			log := newSlowLog(&keptLog{}, seed)
			scene.Use(mqtest.New(t, broker.Config{Log: log, CheckpointBytes: 1}))
			random := rand.New(rand.NewPCG(seed, 1))
			const clients = 8
			var peers [clients]*mqtest.Peer
			var owed [clients]map[string]bool
			for i := range peers {
				owed[i] = map[string]bool{}
				p := scene.Dial()
				peers[i] = p
				p.Send(p.NewConnect(fmt.Sprint("client", i), resume))
				p.Send(subscribe(1, to("a", 1)))
				time.Sleep(time.Second)
				p.Received()
			}
			publisher := scene.Connect("publisher")
			for round := range 60 {
				payload := fmt.Sprint(round, " ", string(make([]byte, 100_000)))
				publisher.Write(publisher.Encode(qos1(uint16(round+1), "a", payload)))
				for i, p := range peers {
					owed[i][payload] = true
					for _, one := range p.Received() {
						if m, ok := one.(*packet.Publish); ok && random.IntN(3) > 0 {
							p.Write(p.Encode(puback(m.PacketID, 0)))
							delete(owed[i], string(m.Payload))
						}
					}
				}
				time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
				if random.IntN(6) == 0 {
					go broker.Checkpoint(scene.Broker)
				}
			}
			time.Sleep(5 * time.Second)
			if got := len(publisher.Received()); got != 60 {
				scene.Fatalf("got %d PUBACKs, want 60", got)
			}
			first := log.first()
			if first == 1 {
				scene.Error("the log was never shortened")
			}
			kept := log.crash(false)
			scene.Use(mqtest.New(t, broker.Config{Log: kept}))
			for i := range peers {
				p := scene.Connect(fmt.Sprint("client", i), resume)
				for batch := p.Received(); len(batch) > 0; batch = p.Received() {
					for _, one := range batch {
						m := one.(*packet.Publish)
						delete(owed[i], string(m.Payload))
						p.Send(puback(m.PacketID, 0))
					}
				}
				if len(owed[i]) > 0 {
					scene.Errorf("client %d: %d messages are lost", i, len(owed[i]))
				}
			}
		})
	}
}

// TestCheckpointRefused shows that nothing is let go of when a piece of a checkpoint was not
// taken, also when those behind it were.
func TestCheckpointRefused(t *testing.T) {
	// appends returns how many there are until a checkpoint has ended.
	run := func(refuse int) (appends int) {
		mqtest.Run(t, fmt.Sprint("append ", refuse), mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
			log := newSlowLog(&keptLog{}, 0)
			scene.Use(mqtest.New(t, broker.Config{Log: log, CheckpointBytes: 1}))
			for i := range 3 {
				p := scene.Dial()
				p.Send(p.NewConnect(fmt.Sprint("client", i), resume))
				time.Sleep(300 * time.Millisecond)
				p.Send(subscribe(1, to("a", 1)))
				time.Sleep(300 * time.Millisecond)
				p.Received()
				p.Drop()
			}
			publish(scene, &colibri.Message{Topic: "a", Payload: []byte("kept"), QoS: 1})
			publish(scene, &colibri.Message{Topic: "r", Payload: []byte("kept"), Retain: true})
			time.Sleep(100 * time.Millisecond)
			log.mu.Lock()
			if refuse > 0 {
				log.refuse = log.count + refuse
			}
			before := log.count
			log.mu.Unlock()
			time.Sleep(time.Second)
			log.mu.Lock()
			appends = log.count - before
			log.mu.Unlock()
			kept := log.crash(false)
			scene.Use(mqtest.New(t, broker.Config{Log: kept}))
			for i := range 3 {
				p := scene.Connect(fmt.Sprint("client", i), resume)
				if !p.Connack.SessionPresent {
					scene.Errorf("the Session of client %d is lost", i)
				}
				p.Expect(qos1(0, "a", "kept"))
			}
			if got := scene.Broker.Stats().Retained; got != 1 {
				scene.Errorf("Retained Messages: got %d, want 1", got)
			}
		})
		return appends
	}
	for refuse := 1; refuse <= run(0); refuse++ {
		run(refuse)
	}
}

// TestCheckpointOfSys shows that what a client may retain below $SYS/ outlives a crash after
// a checkpoint as without one, and that what the broker says of itself does not.
func TestCheckpointOfSys(t *testing.T) {
	for _, least := range []int64{0, 1} {
		mqtest.Run(t, fmt.Sprint("checkpoints from ", least, " bytes on"), mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
			log := &keptLog{}
			config := broker.Config{Log: log, CheckpointBytes: least, Authorizer: rules{}, SysInterval: 10 * time.Second}
			scene.Use(mqtest.New(t, config))
			p := scene.Connect("client")
			p.Send(retain(qos1(1, "$SYS/mine", "x")))
			p.Expect(puback(1, 0))
			p.Send(retain(qos1(2, "$SYS/broker/version", "mine")))
			p.Expect(puback(2, 0))
			time.Sleep(2 * time.Second)
			config.Log, config.SysInterval = log.crash(false), 0
			scene.Use(mqtest.New(t, config))
			p = scene.Connect("client")
			p.Send(subscribe(1, to("$SYS/#", 1)))
			if got := p.Received(); len(got) != 1+2 {
				scene.Errorf("got %v after a crash, want a SUBACK and the two messages of the client", got)
			}
		})
	}
}
