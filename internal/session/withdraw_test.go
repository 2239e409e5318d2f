package session

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestWithdraw shows which deliveries end that the client may not have any more.
func TestWithdraw(t *testing.T) {
	for _, test := range []struct {
		name      string
		connected bool
		want      []string
		inflight  int
	}{
		{"connected: what was sent stays", true, []string{"no/queued"}, 3},
		{"away: what was sent is not sent again, unless the client has it", false, []string{"no/1", "no/queued"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := New(&Limits{Inflight: 3})
			s.Open(Options{Version: colibri.V311, ReceiveMaximum: 3})
			var out Output
			for _, d := range []struct {
				topic string
				qos   colibri.QoS
			}{{"no/1", 1}, {"no/2", 2}, {"yes", 1}, {"no/queued", 1}, {"yes/queued", 1}} {
				s.Deliver(time.Time{}, colibri.Delivery{Message: &colibri.Message{Topic: d.topic, QoS: d.qos}, QoS: d.qos}, true, &out)
			}
			if err := s.Receive(time.Time{}, &packet.Pubrec{PacketID: 2}, &out); err != nil {
				t.Fatal(err)
			}
			if !test.connected {
				s.Close()
			}
			var got []string
			for _, d := range s.Withdraw(func(topic string) bool { return topic[0] == 'y' }) {
				got = append(got, d.Message.Topic)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("withdrawn (-want +got):\n%s", diff)
			}
			if s.Inflight() != test.inflight || s.Queued() != 1 {
				t.Errorf("left: %d in flight, %d queued; want %d and 1", s.Inflight(), s.Queued(), test.inflight)
			}
		})
	}
}
