package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// far is the end of a pipe that has an address.
type far struct {
	net.Conn
	remote net.Addr
}

func (c far) RemoteAddr() net.Addr { return c.remote }

// pipes is a listener whose connections are pipes, so that time can pass in a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.closed); return nil }
func (l *pipes) Addr() net.Addr { return tcp("127.0.0.1:1883") }

// dial connects from an address.
func (l *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- far{server, tcp(from)}
	return client
}

// closed reports whether the other end has closed nc, without waiting.
func closed(nc net.Conn) bool {
	nc.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := nc.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestListen(t *testing.T) {
	const header, tls = "PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n", "\x01\x00\x00\x00\x00"
	const rightCertificate, wrongCertificate = "\x07\x00\x00\x00\x00", "\x07\x00\x00\x00\x13"
	for _, c := range []struct {
		name, from, sends string
		o                 Options
		remote            string // of the connection; empty when it is refused
		reason            string
	}{
		{"header", "127.0.0.1:5", header, Options{Version: 1}, "192.0.2.1:40000", ""},
		{"header of version 2", "127.0.0.1:5", v2(1, 0x11, four), Options{Version: 2}, "192.0.2.1:40000", ""},
		{"local", "127.0.0.1:5", v2(0, 0), Options{Version: 2}, "127.0.0.1:5", ""},
		{"unknown", "[::1]:5", "PROXY UNKNOWN\r\n", Options{Version: 1}, "[::1]:5", ""},
		{"private address", "[fd00::1]:5", header, Options{Version: 1}, "192.0.2.1:40000", ""},
		{"IPv4 as IPv6", "[::ffff:10.0.0.1]:5", header, Options{Version: 1}, "192.0.2.1:40000", ""},
		{"public address", "203.0.113.1:5", header, Options{Version: 1}, "", "this address may not send one: name its network in colibri_proxy_from"},
		{"stated network", "203.0.113.1:5", header, Options{Version: 1, From: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}, "192.0.2.1:40000", ""},
		{"outside of it", "127.0.0.1:5", header, Options{Version: 1, From: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}, "", "this address may not send one"},
		{"public address without a header", "203.0.113.1:5", "", Options{Version: 1}, "", "this address may not send one"},
		{"another version", "127.0.0.1:5", header, Options{Version: 2}, "", "its version is 1, and enable_proxy_protocol says 2"},
		{"no header", "127.0.0.1:5", "\x10\x0C\x00\x04MQTT", Options{Version: 1}, "", "speaks MQTT without one"},
		{"no TLS", "127.0.0.1:5", v2(1, 0x11, four), Options{Version: 2, RequireTLS: true}, "", "proxy_protocol_v2_require_tls wants that"},
		{"no TLS, as it is local", "127.0.0.1:5", v2(0, 0), Options{Version: 2, RequireTLS: true}, "", "proxy_protocol_v2_require_tls wants that"},
		{"no certificate", "127.0.0.1:5", v2(1, 0x11, four, record(typeTLS, tls)), Options{Version: 2, RequireCertificate: true}, "", "has shown the proxy a certificate, and require_certificate wants that"},
		{"no TLS, and so no certificate", "127.0.0.1:5", v2(1, 0x11, four), Options{Version: 2, RequireCertificate: true}, "", "has shown the proxy a certificate, and require_certificate wants that"},
		{"local, and so no certificate", "127.0.0.1:5", v2(0, 0), Options{Version: 2, RequireCertificate: true}, "", "has shown the proxy a certificate, and require_certificate wants that"},
		{"a wrong certificate", "127.0.0.1:5", v2(1, 0x11, four, record(typeTLS, wrongCertificate)), Options{Version: 2, RequireCertificate: true}, "", "which the proxy has not found right"},
		{"a wrong certificate where none is needed", "127.0.0.1:5", v2(1, 0x11, four, record(typeTLS, wrongCertificate)), Options{Version: 2, RefuseUnverified: true}, "", "which the proxy has not found right"},
		{"a wrong certificate that nobody looks at", "127.0.0.1:5", v2(1, 0x11, four, record(typeTLS, wrongCertificate)), Options{Version: 2}, "192.0.2.1:40000", ""},
		{"a certificate", "127.0.0.1:5", v2(1, 0x11, four, record(typeTLS, rightCertificate)), Options{Version: 2, RequireCertificate: true}, "192.0.2.1:40000", ""},
		{"none, and none is needed", "127.0.0.1:5", v2(1, 0x11, four, record(typeTLS, tls)), Options{Version: 2, RefuseUnverified: true}, "192.0.2.1:40000", ""},
		{"TLS", "127.0.0.1:5", v2(1, 0x11, four, record(typeTLS, tls)), Options{Version: 2, RequireTLS: true}, "192.0.2.1:40000", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				below, reason, from := newPipes(), "", ""
				c.o.Refused = func(remote net.Addr, err error) { reason, from = err.Error(), remote.String() }
				l := Listen(below, c.o)
				client := below.dial(c.from)
				go io.WriteString(client, c.sends+"rest")
				if c.remote == "" {
					synctest.Wait()
					if !closed(client) || !strings.Contains(reason, c.reason) || c.reason == "" {
						t.Errorf("got the reason %q, want %q and a closed connection", reason, c.reason)
					}
					if want := tcp(c.from).String(); from != want {
						t.Errorf("got a refusal of %s, want %s", from, want)
					}
				} else {
					nc, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					rest := make([]byte, 4)
					_, err = io.ReadFull(nc, rest)
					if got := nc.RemoteAddr().String(); got != c.remote || string(rest) != "rest" || reason != "" {
						t.Errorf("got %s, %q, %v, refused: %q; want %s and the rest", got, rest, err, reason, c.remote)
					}
					nc.Close()
				}
				l.Close()
				client.Close()
			})
		})
	}
}

// TestListenSlow shows that a proxy that sends no header holds nobody up, and loses its
// connection after the time limit; and that a header's time limit ends with it.
func TestListenSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below, reason := newPipes(), ""
		l := Listen(below, Options{Version: 1, Refused: func(_ net.Addr, err error) { reason = err.Error() }})
		slow := below.dial("127.0.0.1:1")
		io.WriteString(slow, "PROXY T")
		quick := below.dial("127.0.0.1:2")
		go io.WriteString(quick, "PROXY UNKNOWN\r\n")
		nc, err := l.Accept()
		if err != nil || nc.RemoteAddr().String() != "127.0.0.1:2" {
			t.Fatalf("got %v, %v", nc, err)
		}
		time.Sleep(headerTime - time.Second)
		if closed(slow) {
			t.Error("closed before its time")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !closed(slow) || !strings.Contains(reason, "not complete") {
			t.Errorf("after the time limit: got the reason %q", reason)
		}
		time.Sleep(time.Hour)
		go io.WriteString(quick, "x")
		if n, err := nc.Read(make([]byte, 1)); n != 1 {
			t.Errorf("reading behind the header: got %v", err)
		}
		nc.Close()
		quick.Close()
		l.Close()
	})
}

// TestListenClose shows that the end of a listener ends all that wait, and not those who
// were accepted.
func TestListenClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newPipes()
		l := Listen(below, Options{Version: 1})
		silent, ready := below.dial("127.0.0.1:1"), below.dial("127.0.0.1:2")
		io.WriteString(ready, "PROXY UNKNOWN\r\n") // and nobody accepts it
		synctest.Wait()
		l.Close()
		synctest.Wait()
		if !closed(silent) || !closed(ready) {
			t.Error("a connection outlives its listener")
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: got %v", err)
		}
	})
}
