package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
)

// TestPerAddress shows how many connections one address may have, with CONNECT and without.
func TestPerAddress(t *testing.T) {
	var mu sync.Mutex
	var events []string
	config := broker.Config{Limits: broker.Limits{PerAddress: 2}, Events: func(e broker.Event) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case broker.Limited:
			events = append(events, fmt.Sprintf("%s: %s", e.Remote, e.Limit))
		case broker.Refused:
			events = append(events, fmt.Sprintf("%s: %v", e.Remote, e.Code))
		}
	}}
	mqtest.Run(t, "", mqtest.V5, config, func(scene *mqtest.Scene) {
		mu.Lock()
		events = nil
		mu.Unlock()
		expect := func(address string, served bool) *mqtest.Peer {
			scene.Helper()
			p := scene.DialFrom(address)
			synctest.Wait()
			if served {
				p.Connect(address)
			} else {
				p.ExpectClosed()
			}
			return p
		}
		first := expect("192.0.2.1:1", true)
		silent := scene.DialFrom("[::ffff:192.0.2.1]:2") // the same address, and no CONNECT
		synctest.Wait()
		expect("192.0.2.1:3", false)
		expect("192.0.2.2:1", true)
		expect("[2001:db8::1]:1", true)
		expect("[2001:db8::2]:1", true)
		expect("[2001:db8::ffff:3]:1", false) // the same 64 bits
		expect("[2001:db8:0:1::1]:1", true)
		for range 3 {
			scene.Dial() // without an IP address
		}
		want := []string{"192.0.2.1:3: connections of an address", "192.0.2.1:3: Quota exceeded (0x97)",
			"[2001:db8::ffff:3]:1: connections of an address", "[2001:db8::ffff:3]:1: Quota exceeded (0x97)"}
		mu.Lock()
		got := slices.Clone(events)
		mu.Unlock()
		if !slices.Equal(got, want) {
			scene.Errorf("events: got %q, want %q", got, want)
		}
		if got := scene.Broker.Stats().Limited[broker.LimitAddress]; got != 2 {
			scene.Errorf("counted: got %d, want 2", got)
		}
		first.Drop() // each end makes room, also that of one without a CONNECT
		synctest.Wait()
		again := expect("192.0.2.1:4", true)
		expect("192.0.2.1:5", false)
		silent.Drop()
		synctest.Wait()
		expect("192.0.2.1:6", true).Disconnect()
		synctest.Wait()
		last := expect("192.0.2.1:7", true)
		if got := scene.Broker.Addresses(); got != 4 {
			scene.Errorf("addresses: got %d, want 4", got)
		}
		last.Drop()
		silent.Drop()
		again.Drop()
		synctest.Wait()
		if got := scene.Broker.Addresses(); got != 3 {
			scene.Errorf("addresses without one that has gone: got %d, want 3", got)
		}
	})
}

