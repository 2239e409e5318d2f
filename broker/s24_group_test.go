package broker_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// onceLateLog is a keptLog that takes the first frame with the word LATE in it five seconds late,
// as if the goroutine that appends it had not had its turn.
type onceLateLog struct {
	*keptLog
	once atomic.Bool
}

func (l *onceLateLog) Append(lane int, entries []byte, done func(broker.Pos, error)) {
	if bytes.Contains(entries, []byte("LATE")) && !l.once.Swap(true) {
		time.Sleep(5 * time.Second)
	}
	l.keptLog.Append(lane, entries, done)
}

// TestGroupRecorded shows that what waits for a Shared Subscription is taken only when the
// log has it: who has had it does not get it again after a crash, and neither does another
// because the publisher repeats it [MQTT-4.3.3-6].
func TestGroupRecorded(t *testing.T) {
	mqtest.Run(t, "", mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
		log := &onceLateLog{keptLog: &keptLog{}}
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("$share/g/a", 2)))
		p.Expect(suback(1, 2))
		p.Disconnect()
		other := scene.Connect("other")
		other.Write(other.Encode(qos2(1, "a", "LATE")))
		time.Sleep(time.Second)
		p = scene.Connect("client", resume)
		p.ExpectNothing(2 * time.Second)
		another := scene.Connect("another") // which comes behind, and is recorded before
		another.Send(qos2(2, "a", "behind"))
		another.Expect(pubrec(2, 0))
		p.ExpectNothing(time.Second)
		time.Sleep(10 * time.Second)
		other.Expect(pubrec(1, 0))
		for _, one := range p.Expect(qos2(0, "a", "LATE"), qos2(0, "a", "behind")) {
			id := one.(*packet.Publish).PacketID
			p.Send(pubrec(id, 0))
			p.Expect(pubrel(id, 0))
			p.Send(pubcomp(id, 0))
		}
		p.Expect()
		scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false)}))
		p = scene.Connect("client", resume)
		if got := texts(p); len(got) > 0 {
			scene.Errorf("got %v again after its PUBCOMP", got)
		}
	})
}
