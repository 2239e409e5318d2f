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