// TestFlapping shows that two devices with one Client Identifier are named once, and again
// after a minute with a count.
func TestFlapping(t *testing.T) {
	var events []broker.Flapping
	config := broker.Config{SysInterval: time.Second, Events: func(e broker.Event) {
		if e, ok := e.(broker.Flapping); ok {
			events = append(events, e)
		}
	}}
	takeover := func(scene *mqtest.Scene, clientID string, device int) {
		scene.DialFrom(fmt.Sprintf("192.0.2.%d:1883", device)).Connect(clientID)
		synctest.Wait()
	}
	mqtest.Run(t, "is told once a minute", mqtest.All, config, func(scene *mqtest.Scene) {
		events = nil
		takeover(scene, "pump", 1)
		for i := range 1000 { // for 100 s
			takeover(scene, "pump", 2-i%2)
			time.Sleep(100 * time.Millisecond)
		}
		if len(events) != 2 {
			scene.Fatalf("got %d events, want 2", len(events))
		}
		for i, want := range []int64{3, 600} {
			e := events[i]
			remotes := []string{e.Remotes[0].String(), e.Remotes[1].String()}
			slices.Sort(remotes)
			if e.Client.ClientID != "pump" || e.Takeovers != want || !slices.Equal(remotes, []string{"192.0.2.1:1883", "192.0.2.2:1883"}) {
				scene.Errorf("event %d: got %+v, want %d takeovers of pump by both", i, e, want)
			}
		}
		if got := scene.Broker.Stats().Limited[broker.LimitTakeovers]; got != 998 {
			scene.Errorf("counted: got %d, want 998", got)
		}
		time.Sleep(time.Second)
		if got := sysTopics(scene, "$SYS/broker/limit/+"); got["limit/takeovers"] != "998" {
			scene.Errorf("$SYS: got %v", got)
		}
		time.Sleep(time.Minute) // it is over
		takeover(scene, "pump", 1)
		takeover(scene, "pump", 2)
		if len(events) != 2 {
			scene.Errorf("two takeovers more: got %+v", events[2:])
		}
		takeover(scene, "pump", 1)
		if len(events) != 3 || events[2].Takeovers != 3 {
			scene.Errorf("a third one: got %+v", events[2:])
		}
	})
	mqtest.Run(t, "is not what moves or comes back", mqtest.V5, config, func(scene *mqtest.Scene) {
		events = nil
		for i := range 20 { // one takeover every six seconds, and one of each of many devices
			takeover(scene, "pump", i%2)
			takeover(scene, fmt.Sprint(i/2), i)
			time.Sleep(6 * time.Second)
		}
		for range 20 { // its old connection has ended
			p := scene.DialFrom("192.0.2.1:1883")
			p.Connect("sleeper")
			p.Drop()
			synctest.Wait()
		}
		if len(events) > 0 {
			scene.Errorf("got %+v", events)
		}
	})
	mqtest.Run(t, "is watched of a bounded number", mqtest.V5, config, func(scene *mqtest.Scene) {
		const watched = 1024
		for i := range watched + 10 {
			takeover(scene, fmt.Sprint(i), 1)
			takeover(scene, fmt.Sprint(i), 2)
		}
		if got := scene.Broker.Stats().Limited[broker.LimitTakeoverTable]; got != 10 {
			scene.Errorf("takeovers that were not watched: got %d, want 10", got)
		}
		time.Sleep(time.Minute + time.Second) // the table is free again
		for i := range 3 {
			takeover(scene, "0", i)
			takeover(scene, "other", i)
		}
		if got := scene.Broker.Stats().Limited[broker.LimitTakeoverTable]; got != 10 {
			scene.Errorf("later: got %d takeovers that were not watched, want 10", got)
		}
	})
}

// waitToConnect connects a client and returns how long it takes, to a tenth of a second.
func waitToConnect(scene *mqtest.Scene, clientID string) time.Duration {
	start, p := time.Now(), scene.Dial()
	p.Send(p.NewConnect(clientID))
	synctest.Wait()
	for len(p.Received()) == 0 {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(start)
}

// TestTakeoverPause shows that flapping devices can be slowed down, and nobody else is.
func TestTakeoverPause(t *testing.T) {
	config := broker.Config{Limits: broker.Limits{TakeoverPause: 3 * time.Second}}
	mqtest.Run(t, "", mqtest.All, config, func(scene *mqtest.Scene) {
		for i, want := range []time.Duration{0, 0, 0, 0, 3 * time.Second, 3 * time.Second} {
			if got := waitToConnect(scene, "pump"); got != want {
				scene.Errorf("connection %d: waited %v, want %v", i+1, got, want)
			}
			if got := waitToConnect(scene, fmt.Sprint("other", i)); got != 0 {
				scene.Errorf("another client: waited %v", got)
			}
		}
		time.Sleep(11 * time.Second)
		if got := waitToConnect(scene, "pump"); got != 0 {
			scene.Errorf("after a rest: waited %v", got)
		}
	})
	config.Limits.TakeoverPause = time.Hour
	mqtest.Run(t, "at most half of the time to CONNECT", mqtest.V5, config, func(scene *mqtest.Scene) {
		for range 4 {
			scene.Connect("pump")
		}
		if got := waitToConnect(scene, "pump"); got != 5*time.Second {
			scene.Errorf("waited %v, want 5s", got)
		}
		p := scene.Dial()
		p.Send(p.NewConnect("pump"))
		synctest.Wait()
		scene.Broker.Shutdown(context.Background())
		if got := p.Received(); len(got) != 1 {
			scene.Errorf("who waits at the end: got %v, want a refusal", got)
		}
	})
}
