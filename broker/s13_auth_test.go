package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// riddle is an Exchange that does what the Authentication Data asks for.
type riddle struct {
	name string
	seen func(data []byte)
}

func (x *riddle) Step(ctx context.Context, data []byte) (answer []byte, done bool, err error) {
	if x.seen != nil {
		x.seen(data)
	}
	word, rest, _ := strings.Cut(string(data), ":")
	switch word {
	case "in":
		x.name = rest
		return []byte("welcome"), true, nil
	case "mute":
		x.name = rest
		return nil, true, nil
	case "", "ask":
		return nil, false, nil
	case "empty":
		return []byte{}, false, nil
	case "large":
		return make([]byte, 65_535), false, nil
	case "giant":
		return make([]byte, 65_536), false, nil
	case "largely":
		return make([]byte, 100), true, nil
	case "slow":
		<-ctx.Done()
		if x.seen != nil {
			x.seen([]byte("gave up"))
		}
		return nil, false, errors.New("gave up")
	case "late": // does not care for ctx, and says yes
		<-ctx.Done()
		return nil, true, nil
	case "wait":
		pause, err := time.ParseDuration(rest)
		if err != nil {
			return nil, false, err
		}
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
			return []byte("waited"), false, nil
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	case "no":
		return nil, false, &colibri.Error{Op: "riddle", Code: colibri.NotAuthorized, Err: errors.New("wrong answer")}
	case "busy":
		return nil, false, colibri.ServerBusy
	case "password":
		return nil, false, colibri.BadUserNameOrPassword // no code of a DISCONNECT
	case "odd":
		return nil, false, colibri.Success
	}
	return nil, false, errors.New("the directory at 10.0.0.7 said no")
}

func (x *riddle) UserName() string { return x.name }

// riddles returns the configuration of a broker that knows the method "riddle".
func riddles(seen func(data []byte)) broker.Config {
	return broker.Config{Methods: []broker.Method{
		{Name: "other", Begin: func(*broker.ConnectRequest) broker.Exchange { return &riddle{} }},
		{Name: "riddle", Begin: func(*broker.ConnectRequest) broker.Exchange { return &riddle{seen: seen} }},
	}}
}

// method names an Authentication Method in a CONNECT, with Authentication Data.
func method(name string, data ...string) func(*packet.Connect) {
	return func(c *packet.Connect) { c.Properties = append(c.Properties, methodProperties(name, data...)...) }
}

func methodProperties(name string, data ...string) colibri.Properties {
	ps := text(colibri.AuthenticationMethod, name)
	for _, d := range data {
		ps = ps.AppendValue(colibri.AuthenticationData, d)
	}
	return ps
}

// auth returns an AUTH of the method "riddle".
func auth(code colibri.ReasonCode, data ...string) *packet.Auth {
	return &packet.Auth{Code: code, Properties: methodProperties("riddle", data...)}
}

const (
	further = colibri.ContinueAuthentication
	again   = colibri.ReAuthenticate
)

// expectAccepted takes one CONNACK that accepts with the method and data given, and
// nothing else.
func expectAccepted(scene *mqtest.Scene, p *mqtest.Peer, name, data string, withData bool) {
	scene.Helper()
	got := p.Received()
	if len(got) != 1 || got[0].Type() != packet.CONNACK || got[0].(*packet.Connack).Code != colibri.Success {
		scene.Fatalf("got %v, want a CONNACK that accepts", got)
	}
	ps := got[0].(*packet.Connack).Properties
	gotName, _ := ps.Value(colibri.AuthenticationMethod)
	gotData, hasData := ps.Value(colibri.AuthenticationData)
	if gotName != name || gotData != data || hasData != withData {
		scene.Errorf("CONNACK: got method %q, data %q (%v), want %q and %q (%v)", gotName, gotData, hasData, name, data, withData)
	}
}

