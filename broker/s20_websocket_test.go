package broker_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// webSocket is the client end of a WebSocket whose frames are made by hand.
type webSocket struct {
	t       *testing.T
	nc      net.Conn
	in      *bufio.Reader
	version colibri.Version
	bytes   []byte // of packets, out of binary frames
}

// openWebSocket sends the handshake to a listener and checks the answer.
func openWebSocket(t *testing.T, nc net.Conn, v colibri.Version) *webSocket {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second)) // a lost packet ends the test
	w := &webSocket{t: t, nc: nc, in: bufio.NewReader(nc), version: v}
	io.WriteString(nc, "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\r\n")
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != "mqtt" {
		t.Errorf("subprotocol: got %q, want mqtt", got)
	}
	return w
}

// send sends one frame, masked; first is its first byte.
func (w *webSocket) send(first byte, payload []byte) {
	b := binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(len(payload)))
	b = append(b, 1, 2, 3, 4)
	for i := range payload {
		b = append(b, payload[i]^byte(i%4+1))
	}
	w.nc.Write(b)
}

// encode returns the bytes of packets.
func (w *webSocket) encode(packets ...packet.Packet) (b []byte) {
	for _, p := range packets {
		b, _ = packet.Append(b, p, w.version)
	}
	return b
}

