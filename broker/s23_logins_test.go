package broker_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// askFunc is an Authenticator.
type askFunc func(ctx context.Context, r *broker.ConnectRequest) error

func (f askFunc) Authenticate(ctx context.Context, r *broker.ConnectRequest) error { return f(ctx, r) }

// TestLimitError shows that a limit of an Authenticator is counted, and that its error says
// what the client is told.
func TestLimitError(t *testing.T) {
	banned := &broker.LimitError{Limit: broker.LimitLogins,
		Err: &colibri.Error{Op: "CONNECT", Code: colibri.Banned, Err: errors.New("too many")}}
	config := broker.Config{Authenticator: askFunc(func(_ context.Context, r *broker.ConnectRequest) error {
		if r.UserName == "banned" {
			return banned
		}
		return nil
	})}
	mqtest.Run(t, "an Authenticator's limit", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(&packet.Connect{Version: v5, ClientID: "a", CleanStart: true, HasUserName: true, UserName: "banned"})
		p.ExpectClosed(&packet.Connack{Code: colibri.Banned, Properties: colibri.Properties{}.AppendValue(colibri.ReasonString, "CONNECT: too many")})
		scene.Connect("other").Ping()
		if n := scene.Broker.Stats().Limited[broker.LimitLogins]; n != 1 {
			scene.Errorf("got %d, want the limit counted once", n)
		}
	})
}

// TestDeparted shows that an Authenticator learns of a client that has hung up, also when it
// has sent more before, and not of one that waits.
func TestDeparted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("sockets are no descriptors here")
		return
	}
	type answer struct{ before, after bool }
	for _, url := range []string{"tcp://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "s"), "ws://127.0.0.1:0"} {
		t.Run(url[:4], func(t *testing.T) {
			asked, left, answers := make(chan bool), make(chan bool), make(chan answer, 1)
			b, err := broker.New(broker.Config{Authenticator: askFunc(func(ctx context.Context, r *broker.ConnectRequest) error {
				before := r.Departed()
				asked <- true
				<-left
				look := time.NewTicker(time.Millisecond) // the kernel tells nobody
				defer look.Stop()
				for ctx.Err() == nil && !r.Departed() {
					<-look.C
				}
				answers <- answer{before, r.Departed()}
				return colibri.ServerBusy
			})})
			if err != nil {
				t.Fatal(err)
			}
			l, err := transport.Listen(url, transport.Options{})
			if err != nil {
				t.Fatal(err)
			}
			go b.Serve(l)
			t.Cleanup(func() { b.Shutdown(context.Background()) })
			to := url
			if _, ok := l.Addr().(*net.TCPAddr); ok {
				to = url[:len(url)-len("127.0.0.1:0")] + l.Addr().String()
			}
			nc, err := transport.Dial(t.Context(), to, transport.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s := &socket{t: t, nc: nc}
			s.send(&packet.Connect{Version: v5, ClientID: "a", CleanStart: true}, &packet.Pingreq{})
			<-asked
			nc.Close()
			left <- true
			if got, want := <-answers, (answer{false, true}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
