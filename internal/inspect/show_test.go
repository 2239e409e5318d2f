package inspect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// form is one of the ways to show Records.
type form interface {
	Packet(r *inspect.Record)
	Flush() error
}

// shown returns what a form writes for a capture.
func shown(t *testing.T, file []byte, f form, b fmt.Stringer, event func(e *inspect.Event)) string {
	t.Helper()
	in := inspect.New(inspect.Config{Packet: f.Packet, Event: event})
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		in.Frame(frame)
	}
	in.Finish()
	if follow, ok := f.(*inspect.Follow); ok {
		follow.Finish()
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	w := newWire(t).open()
	w.send(client, connect(t, colibri.V5)+"\xC0\x00")
	w.send(server, connack(t, colibri.V5))
	var b strings.Builder
	got := shown(t, w.file(), inspect.NewTable(&b), &b, nil)
	want := `  No. Time         Source          Destination     Protocol Length Info
    4 0.003000     10.0.0.1        10.0.0.2        MQTT         73 Connect Command, Ping Request
    5 0.004000     10.0.0.2        10.0.0.1        MQTT         59 Connect Ack
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTreeHex: each layer with its fields, and the password hidden in value and bytes.
func TestTreeHex(t *testing.T) {
	w := newWire(t).open()
	w.send(client, wireBytes(t, &packet.Connect{Version: colibri.V311, CleanStart: true, ClientID: "id", HasUserName: true, UserName: "u",
		HasPassword: true, Password: []byte("secret")}, colibri.V311))
	var b strings.Builder
	tree := inspect.NewTree(&b)
	tree.Hex = true
	shown(t, w.file(), tree, &b, nil)
	for _, want := range []string{
		"Frame 4: 81 bytes, 2026-01-02 03:04:05.003000 UTC, 0.003000 s after the first\n",
		"0-13       02 00 00 00 00 02 02 ..   Ethernet II, Src: 02:00:00:00:00:01, Dst: 02:00:00:00:00:02\n",
		"14-33      45 00 00 43 00 00 40 ..   Internet Protocol Version 4, Src: 10.0.0.1, Dst: 10.0.0.2\n",
		"34-53      9c 40 07 5b ff ff ff ..   Transmission Control Protocol, Src: 40000, Dst: 1883\n",
		"  MQ Telemetry Transport, Connect Command\n",
		"  MQTT 3.1.1, bytes 54-80 of the frame: byte numbers are those of the packet\n",
		"9          c2                            Connect Flags: 194\n",
		"                                           .1.. .... = Password Flag: 1\n",
		"12-15      00 02 69 64                   Client Identifier: \"id\"\n",
		"19-26      ** ** ** ** ** ** ** **       Password: hidden (6 bytes; --secrets shows it)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%swant in it %q", b.String(), want)
		}
	}
	if strings.Contains(b.String(), "secret\"") || strings.Contains(b.String(), "73 65 63") {
		t.Errorf("the password is shown:\n%s", b.String())
	}
	b.Reset()
	lines := inspect.NewJSON(&b)
	lines.Hex = true
	if got := shown(t, w.file(), lines, &b, nil); strings.Contains(got, "secret\"") || strings.Contains(got, "736563") || !strings.Contains(got, `"hex":"1019`) {
		t.Errorf("the password is shown:\n%s", got)
	}
	b.Reset()
	tree = inspect.NewTree(&b)
	tree.Secrets = true
	if got := shown(t, w.file(), tree, &b, nil); !strings.Contains(got, `Password: "secret" (6 bytes)`) {
		t.Errorf("the password is not shown:\n%s", got)
	}
}

func TestJSON(t *testing.T) {
	w := newWire(t).open()
	w.send(client, connect(t, colibri.V5))
	w.send(client, "\x82\x02\x00\x00")
	var b strings.Builder
	lines := inspect.NewJSON(&b)
	lines.Hex, lines.Explain = true, &inspect.Explainer{}
	text := shown(t, w.file(), lines, &b, nil)
	var got []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		got = append(got, o)
	}
	if len(got) != 2 {
		t.Fatalf("got %d objects, want 2", len(got))
	}
	fault := got[1]
	delete(fault, "fields")
	delete(fault, "meaning")
	want := map[string]any{"number": 2.0, "frame": 5.0, "time": "2026-01-02T03:04:05.004Z", "relative": 0.004, "length": 58.0, "connection": 1.0,
		"source": "10.0.0.1:40000", "destination": "10.0.0.2:1883", "transport": "tcp", "direction": "to server", "client_id": "id",
		"version": "5.0", "type": "SUBSCRIBE", "info": "Subscribe Request[Malformed Packet]", "size": 4.0, "hex": "82020000",
		"error": "SUBSCRIBE Packet Identifier: is 0: Protocol Error (0x82) [MQTT-2.2.1-3]", "rule": "MQTT-2.2.1-3"}
	if diff := cmp.Diff(want, fault); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	fields := got[0]["fields"].([]any)
	last := fields[len(fields)-1].(map[string]any)
	if last["name"] != "Client Identifier" || last["value"] != "id" || last["start"] != 13.0 || last["section"] != "MQTT 5.0, section 3.1.3.1" {
		t.Errorf("last field: got %v", last)
	}
}

