package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watchedBroker is a broker of ours with three ways to it and a control socket.
type watchedBroker struct {
	*broker
	ways    map[string][]string // flags of our clients, by way
	control string
	dumps   string
}

func startWatchedBroker(t *testing.T) *watchedBroker {
	t.Helper()
	dir, _ := makePKI(t)
	short, err := os.MkdirTemp("", "c") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	b := &watchedBroker{broker: &broker{kind: colibri, port: freePort(t)}, control: filepath.Join(short, "control"), dumps: filepath.Join(short, "dumps")}
	secure, web := freePort(t), freePort(t)
	configuration := filepath.Join(short, "b.conf")
	lines := []string{"user root", "allow_anonymous true", "persistence false", "colibri_control " + b.control, "colibri_recorder_dumps " + b.dumps,
		fmt.Sprintf("listener %d 127.0.0.1", b.port),
		fmt.Sprintf("listener %d 127.0.0.1", secure), "certfile " + filepath.Join(dir, "server.crt"), "keyfile " + filepath.Join(dir, "server.key"),
		fmt.Sprintf("listener %d 127.0.0.1", web), "protocol websockets"}
	if err := os.WriteFile(configuration, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.program = start(t, paths[colibri], "broker", "-c", configuration, "-v")
	b.waitUntilReady(t)
	b.ways = map[string][]string{
		"tcp": {"-h", "127.0.0.1", "-p", strconv.Itoa(b.port)},
		"tls": {"-h", "localhost", "-p", strconv.Itoa(secure), "--cafile", filepath.Join(dir, "ca.crt")},
		"ws":  {"-h", "127.0.0.1", "-p", strconv.Itoa(web), "--ws"},
	}
	return b
}

// capture begins a capture into a file.
func (b *watchedBroker) capture(t *testing.T, args ...string) (file string, p *program) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "capture.pcapng")
	p = start(t, paths[colibri], append([]string{"capture", "--control", b.control, "-w", file}, args...)...)
	p.waits(t, "Capturing into ")
	return file, p
}

// fileHas waits until a file contains a text.
func fileHas(t *testing.T, file, text string) []byte {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		content, err := os.ReadFile(file)
		if err == nil && bytes.Contains(content, []byte(text)) {
			return content
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q does not come into %s: %v", text, file, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// tsharkLines runs tshark and returns what it prints, line by line.
func tsharkLines(t *testing.T, file string, args ...string) []string {
	t.Helper()
	return strings.Fields(string(output(t, "tshark", append([]string{"-r", file}, args...)...)))
}

// TestCapture has the broker capture clients that come in three ways, and tshark read it:
// nothing is missing, nothing is malformed, and no password is in it.
func TestCapture(t *testing.T) {
	b := startWatchedBroker(t)
	run := func(way, name string, args ...string) *program {
		return start(t, paths[colibri], append(append([]string{name}, b.ways[way]...), args...)...)
	}
	early := run("tls", "sub", "-V", "5", "-i", "early", "-t", "early", "-d", "-u", "ann", "-P", "s3cret-password")
	early.expect(t, `^Subscribed`)
	file, capture := b.capture(t)

	want := map[string]int{}
	count := func(types ...string) {
		for _, one := range types {
			want[one]++
		}
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("payload "), 300_000/8), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"tcp", "tls", "ws"} {
		for _, v := range []string{"311", "5"} {
			topic := way + "/" + v
			sub := run(way, "sub", "-V", v, "-i", "sub "+topic, "-t", topic+"/#", "-q", "2", "-C", "4", "-d", "-F", "got %t %l")
			sub.expect(t, `^Subscribed`)
			count("1", "2", "8", "9") // CONNECT and so on, as tshark numbers them
			for i, m := range [][]string{{"-q", "0", "-m", "zero"}, {"-q", "1", "-m", "one"}, {"-q", "2", "-m", "two"}, {"-q", "1", "-f", large}} {
				run(way, "pub", append([]string{"-V", v, "-i", "pub", "-u", "ann", "-P", "s3cret-password", "-t", topic + "/" + strconv.Itoa(i)}, m...)...).succeeds(t)
				sub.expect(t, "got "+topic+"/"+strconv.Itoa(i))
				count("1", "2", "3", "3", "14")
				switch m[1] {
				case "1":
					count("4", "4")
				case "2":
					count("5", "6", "7", "5", "6", "7")
				}
			}
			sub.succeeds(t)
			count("14")
		}
	}
	run("tcp", "pub", "-t", "early", "-m", "the end of the capture", "-i", "last").succeeds(t)
	count("1", "2", "3", "14")
	count("1", "3") // the reconstructed one, and what "early" gets
	early.expect(t, "the end of the capture")
	content := fileHas(t, file, "client \"last\", connection")
	fileHas(t, file, "The connection ended: the client said goodbye. client \"last\"")
	if err := capture.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	capture.succeeds(t)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, []byte("s3cret")) {
		t.Error("a password is in the capture")
	}
	for _, text := range []string{"reconstructed: the capture began after the CONNECT", "TLS to 127.0.0.1:", "WebSocket to 127.0.0.1:", `client "sub tls/5"`, `user "ann"`} {
		if !bytes.Contains(content, []byte(text)) {
			t.Errorf("no comment says %q", text)
		}
	}
	got := map[string]int{}
	for _, line := range tsharkLines(t, file, "-Y", "mqtt", "-T", "fields", "-e", "mqtt.msgtype") {
		for _, one := range strings.Split(line, ",") {
			got[one]++
		}
	}
	for kind := range 16 {
		if one := strconv.Itoa(kind); got[one] != want[one] {
			t.Errorf("packets of type %d: tshark sees %d, want %d", kind, got[one], want[one])
		}
	}
	for _, wrong := range []string{"_ws.malformed", "tcp.len > 0 && !mqtt && !tcp.reassembled_in", "tcp.analysis.flags", "mqtt && !(tcp.port == 1883)"} {
		if frames := tsharkLines(t, file, "-2", "-Y", wrong, "-T", "fields", "-e", "frame.number"); len(frames) > 0 {
			t.Errorf("%s: frames %v", wrong, frames)
		}
	}
	compareWithTshark(t, file)
}