// last returns the only packet that has arrived before the broker closed.
func last(scene *mqtest.Scene, p *mqtest.Peer) packet.Packet {
	scene.Helper()
	got := p.Received()
	p.ExpectClosed()
	if len(got) != 1 {
		scene.Fatalf("got %v, want one packet", got)
	}
	return got[0]
}

// TestMethod shows the exchange before the CONNACK.
func TestMethod(t *testing.T) {
	mqtest.Run(t, "in one step [MQTT-4.12.0-5]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle", "in:alice")))
		expectAccepted(scene, p, "riddle", "welcome", true)
		p.Ping()
	})
	mqtest.Run(t, "in many steps [MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.15.2-1]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle")))
		p.Expect(auth(further))
		p.Send(auth(further, "ask"))
		p.Expect(auth(further))
		p.Send(auth(further, "empty"))
		p.Expect(auth(further, ""))
		p.Send(auth(further, "wait:3s"))
		p.ExpectNothing(2 * time.Second)
		time.Sleep(time.Second)
		p.Expect(auth(further, "waited"))
		p.Send(auth(further, "mute:alice"))
		expectAccepted(scene, p, "riddle", "", false)
		p.Ping()
	})
	mqtest.Run(t, "byte by byte", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		for _, one := range p.Encode(p.NewConnect("client", method("riddle"))) {
			p.SendBytes([]byte{one})
		}
		p.Expect(auth(further))
		for _, one := range p.Encode(auth(further, "in:alice")) {
			p.SendBytes([]byte{one})
		}
		expectAccepted(scene, p, "riddle", "welcome", true)
	})
	mqtest.Run(t, "all in one write: what follows is processed after the CONNACK [MQTT-3.1.4-6] [MQTT-3.2.0-1]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle", "ask")), auth(further, "ask"), auth(further, "in:alice"), &packet.Pingreq{})
		got := p.Received()
		if len(got) != 4 || got[0].Type() != packet.AUTH || got[1].Type() != packet.AUTH || got[2].Type() != packet.CONNACK || got[3].Type() != packet.PINGRESP {
			scene.Errorf("got %v, want AUTH, AUTH, CONNACK, PINGRESP", got)
		}
	})
	mqtest.Run(t, "a large AUTH within the limit", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle")))
		p.Expect(auth(further))
		p.Send(auth(further, "ask:"+strings.Repeat("x", 65_000)))
		p.Expect(auth(further))
		p.Send(auth(further, "large"))
		p.Expect(auth(further, string(make([]byte, 65_535))))
		p.Send(auth(further, "in:alice"))
		expectAccepted(scene, p, "riddle", "welcome", true)
	})
	mqtest.Run(t, "without a method nothing of it [MQTT-4.12.0-6]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		if p.Connack.Properties.Has(colibri.AuthenticationMethod) || p.Connack.Properties.Has(colibri.AuthenticationData) {
			scene.Errorf("CONNACK: got %v", p.Connack.Properties)
		}
		p.Ping()
	})
	mqtest.Run(t, "DISCONNECT in between [MQTT-3.14.0-1]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle")))
		p.Expect(auth(further))
		p.Send(&packet.Disconnect{})
		p.ExpectClosed()
	})
	mqtest.Run(t, "Clients that vanish in the middle", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		for _, data := range []string{"ask", "slow", "wait:3s"} {
			p := scene.Dial()
			p.Send(p.NewConnect("client", method("riddle", data)))
			p.Drop()
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if s := scene.Broker.Stats(); s.Sessions != 0 || s.Connections != 0 {
			scene.Errorf("got %d Sessions and %d connections, want none", s.Sessions, s.Connections)
		}
	})
	t.Run("the proven user name counts, the Authenticator is for the others", func(t *testing.T) {
		var mu sync.Mutex
		var asked, connected, publishing []string
		config := riddles(nil)
		config.Authenticator = authenticate(func(r *broker.ConnectRequest) error {
			asked = append(asked, r.UserName)
			return nil
		})
		config.Authorizer = names(func(c broker.ClientInfo) { publishing = append(publishing, c.UserName) })
		config.Events = func(e broker.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e, ok := e.(broker.Connected); ok {
				connected = append(connected, e.Client.UserName)
			}
		}
		mqtest.Run(t, "in", mqtest.V5, config, func(scene *mqtest.Scene) {
			scene.Connect("one", user("claimed", "x"), method("riddle", "in:alice"), will(qos0("w", ""))).Send(qos0("a", ""))
			scene.Connect("two", user("claimed", "x"), method("riddle", "in:")).Send(qos0("a", ""))
			scene.Connect("three", user("bob", "x")).Send(qos0("a", ""))
			mu.Lock()
			defer mu.Unlock()
			if got, want := fmt.Sprint(asked, connected, publishing), "[bob] [alice  bob] [alice alice  bob]"; got != want {
				scene.Errorf("asked, connected, publishing: got %s, want %s", got, want)
			}
		})
	})
	t.Run("it learns what the Client said, and keeps no password", func(t *testing.T) {
		var got []broker.ConnectRequest
		config := broker.Config{Methods: []broker.Method{{Name: "riddle", Begin: func(r *broker.ConnectRequest) broker.Exchange {
			got = append(got, *r)
			return &riddle{}
		}}}}
		mqtest.Run(t, "in", mqtest.V5, config, func(scene *mqtest.Scene) {
			p := scene.Connect("client", user("claimed", "secret"), method("riddle", "in:alice"), property(colibri.SessionExpiryInterval, 7))
			p.Send(auth(again, "in:alice"))
			p.Expect(auth(0, "welcome"))
			if len(got) != 2 {
				scene.Fatalf("Begin was called %d times, want 2", len(got))
			}
			first, second := got[0], got[1]
			if first.ClientID != "client" || first.UserName != "claimed" || string(first.Password) != "secret" || !first.Properties.Has(colibri.AuthenticationData) {
				scene.Errorf("CONNECT: got %+v", first)
			}
			expiry, _ := second.Properties.Number(colibri.SessionExpiryInterval)
			if second.ClientID != "client" || second.UserName != "alice" || second.Password != nil || second.HasPassword ||
				second.Properties.Has(colibri.AuthenticationData) || expiry != 7 {
				scene.Errorf("re-authentication: got %+v", second)
			}
		})
	})
	t.Run("New refuses methods that make no sense", func(t *testing.T) {
		begin := func(*broker.ConnectRequest) broker.Exchange { return &riddle{} }
		for _, methods := range [][]broker.Method{{{Begin: begin}}, {{Name: "a"}}, {{Name: "a", Begin: begin}, {Name: "a", Begin: begin}}} {
			if b, err := broker.New(broker.Config{Methods: methods}); err == nil {
				b.Shutdown(t.Context())
				t.Errorf("%d methods: got no error", len(methods))
			}
		}
	})
}

