package client

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// tryDial starts Dial and returns the server's end and a function that waits for the
// outcome.
func (s *server) tryDial(o Options) (*peer, func() (*Client, error)) {
	s.t.Helper()
	dial := start(func() (*Client, error) { return Dial(s.t.Context(), "memory", s.options(o)) })
	return s.accept(), dial
}

// TestConnect checks every field of the CONNECT packet: [MQTT-3.1.2-16] [MQTT-3.1.2-17]
// [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-3] [MQTT311-3.1.0-1].
func TestConnect(t *testing.T) {
	will := &packet.Will{Topic: "gone", Payload: []byte("bye"), QoS: 1, Retain: true}
	versions(t, func(t *testing.T, s *server) {
		o := Options{ClientID: "me", CleanStart: true, KeepAlive: 90 * time.Second, UserName: "u", Password: []byte("p"), Will: will}
		want := &packet.Connect{Version: s.v, ClientID: "me", CleanStart: true, KeepAlive: 90,
			HasUserName: true, UserName: "u", HasPassword: true, Password: []byte("p"), Will: will}
		if s.v == colibri.V5 {
			o.Properties = colibri.Properties{}.AppendUser("a", "b")
			want.Properties = colibri.Properties{}.AppendUser("a", "b").AppendNumber(colibri.ReceiveMaximum, 1000)
		}
		p, dial := s.tryDial(o)
		p.expectAll(want)
		p.send(accepted())
		c, err := dial()
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		if c.ClientID() != "me" || c.Version() != s.v || c.KeepAlive() != 90*time.Second {
			t.Errorf("got %q, %v, %v", c.ClientID(), c.Version(), c.KeepAlive())
		}
		p.disconnect(c)
	})
}

func TestConnectRefused(t *testing.T) {
	for _, c := range []struct {
		v          colibri.Version
		code       colibri.ReasonCode
		want       colibri.ReasonCode
		returnCode byte
	}{
		{colibri.V31, 4, colibri.BadUserNameOrPassword, 4},
		{colibri.V311, 1, colibri.UnsupportedProtocolVersion, 1},
		{colibri.V311, 5, colibri.NotAuthorized, 5},
		{colibri.V5, colibri.NotAuthorized, colibri.NotAuthorized, 0},
		{colibri.V5, colibri.Banned, colibri.Banned, 0},
	} {
		t.Run(c.v.String()+" "+c.want.String(), func(t *testing.T) {
			bubble(t, c.v, func(t *testing.T, s *server) {
				connack := &packet.Connack{Code: c.code}
				if c.v == colibri.V5 {
					connack.Properties = connack.Properties.AppendValue(colibri.ReasonString, "go away")
				}
				p, dial := s.tryDial(Options{})
				expect[*packet.Connect](p)
				p.send(connack)
				_, err := dial()
				var refusal *Refusal
				if !errors.As(err, &refusal) || !errors.Is(err, c.want) || refusal.ReturnCode != c.returnCode || refusal.Packet != packet.CONNACK {
					t.Errorf("Dial: got %v (%+v), want %v, return code %d", err, refusal, c.want, c.returnCode)
				}
				if c.v == colibri.V5 && !strings.Contains(err.Error(), "go away") {
					t.Errorf("Dial: got %q, want the Reason String in it", err)
				}
				p.end() // [MQTT-4.13.2-1]
			})
		})
	}
}