// TestCaptureChosen has tshark read captures of one topic, and of what the flight recorder has.
func TestCaptureChosen(t *testing.T) {
	b := startWatchedBroker(t)
	tcp := b.ways["tcp"]
	sub := start(t, paths[colibri], append([]string{"sub", "-V", "5", "-i", "victim", "-t", "house/#", "-q", "1", "-d", "-u", "ann", "-P", "s3cret-password"}, tcp...)...)
	sub.expect(t, `^Subscribed`)
	file, capture := b.capture(t, "--topic", "house/+", "--packets", "5")
	for _, topic := range []string{"garden", "house/roof", "house/deep/cellar"} {
		start(t, paths[colibri], append([]string{"pub", "-V", "5", "-i", "pub", "-q", "1", "-t", topic, "-m", topic}, tcp...)...).succeeds(t)
	}
	capture.succeeds(t)
	got := tsharkLines(t, file, "-Y", "mqtt.msgtype != 1", "-T", "fields", "-e", "mqtt.msgtype")
	if slices.Sort(got); !slices.Equal(got, []string{"14", "3", "3", "4", "4"}) {
		t.Errorf("of one topic: got the types %v, want a PUBLISH and its PUBACK on both sides, and the DISCONNECT", got)
	}
	if err := sub.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	var dumped []string
	for dumped == nil {
		if dumped, _ = filepath.Glob(b.dumps + "/colibri-*-victim.pcapng"); time.Now().After(deadline) {
			t.Fatal("no dump of the client that was killed")
		}
		<-time.After(10 * time.Millisecond)
	}
	fileHas(t, dumped[0], "it closed the connection without a DISCONNECT")
	asked := filepath.Join(t.TempDir(), "asked.pcapng")
	start(t, paths[colibri], "capture", "--recorded", "--control", b.control, "--client", "victim", "-w", asked).succeeds(t)
	for _, file := range []string{dumped[0], asked} {
		content, err := os.ReadFile(file)
		if err != nil || bytes.Contains(content, []byte("s3cret")) {
			t.Errorf("%s: a password is in it, or %v", file, err)
		}
		got := tsharkLines(t, file, "-Y", "mqtt && !_ws.malformed", "-T", "fields", "-e", "mqtt.msgtype")
		if !slices.Equal(got, []string{"1", "2", "8", "9", "3", "4", "3", "4"}) {
			t.Errorf("%s: got the types %v", file, got)
		}
	}
}