// names is an Authorizer that allows everything and tells who publishes.
type names func(broker.ClientInfo)

func (n names) Permissions(c broker.ClientInfo) broker.Permissions { return &named{rules{}, n, c} }

// named are the Permissions of one client of names.
type named struct {
	rules
	tell   names
	client broker.ClientInfo
}

func (n *named) Publish(string, colibri.QoS, bool) colibri.ReasonCode {
	n.tell(n.client)
	return colibri.Success
}

// TestMethodRefused shows how an authentication ends that fails before the CONNACK. The
// one who fails takes nobody's place and leaves nothing.
func TestMethodRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		connect func(*packet.Connect)
		then    []packet.Packet // after the Server has asked
		want    colibri.ReasonCode
		reason  string // part of the Reason String; empty when there is none
	}{
		{"an unknown method [MQTT-4.12.0-1] [MQTT-3.2.2-7]", method("unknown", "in:alice"), nil, 0x8C, "does not know"},
		{"a method written otherwise [MQTT-4.12.0-1]", method("Riddle", "in:alice"), nil, 0x8C, "does not know"},
		{"no [MQTT-4.12.0-4] [MQTT-3.1.4-2]", method("riddle", "no"), nil, 0x87, "riddle: wrong answer"},
		{"no, later [MQTT-4.12.0-4]", method("riddle"), []packet.Packet{auth(further, "no")}, 0x87, "riddle: wrong answer"},
		{"an error that is ours alone", method("riddle"), []packet.Packet{auth(further, "plain")}, 0x87, ""},
		{"another code [MQTT-3.2.2-8]", method("riddle", "busy"), nil, 0x89, ""},
		{"a code that says yes [MQTT-3.2.2-8]", method("riddle", "odd"), nil, 0x80, ""},
		{"another method in AUTH [MQTT-4.12.0-5]", method("riddle"), []packet.Packet{&packet.Auth{Code: further, Properties: methodProperties("other", "in:alice")}}, 0x82, "not that of the CONNECT"},
		{"Re-authenticate before the CONNACK", method("riddle"), []packet.Packet{auth(again, "in:alice")}, 0x82, "not expected"},
		{"Success from the Client", method("riddle"), []packet.Packet{auth(0, "in:alice")}, 0x82, "not expected"},
		{"another packet [MQTT-3.1.2-30]", method("riddle"), []packet.Packet{qos0("a", "x")}, 0x82, "not complete"},
		{"a second CONNECT [MQTT-3.1.0-2]", method("riddle"), []packet.Packet{&packet.Connect{Version: v5, ClientID: "x"}}, 0x82, "not complete"},
		{"an answer that no packet can hold", method("riddle", "giant"), nil, 0x87, ""},
	} {
		mqtest.Run(t, c.name, mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
			watcher := scene.Connect("client")
			watcher.Send(subscribe(1, to("#", 0)))
			watcher.Expect(suback(1, 0))
			p := scene.Dial()
			p.Send(p.NewConnect("client", c.connect, will(qos0("will", "gone"))))
			if c.then != nil {
				p.Expect(auth(further))
				p.Send(append(c.then, qos0("a", "behind"))...) // [MQTT-3.1.4-6]
			}
			got := last(scene, p)
			connack, ok := got.(*packet.Connack)
			if !ok || connack.Code != c.want || connack.SessionPresent || connack.Properties.Has(colibri.AuthenticationData) {
				scene.Fatalf("got %v, want a CONNACK with %v", got, c.want)
			}
			if reason, has := connack.Properties.Value(colibri.ReasonString); has != (c.reason != "") || !strings.Contains(reason, c.reason) {
				scene.Errorf("Reason String: got %q, want %q", reason, c.reason)
			}
			watcher.Ping()
		})
	}
	for _, c := range []struct{ name, hex string }{
		{"malformed AUTH [MQTT-3.15.1-1]", `f1 00`},
		{"AUTH with a code that it does not have [MQTT-3.15.2-1]", `f0 0b 01 09 15 "riddle"`},
		{"AUTH with the data twice", `f0 13 18 11 15 "riddle" 16 "a" 16 "b"`},
		{"Remaining Length of five bytes", `f0 ff ff ff ff 7f`},
		{"not MQTT at all", `00 00`},
	} {
		mqtest.Run(t, c.name, mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
			p := scene.Dial()
			p.Send(p.NewConnect("client", method("riddle")))
			p.Expect(auth(further))
			p.SendHex(c.hex)
			if got, ok := last(scene, p).(*packet.Connack); !ok || got.Code != 0x81 && got.Code != 0x82 {
				scene.Errorf("got %v, want a CONNACK that refuses", got)
			}
		})
	}
	mqtest.Run(t, "no Reason String for who does not want it [MQTT-3.1.2-29]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle", "no"), property(colibri.RequestProblemInformation, 0)))
		if got, ok := last(scene, p).(*packet.Connack); !ok || got.Code != 0x87 || len(got.Properties) != 0 {
			scene.Errorf("got %v, want a CONNACK without properties", got)
		}
	})
	mqtest.Run(t, "nothing larger than the Client takes [MQTT-3.1.2-24] [MQTT-3.15.2-2] [MQTT-3.15.2-3]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		for _, data := range []string{"large", "largely"} { // of AUTH, of CONNACK
			p := scene.Dial()
			p.Send(p.NewConnect("client", method("riddle", data), property(colibri.MaximumPacketSize, 100)))
			if got, ok := last(scene, p).(*packet.Connack); !ok || got.Code != 0x95 {
				scene.Errorf("%s: got %v, want a CONNACK with 0x95", data, got)
			}
		}
		if got := scene.Broker.Stats().Sessions; got != 0 {
			scene.Errorf("Sessions: got %d, want 0", got)
		}
	})
	config := riddles(nil)
	config.Limits.ConnectBytes = 200
	mqtest.Run(t, "a limit on the size of AUTH", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle")))
		p.Expect(auth(further))
		p.SendHex(`f0 ff 7f`) // says 16 KB; nothing of them has come
		p.ExpectClosed(&packet.Connack{Code: 0x95})
		p = scene.Connect("client", method("riddle", "in:alice"))
		p.SendHex(`f0 ff 7f`)
		p.ExpectEnded(colibri.PacketTooLarge)
		if got := scene.Broker.Stats().Limited[broker.LimitConnectBytes]; got != 2 {
			scene.Errorf("the limit was counted %d times, want 2", got)
		}
	})
	mqtest.Run(t, "a limit on the steps", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle")))
		for range 15 {
			p.Expect(auth(further))
			p.Send(auth(further))
		}
		p.Expect(auth(further))
		p.Send(auth(further, "in:alice"))
		p.ExpectClosed(&packet.Connack{Code: 0x87})
	})
	for _, data := range []string{"ask", "slow", "late", "wait:9s"} {
		mqtest.Run(t, "a limit on the time, and nobody else waits: "+data, mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
			p := scene.Dial()
			p.Send(p.NewConnect("client", method("riddle", data)))
			time.Sleep(9900 * time.Millisecond)
			p.Received()
			other := scene.Connect("other", method("riddle", "in:bob"))
			other.Ping()
			time.Sleep(200 * time.Millisecond)
			p.ExpectClosed(&packet.Connack{Code: 0x87})
			other.Ping()
			if got := scene.Broker.Stats().Limited[broker.LimitConnectTime]; got != 1 {
				scene.Errorf("the limit was counted %d times, want 1", got)
			}
		})
	}
	mqtest.Run(t, "Shutdown in the middle", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		asked, slow := scene.Dial(), scene.Dial()
		asked.Send(asked.NewConnect("asked", method("riddle")))
		asked.Expect(auth(further))
		slow.Send(slow.NewConnect("slow", method("riddle", "slow")))
		if err := scene.Broker.Shutdown(context.Background()); err != nil {
			scene.Errorf("Shutdown: %v", err)
		}
		for _, p := range []*mqtest.Peer{asked, slow} {
			if got, ok := last(scene, p).(*packet.Connack); !ok || got.Code != colibri.ServerUnavailable {
				scene.Errorf("got %v, want a CONNACK with Server unavailable", got)
			}
		}
	})
}

