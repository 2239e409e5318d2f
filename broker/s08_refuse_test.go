package broker_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestRefuseConnect shows the answers to first packets that are not taken.
func TestRefuseConnect(t *testing.T) {
	mqtest.Run(t, "first packet is not CONNECT [MQTT-3.1.0-1] [MQTT311-3.1.0-1] [MQTT-3.14.0-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		for _, first := range []packet.Packet{&packet.Pingreq{}, qos0("a", "x"), subscribe(1, to("a", 0)), &packet.Disconnect{}} {
			p := scene.Dial()
			p.Send(first)
			p.ExpectClosed()
		}
	})
	mqtest.Run(t, "a second CONNECT [MQTT-3.1.0-2] [MQTT311-3.1.0-2] [MQTT-3.2.0-2] [MQTT-4.13.1-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(p.NewConnect("client"))
		p.ExpectEnded(colibri.ProtocolError)
	})
	mqtest.Run(t, "a second CONNECT of a version that does not exist [MQTT-3.1.0-2] [MQTT311-3.1.0-2] [MQTT-3.14.2-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.SendHex(`10 0d "MQTT" 09 02 0000 00 "x"`)
		got := p.Received()
		if scene.Version == v5 && (len(got) != 1 || got[0].Type() != packet.DISCONNECT) {
			scene.Errorf("got %v, want a DISCONNECT", got)
		}
		p.ExpectClosed()
	})
	for _, c := range []struct {
		name, hex string
		want      *packet.Connack // nil: closed without an answer
		v         colibri.Version // of the answer
	}{
		{"another Protocol Name, level 4 [MQTT311-3.1.2-1] [MQTT311-3.1.2-2]", `10 0d "XXXX" 04 02 0000 "a"`, &packet.Connack{Code: 1}, v311},
		{"another Protocol Name, level 5 [MQTT-3.1.2-1]", `10 0e "XXXX" 05 02 0000 00 "a"`, &packet.Connack{Code: 0x84}, v5},
		{"level 6 [MQTT-3.1.2-2] [MQTT-3.2.2-7] [MQTT-3.2.2-6]", `10 0e "MQTT" 06 02 0000 00 "a"`, &packet.Connack{Code: 0x84}, v5},
		{"level 2 [MQTT311-3.1.2-2] [MQTT311-3.2.2-5]", `10 0d "MQTT" 02 02 0000 "a"`, &packet.Connack{Code: 1}, v311},
		{"3.1 with the name of its successors", `10 0d "MQTT" 03 02 0000 "a"`, &packet.Connack{Code: 1}, v311},
		{"the name of 3.1 with another level", `10 0f "MQIsdp" 04 02 0000 "a"`, &packet.Connack{Code: 1}, v31},
		{"reserved flag [MQTT-3.1.2-3] [MQTT-3.1.4-1]", `10 0e "MQTT" 05 03 0000 00 "a"`, &packet.Connack{Code: 0x81}, v5},
		{"reserved flag [MQTT311-3.1.2-3] [MQTT311-3.1.4-1]", `10 0d "MQTT" 04 03 0000 "a"`, nil, v311},
		{"Will QoS without Will [MQTT-3.1.2-11]", `10 0e "MQTT" 05 0a 0000 00 "a"`, &packet.Connack{Code: 0x81}, v5},
		{"Will QoS without Will [MQTT311-3.1.2-13] [MQTT311-3.1.2-11]", `10 0d "MQTT" 04 0a 0000 "a"`, nil, v311},
		{"Will QoS 3 [MQTT-3.1.2-12]", `10 15 "MQTT" 05 1e 0000 00 "a" 00 "w" "x"`, &packet.Connack{Code: 0x81}, v5},
		{"Will QoS 3 [MQTT311-3.1.2-14]", `10 13 "MQTT" 04 1e 0000 "a" "w" "x"`, nil, v311},
		{"Will Retain without Will [MQTT-3.1.2-13]", `10 0e "MQTT" 05 22 0000 00 "a"`, &packet.Connack{Code: 0x81}, v5},
		{"Will Retain without Will [MQTT311-3.1.2-15]", `10 0d "MQTT" 04 22 0000 "a"`, nil, v311},
		{"Will Flag without a Will [MQTT-3.1.2-9]", `10 0e "MQTT" 05 06 0000 00 "a"`, &packet.Connack{Code: 0x81}, v5},
		{"Will Flag without a Will [MQTT311-3.1.2-9]", `10 0d "MQTT" 04 06 0000 "a"`, nil, v311},
		{"a Will without Will Flag [MQTT311-3.1.2-11]", `10 13 "MQTT" 04 02 0000 "a" "w" "x"`, nil, v311},
		{"Will Topic with a wildcard [MQTT-4.7.0-1]", `10 15 "MQTT" 05 06 0000 00 "a" 00 "#" "x"`, &packet.Connack{Code: 0x90}, v5},
		{"Will Topic with U+0000 [MQTT-3.1.3-11] [MQTT-1.5.4-2]", `10 15 "MQTT" 05 06 0000 00 "a" 00 0001 00 "x"`, &packet.Connack{Code: 0x81}, v5},
		{"Will Topic not UTF-8 [MQTT311-3.1.3-10]", `10 13 "MQTT" 04 06 0000 "a" 0001 ff "x"`, nil, v311},
		{"User Name missing [MQTT-3.1.2-17]", `10 0e "MQTT" 05 82 0000 00 "a"`, &packet.Connack{Code: 0x81}, v5},
		{"User Name missing [MQTT311-3.1.2-19]", `10 0d "MQTT" 04 82 0000 "a"`, nil, v311},
		{"User Name without its flag [MQTT-3.1.2-16]", `10 11 "MQTT" 05 02 0000 00 "a" "u"`, &packet.Connack{Code: 0x81}, v5},
		{"User Name without its flag [MQTT311-3.1.2-18]", `10 10 "MQTT" 04 02 0000 "a" "u"`, nil, v311},
		{"User Name not UTF-8 [MQTT-3.1.3-12]", `10 11 "MQTT" 05 82 0000 00 "a" 0001 ff`, &packet.Connack{Code: 0x81}, v5},
		{"User Name not UTF-8 [MQTT311-3.1.3-11]", `10 10 "MQTT" 04 82 0000 "a" 0001 ff`, nil, v311},
		{"Password missing [MQTT-3.1.2-19]", `10 11 "MQTT" 05 c2 0000 00 "a" "u"`, &packet.Connack{Code: 0x81}, v5},
		{"Password missing [MQTT311-3.1.2-21]", `10 10 "MQTT" 04 c2 0000 "a" "u"`, nil, v311},
		{"Password without its flag [MQTT-3.1.2-18]", `10 14 "MQTT" 05 82 0000 00 "a" "u" "p"`, &packet.Connack{Code: 0x81}, v5},
		{"Password without its flag [MQTT311-3.1.2-20]", `10 13 "MQTT" 04 82 0000 "a" "u" "p"`, nil, v311},
		{"Password without User Name [MQTT311-3.1.2-22]", `10 10 "MQTT" 04 42 0000 "a" "p"`, nil, v311},
		{"ClientID not UTF-8 [MQTT-3.1.3-4] [MQTT-1.5.4-1]", `10 0e "MQTT" 05 02 0000 00 0001 ff`, &packet.Connack{Code: 0x81}, v5},
		{"ClientID not UTF-8 [MQTT311-3.1.3-4] [MQTT311-1.5.3-1]", `10 0d "MQTT" 04 02 0000 0001 ff`, nil, v311},
		{"ClientID with U+0000 [MQTT311-1.5.3-2]", `10 0d "MQTT" 04 02 0000 0001 00`, nil, v311},
		{"no ClientID [MQTT-3.1.3-3]", `10 0b "MQTT" 05 02 0000 00`, &packet.Connack{Code: 0x81}, v5},
		{"no ClientID [MQTT311-3.1.3-3]", `10 0a "MQTT" 04 02 0000`, nil, v311},
		{"fields in another order [MQTT-3.1.3-1]", `10 15 "MQTT" 05 06 0000 00 "a" "x" 00 "w"`, &packet.Connack{Code: 0x81}, v5},
		{"a property twice", `10 18 "MQTT" 05 02 0000 0a 11 00000001 11 00000001 "a"`, &packet.Connack{Code: 0x82}, v5},
		{"Receive Maximum 0", `10 11 "MQTT" 05 02 0000 03 21 0000 "a"`, &packet.Connack{Code: 0x82}, v5},
		{"Maximum Packet Size 0", `10 13 "MQTT" 05 02 0000 05 27 00000000 "a"`, &packet.Connack{Code: 0x82}, v5},
		{"flags in the Fixed Header [MQTT-2.1.3-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2]", `11 0d "MQTT" 04 02 0000 "a"`, nil, v311},
		{"Remaining Length of five bytes", `10 ff ff ff ff 7f`, nil, v311},
		{"Remaining Length longer than needed [MQTT-1.5.5-1]", `10 8e 00 "MQTT" 05 02 0000 00 "a"`, nil, v5},
		{"an unknown Authentication Method [MQTT-4.12.0-1] [MQTT-4.12.0-4]", `10 15 "MQTT" 05 02 0000 07 15 0004 53 43 52 41 "a"`, &packet.Connack{Code: 0x8C}, v5},
	} {
		mqtest.Run(t, c.name, mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
			p := scene.DialVersion(c.v)
			p.SendHex(c.hex)
			if c.want == nil {
				p.ExpectClosed()
			} else {
				p.ExpectClosed(c.want)
			}
			if got := scene.Broker.Stats().Sessions; got != 0 {
				scene.Errorf("Sessions: got %d, want 0", got)
			}
		})
	}
	mqtest.Run(t, "too many connections", mqtest.All, broker.Config{Limits: broker.Limits{Connections: 1}}, func(scene *mqtest.Scene) {
		one := scene.Connect("one")
		two := scene.Dial()
		two.Send(two.NewConnect("two"))
		two.ExpectClosed(&packet.Connack{Code: map[bool]colibri.ReasonCode{true: 0x97, false: 3}[scene.Version == v5]})
		one.Disconnect()
		scene.Connect("two").Ping()
	})
	mqtest.Run(t, "CONNECT while the Server shuts down", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		if err := scene.Broker.Shutdown(context.Background()); err != nil {
			scene.Errorf("Shutdown: %v", err)
		}
		p := scene.Dial()
		p.Send(p.NewConnect("late"))
		for _, got := range p.Received() {
			if c, ok := got.(*packet.Connack); !ok || !c.Code.Failed() && scene.Version == v5 || c.Code == 0 {
				scene.Errorf("got %v, want a refusal or nothing", got)
			}
		}
		p.ExpectClosed()
	})
	mqtest.Run(t, "the reason fits into the Client's Maximum Packet Size [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		method := func(c *packet.Connect) {
			c.Properties = append(c.Properties, text(colibri.AuthenticationMethod, "x")...)
		}
		p := scene.Dial()
		p.Send(p.NewConnect("client", method))
		got := p.Received()
		if len(got) != 1 || !got[0].(*packet.Connack).Properties.Has(colibri.ReasonString) {
			scene.Fatalf("got %v, want a CONNACK that says why", got)
		}
		p = scene.Dial()
		p.Send(p.NewConnect("client", method, property(colibri.MaximumPacketSize, 20)))
		got = p.Received()
		if len(got) != 1 || len(p.Encode(got...)) > 20 {
			scene.Fatalf("got %v, want a CONNACK of 20 bytes at most", got)
		}
	})
}

