package inspect_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
)

// The packets of the tests.
func connect(t testing.TB, v colibri.Version) string {
	return wireBytes(t, &packet.Connect{Version: v, CleanStart: true, KeepAlive: 60, ClientID: "id"}, v)
}

func connack(t testing.TB, v colibri.Version) string {
	return wireBytes(t, &packet.Connack{}, v)
}

func publish(t testing.TB, v colibri.Version, topic, payload string) string {
	return wireBytes(t, &packet.Publish{Topic: topic, QoS: 1, PacketID: 7, Payload: []byte(payload)}, v)
}

func TestStreams(t *testing.T) {
	const v = colibri.V5
	long := publish(t, v, "long", strings.Repeat("x", 300))
	ack := wireBytes(t, &packet.Puback{PacketID: 7}, v)
	for _, tt := range []struct {
		name   string
		script func(w *wire)
		want   string
		count  func(s *inspect.Summary) (name string, got, want int)
	}{
		{"one packet a segment", func(w *wire) {
			w.open()
			w.send(client, connect(t, v))
			w.send(server, connack(t, v))
			w.send(client, publish(t, v, "a", "b"))
			w.send(server, ack)
		}, "4 -> Connect Command\n5 <- Connect Ack\n6 -> Publish Message (id=7) [a]\n7 <- Publish Ack (id=7)\n", nil},
		{"three packets in one segment", func(w *wire) {
			w.open().send(client, connect(t, v)+publish(t, v, "a", "b")+"\xE0\x00")
		}, "4 -> Connect Command\n4 -> Publish Message (id=7) [a]\n4 -> Disconnect Req\n", nil},
		{"a byte a segment", func(w *wire) {
			w.open()
			for _, b := range []byte(connect(t, v)) {
				w.send(client, string([]byte{b}))
			}
		}, "20 -> Connect Command\n", nil},
		{"one packet over segments", func(w *wire) {
			w.open().send(client, connect(t, v)+long[:100])
			w.send(client, long[100:200])
			w.send(client, long[200:]+"\xC0\x00")
		}, "4 -> Connect Command\n6 -> Publish Message (id=7) [long]\n6 -> Ping Request\n", nil},
		{"retransmitted, and with an overlap", func(w *wire) {
			w.open().send(client, connect(t, v))
			start := w.seq[client]
			w.send(client, long[:100])
			w.at(client, start, pcap.ACK, long[:100])
			w.at(client, start+50, pcap.ACK, long[50:250])
			w.at(client, start+250, pcap.ACK, long[250:])
		}, "4 -> Connect Command\n8 -> Publish Message (id=7) [long]\n",
			func(s *inspect.Summary) (string, int, int) { return "retransmitted", s.Retransmitted, 1 }},
		{"out of order", func(w *wire) {
			w.open().send(client, connect(t, v))
			start := w.seq[client]
			w.at(client, start+200, pcap.ACK, long[200:])
			w.at(client, start+100, pcap.ACK, long[100:200])
			w.at(client, start, pcap.ACK, long[:100])
		}, "4 -> Connect Command\n7 -> Publish Message (id=7) [long]\n",
			func(s *inspect.Summary) (string, int, int) { return "reordered", s.Reordered, 2 }},
		{"a gap inside a packet", func(w *wire) {
			w.open().send(client, connect(t, v)+long[:100])
			w.seq[client] += 100
			w.send(client, long[200:]+"\xC0\x00")
		}, "4 -> Connect Command\n5 -> Publish Message (id=7) [long] [100 bytes not captured]\n5 -> Ping Request\n",
			func(s *inspect.Summary) (string, int, int) { return "missing", s.MissingBytes, 100 }},
		{"a gap over the end of a packet", func(w *wire) {
			w.open().send(client, connect(t, v)+long[:300])
			w.seq[client] += 100
			w.send(client, "rest of something"+"\xC0\x00")
			w.send(client, publish(t, v, "a", "b"))
		}, "4 -> Connect Command\n5 gap of 100\n6 -> Publish Message (id=7) [a]\n",
			func(s *inspect.Summary) (string, int, int) { return "skipped", s.SkippedBytes, 19 }},
		{"begun in the middle, 5.0", func(w *wire) {
			w.send(client, "\xC0\x00")
			w.send(server, "\xD0\x00")
			w.send(client, wireBytes(t, &packet.Publish{Topic: "a", Payload: []byte("21.5")}, v))
		}, "1 -> Ping Request guessed 3.1.1\n2 <- Ping Response guessed 3.1.1\n3 -> Publish Message [a] guessed 5.0\n", nil},
		{"begun in the middle, 3.1.1", func(w *wire) {
			w.send(server, wireBytes(t, &packet.Publish{Topic: "a", Payload: []byte("21.5")}, colibri.V311))
			w.send(client, wireBytes(t, &packet.Subscribe{PacketID: 9, Subscriptions: []colibri.Subscription{{Filter: "b/#"}}}, colibri.V311))
		}, "1 <- Publish Message [a] guessed 3.1.1\n2 -> Subscribe Request (id=9) [b/#] guessed 3.1.1\n", nil},
		{"begun in the middle of a packet", func(w *wire) {
			w.send(client, long[150:])
			w.send(client, publish(t, v, "a", ""))
		}, "2 -> Publish Message (id=7) [a] guessed 5.0\n", nil},
		{"a packet behind bytes that came before", func(w *wire) {
			w.open().send(client, connect(t, v))
			start := w.seq[client]
			w.send(client, "\xC0\x00")
			w.at(client, start, pcap.ACK, "\xC0\x00\xE0\x00")
		}, "4 -> Connect Command\n5 -> Ping Request\n6 -> Disconnect Req\n", nil},
		{"a gap that nobody fills is passed over", func(w *wire) {
			w.open().send(client, connect(t, v))
			w.seq[client] += 5
			w.send(client, "\xC0\x00")
			for range 10 {
				w.send(server, "\xD0\x00")
			}
		}, "4 -> Connect Command\n" + strings.Join(numbered(6, 14, "%d <- Ping Response\n"), "") + "5 gap of 5\n5 -> Ping Request\n15 <- Ping Response\n", nil},
		{"the client has the lower port", func(w *wire) {
			w.ends[server] = onPort(w, 50000)
			w.send(client, connect(t, v))
			w.send(server, connack(t, v))
		}, "1 -> Connect Command\n2 <- Connect Ack\n", nil},
		{"another port, found by its CONNECT", func(w *wire) {
			w.ends[server] = onPort(w, 4711)
			w.open().send(client, connect(t, v))
			w.send(server, connack(t, v))
		}, "4 -> Connect Command\n5 <- Connect Ack\n", nil},
		{"another port, another protocol", func(w *wire) {
			w.ends[server] = onPort(w, 4711)
			w.open().send(client, "EHLO somebody.example\r\n")
			w.send(client, connect(t, v))
		}, "", nil},
		{"the same ports again", func(w *wire) {
			w.open().send(client, connect(t, v))
			w.at(client, w.seq[client]+1, pcap.ACK, "\xC0\x00") // waits for what is before it
			w.frame(client, pcap.RST, "")
			w.seq[client] += 1 << 20
			w.open().send(client, connect(t, colibri.V311))
			w.send(client, wireBytes(t, &packet.Publish{Topic: "old", Payload: []byte{0}}, colibri.V311))
		}, "4 -> Connect Command\n5 gap of 1\n5 -> Ping Request\n10 -> Connect Command\n11 -> Publish Message [old]\n", nil},
		{"a malformed packet, and one behind it", func(w *wire) {
			w.open().send(client, connect(t, v)+"\x82\x02\x00\x00"+"\xC0\x00")
		}, "4 -> Connect Command\n4 -> Subscribe Request[Malformed Packet]\n4 -> Ping Request\n",
			func(s *inspect.Summary) (string, int, int) { return "malformed", s.Malformed, 1 }},
		{"a Remaining Length that is none", func(w *wire) {
			w.open().send(client, connect(t, v)+"\x30\xFF\xFF\xFF\xFF\x01 and more")
			w.send(client, "\x0F\x00")
			w.send(client, "\xC0\x00")
		}, "4 -> Connect Command\n4 -> Publish Message[Malformed Packet]\n6 -> Ping Request\n", nil},
		{"a packet too large to keep", func(w *wire) {
			w.open().send(client, connect(t, v)+"\x30\x80\x80\x80\x10\x00\x01a")
			w.send(client, strings.Repeat("\xE0\x00", 50))
			w.seq[client] += 16<<21 - 103 // not captured
			w.send(client, "\xC0\x00")
		}, "4 -> Connect Command\n4 -> Publish Message [33554437 bytes, too large to keep]\n6 -> Ping Request\n",
			func(s *inspect.Summary) (string, int, int) { return "too large", s.TooLarge, 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t)
			tt.script(w)
			got, summary := look(t, w.file(), inspect.Config{})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tt.count != nil {
				if name, got, want := tt.count(&summary); got != want {
					t.Errorf("%s: got %d, want %d", name, got, want)
				}
			}
		})
	}
}

