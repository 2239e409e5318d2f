package interop

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The scenarios of people who learn or run MQTT, as they type them. Each runs
// with every set of tools against every broker; what only our texts promise is
// asked of ours only.

// TestScenarioA2: a broker without a configuration serves this machine only,
// lets everybody of it in, and says so with the line that lets others in.
func TestScenarioA2(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		port := freePort(t)
		command := map[string][]string{
			mosquitto: {paths[mosquitto], "-p", strconv.Itoa(port)},
			colibri:   {paths[colibri], "broker", "-p", strconv.Itoa(port)},
		}[kind]
		b := &broker{kind: kind, port: port, program: start(t, command[0], command[1:]...)}
		b.waitUntilReady(t)

		t.Run("listens on the loopback interface only", func(t *testing.T) {
			addresses := listening(t, port)
			if len(addresses) == 0 {
				t.Errorf("nothing listens on port %d", port)
			}
			for _, address := range addresses {
				if !address.IsLoopback() {
					t.Errorf("listens on %s, want loopback addresses only", address)
				}
			}
		})
		t.Run("lets anonymous clients of this machine in", func(t *testing.T) {
			w := dialWire(t, b)
			w.connect(v311, "anonymous")
		})
		if kind != colibri {
			return
		}
		t.Run("the banner says who can connect and how to let others in", func(t *testing.T) {
			// The connection above was served, so the banner is out.
			banner := strings.ToLower(b.program.both.String())
			for what, expression := range map[string]string{
				"the port":                             fmt.Sprintf(`\b%d\b`, port),
				"that it serves this machine only":     `local|this machine|this computer`,
				"that anybody may connect":             `anonymous|without a (user )?name|no password`,
				"the line that lets others connect":    `listener \d+`,
				"what others need then to be admitted": `allow_anonymous true|password_file`,
			} {
				if !regexp.MustCompile(expression).MatchString(banner) {
					t.Errorf("the banner does not say %s (nothing matches %q):\n%s", what, expression, banner)
				}
			}
		})
		t.Run("ends with 0 on SIGTERM", func(t *testing.T) {
			b.program.terminate(t)
			b.program.succeeds(t)
		})
	})
}

// listening returns the local addresses that listen on a TCP port, as the
// kernel lists them.
func listening(t *testing.T, port int) []net.IP {
	t.Helper()
	var addresses []net.IP
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != "0A" { // the state LISTEN
				continue
			}
			address, portText, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseInt(portText, 16, 32); err != nil || int(n) != port {
				continue
			}
			addresses = append(addresses, kernelAddress(t, address))
		}
	}
	return addresses
}

