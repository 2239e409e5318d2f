package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	recorded "github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestRetainedLeavesWhenExpired shows that Retained Messages which have expired leave memory
// and the Log although nobody asks for them, and that others stay.
func TestRetainedLeavesWhenExpired(t *testing.T) {
	mqtest.Run(t, "", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		log := &keptLog{}
		scene.Use(mqtest.New(t, broker.Config{Log: log, CheckpointBytes: 1}))
		p := scene.Connect("client")
		p.Send(retain(qos1(1, "stays", "x")))
		p.Received()
		for day := range 20 {
			for i := range uint16(100) {
				p.Send(retain(with(qos1(i+1, fmt.Sprint("day ", day, "/", i), string(make([]byte, 1000))), number(colibri.MessageExpiryInterval, 60))))
				p.Received()
			}
			time.Sleep(24 * time.Hour)
			if got := scene.Broker.Stats().Retained; got != 1 {
				scene.Fatalf("day %d: got %d Retained Messages, want the one that does not expire", day, got)
			}
			if got := log.Bytes(); got > 500_000 {
				scene.Errorf("day %d: got %d bytes in the Log, want no more than what five days bring", day, got)
			}
		}
		scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false)}))
		if got := scene.Broker.Stats().Retained; got != 1 {
			scene.Errorf("got %d Retained Messages after a restart, want the one that does not expire", got)
		}
	})
}

// TestSessionExpiryLimit shows that neither a DISCONNECT nor a restart with a shorter limit
// leaves a Session for longer than Limits.SessionExpiry.
func TestSessionExpiryLimit(t *testing.T) {
	for _, how := range []string{"DISCONNECT", "an older limit"} {
		mqtest.Run(t, how, mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
			log := &keptLog{}
			limits := broker.Limits{SessionExpiry: 60}
			if how == "an older limit" {
				limits.SessionExpiry = 0
			}
			scene.Use(mqtest.New(t, broker.Config{Log: log, Limits: limits}))
			p := scene.Connect("client", property(colibri.SessionExpiryInterval, 10))
			p.Send(&packet.Disconnect{Properties: number(colibri.SessionExpiryInterval, 0xFFFFFFFF)})
			p.Received()
			limits.SessionExpiry = 60
			scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false), Limits: limits}))
			time.Sleep(50 * time.Second)
			if got := scene.Broker.Stats().Sessions; got != 1 {
				scene.Errorf("got %d Sessions after 50 seconds, want that of the client", got)
			}
			time.Sleep(11 * time.Second)
			if got := scene.Broker.Stats().Sessions; got != 0 {
				scene.Errorf("got %d Sessions after 61 seconds, want none as the limit is 60", got)
			}
		})
	}
}

// TestClockGoesBack shows that a broker which starts with a clock in the past, and ends,
// does not end Sessions early for the one that has the right time again; and that one which
// goes on ends them.
func TestClockGoesBack(t *testing.T) {
	mqtest.Run(t, "", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		const day = 24 * 60 * 60
		right := time.Now().Add(3 * 24 * time.Hour)
		log := &keptLog{}
		var entries []byte
		for _, e := range []recorded.Entry{
			recorded.Format{Version: recorded.FormatVersion, LastSession: 2},
			recorded.SessionOpened{Session: 1, ClientID: "closed", Version: colibri.V5, ExpiryInterval: day},
			recorded.SessionOpened{Session: 2, ClientID: "connected", Version: colibri.V5, ExpiryInterval: day},
			recorded.SessionClosed{Session: 1, At: right.UnixNano(), ExpiryInterval: day},
		} {
			entries = recorded.Append(entries, e)
		}
		log.Append(0, entries, nil)
		scene.Use(mqtest.New(t, broker.Config{Log: log, CheckpointBytes: 1})) // in the past
		scene.Connect("comes", property(colibri.SessionExpiryInterval, day)).Drop()
		time.Sleep(time.Hour)
		log = log.crash(false)
		time.Sleep(time.Until(right.Add(time.Hour)))
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		time.Sleep(time.Second)
		for _, clientID := range []string{"closed", "connected", "comes"} {
			if _, ok := scene.Broker.Client(clientID); !ok {
				scene.Errorf("the Session %q has ended", clientID)
			}
		}
		time.Sleep(24 * time.Hour)
		if got := scene.Broker.Stats().Sessions; got != 0 {
			scene.Errorf("got %d Sessions a day later, want none", got)
		}

		log = &keptLog{}
		entries = recorded.Append(entries, recorded.SessionClosed{Session: 2, At: time.Now().Add(100 * 24 * time.Hour).UnixNano(), ExpiryInterval: day})
		log.Append(0, entries, nil)
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		time.Sleep(25 * time.Hour)
		if got := scene.Broker.Stats().Sessions; got != 0 {
			scene.Errorf("got %d Sessions that were closed in the future and waited for longer than their interval, want none", got)
		}
	})
}
