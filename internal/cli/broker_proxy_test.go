package cli

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestBrokerProxy connects through the PROXY protocol of both versions, by TCP and WebSocket:
// the log has the addresses of the clients, and an idle listener keeps its connections' count.
func TestBrokerProxy(t *testing.T) {
	isolate(t)
	b := startConfigured(t, `allow_anonymous true
listener 0 127.0.0.1
enable_proxy_protocol 1
max_connections 1
`)
	address := b.address()
	b.until(`without a password, through a proxy\n`)
	for range 2 { // the second one has the place of the first
		c := dialRaw(t, "tcp", address, colibri.V5)
		io.WriteString(c, "PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n")
		if code := c.connect(packet.Connect{ClientID: "pump"}); code != colibri.Success {
			t.Fatalf("got %v", code)
		}
		c.send(&packet.Disconnect{})
		c.receive()
	}
	b.until(`New connection from 192\.0\.2\.1:40000 on port \d+\.\n`)
	b.until(`New client connected from 192\.0\.2\.1:40000 as pump`)

	plain := dialRaw(t, "tcp", address, colibri.V5)
	plain.send(&packet.Connect{Version: colibri.V5, ClientID: "direct", CleanStart: true})
	if got := plain.receive(); got != nil {
		t.Errorf("without a header: got %v", got)
	}
	b.until(`A connection from 127\.0\.0\.1:\d+ was closed: PROXY header: the other end speaks MQTT without one: connect through the proxy`)
	b.end()

	b = startConfigured(t, `allow_anonymous true
listener 0 127.0.0.1
protocol websockets
enable_proxy_protocol 2
colibri_proxy_from 127.0.0.0/30
`)
	address = b.address()
	b.until(`by WebSocket, through a proxy\n`)
	c := dialRaw(t, "tcp", address, colibri.V311)
	io.WriteString(c, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0C\xC0\x00\x02\x01\xC0\x00\x02\x02\x9C\x40\x07\x5B"+
		"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")
	answer := make([]byte, 12)
	if io.ReadFull(c, answer); string(answer) != "HTTP/1.1 101" {
		t.Errorf("got the answer %q", answer)
	}
	b.until(`New connection from 192\.0\.2\.1:40000 on port \d+\.\n`)
	b.end()
}

// TestBrokerProxyFromElsewhere shows that an address that may not send a header is closed,
// with a header and without.
func TestBrokerProxyFromElsewhere(t *testing.T) {
	isolate(t)
	b := startConfigured(t, `allow_anonymous true
listener 0 127.0.0.1
enable_proxy_protocol 2
colibri_proxy_from 203.0.113.0/24
`)
	address := b.address()
	for _, sends := range []string{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0C\xC0\x00\x02\x01\xC0\x00\x02\x02\x9C\x40\x07\x5B", "", "PROXY UNKNOWN\r\n"} {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, sends+"\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00")
		if n, _ := nc.Read(make([]byte, 10)); n > 0 {
			t.Errorf("%q: got an answer", sends)
		}
		nc.Close()
	}
	text := b.end()
	if n := strings.Count(text, "was closed: PROXY header: this address may not send one: name its network in colibri_proxy_from if it is a proxy of yours."); n != 3 {
		t.Errorf("got %d lines about refused connections, want 3:\n%s", n, text)
	}
	if strings.Contains(text, "New connection") {
		t.Errorf("a connection was served:\n%s", text)
	}
}
