package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// quicCertificate returns what a server for 127.0.0.1 and its clients need.
func quicCertificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: roots}
}

// quicPair is a listener and what its clients need.
type quicPair struct {
	*testing.T
	l      net.Listener
	url    string
	client Options
}

func newQUICPair(t *testing.T) *quicPair {
	server, client := quicCertificate(t)
	l, err := Listen("quic://127.0.0.1:0", Options{TLS: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &quicPair{t, l, "quic://" + l.Addr().String(), Options{TLS: client}}
}

// connect returns both ends of a connection. The client begins with "hello".
func (p *quicPair) connect() (client, server net.Conn) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 10*time.Second)
	defer cancel()
	client, err := Dial(ctx, p.url, p.client)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { client.Close() })
	io.WriteString(client, "hello") // a stream is opened by its first byte
	server, err = p.l.Accept()
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { server.Close() })
	for _, nc := range []net.Conn{client, server} {
		nc.SetDeadline(time.Now().Add(10 * time.Second))
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "hello" {
		p.Fatalf("got %q and the error %v", got, err)
	}
	return client, server
}

// TestQUIC sends a lot in both directions, and ends from either side: nothing of it is lost,
// and the other end reads io.EOF.
func TestQUIC(t *testing.T) {
	p := newQUICPair(t)
	for _, serverFirst := range []bool{true, false} {
		client, server := p.connect()
		if client.RemoteAddr().String() != p.l.Addr().String() || server.RemoteAddr().String() == server.LocalAddr().String() {
			t.Errorf("addresses: got %v, %v and %v", client.RemoteAddr(), server.RemoteAddr(), server.LocalAddr())
		}
		if state := server.(*QUIC).ConnectionState(); state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "mqtt" || !state.HandshakeComplete {
			t.Errorf("TLS: got %+v", state)
		}
		first, second := client, server
		if serverFirst {
			first, second = server, client
		}
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // more than any window
		go func() {
			first.Write(sent)
			first.Close()
		}()
		got, err := io.ReadAll(second)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("server first %v: got %d bytes and the error %v, want %d", serverFirst, len(got), err, len(sent))
		}
		if err := second.Close(); err != nil {
			t.Errorf("Close: got %v", err)
		}
		select { // not after its time limit, as both have ended the stream
		case <-first.(*QUIC).conn.Context().Done():
		case <-time.After(farewellTime / 2):
			t.Error("the connection outlives its stream")
		}
		if _, err := first.Read(got); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: got %v", err)
		}
		if _, err := second.Write(got); err == nil {
			t.Error("Write after Close: got no error")
		}
	}
}

// TestQUICClose shows that Close lets a reader go, and ends a connection whose peer does not.
func TestQUICClose(t *testing.T) {
	p := newQUICPair(t)
	client, server := p.connect()
	reads := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 1))
		reads <- err
	}()
	server.Close()
	select {
	case err := <-reads:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("a reader while it is closed: got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Close does not let a reader go")
	}
	select {
	case <-client.(*QUIC).conn.Context().Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the connection is still open")
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read of the other end: got %d, %v; want the end", n, err)
	}
	if _, err := client.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("Write of the other end: got %v", err)
	}
}

// TestQUICListener shows that the end of a listener ends Accept and leaves what was accepted;
// its socket goes with the last connection.
func TestQUICListener(t *testing.T) {
	p := newQUICPair(t)
	client, server := p.connect()
	p.l.Close()
	if _, err := p.l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: got %v", err)
	}
	go io.WriteString(client, "still here")
	got := make([]byte, 10)
	if _, err := io.ReadFull(server, got); err != nil {
		t.Errorf("a connection that was accepted: got %v", err)
	}
	client.Close()
	server.Close()
	for late := time.Now().Add(10 * time.Second); ; {
		socket, err := net.ListenPacket("udp", p.l.Addr().String())
		if err == nil {
			socket.Close()
			break
		}
		if time.Now().After(late) {
			t.Fatalf("the socket is still open: %v", err)
		}
	}
}

// TestQUICRefused shows who gets no connection, and that those who hold theirs without opening a
// stream are in nobody's way.
func TestQUICRefused(t *testing.T) {
	p := newQUICPair(t)
	dial := func(o Options) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := Dial(ctx, p.url, o)
		return err
	}
	if err := dial(Options{}); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("a CA that is not known: got %v", err)
	}
	other := p.client.TLS.Clone()
	other.ServerName = "example.org"
	if err := dial(Options{TLS: other}); err == nil || !strings.Contains(err.Error(), "example.org") {
		t.Errorf("another name: got %v", err)
	}
	web := p.client.TLS.Clone()
	web.NextProtos, web.ServerName = []string{"h3"}, "127.0.0.1"
	if _, err := quic.DialAddr(t.Context(), p.l.Addr().String(), web, nil); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("another protocol: got %v", err)
	}
	web.NextProtos = []string{"mqtt"}
	for range quicSuspicious + 10 {
		silent, err := quic.DialAddr(t.Context(), p.l.Addr().String(), web, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.CloseWithError(0, "")
	}
	p.connect()
	crowd := p.l.(*quicListener).crowd
	crowd.mu.Lock()
	if got := len(crowd.all); got != quicSuspicious+10 {
		t.Errorf("connections without a stream: got %d, want %d", got, quicSuspicious+10)
	}
	crowd.mu.Unlock()
	if _, err := Listen("quic://127.0.0.1:0", Options{}); err == nil || !strings.Contains(err.Error(), "there is no certificate") {
		t.Errorf("without a certificate: got %v", err)
	}
	if err := Check("quic://localhost/topic"); err == nil || !strings.Contains(err.Error(), "which QUIC does not have") {
		t.Errorf("with a path: got %v", err)
	}
}
