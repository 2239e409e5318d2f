package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Exit codes of Mosquitto's clients.
const (
	exitTimedOut       = 27
	exitNotAuthorized3 = 5   // the Connect Return code
	exitNotAuthorized5 = 135 // the Reason Code
)

// TestCommands runs each option of the command-line clients that a script may
// rest on, with every set of tools against every broker.
func TestCommands(t *testing.T) {
	forEachBench(t, func(b *bench) {
		for _, s := range []struct {
			name string
			run  func(*bench)
		}{
			{"every version and QoS [MQTT-3.8.4-8]", everyVersionAndQoS},
			{"sources of a payload", payloadSources},
			{"how messages are printed", printing},
			{"retained messages", retainedByCommands},
			{"choosing among messages", choosing},
			{"session and queued messages [MQTT-3.1.2-5] [MQTT311-3.1.2-5]", sessionByCommands},
			{"will of a killed subscriber [MQTT-3.1.2-8] [MQTT311-3.1.2-8]", willByCommands},
			{"a subscriber ends on SIGINT and SIGTERM, without its will [MQTT-3.14.4-3]", signals},
			{"properties", propertiesByCommands},
			{"request and response", requestByCommands},
			{"address as a URL", addressAsURL},
			{"options file", optionsFile},
			{"debug lines", debugLines},
			{"a shared subscription [MQTT-4.8.2-3]", sharedByCommands},
			{"a topic of its own after an unsubscription", unsubscribeByCommands},
		} {
			b.step(s.name, s.run)
		}
	})
}

// TestNames runs our binary under the names of Mosquitto's programs.
func TestNames(t *testing.T) {
	for _, tools := range strings.Split(*toolsFlag, ",") {
		if tools != colibri {
			continue
		}
		forEachBroker(t, func(t *testing.T, kind string) {
			b := &bench{T: t, broker: startBroker(t, kind), tools: colibriAsMosquitto}
			b.step("every version and QoS", everyVersionAndQoS)
			b.step("request and response", requestByCommands)
		})
	}
}

func everyVersionAndQoS(b *bench) {
	for _, v := range []string{"mqttv31", "31", "mqttv311", "311", "mqttv5", "5"} {
		for _, qos := range []string{"0", "1", "2"} {
			text := fmt.Sprintf("version %s, QoS %s", v, qos)
			subscriber := b.sub("-V", v, "-q", qos, "-t", "versions/+", "-C", "1", "-F", "%t %q %p")
			b.pub("-V", v, "-q", qos, "-t", "versions/a", "-m", text)
			subscriber.expectMessages(b.T, "versions/a "+qos+" "+text)
			subscriber.succeeds(b.T)
		}
	}
}

func payloadSources(b *bench) {
	subscriber := b.sub("-q", "1", "-t", "sources", "-F", "%l %p")
	file := filepath.Join(b.TempDir(), "payload")
	if err := os.WriteFile(file, []byte("from a file"), 0o644); err != nil {
		b.Fatal(err)
	}
	b.pub("-t", "sources", "-q", "1", "-m", "from the line")
	subscriber.expectMessages(b.T, "13 from the line")
	b.pub("-t", "sources", "-q", "1", "-f", file)
	subscriber.expectMessages(b.T, "11 from a file")
	b.pub("-t", "sources", "-q", "1", "-n")
	subscriber.expectMessages(b.T, "0 ")

	whole := b.run("pub", "-t", "sources", "-q", "1", "-s")
	fmt.Fprint(whole.stdin, "a whole input")
	whole.stdin.Close()
	whole.succeeds(b.T)
	subscriber.expectMessages(b.T, "13 a whole input")

	for _, qos := range []string{"0", "1", "2"} {
		lines := b.run("pub", "-t", "sources", "-q", qos, "-l")
		fmt.Fprint(lines.stdin, "line 1\nline 2\nlast")
		lines.stdin.Close()
		lines.succeeds(b.T)
		subscriber.expectMessages(b.T, "6 line 1", "6 line 2", "4 last")
	}

	b.pub("-t", "sources", "-q", "1", "-m", "again", "--repeat", "3", "--repeat-delay", "0.01")
	subscriber.expectMessages(b.T, "5 again", "5 again", "5 again")
}

