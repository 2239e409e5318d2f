package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// FuzzServer lets a Server send any bytes while a program publishes, subscribes and
// takes messages: the Client does not panic, does not hang, and ends.
func FuzzServer(f *testing.F) {
	for _, v := range []colibri.Version{colibri.V311, colibri.V5} {
		var b []byte
		for _, p := range []packet.Packet{
			&packet.Connack{}, &packet.Publish{Topic: "a"}, &packet.Publish{QoS: 1, PacketID: 1, Topic: "a"},
			&packet.Publish{QoS: 2, PacketID: 2, Topic: "b"}, &packet.Pubrel{PacketID: 2}, &packet.Puback{PacketID: 2},
			&packet.Pubrec{PacketID: 3}, &packet.Pubcomp{PacketID: 3}, &packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{1}},
			&packet.Pingresp{},
		} {
			b, _ = packet.Append(b, p, v)
		}
		f.Add(byte(v), b)
	}
	f.Fuzz(func(t *testing.T, v byte, b []byte) {
		version := colibri.V31 + colibri.Version(v)%3
		synctest.Test(t, func(t *testing.T) {
			s := &server{t: t, l: transport.NewMemory(), v: version}
			dial := start(func() (*Client, error) {
				return Dial(t.Context(), "memory", s.options(Options{KeepAlive: time.Minute, MaxQueued: 5, ConnectTimeout: time.Second}))
			})
			p := s.accept()
			go func() {
				p.nc.Write(b)
				for {
					if _, err := p.receive(); err != nil {
						p.nc.Close()
						return
					}
				}
			}()
			c, err := dial()
			if err != nil {
				p.nc.Close()
				return
			}
			sub := start(func() (*Subscription, error) {
				return c.Subscribe(t.Context(), colibri.Subscription{Filter: "a", QoS: 2})
			})
			for qos := range colibri.QoS(3) {
				c.Start(t.Context(), message(qos, "a", "x"))
			}
			go func() {
				for {
					if _, err := c.Unclaimed().Next(t.Context()); err != nil {
						return
					}
				}
			}()
			go func() {
				if s, _ := sub(); s != nil {
					for range s.All(t.Context()) {
					}
				}
			}()
			<-c.Done() // for want of a PINGRESP, if not before
		})
	})
}
