package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/certtest"
)

// TestTLSSchemes opens a connection by each scheme, and sends bytes both ways.
func TestTLSSchemes(t *testing.T) {
	authority := certtest.NewAuthority(t, "a CA")
	server := &tls.Config{Certificates: []tls.Certificate{authority.Server(t).TLS()}}
	for _, scheme := range []string{"tls", "mqtts", "ssl", "wss"} {
		l, err := Listen(scheme+"://localhost:0", Options{TLS: server})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(nc, nc)
			nc.Close()
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		nc, err := Dial(t.Context(), scheme+"://localhost:"+port, Options{TLS: &tls.Config{RootCAs: authority.Pool()}})
		if err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		want := bytes.Repeat([]byte("0123456789"), 10_000)
		go nc.Write(want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got other bytes, %v", scheme, err)
		}
		nc.Close()
		if _, err := Dial(t.Context(), scheme+"://localhost:"+port, Options{}); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("%s, with the CAs of the system: got %v", scheme, err)
		}
		l.Close()
		if _, err := Listen(scheme+"://localhost:0", Options{}); err == nil || !strings.Contains(err.Error(), "there is no certificate") {
			t.Errorf("%s without a certificate: got %v", scheme, err)
		}
	}
}

// TestTLSPlain shows what becomes of those who do not speak TLS.
func TestTLSPlain(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certtest.NewAuthority(t, "a CA").Server(t).TLS()}}
	for _, c := range []struct{ sent, answer string }{
		{"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", "\x15\x03\x01\x00\x02\x02\x0a"},
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
			"This port is for TLS only, and the request came without it.\n"},
	} {
		refused := make(chan error, 1)
		memory := NewMemory()
		l := ListenTLS(memory, config, func(_ net.Addr, err error) { refused <- err })
		nc, err := memory.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, c.sent)
		if got, err := io.ReadAll(nc); string(got) != c.answer || err != nil {
			t.Errorf("%q: got the answer %q, %v, want %q", c.sent, got, err, c.answer)
		}
		nc.Close()
		if _, ok := errors.AsType[tls.RecordHeaderError](<-refused); !ok {
			t.Errorf("%q: refused for another reason", c.sent)
		}
		l.Close()
	}
}

// TestOpenTLSGivesUp shows that a client does not wait longer than its context for a server
// that says nothing.
func TestOpenTLSGivesUp(t *testing.T) {
	near, far := Pipe()
	defer far.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := OpenTLS(ctx, near, &tls.Config{ServerName: "x"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that its time is over", err)
	}
}

// TestTLSReadThrough feeds a connection byte by byte, with pauses inside records, and shows
// that ReadThrough waits for nothing, loses nothing and ends with the stream.
func TestTLSReadThrough(t *testing.T) {
	authority := certtest.NewAuthority(t, "a CA")
	near, far := Pipe()
	accepted := make(chan *TLS, 1)
	go func() {
		nc, _ := acceptTLS(far, &tls.Config{Certificates: []tls.Certificate{authority.Server(t).TLS()}})
		accepted <- nc.(*TLS)
	}()
	client, err := OpenTLS(t.Context(), near, &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	server := <-accepted
	want := strings.Repeat("x", 20_000) + "end"
	io.WriteString(client, want)
	near.Close()
	wire, err := io.ReadAll(far)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	space := make([]byte, 300)
	for i := range wire {
		fed := false
		for {
			n, err := server.ReadThrough(func(b []byte) (int, error) {
				if fed {
					return 0, nil
				}
				fed = true
				return copy(b, wire[i:i+1]), nil
			}, space)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			got.Write(space[:n])
		}
	}
	if got.String() != want {
		t.Errorf("got %d bytes, want the %d that were sent", got.Len(), len(want))
	}
	if _, err := server.ReadThrough(func([]byte) (int, error) { return 0, io.EOF }, space); err != io.EOF {
		t.Errorf("at the end: got %v, want io.EOF", err)
	}
}
