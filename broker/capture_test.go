package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// TestOverlap compares overlap with what topic.Match says of all short topics.
func TestOverlap(t *testing.T) {
	var topics, filters []string
	var grow func(prefix string, levels int)
	grow = func(prefix string, levels int) {
		for _, level := range []string{"a", "b", "$c", "", "+", "#"} {
			text := prefix + level
			switch {
			case text == "":
			case topic.CheckFilter(text) == nil:
				filters = append(filters, text)
			}
			if text != "" && !strings.ContainsAny(text, "+#") {
				topics = append(topics, text)
			}
			if levels > 1 && level != "#" {
				grow(text+"/", levels-1)
			}
		}
	}
	grow("", 3)
	topics = append(topics, "") // which nobody can publish to; both filters match it
	for _, a := range filters {
		if strings.Count(a, "/") > 1 { // so that the topics are deep enough for both
			continue
		}
		for _, b := range filters {
			want := false
			for _, name := range topics {
				want = want || topic.Match(a, name) && topic.Match(b, name)
			}
			if got := overlap(strings.Split(a, "/"), strings.Split(b, "/"), true); got != want {
				t.Errorf("%s and %s: got %v, want %v", a, b, got, want)
			}
		}
	}
}

// TestCaptureUnderLoad begins and ends captures and reads the recorder while messages pass:
// everything that is seen is whole.
func TestCaptureUnderLoad(t *testing.T) {
	server, err := New(Config{RecorderBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown(context.Background())
	for i := range 5 {
		go joinSink(t, server, fmt.Sprintf("receiver-%d", i), &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "road"}}}).run()
	}
	message := appendPacket(nil, &packet.Publish{Topic: "road", Payload: []byte("0123456789abcdef")}, colibri.V5)
	done := make(chan struct{})
	var load sync.WaitGroup
	for i := range 3 {
		c := joinSink(t, server, fmt.Sprintf("publisher-%d", i))
		load.Go(func() {
			for {
				select {
				case <-done:
					c.end(errShutdown)
					return
				default:
				}
				batch := server.takeBatch()
				if err := c.process(batch, bytes.Repeat(message, 20)); err != nil {
					t.Error(err)
				}
				batch.giveBack()
			}
		})
	}
	seen := 0
	look := func(p *TracedPacket) {
		if p.Length == 0 {
			return
		}
		seen++
		if _, n, err := packet.Decode(p.Bytes, colibri.V5); err != nil || n != p.Length || n != len(p.Bytes) {
			t.Errorf("got % x of %d bytes, %v", p.Bytes, p.Length, err)
		}
	}
	for i := range 60 {
		filter := []CaptureFilter{{}, {Topic: "road"}, {ClientID: "receiver-1"}}[i%3]
		c, err := server.Capture(filter, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			packets, err := c.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range packets {
				look(&packets[i])
			}
		}
		c.Close()
		if c.Close(); i%20 == 0 {
			for p := range server.Recorded(nil) {
				look(&p)
			}
		}
	}
	close(done)
	load.Wait()
	if seen == 0 || server.captures.list() != nil {
		t.Errorf("got %d packets, %d captures are left", seen, len(server.captures.list()))
	}
}

// TestTrail sends one message to so many that it does not fit into one trail, and reads it back.
func TestTrail(t *testing.T) {
	r := newRecorder(1 << 20)
	trail := trail{recorder: r}
	const receivers = 5000
	p := &publication{bytes: []byte("0123456789"), idAt: 4, serial: 1}
	plain := &publication{bytes: []byte("abcdefgh"), serial: 2}
	for i := range receivers {
		p.first, p.id, plain.first = byte(i), uint16(i), byte(i%3)
		trail.publish(uint64(i), p, time.Unix(7, 0))
		trail.publish(uint64(i), plain, time.Unix(7, 0))
	}
	trail.flush()
	n := 0
	mergeTrails(r.snapshot(), func(e *entry) bool {
		i := n / 2
		want := []byte{byte(i), '1', '2', '3', byte(i >> 8), byte(i), '6', '7', '8', '9'}
		if n%2 == 1 {
			want = append([]byte{byte(i % 3)}, "bcdefgh"...)
		}
		if e.number != uint64(i) || e.kind != entryOut || e.length != len(want) || !bytes.Equal(e.bytes, want) || e.at != 7e9 {
			t.Fatalf("entry %d: got %+v, want %q", n, e, want)
		}
		n++
		return true
	})
	if n != 2*receivers {
		t.Errorf("got %d, want %d", n, 2*receivers)
	}
}

// TestInWords says nothing of what a packet holds.
func TestInWords(t *testing.T) {
	b := new(Broker)
	for _, err := range []error{&invariantBroken{packet: []byte("secret")}, fmt.Errorf("read: %w", &invariantBroken{value: "secret"})} {
		if got := b.inWords(err); got != "an internal error, which the log has" {
			t.Errorf("got %q", got)
		}
	}
	if got := b.inWords(errors.New(strings.Repeat("x", 9999))); len(got) != maxReason {
		t.Errorf("got %d bytes, want %d", len(got), maxReason)
	}
}

// TestRecorderAllocates nothing for a packet.
func TestRecorderAllocates(t *testing.T) {
	r := newRecorder(1 << 20)
	trail := trail{recorder: r}
	p := &publication{bytes: make([]byte, 100), idAt: 8, serial: 1}
	if n := testing.AllocsPerRun(1000, func() {
		for i := range 100 {
			p.serial = uint64(1 + i/10)
			trail.publish(uint64(i), p, time.Time{})
		}
		trail.packet(entryIn, 1, p.bytes, nil, 100, 0, 0)
		trail.flush()
	}); n > 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
