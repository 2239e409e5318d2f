package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// keep are Options with which a Session outlives its connection, in every version.
func keep(v colibri.Version, o Options) Options {
	o.Reconnect = &Backoff{Min: time.Second}
	if v == colibri.V5 {
		o.Properties = o.Properties.AppendNumber(colibri.SessionExpiryInterval, 3600)
	}
	return o
}

// again lets the Client connect again, and answers.
func (s *server) again(connack *packet.Connack) (*peer, *packet.Connect) {
	s.t.Helper()
	p := s.accept()
	connect := expect[*packet.Connect](p)
	p.send(connack)
	return p, connect
}

// TestResume covers [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.1-1] [MQTT-4.3.3-6]
// [MQTT-3.1.2-23] and, in 3.1.1, [MQTT311-4.4.0-1] [MQTT311-4.6.0-1] [MQTT311-3.3.1-1]
// [MQTT311-2.3.1-3] [MQTT311-4.1.0-1]: what was not acknowledged is sent again in its
// order, under its identifiers. That a message has expired meanwhile changes nothing
// [MQTT-4.3.3-7].
func TestResume(t *testing.T) {
	for _, v := range []colibri.Version{colibri.V311, colibri.V5} {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, v, func(t *testing.T, s *server) {
				c, p := s.dial(keep(v, Options{}), accepted())
				var expires colibri.Properties
				if v == colibri.V5 {
					expires = colibri.Properties{number(colibri.MessageExpiryInterval, 1)}
				}
				var all []*Publication
				for i, qos := range []colibri.QoS{1, 2, 2, 1} {
					m := message(qos, "a", fmt.Sprint(i+1))
					m.Properties = expires
					publication, err := c.Start(t.Context(), m)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, publication)
					expect[*packet.Publish](p)
				}
				p.send(&packet.Pubrec{PacketID: 2})
				expect[*packet.Pubrel](p)
				p.nc.Close()
				time.Sleep(10 * time.Second)

				p, connect := s.again(present())
				if connect.CleanStart || connect.ClientID != "test" {
					t.Errorf("CONNECT: got %+v, want the same Session", connect)
				}
				publish := func(qos colibri.QoS, id uint16) *packet.Publish {
					return &packet.Publish{Dup: true, QoS: qos, PacketID: id, Topic: "a", Payload: []byte(fmt.Sprint(id)), Properties: expires}
				}
				p.expectAll(publish(1, 1), &packet.Pubrel{PacketID: 2}, publish(2, 3), publish(1, 4))
				p.silent()
				p.send(&packet.Puback{PacketID: 1}, &packet.Pubcomp{PacketID: 2}, &packet.Pubrec{PacketID: 3}, &packet.Puback{PacketID: 4})
				p.expectAll(&packet.Pubrel{PacketID: 3})
				p.send(&packet.Pubcomp{PacketID: 3})
				for i, publication := range all {
					if _, err := publication.Wait(t.Context()); err != nil {
						t.Errorf("message %d: %v", i+1, err)
					}
				}
				p.disconnect(c)
			})
		})
	}
}

// TestResumePubrel: a PUBREL that the Server has had on the connection before is answered
// with Packet Identifier not found, and the message is delivered all the same. Without
// another connection that answer is an error.
func TestResumePubrel(t *testing.T) {
	for _, lost := range []bool{true, false} {
		t.Run(fmt.Sprintf("lost %v", lost), func(t *testing.T) {
			bubble(t, colibri.V5, func(t *testing.T, s *server) {
				c, p := s.dial(keep(s.v, Options{}), accepted())
				publish := start(func() (Result, error) { return c.Publish(t.Context(), message(2, "a", "")) })
				id := expect[*packet.Publish](p).PacketID
				p.send(&packet.Pubrec{PacketID: id})
				expect[*packet.Pubrel](p)
				if lost {
					p.nc.Close()
					p, _ = s.again(present())
					expect[*packet.Pubrel](p)
				}
				p.send(&packet.Pubcomp{PacketID: id, Code: colibri.PacketIdentifierNotFound})
				switch result, err := publish(); {
				case lost && (err != nil || result.Code != colibri.Success):
					t.Errorf("Publish: got %+v, %v, want success", result, err)
				case !lost && !errors.Is(err, colibri.PacketIdentifierNotFound):
					t.Errorf("Publish: got %+v, %v, want %v", result, err, colibri.PacketIdentifierNotFound)
				}
				p.disconnect(c)
			})
		})
	}
}

