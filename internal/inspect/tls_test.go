package inspect_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
)

// tap writes down what one end of a connection sends.
type tap struct {
	net.Conn
	mu   *sync.Mutex
	w    *wire
	from int
}

func (c *tap) Write(b []byte) (int, error) {
	c.mu.Lock()
	for part := b; len(part) > 0; {
		n := min(len(part), 1000)
		c.w.send(c.from, string(part[:n]))
		part = part[n:]
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// tlsSession lets a client and a server exchange packets in TLS, and returns the capture
// and the key log.
func tlsSession(t *testing.T, version, suite uint16) (w *wire, keyLog string) {
	t.Helper()
	h := httptest.NewTLSServer(nil)
	certificate := h.TLS.Certificates[0]
	h.Close()
	w = newWire(t)
	w.ends[server] = onPort(w, 8883)
	w.open()
	var mu sync.Mutex
	var log bytes.Buffer
	near, far := net.Pipe()
	a := tls.Client(&tap{near, &mu, w, client}, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &log,
		MinVersion: version, MaxVersion: version, CipherSuites: []uint16{suite}})
	b := tls.Server(&tap{far, &mu, w, server}, &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true, CipherSuites: []uint16{suite}})
	done := make(chan error, 1)
	go func() {
		buffer := make([]byte, len(connect(t, colibri.V5)))
		if _, err := io.ReadFull(b, buffer); err != nil {
			done <- err
			return
		}
		_, err := b.Write([]byte(connack(t, colibri.V5)))
		io.Copy(io.Discard, b)
		done <- err
	}()
	exchange := func() error {
		if _, err := io.WriteString(a, connect(t, colibri.V5)); err != nil {
			return err
		}
		if _, err := io.ReadFull(a, make([]byte, len(connack(t, colibri.V5)))); err != nil {
			return err
		}
		_, err := io.WriteString(a, publish(t, colibri.V5, "long", strings.Repeat("x", 40_000))+"\xE0\x00")
		return err
	}
	if err := exchange(); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return w, log.String()
}

func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		name           string
		version, suite uint16
	}{
		{"1.3", tls.VersionTLS13, 0},
		{"1.2, AES-128", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		{"1.2, AES-256", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
		{"1.2, ChaCha20", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
		{"1.2, AES-128 in blocks, SHA-1", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
		{"1.2, AES-256 in blocks, SHA-1", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
		{"1.2, AES-128 in blocks, SHA-256", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, keyLog := tlsSession(t, tt.version, tt.suite)
			keys := inspect.NewKeyLog()
			if err := keys.Read(strings.NewReader("# a comment\nnonsense\n" + keyLog)); err != nil {
				t.Fatal(err)
			}
			got, summary := look(t, w.file(), inspect.Config{KeyLog: keys})
			var info []string
			for line := range strings.Lines(got) {
				_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
				info = append(info, text)
			}
			want := []string{"-> Connect Command", "<- Connect Ack", "-> Publish Message (id=7) [long]", "-> Disconnect Req"}
			if diff := cmp.Diff(want, info); diff != "" || summary.Encrypted != 0 {
				t.Errorf("%d encrypted (-want +got):\n%s", summary.Encrypted, diff)
			}

			other := inspect.NewKeyLog()
			other.Add([]byte("CLIENT_RANDOM " + strings.Repeat("00", 32) + " " + strings.Repeat("00", 48) + "\n"))
			for _, without := range []struct {
				keys *inspect.KeyLog
				want string
			}{{nil, "no secrets were given"}, {inspect.NewKeyLog(), "no secrets were given"}, {other, "the key log has no secrets of this connection"}} {
				got, summary := look(t, w.file(), inspect.Config{KeyLog: without.keys})
				if !strings.HasSuffix(got, " tls: "+without.want+"\n") || strings.Count(got, "\n") != 1 || summary.Encrypted != 1 {
					t.Errorf("got %q, %d encrypted; want %q", got, summary.Encrypted, without.want)
				}
			}
		})
	}
}

// TestTLSNot: what cannot be read is said once, with the reason.
func TestTLSNot(t *testing.T) {
	t.Run("a suite that cannot be read", func(t *testing.T) {
		for _, tt := range []struct {
			version, hello, suite uint16
			want                  string
		}{
			{tls.VersionTLS12, 0x0303, 0x000A, "its cipher suite 0x000A is not one that can be read here"},
			{tls.VersionTLS12, 0x0303, 0x1301, "its cipher suite 0x1301 is not one that can be read here"},
			{tls.VersionTLS13, 0x0303, 0xC013, "its cipher suite 0xC013 is not one that can be read here"},
			{tls.VersionTLS12, 0x0302, 0xC013, "its version 0x0302 is neither TLS 1.2 nor 1.3"},
		} {
			w, keyLog := tlsSession(t, tt.version, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
			w.helloSays(tt.hello, tt.suite)
			keys := inspect.NewKeyLog()
			keys.Add([]byte(keyLog))
			got, _ := look(t, w.file(), inspect.Config{KeyLog: keys})
			if !strings.HasSuffix(got, tt.want+"\n") || strings.Count(got, "\n") != 1 {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		}
	})
	t.Run("secrets that do not fit", func(t *testing.T) {
		w, keyLog := tlsSession(t, tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
		parts := strings.Fields(keyLog)
		keys := inspect.NewKeyLog()
		keys.Add([]byte(parts[0] + " " + parts[1] + " " + strings.Repeat("ab", 48)))
		got, _ := look(t, w.file(), inspect.Config{KeyLog: keys})
		if want := "its secrets do not fit: they are of another connection\n"; !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("begun after the handshake", func(t *testing.T) {
		w, keyLog := tlsSession(t, tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
		w.frames = w.frames[len(w.frames)-1:] // close_notify
		keys := inspect.NewKeyLog()
		keys.Add([]byte(keyLog))
		if got, summary := look(t, w.file(), inspect.Config{KeyLog: keys}); !strings.HasSuffix(got, "the capture begins after its handshake\n") || summary.Encrypted != 1 {
			t.Errorf("got %q", got)
		}
	})
	t.Run("another port without MQTT", func(t *testing.T) {
		w := newWire(t)
		w.ends[server] = onPort(w, 443)
		w.open().send(client, "\x16\x03\x01\x00\x05hello")
		if got, summary := look(t, w.file(), inspect.Config{}); got != "" || summary.Encrypted != 0 {
			t.Errorf("got %q", got)
		}
	})
}

// helloSays puts another version and cipher suite into the ServerHello.
func (w *wire) helloSays(version, suite uint16) {
	const headers = 14 + 20 + 20 // Ethernet, IPv4, TCP
	for _, frame := range w.frames {
		if hello := frame[headers:]; len(hello) > 44 && hello[0] == 22 && hello[5] == 2 {
			binary.BigEndian.PutUint16(hello[9:], version)
			at := 5 + 39 + int(hello[5+38])
			binary.BigEndian.PutUint16(hello[at:], suite)
			return
		}
	}
	w.t.Fatal("there is no ServerHello")
}