// TestReauthentication shows the exchange of a connected client.
func TestReauthentication(t *testing.T) {
	mqtest.Run(t, "again and again [MQTT-4.12.1-1] [MQTT-4.12.0-5] [MQTT-3.15.2-1]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Connect("client", method("riddle", "in:alice"))
		for range 3 {
			p.Send(auth(again, "in:alice"))
			p.Expect(auth(0, "welcome"))
			p.Send(auth(again))
			p.Expect(auth(further))
			p.Send(auth(further, "ask"))
			p.Expect(auth(further))
			p.Send(auth(further, "mute:alice"))
			p.Expect(auth(0))
		}
		p.Ping()
	})
	mqtest.Run(t, "the connection goes on meanwhile", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Connect("client", method("riddle", "in:alice"))
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Send(auth(again, "wait:5s"))
		p.Send(qos1(2, "a", "one"), &packet.Pingreq{})
		p.ExpectUnordered(puback(2, 0), qos1(0, "a", "one"), &packet.Pingresp{})
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "two"))
		other.Expect(puback(1, 0))
		p.Expect(qos1(0, "a", "two"))
		p.ExpectNothing(4 * time.Second)
		time.Sleep(time.Second)
		p.Expect(auth(further, "waited"))
		p.Send(qos1(3, "b", "three"))
		p.Expect(puback(3, colibri.NoMatchingSubscribers))
		p.Send(auth(further, "in:alice"), &packet.Puback{PacketID: 1}, &packet.Puback{PacketID: 2})
		p.Expect(auth(0, "welcome"))
		time.Sleep(time.Minute)
		p.Ping() // the time limit of the exchange is over with it
	})
	for _, c := range []struct {
		name   string
		send   []packet.Packet
		want   colibri.ReasonCode
		reason string // part of the Reason String; empty when there is none
	}{
		{"no [MQTT-4.12.1-2] [MQTT-4.12.0-4]", []packet.Packet{auth(again, "no")}, 0x87, "riddle: wrong answer"},
		{"an error that is ours alone [MQTT-4.12.1-2]", []packet.Packet{auth(again, "plain")}, 0x87, ""},
		{"another code [MQTT-4.12.1-2]", []packet.Packet{auth(again, "busy")}, 0x89, ""},
		{"a code that DISCONNECT does not have [MQTT-3.14.2-1]", []packet.Packet{auth(again, "password")}, 0x87, ""},
		{"a code that says yes [MQTT-3.14.2-1]", []packet.Packet{auth(again, "odd")}, 0x87, ""},
		{"another user", []packet.Packet{auth(again, "in:bob")}, 0x87, "not the one"},
		{"another method [MQTT-4.12.1-1] [MQTT-4.12.1-2]", []packet.Packet{&packet.Auth{Code: again, Properties: methodProperties("other", "in:alice")}}, 0x82, "not that of the CONNECT"},
		{"no method", []packet.Packet{&packet.Auth{}}, 0x82, "not that of the CONNECT"},
		{"an answer to no question", []packet.Packet{auth(further, "in:alice")}, 0x82, "not expected"},
		{"Success from the Client", []packet.Packet{auth(0, "in:alice")}, 0x82, "not expected"},
		{"an answer before the question", []packet.Packet{auth(again, "slow"), auth(further, "in:alice")}, 0x82, "not been answered"},
		{"a second one before the end of the first", []packet.Packet{auth(again, "slow"), auth(again, "in:alice")}, 0x82, "not expected"},
		{"an answer that no packet can hold", []packet.Packet{auth(again, "giant")}, 0x87, ""},
	} {
		mqtest.Run(t, c.name, mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
			watcher := scene.Connect("watcher")
			watcher.Send(subscribe(1, to("will", 0)))
			watcher.Expect(suback(1, 0))
			p := scene.Connect("client", method("riddle", "in:alice"), will(qos0("will", "gone")))
			p.Send(c.send...)
			got, ok := last(scene, p).(*packet.Disconnect)
			if !ok || got.Code != c.want {
				scene.Fatalf("got %v, want a DISCONNECT with %v", got, c.want)
			}
			if reason, has := got.Properties.Value(colibri.ReasonString); has != (c.reason != "") || !strings.Contains(reason, c.reason) {
				scene.Errorf("Reason String: got %q, want %q", reason, c.reason)
			}
			watcher.Expect(qos0("will", "gone"))
		})
	}
	for _, data := range []string{"ask", "slow", "late"} {
		mqtest.Run(t, "a limit on the time: "+data+" [MQTT-4.12.1-2]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
			p := scene.Connect("client", method("riddle", "in:alice"))
			p.Send(auth(again, data))
			time.Sleep(9900 * time.Millisecond)
			p.Received()
			p.Ping()
			time.Sleep(200 * time.Millisecond)
			p.ExpectEnded(colibri.NotAuthorized)
		})
	}
	mqtest.Run(t, "a limit on the steps [MQTT-4.12.1-2]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Connect("client", method("riddle", "in:alice"))
		p.Send(auth(again))
		for range 15 {
			p.Expect(auth(further))
			p.Send(auth(further))
		}
		p.Expect(auth(further))
		p.Send(auth(further, "in:alice"))
		p.ExpectEnded(colibri.NotAuthorized)
	})
	mqtest.Run(t, "nothing larger than the Client takes [MQTT-3.1.2-24] [MQTT-3.15.2-2] [MQTT-3.15.2-3]", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Connect("client", method("riddle", "in:alice"), property(colibri.MaximumPacketSize, 100))
		p.Send(auth(again, "large"))
		p.ExpectEnded(colibri.PacketTooLarge)
	})
	var gaveUp atomic.Int32
	count := func(data []byte) {
		if string(data) == "gave up" {
			gaveUp.Add(1)
		}
	}
	mqtest.Run(t, "the connection ends in the middle: nothing is left", mqtest.V5, riddles(count), func(scene *mqtest.Scene) {
		for _, data := range []string{"ask", "slow", "wait:5s"} {
			p := scene.Connect("client", method("riddle", "in:alice"))
			p.Send(auth(again, data))
			p.Drop()
			p = scene.Connect("client", method("riddle", "in:alice"))
			p.Send(auth(again, data), &packet.Disconnect{})
			p.Received()
		}
		if got := gaveUp.Load(); got != 2 {
			scene.Errorf("%d steps have given up with their connections, want 2", got)
		}
	})
	mqtest.Run(t, "Shutdown in the middle", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		p := scene.Connect("client", method("riddle", "in:alice"))
		p.Send(auth(again, "slow"))
		began := time.Now()
		if err := scene.Broker.Shutdown(context.Background()); err != nil {
			scene.Errorf("Shutdown: %v", err)
		}
		p.ExpectEnded(colibri.ServerShuttingDown)
		if took := time.Since(began); took != 0 {
			scene.Errorf("Shutdown took %v, want 0", took)
		}
	})
	mqtest.Run(t, "a Client that is gone while the other takes its place", mqtest.V5, riddles(nil), func(scene *mqtest.Scene) {
		one := scene.Connect("client", method("riddle", "in:alice"))
		one.Send(auth(again, "wait:5s"))
		two := scene.Connect("client", method("riddle", "in:bob"))
		one.ExpectEnded(colibri.SessionTakenOver)
		time.Sleep(6 * time.Second)
		two.Send(auth(again, "in:bob"))
		two.Expect(auth(0, "welcome"))
	})
}

