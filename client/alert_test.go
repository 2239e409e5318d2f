package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/certtest"
)

// brittle is a connection whose Write fails from some moment on, as when the other end has
// closed.
type brittle struct {
	net.Conn
	broken atomic.Bool
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.broken.Load() {
		return 0, syscall.EPIPE
	}
	return b.Conn.Write(p)
}

// TestAlert shows that a Server which refuses the client's certificate is heard, whether the
// CONNECT can still be written or not: in TLS 1.3 the handshake of the client is over then.
func TestAlert(t *testing.T) {
	own, other := certtest.NewAuthority(t, "own"), certtest.NewAuthority(t, "other")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, broken := range []bool{false, true} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server, ended := own.Server(t).TLS(), make(chan struct{})
			go func() {
				defer close(ended)
				nc, err := l.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: own.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}).Handshake()
				nc.Read(make([]byte, 1000)) // its CONNECT, so that nothing is left unread
			}()
			_, err = client.Dial(t.Context(), "mqtt://localhost", client.Options{Dial: func(ctx context.Context, _ string) (net.Conn, error) {
				nc, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					return nil, err
				}
				below := &brittle{Conn: nc}
				c := tls.Client(below, &tls.Config{ServerName: "localhost", RootCAs: own.Pool(), MinVersion: version, MaxVersion: version,
					Certificates: []tls.Certificate{other.Client(t, "eve").TLS()}})
				if err := c.HandshakeContext(ctx); err != nil {
					nc.Close()
					return nil, err
				}
				below.broken.Store(broken)
				return c, nil
			}})
			failed, ok := errors.AsType[*net.OpError](err)
			if !ok || failed.Op != "remote error" {
				t.Errorf("TLS %x, broken %v: got %v, want the alert", version, broken, err)
			}
			l.Close()
			<-ended
		}
	}
}

// TestNoAlert shows that a failed Write is told when the Server has said nothing.
func TestNoAlert(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = client.Dial(t.Context(), "mqtt://localhost", client.Options{Dial: func(context.Context, string) (net.Conn, error) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		server, err := l.Accept()
		if err != nil {
			return nil, err
		}
		server.Close()
		below := &brittle{Conn: nc}
		below.broken.Store(true)
		return below, nil
	}})
	if !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want the failed Write", err)
	}
}