// TestResume31: a resent PUBREL has the DUP flag in 3.1, and as a CONNACK does not
// say whether there is a Session, the Subscriptions are made again.
func TestResume31(t *testing.T) {
	bubble(t, colibri.V31, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		p.subscribed(c, "a")
		two := start(func() (Result, error) { return c.Publish(t.Context(), message(2, "a", "")) })
		id := expect[*packet.Publish](p).PacketID
		p.send(&packet.Pubrec{PacketID: id})
		expect[*packet.Pubrel](p)
		p.nc.Close()
		p, _ = s.again(accepted())
		p.resubscribed()
		p.expectAll(&packet.Pubrel{PacketID: id, Dup: true})
		p.send(&packet.Pubcomp{PacketID: id})
		if _, err := two(); err != nil {
			t.Errorf("Publish: %v", err)
		}
		p.disconnect(c)
	})
}

// TestSessionLost covers [MQTT-3.2.2-5]: the state is discarded. Subscriptions are
// made anew, QoS 1 messages are new ones, QoS 2 messages end with an error.
func TestSessionLost(t *testing.T) {
	for _, v := range []colibri.Version{colibri.V311, colibri.V5} {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, v, func(t *testing.T, s *server) {
				c, p := s.dial(keep(v, Options{}), accepted())
				p.subscribed(c, "a")
				sub := p.subscribed(c, "b")
				one := start(func() (Result, error) { return c.Publish(t.Context(), message(1, "x", "one")) })
				expect[*packet.Publish](p)
				two := start(func() (Result, error) { return c.Publish(t.Context(), message(2, "x", "two")) })
				id := expect[*packet.Publish](p).PacketID
				three := start(func() (Result, error) { return c.Publish(t.Context(), message(2, "x", "three")) })
				expect[*packet.Publish](p)
				p.send(&packet.Pubrec{PacketID: id}, &packet.Publish{QoS: 2, PacketID: 9, Topic: "b", Payload: []byte("old")})
				expect[*packet.Pubrel](p)
				synctest.Wait()
				p.nc.Close()

				p, _ = s.again(accepted())
				for _, filter := range []string{"a", "b"} {
					if got := p.resubscribed(); got.Subscriptions[0].Filter != filter || got.Subscriptions[0].QoS != 2 {
						t.Errorf("SUBSCRIBE: got %+v, want %s with QoS 2", got, filter)
					}
				}
				anew := expect[*packet.Publish](p)
				if anew.Dup || string(anew.Payload) != "one" {
					t.Errorf("got %+v, want message one as a new one", anew)
				}
				p.send(&packet.Puback{PacketID: anew.PacketID})
				if _, err := one(); err != nil {
					t.Errorf("QoS 1: %v", err)
				}
				for _, wait := range []func() (Result, error){two, three} {
					if _, err := wait(); !errors.Is(err, ErrSessionLost) {
						t.Errorf("QoS 2: got %v, want ErrSessionLost", err)
					}
				}
				// The old identifier 9 is forgotten: a PUBLISH under it is new, and the
				// old message, which can still be taken, is not acknowledged on this
				// connection.
				p.send(&packet.Publish{QoS: 2, PacketID: 9, Topic: "b", Payload: []byte("new")})
				if m, err := sub.Next(t.Context()); err != nil || string(m.Payload) != "old" {
					t.Errorf("Next: got %+v, %v", m, err)
				}
				p.silent()
				if m, err := sub.Next(t.Context()); err != nil || string(m.Payload) != "new" {
					t.Errorf("Next: got %+v, %v", m, err)
				}
				p.expectAll(&packet.Pubrec{PacketID: 9})
				p.disconnect(c)
			})
		})
	}
}