// scramUsers returns a configuration in which alice and bob have passwords, with what it logs.
func scramUsers(t *testing.T) (broker.Config, *journal) {
	t.Helper()
	users := map[string]broker.ScramCredentials{}
	for name, password := range map[string]string{"alice": "wonderland-7", "bob": "builder-8"} {
		c, err := broker.NewScramCredentials(password, 4096)
		if err != nil {
			t.Fatal(err)
		}
		users[name] = c
	}
	lookup := func(_ context.Context, userName string) (broker.ScramCredentials, bool, error) {
		c, ok := users[userName]
		return c, ok, nil
	}
	j := &journal{}
	return broker.Config{
		Methods: []broker.Method{broker.ScramSHA256(broker.ScramOptions{Lookup: lookup, Iterations: 4096})},
		Events:  j.event, Logger: slog.New(slog.NewTextHandler(j, nil)),
	}, j
}

// journal keeps everything that a broker says about itself.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) event(e broker.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(&j.text, "%T %+v\n", e, e)
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// silentAbout fails when the journal holds one of the secrets.
func (j *journal) silentAbout(t *testing.T, secrets ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, secret := range secrets {
		if strings.Contains(j.text.String(), secret) {
			t.Errorf("the broker shows %q in:\n%s", secret, &j.text)
		}
	}
}

