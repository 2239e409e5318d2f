// Package interop checks Colibri against programs that other people wrote:
// Mosquitto's broker and clients, Paho for Go (3.1.1 and 5.0), Paho for Python
// and MQTT.js. It drives the built binaries only and imports nothing of the
// project, so that the dependencies of the outside clients stay out of the
// root module.
//
// Every scenario is written once and runs against Mosquitto's broker too: a
// scenario that Mosquitto passes and Colibri fails is a difference of ours,
// not a mistake of the test.
//
//	./setup.sh                               # once: what the outside clients need
//	go test ./...                            # everything
//	go test ./... -args -brokers mosquitto -tools mosquitto   # the reference alone
//	go test ./... -args -colibri /usr/bin/colibri             # an installed binary
//
// The tests of colibri inspect capture what goes over lo, which takes root or the
// right to run dumpcap.
//
// Nothing is skipped: a missing outside program fails the run with a sentence
// that names it.
package interop
