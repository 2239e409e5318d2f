package interop

import (
	"strconv"
	"strings"
	"testing"
)

// toolset is a set of command-line clients: pub, sub and rr, or the same three
// under Mosquitto's names.
type toolset string

// colibriAsMosquitto is our binary called by the names of Mosquitto's programs.
const colibriAsMosquitto toolset = "colibri as mosquitto"

// command returns the path and the first arguments of a tool. Mosquitto's
// clients keep their debug lines in a buffer when they write to a pipe; stdbuf
// of coreutils makes them write each line at once.
func (s toolset) command(name string) []string {
	switch s {
	case mosquitto:
		return []string{paths["stdbuf"], "-oL", paths["mosquitto_"+name]}
	case colibriAsMosquitto:
		return []string{paths["colibri as mosquitto_"+name]}
	}
	return []string{paths[colibri], name}
}

// bench is a test of command-line clients on one broker.
type bench struct {
	*testing.T
	broker *broker
	tools  toolset
}

// forEachBench runs the test in a parallel subtest for each pair of a broker
// and a set of tools under test.
func forEachBench(t *testing.T, test func(b *bench)) {
	forEachBroker(t, func(t *testing.T, kind string) {
		for _, tools := range strings.Split(*toolsFlag, ",") {
			t.Run("tools="+tools, func(t *testing.T) {
				t.Parallel()
				test(&bench{T: t, broker: startBroker(t, kind), tools: toolset(tools)})
			})
		}
	})
}

// step runs a part of the test that uses topics of its own on the same broker.
func (b *bench) step(name string, test func(b *bench)) {
	b.Run(name, func(t *testing.T) {
		t.Helper()
		test(&bench{T: t, broker: b.broker, tools: b.tools})
	})
}

// run starts a tool against the broker.
func (b *bench) run(name string, args ...string) *program {
	b.Helper()
	command := b.tools.command(name)
	args = append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(b.broker.port)}, args...)
	return start(b.T, command[0], append(command[1:], args...)...)
}

// runBare starts a tool with these arguments only.
func (b *bench) runBare(name string, args ...string) *program {
	b.Helper()
	command := b.tools.command(name)
	return start(b.T, command[0], append(command[1:], args...)...)
}

// pub publishes and wants success.
func (b *bench) pub(args ...string) *program {
	b.Helper()
	p := b.run("pub", args...)
	p.stdin.Close()
	p.succeeds(b.T)
	return p
}

// sub starts a subscriber and returns when its subscriptions are acknowledged,
// which only -d tells. Its messages are what nextMessage and printed return.
func (b *bench) sub(args ...string) *program {
	b.Helper()
	p := b.run("sub", append([]string{"-d"}, args...)...)
	p.expect(b.T, `^Subscribed \(mid: \d+\): `)
	return p
}
