package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/history"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// bouncer is an Authenticator and an Authorizer: the user mallory is not let in, temp for an hour,
// and eve may do nothing but what was allowed before the rules changed.
type bouncer struct{ changed bool }

func (b *bouncer) Authenticate(_ context.Context, r *broker.ConnectRequest) error {
	switch r.UserName {
	case "mallory":
		return &colibri.Error{Op: "CONNECT", Code: colibri.BadUserNameOrPassword, Err: errors.New("the password is wrong")}
	case "hasty":
		return &broker.LimitError{Limit: broker.LimitLogins, Err: &colibri.Error{Code: colibri.Banned, Err: errors.New("too many failed logins")}}
	case "temp":
		r.Expires = time.Now().Add(time.Hour)
	}
	return nil
}

func (b *bouncer) Permissions(c broker.ClientInfo) broker.Permissions {
	if c.UserName == "eve" {
		return b
	}
	return nil
}

func (b *bouncer) Publish(string, colibri.QoS, bool) colibri.ReasonCode { return colibri.NotAuthorized }
func (b *bouncer) Unsubscribe(string) colibri.ReasonCode                { return colibri.Success }
func (b *bouncer) Receive(string) bool                                  { return true }
func (b *bouncer) Subscribe(s colibri.Subscription) colibri.ReasonCode {
	if b.changed || s.Filter == "no" {
		return colibri.NotAuthorized
	}
	return colibri.ReasonCode(s.QoS)
}

func asUser(name string) func(*packet.Connect) {
	return func(c *packet.Connect) { c.HasUserName, c.UserName = true, name }
}

func lasting(c *packet.Connect) {
	c.CleanStart = false
	c.Properties = append(c.Properties, colibri.Property{ID: colibri.SessionExpiryInterval, Number: 60})
}

// goneCase is a way in which a connection ends, and what is said of it.
type goneCase struct {
	name string
	act  func(scene *mqtest.Scene)
	want string // the end of the sentence about c, without its times
	line string // a line of the history without its times, unless it is empty
}

const peerAddress = "192.0.2.7:40000"

// enters connects c from a place that has an address.
func enters(scene *mqtest.Scene, options ...func(*packet.Connect)) *mqtest.Peer {
	scene.Helper()
	p := scene.DialFrom(peerAddress)
	p.Connect("c", options...)
	return p
}

// knocks sends a CONNECT that is not accepted.
func knocks(scene *mqtest.Scene, options ...func(*packet.Connect)) {
	scene.Helper()
	p := scene.DialFrom(peerAddress)
	p.Send(p.NewConnect("c", options...))
	p.Received()
}

