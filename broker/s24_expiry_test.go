package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
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
