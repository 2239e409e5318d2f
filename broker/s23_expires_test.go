package broker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// timed is an Authenticator that lets clients in for the time that their Password says, and
// takes the User Name away.
type timed struct{}

func (timed) Authenticate(_ context.Context, r *broker.ConnectRequest) error {
	r.UserName = strings.TrimPrefix(r.UserName, "secret ")
	if !r.HasPassword {
		return nil
	}
	d, err := time.ParseDuration(string(r.Password))
	if err != nil {
		return colibri.NotAuthorized
	}
	r.Expires = time.Now().Add(d)
	return nil
}

func TestExpires(t *testing.T) {
	with := func(password string) func(*packet.Connect) {
		return func(c *packet.Connect) {
			c.HasUserName, c.UserName = true, "secret me"
			c.HasPassword, c.Password = true, []byte(password)
		}
	}
	mqtest.Run(t, "what a client was let in with expires while it is connected", mqtest.V5, broker.Config{Authenticator: timed{}}, func(scene *mqtest.Scene) {
		short, long, ever := scene.Connect("short", with("10s")), scene.Connect("long", with("2000000h")), scene.Connect("ever")
		short.ExpectNothing(9 * time.Second)
		time.Sleep(2 * time.Second)
		short.ExpectEnded(colibri.MaximumConnectTime)
		long.Ping()
		ever.Ping()
	})
	mqtest.Run(t, "it had expired before", mqtest.V311, broker.Config{Authenticator: timed{}}, func(scene *mqtest.Scene) {
		p := scene.Connect("short", with("-1h"))
		time.Sleep(2 * time.Second)
		p.ExpectClosed()
	})
	var names []string
	seen := broker.Config{Authenticator: timed{}, Events: func(e broker.Event) {
		switch e := e.(type) {
		case broker.Refused:
			names = append(names, "refused "+e.Client.UserName)
		case broker.Connected:
			names = append(names, "connected "+e.Client.UserName)
		}
	}}
	mqtest.Run(t, "events have the User Name that the Authenticator leaves", mqtest.V5, seen, func(scene *mqtest.Scene) {
		names = nil
		scene.Connect("in", with("1h"))
		p := scene.Dial()
		p.Send(p.NewConnect("out", with("wrong")))
		p.Received()
		if got := strings.Join(names, ", "); got != "connected me, refused me" {
			t.Errorf("got %q", got)
		}
	})
}
