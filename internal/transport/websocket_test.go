package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// frame returns the bytes of a frame as a client sends it, masked with the key 1 2 3 4.
// first is its first byte: 0x82 is a whole binary message.
func frame(first byte, payload string) []byte {
	b := []byte{first, 0x80 | 126, 0, 0, 1, 2, 3, 4}
	binary.BigEndian.PutUint16(b[2:], uint16(len(payload)))
	if len(payload) < 126 {
		b = []byte{first, 0x80 | byte(len(payload)), 1, 2, 3, 4}
	}
	for i := range payload {
		b = append(b, payload[i]^byte(i%4+1))
	}
	return b
}

// closeFrame returns the payload of a close frame.
func closeFrame(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// TestWebSocketFrames sends frames made by hand, byte by byte, to a server and looks at
// what it reads, how the reading ends and what the peer is sent.
func TestWebSocketFrames(t *testing.T) {
	const end = "\x88\x82\x01\x02\x03\x04\x02\xEA" // a close frame with code 1000
	long := strings.Repeat("0123456789", 7000)
	for _, c := range []struct {
		name  string
		sent  []byte
		read  string
		err   string // in the error; empty for io.EOF
		reply string // what the peer is sent once the server has closed
	}{
		{"one frame", append(frame(0x82, "hello"), end...), "hello", "", "\x88\x02\x03\xE8"},
		{"two frames and an empty one", append(append(frame(0x82, "hel"), frame(0x82, "")...), frame(0x82, "lo")...), "hello", "", "\x88\x02\x03\xE8"},
		{"a message in fragments", append(append(frame(0x02, "he"), frame(0x00, "l")...), frame(0x80, "lo")...), "hello", "", "\x88\x02\x03\xE8"},
		{"a ping between fragments", append(append(frame(0x02, "he"), frame(0x89, "you?")...), frame(0x80, "llo")...), "hello", "", "\x8A\x04you?\x88\x02\x03\xE8"},
		{"a ping with nothing", frame(0x89, ""), "", "", "\x8A\x00\x88\x02\x03\xE8"},
		{"a pong nobody asked for", append(frame(0x8A, "x"), frame(0x82, "hello")...), "hello", "", "\x88\x02\x03\xE8"},
		{"16 bits of length", frame(0x82, long[:300]), long[:300], "", "\x88\x02\x03\xE8"},
		{"64 bits of length", append([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0}, "ab"...), "ab", "", "\x88\x02\x03\xE8"},
		{"half a frame, then the end", frame(0x82, "hello")[:9], "hel", "", "\x88\x02\x03\xE8"},

		{"text [MQTT-6.0.0-1] [MQTT311-6.0.0-1]", append(frame(0x82, "hello"), frame(0x81, "text")...), "hello", "a text frame", "\x88\x31\x03\xEBa text frame, and MQTT travels in binary frames"},
		{"text in fragments [MQTT-6.0.0-1] [MQTT311-6.0.0-1]", frame(0x01, "te"), "", "a text frame", "\x88\x31\x03\xEBa text frame, and MQTT travels in binary frames"},
		{"no mask", []byte("\x82\x02ab"), "", "must be masked", "\x03\xEA"},
		{"a reserved bit", frame(0xC2, "a"), "", "rsv", "\x03\xEA"},
		{"a reserved opcode", frame(0x83, "a"), "", "reserved op code", "\x03\xEA"},
		{"a reserved control opcode", frame(0x8B, ""), "", "reserved op code", "\x03\xEA"},
		{"a large ping", frame(0x89, long[:126]), "", "payload limit", "\x03\xEA"},
		{"a ping in fragments", frame(0x09, "a"), "", "not final", "\x03\xEA"},
		{"a continuation of nothing", frame(0x80, "a"), "", "unexpected continuation", "\x03\xEA"},
		{"a message inside another", append(frame(0x02, "a"), frame(0x82, "b")...), "a", "unexpected non-continuation", "\x03\xEA"},
		{"an impossible length", []byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, "", "longer than any", "\x03\xEA"},
		{"a length that never comes", append([]byte{0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, "ab"...), "ab", "", "\x88\x02\x03\xE8"},

		{"close without a code", frame(0x88, ""), "", "", "\x88\x00"},
		{"close with 1001", frame(0x88, closeFrame(1001, "bye")), "", "", "\x88\x02\x03\xE9"},
		{"close with 1011", frame(0x88, closeFrame(1011, "oh")), "", `code 1011 "oh"`, "\x88\x02\x03\xF3"},
		{"close with one byte", frame(0x88, "x"), "", "status code", "\x03\xEA"},
		{"close with 1005, which is not to be sent", frame(0x88, closeFrame(1005, "")), "", "status code", "\x03\xEA"},
		{"close with 999", frame(0x88, closeFrame(999, "")), "", "status code", "\x03\xEA"},
		{"close with bad UTF-8", frame(0x88, closeFrame(1000, "\xFF")), "", "utf8", "\x03\xEA"},
		{"nothing is read behind close", append(frame(0x88, ""), frame(0x82, "a")...), "", "", "\x88\x00"},
	} {
		for _, size := range []int{1, 5, 100_000} {
			t.Run(fmt.Sprintf("%s in pieces of %d", c.name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := PipeSize(200_000)
					server := newWebSocket(slowly{near, size}, ws.StateServerSide, nil)
					far.Write(c.sent)
					far.(interface{ CloseWrite() error }).CloseWrite()
					var got []byte
					var err error
					for b := make([]byte, 1000); err == nil; {
						var n int
						n, err = server.Read(b)
						got = append(got, b[:n]...)
					}
					if string(got) != c.read {
						t.Errorf("read: got %.60q, want %.60q", got, c.read)
					}
					if c.err == "" && err != io.EOF || !strings.Contains(err.Error(), c.err) {
						t.Errorf("the end: got %v, want %q", err, c.err)
					}
					if _, again := server.Read(make([]byte, 10)); again != err {
						t.Errorf("another Read: got %v, want %v again", again, err)
					}
					synctest.Wait()
					server.Close()
					reply, _ := io.ReadAll(far)
					if !strings.Contains(string(reply), c.reply) || c.err == "" && string(reply) != c.reply {
						t.Errorf("the peer is sent %q, want %q", reply, c.reply)
					}
				})
			})
		}
	}
}

