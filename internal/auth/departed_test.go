package auth

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/passwd"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestHungUpCostsNothing shows that a client which hangs up while it waits for its login is
// not compared, and that one which waits is.
func TestHungUpCostsNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("a connection that hung up cannot be told here")
		return
	}
	gate := NewGate(1, 100)
	p := newPasswords(t, passwordFile(t, passwd.SHA512, "ann:one"), gate, 0)
	b, err := broker.New(broker.Config{Authenticator: &Chain{Checkers: []Checker{p}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go b.Serve(l)
	t.Cleanup(func() { b.Shutdown(context.Background()) })
	gate.places <- struct{}{} // all of them wait
	var clients []net.Conn
	for range 4 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		connect, err := packet.Append(nil, &packet.Connect{Version: colibri.V311, CleanStart: true,
			HasUserName: true, UserName: "ann", HasPassword: true, Password: []byte("one")}, colibri.V311)
		if err == nil {
			_, err = nc.Write(connect)
		}
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, nc)
	}
	until(t, func() bool { return gate.Stats().Waiting == 4 })
	for _, nc := range clients[1:] {
		nc.Close()
	}
	gate.Leave()
	until(t, func() bool { return gate.Stats() == GateStats{Entered: 4} })
	if n := p.Compared(); n != 1 {
		t.Errorf("got %d passwords compared, want that of the client that is still there", n)
	}
	var answer [4]byte
	clients[0].SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := clients[0].Read(answer[:]); err != nil || answer[3] != 0 {
		t.Errorf("who waited: got %x, %v, want a CONNACK that accepts", answer, err)
	}
}

// until waits for something that other goroutines do.
func until(t *testing.T, done func() bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	for look := time.NewTicker(time.Millisecond); !done(); {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("it does not happen")
		}
	}
}
