package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/control"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
)

// whyBroker starts a broker with an ACL file, and returns the path of its control socket.
func whyBroker(t *testing.T) (b *runningBroker, socket string) {
	t.Helper()
	directory := shortDirectory(t)
	socket = filepath.Join(directory, "control")
	rules := filepath.Join(directory, "house.acl")
	if err := os.WriteFile(rules, []byte("topic readwrite house/#\ntopic deny house/safe\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b = startConfigured(t, fmt.Sprintf("allow_anonymous true\nlistener 0 127.0.0.1\nacl_file %s\ncolibri_control %s\npersistence false\ncolibri_recorder 16777216\n", rules, socket))
	b.until("is running")
	return b, socket
}

// TestWhy asks a broker that runs, as a person does.
func TestWhy(t *testing.T) {
	isolate(t)
	b, socket := whyBroker(t)
	c := dialRaw(t, "tcp", b.address(), colibri.V5)
	c.connect(packet.Connect{ClientID: "door"})
	c.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "house/+", QoS: 1}, {Filter: "\x7f\u200b"}}})
	c.receive()
	why := func(exit int, args ...string) string {
		t.Helper()
		got, stdout, stderr := call(t, append([]string{"colibri", "why", "--control", socket}, args...)...)
		if got != exit || stderr != "" {
			t.Errorf("%q: got exit %d, %q, %q, want %d", args, got, stdout, stderr, exit)
		}
		return stdout
	}
	expect := func(got string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in:\n%s", want, got)
			}
		}
	}
	out := why(exitOK, "-i", "door", "-t", "house/hall", "-q", "1", "--from", "door")
	expect(out, "ok    session       connected since ", "ok    subscription  house/+ matches, with QoS 1\n", `\x7f\u200b does not match: `,
		"house.acl:1 (topic readwrite house/#)", "\ndoor gets it at once, with QoS 1.\n")
	out = why(exitWhyNot, "door", "-t", "house/safe")
	expect(out, "no    may receive   it may not receive messages of this topic: ", "\ndoor does not get it: it may not receive messages of this topic: ", "house.acl:2 (topic deny house/safe).\n")
	out = why(exitWhyNot, "door", "-t", "house/safe", "--from=door")
	expect(out, "\ndoor does not get it: door may not publish to house/safe: ")
	out = why(exitWhyNot, "-i", "door", "-t", "house/hall", "--expiry", "0")
	expect(out, "its Message Expiry Interval is 0")
	out = why(exitWhyNot, "-i", "door", "-t", "house/hall", "--size", "268435455")
	expect(out, "the broker closes the connection of its publisher")
	out = why(exitOK, "-i", "door", "-t", "house/hall", "-r")
	expect(out, "note  retain        it is retained for those who subscribe later\n")

	var answer whyAnswer
	out = why(exitWhyNot, "-i", "door", "-t", "a", "--json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Gets || answer.Verdict != "no match" || len(answer.Filters) != 2 ||
		answer.Filters[0].Matches || answer.Filters[0].Levels[0].Topic == nil || *answer.Filters[0].Levels[0].Topic != "a" || answer.QoS != 0 {
		t.Errorf("got %s, %v", out, err)
	}
	why(exitWhyNot, "-i", "nobody", "-t", "a")

	c.send(&packet.Publish{Topic: "house/safe"})
	c.send(&packet.Disconnect{})
	b.until("Client door .* disconnected")
	out = why(exitWhyNot, "-i", "door", "-t", "house/hall")
	expect(out, "note  history       door has left at ", "\ndoor does not get it: there is no Session of this Client Identifier; door has left at ")
	out = why(exitOK, "door")
	expect(out, "  connected from 127.0.0.1:", " with MQTT 5.0 for ", "ended by the client: it said goodbye\n", "  was not allowed to publish to: house/safe\n",
		"note  session       there is none now\n", "\nThe last packets:\n  No. Time ", "Connect Command\n", "Publish Message [house/safe]\n", "Disconnect Req\ndoor has left at ")
	if strings.Contains(why(exitOK, "door", "--packets", "1"), "Connect Command") {
		t.Error("more packets are shown than were asked for")
	}
	var gone whyHistory
	out = why(exitOK, "door", "--json")
	if err := json.Unmarshal([]byte(out), &gone); err != nil || !gone.Known || len(gone.Records) != 2 || gone.Records[0].By != "client" || gone.Records[0].Version != "5.0" ||
		gone.Records[1].Kind != "note" || gone.Records[1].Detail != "house/safe" {
		t.Errorf("got %s, %v", out, err)
	}

	raw := dialRaw(t, "tcp", b.address(), colibri.V5)
	io.WriteString(raw, "GET / HTTP/1.1\r\n\r\n")
	raw.receive()
	b.until("Client <unknown> .* refused")
	out = why(exitOK, "--address", "127.0.0.1")
	expect(out, "\nA connection from 127.0.0.1 without a known client was refused at ", "because first packet: the client speaks HTTP or WebSocket")
	out = why(exitWhyNot, "--address", "192.0.2.1")
	expect(out, "Nothing is known of a connection from 192.0.2.1 without a known client.\n")
	out = why(exitWhyNot, "nobody\n\x1b[2J")
	expect(out, `Nothing is known of nobody\n\x1b[2J.`)
}