// doorman is an Authenticator that answers by User Name.
type doorman map[string]error

func (d doorman) Authenticate(ctx context.Context, r *broker.ConnectRequest) error {
	if r.UserName == "slow" {
		<-ctx.Done()
		return ctx.Err()
	}
	if err, ok := d[r.UserName]; ok {
		return err
	}
	return nil
}

// TestAuthenticator shows how the decision about a CONNECT reaches the Client.
func TestAuthenticator(t *testing.T) {
	config := broker.Config{Authenticator: doorman{
		"wrong":    colibri.BadUserNameOrPassword,
		"banned":   &colibri.Error{Op: "CONNECT", Code: colibri.Banned, Err: errors.New("not you")},
		"busy":     colibri.ServerBusy,
		"nameless": colibri.ClientIdentifierNotValid,
		"large":    colibri.PacketTooLarge, // no code of 3.1.1
		"plain":    errors.New("the directory said no"),
		"expelled": colibri.ServerShuttingDown, // no code of a CONNACK
	}}
	mqtest.Run(t, "refusals [MQTT-3.1.4-2] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] [MQTT311-3.2.2-5]", mqtest.All, config, func(scene *mqtest.Scene) {
		for name, want := range map[string][2]colibri.ReasonCode{ // 3.1.1, 5.0
			"wrong":    {4, 0x86},
			"banned":   {5, 0x8A},
			"busy":     {3, 0x89},
			"plain":    {5, 0x87},
			"nameless": {2, 0x85}, // [MQTT-3.1.3-8] [MQTT311-3.1.3-9]
		} {
			p := scene.Dial()
			p.Send(p.NewConnect("client", user(name, "")))
			code := want[0]
			if scene.Version == v5 {
				code = want[1]
			}
			p.ExpectClosed(&packet.Connack{Code: code})
		}
		scene.Connect("client", user("good", "")).Ping()
	})
	mqtest.Run(t, "where no Return Code fits [MQTT311-3.2.2-6]", mqtest.Old, config, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", user("large", "")))
		p.ExpectClosed()
	})
	mqtest.Run(t, "a code that CONNACK does not have [MQTT-3.2.2-8]", mqtest.All, config, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", user("expelled", "")))
		got := p.Received() // decoding it checks the code
		if len(got) != 1 || got[0].(*packet.Connack).Code == 0 {
			scene.Errorf("got %v, want a CONNACK that refuses", got)
		}
		p.ExpectClosed()
	})
	mqtest.Run(t, "a refused Client is not heard [MQTT-3.1.4-6] [MQTT311-3.1.4-5]", mqtest.All, config, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("#", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Dial()
		p.Send(p.NewConnect("client", user("wrong", ""), will(qos0("will", "gone"))), qos0("a", "x"), retain(qos1(1, "b", "x")))
		if got := p.Received(); len(got) != 1 || got[0].Type() != packet.CONNACK {
			scene.Errorf("got %v, want a CONNACK and no more", got)
		}
		p.ExpectClosed()
		watcher.ExpectNothing(time.Minute)
		if s := scene.Broker.Stats(); s.Retained != 0 || s.Sessions != 1 {
			scene.Errorf("got %d Retained Messages and %d Sessions, want 0 and 1", s.Retained, s.Sessions)
		}
	})
	mqtest.Run(t, "a refused Client takes nobody's place", mqtest.All, config, func(scene *mqtest.Scene) {
		one := scene.Connect("client", resume)
		p := scene.Dial()
		p.Send(p.NewConnect("client", user("wrong", "")))
		one.Ping()
	})
	mqtest.Run(t, "a slow Authenticator stalls nobody else, and has an end", mqtest.All, config, func(scene *mqtest.Scene) {
		slow := scene.Dial()
		slow.Send(slow.NewConnect("client", user("slow", "")), &packet.Pingreq{})
		other := scene.Connect("other")
		other.Send(subscribe(1, to("a", 0)), qos0("a", "x"))
		other.Expect(suback(1, 0), qos0("a", "x"))
		slow.ExpectNothing(9 * time.Second)
		time.Sleep(2 * time.Second)
		if got := slow.Received(); len(got) != 1 || got[0].Type() != packet.CONNACK || got[0].(*packet.Connack).Code == 0 {
			scene.Errorf("got %v, want a CONNACK that refuses", got)
		}
		slow.ExpectClosed()
	})
	t.Run("it learns what the Client said", func(t *testing.T) {
		var got *broker.ConnectRequest
		keep := authenticate(func(r *broker.ConnectRequest) error { got = r; return nil })
		mqtest.Run(t, "in", mqtest.V5, broker.Config{Authenticator: keep}, func(scene *mqtest.Scene) {
			p := scene.Connect("", user("name", "secret"), property(colibri.SessionExpiryInterval, 7))
			assigned, _ := p.Connack.Properties.Value(colibri.AssignedClientIdentifier)
			if got.ClientID != assigned || assigned == "" {
				scene.Errorf("ClientID: got %q, want the assigned %q", got.ClientID, assigned)
			}
			expiry, _ := got.Properties.Number(colibri.SessionExpiryInterval)
			if got.UserName != "name" || string(got.Password) != "secret" || got.Version != v5 || expiry != 7 || got.RemoteAddr == nil || got.TLS != nil {
				scene.Errorf("got %+v", got)
			}
		})
	})
}

