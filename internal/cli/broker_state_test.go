package cli

import (
	"fmt"
	"net"
	"regexp"
	"strings"
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

// TestBrokerStateByDefault covers where the state lies when nobody says it, and who has none.
func TestBrokerStateByDefault(t *testing.T) {
	states := t.TempDir()
	t.Setenv("XDG_STATE_HOME", states)
	port := freePort(t)
	for _, test := range []struct{ args, state string }{
		{"colibri broker -p " + port, "in " + states + "/colibri/" + port},
		{"colibri broker -p 0", "in memory only, as its port changes with each start"},
		{"colibri broker -c " + writeConfig(t, "listener "+port+" 127.0.0.1\n"), "in " + states + "/colibri/" + port},
		{"colibri broker -c " + writeConfig(t, "listener "+port+" 127.0.0.1\npersistence true\n"), "in " + states + "/colibri"},
		{"colibri broker -c " + writeConfig(t, "listener "+port+" 127.0.0.1\npersistence false\n"), "in memory only"},
		{"mosquitto -p " + port, "in memory only"},
	} {
		b := startBroker(t, strings.Fields(test.args)...)
		b.until(`  state         ` + regexp.QuoteMeta(test.state) + `(: it is lost when the broker ends)?\n`)
		b.end()
	}
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// TestBrokerDrain covers a broker that sends its clients to another when it ends.
func TestBrokerDrain(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\ncolibri_server_reference other.example:1883\n")
	client := dialRaw(t, "tcp", b.address(), colibri.V5)
	client.connect(packet.Connect{ClientID: "client"})
	b.cancel()
	got, ok := client.receive().(*packet.Disconnect)
	if !ok || got.Code != colibri.UseAnotherServer {
		t.Fatalf("got %v, want a DISCONNECT with 0x9C", got)
	}
	if to, _ := got.Properties.Value(colibri.ServerReference); to != "other.example:1883" {
		t.Errorf("Server Reference: got %q", to)
	}
	b.until(`Sending all clients to other\.example:1883\.`)
	if code := <-b.exit; code != exitOK {
		t.Errorf("exit code: got %d, want 0", code)
	}
}