// TestWhyRestarted asks about a Session that is older than the process.
func TestWhyRestarted(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	port := freePort(t)
	b := startBroker(t, "colibri", "broker", "-p", port)
	b.until("is running")
	c := dialRaw(t, "tcp", b.address(), colibri.V311)
	c.send(&packet.Connect{Version: colibri.V311, ClientID: "door"})
	c.receive()
	c.send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a", QoS: 1}}})
	c.receive()
	b.end()
	b = startBroker(t, "colibri", "broker", "-p", port)
	b.until("is running")
	exit, stdout, _ := call(t, "colibri", "why", "-p", port, "door")
	if exit != exitOK || !strings.Contains(stdout, "\ndoor has a Session and nothing is remembered of its connections: the broker was started at ") ||
		!strings.Contains(stdout, "ok    session       not connected; 1 Subscriptions, 0 messages in flight, 0 waiting (0 bytes)\n") {
		t.Errorf("got exit %d, %s", exit, stdout)
	}
	exit, stdout, _ = call(t, "colibri", "why", "-p", port, "-i", "door", "-t", "a", "-q", "1")
	if exit != exitOK || !strings.Contains(stdout, "\ndoor gets it when it connects again with Clean Start 0: it waits in its queue.\n") {
		t.Errorf("got exit %d, %s", exit, stdout)
	}
}