// TestReceiveAcrossConnections covers exactly once at the receiving end
// [MQTT-4.3.3-10], and that an unread QoS 1 message does not come twice.
func TestReceiveAcrossConnections(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		sub := p.subscribed(c, "a")
		next := func(want string) {
			t.Helper()
			if m, err := sub.Next(t.Context()); err != nil || string(m.Payload) != want {
				t.Fatalf("Next: got %+v, %v, want %q", m, err, want)
			}
		}
		publish := func(qos colibri.QoS, id uint16, text string, dup bool) *packet.Publish {
			return &packet.Publish{Dup: dup, QoS: qos, PacketID: id, Topic: "a", Payload: []byte(text)}
		}
		p.send(publish(2, 1, "acknowledged", false))
		next("acknowledged")
		p.expectAll(&packet.Pubrec{PacketID: 1})
		p.send(publish(2, 2, "taken later", false), publish(1, 3, "unread", false), publish(1, 4, "unread too", false))
		synctest.Wait()
		p.nc.Close()
		synctest.Wait()
		next("taken later") // while there is no connection

		p, _ = s.again(present())
		p.silent() // nothing is acknowledged before it has come again
		p.send(publish(2, 1, "acknowledged", true), publish(2, 2, "taken later", true), publish(1, 3, "unread", true))
		p.expectAll(&packet.Pubrec{PacketID: 1}, &packet.Pubrec{PacketID: 2})
		p.silent()
		next("unread")
		p.expectAll(&packet.Puback{PacketID: 3})
		next("unread too")
		p.silent() // has not come again yet
		p.send(publish(1, 4, "unread too", true))
		p.expectAll(&packet.Puback{PacketID: 4})
		p.send(&packet.Pubrel{PacketID: 1}, &packet.Pubrel{PacketID: 2})
		p.expectAll(&packet.Pubcomp{PacketID: 1}, &packet.Pubcomp{PacketID: 2})
		p.send(publish(2, 1, "new", false))
		next("new")
		p.expectAll(&packet.Pubrec{PacketID: 1})
		p.disconnect(c)
	})
}

// TestRepeatOnOneConnection: a Server of 3.1 may send again without a new connection.
func TestRepeatOnOneConnection(t *testing.T) {
	bubble(t, colibri.V31, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		sub := p.subscribed(c, "a")
		for _, qos := range []colibri.QoS{1, 2} {
			m := packet.Publish{QoS: qos, PacketID: uint16(qos), Topic: "a"}
			again := m
			again.Dup = true
			p.send(&m, &again, &again)
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		p.expectAll(&packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 2})
		p.silent()
		p.disconnect(c)
	})
}

// TestResumeLimits: the Server may take less on the next connection.
func TestResumeLimits(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted(number(colibri.TopicAliasMaximum, 1)))
		var all []*Publication
		for i := range 4 {
			m := message(1, "a", fmt.Sprint(i))
			if i == 1 {
				m.Payload = []byte(strings.Repeat("x", 100))
			}
			if i == 2 {
				m.Properties = colibri.Properties{number(colibri.TopicAlias, 1)}
			}
			publication, err := c.Start(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, publication)
			expect[*packet.Publish](p)
		}
		p.nc.Close()
		p, _ = s.again(present(number(colibri.ReceiveMaximum, 2), number(colibri.MaximumPacketSize, 50)))
		publish := func(i int) *packet.Publish {
			return &packet.Publish{Dup: true, QoS: 1, PacketID: uint16(i + 1), Topic: "a", Payload: []byte(fmt.Sprint(i))}
		}
		p.expectAll(publish(0), publish(2)) // without the Topic Alias [MQTT-3.3.2-7]
		p.silent()
		if _, err := all[1].Wait(t.Context()); !errors.Is(err, colibri.PacketTooLarge) {
			t.Errorf("the large message: got %v", err)
		}
		p.send(&packet.Puback{PacketID: 1})
		p.expectAll(publish(3))
		p.disconnect(c)
		if _, err := all[3].Wait(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("the message without an answer: got %v, want ErrClosed", err)
		}
	})
}