// slowly reads at most so many bytes at once.
type slowly struct {
	net.Conn
	bytes int
}

func (c slowly) Read(b []byte) (int, error) { return c.Conn.Read(b[:min(len(b), c.bytes)]) }

// TestWebSocketWrites looks at the frames that both ends send.
func TestWebSocketWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			size   int
			header string // of the server; a client sets the first bit of the second byte
		}{
			{1, "\x82\x01"}, {125, "\x82\x7D"}, {126, "\x82\x7E\x00\x7E"}, {65535, "\x82\x7E\xFF\xFF"},
			{65536, "\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00"}, {frameBytes, "\x82\x7E\x40\x00"}, {frameBytes - 4, "\x82\x7E\x3F\xFC"},
		} {
			payload := make([]byte, c.size)
			for i := range payload {
				payload[i] = byte(rand.Uint32())
			}
			for _, state := range []ws.State{ws.StateServerSide, ws.StateClientSide} {
				near, far := PipeSize(100_000)
				w := newWebSocket(near, state, nil)
				before := bytes.Clone(payload)
				if n, err := w.Write(payload); n != c.size || err != nil {
					t.Fatalf("Write of %d bytes: got %d, %v", c.size, n, err)
				}
				if !bytes.Equal(payload, before) {
					t.Errorf("Write of %d bytes has changed them", c.size)
				}
				w.Conn.Close()
				got, _ := io.ReadAll(far)
				header := []byte(c.header)
				if state == ws.StateClientSide {
					header[1] |= 0x80
				}
				if !bytes.HasPrefix(got, header) {
					t.Fatalf("a frame of %d bytes begins with % x, want % x", c.size, got[:10], header)
				}
				body := got[len(header):]
				if state == ws.StateClientSide {
					mask := [4]byte(body)
					body = body[4:]
					ws.Cipher(body, mask, 0)
				}
				if !bytes.Equal(body, payload) {
					t.Errorf("the payload of %d bytes is another one (%d bytes)", c.size, len(body))
				}
			}
		}
	})
}