// numbered repeats a format for the numbers from first to last.
func numbered(first, last int, format string) (lines []string) {
	for n := first; n <= last; n++ {
		lines = append(lines, fmt.Sprintf(format, n))
	}
	return lines
}

// TestConnectionsAreBounded: the connection that was silent for longest is given up.
func TestConnectionsAreBounded(t *testing.T) {
	in := inspect.New(inspect.Config{})
	const limit, more = 65536, 5
	s := &pcap.Segment{Destination: netip.MustParseAddrPort("10.9.0.1:1883"), Flags: pcap.SYN}
	var frame []byte
	for i := range limit + more {
		s.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 40000)
		frame = pcap.AppendFrame(frame[:0], s)
		in.Frame(&pcap.Frame{Number: i + 1, Link: pcap.Ethernet, Length: len(frame), Data: frame})
	}
	if got := in.Summary().Evicted; got != more {
		t.Errorf("given up: got %d connections, want %d", got, more)
	}
}

// TestBuffersAreBounded: many large packets that never end do not fill the memory.
func TestBuffersAreBounded(t *testing.T) {
	in := inspect.New(inspect.Config{})
	s := &pcap.Segment{Destination: netip.MustParseAddrPort("10.9.0.1:1883"), Flags: pcap.ACK}
	part := make([]byte, 60_000)
	number := 0
	for i := range 8 {
		s.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 40000)
		s.Flags, s.Seq, s.Payload = pcap.SYN, 0, nil
		for sent := 0; sent < 13<<20; sent += len(s.Payload) {
			number++
			frame := pcap.AppendFrame(nil, s)
			in.Frame(&pcap.Frame{Number: number, Link: pcap.Ethernet, Length: len(frame), Data: frame})
			s.Seq += uint32(len(s.Payload))
			if s.Flags == pcap.SYN {
				s.Flags, s.Seq, s.Payload = pcap.ACK, 1, append([]byte(connect(t, colibri.V5)), "\x30\xFF\xFF\xFF\x06\x00\x01a"...)
			} else {
				s.Payload = part
			}
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if in.Summary().Evicted == 0 || m.HeapAlloc > 100<<20 {
		t.Errorf("given up: got %d connections, with %d MB in use", in.Summary().Evicted, m.HeapAlloc>>20)
	}
	runtime.KeepAlive(in)
}