// TestSubscribeAcrossConnections: what was asked for and not answered is asked again.
func TestSubscribeAcrossConnections(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		sub := p.subscribed(c, "a")
		subscribe := start(func() (*Subscription, error) { return c.Subscribe(t.Context(), colibri.Subscription{Filter: "b"}) })
		expect[*packet.Subscribe](p)
		end := start(func() (any, error) { return nil, sub.Unsubscribe(t.Context()) })
		expect[*packet.Unsubscribe](p)
		p.nc.Close()

		p, _ = s.again(present())
		request := expect[*packet.Subscribe](p)
		unsubscribe := expect[*packet.Unsubscribe](p)
		if request.Subscriptions[0].Filter != "b" || unsubscribe.Filters[0] != "a" {
			t.Errorf("got %+v and %+v", request, unsubscribe)
		}
		p.send(&packet.Suback{PacketID: request.PacketID, Codes: []colibri.ReasonCode{0}},
			&packet.Unsuback{PacketID: unsubscribe.PacketID, Codes: []colibri.ReasonCode{0}})
		if _, err := subscribe(); err != nil {
			t.Errorf("Subscribe: %v", err)
		}
		if _, err := end(); err != nil {
			t.Errorf("Unsubscribe: %v", err)
		}

		// The Session is lost, and the Server no longer grants what it did.
		subB := c.subscriptions[0]
		p.nc.Close()
		p, _ = s.again(accepted())
		request = expect[*packet.Subscribe](p)
		p.send(&packet.Suback{PacketID: request.PacketID, Codes: []colibri.ReasonCode{colibri.NotAuthorized}})
		if _, err := subB.Next(t.Context()); !errors.Is(err, colibri.NotAuthorized) {
			t.Errorf("Next: got %v, want the refusal", err)
		}
		p.disconnect(c)
	})
}

// TestReconnect: the delays grow, are shortened at random by half at most, begin
// anew after a connection that has lasted, and end where the options say.
func TestReconnect(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		var delays []time.Duration
		lost := 0
		o := Options{Reconnect: &Backoff{Min: time.Second, Max: 5 * time.Second, Attempts: 4}, Trace: func(e Event) {
			switch e.Kind {
			case Waiting:
				delays = append(delays, e.Delay)
			case Lost:
				lost++
			}
		}}
		c, p := s.dial(o, accepted())
		p.nc.Close()
		for range 3 { // three attempts that fail, and one that succeeds
			p = s.accept()
			p.nc.Close()
		}
		p, connect := s.again(accepted())
		if !connect.CleanStart {
			t.Error("CONNECT without Session Expiry Interval: got CleanStart false, want true, as the Session has ended")
		}
		time.Sleep(time.Hour)
		p.nc.Close()
		for range 4 {
			p = s.accept()
			p.nc.Close()
		}
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "4 attempts") {
			t.Errorf("Err: got %v", err)
		}
		if len(delays) != 8 || lost != 2 {
			t.Fatalf("got %d delays and %d losses, want 8 and 2", len(delays), lost)
		}
		for i, limit := range []time.Duration{1, 2, 4, 5, 1, 2, 4, 5} {
			if limit *= time.Second; delays[i] > limit || delays[i] < limit/2 {
				t.Errorf("delay %d: got %v, want from %v to %v", i, delays[i], limit/2, limit)
			}
		}
	})
}