// TestWebSocketMasks shows that no two frames of a client have one key, and that a client
// refuses frames that are masked.
func TestWebSocketMasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := Pipe()
		client := newWebSocket(near, ws.StateClientSide, nil)
		keys := map[string]bool{}
		for range 20 {
			client.Write([]byte("x"))
			b := make([]byte, 7)
			io.ReadFull(far, b)
			keys[string(b[2:6])] = true
		}
		if len(keys) < 19 {
			t.Errorf("20 frames have %d keys", len(keys))
		}
		far.Write(frame(0x82, "x"))
		if _, err := client.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "must be not masked") {
			t.Errorf("a masked frame from the server: got %v", err)
		}
	})
}

// TestWebSocketClientReads shows that a client takes packets from frames as they come, and
// ends at a text frame: [MQTT-6.0.0-1] [MQTT-6.0.0-2] [MQTT311-6.0.0-1] [MQTT311-6.0.0-2].
func TestWebSocketClientReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := Pipe()
		client := newWebSocket(near, ws.StateClientSide, nil)
		far.Write([]byte("\x82\x02he\x02\x02ll\x89\x00\x80\x01o\x81\x04text"))
		got, err := io.ReadAll(client)
		if string(got) != "hello" || err == nil || !strings.Contains(err.Error(), "a text frame") {
			t.Errorf("got %q, %v, want what came before the text frame, and that it is one", got, err)
		}
		synctest.Wait()
		client.Close()
		reply, _ := io.ReadAll(far)
		if len(reply) < 14 || reply[0] != 0x8A || reply[6] != 0x88 {
			t.Fatalf("the server is sent % x, want a pong and a close frame", reply)
		}
		body := reply[12:]
		ws.Cipher(body, [4]byte(reply[8:12]), 0)
		if code := binary.BigEndian.Uint16(body); code != 1003 {
			t.Errorf("code: got %d, want 1003", code)
		}
	})
}

// TestWebSocketPings shows that a peer which sends pings and reads nothing does not stop
// the reading, and that the last ping is answered when it reads again.
func TestWebSocketPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := PipeSize(200)
		server := newWebSocket(near, ws.StateServerSide, nil)
		go func() {
			for i := range 100 {
				far.Write(frame(0x89, fmt.Sprintf("ping %03d of a hundred", i)))
			}
			far.Write(frame(0x82, "done"))
		}()
		b := make([]byte, 100)
		if n, err := server.Read(b); string(b[:n]) != "done" || err != nil {
			t.Errorf("got %q, %v, want what came behind the pings", b[:n], err)
		}
		var answers []byte
		far.SetReadDeadline(time.Now().Add(time.Second))
		for n, err := 1, error(nil); err == nil; answers = append(answers, b[:n]...) {
			n, err = far.Read(b)
		}
		if count := bytes.Count(answers, []byte("ping")); !bytes.HasSuffix(answers, []byte("ping 099 of a hundred")) || count > 50 {
			t.Errorf("got %d answers, the last %q, want a few and that of the last ping", count, answers[max(0, len(answers)-30):])
		}
		server.Close()
	})
}

// TestWebSocketClose shows that Close does not wait for a peer that reads nothing, and
// frees who reads and writes.
func TestWebSocketClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := PipeSize(10)
		server := newWebSocket(near, ws.StateServerSide, nil)
		errs := make(chan error, 2)
		go func() { _, err := server.Read(make([]byte, 10)); errs <- err }()
		go func() { _, err := server.Write(make([]byte, 100)); errs <- err }()
		synctest.Wait()
		start := time.Now()
		server.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want net.ErrClosed", err)
			}
		}
		near, _ = PipeSize(1)
		newWebSocket(near, ws.StateServerSide, nil).Close()
		if took := time.Since(start); took > farewellTime {
			t.Errorf("Close took %v", took)
		}
	})
}

// request is one that opens a WebSocket.
const request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

func with(header string) string {
	return strings.Replace(request, "\r\n\r\n", "\r\n"+header+"\r\n\r\n", 1)
}

func instead(was, is string) string { return strings.Replace(request, was, is, 1) }

