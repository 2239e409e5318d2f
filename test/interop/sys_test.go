package interop

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSysTopics holds the names below $SYS against those of Mosquitto: whoever watches
// one broker shall find the same topics at the other.
func TestSysTopics(t *testing.T) {
	theirs := sysNames(t, startMosquitto(t, "allow_anonymous true", "sys_interval 1"))
	ours := sysNames(t, startSysColibri(t))
	for _, name := range theirs {
		if !slices.Contains(ours, name) {
			t.Errorf("%s is missing", name)
		}
	}
	if len(theirs) < 50 || !slices.Contains(theirs, "$SYS/broker/retained messages/count") {
		t.Errorf("Mosquitto published %q, want its tree", theirs)
	}
}

// TestSysValuesLook compares how values are written.
func TestSysValuesLook(t *testing.T) {
	m, c := startMosquitto(t, "allow_anonymous true", "sys_interval 1"), startSysColibri(t)
	for _, b := range []*broker{m, c} {
		for _, row := range []struct{ topic, line string }{
			{"$SYS/broker/uptime", `^2 0 \d+ seconds$|^2 1 \d+ seconds$`},
			{"$SYS/broker/version", `^2 1 (mosquitto|colibri) version \S+$`},
			{"$SYS/broker/load/connections/1min", `^2 [01] \d+\.\d\d$`},
			{"$SYS/broker/clients/connected", `^2 [01] \d+$`},
		} {
			p := start(t, paths["mosquitto_sub"], "-p", strconv.Itoa(b.port), "-q", "2", "-t", row.topic, "-C", "1", "-F", "%q %r %p")
			p.expect(t, row.line)
			p.succeeds(t)
		}
	}
}

// startSysColibri starts our broker with a configuration of Mosquitto's.
func startSysColibri(t *testing.T) *broker {
	t.Helper()
	b := &broker{kind: colibri, port: freePort(t)}
	configuration := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := "listener " + strconv.Itoa(b.port) + " 127.0.0.1\nallow_anonymous true\nsys_interval 1\n"
	if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b.program = start(t, paths["colibri as mosquitto"], "-c", configuration)
	b.waitUntilReady(t)
	return b
}

// sysNames returns the topics below $SYS that b publishes, sorted: those that are retained
// when a client comes, and those that it hears until the uptime has come twice more.
func sysNames(t *testing.T, b *broker) []string {
	t.Helper()
	p := start(t, paths["stdbuf"], "-oL", paths["mosquitto_sub"], "-p", strconv.Itoa(b.port), "-t", "$SYS/#", "-F", "%t|")
	deadline := time.After(patience)
	seen := map[string]bool{}
	for uptimes := 0; uptimes < 3; {
		line, err := p.stdout.nextLine(deadline)
		if err != nil {
			t.Fatalf("%s published its uptime %d times (%v), want 3 times", b.kind, uptimes, err)
		}
		name := strings.TrimSuffix(line, "|")
		seen[name] = true
		if name == "$SYS/broker/uptime" {
			uptimes++
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
