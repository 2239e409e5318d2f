package cli

import (
	"net"
	"strconv"
	"testing"
)

// What the commands say of a server that does not answer CONNECT as it should.
func TestConnectToOtherServers(t *testing.T) {
	isolate(t)
	const protocol = "Error: A network protocol error occurred when communicating with the broker.\n"
	const lost = "Error: The connection was lost.\n" +
		"The server ended it without an answer to CONNECT: look at its log, or whether this port is for TLS, WebSocket or another protocol.\n"
	for _, test := range []struct {
		name   string
		answer string // empty: the server closes the connection; "-": it says nothing
		exit   int
		stderr string
	}{
		{"closes", "", exitLost, lost},
		{"is silent", "-", exitTimeout, "Timed out\n"},
		{"sends half a CONNACK", "\x20\x02\x00", exitLost, lost},
		{"sends a PINGRESP", "\xd0\x00", exitProtocol, protocol + "PINGRESP: the first packet of a Server is a CONNACK: Protocol Error (0x82) [MQTT-3.2.0-1].\n" +
			"Perhaps it is no MQTT broker: look whether this port is for TLS, WebSocket or another protocol.\n"},
		{"refuses with an unknown code", "\x20\x02\x00\x63", exitProtocol, ""},
		{"is too old", "\x20\x02\x00\x01", 1, "Connection error: Connection Refused: unacceptable protocol version.\n"},
		{"does not like the id", "\x20\x02\x00\x02", 2, "Connection error: Connection Refused: identifier rejected.\n"},
		{"is away", "\x20\x02\x00\x03", 3, "Connection error: Connection Refused: broker unavailable.\n"},
		{"does not know the password", "\x20\x02\x00\x04", 4, "Connection error: Connection Refused: bad user name or password.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				nc, err := listener.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				nc.Read(make([]byte, 1000))
				if test.answer == "-" {
					nc.Read(make([]byte, 1)) // until the command gives up
					return
				}
				nc.Write([]byte(test.answer))
			}()
			port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
			exit, stdout, stderr := call(t, "colibri", "sub", "-h", "127.0.0.1", "-p", port, "-t", "a", "-W", "1")
			if exit != test.exit || stdout != "" || test.stderr != "" && stderr != test.stderr {
				t.Errorf("got exit %d, stdout %q, stderr\n%swant exit %d, stderr\n%s", exit, stdout, stderr, test.exit, test.stderr)
			}
		})
	}
}