func TestConnectOptions(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"version":         {Options{Version: 6}, "unknown version 6"},
		"keep alive":      {Options{KeepAlive: 1500 * time.Millisecond}, "Keep Alive"},
		"long keep alive": {Options{KeepAlive: 65_536 * time.Second}, "Keep Alive"},
		"inflight":        {Options{MaxInflight: 70_000}, "MaxInflight"},
		"queue":           {Options{MaxQueued: -1}, "negative"},
		// [MQTT311-3.1.3-7]
		"no ClientID":      {Options{Version: colibri.V311}, "ClientID"},
		"no ClientID, 3.1": {Options{Version: colibri.V31, CleanStart: true}, "ClientID"},
		// [MQTT311-3.1.2-22]
		"password only": {Options{Version: colibri.V311, CleanStart: true, Password: []byte("p")}, "User Name"},
		"will topic":    {Options{Will: &packet.Will{Topic: "a/#"}}, "MQTT-"},
	} {
		c.o.Dial = func(context.Context, string) (net.Conn, error) { return nil, io.ErrUnexpectedEOF }
		if _, err := Dial(t.Context(), "memory", c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
	var syntax *topic.SyntaxError
	if _, err := Dial(t.Context(), "memory", Options{Will: &packet.Will{Topic: "a/#"}}); !errors.As(err, &syntax) {
		t.Errorf("will topic: got %v, want a *topic.SyntaxError", err)
	}
	if _, err := Dial(t.Context(), "htp://localhost", Options{}); err == nil || !strings.Contains(err.Error(), "scheme") {
		t.Errorf("unknown scheme: got %v", err)
	}
}

// TestConnackValues covers what the Server may decide: [MQTT-3.2.2-16], [MQTT-3.2.2-21]
// [MQTT-3.1.2-21].
func TestConnackValues(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{KeepAlive: time.Minute}, accepted(
			colibri.Property{ID: colibri.AssignedClientIdentifier, Value: "assigned"},
			number(colibri.ServerKeepAlive, 7)))
		if got := c.ClientID(); got != "assigned" {
			t.Errorf("ClientID: got %q, want the one that was assigned", got)
		}
		began := time.Now()
		p.expectAll(&packet.Pingreq{})
		if got := time.Since(began); got != 7*time.Second || c.KeepAlive() != got {
			t.Errorf("PINGREQ after %v, want the Server's 7s", got)
		}
		connack := c.Connack()
		if !connack.Properties.Has(colibri.ServerKeepAlive) || connack.SessionPresent {
			t.Errorf("Connack: got %+v", connack)
		}
		p.disconnect(c)
	})
}

// TestSessionPresentWithoutSession covers [MQTT-3.2.2-4].
func TestSessionPresentWithoutSession(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		p, dial := s.tryDial(Options{CleanStart: true})
		expect[*packet.Connect](p)
		p.send(present())
		if _, err := dial(); !errors.Is(err, colibri.ProtocolError) || !strings.Contains(err.Error(), "MQTT-3.2.2-4") {
			t.Errorf("Dial: got %v", err)
		}
		p.expectAll(&packet.Disconnect{Code: colibri.ProtocolError})
		p.end()
	})
}

// TestHandshakeEnds covers everything but a CONNACK.
func TestHandshakeEnds(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		want   string
		code   colibri.ReasonCode // of our DISCONNECT, 0 for none
	}{
		"closed":         {nil, "closed the connection", 0},
		"another packet": {[]byte{0xD0, 0}, "PINGRESP", colibri.ProtocolError}, // [MQTT-3.2.0-1]
		"malformed":      {[]byte{0x20, 3, 2, 0, 0}, "CONNACK", colibri.MalformedPacket},
		"reserved type":  {[]byte{0x00, 0}, "", colibri.MalformedPacket},
		"auth":           {[]byte{0xF0, 2, 0x18, 0}, "AUTH", colibri.ProtocolError}, // [MQTT-4.12.0-6]
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				p, dial := s.tryDial(Options{})
				expect[*packet.Connect](p)
				if c.answer == nil {
					p.nc.Close()
				} else {
					p.write(c.answer)
				}
				if _, err := dial(); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Dial: got %v, want %q in it", err, c.want)
				}
				if c.answer == nil {
					return
				}
				p.expectAll(&packet.Disconnect{Code: c.code})
				p.end()
			})
		})
	}
}

func TestDialGivesUp(t *testing.T) {
	bubble(t, colibri.V311, func(t *testing.T, s *server) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		dial := start(func() (*Client, error) { return Dial(ctx, "memory", s.options(Options{})) })
		p := s.accept()
		if _, err := dial(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("Dial with a deadline: got %v after %v", err, time.Since(began))
		}
		expect[*packet.Connect](p)
		p.end()

		began = time.Now()
		p, dial = s.tryDial(Options{ConnectTimeout: 5 * time.Second})
		if _, err := dial(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("Dial with ConnectTimeout: got %v after %v", err, time.Since(began))
		}
		p.nc.Close()

		dial = start(func() (*Client, error) {
			return Dial(t.Context(), "memory", s.options(Options{ConnectTimeout: time.Second}))
		})
		if _, err := dial(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial that nobody accepts: got %v", err)
		}
	})
}