type authenticate func(r *broker.ConnectRequest) error

func (a authenticate) Authenticate(_ context.Context, r *broker.ConnectRequest) error { return a(r) }

// rules is an Authorizer: topics that begin with "no" are refused, filters with "low" get
// QoS 0 at most.
type rules struct{}

func (rules) Permissions(broker.ClientInfo) broker.Permissions { return rules{} }

func (rules) Receive(string) bool { return true }

func (rules) Publish(topic string, _ colibri.QoS, _ bool) colibri.ReasonCode {
	switch {
	case strings.HasPrefix(topic, "no"):
		return colibri.NotAuthorized
	case strings.HasPrefix(topic, "odd"):
		return colibri.ServerMoved // no code of an acknowledgement
	}
	return colibri.Success
}

func (rules) Unsubscribe(string) colibri.ReasonCode { return colibri.Success }

func (rules) Subscribe(s colibri.Subscription) colibri.ReasonCode {
	switch {
	case strings.HasPrefix(s.Filter, "no"):
		return colibri.NotAuthorized
	case strings.HasPrefix(s.Filter, "odd"):
		return colibri.ServerMoved // no code of a SUBACK
	case strings.HasPrefix(s.Filter, "low"):
		return colibri.GrantedQoS0
	}
	return colibri.ReasonCode(s.QoS)
}

