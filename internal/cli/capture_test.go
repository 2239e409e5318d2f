//go:build unix

package cli

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/capture"
	"github.com/colibri-mqtt/colibri/packet"
)

// inspected returns the types of the packets in a capture, as colibri inspect sees them.
func inspected(t *testing.T, file string) (infos []string) {
	t.Helper()
	exit, stdout, stderr := call(t, "colibri", "inspect", file)
	if exit != exitOK && (exit != exitInspectPart || !strings.Contains(stderr, "945 bytes")) { // what the recorder leaves out
		t.Fatalf("inspect: exit %d, %s", exit, stderr)
	}
	for line := range strings.Lines(stdout) {
		if fields := strings.Fields(line); len(fields) > 6 && fields[4] == "MQTT" {
			infos = append(infos, strings.Join(fields[6:], " "))
		}
	}
	return infos
}

// TestCaptureCommand captures a broker that runs, in the ways in which a capture ends.
func TestCaptureCommand(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	port := freePort(t)
	b := startConfigured(t, "listener "+port+" 127.0.0.1\nallow_anonymous true\ncolibri_recorder 16777216\n")
	b.until("is running")
	file := filepath.Join(t.TempDir(), "a.pcapng")
	begin := func(args ...string) *runningBroker {
		t.Helper()
		c := startBroker(t, append([]string{"colibri", "capture", "-p", port, "-w", file}, args...)...)
		c.until("Capturing into .*; Ctrl-C ends it")
		return c
	}
	ends := func(c *runningBroker, want int, says string) {
		t.Helper()
		if got := <-c.exit; got != want {
			t.Errorf("got exit %d, want %d", got, want)
		}
		if text, _ := c.stderr.now(); !strings.Contains(text, says) {
			t.Errorf("got %q, want %q", text, says)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		if got := inspected(t, file); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	session := func(id string) {
		t.Helper()
		client := dialRaw(t, "tcp", b.address(), colibri.V5)
		client.connect(packet.Connect{ClientID: id, HasUserName: true, UserName: "ann", HasPassword: true, Password: []byte("s3cret")})
		client.send(&packet.Publish{Topic: "a", QoS: colibri.AtLeastOnce, PacketID: 7, Payload: bytes.Repeat([]byte("x"), 1000)})
		client.receive()
		client.send(&packet.Disconnect{})
		b.until("Client " + id + " .*disconnected")
	}

	c := begin("--client", "one", "--packets", "5")
	session("other")
	session("one")
	ends(c, exitOK, "7 frames.")
	expect("Connect Command", "Connect Ack", "Publish Message (id=7) [a]", "Publish Ack (id=7)", "Disconnect Req")
	content, err := os.ReadFile(file)
	if err != nil || bytes.Contains(content, []byte("s3cret")) {
		t.Errorf("the password is in the file, or %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: got %v, %v, want mode 0600", info.Mode(), err)
	}

	c = begin("--size", "1500")
	session("two")
	ends(c, exitOK, "4 frames.")
	expect("Connect Command", "Connect Ack")
	ends(begin("--seconds", "1"), exitOK, "0 frames.")

	exit, recording, _ := call(t, "colibri", "capture", "--recorded", "-p", port, "--client", "one")
	if err := os.WriteFile(file, []byte(recording), 0o600); err != nil || exit != exitOK {
		t.Fatal(exit, err)
	}
	expect("Connect Command", "Connect Ack", "Publish Message (id=7) [a] [945 bytes not captured]", "Publish Ack (id=7)", "Disconnect Req")
	for _, text := range []string{"The connection ended: the client said goodbye", `client "one", user "ann", connection `} {
		if !strings.Contains(recording, text) {
			t.Errorf("no comment says %q", text)
		}
	}

	c = begin()
	session("three")
	c.cancel() // Ctrl-C
	ends(c, exitOK, " frames.")
	inspected(t, file) // is whole

	// A reader that does not read: what does not fit is counted, and told when it reads.
	answer, err := (&brokerChoice{port: port}).ask(t.Context(), "capture", url.Values{"topic": {"flood"}, "seconds": {"2"}})
	if err != nil {
		t.Fatal(err)
	}
	flood := dialRaw(t, "tcp", b.address(), colibri.V311)
	flood.connect(packet.Connect{ClientID: "flood"})
	for i := range 12 {
		flood.send(&packet.Publish{Topic: "flood", QoS: colibri.AtLeastOnce, PacketID: uint16(1 + i), Payload: make([]byte, 1_900_000)})
		flood.receive()
	}
	var written bytes.Buffer
	counts, err := capture.Copy(&written, answer)
	if err != nil || counts.Lost == 0 || counts.Lost > 23 {
		t.Errorf("got %+v, %v, want some lost", counts, err)
	}
	if text := fmt.Sprintf("%d packets with ", counts.Lost); !strings.Contains(written.String(), text) {
		t.Errorf("no comment says %q", text)
	}

	c = begin()
	b.cancel()
	ends(c, exitCaptureFailed, "The broker has ended")
	inspected(t, file)
}

// TestCaptureMistakes shows what a person reads.
func TestCaptureMistakes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	for _, test := range []struct {
		args string
		exit int
		says string
	}{
		{"--cleint a", exitConfig, "Unknown option '--cleint'; the nearest is '--client'."},
		{"a.pcapng", exitConfig, "'a.pcapng' is too much: capture takes flags only; a file stands behind -w."},
		{"--address 1.2.3", exitConfig, "'1.2.3' is not an IP address; write one as 192.0.2.1 or 2001:db8::1, or a network as 192.0.2.0/24."},
		{"--address 1.2.3.4/33", exitConfig, "'1.2.3.4/33' is not a network; write one as 192.0.2.0/24 or 2001:db8::/32."},
		{"--topic a/#/b", exitConfig, `"#" must be the last level`},
		{"--topic $share/g/a", exitConfig, "Give the filter without '$share/NAME/'."},
		{"--packets 0", exitConfig, "'0' is not a number of packets; give 1 or more."},
		{"--client=", exitConfig, "A flag has an empty value; leave it out for all."},
		{"--recorded --topic a", exitConfig, "The flight recorder knows the beginnings of packets only: choose by --client, --user or --address."},
		{"", exitCaptureFailed, "No broker of this user answers"},
	} {
		exit, _, stderr := call(t, append([]string{"colibri", "capture"}, strings.Fields(test.args)...)...)
		if exit != test.exit || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: got exit %d and %q, want %d and %q", test.args, exit, stderr, test.exit, test.says)
		}
	}
	port := freePort(t)
	startConfigured(t, "listener "+port+" 127.0.0.1\nallow_anonymous true\ncolibri_recorder 0\n").until("is running")
	exit, _, stderr := call(t, "colibri", "capture", "-p", port, "--recorded")
	if want := "Error: This broker has no flight recorder: give it one with 'colibri_recorder 16777216'.\n"; exit != exitCaptureFailed || stderr != want {
		t.Errorf("got exit %d and %q, want %q", exit, stderr, want)
	}
}

