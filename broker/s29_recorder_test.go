package broker_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
)

// flightRecord returns what the flight recorder has of a client; of all for "".
func flightRecord(b *broker.Broker, clientID string) (packets []broker.TracedPacket) {
	for p := range b.Recorded(func(c *broker.TracedConnection) bool { return clientID == "" || c.Client.ClientID == clientID }) {
		p.Bytes = slices.Clone(p.Bytes)
		packets = append(packets, p)
	}
	return packets
}

func TestRecorder(t *testing.T) {
	recorder := broker.Config{RecorderBytes: 16 << 20}
	mqtest.Run(t, "has the beginning of all that a capture has", mqtest.V5, recorder, func(scene *mqtest.Scene) {
		c := capturing(scene, broker.CaptureFilter{}, manyBytes)
		var peers []*mqtest.Peer
		for i := range 12 { // of all versions, QoS, with and without aliases and identifiers
			p := scene.DialVersion(mqtest.All[i%3])
			if i%3 == 2 && i%2 == 0 {
				p.Connect(fmt.Sprint("c", i), property(34, 10)) // Topic Alias Maximum
			} else {
				p.Connect(fmt.Sprint("c", i))
			}
			s := subscribe(1, to("house/#", colibri.QoS(2-i%3)))
			if i == 5 {
				s = identified(s, 7)
			}
			p.Send(s)
			p.Received()
			peers = append(peers, p)
		}
		pub := scene.Connect("pub")
		for i := range 20 {
			topic := fmt.Sprint("house/room/", i%2)
			pub.Send(qos0(topic, fmt.Sprint("payload ", i)), qos1(uint16(1+i), topic, strings.Repeat("y", 5000)), qos1(uint16(100+i), topic, "z"))
			pub.Received()
			for _, p := range peers {
				p.Received()
			}
		}
		for _, p := range peers {
			p.Disconnect()
		}
		want := captured(c)
		for i := range peers {
			id := fmt.Sprint("c", i)
			expectSame(scene, id, of(flightRecord(scene.Broker, ""), id), of(want, id))
		}
		expectSame(scene, "pub", flightRecord(scene.Broker, "pub"), of(want, "pub"))
	})
	mqtest.Run(t, "goes round, and keeps the last", mqtest.V311, broker.Config{RecorderBytes: 512 << 10}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		const messages = 20_000
		for i := range messages {
			p.Send(qos0("a", fmt.Sprintf("message %5d", i)))
			if i%50 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		got := flightRecord(scene.Broker, "client")
		if len(got) < 4000 || len(got) > 10_000 {
			scene.Errorf("got %d packets, want what 448 KiB hold", len(got))
		}
		for i, one := range got { // of several shards, in order, and the last ones without a gap
			want := fmt.Sprintf("message %5d", messages-len(got)+i)
			if !bytes.HasSuffix(one.Bytes, []byte(want)) {
				scene.Fatalf("packet %d of %d: got %q, want %q", i, len(got), one.Bytes, want)
			}
		}
	})
	mqtest.Run(t, "knows who has gone, why, and what came last", mqtest.V5, broker.Config{RecorderBytes: 512 << 10, Authenticator: gate{}}, func(scene *mqtest.Scene) {
		p := scene.DialFrom("192.0.2.7:4711")
		p.Connect("client", user("ann", "right"))
		for range 20 {
			p.Ping()
		}
		p.SendBytes([]byte{0x00, 0x00})
		p.Received()
		q := scene.Dial()
		q.Send(q.NewConnect("client", user("bob", "mistaken")))
		q.Received()
		scene.Connect("client", user("eve", "right"))
		time.Sleep(2 * time.Second) // the sweep looks for the last packets
		other := scene.Connect("other", user("ann", "right"))
		for range 10_000 {
			other.Send(qos0("a", "to forget the others"))
		}
		synctest.Wait()
		if got := of(flightRecord(scene.Broker, "client"), "client"); len(got) != 0 {
			scene.Errorf("got %d packets in the recorder, want none any more", len(got))
		}
		known := scene.Broker.TracedConnections("client")
		if len(known) != 3 {
			scene.Fatalf("got %d connections, want 3", len(known))
		}
		first, second, third := known[0], known[1], known[2]
		if first.Client.UserName != "ann" || first.Remote.String() != "192.0.2.7:4711" || first.Clean || !first.Accepted ||
			!strings.Contains(first.Reason, "first byte") && first.Reason == "" || first.Ended.IsZero() {
			scene.Errorf("the first: got %+v", first)
		}
		if got := told(withName(first)); len(got) != 16 || got[15] != "client < DISCONNECT" || got[13] != "client < PINGRESP" {
			scene.Errorf("the last packets of the first: got %q", got)
		}
		if second.Client.UserName != "bob" || second.Accepted || second.Reason != "CONNECT: not this one: Not authorized (0x87)" {
			scene.Errorf("the second: got %+v", second)
		}
		expectTold(scene, "the last packets of the second", withName(second), "client > CONNECT", "client < CONNACK")
		if third.Client.UserName != "eve" || !third.Ended.IsZero() || third.Last != nil {
			scene.Errorf("the third: got %+v", third)
		}
	})
	mqtest.Run(t, "is off", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		scene.Connect("gone").Disconnect()
		scene.Connect("client").Ping()
		if got := flightRecord(scene.Broker, ""); got != nil {
			scene.Errorf("got %q", told(got))
		}
		if got := scene.Broker.TracedConnections("gone"); got != nil {
			scene.Errorf("got %v", got)
		}
		if got := scene.Broker.TracedConnections("client"); len(got) != 1 {
			scene.Errorf("got %v, want the one that is open", got)
		}
	})
	mqtest.Run(t, "forgets who has gone when there are many", mqtest.V311, broker.Config{RecorderBytes: 512 << 10}, func(scene *mqtest.Scene) {
		for i := range 600 {
			scene.Dial().Write([]byte("GET / HTTP/1.1\r\n\r\n")) // not remembered
			scene.Connect(fmt.Sprintf("%03d%s", i, strings.Repeat("x", 500))).Disconnect()
		}
		synctest.Wait()
		kept := 0
		for i := range 600 {
			kept += len(scene.Broker.TracedConnections(fmt.Sprintf("%03d%s", i, strings.Repeat("x", 500))))
		}
		if kept < 50 || kept > 100 { // 64 KiB of about 850 bytes
			scene.Errorf("got %d, want about 75", kept)
		}
		if len(scene.Broker.TracedConnections(fmt.Sprintf("%03d%s", 599, strings.Repeat("x", 500)))) != 1 {
			scene.Error("the last one is forgotten")
		}
	})
}