// TestFollow tells a session with everything that Follow points out.
func TestFollow(t *testing.T) {
	const v = colibri.V311
	w := newWire(t)
	w.step = time.Second
	w.open()
	w.send(client, wireBytes(t, &packet.Connect{Version: v, KeepAlive: 2, ClientID: "id", Will: &packet.Will{Topic: "gone"}}, v))
	w.send(server, connack(t, v))
	w.send(client, wireBytes(t, &packet.Publish{Topic: "two", QoS: 2, PacketID: 9}, v))
	w.send(server, wireBytes(t, &packet.Pubrec{PacketID: 9}, v))
	w.send(client, wireBytes(t, &packet.Pubrel{PacketID: 9}, v))
	w.send(server, wireBytes(t, &packet.Pubcomp{PacketID: 9}, v))
	w.send(client, "\xC0\x00")
	w.send(server, "\xD0\x00")
	w.send(client, wireBytes(t, &packet.Publish{Topic: "one", QoS: 1, PacketID: 7}, v))
	for range 3 {
		w.send(server, wireBytes(t, &packet.Publish{Topic: "x"}, v))
	}
	w.send(client, wireBytes(t, &packet.Publish{Topic: "one", QoS: 1, PacketID: 7, Dup: true}, v))
	w.send(server, wireBytes(t, &packet.Puback{PacketID: 3}, v))
	w.frame(server, pcap.RST, "")
	var b strings.Builder
	follow := inspect.NewFollow(&b, "id")
	got := shown(t, w.file(), follow, &b, follow.Event)
	want := `      time s  client id 10.0.0.1:40000                          server 10.0.0.2:1883 (tcp, MQTT 3.1.1)
    3.000000  CONNECT, Keep Alive 2 s, Will gone           -->
    4.000000                                               <-- CONNACK Accepted (0x00)
    5.000000  PUBLISH two, QoS 2, id 9, 0 bytes            -->
    6.000000                                               <-- PUBREC id 9  QoS 2 2/4, for PUBLISH two of frame 6, 1s later
    7.000000  PUBREL id 9                                  -->  QoS 2 3/4, for PUBLISH two of frame 6, 2s later
    8.000000                                               <-- PUBCOMP id 9  QoS 2 4/4, for PUBLISH two of frame 6, 3s later
    9.000000  PINGREQ                                      -->  silent for 2s; without it the server would close the connection after 3s
   10.000000                                               <-- PINGRESP  1s after PINGREQ
   11.000000  PUBLISH one, QoS 1, id 7, 0 bytes            -->
   12.000000                                               <-- PUBLISH x, QoS 0, 0 bytes
   13.000000                                               <-- PUBLISH x, QoS 0, 0 bytes
   14.000000                                               <-- PUBLISH x, QoS 0, 0 bytes
   15.000000  PUBLISH one, QoS 1, id 7, DUP, 0 bytes       -->  silent for 4s: the server may close the connection after 3s; sent again: first in frame 12, 4s before
   16.000000                                               <-- PUBACK id 3  what it answers is not in the capture
   17.000000  -- the server breaks the connection off (RST) without DISCONNECT: the server publishes the Will Message on gone
   11.000000  -- PUBLISH one of frame 12 was not answered to its end in this capture
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFollowAssigned: the CONNECT without a Client Identifier belongs to the one that the
// server assigns.
func TestFollowAssigned(t *testing.T) {
	const v = colibri.V5
	w := newWire(t).open()
	w.send(client, wireBytes(t, &packet.Connect{Version: v, CleanStart: true}, v))
	w.send(server, wireBytes(t, &packet.Connack{Properties: colibri.Properties{}.AppendValue(colibri.AssignedClientIdentifier, "made")}, v))
	var b strings.Builder
	follow := inspect.NewFollow(&b, "made")
	follow.French = true
	got := shown(t, w.file(), follow, &b, follow.Event)
	if !strings.Contains(got, "CONNECT, Clean Start, Keep Alive 0 s") || !strings.Contains(got, "demande un identifiant au serveur") || strings.Count(got, "\n") != 3 {
		t.Errorf("got\n%s", got)
	}
}

// TestFollowReconnect: each connection has a heading, and a handshake goes on over both.
func TestFollowReconnect(t *testing.T) {
	const v = colibri.V311
	w := newWire(t).open()
	w.send(client, connect(t, v)+publish(t, v, "a", "x"))
	w.ends[client] = netip.MustParseAddrPort("10.0.0.1:40001")
	w.open().send(client, connect(t, v))
	w.send(server, wireBytes(t, &packet.Puback{PacketID: 7}, v))
	var b strings.Builder
	follow := inspect.NewFollow(&b, "id")
	got := shown(t, w.file(), follow, &b, follow.Event)
	for _, want := range []string{"client id 10.0.0.1:40000", "was not seen to end", "client id 10.0.0.1:40001", "PUBACK id 7  QoS 1, for PUBLISH a of frame 4"} {
		_, rest, found := strings.Cut(got, want)
		if !found {
			t.Fatalf("got\n%swant %q in it, behind what came before", &b, want)
		}
		got = rest
	}
}

func TestFilter(t *testing.T) {
	const v = colibri.V5
	w := newWire(t).open()
	w.send(client, connect(t, v)+publish(t, v, "maison/salon", "x"))
	w.send(server, wireBytes(t, &packet.Connack{Code: colibri.NotAuthorized}, v))
	w.send(client, "\x82\x02\x00\x00")
	for _, tt := range []struct{ filter, want string }{
		{"", "CONNECT PUBLISH CONNACK SUBSCRIBE"},
		{"client=id", "CONNECT PUBLISH CONNACK SUBSCRIBE"},
		{"client=i*", "CONNECT PUBLISH CONNACK SUBSCRIBE"},
		{"client=i", ""},
		{"type=publish,CONNACK", "PUBLISH CONNACK"},
		{"type!=publish", "CONNECT CONNACK SUBSCRIBE"},
		{"topic=maison/+", "PUBLISH"},
		{"topic=+", ""},
		{"version=5", "CONNECT PUBLISH CONNACK SUBSCRIBE"},
		{"version=3.1.1", ""},
		{"direction=to-client", "CONNACK"},
		{"reason=failed", "CONNACK"},
		{"reason=0x87", "CONNACK"},
		{"reason=not-authorized", "CONNACK"},
		{"reason=0x86", ""},
		{"malformed=yes", "SUBSCRIBE"},
		{"malformed=no direction=to-server", "CONNECT PUBLISH"},
	} {
		f, err := inspect.ParseFilter(tt.filter, topic.Match)
		if err != nil {
			t.Errorf("%q: %v", tt.filter, err)
			continue
		}
		var got []string
		in := inspect.New(inspect.Config{Packet: func(r *inspect.Record) {
			if f.Takes(r) {
				got = append(got, r.Type.String())
			}
		}})
		r, _ := pcap.NewReader(bytes.NewReader(w.file()))
		for frame, err := r.Next(); err == nil; frame, err = r.Next() {
			in.Frame(frame)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: got %v, want %s", tt.filter, got, tt.want)
		}
	}
	for _, wrong := range []string{"client", "colour=red", "type=HELLO", "version=4", "direction=up", "reason=tired", "malformed=perhaps"} {
		if _, err := inspect.ParseFilter(wrong, topic.Match); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// TestRaw: bytes without a capture; the version is found out where only one fits.
func TestRaw(t *testing.T) {
	for _, tt := range []struct {
		bytes     string
		v         colibri.Version
		want, err string
	}{
		{"\xC0\x00\xD0\x00", 0, "Ping Request 3.1.1 guessed, Ping Response 3.1.1 guessed", ""},
		{"\x20\x02\x00\x00", colibri.V311, "Connect Ack 3.1.1", ""},
		{"\x20\x03\x00\x00\x00", 0, "Connect Ack 5.0 guessed", ""},
		{"\x30\x05\x00\x01", 0, "", "the last packet, PUBLISH, has 7 bytes by its Remaining Length, of which 4 are here"},
		{"\x30", 0, "", "the last packet, PUBLISH, ends within its Fixed Header"},
	} {
		var got []string
		in := inspect.New(inspect.Config{Packet: func(r *inspect.Record) {
			text := r.Info() + " " + r.Version.String()
			if r.Guessed {
				text += " guessed"
			}
			got = append(got, text)
		}})
		err := in.Raw([]byte(tt.bytes), tt.v)
		if strings.Join(got, ", ") != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%x: got %v, %v; want %s, %s", tt.bytes, got, err, tt.want, tt.err)
		}
	}
}