// kernelAddress reads an address of /proc/net/tcp: words of four bytes, each in
// the byte order of the machine, taken as little endian.
func kernelAddress(t *testing.T, text string) net.IP {
	t.Helper()
	var ip net.IP
	for i := 0; i < len(text); i += 8 {
		word, err := strconv.ParseUint(text[i:i+8], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		ip = append(ip, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	return ip
}

// TestScenarioA3A4: every subscriber of your/topic prints each payload on a line
// of its own.
func TestScenarioA3A4(t *testing.T) {
	forEachBench(t, func(b *bench) {
		port := strconv.Itoa(b.broker.port)
		var terminals []*program
		for range 3 {
			p := b.runBare("sub", "-d", "-h", "localhost", "-p", port, "-t", "your/topic")
			p.expect(b.T, `^Subscribed \(mid: 1\): 0$`)
			terminals = append(terminals, p)
		}
		other := b.sub("-t", "another/topic")
		for _, text := range []string{"Hello MQTT", "21.5", "a line with  spaces"} {
			b.runBare("pub", "-h", "localhost", "-p", port, "-t", "your/topic", "-m", text).succeeds(b.T)
			for _, p := range terminals {
				p.expectMessages(b.T, text)
			}
		}
		b.pub("-t", "another/topic", "-m", "end")
		other.expectMessages(b.T, "end")
	})
}

// TestScenarioA3Plain: the same without -d, so that nothing but payloads is
// printed. A retained message tells that the subscription stands.
func TestScenarioA3Plain(t *testing.T) {
	forEachBench(t, func(b *bench) {
		b.pub("-t", "your/topic", "-r", "-m", "first")
		p := b.run("sub", "-t", "your/topic")
		p.expectMessages(b.T, "first")
		b.pub("-t", "your/topic", "-m", "Hello MQTT")
		p.expectMessages(b.T, "Hello MQTT")
		p.terminate(b.T)
		p.succeeds(b.T)
		if got, want := p.both.String(), "first\nHello MQTT\n"; got != want {
			b.Errorf("printed %q, want %q", got, want)
		}
	})
}

// TestScenarioA5: a later subscriber gets the last retained message at once; an
// empty retained message clears it [MQTT-3.3.1-5] [MQTT-3.3.1-6].
func TestScenarioA5(t *testing.T) {
	forEachBench(t, func(b *bench) {
		for _, clear := range [][]string{{"-n"}, {"-m", ""}} {
			b.pub("-t", "your/topic", "-m", "an older message", "-r")
			b.pub("-t", "your/topic", "-m", "message", "-r")
			later := b.run("sub", "-t", "your/topic", "-C", "1")
			later.expectMessages(b.T, "message")
			later.succeeds(b.T)

			b.pub(append([]string{"-t", "your/topic", "-r"}, clear...)...)
			last := b.sub("-t", "your/topic", "-C", "1")
			b.pub("-t", "your/topic", "-m", "live")
			last.expectMessages(b.T, "live")
			last.succeeds(b.T)
		}
	})
}

// TestScenarioA6: a request, its answer, and the time-out without one.
func TestScenarioA6(t *testing.T) {
	forEachBench(t, func(b *bench) {
		service := b.sub("-V", "5", "-t", "your/topic", "-F", "%p")
		request := b.run("rr", "-t", "your/topic", "-e", "other/topic", "-m", "message")
		service.expectMessages(b.T, "message")
		b.pub("-t", "other/topic", "-m", "the reply")
		request.succeeds(b.T)
		if got, want := request.both.String(), "the reply\n"; got != want {
			b.Errorf("rr printed %q, want %q", got, want)
		}
		late := b.run("rr", "-t", "nobody/listens", "-e", "other/topic", "-m", "message", "-W", "1")
		if code := late.wait(b.T); code != exitTimedOut {
			b.Errorf("rr without a reply: exit code %d, want %d", code, exitTimedOut)
		}
		if got := late.stdout.String(); got != "" {
			b.Errorf("rr without a reply printed %q on standard output, want nothing", got)
		}
	})
}

// TestScenarioB: the wildcards of the connected house.
func TestScenarioB(t *testing.T) {
	forEachBench(t, func(b *bench) {
		for _, row := range []struct {
			name, filter string
			want         []string
		}{
			{"B1 one level [MQTT-4.7.1-2]", "maison/+/temperature", []string{"maison/salon/temperature", "maison/cuisine/temperature"}},
			{"B2 a subtree and its root [MQTT-4.7.1-1]", "maison/salon/#", []string{
				"maison/salon", "maison/salon/temperature", "maison/salon/humidite", "maison/salon/lumieres/etat",
				"maison/salon/lumieres/plafond/couleur", "maison/salon/etagere1/temperature",
			}},
			{"B4 the firehose, without $ [MQTT-4.7.2-1]", "#", house[:7]},
		} {
			b.step(row.name, func(b *bench) {
				p := b.sub("-t", row.filter, "-t", "end/of/list", "-F", "%t")
				for _, topic := range house {
					b.pub("-t", topic, "-m", "x")
				}
				b.pub("-t", "end/of/list", "-m", "x")
				var got []string
				for topic := p.nextMessage(b.T); topic != "end/of/list"; topic = p.nextMessage(b.T) {
					got = append(got, topic)
				}
				if !slices.Equal(got, row.want) {
					b.Errorf("%s printed\n\t%q, want\n\t%q", row.filter, got, row.want)
				}
			})
		}
	})
}

// TestScenarioB3: a filter with # before its end is refused by the client before
// anything is sent, with a finger on the character [MQTT-4.7.1-1].
func TestScenarioB3(t *testing.T) {
	const filter = "maison/#/temperature"
	forEachBench(t, func(b *bench) {
		p := b.run("sub", "-t", filter)
		if code := p.wait(b.T); code == 0 {
			b.Errorf("sub -t %s: exit code 0, want another", filter)
		}
		if got := p.stderr.String(); !strings.Contains(got, filter) {
			b.Errorf("sub -t %s said %q, want the filter in it", filter, got)
		}
		if b.tools == colibri && !pointsAt(p.stderr.String(), filter, strings.Index(filter, "#")) {
			b.Errorf("sub -t %s does not point at the #; it said:\n%s", filter, p.stderr)
		}
		if got := b.broker.program.both.String(); strings.Contains(got, "SUBSCRIBE") {
			b.Errorf("the filter was sent to the broker, want it refused before:\n%s", got)
		}
	})
}

// pointsAt reports whether a text shows the character of a filter: by a caret on
// the line under it, or by its place counted from 1.
func pointsAt(text, filter string, offset int) bool {
	lines := strings.Split(text, "\n")
	for i := range len(lines) - 1 {
		start := strings.Index(lines[i], filter)
		if start >= 0 && strings.Index(lines[i+1], "^") == start+offset {
			return true
		}
	}
	place := fmt.Sprintf(`(?i)(character|char|position|column) %d\b`, offset+1)
	return regexp.MustCompile(place).MatchString(text)
}

// TestScenarioB3Raw: any other client that sends such a filter is answered as
// the standard says, and the broker lives on [MQTT-4.13.1-1] [MQTT311-4.8.0-1].
func TestScenarioB3Raw(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b := startBroker(t, kind)
		bystander := dialWire(t, b)
		bystander.connect(v311, "bystander")
		for _, v := range []version{v311, v5} {
			for _, filter := range []string{"maison/#/temperature", "maison/salon#", "maison/sa+lon", "#/", ""} {
				t.Run(fmt.Sprintf("%s %q", v, filter), func(t *testing.T) {
					w := dialWire(t, b)
					w.connect(v, "raw")
					w.subscribe(v, filter)
					checkRefusal(t, w, v)
				})
			}
		}
		// [MQTT-3.8.4-1]: who sends what is right is still served.
		bystander.subscribe(v311, "maison/#")
		first, body, err := bystander.receive()
		if err != nil || first != 0x90 || body[2] != 0 {
			t.Errorf("the bystander's SUBSCRIBE was answered with %#02x %x, %v", first, body, err)
		}
	})
}

// checkRefusal wants the next packet to refuse the SUBSCRIBE that was sent:
// the connection closed, in 5.0 after a DISCONNECT that names the reason, or
// in 5.0 a SUBACK with Topic Filter invalid.
func checkRefusal(t *testing.T, w *wire, v version) {
	t.Helper()
	first, body, err := w.receive()
	if errors.Is(err, errClosed) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if v != v5 {
		t.Fatalf("answered with %#02x %x, want the Network Connection closed", first, body)
	}
	if first == 0x90 && body[len(body)-1] == 0x8F {
		return
	}
	if first != 0xE0 || len(body) == 0 || !slices.Contains([]byte{0x81, 0x82, 0x8F}, body[0]) {
		t.Fatalf("answered with %#02x %x, want DISCONNECT 0x81, 0x82 or 0x8F", first, body)
	}
	if _, _, err := w.receive(); !errors.Is(err, errClosed) {
		t.Errorf("after DISCONNECT: %v, want the Network Connection closed", err)
	}
}

// TestScenarioB4Log: the broker's log names who holds the firehose.
func TestScenarioB4Log(t *testing.T) {
	for _, kind := range strings.Split(*brokersFlag, ",") {
		if kind != colibri {
			continue
		}
		b := startBroker(t, kind)
		w := dialWire(t, b)
		w.connect(v311, "thirsty")
		w.subscribe(v311, "#")
		if first, body, err := w.receive(); err != nil || first != 0x90 {
			t.Fatalf("SUBSCRIBE was answered with %#02x %x, %v", first, body, err)
		}
		b.program.expect(t, `thirsty.*#|#.*thirsty`)
	}
}

// TestScenarioScript: a newcomer writes the lines into a shell script, which works
// from an empty directory.
func TestScenarioScript(t *testing.T) {
	forEachBench(t, func(b *bench) {
		script := filepath.Join(b.TempDir(), "script")
		tool := func(name string) string { return strings.Join(b.tools.command(name), " ") }
		lines := strings.NewReplacer("PUB", tool("pub"), "SUB", tool("sub"), "RR", tool("rr"), "PORT", strconv.Itoa(b.broker.port)).Replace(`
set -eu
mkfifo ready
SUB -p PORT -d -t 'house/+/temperature' -C 2 -F '%t is %p' >ready &
exec 3<ready
while read -r line <&3; do case $line in "Subscribed "*) break ;; esac; done
PUB -p PORT -t house/hall/temperature -m 19
PUB -p PORT -t house/hall/humidity -m 40
PUB -p PORT -t house/kitchen/temperature -m 22
while read -r line <&3; do case $line in "house"*) echo "$line" ;; esac; done
wait
`)
		if err := os.WriteFile(script, []byte(lines), 0o644); err != nil {
			b.Fatal(err)
		}
		p := startIn(b.T, b.TempDir(), "sh", "-c", "cd "+filepath.Dir(script)+" && . ./script")
		p.succeeds(b.T)
		got := slices.Collect(lineSeq(p.stdout.String()))
		if want := []string{"house/hall/temperature is 19", "house/kitchen/temperature is 22"}; !slices.Equal(got, want) {
			b.Errorf("the script printed %q, want %q", got, want)
		}
	})
}

// lineSeq yields the lines of a text without their ends.
func lineSeq(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
			if !yield(scanner.Text()) {
				return
			}
		}
	}
}
