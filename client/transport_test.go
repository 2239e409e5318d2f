package client

import (
	"bufio"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestTransports connects over every transport that a URL names: [MQTT-4.2-1]
// [MQTT311-7.1.2-1], and WebSocket, [MQTT-6.0.0-2] [MQTT311-6.0.0-2]. A message of QoS 2
// and one larger than any buffer go each way.
func TestTransports(t *testing.T) {
	large := strings.Repeat("x", 300_000)
	for name, url := range map[string]string{
		"TCP":                "tcp://127.0.0.1:0",
		"Unix domain socket": "unix://" + filepath.Join(t.TempDir(), "server"),
		"WebSocket":          "ws://127.0.0.1:0/mqtt",
	} {
		for _, v := range []colibri.Version{colibri.V311, colibri.V5} {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				l, err := transport.Listen(url, transport.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				connect := start(func() (*Client, error) {
					return Dial(t.Context(), strings.Replace(url, "127.0.0.1:0", l.Addr().String(), 1), Options{Version: v, ClientID: "test"})
				})
				nc, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				nc.SetDeadline(time.Now().Add(20 * time.Second)) // a lost packet ends the test
				p := &peer{t: t, nc: nc, v: v}
				expect[*packet.Connect](p)
				p.send(&packet.Connack{})
				c, err := connect()
				if err != nil {
					t.Fatal(err)
				}
				s := p.subscribed(c, "in")

				publish := start(func() (Result, error) { return c.Publish(t.Context(), message(2, "out", large)) })
				got := expect[*packet.Publish](p)
				if string(got.Payload) != large {
					t.Errorf("the server receives %d bytes, want %d", len(got.Payload), len(large))
				}
				p.send(&packet.Pubrec{PacketID: got.PacketID})
				expect[*packet.Pubrel](p)
				p.send(&packet.Pubcomp{PacketID: got.PacketID})
				if _, err := publish(); err != nil {
					t.Errorf("Publish: %v", err)
				}

				p.send(&packet.Publish{Topic: "in", Payload: []byte(large)})
				if got, err := s.Next(t.Context()); err != nil || string(got.Payload) != large {
					t.Errorf("Next: got another message, %v", err)
				}
				disconnect := start(func() (struct{}, error) { return struct{}{}, c.Disconnect(t.Context(), 0, nil) })
				expect[*packet.Disconnect](p)
				if got, err := p.receive(); err == nil {
					t.Errorf("behind DISCONNECT: got a %v", got.Type())
				}
				nc.Close()
				if _, err := disconnect(); err != nil {
					t.Errorf("Disconnect: %v", err)
				}
			})
		}
	}
}

// TestWebSocketRequest looks at what a Client asks a Server for: the subprotocol mqtt, in
// each version [MQTT-6.0.0-3] [MQTT311-6.0.0-3].
func TestWebSocketRequest(t *testing.T) {
	for _, v := range []colibri.Version{colibri.V311, colibri.V5} {
		l, err := transport.Listen("tcp://127.0.0.1:0", transport.Options{})
		if err != nil {
			t.Fatal(err)
		}
		dial := start(func() (*Client, error) {
			return Dial(t.Context(), "ws://"+l.Addr().String(), Options{Version: v, ClientID: "test"})
		})
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.ReadRequest(bufio.NewReader(nc))
		if err != nil {
			t.Fatal(err)
		}
		if got := request.Header.Values("Sec-WebSocket-Protocol"); len(got) != 1 || got[0] != "mqtt" {
			t.Errorf("%v: offers %q, want mqtt", v, got)
		}
		nc.Close()
		if _, err := dial(); err == nil {
			t.Errorf("%v: connected without an answer", v)
		}
		l.Close()
	}
}
