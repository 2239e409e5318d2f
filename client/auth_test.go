package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/google/go-cmp/cmp"
)

// TestAuthenticate covers [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] and, as to
// authenticating again, [MQTT-4.12.1-1]: up to the CONNACK nothing but AUTH is sent
// [MQTT-3.1.2-30].
func TestAuthenticate(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		method := colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "count")
		var asked []string
		o := Options{Properties: method, Authenticate: func(p *packet.Auth) (*packet.Auth, error) {
			data, _ := p.Properties.Value(colibri.AuthenticationData)
			asked = append(asked, strings.Clone(data))
			if data == "no" {
				return nil, errors.New("I do not know you")
			}
			return &packet.Auth{Code: colibri.ContinueAuthentication, Properties: method.AppendValue(colibri.AuthenticationData, data+"!")}, nil
		}}
		ask := func(data string) *packet.Auth {
			return &packet.Auth{Code: colibri.ContinueAuthentication, Properties: method.AppendValue(colibri.AuthenticationData, data)}
		}
		p, dial := s.tryDial(o)
		expect[*packet.Connect](p)
		for _, data := range []string{"one", "two"} {
			p.send(ask(data))
			p.expectAll(ask(data + "!"))
		}
		p.send(&packet.Connack{Properties: method})
		c, err := dial()
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		again := start(func() (any, error) {
			return nil, c.Reauthenticate(t.Context(), colibri.Properties{}.AppendValue(colibri.AuthenticationData, "again"))
		})
		p.expectAll(&packet.Auth{Code: colibri.ReAuthenticate, Properties: method.AppendValue(colibri.AuthenticationData, "again")})
		p.send(ask("later"))
		p.expectAll(ask("later!"))
		p.send(&packet.Auth{Properties: method})
		if _, err := again(); err != nil {
			t.Errorf("Reauthenticate: %v", err)
		}
		p.silent()
		p.disconnect(c)
		if diff := cmp.Diff([]string{"one", "two", "later", ""}, asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}

		p, dial = s.tryDial(o)
		expect[*packet.Connect](p)
		p.send(ask("no"))
		if _, err := dial(); err == nil || !strings.Contains(err.Error(), "I do not know you") {
			t.Errorf("Dial: got %v, want the error of Authenticate", err)
		}
		p.expectAll(&packet.Disconnect{Code: colibri.UnspecifiedError})
		p.end()

		// The Server may say no at any point [MQTT-4.12.0-1] [MQTT-4.12.0-4].
		p, dial = s.tryDial(o)
		expect[*packet.Connect](p)
		p.send(ask("one"))
		expect[*packet.Auth](p)
		p.send(&packet.Connack{Code: colibri.BadAuthenticationMethod})
		if _, err := dial(); !errors.Is(err, colibri.BadAuthenticationMethod) {
			t.Errorf("Dial: got %v, want the refusal", err)
		}
		p.end()

		// An answer with a Reason Code that AUTH does not have is not sent [MQTT-3.15.2-1].
		o.Authenticate = func(*packet.Auth) (*packet.Auth, error) { return &packet.Auth{Code: colibri.NotAuthorized}, nil }
		p, dial = s.tryDial(o)
		expect[*packet.Connect](p)
		p.send(ask("one"))
		if _, err := dial(); err == nil {
			t.Error("Dial with a wrong Reason Code of ours: got no error")
		}
		if got, err := p.receive(); err == nil && got.Type() == packet.AUTH {
			t.Errorf("the server receives %+v", got)
		}
		p.nc.Close()
	})
}

// TestReauthenticateEnds covers the ways in which there is nothing to wait for, and
// [MQTT-4.12.0-7].
func TestReauthenticateEnds(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		if err := c.Reauthenticate(t.Context(), nil); err == nil {
			t.Error("without an Authentication Method: got no error")
		}
		p.silent()
		p.disconnect(c)

		c, p = s.dial(Options{
			Properties:   colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "m"),
			Authenticate: func(p *packet.Auth) (*packet.Auth, error) { return nil, errors.New("no") },
		}, accepted())
		again := start(func() (any, error) { return nil, c.Reauthenticate(t.Context(), nil) })
		expect[*packet.Auth](p)
		p.send(&packet.Disconnect{Code: colibri.NotAuthorized})
		if _, err := again(); err == nil {
			t.Error("after a DISCONNECT: got no error")
		}
		<-c.Done()
		if err := c.Reauthenticate(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: got %v, want ErrClosed", err)
		}
	})
}

// TestReauthenticateFails covers [MQTT-4.12.1-2]: who is not content disconnects.
func TestReauthenticateFails(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{
			Properties:   colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "m"),
			Authenticate: func(p *packet.Auth) (*packet.Auth, error) { return nil, errors.New("no") },
		}, accepted())
		p.send(&packet.Auth{Code: colibri.ContinueAuthentication, Properties: c.o.Properties[:1]})
		p.expectAll(&packet.Disconnect{Code: colibri.UnspecifiedError})
		p.end()
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "no") {
			t.Errorf("Err: got %v, want that of Authenticate", err)
		}
	})
}