var goneCases = []goneCase{
	{"nothing", func(*mqtest.Scene) {}, "nothing is known of c", ""},
	{"is there", func(scene *mqtest.Scene) { enters(scene) }, "c is connected since T", "connected from " + peerAddress + " with MQTT 5.0, until now"},
	{"goodbye", func(scene *mqtest.Scene) { enters(scene).Disconnect() }, "c has left at T: it said goodbye",
		"connected from " + peerAddress + " with MQTT 5.0 for less than a millisecond, ended by the client: it said goodbye"},
	{"goodbye with the Will Message", func(scene *mqtest.Scene) {
		enters(scene, asUser("ann")).Send(&packet.Disconnect{Code: colibri.DisconnectWithWillMessage})
	}, "c has left at T: it said goodbye and asked for its Will Message", ""},
	{"goodbye with a fault", func(scene *mqtest.Scene) {
		enters(scene).Send(&packet.Disconnect{Code: colibri.ImplementationSpecificError})
	},
		"c has left at T: it said goodbye with Implementation specific error", ""},
	{"no goodbye", func(scene *mqtest.Scene) { enters(scene).Drop() },
		"c was disconnected at T because it closed the connection without a DISCONNECT",
		"connected from " + peerAddress + " with MQTT 5.0 for less than a millisecond, ended by the client or the network: it closed the connection without a DISCONNECT"},
	{"silence", func(scene *mqtest.Scene) {
		enters(scene, func(c *packet.Connect) { c.KeepAlive = 10 })
		time.Sleep(time.Minute)
	}, "c was disconnected at T because Keep Alive: nothing was received for one and a half times the Keep Alive (Keep Alive timeout)",
		"connected from " + peerAddress + " with MQTT 5.0 for 16s, ended by the broker: Keep Alive: nothing was received for one and a half times the Keep Alive (Keep Alive timeout)"},
	{"taken over", func(scene *mqtest.Scene) {
		enters(scene)
		time.Sleep(time.Second)
		enters(scene)
	}, "c is connected since T; before that it was disconnected at T because another connection took its Client Identifier over",
		"connected from " + peerAddress + " with MQTT 5.0 for 1s, ended by another connection: another connection took its Client Identifier over"},
	{"two devices", func(scene *mqtest.Scene) {
		for range 4 {
			enters(scene)
		}
	}, "c is connected since T; before that it was disconnected at T because another connection took its Client Identifier over",
		"is the Client Identifier of two devices that disconnect each other: " + peerAddress + " and " + peerAddress},
	{"what is no packet", func(scene *mqtest.Scene) { enters(scene).SendHex("00 00") },
		"c was disconnected at T because reserved MQTT Control Packet type: 0 is reserved (Malformed Packet)", ""},
	{"a second CONNECT", func(scene *mqtest.Scene) { p := enters(scene); p.Send(p.NewConnect("c")) },
		"c was disconnected at T because CONNECT: a second CONNECT on the same Network Connection (Protocol Error)", ""},
	{"a large packet", func(scene *mqtest.Scene) {
		enters(scene).Send(&packet.Publish{Topic: "a", Payload: make([]byte, 2000)})
	},
		"c was disconnected at T because packet: 2007 bytes, and this Server takes 1000 (Packet too large)", "reached a limit: packet size"},
	{"what it was let in with expires", func(scene *mqtest.Scene) { enters(scene, asUser("temp")); time.Sleep(61 * time.Minute) },
		"c was disconnected at T because connection: what the client was let in with has expired (Maximum connect time)", ""},
	{"shutdown", func(scene *mqtest.Scene) { enters(scene); scene.Broker.Shutdown(context.Background()) },
		"c was disconnected at T because the broker is shutting down", ""},
	{"a wrong password", func(scene *mqtest.Scene) {
		knocks(scene, asUser("mallory"))
		time.Sleep(time.Second)
		knocks(scene, asUser("mallory"))
	}, "c was refused at T because CONNECT: the password is wrong (Bad User Name or Password)",
		"refused from " + peerAddress + " as user mallory (2 times, the last one at T): CONNECT: the password is wrong (Bad User Name or Password)"},
	{"too many logins", func(scene *mqtest.Scene) { knocks(scene, asUser("hasty")) }, "c was refused at T because too many failed logins (Banned)", "reached a limit: failed logins"},
	{"too many connections", func(scene *mqtest.Scene) { scene.Connect("1"); scene.Connect("2"); scene.Connect("3"); knocks(scene) },
		"c was refused at T because CONNECT: this Server has as many connections as it may have (Quota exceeded)", "reached a limit: connections"},
	{"a Will Message that it may not have", func(scene *mqtest.Scene) {
		knocks(scene, asUser("eve"), func(c *packet.Connect) { c.Will = &packet.Will{Topic: "a"} })
	}, "c was refused at T because CONNECT: Will Message: this client may not publish to this topic (Not authorized)", "was not allowed to publish to: a"},
	{"a broker that sends its clients elsewhere", func(scene *mqtest.Scene) {
		if err := scene.Broker.Drain(context.Background(), "elsewhere"); err != nil {
			scene.Fatal(err)
		}
		knocks(scene)
	}, "c was refused at T because use another server: elsewhere", ""},
	{"a publication that is denied", func(scene *mqtest.Scene) {
		p := enters(scene, asUser("eve"))
		p.Send(&packet.Publish{Topic: "a"}, &packet.Publish{Topic: "b"})
		p.Received()
	}, "c is connected since T", "was not allowed to publish to: b (2 times, the last one at T)"},
	{"a Subscription that is denied", func(scene *mqtest.Scene) {
		p := enters(scene, asUser("eve"))
		p.Send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "no"}}})
		p.Received()
	}, "c is connected since T", "was not allowed to subscribe to: no"},
	{"a Subscription that is lost", func(scene *mqtest.Scene) {
		p := enters(scene, asUser("eve"))
		p.Send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a"}}})
		p.Received()
		bounce.changed = true
		scene.Broker.Reauthorize()
	}, "c is connected since T", "lost, as the rules have changed, its Subscription to: a"},
	{"a Session that ends", func(scene *mqtest.Scene) {
		p := enters(scene, lasting)
		p.Send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a", QoS: 1}}})
		p.Received()
		p.Disconnect()
		scene.Connect("other").Send(&packet.Publish{PacketID: 1, QoS: 1, Topic: "a"})
		time.Sleep(2 * time.Minute)
	}, "c has left at T: it said goodbye", "lost, as its Session ended, messages that it had not had"},
}

var bounce = &bouncer{}

// TestWhyGone ends connections in each way, and reads what is said of them.
func TestWhyGone(t *testing.T) {
	var table *history.Table
	config := broker.Config{Authenticator: bounce, Authorizer: bounce, Limits: broker.Limits{PacketBytes: 1000, Connections: 3},
		Events: func(e broker.Event) { table.Event(e) }}
	for _, row := range goneCases {
		table = history.New(refusedBecause, because)
		bounce.changed = false
		mqtest.Run(t, row.name, mqtest.V5, config, func(scene *mqtest.Scene) {
			row.act(scene)
			synctest.Wait()
			a, _ := table.Client("c")
			expectAccount(scene.T, a, "c", row.want, row.line)
		})
	}
}