// TestWebSocketHandshake sends requests to a listener.
func TestWebSocketHandshake(t *testing.T) {
	pages := WebSocketOptions{Origins: []string{"https://example.org", "http://localhost:8080"}}
	for _, c := range []struct {
		name    string
		o       WebSocketOptions
		path    string
		request string
		answer  string // is in it
		refused string // is in the error; empty when the connection is accepted
	}{
		{"mqtt [MQTT-6.0.0-4] [MQTT311-6.0.0-4]", WebSocketOptions{}, "", request, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", ""},
		{"mqtt among others [MQTT-6.0.0-4] [MQTT311-6.0.0-4]", WebSocketOptions{}, "", instead("col: mqtt", "col: mqttv3.1, chat, mqtt"), "Protocol: mqtt\r\n\r\n", ""},
		{"mqtt in a second header", WebSocketOptions{}, "", with("Sec-WebSocket-Protocol: mqttv3.1"), "Protocol: mqtt\r\n\r\n", ""},
		{"mqttv3.1 alone", WebSocketOptions{}, "", instead("col: mqtt", "col: mqttv3.1"), "Protocol: mqttv3.1\r\n\r\n", ""},
		{"another subprotocol", WebSocketOptions{}, "", instead("col: mqtt", "col: chat"), "HTTP/1.1 400 ", "does not offer the subprotocol mqtt"},
		{"no subprotocol", WebSocketOptions{}, "", instead("Sec-WebSocket-Protocol: mqtt\r\n", ""), "HTTP/1.1 400 ", "does not offer the subprotocol mqtt"},
		{"extensions are not taken up", WebSocketOptions{}, "", with("Sec-WebSocket-Extensions: permessage-deflate"), "+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", ""},
		{"its path", WebSocketOptions{}, "/mqtt", request, "HTTP/1.1 101 ", ""},
		{"its path and a query", WebSocketOptions{}, "/mqtt", instead("/mqtt", "/mqtt?token=x"), "HTTP/1.1 101 ", ""},
		{"another path", WebSocketOptions{}, "/other", request, "HTTP/1.1 404 ", "nothing at its path"},
		{"an origin that may", pages, "", with("Origin: HTTPS://Example.org"), "HTTP/1.1 101 ", ""},
		{"an origin that may not", pages, "", with("Origin: https://example.com"), "HTTP/1.1 403 ", "its origin"},
		{"no origin where one is wanted", pages, "", request, "HTTP/1.1 403 ", "its origin"},
		{"any origin", WebSocketOptions{}, "", with("Origin: https://example.com"), "HTTP/1.1 101 ", ""},
		{"a browser", WebSocketOptions{}, "", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\nThis port is for MQTT over WebSocket", "HTTP status 426"},
		{"HTTP 1.0", WebSocketOptions{}, "", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 505 ", "HTTP protocol version"},
		{"POST", WebSocketOptions{}, "", instead("GET", "POST"), "HTTP/1.1 405 ", "method"},
		{"an old version", WebSocketOptions{}, "", instead("Version: 13", "Version: 8"), "HTTP/1.1 426 ", "Version"},
		{"a short key", WebSocketOptions{}, "", instead("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), "HTTP/1.1 400 ", "Key"},
		{"nonsense", WebSocketOptions{}, "", "NONSENSE\r\n\r\n", "HTTP/1.1 400 ", "malformed"},
		{"a large head", WebSocketOptions{HeaderBytes: 600}, "", with("Cookie: " + strings.Repeat("x", 600)), "HTTP/1.1 431 ", "more than 600 bytes"},
		{"a head as large as it may be", WebSocketOptions{HeaderBytes: 600}, "", with("X: " + strings.Repeat("x", 600-len(request)-len("X: \r\n"))), "HTTP/1.1 101 ", ""},
		{"MQTT", WebSocketOptions{}, "", "\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00", "", "speaks MQTT without WebSocket"},
		{"TLS", WebSocketOptions{}, "", "\x16\x03\x01", "", "speaks TLS"},
		{"something else", WebSocketOptions{}, "", "\x00", "", "neither"},
		{"half a request", WebSocketOptions{}, "", request[:50], "", "not complete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refused := make(chan error, 1)
				c.o.Refused = func(_ net.Addr, err error) { refused <- err }
				memory := NewMemory()
				l := ListenWebSocket(memory, c.path, c.o)
				defer l.Close()
				nc, err := memory.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				for piece := range slices.Chunk([]byte(c.request), 50) {
					nc.Write(piece)
					synctest.Wait()
				}
				if c.refused != "" {
					start := time.Now()
					if err := <-refused; !strings.Contains(err.Error(), c.refused) {
						t.Errorf("refused: got %v, want %q", err, c.refused)
					}
					if took := time.Since(start); took > handshakeTime {
						t.Errorf("it took %v", took)
					}
					answer, _ := io.ReadAll(nc)
					if !strings.Contains(string(answer), c.answer) || c.answer == "" && len(answer) > 0 {
						t.Errorf("answer: got %q, want %q", answer, c.answer)
					}
					return
				}
				server, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				nc.Write(frame(0x82, "hello"))
				b := make([]byte, 1000)
				if n, err := server.Read(b); string(b[:n]) != "hello" || err != nil {
					t.Errorf("Read: got %q, %v", b[:n], err)
				}
				if server.RemoteAddr() == nil || server.RemoteAddr().String() != nc.LocalAddr().String() {
					t.Errorf("RemoteAddr: got %v, want %v", server.RemoteAddr(), nc.LocalAddr())
				}
				server.Close()
				answer, _ := io.ReadAll(nc)
				if !strings.Contains(string(answer), c.answer) {
					t.Errorf("answer: got %q, want %q", answer, c.answer)
				}
			})
		})
	}
}

// TestWebSocketEarlyFrames shows that frames which come in one piece with the handshake
// are not lost, at either end.
func TestWebSocketEarlyFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		l := ListenWebSocket(memory, "", WebSocketOptions{})
		defer l.Close()
		nc, _ := memory.Dial(t.Context())
		nc.Write(append([]byte(request), append(frame(0x82, "early"), frame(0x82, "bird")...)...))
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if server.(*WebSocket).Descriptor() != nil {
			t.Error("Descriptor before what came early was read: got one")
		}
		b := make([]byte, 9)
		if _, err := io.ReadFull(server, b); string(b) != "earlybird" || err != nil {
			t.Errorf("the server reads %q, %v", b, err)
		}
		server.Close()

		near, far := Pipe()
		go answerWebSocket(far, "Sec-WebSocket-Protocol: mqtt\r\n", "\x82\x05early")
		client, err := OpenWebSocket(t.Context(), near, "ws://localhost")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := client.Read(b); string(b[:n]) != "early" || err != nil {
			t.Errorf("the client reads %q, %v", b[:n], err)
		}
		client.Close()
	})
}