// TestAuthorizer shows what a Client hears that may not do what it asks.
func TestAuthorizer(t *testing.T) {
	config := broker.Config{Authorizer: rules{}}
	mqtest.Run(t, "publish [MQTT311-3.3.5-2] [MQTT-3.4.2-1] [MQTT-3.5.2-1]", mqtest.All, config, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("#", 2)))
		watcher.Expect(suback(1, 2))
		p := scene.Connect("client")
		p.Send(qos0("no", "x"), qos1(1, "no/a", "x"), qos2(2, "no", "x"), retain(qos1(3, "no", "x")))
		denied := in(scene.Version, colibri.NotAuthorized)
		p.Expect(puback(1, denied), pubrec(2, denied), puback(3, denied))
		watcher.ExpectNothing(time.Minute)
		s := scene.Broker.Stats()
		if s.Retained != 0 || s.Dropped[broker.DropDenied] != 4 {
			scene.Errorf("got %d Retained Messages and %d denied, want 0 and 4", s.Retained, s.Dropped[broker.DropDenied])
		}
	})
	mqtest.Run(t, "a refused QoS 2 message leaves its Packet Identifier free [MQTT-4.3.3-9]", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(9, to("yes", 0)), qos2(1, "no", "x"), qos2(1, "yes", "y"))
		p.Expect(suback(9, 0), pubrec(1, colibri.NotAuthorized), qos0("yes", "y"), pubrec(1, 0))
	})
	mqtest.Run(t, "subscribe [MQTT-3.8.4-7] [MQTT311-3.8.4-5] [MQTT-3.9.3-1] [MQTT311-3.9.3-1] [MQTT-3.9.3-2] [MQTT311-3.9.3-2]", mqtest.All, config, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 2), to("no", 1), to("low/#", 2), to("b", 1)))
		refused := colibri.ReasonCode(0x80)
		if scene.Version == v5 {
			refused = colibri.NotAuthorized
		}
		p.Expect(suback(1, 2, refused, 0, 1))
		other := scene.Connect("other")
		other.Send(qos1(1, "low/x", "low"), qos1(2, "b", "b"))
		other.Expect(puback(1, 0), puback(2, 0))
		p.Expect(qos0("low/x", "low"), qos1(0, "b", "b"))
	})
	mqtest.Run(t, "codes that the answer does not have [MQTT-3.4.2-1] [MQTT-3.9.3-2]", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("odd", 2)), qos1(2, "odd", "x"), qos2(3, "odd", "x"))
		p.Expect(suback(1, colibri.UnspecifiedError), puback(2, colibri.UnspecifiedError), pubrec(3, colibri.UnspecifiedError))
	})
	mqtest.Run(t, "a Will that is not allowed [MQTT-3.1.4-2]", mqtest.All, config, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client", will(qos0("no", "x"))))
		want := colibri.ReasonCode(5)
		if scene.Version == v5 {
			want = colibri.NotAuthorized
		}
		p.ExpectClosed(&packet.Connack{Code: want})
	})
	mqtest.Run(t, "$SYS is the broker's own", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("$SYS/#", 0), to("$SYSTEM", 0)), qos1(2, "$SYS/a", "x"), qos1(3, "$SYSTEM", "x"))
		p.Expect(suback(1, 0, 0), puback(2, in(scene.Version, colibri.NotAuthorized)), qos0("$SYSTEM", "x"), puback(3, 0))
		if err := scene.Broker.Publish(&colibri.Message{Topic: "$SYS/a", Payload: []byte("own")}); err != nil {
			scene.Errorf("Publish: %v", err)
		}
		p.Expect(qos0("$SYS/a", "own"))
	})
}