func printing(b *bench) {
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"payload", nil, "hello\n\nlast\n"},
		{"-v", []string{"-v"}, "print/a hello\nprint/b (null)\nprint/c last\n"},
		{"-N", []string{"-N"}, "hellolast"},
		{"-F", []string{"-F", `%t\t%p`}, "print/a\thello\nprint/b\t\nprint/c\tlast\n"},
	} {
		b.step(row.name, func(b *bench) {
			subscriber := b.sub(append([]string{"-t", "print/+", "-C", "3"}, row.args...)...)
			b.pub("-t", "print/a", "-m", "hello")
			b.pub("-t", "print/b", "-n")
			b.pub("-t", "print/c", "-m", "last")
			subscriber.succeeds(b.T)
			// A payload of no byte prints nothing by default, not even an empty line.
			want := row.want
			if row.args == nil {
				want = "hello\nlast\n"
			}
			if row.name == "-N" { // the lines of -d stand between the payloads
				for _, payload := range []string{"hello", "last"} {
					if !strings.Contains(subscriber.stdout.String(), payload) || strings.Contains(subscriber.stdout.String(), payload+"\n") {
						b.Errorf("printed\n%s, want %q without an end of line", subscriber.stdout, payload)
					}
				}
				return
			}
			if got := subscriber.printed(); got != want {
				b.Errorf("printed %q, want %q", got, want)
			}
		})
	}
}

func retainedByCommands(b *bench) {
	b.pub("-t", "kept/a", "-m", "first", "-r")
	b.pub("-t", "kept/a", "-m", "second", "-r", "-q", "1")
	b.pub("-t", "kept/b", "-m", "other", "-r")

	later := b.sub("-t", "kept/a", "-C", "1", "-F", "%r %p")
	later.expectMessages(b.T, "1 second")
	later.succeeds(b.T)

	stale := b.sub("-t", "kept/+", "-R", "-C", "1")
	b.pub("-t", "kept/c", "-m", "live")
	stale.expectMessages(b.T, "live")
	stale.succeeds(b.T)

	only := b.sub("-t", "kept/a", "--retained-only", "-F", "%r %p")
	only.expectMessages(b.T, "1 second")
	b.pub("-t", "kept/a", "-m", "live")
	only.succeeds(b.T)
	if got, want := only.printed(), "1 second\n"; got != want {
		b.Errorf("--retained-only printed %q, want %q", got, want)
	}

	watcher := b.sub("-t", "kept/#", "-R", "-F", "%t %l")
	remover := b.sub("-t", "kept/#", "--remove-retained", "-T", "kept/b")
	remover.expectMessages(b.T, "second")
	watcher.expectMessages(b.T, "kept/a 0") // what removes the message passes by
	remover.kill()                          // mosquitto_sub 2.0 may not end by itself after a removal
	b.pub("-t", "kept/b", "-n", "-r")
	last := b.sub("-t", "kept/#", "-C", "1")
	b.pub("-t", "kept/a", "-m", "nothing was kept")
	last.expectMessages(b.T, "nothing was kept")
	last.succeeds(b.T)
}

func choosing(b *bench) {
	subscriber := b.sub("-t", "choose/#", "-t", "also", "-T", "choose/not/+", "-C", "3", "-v")
	for _, topic := range []string{"choose/not/this", "choose/a", "also", "choose/not/that", "choose/b"} {
		b.pub("-t", topic, "-m", "x")
	}
	subscriber.expectMessages(b.T, "choose/a x", "also x", "choose/b x")
	subscriber.succeeds(b.T)

	b.run("sub", "-t", "choose/#", "-E").succeeds(b.T)

	idle := b.run("sub", "-t", "silence", "-W", "1")
	if code := idle.wait(b.T); code != exitTimedOut {
		b.Errorf("sub -W 1 without a message: exit code %d, want %d", code, exitTimedOut)
	}
}