// TestServerDisconnects covers the ends that a Server makes.
func TestServerDisconnects(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		sub := p.subscribed(c, "a")
		one := start(func() (Result, error) { return c.Publish(t.Context(), message(1, "a", "x")) })
		expect[*packet.Publish](p)
		p.send(&packet.Disconnect{Code: colibri.SessionTakenOver})
		<-c.Done()
		var refusal *Refusal
		if err := c.Err(); !errors.As(err, &refusal) || refusal.Packet != packet.DISCONNECT || !errors.Is(err, colibri.SessionTakenOver) {
			t.Errorf("Err: got %v", err)
		}
		if _, err := one(); !errors.Is(err, ErrClosed) || !errors.Is(err, colibri.SessionTakenOver) {
			t.Errorf("Publish: got %v, want ErrClosed and why", err)
		}
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(err, colibri.SessionTakenOver) {
			t.Errorf("Next: got %v, want ErrClosed and why", err)
		}
		if err := c.Disconnect(t.Context(), 0, nil); err != nil {
			t.Errorf("Disconnect of a Client that has ended: got %v", err)
		}
		p.end()
	})
}

// TestServerBreaksRules covers what ends a connection: in 5.0 with a DISCONNECT that
// says why [MQTT-4.13.2-1] [MQTT-3.14.2-1], in 3.1.1 without [MQTT311-4.8.0-1].
func TestServerBreaksRules(t *testing.T) {
	for name, broken := range map[string]struct {
		bytes []byte
		code  colibri.ReasonCode
	}{
		"reserved bits":     {[]byte{0xD1, 0}, colibri.MalformedPacket}, // [MQTT-2.1.3-1] [MQTT311-2.2.2-2]
		"long length":       {[]byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF}, colibri.MalformedPacket},
		"QoS 3":             {[]byte{0x36, 5, 0, 1, 'a', 0, 1}, colibri.MalformedPacket}, // [MQTT-3.3.1-4] [MQTT311-3.3.1-4]
		"second CONNACK":    {[]byte{0x20, 3, 0, 0, 0}, colibri.ProtocolError},
		"SUBSCRIBE":         {[]byte{0x82, 7, 0, 1, 0, 0, 1, 'a', 0}, colibri.ProtocolError},
		"PINGREQ":           {[]byte{0xC0, 0}, colibri.ProtocolError},
		"SUBACK of nothing": {[]byte{0x90, 4, 0, 9, 0, 0}, colibri.ProtocolError}, // [MQTT-2.2.1-6]
		// [MQTT-3.1.2-26] [MQTT-3.1.2-27]
		"alias not granted":  {[]byte{0x30, 7, 0, 1, 'a', 3, 0x23, 0, 1}, colibri.TopicAliasInvalid},
		"alias without name": {[]byte{0x30, 6, 0, 0, 3, 0x23, 0, 1}, colibri.TopicAliasInvalid},
		"larger than taken":  {append([]byte{0x30, 103, 0, 1, 'a', 0}, make([]byte, 99)...), colibri.PacketTooLarge}, // [MQTT-3.1.2-24]
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				c, p := s.dial(Options{Properties: colibri.Properties{number(colibri.MaximumPacketSize, 100)}}, accepted())
				p.write(broken.bytes)
				p.expectAll(&packet.Disconnect{Code: broken.code})
				p.end()
				<-c.Done()
				if err := c.Err(); !errors.Is(err, broken.code) {
					t.Errorf("Err: got %v, want %v", err, broken.code)
				}
			})
		})
	}
	for _, broken := range [][]byte{{0xD1, 0}, {0x36, 5, 0, 1, 'a', 0, 1}, {0x30, 0xFF, 0xFF, 0xFF, 0xFF}} {
		bubble(t, colibri.V311, func(t *testing.T, s *server) {
			c, p := s.dial(Options{}, accepted())
			p.write(broken)
			p.end()
			<-c.Done()
			if err := c.Err(); err == nil {
				t.Errorf("Err after % x: got nil", broken)
			}
		})
	}
}

