package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/scram"
	"github.com/colibri-mqtt/colibri/packet"
)

// echoMethod is a Method whose exchanges answer with a "!" behind what they get, do not
// like "no", and want "proof" at the end.
func echoMethod(begun *int) *Method {
	return &Method{Name: "echo", Begin: func() Exchange { *begun++; return echoExchange{} }}
}

type echoExchange struct{}

func (echoExchange) Step(data []byte) ([]byte, error) {
	switch string(data) {
	case "no":
		return nil, errors.New("I do not know you")
	case "quiet":
		return nil, nil
	}
	return append(data, '!'), nil
}

func (echoExchange) Finish(data []byte) error {
	if string(data) != "proof" {
		return errors.New("that proves nothing")
	}
	return nil
}

func echoProperties(data ...string) colibri.Properties {
	ps := colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "echo")
	for _, d := range data {
		ps = ps.AppendValue(colibri.AuthenticationData, d)
	}
	return ps
}

func echoAuth(code colibri.ReasonCode, data ...string) *packet.Auth {
	return &packet.Auth{Code: code, Properties: echoProperties(data...)}
}

const (
	further = colibri.ContinueAuthentication
	again   = colibri.ReAuthenticate
)

// TestMethod covers [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-4.12.1-1] [MQTT-3.1.2-30]
// [MQTT-3.15.2-1] where a Method leads the exchange.
func TestMethod(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		begun := 0
		o := Options{Method: echoMethod(&begun), Authenticate: func(*packet.Auth) (*packet.Auth, error) {
			t.Error("Authenticate was called beside a Method")
			return nil, errors.New("no")
		}}
		p, dial := s.tryDial(o)
		connect := expect[*packet.Connect](p)
		name, _ := connect.Properties.Value(colibri.AuthenticationMethod)
		data, _ := connect.Properties.Value(colibri.AuthenticationData)
		if name != "echo" || data != "!" || !connect.Properties.Has(colibri.ReceiveMaximum) {
			t.Errorf("CONNECT: got %v, want the method and its first data beside the others", connect.Properties)
		}
		p.send(echoAuth(further, "one"))
		p.expectAll(echoAuth(further, "one!"))
		p.send(echoAuth(further, "quiet"))
		p.expectAll(echoAuth(further))
		p.send(&packet.Connack{Properties: echoProperties("proof")})
		c, err := dial()
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		for range 2 {
			reauthenticate := start(func() (any, error) {
				return nil, c.Reauthenticate(t.Context(), colibri.Properties{}.AppendUser("k", "v"))
			})
			p.expectAll(&packet.Auth{Code: again, Properties: echoProperties("!").AppendUser("k", "v")})
			p.send(echoAuth(further, "later"))
			p.expectAll(echoAuth(further, "later!"))
			p.send(echoAuth(0, "proof"))
			if _, err := reauthenticate(); err != nil {
				t.Errorf("Reauthenticate: %v", err)
			}
		}
		p.send(echoAuth(further, "still")) // what is over is over
		p.expectAll(&packet.Disconnect{Code: colibri.ProtocolError})
		p.end()
		<-c.Done()
		if begun != 3 {
			t.Errorf("got %d exchanges, want 3", begun)
		}
	})
}

// TestMethodBreaks shows which answers of a Server end the connection before it is one.
func TestMethodBreaks(t *testing.T) {
	other := colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "other").AppendValue(colibri.AuthenticationData, "proof")
	for _, c := range []struct {
		name   string
		answer packet.Packet
		want   string // part of the error
		code   colibri.ReasonCode
	}{
		{"the method does not like it [MQTT-4.12.1-2]", echoAuth(further, "no"), "I do not know you", colibri.UnspecifiedError},
		{"another method in AUTH [MQTT-4.12.0-5]", &packet.Auth{Code: further, Properties: other}, "not that of the CONNECT", colibri.ProtocolError},
		{"Success before the CONNACK [MQTT-4.12.0-2]", echoAuth(0, "proof"), "no authentication", colibri.ProtocolError},
		{"Re-authenticate from the Server [MQTT-4.12.0-2]", echoAuth(again, "x"), "no authentication", colibri.ProtocolError},
		{"another method in CONNACK [MQTT-4.12.0-5]", &packet.Connack{Properties: other}, "not that of the CONNECT", colibri.ProtocolError},
		{"no method in CONNACK [MQTT-4.12.0-5]", &packet.Connack{}, "not that of the CONNECT", colibri.ProtocolError},
		{"no proof", &packet.Connack{Properties: echoProperties()}, "that proves nothing", colibri.UnspecifiedError},
		{"a wrong proof", &packet.Connack{Properties: echoProperties("poof")}, "that proves nothing", colibri.UnspecifiedError},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				begun := 0
				p, dial := s.tryDial(Options{Method: echoMethod(&begun)})
				expect[*packet.Connect](p)
				p.send(c.answer)
				if _, err := dial(); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Dial: got %v, want %q", err, c.want)
				}
				p.expectAll(&packet.Disconnect{Code: c.code})
				p.end()
			})
		})
	}
}

