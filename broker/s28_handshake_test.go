package broker_test

import (
	"errors"
	"net"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestHandshakeFailed shows that what a listener tells of is an event, is counted, and stands in
// $SYS once there is one.
func TestHandshakeFailed(t *testing.T) {
	var got []broker.HandshakeFailed
	config := everyTen
	config.Events = func(e broker.Event) {
		if e, ok := e.(broker.HandshakeFailed); ok {
			got = append(got, e)
		}
	}
	mqtest.Run(t, "", mqtest.V5, config, func(scene *mqtest.Scene) {
		got = nil
		if topics := sysTopics(scene, "$SYS/broker/handshake/#"); len(topics) != 0 {
			scene.Errorf("before one has failed: got %v", topics)
		}
		from, why := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}, errors.New("the client has gone")
		for _, h := range []broker.Handshake{broker.HandshakeTLS, broker.HandshakeProxy, broker.HandshakeTLS} {
			scene.Broker.HandshakeFailed(broker.HandshakeFailed{Remote: from, Handshake: h, Err: why})
		}
		if len(got) != 3 || got[1] != (broker.HandshakeFailed{Remote: from, Handshake: broker.HandshakeProxy, Err: why}) {
			scene.Errorf("events: got %v", got)
		}
		if n := scene.Broker.Stats().Handshakes; len(n) != 2 || n[broker.HandshakeTLS] != 2 || n[broker.HandshakeProxy] != 1 {
			scene.Errorf("counted: got %v, want 2 of TLS and 1 of PROXY", n)
		}
		pastTick()
		topics := sysTopics(scene, "$SYS/broker/handshake/#")
		if len(topics) != 2 || topics["handshake/failed/tls"] != "2" || topics["handshake/failed/proxy-header"] != "1" {
			scene.Errorf("$SYS: got %v", topics)
		}
	})
}

// proxied is a connection of which a proxy has told.
type proxied struct {
	net.Conn
	tls *broker.ProxiedTLS
}

func (c proxied) ProxiedTLS() *broker.ProxiedTLS { return c.tls }

// TestProxiedTLS shows that an Authenticator hears what a proxy has told of a client's TLS.
func TestProxiedTLS(t *testing.T) {
	want := &broker.ProxiedTLS{Version: "TLSv1.3", Verified: true, CommonName: "pump-7"}
	for _, told := range []*broker.ProxiedTLS{want, nil} {
		heard := make(chan *broker.ProxiedTLS, 1)
		b := mqtest.New(t, broker.Config{Authenticator: authenticate(func(r *broker.ConnectRequest) error { heard <- r.ProxiedTLS; return nil })})
		near, far := transport.Pipe()
		go b.ServeConn(t.Context(), proxied{far, told})
		text, err := packet.Append(nil, &packet.Connect{Version: colibri.V5, CleanStart: true, ClientID: "pump"}, colibri.V5)
		if err != nil {
			t.Fatal(err)
		}
		near.Write(text)
		if got := <-heard; got != told {
			t.Errorf("got %v, want %v", got, told)
		}
		near.Close()
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