// TestRefusePackets shows which packets end the Network Connection, and with which code.
func TestRefusePackets(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		v         colibri.Version
		code      colibri.ReasonCode
	}{
		{"QoS 3 [MQTT-3.3.1-4] [MQTT-4.13.1-1]", `36 06 "a" 0001 00`, v5, 0x81},
		{"QoS 3 [MQTT311-3.3.1-4] [MQTT311-4.8.0-1]", `36 05 "a" 0001`, v311, 0},
		{"DUP with QoS 0 [MQTT-3.3.1-2]", `38 04 "a" 00`, v5, 0x81},
		{"DUP with QoS 0 [MQTT311-3.3.1-2]", `38 03 "a"`, v311, 0},
		{"Topic Name with + [MQTT-3.3.2-2] [MQTT-4.7.0-1]", `30 04 "+" 00`, v5, 0x90},
		{"Topic Name with # [MQTT311-3.3.2-2] [MQTT311-4.7.1-1]", `30 03 "#"`, v311, 0},
		{"Topic Name empty [MQTT-4.7.3-1]", `30 03 "" 00`, v5, 0x82},
		{"Topic Name empty [MQTT311-4.7.3-1]", `30 02 ""`, v311, 0},
		{"Topic Name with U+0000 [MQTT-4.7.3-2] [MQTT-1.5.4-2]", `30 04 000100 00`, v5, 0x81},
		{"Topic Name with U+0000 [MQTT311-4.7.3-2] [MQTT311-1.5.3-2]", `30 03 000100`, v311, 0},
		{"Topic Name not UTF-8 [MQTT-3.3.2-1] [MQTT-1.5.4-1]", `30 06 0003 eda080 00`, v5, 0x81},
		{"Topic Name not UTF-8 [MQTT311-3.3.2-1] [MQTT311-1.5.3-1]", `30 05 0003 eda080`, v311, 0},
		{"Packet Identifier 0 [MQTT-2.2.1-3]", `32 06 "a" 0000 00`, v5, 0x82},
		{"Packet Identifier 0 [MQTT311-2.3.1-1]", `32 05 "a" 0000`, v311, 0},
		{"Topic Alias 0 [MQTT-3.3.2-8]", `30 07 "a" 03 230000`, v5, 0x94},
		{"Topic Alias beyond the maximum [MQTT-3.3.2-9]", `30 07 "a" 03 23000b`, v5, 0x94},
		{"Topic Alias not known", `30 06 "" 03 230001`, v5, 0x82},
		{"Subscription Identifier from a Client [MQTT-3.3.4-6]", `30 06 "a" 02 0b01`, v5, 0x82},
		{"Response Topic with a wildcard [MQTT-3.3.2-14]", `30 08 "a" 04 08 "#"`, v5, 0x82},
		{"Response Topic not UTF-8 [MQTT-3.3.2-13]", `30 08 "a" 04 08 0001ff`, v5, 0x81},
		{"Content Type not UTF-8 [MQTT-3.3.2-19]", `30 08 "a" 04 03 0001ff`, v5, 0x81},
		{"User Property not UTF-8 [MQTT-1.5.7-1]", `30 0b "a" 07 26 "k" 0001ff`, v5, 0x81},
		{"a property that PUBLISH has not", `30 09 "a" 05 11 00000001`, v5, 0x81},
		{"PUBREL flags [MQTT-3.6.1-1]", `60 02 0001`, v5, 0x81},
		{"PUBREL flags [MQTT311-3.6.1-1]", `60 02 0001`, v311, 0},
		{"PUBREL code [MQTT-3.6.2-1]", `62 03 0001 80`, v5, 0x82},
		{"PUBCOMP code [MQTT-3.7.2-1]", `70 03 0001 80`, v5, 0x82},
		{"PUBACK code [MQTT-3.4.2-1]", `40 03 0001 92`, v5, 0x82},
		{"SUBSCRIBE flags [MQTT-3.8.1-1] [MQTT-2.1.3-1]", `80 07 0001 00 "a" 00`, v5, 0x81},
		{"SUBSCRIBE flags [MQTT311-3.8.1-1] [MQTT311-2.2.2-2]", `80 06 0001 "a" 00`, v311, 0},
		{"SUBSCRIBE without a filter [MQTT-3.8.3-2]", `82 03 0001 00`, v5, 0x82},
		{"SUBSCRIBE without a filter [MQTT311-3.8.3-3]", `82 02 0001`, v311, 0},
		{"SUBSCRIBE filter not UTF-8 [MQTT-3.8.3-1]", `82 07 0001 00 0001ff 00`, v5, 0x81},
		{"SUBSCRIBE filter not UTF-8 [MQTT311-3.8.3-1]", `82 06 0001 0001ff 00`, v311, 0},
		{"SUBSCRIBE reserved options [MQTT-3.8.3-5]", `82 07 0001 00 "a" 40`, v5, 0x81},
		{"SUBSCRIBE reserved options in 3.1.1", `82 06 0001 "a" 04`, v311, 0},
		{"SUBSCRIBE QoS 3", `82 07 0001 00 "a" 03`, v5, 0x82},
		{"SUBSCRIBE Retain Handling 3", `82 07 0001 00 "a" 30`, v5, 0x82},
		{"SUBSCRIBE Subscription Identifier 0", `82 09 0001 02 0b00 "a" 00`, v5, 0x82},
		{"SUBSCRIBE a/# b [MQTT-4.7.1-1]", `82 0b 0001 00 "a/#/b" 00`, v5, 0x81},
		{"SUBSCRIBE a# [MQTT-4.7.1-1]", `82 08 0001 00 "a#" 00`, v5, 0x81},
		{"SUBSCRIBE a# [MQTT311-4.7.1-2]", `82 07 0001 "a#" 00`, v311, 0},
		{"SUBSCRIBE a+ [MQTT-4.7.1-2]", `82 08 0001 00 "a+" 00`, v5, 0x81},
		{"SUBSCRIBE a+ [MQTT311-4.7.1-3]", `82 07 0001 "a+" 00`, v311, 0},
		{"SUBSCRIBE to an empty filter [MQTT-4.7.3-1]", `82 06 0001 00 "" 00`, v5, 0x81},
		{"SUBSCRIBE to an empty filter [MQTT311-4.7.3-1]", `82 05 0001 "" 00`, v311, 0},
		{"SUBSCRIBE with an empty Share Name [MQTT-4.8.2-1]", `82 0f 0001 00 "$share//a" 00`, v5, 0x81},
		{"SUBSCRIBE with a wildcard in the Share Name [MQTT-4.8.2-2]", `82 10 0001 00 "$share/+/a" 00`, v5, 0x81},
		{"SUBSCRIBE with a Share Name alone [MQTT-4.8.2-2]", `82 0e 0001 00 "$share/a" 00`, v5, 0x81},
		{"No Local on a Shared Subscription [MQTT-3.8.3-4]", `82 10 0001 00 "$share/s/a" 04`, v5, 0x82},
		{"UNSUBSCRIBE flags [MQTT-3.10.1-1]", `a0 06 0001 00 "a"`, v5, 0x81},
		{"UNSUBSCRIBE flags [MQTT311-3.10.1-1]", `a0 05 0001 "a"`, v311, 0},
		{"UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", `a2 03 0001 00`, v5, 0x82},
		{"UNSUBSCRIBE without a filter [MQTT311-3.10.3-2]", `a2 02 0001`, v311, 0},
		{"UNSUBSCRIBE filter not UTF-8 [MQTT-3.10.3-1]", `a2 06 0001 00 0001ff`, v5, 0x81},
		{"UNSUBSCRIBE filter not UTF-8 [MQTT311-3.10.3-1]", `a2 05 0001 0001ff`, v311, 0},
		{"UNSUBSCRIBE from a bad filter [MQTT-4.7.1-1]", `a2 07 0001 00 "a#"`, v5, 0x81},
		{"PINGREQ flags [MQTT-2.1.3-1]", `c1 00`, v5, 0x81},
		{"PINGREQ flags [MQTT311-2.2.2-1] [MQTT311-2.2.2-2]", `c1 00`, v311, 0},
		{"PINGREQ with bytes behind it", `c0 01 00`, v5, 0x81},
		{"DISCONNECT flags [MQTT-3.14.1-1]", `e1 00`, v5, 0x81},
		{"DISCONNECT flags [MQTT311-3.14.1-1]", `e1 00`, v311, 0},
		{"DISCONNECT code [MQTT-3.14.2-1]", `e0 01 01`, v5, 0x82},
		{"AUTH without a method in CONNECT [MQTT-4.12.0-7]", `f0 08 18 06 15 "SCR"`, v5, 0x82},
		{"re-authentication without a method in CONNECT [MQTT-4.12.1-2]", `f0 08 19 06 15 "SCR"`, v5, 0x82},
		{"AUTH flags [MQTT-3.15.1-1]", `f1 00`, v5, 0x81},
		{"AUTH code [MQTT-3.15.2-1]", `f0 08 01 06 15 "SCR"`, v5, 0x82},
		{"AUTH in 3.1.1", `f0 00`, v311, 0},
		{"type 0", `00 00`, v5, 0x81},
		{"CONNACK from a Client", `20 03 00 00 00`, v5, 0x82},
		{"SUBACK from a Client", `90 03 0001 00`, v311, 0},
		{"PINGRESP from a Client", `d0 00`, v5, 0x82},
		{"Remaining Length of five bytes", `30 ff ff ff ff 7f`, v5, 0x81},
		{"Remaining Length longer than needed [MQTT-1.5.5-1]", `c0 80 00`, v5, 0x81},
		{"larger than our Maximum Packet Size [MQTT-3.2.2-15]", `30 ff ff ff 7f`, v5, 0x95},
		{"larger than our limit in 3.1.1", `30 ff ff ff 7f`, v311, 0},
		{"Property Length past the end", `30 04 "a" 7f`, v5, 0x81},
		{"Property Length missing [MQTT-2.2.2-1]", `30 03 "a"`, v5, 0x81},
		{"shorter than its fields", `82 04 0001 0001`, v311, 0},
	} {
		mqtest.Run(t, c.name, []colibri.Version{c.v}, broker.Config{}, func(scene *mqtest.Scene) {
			watcher := scene.Connect("watcher")
			watcher.Send(subscribe(1, to("will", 0)))
			watcher.Expect(suback(1, 0))
			p := scene.Connect("client", will(qos0("will", "gone")))
			p.SendHex(c.hex)
			p.ExpectEnded(c.code)
			watcher.Expect(qos0("will", "gone")) // a protocol error is no goodbye
		})
	}
	mqtest.Run(t, "what came before counts, what comes behind does not [MQTT-4.13.1-1] [MQTT311-4.8.0-1]", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("#", 0)))
		watcher.Expect(suback(1, 0))
		p := scene.Connect("client")
		b := p.Encode(qos1(1, "a", "before"))
		b = append(b, 0xC1, 0x00)
		b = append(b, p.Encode(qos0("a", "behind"))...)
		p.SendBytes(b)
		want := []packet.Packet{puback(1, 0)}
		if scene.Version == v5 {
			want = append(want, &packet.Disconnect{Code: colibri.MalformedPacket})
		}
		p.ExpectClosed(want...)
		watcher.Expect(qos0("a", "before"))
	})
	mqtest.Run(t, "nothing is sent behind a DISCONNECT [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-3.14.2-2]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		p.SendHex("c1 00")
		scene.Connect("other").Send(qos0("a", "x"))
		got := p.Received()
		if len(got) != 1 || got[0].Type() != packet.DISCONNECT || got[0].(*packet.Disconnect).Properties.Has(colibri.SessionExpiryInterval) {
			scene.Errorf("got %v, want a DISCONNECT alone", got)
		}
		p.ExpectClosed()
	})
	mqtest.Run(t, "the Reason String stays within Maximum Packet Size [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.1.2-24]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.SendHex("c1 00")
		if got := p.Received(); len(got) != 1 || !got[0].(*packet.Disconnect).Properties.Has(colibri.ReasonString) {
			scene.Errorf("got %v, want a DISCONNECT that says why", got)
		}
		p = scene.Connect("client", property(colibri.MaximumPacketSize, 20))
		p.SendHex("c1 00")
		if got := p.Received(); len(got) != 1 || got[0].Type() != packet.DISCONNECT || len(p.Encode(got...)) > 20 {
			scene.Errorf("got %v, want a DISCONNECT of 20 bytes at most", got)
		}
	})
	mqtest.Run(t, "a message to publish with a bad topic", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for _, topic := range []string{"", "a/#", "+", "\x00"} {
			if err := scene.Broker.Publish(&colibri.Message{Topic: topic}); err == nil {
				scene.Errorf("Publish to %q: got nil, want an error", topic)
			}
		}
		if err := scene.Broker.Publish(&colibri.Message{Topic: "a", QoS: 3}); err == nil {
			scene.Error("Publish with QoS 3: got nil, want an error")
		}
	})
	t.Run("ServeConn ends with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := mqtest.New(t, broker.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			client, server := transport.Pipe()
			served := make(chan struct{})
			go func() { b.ServeConn(ctx, server); close(served) }()
			client.Write([]byte{0x10, 0x0E, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, 'a'})
			synctest.Wait()
			cancel()
			<-served
			assertClosed(t, client)
			if err := b.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	})
}

// assertClosed reads nc to its end.
func assertClosed(t *testing.T, nc net.Conn) {
	t.Helper()
	buf := make([]byte, 1024)
	for {
		if _, err := nc.Read(buf); err != nil {
			return
		}
	}
}
