package broker_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestBacklog shows that what waits for a Client reaches it, however much of what stands
// before it is not sent.
func TestBacklog(t *testing.T) {
	expiring := func(p *packet.Publish) *packet.Publish { return with(p, number(colibri.MessageExpiryInterval, 1)) }
	mqtest.Run(t, "a message behind many that have expired [MQTT-3.3.2-5]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("a", 1)))
		p.Expect(suback(1, 1))
		p.Disconnect()
		other := scene.Connect("other")
		for id := range uint16(300) {
			other.Send(expiring(qos1(id+1, "a", "old")))
		}
		other.Send(qos1(301, "a", "alive"))
		time.Sleep(5 * time.Second)
		scene.Connect("client", resume).Expect(qos1(1, "a", "alive"))
		if got := scene.Broker.Stats().Dropped[broker.DropExpired]; got != 300 {
			scene.Errorf("dropped as expired: got %d, want 300", got)
		}
	})
	mqtest.Run(t, "small Retained Messages behind many that are too large [MQTT-3.1.2-25]", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for i := range 200 {
			size := 200
			if i%10 == 9 {
				size = 2
			}
			publish(scene, &colibri.Message{Topic: "r/" + strconv.Itoa(i), Payload: make([]byte, size), Retain: true})
		}
		p := scene.Connect("client", property(colibri.MaximumPacketSize, 100))
		p.Send(subscribe(1, to("r/#", 0)))
		if got := len(p.Received()); got != 1+20 {
			scene.Errorf("got %d packets, want a SUBACK and the 20 small ones", got)
		}
	})
	mqtest.Run(t, "Retained Messages larger than the outbox, to a Client that reads [MQTT-3.3.1-9]", mqtest.All,
		broker.Config{Limits: broker.Limits{OutboxBytes: 100_000}}, func(scene *mqtest.Scene) {
			for i := range 200 {
				publish(scene, &colibri.Message{Topic: "r/" + strconv.Itoa(i), Payload: make([]byte, 50_000), Retain: true})
			}
			p := scene.Connect("client")
			p.Send(subscribe(1, to("r/#", 0)))
			got := 0
			for batch := p.Received(); len(batch) > 0; batch = p.Received() {
				got += len(batch)
			}
			if got != 1+200 {
				scene.Errorf("got %d packets, want a SUBACK and 200 Retained Messages", got)
			}
			if got := scene.Broker.Stats().Dropped; len(got) != 0 {
				scene.Errorf("dropped %v", got)
			}
		})
	mqtest.Run(t, "Retained Messages of many Subscriptions, each its own [MQTT-3.8.4-5]", mqtest.All,
		broker.Config{Limits: broker.Limits{OutboxBytes: 100, Inflight: 3}}, func(scene *mqtest.Scene) {
			for _, name := range []string{"r/1", "r/2", "r/3", "r/4", "r/5"} {
				publish(scene, &colibri.Message{Topic: name, Payload: []byte("x"), QoS: 1, Retain: true})
			}
			p := scene.Connect("client")
			p.Send(subscribe(1, to("r/#", 1), to("+/+", 1), to("r/1", 1), to("r/+", 0)))
			got := map[string]int{}
			for batch := p.Received(); len(batch) > 0; batch = p.Received() {
				for _, received := range batch {
					if m, ok := received.(*packet.Publish); ok {
						got[m.Topic]++
						if m.QoS == 1 {
							p.Send(puback(m.PacketID, 0))
						}
					}
				}
			}
			want := map[string]int{"r/1": 4, "r/2": 3, "r/3": 3, "r/4": 3, "r/5": 3}
			for name := range want {
				if got[name] != want[name] {
					scene.Errorf("%s came %d times, want %d", name, got[name], want[name])
				}
			}
		})
}

// TestWillChecked shows that a Will Message must be one that the Client may publish.
func TestWillChecked(t *testing.T) {
	for name, topic := range map[string]string{"the broker's own": "$SYS/broker/version", "too many levels": strings.Repeat("/", 300)} {
		mqtest.Run(t, name, mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
			p := scene.Dial()
			p.Send(p.NewConnect("client", will(retain(qos0(topic, "x")))))
			if got := p.Received(); len(got) == 1 && !got[0].(*packet.Connack).Code.Failed() && got[0].(*packet.Connack).Code == 0 {
				scene.Errorf("got %v, want a refusal", got)
			}
			p.ExpectClosed()
		})
	}
}

func publish(scene *mqtest.Scene, m *colibri.Message) {
	scene.Helper()
	if err := scene.Broker.Publish(m); err != nil {
		scene.Fatal(err)
	}
}