// dial connects a client of ours to the scene's broker.
func dial(scene *mqtest.Scene, o client.Options) (*client.Client, error) {
	o.Dial = func(context.Context, string) (net.Conn, error) {
		near, far := transport.Pipe()
		go scene.Broker.ServeConn(context.Background(), far)
		return near, nil
	}
	return client.Dial(context.Background(), "memory", o)
}

// scramClient returns the method of a user for our client.
func scramClient(scene *mqtest.Scene, userName, password string) *client.Method {
	scene.Helper()
	m, err := client.ScramSHA256(userName, password)
	if err != nil {
		scene.Fatalf("ScramSHA256: %v", err)
	}
	return m
}

// TestScram walks our client and our broker through SCRAM-SHA-256.
func TestScram(t *testing.T) {
	config, journal := scramUsers(t)
	mqtest.Run(t, "in, and again", mqtest.V5, config, func(scene *mqtest.Scene) {
		c, err := dial(scene, client.Options{ClientID: "c", Method: scramClient(scene, "alice", "wonderland-7")})
		if err != nil {
			scene.Fatalf("Dial: %v", err)
		}
		for range 3 {
			if err := c.Reauthenticate(context.Background(), nil); err != nil {
				scene.Errorf("Reauthenticate: %v", err)
			}
		}
		if _, err := c.Publish(context.Background(), &colibri.Message{Topic: "a", QoS: 1}); err != nil {
			scene.Errorf("Publish: %v", err)
		}
		if err := c.Disconnect(context.Background(), colibri.NormalDisconnection, nil); err != nil {
			scene.Errorf("Disconnect: %v", err)
		}
	})
	mqtest.Run(t, "wrong password, unknown user: alike [MQTT-4.12.0-4]", mqtest.V5, config, func(scene *mqtest.Scene) {
		var texts []string
		for _, who := range [][2]string{{"alice", "builder-8"}, {"mallory", "wonderland-7"}} {
			_, err := dial(scene, client.Options{ClientID: "c", Method: scramClient(scene, who[0], who[1])})
			var refusal *client.Refusal
			if !errors.As(err, &refusal) || refusal.Code != colibri.NotAuthorized {
				scene.Fatalf("%s: got %v, want NotAuthorized", who[0], err)
			}
			texts = append(texts, err.Error())
		}
		if texts[0] != texts[1] || !strings.Contains(texts[0], "wrong user name or password") {
			scene.Errorf("got %q, want the same twice", texts)
		}
	})
	mqtest.Run(t, "a Client that comes back begins anew", mqtest.V5, config, func(scene *mqtest.Scene) {
		var lost func()
		o := client.Options{ClientID: "c", Method: scramClient(scene, "bob", "builder-8"), Reconnect: &client.Backoff{}}
		connected := make(chan struct{}, 2)
		o.Trace = func(e client.Event) {
			if e.Kind == client.Connected {
				connected <- struct{}{}
			}
		}
		o.Dial = func(context.Context, string) (net.Conn, error) {
			near, far := transport.Pipe()
			lost = func() { near.Close() }
			go scene.Broker.ServeConn(context.Background(), far)
			return near, nil
		}
		c, err := client.Dial(context.Background(), "memory", o)
		if err != nil {
			scene.Fatalf("Dial: %v", err)
		}
		<-connected
		lost()
		<-connected
		if err := c.Reauthenticate(context.Background(), nil); err != nil {
			scene.Errorf("Reauthenticate: %v", err)
		}
		c.Close()
	})
	mqtest.Run(t, "a message that is none", mqtest.V5, config, func(scene *mqtest.Scene) {
		for _, data := range []string{"", "n,,", "p=tls-unique,,n=alice,r=zzz", strings.Repeat("n", 60_000)} {
			p := scene.Dial()
			p.Send(p.NewConnect("c", method("SCRAM-SHA-256", data)))
			p.ExpectClosed(&packet.Connack{Code: colibri.NotAuthorized})
		}
	})
	journal.silentAbout(t, "wonderland-7", "builder-8", "r=", "p=", "v=", "zzz")
}
