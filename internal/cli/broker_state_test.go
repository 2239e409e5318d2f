package cli

import (
	"fmt"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestBrokerState covers a state on disk: a broker that ends and one that follows it, and
// two that want the same directory.
func TestBrokerState(t *testing.T) {
	text := fmt.Sprintf("listener 0 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s\n", t.TempDir())
	first := startConfigured(t, text)
	connect := &packet.Connect{Version: colibri.V311, ClientID: "lasting"}
	client := dialRaw(t, "tcp", first.address(), colibri.V311)
	client.send(connect)
	client.receive()
	client.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a", QoS: 2}}})
	client.receive()
	client.send(&packet.Disconnect{})
	other := dialRaw(t, "tcp", first.address(), colibri.V311)
	other.connect(packet.Connect{ClientID: "other", CleanStart: true})
	other.send(&packet.Publish{Topic: "a", Payload: []byte("kept"), QoS: 1, PacketID: 7})
	if got, ok := other.receive().(*packet.Puback); !ok || got.PacketID != 7 {
		t.Fatalf("got %v, want a PUBACK", got)
	}

	second := startConfigured(t, text)
	second.until(`Error: Another broker \(process \d+\) keeps its state in .*/colibri: stop it, or give this one another persistence_location\.`)
	if code := <-second.exit; code != 1 {
		t.Errorf("exit code of the second: got %d, want 1", code)
	}
	first.end()

	third := startConfigured(t, text)
	client = dialRaw(t, "tcp", third.address(), colibri.V311)
	client.send(connect)
	if got, ok := client.receive().(*packet.Connack); !ok || !got.SessionPresent {
		t.Errorf("got %v, want a CONNACK with Session Present", got)
	}
	got, ok := client.receive().(*packet.Publish)
	if !ok || string(got.Payload) != "kept" || got.QoS != 1 {
		t.Errorf("got %v, want the message from before", got)
	}
	third.end()
}
