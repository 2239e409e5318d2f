package interop

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestNewcomer makes the mistakes of somebody new: each ends with another code
// than 0 and, from our tools, with a sentence or two that name what is wrong.
func TestNewcomer(t *testing.T) {
	for _, tools := range strings.Split(*toolsFlag, ",") {
		t.Run("tools="+tools, func(t *testing.T) {
			t.Parallel()
			n := &bench{T: t, tools: toolset(tools)}
			closed := strconv.Itoa(freePort(t))
			silly := strconv.Itoa(listenSilly(t))
			for _, row := range []struct {
				name string
				tool string
				args []string
				say  string // in our text, whatever the case of letters
			}{
				{"mistyped flag of pub", "pub", []string{"-t", "a", "--mesage", "x"}, `--mesage`},
				{"mistyped flag of sub", "sub", []string{"--topc", "a"}, `--topc`},
				{"mistyped flag of rr", "rr", []string{"-t", "a", "-e", "b", "-m", "x", "--wait"}, `--wait`},
				{"flag without its value", "pub", []string{"-t", "a", "-m"}, `-m\b`},
				{"pub without a topic", "pub", []string{"-m", "x"}, `topic`},
				{"pub without a message", "pub", []string{"-t", "a"}, `message`},
				{"sub without a topic", "sub", nil, `topic`},
				{"rr without a response topic", "rr", []string{"-t", "a", "-m", "x"}, `response`},
				{"QoS 3", "pub", []string{"-t", "a", "-m", "x", "-q", "3"}, `\b3\b`},
				{"a wildcard in a topic", "pub", []string{"-t", "a/+/b", "-m", "x"}, `a/\+/b`},
				{"a filter that is none", "sub", []string{"-t", "a/b#"}, `a/b#`},
				{"port 99999", "pub", []string{"-p", "99999", "-t", "a", "-m", "x"}, `99999`},
				{"an unknown version", "pub", []string{"-V", "7", "-t", "a", "-m", "x"}, `version`},
				{"a file that is not there", "pub", []string{"-t", "a", "-f", "no-such-file"}, `no-such-file`},
				{"an unknown format", "sub", []string{"-t", "a", "-F", "%o"}, `%?o\b`},
				{"an unknown property", "pub", []string{"-V", "5", "-t", "a", "-m", "x", "-D", "publish", "colour", "red"}, `colour`},
				{"nobody listens, pub", "pub", []string{"-p", closed, "-t", "a", "-m", "x"}, closed + `(.|\n)*refused|refused(.|\n)*` + closed},
				{"nobody listens, sub", "sub", []string{"-p", closed, "-t", "a"}, closed},
				{"nobody listens, rr", "rr", []string{"-p", closed, "-t", "a", "-e", "b", "-m", "x"}, closed},
				{"a wrong host", "pub", []string{"-h", "no..such..host", "-t", "a", "-m", "x"}, `no\.\.such\.\.host`},
				{"something that is no broker", "pub", []string{"-p", silly, "-t", "a", "-m", "x"}, `mqtt`},
			} {
				args := row.args
				if !slices.Contains(args, "-p") { // never the port of a broker that the machine may run
					args = append([]string{"-p", closed}, args...)
				}
				n.step(row.name, func(b *bench) {
					checkRefusedProgram(b.T, b.runBare(row.tool, args...), b.tools == colibri, row.say)
				})
			}
		})
	}
}

// TestNewcomerBroker makes the mistakes with a broker.
func TestNewcomerBroker(t *testing.T) {
	forEachBroker(t, func(t *testing.T, kind string) {
		b := startBroker(t, kind)
		port := strconv.Itoa(b.port)
		command := map[string][]string{mosquitto: {paths[mosquitto]}, colibri: {paths[colibri], "broker"}}[kind]
		for _, row := range []struct {
			name string
			args []string
			say  string
		}{
			{"port in use", []string{"-p", port}, port + `(.|\n)*in use|in use(.|\n)*` + port},
			{"mistyped flag", []string{"--prot", port}, `--prot`},
			{"port 99999", []string{"-p", "99999"}, `99999`},
		} {
			if kind == mosquitto && row.name == "port in use" {
				continue // Mosquitto goes on with what is left, the other loopback address
			}
			t.Run(row.name, func(t *testing.T) {
				checkRefusedProgram(t, start(t, command[0], append(command[1:], row.args...)...), kind == colibri, row.say)
			})
		}
	})
}

// TestNewcomerCommand mistypes the command itself.
func TestNewcomerCommand(t *testing.T) {
	for _, tools := range strings.Split(*toolsFlag, ",") {
		if tools == colibri {
			checkRefusedProgram(t, start(t, paths[colibri], "bruker"), true, `bruker`)
			checkRefusedProgram(t, start(t, paths[colibri], "--frobnicate"), true, `--frobnicate`)
		}
	}
}

// checkRefusedProgram wants the program to end with another code than 0 and,
// when ours, to say why in at most four lines that hold the expression.
func checkRefusedProgram(t *testing.T, p *program, ours bool, say string) {
	t.Helper()
	if code := p.wait(t); code <= 0 {
		t.Errorf("%s: exit code %d, want one above 0", p.name, code)
	}
	if !ours {
		return
	}
	text := strings.TrimSpace(p.stderr.String())
	if lines := len(regexp.MustCompile(`\n\s*`).Split(text, -1)); lines > 4 {
		t.Errorf("%s said %d lines, want at most four:\n%s", p.name, lines, text)
	}
	if !regexp.MustCompile(`(?i)` + say).MatchString(text) {
		t.Errorf("%s said\n\t%s\nwant it to match %q", p.name, text, say)
	}
	if strings.Contains(text, "goroutine ") {
		t.Errorf("%s crashed:\n%s", p.name, text)
	}
}

// listenSilly listens on a port where everybody is answered in HTTP, and
// returns it.
func listenSilly(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() { // ends when the listener is closed
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			// The client may have hung up already: that is its own affair.
			_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			nc.Close()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}