// answerWebSocket plays a server: it takes the request of a client, which it returns, and
// agrees with these headers. What is in more follows at once.
func answerWebSocket(nc net.Conn, headers, more string) string {
	head, _, err := readHead(nc, 10_000)
	if err != nil {
		return ""
	}
	_, key, _ := strings.Cut(string(head), "Sec-WebSocket-Key: ")
	key, _, _ = strings.Cut(key, "\r\n")
	var answer bytes.Buffer
	probe := instead("dGhlIHNhbXBsZSBub25jZQ==", key)
	ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{strings.NewReader(probe), &answer})
	nc.Write([]byte(strings.TrimSuffix(answer.String(), "\r\n") + headers + "\r\n" + more))
	return string(head)
}

// TestWebSocketRequest looks at what a client asks for, and shows what it does not agree to.
func TestWebSocketRequest(t *testing.T) {
	for _, c := range []struct {
		name, url string
		answer    func(nc net.Conn) string // returns the request
		request   string                   // is in it
		err       string                   // is in the error; empty when the client agrees
	}{
		{"it offers mqtt [MQTT-6.0.0-3] [MQTT311-6.0.0-3]", "ws://localhost:9001/a?b=c",
			func(nc net.Conn) string { return answerWebSocket(nc, "Sec-WebSocket-Protocol: mqtt\r\n", "") }, "\r\nSec-WebSocket-Protocol: mqtt\r\n", ""},
		{"host", "ws://localhost:9001", func(nc net.Conn) string { return answerWebSocket(nc, "Sec-WebSocket-Protocol: mqtt\r\n", "") }, "\r\nHost: localhost:9001\r\n", ""},
		{"path and query", "ws://localhost/a?b=c", func(nc net.Conn) string { return answerWebSocket(nc, "Sec-WebSocket-Protocol: mqtt\r\n", "") }, "GET /a?b=c HTTP/1.1\r\n", ""},
		{"no path", "ws://localhost", func(nc net.Conn) string { return answerWebSocket(nc, "Sec-WebSocket-Protocol: mqtt\r\n", "") }, "GET /mqtt HTTP/1.1\r\n", ""},
		{"no subprotocol chosen", "ws://localhost", func(nc net.Conn) string { return answerWebSocket(nc, "", "") }, "", "does not choose the subprotocol"},
		{"another one chosen", "ws://localhost", func(nc net.Conn) string { return answerWebSocket(nc, "Sec-WebSocket-Protocol: chat\r\n", "") }, "", "Sec-WebSocket-Protocol"},
		{"an extension", "ws://localhost", func(nc net.Conn) string {
			return answerWebSocket(nc, "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", "")
		}, "", "xtensions"},
		{"404", "ws://localhost/x", func(nc net.Conn) string {
			head, _, _ := readHead(nc, 10_000)
			nc.Write([]byte("HTTP/1.1 404 Not Found\r\n\r\n"))
			return string(head)
		}, "", `status 404: check the port, and the path "/x"`},
		{"closed", "ws://localhost", func(nc net.Conn) string { nc.Close(); return "" }, "", "closed without an answer"},
		{"an endless answer", "ws://localhost", func(nc net.Conn) string {
			_, err := nc.Write([]byte("HTTP/1.1 101 Yes\r\n"))
			for err == nil {
				_, err = nc.Write([]byte("X: " + strings.Repeat("x", 1000) + "\r\n"))
			}
			return ""
		}, "", "more than"},
		{"another key", "ws://localhost", func(nc net.Conn) string {
			nc.Write([]byte("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"))
			return ""
		}, "", "Accept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := Pipe()
				got := make(chan string, 1)
				go func() { got <- c.answer(far) }()
				client, err := OpenWebSocket(t.Context(), near, c.url)
				far.Close()
				if request := <-got; !strings.Contains(request, c.request) {
					t.Errorf("request: got %q, want %q in it", request, c.request)
				}
				if c.err != "" {
					if err == nil || !strings.Contains(err.Error(), c.err) {
						t.Errorf("got %v, want %q", err, c.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				client.Close()
			})
		})
	}
}