func sessionByCommands(b *bench) {
	for _, row := range []struct {
		version string
		lasting []string
	}{
		{"mqttv31", []string{"-c"}},
		{"mqttv311", []string{"-c"}},
		{"mqttv5", []string{"-c"}},
		{"mqttv5", []string{"-c", "-x", "600"}},
	} {
		id := strings.Join(append([]string{"s", row.version}, row.lasting...), "")
		args := append([]string{"-V", row.version, "-i", id, "-q", "2", "-t", "queue/" + row.version}, row.lasting...)
		b.run("sub", append(args, "-E")...).succeeds(b.T)
		b.pub("-t", "queue/"+row.version, "-q", "1", "-m", "missed at QoS 1")
		b.pub("-t", "queue/"+row.version, "-q", "2", "-m", "missed at QoS 2")
		awake := b.run("sub", append(args, "-C", "2", "-F", "%q %p")...)
		awake.expectMessages(b.T, "1 missed at QoS 1", "2 missed at QoS 2")
		awake.succeeds(b.T)
		b.run("sub", "-V", row.version, "-i", id, "-t", "x", "-E").succeeds(b.T) // ends the session
	}
}

func willByCommands(b *bench) {
	watcher := b.sub("-t", "wills/+", "-q", "1", "-F", "%t %q %r %p")
	mortal := b.sub("-t", "x", "--will-topic", "wills/a", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
	mortal.kill()
	watcher.expectMessages(b.T, "wills/a 1 0 gone")
	empty := b.sub("-t", "x", "--will-topic", "wills/b")
	empty.kill()
	watcher.expectMessages(b.T, "wills/b 0 0 ")
	later := b.sub("-t", "wills/+", "-C", "1", "-F", "%t %r %p")
	later.expectMessages(b.T, "wills/a 1 gone")
}

func signals(b *bench) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		watcher := b.sub("-t", "signals", "-C", "1")
		p := b.sub("-t", "x", "--will-topic", "signals", "--will-payload", "gone")
		if err := p.cmd.Process.Signal(signal); err != nil {
			b.Fatal(err)
		}
		p.succeeds(b.T)
		b.pub("-t", "signals", "-m", "end")
		watcher.expectMessages(b.T, "end")
	}
}

func propertiesByCommands(b *bench) {
	subscriber := b.sub("-V", "5", "-t", "properties", "-q", "1", "-D", "subscribe", "subscription-identifier", "42",
		"-F", "%C|%D|%F|%P|%R|%S|%p")
	b.pub("-V", "5", "-t", "properties", "-q", "1", "-m", "21.5",
		"-D", "publish", "content-type", "text/plain", "-D", "publish", "correlation-data", "a1",
		"-D", "publish", "payload-format-indicator", "1", "-D", "publish", "response-topic", "answers/a",
		"-D", "publish", "user-property", "unit", "celsius", "-D", "publish", "user-property", "unit", "C")
	subscriber.expectMessages(b.T, "text/plain|a1|1|unit:celsius unit:C|answers/a|42|21.5")
	b.pub("-V", "311", "-t", "properties", "-m", "plain")
	subscriber.expectMessages(b.T, "|||||42|plain")
}

