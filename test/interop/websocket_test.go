package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// startWebSocketBroker starts a broker of the kind whose port is for WebSocket. It has a
// second listener, without which Mosquitto does not start.
func startWebSocketBroker(t *testing.T, kind string, lines ...string) *broker {
	t.Helper()
	b := &broker{kind: kind, port: freePort(t), webSocket: true}
	configuration := filepath.Join(t.TempDir(), "websocket.conf")
	text := fmt.Sprintf("allow_anonymous true\nlog_type all\nlistener %d 127.0.0.1\nlistener %d 127.0.0.1\nprotocol websockets\n",
		freePort(t), b.port) + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	command := map[string][]string{mosquitto: {paths[mosquitto]}, colibri: {paths[colibri], "broker"}}[kind]
	b.program = start(t, command[0], append(command[1:], "-c", configuration)...)
	b.waitUntilReady(t)
	return b
}

// TestWebSocketLibraries runs every scenario over WebSocket, alone and inside TLS, with the
// outside libraries that have it: [MQTT-6.0.0-2] [MQTT-6.0.0-4] [MQTT311-6.0.0-2] [MQTT311-6.0.0-4]. They
// agree to no other subprotocol than the one they offer.
func TestWebSocketLibraries(t *testing.T) {
	for _, l := range libraries {
		if l.name != "paho-python" && l.name != "mqtt.js" {
			continue
		}
		for _, v := range l.versions {
			t.Run(fmt.Sprintf("%s %s", l.name, v), func(t *testing.T) {
				t.Parallel()
				d := l.open(t)
				for _, s := range scenarios {
					if v < s.from {
						continue
					}
					t.Run(s.name, func(t *testing.T) {
						b := startWebSocketBroker(t, colibri)
						s.run(&scene{T: t, broker: b, driver: d, version: v, library: l.name})
					})
				}
			})
			if v < v5 {
				continue // TLS knows no versions of MQTT
			}
			t.Run(fmt.Sprintf("%s %s in TLS", l.name, v), func(t *testing.T) {
				t.Parallel()
				d := l.open(t)
				dir, _ := makePKI(t)
				file := func(name string) string { return filepath.Join(dir, name) }
				for _, s := range scenarios {
					if v < s.from {
						continue
					}
					t.Run(s.name, func(t *testing.T) {
						b := startWebSocketBroker(t, colibri, "certfile "+file("server.crt"), "keyfile "+file("server.key"))
						b.ca = file("ca.crt")
						s.run(&scene{T: t, broker: b, driver: d, version: v, library: l.name})
					})
				}
			})
		}
	}
}

// TestWebSocketCommands runs our commands over WebSocket against each broker:
// [MQTT-6.0.0-3] [MQTT311-6.0.0-3].
func TestWebSocketCommands(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b := startWebSocketBroker(t, kind)
		port := strconv.Itoa(b.port)
		for _, v := range []string{"31", "311", "5"} {
			for _, qos := range []string{"0", "1", "2"} {
				text := fmt.Sprintf("version %s, QoS %s", v, qos)
				subscriber := start(t, paths[colibri], "sub", "-d", "-L", "ws://127.0.0.1:"+port+"/by/+", "-V", v, "-q", qos, "-C", "1", "-F", "%t %q %p", "-i", "s"+v+qos)
				subscriber.expect(t, `^Subscribed \(mid: \d+\)`)
				start(t, paths[colibri], "pub", "--ws", "-h", "127.0.0.1", "-p", port, "-V", v, "-q", qos, "-t", "by/"+v+qos, "-m", text, "-i", "p"+v+qos).succeeds(t)
				subscriber.expectMessages(t, "by/"+v+qos+" "+qos+" "+text)
				subscriber.succeeds(t)
			}
		}
	})
}