// TestReconnectRefused: a refusal that will not change ends the Client.
func TestReconnectRefused(t *testing.T) {
	for _, code := range []colibri.ReasonCode{colibri.NotAuthorized, colibri.ServerBusy} {
		bubble(t, colibri.V5, func(t *testing.T, s *server) {
			c, p := s.dial(Options{Reconnect: &Backoff{}}, accepted())
			p.nc.Close()
			p, _ = s.again(&packet.Connack{Code: code})
			p.end()
			if code == colibri.NotAuthorized {
				<-c.Done()
				if err := c.Err(); !errors.Is(err, code) {
					t.Errorf("Err: got %v, want %v", err, code)
				}
				return
			}
			p, _ = s.again(accepted())
			p.send(&packet.Disconnect{Code: colibri.SessionTakenOver})
			<-c.Done()
			p.nc.Close()
		})
	}
}

// TestPublishWaits: without a connection a publisher waits for the next one.
func TestPublishWaits(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{Reconnect: &Backoff{}}, accepted())
		p.nc.Close()
		synctest.Wait()
		publish := start(func() (Result, error) { return c.Publish(t.Context(), message(0, "a", "")) })
		subscribe := start(func() (*Subscription, error) { return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a"}) })
		synctest.Wait()
		p, _ = s.again(accepted())
		p.resubscribed()
		expect[*packet.Publish](p)
		if _, err := publish(); err != nil {
			t.Errorf("Publish: %v", err)
		}
		if _, err := subscribe(); err != nil {
			t.Errorf("Subscribe: %v", err)
		}
		p.disconnect(c)
	})
}

// TestSessionLostOrder: what is sent anew after a lost Session keeps its order, and
// a message that is published meanwhile comes after it.
func TestSessionLostOrder(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		for i := range 4 {
			if _, err := c.Start(t.Context(), message(1, "a", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			expect[*packet.Publish](p)
		}
		p.nc.Close()
		p, _ = s.again(accepted(number(colibri.ReceiveMaximum, 1)))
		late := start(func() (*Publication, error) { return c.Start(t.Context(), message(1, "a", "4")) })
		for i := range 5 {
			got := expect[*packet.Publish](p)
			if string(got.Payload) != fmt.Sprint(i) || got.Dup {
				t.Errorf("got %+v, want message %d as a new one", got, i)
			}
			p.silent()
			p.send(&packet.Puback{PacketID: got.PacketID})
		}
		if _, err := late(); err != nil {
			t.Errorf("Start: %v", err)
		}
		p.disconnect(c)
	})
}

// TestReceiveMaximumAfterResume: the Server's send quota starts afresh with a connection.
func TestReceiveMaximumAfterResume(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{MaxQueued: 2}), accepted())
		sub := p.subscribed(c, "a")
		send := func(id uint16) {
			t.Helper()
			p.send(&packet.Publish{QoS: 2, PacketID: id, Topic: "a"})
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.expectAll(&packet.Pubrec{PacketID: id})
		}
		send(1)
		send(2)
		p.nc.Close()
		p, _ = s.again(present())
		send(3)
		send(4)
		p.disconnect(c)
	})
}

// TestDupOfAnotherSession: the DUP flag does not tie a message to one of a Session
// that was lost.
func TestDupOfAnotherSession(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(keep(s.v, Options{}), accepted())
		sub := p.subscribed(c, "a")
		p.send(&packet.Publish{QoS: 1, PacketID: 1, Topic: "a", Payload: []byte("old")})
		synctest.Wait()
		p.nc.Close()
		p, _ = s.again(accepted())
		p.resubscribed()
		p.send(&packet.Publish{Dup: true, QoS: 1, PacketID: 1, Topic: "a", Payload: []byte("new")})
		for _, want := range []string{"old", "new"} {
			if m, err := sub.Next(t.Context()); err != nil || string(m.Payload) != want {
				t.Fatalf("Next: got %+v, %v, want %q", m, err, want)
			}
		}
		p.expectAll(&packet.Puback{PacketID: 1})
		p.disconnect(c)
	})
}
