package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// broker is a broker that runs for one test, on a port of 127.0.0.1 of its own.
type broker struct {
	kind      string // mosquitto or colibri
	port      int
	webSocket bool   // port is for WebSocket
	ca        string // file; empty without TLS
	program   *program
}

func (b *broker) address() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// lastPort is the last port that freePort gave away. The range lies under the
// one from which the kernel takes the ports of outgoing connections, and starts
// at random, so that two runs at the same time do not meet.
var lastPort atomic.Int32

func init() { lastPort.Store(20000 + rand.Int32N(9000)) }

// freePort returns a port of 127.0.0.1 that nobody listens on and that this
// process does not give away again. It does not listen there to find out: a
// program that another test forks just then would keep that listener open for
// a moment.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20000 + int(lastPort.Add(1)-20000)%12000
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.ECONNREFUSED) {
			return port
		}
		if err == nil {
			nc.Close()
		}
	}
	t.Fatal("no free port of 127.0.0.1 between 20000 and 32000")
	return 0
}

// startBroker starts a broker of the kind, open to anonymous clients of this
// machine, and returns when it accepts connections.
func startBroker(t *testing.T, kind string) *broker {
	t.Helper()
	switch kind {
	case mosquitto:
		return startMosquitto(t, "allow_anonymous true")
	case colibri:
		b := &broker{kind: kind, port: freePort(t)}
		b.program = start(t, paths[colibri], "broker", "-p", strconv.Itoa(b.port))
		b.waitUntilReady(t)
		return b
	}
	t.Fatalf("unknown broker %q", kind)
	return nil
}

// startMosquitto starts Mosquitto with these lines in its configuration.
func startMosquitto(t *testing.T, lines ...string) *broker {
	t.Helper()
	b := &broker{kind: mosquitto, port: freePort(t)}
	lines = append([]string{fmt.Sprintf("listener %d 127.0.0.1", b.port), "log_type all"}, lines...)
	configuration := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(configuration, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.program = start(t, paths[mosquitto], "-c", configuration)
	b.waitUntilReady(t)
	return b
}

// waitUntilReady tries to connect until the broker accepts. Each attempt is an
// event of the network; the pause between two only keeps the loop from spinning.
func (b *broker) waitUntilReady(t *testing.T) {
	t.Helper()
	deadline := time.After(patience)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		if nc, err := net.Dial("tcp", b.address()); err == nil {
			nc.Close()
			return
		}
		select {
		case <-retry.C:
		case <-b.program.exited:
			t.Fatalf("%s ended before it accepted a connection; it printed:\n%s", b.program.name, b.program.both)
		case <-deadline:
			t.Fatalf("%s accepts no connection at %s; it printed:\n%s", b.program.name, b.address(), b.program.both)
		}
	}
}

// forEachBroker runs the test in a parallel subtest for each broker under test.
func forEachBroker(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range strings.Split(*brokersFlag, ",") {
		t.Run("broker="+kind, func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}
