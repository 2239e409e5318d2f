package broker_test

import (
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestClientTraffic shows what the broker says one client has sent and got since it
// connected.
func TestClientTraffic(t *testing.T) {
	mqtest.Run(t, "one publishes, one receives", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		from, to2 := scene.Connect("from"), scene.Connect("to")
		to2.Send(subscribe(1, to("a", 0)))
		to2.Expect(suback(1, 0))
		sent := []packet.Packet{qos0("a", "1"), qos0("b", "22"), qos1(7, "a", "333"), &packet.Pingreq{}}
		from.Send(sent...)
		from.Expect(puback(7, 0), &packet.Pingresp{})
		to2.Expect(qos0("a", "1"), qos0("a", "333"))
		synctest.Wait()
		bytes := func(packets ...packet.Packet) (n int64) {
			for _, p := range packets {
				b, err := packet.Append(nil, p, scene.Version)
				if err != nil {
					t.Fatal(err)
				}
				n += int64(len(b))
			}
			return n
		}
		check := func(clientID string, published, readBytes, delivered, writtenBytes int64) {
			scene.Helper()
			c, ok := scene.Broker.Client(clientID)
			got := [4]int64{c.Published, c.ReadBytes, c.Delivered, c.WrittenBytes}
			if want := [4]int64{published, readBytes, delivered, writtenBytes}; !ok || got != want {
				scene.Errorf("%s: got %v, want %v", clientID, got, want)
			}
		}
		check("from", 3, bytes(sent...), 0, 0)
		check("to", 0, bytes(subscribe(1, to("a", 0))), 2, bytes(qos0("a", "1"), qos0("a", "333")))
	})
}
