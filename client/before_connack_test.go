package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestBeforeConnack shows that a Client with an Authentication Method which has much to say
// sends nothing but AUTH before the CONNACK of a further connection, and all of it after
// [MQTT-3.1.2-30].
func TestBeforeConnack(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		method := colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, "m")
		c, p := s.dial(keep(s.v, Options{KeepAlive: 2 * time.Second, Properties: method,
			Authenticate: func(*packet.Auth) (*packet.Auth, error) {
				return &packet.Auth{Code: colibri.ContinueAuthentication, Properties: method}, nil
			}}), &packet.Connack{Properties: method})
		unanswered, err := c.Start(t.Context(), message(1, "a", "sent again"))
		if err != nil {
			t.Fatal(err)
		}
		expect[*packet.Publish](p)
		p.nc.Close()
		synctest.Wait()
		publish := start(func() (Result, error) { return c.Publish(t.Context(), message(0, "a", "waits")) })
		subscribe := start(func() (*Subscription, error) { return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a"}) })
		p = s.accept()
		expect[*packet.Connect](p)
		for range 3 {
			time.Sleep(5 * time.Second) // longer than the Keep Alive
			p.silent()
			p.send(&packet.Auth{Code: colibri.ContinueAuthentication, Properties: method})
			p.expectAll(&packet.Auth{Code: colibri.ContinueAuthentication, Properties: method})
		}
		p.send(&packet.Connack{SessionPresent: true, Properties: method})
		types := map[packet.Type]int{}
		for range 3 {
			one, err := p.receive()
			if err != nil {
				t.Fatal(err)
			}
			types[one.Type()]++
			switch one := one.(type) {
			case *packet.Subscribe:
				p.send(&packet.Suback{PacketID: one.PacketID, Codes: []colibri.ReasonCode{0}})
			case *packet.Publish:
				if one.QoS == 1 {
					p.send(&packet.Puback{PacketID: one.PacketID})
				}
			}
		}
		if types[packet.PUBLISH] != 2 || types[packet.SUBSCRIBE] != 1 {
			t.Errorf("behind the CONNACK: got %v, want two PUBLISH and one SUBSCRIBE", types)
		}
		<-unanswered.Done()
		if _, err := publish(); err != nil {
			t.Errorf("Publish: %v", err)
		}
		if _, err := subscribe(); err != nil {
			t.Errorf("Subscribe: %v", err)
		}
		p.disconnect(c)
	})
}