// TestDumps writes what the recorder has of clients that are lost, and keeps so many files.
func TestDumps(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	dir := filepath.Join(t.TempDir(), "dumps")
	b := startConfigured(t, "listener "+freePort(t)+" 127.0.0.1\nallow_anonymous true\nlog_type all\ncolibri_recorder_dumps "+dir+"\n")
	b.until("is running")
	if err := os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range dumpFiles {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("colibri-20200101T%06d-x.pcapng", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	polite := dialRaw(t, "tcp", b.address(), colibri.V5)
	polite.connect(packet.Connect{ClientID: "polite"})
	polite.send(&packet.Disconnect{})
	b.until("Client polite .*disconnected")
	lost := dialRaw(t, "tcp", b.address(), colibri.V5)
	lost.connect(packet.Connect{ClientID: "../lost"})
	lost.Close()
	b.until("What the flight recorder has of ../lost is in .*")
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name())
	}
	if len(names) != dumpFiles+1 || slices.Contains(names, "colibri-20200101T000000-x.pcapng") || !slices.Contains(names, "colibri-20200101T000001-x.pcapng") ||
		!slices.Contains(names, "notes") || !strings.HasSuffix(names[dumpFiles-1], "-___lost.pcapng") {
		t.Fatalf("got %q", names)
	}
	if got := inspected(t, filepath.Join(dir, names[dumpFiles-1])); !slices.Equal(got, []string{"Connect Command", "Connect Ack"}) {
		t.Errorf("got %q", got)
	}
	full := &dumps{wants: make(chan string, dumpQueue)}
	for range 2 * dumpQueue { // does not block
		full.event(broker.Disconnected{Err: os.ErrClosed})
	}
}
