package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
)

// certified returns what a server of 127.0.0.1 and its clients need for TLS.
func certified(t *testing.T) (server, clients *tls.Config) {
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

// TestQUIC runs our client against the broker by QUIC: messages of QoS 1 and 2 and of many sizes, in
// order, and the ends of both sides.
func TestQUIC(t *testing.T) {
	server, clients := certified(t)
	gone := make(chan broker.Disconnected, 10)
	b := mqtest.New(t, broker.Config{Limits: broker.Limits{PerAddress: 2}, Events: func(e broker.Event) {
		if e, ok := e.(broker.Disconnected); ok {
			gone <- e
		}
	}})
	l, err := transport.Listen("quic://127.0.0.1:0", transport.Options{TLS: server})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	url := "quic://" + l.Addr().String()
	dial := func(ctx context.Context, url string) (net.Conn, error) {
		return transport.Dial(ctx, url, transport.Options{TLS: clients})
	}
	payload := func(i int) string { return fmt.Sprint(i, " ", strings.Repeat("x", i*i*20)) }
	const messages = 60 // of 72 KB the largest
	subscriber, err := client.Dial(ctx, url, client.Options{ClientID: "sub", Version: colibri.V5, CleanStart: true, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	subscription, err := subscriber.Subscribe(ctx, to("a/#", 2))
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := client.Dial(ctx, url, client.Options{ClientID: "pub", Version: colibri.V311, CleanStart: true, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := dial(ctx, url); err == nil { // a third one from one address
		nc.Write([]byte{0x10})
		if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("one connection of an address too many: got %d bytes and the error %v", n, err)
		}
		nc.Close()
	}
	if got := b.Stats().Limited[broker.LimitAddress]; got != 1 {
		t.Errorf("connections of an address too many: got %d, want 1", got)
	}
	for i := range messages {
		m := &colibri.Message{Topic: "a/b", Payload: []byte(payload(i)), QoS: colibri.QoS(1 + i%2)}
		if _, err := publisher.Publish(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for i := range messages {
		m, err := subscription.Next(ctx)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if string(m.Payload) != payload(i) {
			t.Fatalf("message %d: got %.20q, want %.20q", i, m.Payload, payload(i))
		}
	}
	if err := publisher.Disconnect(ctx, colibri.Success, nil); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	if e := <-gone; e.Client.ClientID != "pub" || e.Err != nil {
		t.Errorf("the publisher's end: got %+v, want a goodbye", e)
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	select {
	case <-subscriber.Done():
		if err := subscriber.Err(); err == nil || !strings.Contains(err.Error(), "shutting down") {
			t.Errorf("the subscriber's end: got %v, want that the Server is shutting down", err)
		}
	case <-ctx.Done():
		t.Error("the subscriber does not hear of the end")
	}
}
