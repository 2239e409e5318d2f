package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestFullWindow shows what passes while the Server takes no further message of QoS 1 or 2:
// everything that is no PUBLISH of these, each at once [MQTT-3.3.4-8] [MQTT-4.9.0-3].
func TestFullWindow(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{KeepAlive: 10 * time.Second}, accepted(number(colibri.ReceiveMaximum, 1)))
		first, err := c.Start(t.Context(), message(1, "a", "first"))
		if err != nil {
			t.Fatal(err)
		}
		id := expect[*packet.Publish](p).PacketID
		second := start(func() (Result, error) { return c.Publish(t.Context(), message(2, "a", "second")) })
		synctest.Wait()
		p.silent() // it waits for room

		if _, err := c.Publish(t.Context(), message(0, "a", "at once")); err != nil {
			t.Errorf("Publish with QoS 0: %v", err)
		}
		if got := expect[*packet.Publish](p); got.QoS != 0 {
			t.Errorf("got %+v, want the message of QoS 0", got)
		}
		sub := p.subscribed(c, "b")
		p.send(&packet.Publish{QoS: 1, PacketID: 1, Topic: "b"}, &packet.Publish{QoS: 2, PacketID: 2, Topic: "b"})
		for range 2 {
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatalf("Next: %v", err)
			}
		}
		p.expectAll(&packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 2})
		p.send(&packet.Pubrel{PacketID: 2})
		p.expectAll(&packet.Pubcomp{PacketID: 2})
		unsubscribe := start(func() (any, error) { return nil, sub.Unsubscribe(t.Context()) })
		p.send(&packet.Unsuback{PacketID: expect[*packet.Unsubscribe](p).PacketID, Codes: []colibri.ReasonCode{0}})
		if _, err := unsubscribe(); err != nil {
			t.Errorf("Unsubscribe: %v", err)
		}
		p.expectAll(&packet.Pingreq{})
		p.send(&packet.Pingresp{})

		p.send(&packet.Puback{PacketID: id})
		<-first.Done()
		got := expect[*packet.Publish](p)
		if string(got.Payload) != "second" {
			t.Errorf("got %+v, want the message that has waited", got)
		}
		p.send(&packet.Pubrec{PacketID: got.PacketID})
		expect[*packet.Pubrel](p)
		p.send(&packet.Pubcomp{PacketID: got.PacketID})
		if _, err := second(); err != nil {
			t.Errorf("Publish: %v", err)
		}
		p.disconnect(c)
	})
}