// TestWhyPackets asks brokers with other flight recorders than ours.
func TestWhyPackets(t *testing.T) {
	isolate(t)
	capture := func(packets int, end error) control.Handler {
		return func(_ context.Context, ask url.Values, w io.Writer) error {
			if ask.Get("client") != "door" {
				return errors.New("which client")
			}
			file, err := pcap.NewWriter(w, pcap.Ethernet, "test")
			if err != nil {
				return err
			}
			s := &pcap.Segment{Source: netip.MustParseAddrPort("[::1]:40000"), Destination: netip.MustParseAddrPort("[::1]:1883"), Seq: 1, Flags: pcap.ACK}
			for i := range packets {
				s.Payload = []byte("\x30\x04\x00\x02a" + string(rune('a'+i)))
				if i == 0 {
					s.Payload = []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c")
				}
				file.Frame(time.Unix(int64(i), 0), pcap.AppendFrame(nil, s), "")
				s.Seq += uint32(len(s.Payload))
			}
			return end
		}
	}
	for name, row := range map[string]struct {
		recorder control.Handler
		args     string
		want     []string
		lines    int
	}{
		"all":        {capture(3, nil), "", []string{"The last packets:\n  No. Time", "Connect Command\n", "Publish Message [ab]\n", "Publish Message [ac]\n"}, 6},
		"the last":   {capture(9, nil), "--packets 2", []string{"The last packets:\n  No. Time", "Publish Message [ah]\n", "Publish Message [ai]\n"}, 5},
		"unwanted":   {capture(9, nil), "--packets 0", nil, 1},
		"none":       {capture(0, nil), "", []string{"No packets are shown: the flight recorder has none of this client.\n"}, 2},
		"off":        {func(context.Context, url.Values, io.Writer) error { return errors.New("the flight recorder is off") }, "", []string{"No packets are shown: the flight recorder is off.\n"}, 2},
		"no answer":  {nil, "", []string{"No packets are shown: the broker has no flight recorder.\n"}, 2},
		"breaks off": {capture(2, errors.New("lost")), "", []string{"Publish Message [ab]\n", "The rest of the packets cannot be read: "}, 6},
		"rubbish": {func(_ context.Context, _ url.Values, w io.Writer) error {
			_, err := io.WriteString(w, "no capture, but a text of some length")
			return err
		}, "", []string{"No packets are shown: what the flight recorder says cannot be read: "}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(shortDirectory(t), "control")
			s, err := control.Listen(socket)
			if err != nil {
				t.Fatal(err)
			}
			s.Handle("history", func(_ context.Context, _ url.Values, w io.Writer) error {
				_, err := io.WriteString(w, `{"known":true,"sentence":"door is there"}`)
				return err
			})
			if row.recorder != nil {
				s.Handle("recording", row.recorder)
			}
			go s.Serve()
			defer s.Close()
			exit, stdout, stderr := call(t, append([]string{"colibri", "why", "--control", socket, "door"}, strings.Fields(row.args)...)...)
			if exit != exitOK || stderr != "" || !strings.HasSuffix(stdout, "door is there.\n") || strings.Count(stdout, "\n") != row.lines {
				t.Errorf("got exit %d, %q, %d lines:\n%s", exit, stderr, strings.Count(stdout, "\n"), stdout)
			}
			for _, want := range row.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q is missing in:\n%s", want, stdout)
				}
			}
		})
	}
}

func TestWhyMistakes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", shortDirectory(t))
	for _, row := range []struct {
		args string
		exit int
		want string
	}{
		{"", exitConfig, "Error: Say which client."},
		{"a b", exitConfig, "There is a second client, 'b'; ask about one."},
		{"a --address 192.0.2.1", exitConfig, "Give a client or an address, not both."},
		{"a --qos 1", exitConfig, "Say with --topic which topic the message has."},
		{"-t a --address 192.0.2.1", exitConfig, "Say with --client who would get the message."},
		{"a -t a/#", exitConfig, "'a/#' cannot be used: "},
		{"a -t a -q 3", exitConfig, "'3' is not a QoS; give a number from 0 to 2."},
		{"a -t a --size -1", exitConfig, "'-1' is not a size in bytes; give a number from 0 to 268435455."},
		{"a -t a --expiry x", exitConfig, "'x' is not a time in seconds"},
		{"a --packets x", exitConfig, "'x' is not a number of packets; give 0 to 10000."},
		{"a --tpic b", exitConfig, "Unknown option '--tpic'; the nearest is '--topic'."},
		{"a", exitWhyLost, "Error: No broker of this user answers (there is no such socket): start one, or say with -p, -c or --control which one you mean."},
		{"a -t b", exitWhyLost, "Error: No broker of this user answers"},
	} {
		exit, stdout, stderr := call(t, append([]string{"colibri", "why"}, strings.Fields(row.args)...)...)
		if exit != row.exit || !strings.Contains(stderr, row.want) || stdout != "" {
			t.Errorf("%s: got exit %d, %q, %q, want %d, %q", row.args, exit, stdout, stderr, row.exit, row.want)
		}
	}
}