// TestDisconnect covers the DISCONNECT with a Reason Code and properties, which is the
// last packet [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT311-3.14.4-1] [MQTT311-3.14.4-2].
func TestDisconnect(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted(number(colibri.MaximumPacketSize, 60)))
		if _, err := c.Start(t.Context(), message(1, "a", "before")); err != nil {
			t.Fatal(err)
		}
		properties := colibri.Properties{number(colibri.SessionExpiryInterval, 5)}
		done := start(func() (any, error) {
			return nil, c.Disconnect(t.Context(), colibri.DisconnectWithWillMessage, properties)
		})
		expect[*packet.Publish](p)
		p.expectAll(&packet.Disconnect{Code: colibri.DisconnectWithWillMessage, Properties: properties})
		p.send(&packet.Publish{Topic: "a", QoS: 1, PacketID: 1}) // crosses it, and is not answered
		p.end()
		if _, err := done(); err != nil {
			t.Errorf("Disconnect: %v", err)
		}

		// Properties that the Server does not take are left out [MQTT-3.14.2-3]
		// [MQTT-3.14.2-4].
		c, p = s.dial(Options{}, accepted(number(colibri.MaximumPacketSize, 20)))
		long := colibri.Properties{}.AppendValue(colibri.ReasonString, strings.Repeat("because ", 10))
		done = start(func() (any, error) { return nil, c.Disconnect(t.Context(), colibri.UnspecifiedError, long) })
		p.expectAll(&packet.Disconnect{Code: colibri.UnspecifiedError})
		p.end()
		if _, err := done(); err != nil {
			t.Errorf("Disconnect: %v", err)
		}

		// User Properties likewise.
		c, p = s.dial(Options{}, accepted(number(colibri.MaximumPacketSize, 20)))
		long = colibri.Properties{}.AppendUser("because", strings.Repeat("because ", 10))
		done = start(func() (any, error) { return nil, c.Disconnect(t.Context(), colibri.UnspecifiedError, long) })
		p.expectAll(&packet.Disconnect{Code: colibri.UnspecifiedError})
		p.end()
		if _, err := done(); err != nil {
			t.Errorf("Disconnect: %v", err)
		}
	})
	bubble(t, colibri.V311, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		done := start(func() (any, error) { return nil, c.Disconnect(t.Context(), 0, nil) })
		p.expectAll(&packet.Disconnect{})
		p.send(&packet.Publish{Topic: "a", QoS: 1, PacketID: 1}) // crosses it, and is not answered
		p.end()
		if _, err := done(); err != nil {
			t.Errorf("Disconnect: %v", err)
		}
	})
}

// TestDisconnectStuck shows that a Server which does nothing does not keep a program
// from ending.
func TestDisconnectStuck(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		began := time.Now()
		if err := c.Disconnect(t.Context(), 0, nil); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("Disconnect from a Server that does not close: got %v after %v", err, time.Since(began))
		}
		p.nc.Close()

		// One that does not even read, whether we end it or it breaks a rule.
		for _, end := range []func(*Client, *peer){
			func(c *Client, p *peer) { c.Disconnect(t.Context(), 0, nil) },
			func(c *Client, p *peer) { p.write([]byte{0, 0}) },
		} {
			near, far := transport.PipeSize(100)
			o := s.options(Options{})
			o.Dial = func(context.Context, string) (net.Conn, error) { return near, nil }
			dial := start(func() (*Client, error) { return Dial(t.Context(), "memory", o) })
			p = &peer{t: t, nc: far, v: s.v}
			expect[*packet.Connect](p)
			p.send(accepted())
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			began = time.Now()
			if _, err := c.Publish(t.Context(), message(0, "a", strings.Repeat("x", 1000))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			end(c, p)
			<-c.Done()
			if got := time.Since(began); got != finalTimeout {
				t.Errorf("ended after %v, want %v", got, finalTimeout)
			}
			far.Close()
		}

		// The context of Disconnect ends it sooner.
		near, far := transport.PipeSize(100)
		o := s.options(Options{})
		o.Dial = func(context.Context, string) (net.Conn, error) { return near, nil }
		dial := start(func() (*Client, error) { return Dial(t.Context(), "memory", o) })
		p = &peer{t: t, nc: far, v: s.v}
		expect[*packet.Connect](p)
		p.send(accepted())
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Publish(t.Context(), message(0, "a", strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Disconnect(ctx, 0, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Disconnect from a Server that does not read: got %v", err)
		}
		<-c.Done()
		far.Close()
	})
}

// TestClose ends without a DISCONNECT, whatever goes on.
func TestClose(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{Reconnect: &Backoff{}}, accepted())
		sub := p.subscribed(c, "a")
		waiting := start(func() (*Message, error) { return sub.Next(t.Context()) })
		synctest.Wait()
		c.Close()
		p.end()
		if _, err := waiting(); err != ErrClosed {
			t.Errorf("Next: got %v, want ErrClosed", err)
		}
		if err := c.Err(); err != nil {
			t.Errorf("Err: got %v, want nil", err)
		}
		c.Close()

		// While it waits to connect again, and while it connects.
		for _, wait := range []time.Duration{10 * time.Millisecond, time.Hour} {
			c, p = s.dial(Options{Reconnect: &Backoff{}, ConnectTimeout: 2 * time.Hour}, accepted())
			p.nc.Close()
			time.Sleep(wait)
			c.Close()
		}
	})
}
