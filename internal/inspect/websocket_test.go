package inspect_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
)

// upgrade are the request and the answer that open a WebSocket.
const (
	upgradeRequest = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
	upgradeAnswer  = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)

// framed writes a frame of RFC 6455, masked if it is the client's.
func framed(first byte, masked bool, payload string) string {
	b := []byte{first}
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	if !masked {
		return string(b) + payload
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return string(b)
}

// webSocketSession is a session, with a payload of so many bytes, in which frames and packets have other limits.
func webSocketSession(t testing.TB, payload int) *wire {
	const v = colibri.V5
	w := newWire(t)
	w.open().send(client, upgradeRequest[:30])
	w.send(client, upgradeRequest[30:])
	hello := connect(t, v)
	w.send(server, upgradeAnswer+framed(0x89, false, "ping"))
	w.send(client, framed(0x02, true, hello[:5])+framed(0x8A, true, "ping")+framed(0x80, true, hello[5:]))
	w.send(server, framed(0x82, false, connack(t, v)))
	long := framed(0x82, true, publish(t, v, "long", strings.Repeat("x", payload)))
	for len(long) > 0 {
		n := min(len(long), 999)
		w.send(client, long[:n])
		long = long[n:]
	}
	w.send(client, framed(0x82, true, "\xC0\x00\xE0\x00"))
	return w
}

func TestWebSocket(t *testing.T) {
	got, summary := look(t, webSocketSession(t, 70_000).file(), inspect.Config{})
	want := "7 -> Connect Command\n8 <- Connect Ack\n79 -> Publish Message (id=7) [long]\n80 -> Ping Request\n80 -> Disconnect Req\n"
	if diff := cmp.Diff(want, got); diff != "" || summary.SkippedBytes != 0 {
		t.Errorf("skipped %d bytes (-want +got):\n%s", summary.SkippedBytes, diff)
	}
}

func TestWebSocketNot(t *testing.T) {
	for _, tt := range []struct{ name, request, answer, want string }{
		{"a page", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "a request of HTTP that asks for no WebSocket"},
		{"refused", upgradeRequest, "HTTP/1.1 403 Forbidden\r\n\r\n", "the server answers HTTP/1.1 403 Forbidden"},
		{"compressed", upgradeRequest, strings.Replace(upgradeAnswer, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1), "the WebSocket is compressed"},
		{"without an end", upgradeRequest[:40] + strings.Repeat("x", 17<<10), "", "the head of HTTP does not end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t).open()
			w.send(client, tt.request)
			if tt.answer != "" {
				w.send(server, tt.answer)
			}
			got, _ := look(t, w.file(), inspect.Config{})
			if !strings.HasSuffix(got, tt.want+"\n") || strings.Count(got, "\n") != 1 {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWebSocketGap: behind a gap, packets are found again at the next frame.
func TestWebSocketGap(t *testing.T) {
	const v = colibri.V5
	w := newWire(t).open()
	w.send(client, upgradeRequest)
	w.send(server, upgradeAnswer)
	w.send(client, framed(0x82, true, connect(t, v)))
	w.seq[client] += 50
	w.send(client, "the rest of a frame")
	w.send(client, framed(0x82, true, "\xC0\x00"))
	got, _ := look(t, w.file(), inspect.Config{})
	if want := "6 -> Connect Command\n7 gap of 50\n8 -> Ping Request\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWebSocketMidway: a capture that begins behind the handshake, or inside a frame.
func TestWebSocketMidway(t *testing.T) {
	const v = colibri.V5
	for _, tt := range []struct {
		name  string
		first func(w *wire)
		want  string
	}{
		{"a packet of the client", func(w *wire) { w.send(client, framed(0x82, true, publish(t, v, "a", "x"))) },
			"1 -> Publish Message (id=7) [a]\n2 <- Ping Response\n3 -> Disconnect Req\n"},
		{"one of the server", func(w *wire) { w.send(server, framed(0x82, false, publish(t, v, "a", "x"))) },
			"1 <- Publish Message (id=7) [a]\n2 <- Ping Response\n3 -> Disconnect Req\n"},
		{"a ping", func(w *wire) { w.send(server, framed(0x89, false, "ping")) }, "2 <- Ping Response\n3 -> Disconnect Req\n"},
		{"the rest of a frame", func(w *wire) { w.send(client, "xxxxxx") }, "2 <- Ping Response\n3 -> Disconnect Req\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t)
			w.ends[server] = onPort(w, 8083)
			tt.first(w)
			w.send(server, framed(0x82, false, "\xD0\x00"))
			w.send(client, framed(0x82, true, "\xE0\x00"))
			got, _ := look(t, w.file(), inspect.Config{})
			if got = strings.NewReplacer(" guessed 5.0", "", " guessed 3.1.1", "").Replace(got); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("a long SUBSCRIBE is no frame", func(t *testing.T) {
		w := newWire(t)
		w.send(client, "\x82\x85\x01\x00\x01\x00\x80"+strings.Repeat("x", 128)+"\x00")
		if got, _ := look(t, w.file(), inspect.Config{}); !strings.Contains(got, "-> Subscribe Request (id=1)") {
			t.Errorf("got %q", got)
		}
	})
}
