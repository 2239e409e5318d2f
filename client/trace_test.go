package client

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestTrace shows what a program is told, in the order of the wire.
func TestTrace(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		var got strings.Builder
		o := Options{Reconnect: &Backoff{}, Trace: func(e Event) {
			fmt.Fprint(&got, e.Kind)
			if e.Packet != nil {
				fmt.Fprint(&got, " ", e.Packet.Type())
			}
			if e.Bytes != 0 {
				fmt.Fprint(&got, " ", e.Bytes)
			}
			if e.Err != nil {
				fmt.Fprint(&got, ": ", e.Err)
			}
			fmt.Fprintln(&got)
		}}
		c, p := s.dial(o, accepted())
		p.subscribed(c, "a")
		p.send(&packet.Publish{QoS: 1, PacketID: 1, Topic: "b"})
		p.expectAll(&packet.Puback{PacketID: 1})
		p.nc.Close()
		p, _ = s.again(accepted())
		p.resubscribed()
		synctest.Wait()
		p.disconnect(c)
		want := `sent CONNECT 22
received CONNACK 5
connected
sent SUBSCRIBE 9
received SUBACK 6
received PUBLISH 8
dropped PUBLISH
sent PUBACK 4
lost: the Server has closed the connection: EOF
waiting
sent CONNECT 22
received CONNACK 5
connected
sent SUBSCRIBE 9
received SUBACK 6
sent DISCONNECT 2
lost
`
		if got.String() != want {
			t.Errorf("got:\n%swant:\n%s", &got, want)
		}
	})
}