func requestByCommands(b *bench) {
	for _, v := range []string{"mqttv311", "mqttv5"} {
		responder := b.sub("-V", v, "-t", "requests/"+v, "-C", "1", "-F", "%R|%p")
		requester := b.run("rr", "-V", v, "-t", "requests/"+v, "-e", "responses/"+v, "-m", "what time is it?")
		responseTopic := "responses/" + v
		if v == "mqttv311" {
			responder.expectMessages(b.T, "|what time is it?") // 3.1.1 has no Response Topic
		} else {
			responder.expectMessages(b.T, responseTopic+"|what time is it?")
		}
		b.pub("-t", responseTopic, "-m", "late")
		requester.succeeds(b.T)
		if got, want := requester.stdout.String(), "late\n"; got != want {
			b.Errorf("rr printed %q, want %q", got, want)
		}
	}
	alone := b.run("rr", "-t", "requests/nobody", "-e", "responses/nobody", "-m", "hello?", "-W", "1")
	if code := alone.wait(b.T); code != exitTimedOut {
		b.Errorf("rr -W 1 without a response: exit code %d, want %d", code, exitTimedOut)
	}
}

func addressAsURL(b *bench) {
	url := fmt.Sprintf("mqtt://127.0.0.1:%d/url/topic", b.broker.port)
	subscriber := b.runBare("sub", "-d", "-L", url, "-C", "1", "-v")
	subscriber.expect(b.T, `^Subscribed \(mid: \d+\): `)
	b.runBare("pub", "-L", url, "-m", "hello").succeeds(b.T)
	subscriber.expectMessages(b.T, "url/topic hello")
	subscriber.succeeds(b.T)
}

func optionsFile(b *bench) {
	directory := b.TempDir()
	b.Logf("options in %s", directory)
	lines := fmt.Sprintf("# a comment\n-h 127.0.0.1\n-p %d\n-t options/a\n-v\n", b.broker.port)
	if err := os.WriteFile(filepath.Join(directory, "mosquitto_sub"), []byte(lines), 0o644); err != nil {
		b.Fatal(err)
	}
	subscriber := startIn(b.T, directory, append(b.tools.command("sub"), "-d", "-C", "1")...)
	subscriber.expect(b.T, `^Subscribed \(mid: \d+\): `)
	b.pub("-t", "options/a", "-m", "hello")
	subscriber.expectMessages(b.T, "options/a hello")
	subscriber.succeeds(b.T)
}

func debugLines(b *bench) {
	p := b.pub("-d", "-i", "debugger", "-t", "debug", "-q", "1", "-m", "hello")
	for _, line := range []string{
		`^Client debugger sending CONNECT$`,
		`^Client debugger received CONNACK \(0\)$`,
		`^Client debugger sending PUBLISH \(d0, q1, r0, m1, 'debug', \.\.\. \(5 bytes\)\)$`,
		`^Client debugger received PUBACK \(Mid: 1, RC:0\)$`,
		`^Client debugger sending DISCONNECT$`,
	} {
		p.expect(b.T, line)
	}
	s := b.run("sub", "-d", "-i", "debugger", "-t", "debug/1", "-t", "debug/2", "-q", "2", "-E")
	s.expect(b.T, `^Client debugger received SUBACK$`)
	s.expect(b.T, `^Subscribed \(mid: 1\): 2, 2$`)
	s.succeeds(b.T)
}

func sharedByCommands(b *bench) {
	crew := []*program{}
	for range 2 {
		crew = append(crew, b.sub("-t", "$share/crew/jobs", "-t", "end/of/jobs", "-q", "1"))
	}
	feeder := b.run("pub", "-t", "jobs", "-q", "1", "-l")
	for n := range 20 {
		fmt.Fprintln(feeder.stdin, n)
	}
	feeder.stdin.Close()
	feeder.succeeds(b.T)
	b.pub("-t", "end/of/jobs", "-q", "1", "-m", "end")
	done := map[string]int{}
	for _, p := range crew {
		for job := p.nextMessage(b.T); job != "end"; job = p.nextMessage(b.T) {
			done[job]++
		}
	}
	for n := range 20 {
		if got := done[fmt.Sprint(n)]; got != 1 {
			b.Errorf("job %d was done %d times, want once", n, got)
		}
	}
}

