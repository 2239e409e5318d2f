package cli

import (
	"net"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/internal/transport"
)

// TestWebSocket runs a broker with a listener for WebSocket, and our commands against it.
func TestWebSocket(t *testing.T) {
	isolate(t)
	b := startConfigured(t, `log_type all
allow_anonymous true
listener 0 127.0.0.1
protocol websockets
websockets_headers_size 600
`)
	address := b.address()
	b.until(`listening on +127\.0\.0\.1:\d+ +open to anyone on this machine, without a password, by WebSocket\n`)
	_, port, _ := net.SplitHostPort(address)
	publish := func(args ...string) {
		t.Helper()
		exit, stdout, stderr := call(t, append([]string{"colibri", "pub"}, args...)...)
		if exit != exitOK || stdout+stderr != "" {
			t.Errorf("pub %q: got exit %d, %q, %q", args, exit, stdout, stderr)
		}
	}
	publish("-h", "127.0.0.1", "-p", port, "--ws", "-t", "kept", "-m", "by --ws", "-r", "-q", "1")
	exit, stdout, stderr := call(t, "colibri", "sub", "-L", "ws://127.0.0.1:"+port+"/kept", "-V", "5", "-C", "1", "-W", "10")
	if exit != exitOK || stdout != "by --ws\n" || stderr != "" {
		t.Errorf("sub: got exit %d, %q, %q", exit, stdout, stderr)
	}
	publish("-L", "ws://127.0.0.1:"+port+"/large", "-m", strings.Repeat("x", 100_000), "-q", "2")

	// Who does not speak WebSocket is told so, or the log is.
	for _, c := range []struct{ sent, answer, logged string }{
		{"\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00", "", `the client speaks MQTT without WebSocket, and this port is for WebSocket only\.`},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\n", `it does not ask for the upgrade to websocket \(HTTP status 426\)\.`},
		{"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 600), "HTTP/1.1 431 ", `its head has more than 600 bytes`},
	} {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		raw.Write([]byte(c.sent))
		got := make([]byte, 100)
		n, _ := raw.Read(got)
		if !strings.HasPrefix(string(got[:n]), c.answer) || c.answer == "" && n > 0 {
			t.Errorf("%.20q: got the answer %q, want %q", c.sent, got[:n], c.answer)
		}
		raw.Close()
		b.until(`A connection from 127\.0\.0\.1:\d+ was closed: WebSocket handshake: ` + c.logged)
	}
	b.end()
}

// TestWebSocketOrigins shows that a listener has the origins and the number of connections
// of its configuration.
func TestWebSocketOrigins(t *testing.T) {
	isolate(t)
	b := startConfigured(t, `allow_anonymous true
listener 0 127.0.0.1
protocol websockets
max_connections 1
`)
	url := "ws://" + b.address()
	first, err := transport.Dial(t.Context(), url, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := transport.Dial(t.Context(), url, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Read(make([]byte, 10)); err == nil {
		t.Error("one connection too many was served")
	}
	second.Close()
	first.Close()
	b.end()

	b = startConfigured(t, `allow_anonymous true
listener 0 127.0.0.1
protocol websockets
websockets_origin https://example.org
`)
	if _, err := transport.Dial(t.Context(), "ws://"+b.address(), transport.Options{}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("without an origin: got %v, want the status 403", err)
	}
	b.end()
}

// TestWebSocketToOtherServers shows what the commands say of a server without WebSocket.
func TestWebSocketToOtherServers(t *testing.T) {
	isolate(t)
	b := startBroker(t, "colibri", "broker", "-p", "0")
	_, port, _ := net.SplitHostPort(b.address())
	exit, _, stderr := call(t, "colibri", "pub", "-h", "127.0.0.1", "-p", port, "--ws", "-t", "a", "-m", "b")
	want := "Error: Open WebSocket: the server has closed without an answer: check that its port is one for WebSocket: unexpected EOF\n" +
		"That was 127.0.0.1, port " + port + ": check -h and -p.\n"
	if exit != exitUsage || stderr != want {
		t.Errorf("got exit %d and %q, want %d and %q", exit, stderr, exitUsage, want)
	}
	b.end()
}