// TestReauthenticateBreaks shows how a connected Client ends that is not content
// [MQTT-4.12.1-2].
func TestReauthenticateBreaks(t *testing.T) {
	for _, c := range []struct {
		name   string
		begin  bool // the Client has asked
		answer *packet.Auth
		code   colibri.ReasonCode
	}{
		{"a question that was not asked for", false, echoAuth(further, "one"), colibri.ProtocolError},
		{"an end of nothing", false, echoAuth(0, "proof"), colibri.ProtocolError},
		{"a wrong proof", true, echoAuth(0, "poof"), colibri.UnspecifiedError},
		{"another method", true, &packet.Auth{Properties: colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "other")}, colibri.ProtocolError},
		{"the method does not like it", true, echoAuth(further, "no"), colibri.UnspecifiedError},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				begun := 0
				client, p := s.dial(Options{Method: echoMethod(&begun)}, &packet.Connack{Properties: echoProperties("proof")})
				reauthenticate := func() (any, error) { return nil, errors.New("not begun") }
				if c.begin {
					reauthenticate = start(func() (any, error) { return nil, client.Reauthenticate(t.Context(), nil) })
					expect[*packet.Auth](p)
				}
				p.send(c.answer)
				if _, err := reauthenticate(); err == nil {
					t.Error("Reauthenticate: got no error")
				}
				p.expectAll(&packet.Disconnect{Code: c.code})
				p.end()
				<-client.Done()
				if client.Err() == nil {
					t.Error("Err: got nil")
				}
			})
		})
	}
}

// TestMethodOptions shows what Options refuse.
func TestMethodOptions(t *testing.T) {
	begun := 0
	for _, o := range []Options{
		{Method: &Method{Name: "echo"}},
		{Method: &Method{Begin: echoMethod(&begun).Begin}},
		{Method: echoMethod(&begun), Version: colibri.V311, ClientID: "c"},
		{Method: echoMethod(&begun), Properties: echoProperties()},
	} {
		if _, err := o.complete(); err == nil {
			t.Errorf("%+v: got no error", o)
		}
	}
}

// scramServer is the Server's end of SCRAM-SHA-256 for one user.
func scramServer(t *testing.T, userName, password string) *scram.Server {
	t.Helper()
	credentials, err := scram.NewCredentials(password, scram.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	return scram.NewServer(func(_ context.Context, name string) (scram.Credentials, bool, error) {
		return credentials, name == userName, nil
	}, nil, 0)
}

// TestScram shows that each connection has an exchange of its own, and that a Server
// which cannot prove itself is left.
func TestScram(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		method, err := ScramSHA256("user", "pencil")
		if err != nil {
			t.Fatal(err)
		}
		scrams := scramServer(t, "user", "pencil")
		properties := func(data []byte) colibri.Properties {
			return colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "SCRAM-SHA-256").
				AppendValue(colibri.AuthenticationData, string(data))
		}
		step := func(x *scram.ServerExchange, ps colibri.Properties) []byte {
			data, _ := ps.Value(colibri.AuthenticationData)
			answer, _, err := x.Step(t.Context(), []byte(data))
			if err != nil {
				t.Fatalf("the server: %v", err)
			}
			return answer
		}
		// walk answers a CONNECT or AUTH up to the proof.
		walk := func(p *peer, ps colibri.Properties) (proof []byte) {
			x := scrams.Begin()
			p.send(&packet.Auth{Code: further, Properties: properties(step(x, ps))})
			return step(x, expect[*packet.Auth](p).Properties)
		}
		o := Options{Method: method, Reconnect: &Backoff{}}
		p, dial := s.tryDial(o)
		connect := expect[*packet.Connect](p)
		first, _ := connect.Properties.Value(colibri.AuthenticationData)
		p.send(&packet.Connack{Properties: properties(walk(p, connect.Properties))})
		c, err := dial()
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		reauthenticate := start(func() (any, error) { return nil, c.Reauthenticate(t.Context(), nil) })
		auth := expect[*packet.Auth](p)
		p.send(&packet.Auth{Properties: properties(walk(p, auth.Properties))})
		if _, err := reauthenticate(); err != nil {
			t.Errorf("Reauthenticate: %v", err)
		}

		p.nc.Close()
		p = s.accept()
		connect = expect[*packet.Connect](p)
		if second, _ := connect.Properties.Value(colibri.AuthenticationData); second == first || !strings.HasPrefix(second, "n,,n=user,r=") {
			t.Errorf("the second CONNECT: got %q after %q, want a nonce of its own", second, first)
		}
		proof := walk(p, connect.Properties)
		p.send(&packet.Connack{Properties: properties(append(proof[:2], "AAAA"...))})
		p.expectAll(&packet.Disconnect{Code: colibri.UnspecifiedError})
		p.end()

		p = s.accept() // a Server that lies is no reason to give up: another may answer
		connect = expect[*packet.Connect](p)
		p.send(&packet.Connack{Properties: properties(walk(p, connect.Properties))})
		synctest.Wait()
		p.disconnect(c)
	})
}