func unsubscribeByCommands(b *bench) {
	args := []string{"-i", "fickle", "-c", "-q", "1"}
	b.run("sub", append(args, "-t", "fickle/a", "-t", "fickle/b", "-E")...).succeeds(b.T)
	b.run("sub", append(args, "-t", "fickle/b", "-U", "fickle/a", "-E")...).succeeds(b.T)
	b.pub("-t", "fickle/a", "-q", "1", "-m", "not wanted")
	b.pub("-t", "fickle/b", "-q", "1", "-m", "wanted")
	p := b.run("sub", append(args, "-t", "fickle/b", "-C", "1")...)
	p.expectMessages(b.T, "wanted")
	p.succeeds(b.T)
}

// TestRefusedByMosquitto has our clients refused by a broker that wants a
// password: the exit code is the code of the CONNACK.
func TestRefusedByMosquitto(t *testing.T) {
	b := startMosquitto(t, "allow_anonymous false")
	for _, tools := range strings.Split(*toolsFlag, ",") {
		for _, row := range []struct {
			version string
			code    int
		}{{"mqttv31", exitNotAuthorized3}, {"mqttv311", exitNotAuthorized3}, {"mqttv5", exitNotAuthorized5}} {
			t.Run(fmt.Sprintf("tools=%s/%s", tools, row.version), func(t *testing.T) {
				n := &bench{T: t, broker: b, tools: toolset(tools)}
				for _, p := range []*program{
					n.run("pub", "-V", row.version, "-t", "a", "-m", "x", "-u", "user", "-P", "geheim"),
					n.run("sub", "-V", row.version, "-t", "a", "-C", "1"),
				} {
					if code := p.wait(t); code != row.code {
						t.Errorf("%s: exit code %d, want %d", p.name, code, row.code)
					}
					if got := p.stderr.String(); !strings.Contains(strings.ToLower(got), "not authori") {
						t.Errorf("%s said %q, want it to say not authorised", p.name, got)
					}
					if strings.Contains(p.both.String(), "geheim") {
						t.Errorf("%s printed the password", p.name)
					}
				}
			})
		}
	}
}

// TestEveryoneTogether connects every library in every version, and the
// command-line clients, to one broker: each hears what each says.
func TestEveryoneTogether(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b := startBroker(t, kind)
		var names []string
		actors := map[string]*actor{}
		for _, l := range libraries {
			for _, v := range l.versions {
				s := &scene{T: t, broker: b, driver: l.open(t), version: v, library: l.name}
				name := fmt.Sprintf("%s-%d", l.name, v)
				names = append(names, name)
				actors[name] = s.connect(strings.ReplaceAll(name, ".", ""))
				actors[name].subscribes("all/+", 2)
			}
		}
		listeners := map[string]*program{}
		for _, tools := range strings.Split(*toolsFlag, ",") {
			n := &bench{T: t, broker: b, tools: toolset(tools)}
			listeners[tools] = n.sub("-t", "all/+", "-q", "2", "-F", "%t %q %p")
		}
		hear := func(name string, qos byte, text string) {
			t.Helper()
			for _, listener := range names {
				actors[listener].receives("all/"+name, text, qos, false)
			}
			for _, p := range listeners {
				p.expectMessages(t, fmt.Sprintf("all/%s %d %s", name, qos, text))
			}
		}
		for qos := byte(0); qos <= 2; qos++ {
			for _, name := range names {
				actors[name].says("all/"+name, "hello from "+name, qos)
				hear(name, qos, "hello from "+name)
			}
			for tools := range listeners {
				n := &bench{T: t, broker: b, tools: toolset(tools)}
				n.pub("-t", "all/"+tools, "-q", fmt.Sprint(qos), "-m", "hello from "+tools)
				hear(tools, qos, "hello from "+tools)
			}
		}
	})
}
