package cli

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestBrokerAbuse shows what the log says of too many connections of one address, and of two
// devices with one Client Identifier.
func TestBrokerAbuse(t *testing.T) {
	isolate(t)
	b := startConfigured(t, "allow_anonymous true\nlistener 0 127.0.0.1\ncolibri_max_connections_per_address 2\n")
	address := b.address()
	for range 2 {
		dialRaw(t, "tcp", address, colibri.V5).connect(packet.Connect{})
	}
	if got := dialRaw(t, "tcp", address, colibri.V5).receive(); got != nil {
		t.Errorf("one connection too many: got %v", got)
	}
	b.until(`Limit reached \(connections of an address\): 1 times, the last time by a connection from 127\.0\.0\.1:\d+\.`)
	b.end()

	b = startConfigured(t, "allow_anonymous true\nlistener 0 127.0.0.1\n")
	address = b.address()
	for range 10 {
		dialRaw(t, "tcp", address, colibri.V311).connect(packet.Connect{ClientID: "pump"})
	}
	b.until(`Two devices share the Client Identifier pump and disconnect each other: 127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+, 3 takeovers since the last line about it\. Give each device one of its own\.`)
	if text := b.end(); strings.Count(text, "Two devices") != 1 {
		t.Errorf("got more than one line about both:\n%s", text)
	}
}