// expectAccount compares what is said, with T for each time.
func expectAccount(t *testing.T, a history.Account, who, want, line string) {
	t.Helper()
	if got := withoutTimes(a.Sentence(who)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var lines []string
	for i := range a.Records {
		lines = append(lines, withoutTimes(a.Records[i].String()))
	}
	if line != "" && !slices.Contains(lines, line) {
		t.Errorf("%q is missing in:\n%s", line, strings.Join(lines, "\n"))
	}
}

func withoutTimes(text string) string {
	words := strings.Split(text, " ")
	var out []string
	for i := 0; i < len(words); i++ {
		if i+1 < len(words) {
			if _, err := time.Parse(time.DateTime, (words[i] + " " + words[i+1] + strings.Repeat(" ", 19))[:19]); err == nil {
				out = append(out, "T"+words[i+1][8:])
				i++
				continue
			}
		}
		out = append(out, words[i])
	}
	return strings.Join(out, " ")
}

// TestWhyAddress has the connections of which no client is known.
func TestWhyAddress(t *testing.T) {
	var table *history.Table
	for _, row := range []struct {
		name       string
		limits     broker.Limits
		act        func(scene *mqtest.Scene, p *mqtest.Peer)
		want, line string
	}{
		{"HTTP", broker.Limits{}, func(_ *mqtest.Scene, p *mqtest.Peer) { p.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
			"was refused at T because first packet: the client speaks HTTP or WebSocket, and this port does not (Protocol Error)", ""},
		{"TLS", broker.Limits{}, func(_ *mqtest.Scene, p *mqtest.Peer) { p.SendHex("16 03 01 00 05 01 00 00 01 00") },
			"was refused at T because first packet: the client speaks TLS, and this port does not (Protocol Error)", ""},
		{"another packet", broker.Limits{}, func(_ *mqtest.Scene, p *mqtest.Peer) { p.SendHex("c0 00") },
			"was refused at T because PINGREQ: the first packet must be CONNECT (Protocol Error)", ""},
		{"nothing", broker.Limits{}, func(_ *mqtest.Scene, p *mqtest.Peer) { p.Drop() },
			"was refused at T because it closed the connection before its CONNECT was complete", ""},
		{"silence", broker.Limits{}, func(*mqtest.Scene, *mqtest.Peer) { time.Sleep(time.Minute) },
			"was refused at T because its CONNECT did not come in time", ""},
		{"a large CONNECT", broker.Limits{ConnectBytes: 10}, func(_ *mqtest.Scene, p *mqtest.Peer) { p.Send(p.NewConnect("c")) },
			"was refused at T because CONNECT: 16 bytes, and this Server takes 10 (Packet too large)", ""},
		{"too many of one address", broker.Limits{PerAddress: 1}, func(scene *mqtest.Scene, _ *mqtest.Peer) {
			scene.DialFrom("192.0.2.7:40001")
		}, "was refused at T because connection: its address has 1 connections, and may not have more (Quota exceeded)",
			"was closed at once because of a limit: connections of an address"},
		{"turned away by a listener", broker.Limits{}, func(scene *mqtest.Scene, _ *mqtest.Peer) {
			scene.Broker.TurnedAway(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 9}, broker.LimitHandshakes)
		}, "was closed at once because of a limit: handshakes at T", ""},
		{"a handshake that fails", broker.Limits{}, func(scene *mqtest.Scene, _ *mqtest.Peer) {
			scene.Broker.HandshakeFailed(broker.HandshakeFailed{Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 9}, Handshake: broker.HandshakeTLS,
				Err: errors.New("the client does not trust the certificate")})
		}, "was refused at T because the client does not trust the certificate", ""},
	} {
		table = history.New(refusedBecause, because)
		mqtest.Run(t, row.name, mqtest.V5, broker.Config{Limits: row.limits, Events: func(e broker.Event) { table.Event(e) }}, func(scene *mqtest.Scene) {
			p := scene.DialFrom(peerAddress)
			synctest.Wait()
			row.act(scene, p)
			synctest.Wait()
			a, _ := table.Address("192.0.2.7")
			expectAccount(scene.T, a, "it", "it "+row.want, row.line)
		})
	}
}

// TestWhyWords has the errors that a connection in memory does not give.
func TestWhyWords(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ECONNRESET: "c was disconnected at T because the connection was broken by the client or the network",
		syscall.EPIPE:      "c was disconnected at T because the connection was broken by the client or the network",
		io.EOF:             "c was disconnected at T because it closed the connection without a DISCONNECT",
		fmt.Errorf("read: %w", os.ErrDeadlineExceeded): "c was disconnected at T because read: i/o timeout",
		tls.AlertError(42): "c was disconnected at T because tls: bad certificate",
	} {
		table := history.New(refusedBecause, because)
		table.Event(broker.Disconnected{Client: broker.ClientInfo{ClientID: "c"}, Err: err})
		a, _ := table.Client("c")
		expectAccount(t, a, "c", want, "")
	}
}