// frame returns the next frame of the broker.
func (w *webSocket) frame() (first byte, payload []byte, err error) {
	header := make([]byte, 2)
	if _, err := io.ReadFull(w.in, header); err != nil {
		return 0, nil, err
	}
	length := int(header[1])
	if length == 126 {
		more := make([]byte, 2)
		io.ReadFull(w.in, more)
		length = int(binary.BigEndian.Uint16(more))
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(w.in, payload)
	return header[0], payload, err
}

// next returns the next packet. Packets come in binary frames only.
func (w *webSocket) next() (packet.Packet, error) {
	for {
		p, n, err := packet.Decode(w.bytes, w.version)
		if err == nil {
			w.bytes = w.bytes[n:]
			return p, nil
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		first, payload, err := w.frame()
		if err != nil {
			return nil, err
		}
		if first != 0x82 {
			w.t.Fatalf("a frame that begins with %#x and holds %q, want a binary one", first, payload)
		}
		w.bytes = append(w.bytes, payload...)
	}
}

// expect fails unless the next packets are of these types.
func (w *webSocket) expect(want ...packet.Type) {
	w.t.Helper()
	for _, one := range want {
		if got, err := w.next(); err != nil || got.Type() != one {
			w.t.Fatalf("got %v, %v, want a %v", got, err, one)
		}
	}
}

// closes fails unless the broker closes with this code and then ends the connection. A
// 5.0 client may be told why in MQTT's words before.
func (w *webSocket) closes(code uint16) {
	w.t.Helper()
	first, payload, err := w.frame()
	if err == nil && first == 0x82 && w.version == colibri.V5 {
		if payload[0] != 0xE0 {
			w.t.Errorf("got the packet % x, want a DISCONNECT", payload)
		}
		first, payload, err = w.frame()
	}
	if err != nil || first != 0x88 || len(payload) < 2 || binary.BigEndian.Uint16(payload) != code {
		w.t.Errorf("got the frame %#x %q, %v, want a close frame with code %d", first, payload, err, code)
	}
	if first, _, err := w.frame(); err == nil {
		w.t.Errorf("got a frame that begins with %#x, want the end", first)
	}
}

// TestWebSocket speaks to a broker in frames made by hand, in both versions: over a socket,
// whose descriptor the broker reads, and over a connection in memory, which has none.
func TestWebSocket(t *testing.T) {
	for _, v := range mqtest.Modern {
		for _, over := range []string{"TCP", "memory"} {
			t.Run(v.String()+" over "+over, func(t *testing.T) {
				b := mqtest.New(t, broker.Config{})
				memory := transport.NewMemory()
				below := net.Listener(memory)
				dial := func() (net.Conn, error) { return memory.Dial(t.Context()) }
				if over == "TCP" {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					below = l
					dial = func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
				}
				served := make(chan error, 1)
				go func() { served <- b.Serve(transport.ListenWebSocket(below, "/mqtt", transport.WebSocketOptions{})) }()
				for name, scenario := range map[string]func(connect func(id string) *webSocket){
					"packets span and share frames [MQTT-6.0.0-2] [MQTT311-6.0.0-2]": webSocketFrames,
					"a text frame ends it [MQTT-6.0.0-1] [MQTT311-6.0.0-1]":          webSocketText,
					"what else ends it":               webSocketMistakes,
					"pings of WebSocket are answered": webSocketPings,
					"large messages both ways, in binary frames [MQTT-6.0.0-1] [MQTT311-6.0.0-1]":             webSocketLarge,
					"the subprotocol is mqtt, whatever else is offered [MQTT-6.0.0-4] [MQTT311-6.0.0-4]":      func(connect func(id string) *webSocket) { connect("subprotocol") },
					"MQTT ends while the WebSocket stays, and the broker closes it with code 1000 in the end": webSocketDisconnect,
				} {
					t.Run(name, func(t *testing.T) {
						scenario(func(id string) *webSocket {
							t.Helper()
							nc, err := dial()
							if err != nil {
								t.Fatal(err)
							}
							w := openWebSocket(t, nc, v)
							w.send(0x82, w.encode(&packet.Connect{Version: v, ClientID: id, CleanStart: true,
								Will: &packet.Will{Topic: "will/" + id, Payload: []byte("gone")}}))
							w.expect(packet.CONNACK)
							return w
						})
					})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := b.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if err := <-served; err != nil {
					t.Errorf("Serve: %v", err)
				}
			})
		}
	}
}

func webSocketFrames(connect func(id string) *webSocket) {
	w := connect("frames")
	b := w.encode(subscribe(1, to("a", 0)), qos0("a", "one"), qos1(2, "a", "two"), &packet.Pingreq{})
	w.send(0x82, b) // all in one
	w.expect(packet.SUBACK, packet.PUBLISH)
	rest := map[packet.Type]int{}
	for range 3 { // the broker may answer before it delivers
		p, err := w.next()
		if err != nil {
			w.t.Fatal(err)
		}
		rest[p.Type()]++
	}
	if rest[packet.PUBLISH] != 1 || rest[packet.PUBACK] != 1 || rest[packet.PINGRESP] != 1 {
		w.t.Errorf("got %v, want a PUBLISH, a PUBACK and a PINGRESP", rest)
	}
	b = w.encode(qos0("a", "three"), &packet.Pingreq{})
	for i := range b { // each byte in a frame, some of them fragments of one message
		switch {
		case i%3 == 0 && i+2 < len(b):
			w.send(0x02, b[i:i+1])
		case i%3 == 1 && i+1 < len(b):
			w.send(0x00, b[i:i+1])
		case i%3 == 2:
			w.send(0x80, b[i:i+1])
		default:
			w.send(0x82, b[i:i+1])
		}
	}
	got := map[packet.Type]int{}
	for range 2 {
		p, err := w.next()
		if err != nil {
			w.t.Fatal(err)
		}
		got[p.Type()]++
	}
	if got[packet.PUBLISH] != 1 || got[packet.PINGRESP] != 1 {
		w.t.Errorf("got %v, want a PUBLISH and a PINGRESP", got)
	}
}

func webSocketText(connect func(id string) *webSocket) {
	watcher := connect("watcher")
	watcher.send(0x82, watcher.encode(subscribe(1, to("will/text", 0), to("before", 0))))
	watcher.expect(packet.SUBACK)
	w := connect("text")
	w.send(0x82, w.encode(qos0("before", "its effect stays")))
	watcher.expect(packet.PUBLISH)
	w.send(0x81, w.encode(qos0("before", "in a text frame")))
	w.closes(1003)
	if p, err := watcher.next(); err != nil || p.(*packet.Publish).Topic != "will/text" {
		w.t.Errorf("got %v, %v, want the Will Message", p, err)
	}
}

func webSocketMistakes(connect func(id string) *webSocket) {
	for _, mistake := range [][]byte{
		{0x82, 0x01, 'x'}, // without a mask
		{0xC2, 0x80, 1, 2, 3, 4},
		{0x89, 0xFE, 0, 126, 1, 2, 3, 4},
		{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
	} {
		w := connect("mistake")
		w.nc.Write(mistake)
		w.closes(1002)
	}
	w := connect("closing")
	w.send(0x88, []byte{0x03, 0xE9})
	w.closes(1001)
}

func webSocketPings(connect func(id string) *webSocket) {
	w := connect("pings")
	w.send(0x89, []byte("there?"))
	if first, payload, err := w.frame(); err != nil || first != 0x8A || string(payload) != "there?" {
		w.t.Errorf("got the frame %#x %q, %v, want a pong", first, payload, err)
	}
	w.send(0x82, w.encode(&packet.Pingreq{}))
	w.expect(packet.PINGRESP)
}

func webSocketLarge(connect func(id string) *webSocket) {
	w := connect("large")
	w.send(0x82, w.encode(subscribe(1, to("large", 0))))
	w.expect(packet.SUBACK)
	want := strings.Repeat("0123456789", 6000) // in frames of 16 bits of length
	w.send(0x82, w.encode(qos0("large", want)))
	if p, err := w.next(); err != nil || string(p.(*packet.Publish).Payload) != want {
		w.t.Errorf("got another message, %v", err)
	}
}

func webSocketDisconnect(connect func(id string) *webSocket) {
	w := connect("polite")
	w.send(0x82, w.encode(&packet.Disconnect{}))
	if first, payload, err := w.frame(); err != nil || first != 0x88 || binary.BigEndian.Uint16(payload) != 1000 {
		w.t.Errorf("got the frame %#x %q, %v, want a close frame with code 1000", first, payload, err)
	}
}