// TestWebSocketGivesUp shows that both ends give a silent peer up.
func TestWebSocketGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := OpenWebSocket(ctx, near, "ws://localhost"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("client: got %v, want that its time is over", err)
		}
		far.Close()

		memory, refused := NewMemory(), make(chan error, 1)
		l := ListenWebSocket(memory, "", WebSocketOptions{Refused: func(_ net.Addr, err error) { refused <- err }})
		start := time.Now()
		nc, _ := memory.Dial(t.Context())
		if err := <-refused; !strings.Contains(err.Error(), "not complete") || time.Since(start) != handshakeTime {
			t.Errorf("server: got %v after %v, want that the request is not complete after %v", err, time.Since(start), handshakeTime)
		}
		nc.Close()

		// Close ends the handshakes under way, and those that Accept has not taken.
		waiting, _ := memory.Dial(t.Context())
		done, _ := memory.Dial(t.Context())
		done.Write([]byte(request))
		synctest.Wait()
		l.Close()
		for _, nc := range []net.Conn{waiting, done} {
			io.ReadAll(nc)
			nc.Close()
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: got %v", err)
		}
	})
}

// TestWebSocketHandshakesAreBounded shows that no more connections are taken than may be
// at their handshakes, while they say something, and that the next is served as soon as
// one is over.
func TestWebSocketHandshakesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		l := ListenWebSocket(memory, "", WebSocketOptions{})
		defer l.Close()
		var all []net.Conn
		for range 1024 + 1 { // one more is accepted and waits
			nc, err := memory.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(nc, "GET")
			all = append(all, nc)
		}
		ctx, cancel := context.WithTimeout(t.Context(), handshakeTime/10)
		defer cancel()
		if nc, err := memory.Dial(ctx); err == nil {
			nc.Close()
			t.Error("one more was accepted")
		}
		all[0].Close()
		if _, err := memory.Dial(t.Context()); err != nil {
			t.Errorf("after one has gone: %v", err)
		}
		for _, nc := range all {
			nc.Close()
		}
	})
}

