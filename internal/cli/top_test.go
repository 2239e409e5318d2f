package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestTop asks a broker that has something to tell.
func TestTop(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	port := freePort(t)
	b := startBroker(t, "colibri", "broker", "-p", port)
	b.until("is running")
	client := dialRaw(t, "tcp", b.address(), colibri.V5)
	client.connect(packet.Connect{ClientID: "one\n\x1b[2J", HasUserName: true, UserName: "ann"})
	away := dialRaw(t, "tcp", b.address(), colibri.V311)
	away.send(&packet.Connect{Version: colibri.V311, ClientID: "away"})
	away.receive()
	away.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a", QoS: colibri.AtLeastOnce}}})
	away.receive()
	away.send(&packet.Disconnect{})
	b.until(`Client away .*disconnected`)
	for i := range 3 {
		client.send(&packet.Publish{Topic: []string{"a", "a", "nobody"}[i], QoS: colibri.AtLeastOnce, PacketID: 7})
		client.receive()
	}

	var r topReport
	exit, stdout, stderr := call(t, "colibri", "top", "-p", port, "--once", "--json", "--every", "0.1")
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || exit != exitOK {
		t.Fatalf("got exit %d, %q, %v", exit, stderr, err)
	}
	if r.Connected != 1 || r.Sessions != 2 || r.Subscriptions != 1 || r.Queued != 2 || r.Received.Publish != 3 || r.Interval < 0.1 {
		t.Errorf("got %s", stdout)
	}
	if r.Disconnected["goodbye"] != 1 || len(r.Disconnected) != 1 || r.Dropped["no subscribers"] != 1 || len(r.Dropped) != 1 {
		t.Errorf("ends and drops: got %v and %v", r.Disconnected, r.Dropped)
	}
	if len(r.Clients) != 2 || r.Clients[0].ClientID != "away" || r.Clients[0].Queued != 2 || r.Clients[0].Connected ||
		r.Clients[1].Published != 3 || r.Clients[1].UserName != "ann" || r.Clients[1].Dropped != 1 || !r.Clients[1].Connected {
		t.Errorf("clients: got %+v", r.Clients)
	}

	_, stdout, _ = call(t, "colibri", "top", "-p", port, "--once", "--every", "0.1")
	for _, want := range []string{"clients   1 connected (most 2), Sessions 2, Subscriptions 1 (shared 0)\n",
		"since     in 3  out 0 ", "waiting   2 queued, ", "dropped   0/s  no subscribers 1\n", "left      goodbye 1\n",
		"(away) away", `one\n\x1b[2J`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
	for line := range strings.Lines(stdout) {
		if n := utf8.RuneCountInString(line); n > 81 || strings.ContainsRune(line, 0x1b) {
			t.Errorf("%d characters, or what is no text: %q", n, line)
		}
	}
}

// TestTopRates follows a broker until that ends.
func TestTopRates(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	port := freePort(t)
	b := startBroker(t, "colibri", "broker", "-p", port)
	b.until("is running")
	client := dialRaw(t, "tcp", b.address(), colibri.V311)
	client.connect(packet.Connect{ClientID: "one"})

	out, in := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(context.Background(), []string{"colibri", "top", "-p", port, "--json", "--every", "0.1"}, strings.NewReader(""), in, &stderr)
		in.Close()
	}()
	reports := bufio.NewScanner(out)
	moved := 0.0
	for published := int64(0); published < 30 && reports.Scan(); {
		var r topReport
		if err := json.Unmarshal(reports.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Clients) == 1 {
			moved += r.Clients[0].PublishRate * r.Interval
			published = r.Clients[0].Published
			if moved < float64(published)-0.5 || moved > float64(published)+0.5 {
				t.Fatalf("the rates add up to %g messages, %d were published", moved, published)
			}
		}
		for range 5 {
			client.send(&packet.Publish{Topic: "a"})
		}
	}
	b.cancel()
	for reports.Scan() {
	}
	if exit := <-ended; exit != exitTopLost || stderr.String() != "The broker has ended.\n" {
		t.Errorf("got exit %d, %q", exit, stderr.String())
	}
}

func TestTopMistakes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	for _, c := range []struct {
		args string
		exit int
		want string
	}{
		{"", exitTopLost, "Error: No broker of this user answers (there is no such socket): start one, or say with -p, -c or --control which one you mean."},
		{"--every 0", exitConfig, "'0' is not a time between two reports; give 0.1 to 3600 seconds."},
		{"--clients 0", exitConfig, "'0' is not a number of clients; give 1 to 100000."},
		{"--evry=1", exitConfig, "Unknown option '--evry'; the nearest is '--every'."},
		{"--once=1", exitConfig, "'--once' takes no value."},
		{"--control", exitConfig, "'--control' needs a PATH behind it."},
		{"all", exitConfig, "'all' is too much: top takes flags only."},
	} {
		exit, _, stderr := call(t, append([]string{"colibri", "top"}, strings.Fields(c.args)...)...)
		if exit != c.exit || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: got exit %d, %q, want %d, %q", c.args, exit, stderr, c.exit, c.want)
		}
	}
}