// withName gives the last packets of a connection its name.
func withName(c *broker.TracedConnection) (packets []broker.TracedPacket) {
	for _, p := range c.Last {
		p.Connection = c
		packets = append(packets, p)
	}
	return packets
}

func of(packets []broker.TracedPacket, clientID string) []broker.TracedPacket {
	return slices.DeleteFunc(slices.Clone(packets), func(p broker.TracedPacket) bool { return p.Connection.Client.ClientID != clientID })
}

// expectSame compares what was recorded with what was captured.
func expectSame(t testing.TB, who string, got, want []broker.TracedPacket) {
	t.Helper()
	if !slices.Equal(told(got), told(want)) {
		t.Errorf("%s: got %q, want %q", who, told(got), told(want))
		return
	}
	for i := range got {
		begin := want[i].Bytes[:min(len(want[i].Bytes), broker.RecordedBytes)]
		if !bytes.Equal(got[i].Bytes, begin) || got[i].Length != want[i].Length {
			t.Errorf("%s, packet %d: got %d bytes % x, want %d % x", who, i, got[i].Length, got[i].Bytes, want[i].Length, begin)
		}
	}
}

// TestRecorderMemory holds the recorder to the memory that it was given, whatever passes.
func TestRecorderMemory(t *testing.T) {
	mqtest.Run(t, "stays", mqtest.V311, broker.Config{RecorderBytes: 1 << 20}, func(scene *mqtest.Scene) {
		heap := func() int64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		sub, pub := scene.Connect("sub"), scene.Connect("pub")
		sub.Send(subscribe(1, to("a", 0)))
		load := func() {
			for range 5000 {
				pub.Send(qos0("a", strings.Repeat("x", 100)))
			}
			sub.Received()
		}
		load()
		before := heap()
		for range 10 {
			load() // 10 MB of records
		}
		if grown := heap() - before; grown > 512<<10 {
			scene.Errorf("the heap has grown by %d bytes", grown)
		}
	})
}