// TestWebSocketListenerErrors shows that an error of the listener below reaches Accept.
func TestWebSocketListenerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		l := ListenWebSocket(memory, "", WebSocketOptions{})
		memory.Close()
		for range 2 {
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want that of the listener below", err)
			}
		}
		l.Close()
	})
}

// TestWebSocketCarriesAll sends random pieces over a real connection, both ways.
func TestWebSocketCarriesAll(t *testing.T) {
	l, err := Listen("ws://127.0.0.1:0/here", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		io.Copy(nc, nc)
		nc.Close()
	}()
	nc, err := Dial(t.Context(), "ws://"+l.Addr().String()+"/here", Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 1_000_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range want {
		want[i] = byte(random.Uint32())
	}
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(60_000))
			nc.Write(rest[:n])
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got other bytes, %v", err)
	}
	nc.Close()
	if _, err := Dial(t.Context(), "ws://"+l.Addr().String()+"/there", Options{}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("another path: got %v", err)
	}
	if _, err := Dial(t.Context(), "ws://127.0.0.1:1", Options{}); err == nil {
		t.Error("nobody listens: got a connection")
	}
}

// noControls ignores control frames.
type noControls struct{}

func (noControls) control(op ws.OpCode, _ []byte) error {
	if op == ws.OpClose {
		return io.EOF
	}
	return nil
}

// TestWebSocketReadThrough shows that control frames alone are not taken for silence: what
// comes behind them is read.
func TestWebSocketReadThrough(t *testing.T) {
	near, far := Pipe()
	defer far.Close()
	c := newWebSocket(near, ws.StateServerSide, nil)
	defer c.Close()
	pieces := [][]byte{frame(0x8A, "pong"), frame(0x82, "hello")}
	read := func(b []byte) (n int, err error) {
		if len(pieces) > 0 {
			n = copy(b, pieces[0])
			pieces = pieces[1:]
		}
		return n, nil
	}
	b := make([]byte, 100)
	if n, err := c.ReadThrough(read, b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("got %q, %v, want hello", b[:n], err)
	}
	if n, err := c.ReadThrough(read, b); n != 0 || err != nil {
		t.Errorf("when nothing has come: got %q, %v", b[:n], err)
	}
}

// FuzzUnframe checks that what frames carry does not depend on the pieces in which they
// come, nor grows, nor needs memory that their lengths promise.
func FuzzUnframe(f *testing.F) {
	f.Add(append(frame(0x02, "he"), append(frame(0x89, "?"), frame(0x80, "llo")...)...), uint8(3))
	f.Add([]byte{0x82, 0xFF, 0x7F, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		take := func(size int) (got []byte, err error) {
			u := unframer{state: ws.StateServerSide}
			for rest := bytes.Clone(b); len(rest) > 0 && err == nil; rest = rest[min(size, len(rest)):] {
				piece := rest[:min(size, len(rest))]
				var n int
				if n, err = u.take(piece, noControls{}); n > len(piece) {
					t.Fatalf("%d bytes of %d", n, len(piece))
				}
				got = append(got, piece[:n]...)
				if cap(u.control) > 256 {
					t.Fatalf("%d bytes are kept", cap(u.control))
				}
			}
			return got, err
		}
		whole, wholeErr := take(len(b) + 1)
		pieces, piecesErr := take(int(size) + 1)
		if !bytes.Equal(whole, pieces) || fmt.Sprint(wholeErr) != fmt.Sprint(piecesErr) {
			t.Errorf("in one piece %q, %v; in pieces of %d %q, %v", whole, wholeErr, size, pieces, piecesErr)
		}
	})
}
