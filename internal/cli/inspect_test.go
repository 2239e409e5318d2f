package cli

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// inspectFile writes a capture: CONNECT, then a PUBLISH of 5.0 on its way to the server.
func inspectFile(t *testing.T) string {
	t.Helper()
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.Ethernet, "test")
	if err != nil {
		t.Fatal(err)
	}
	s := &pcap.Segment{Source: netip.MustParseAddrPort("[::1]:40000"), Destination: netip.MustParseAddrPort("[::1]:1883"), Seq: 1, Flags: pcap.ACK}
	for i, payload := range []string{"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc", "\x30\x08\x00\x03a/b\x00hi"} {
		s.Payload = []byte(payload)
		w.Frame(time.Unix(int64(i), 0), pcap.AppendFrame(nil, s), "")
		s.Seq += uint32(len(payload))
	}
	path := filepath.Join(t.TempDir(), "session.pcapng")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInspect(t *testing.T) {
	path := inspectFile(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut, junk := path+".cut", path+".junk"
	for name, content := range map[string][]byte{cut: whole[:len(whole)-30], junk: []byte("no capture, but a text of some length")} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	table := "  No. Time         Source          Destination     Protocol Length Info\n" +
		"    1 0.000000     ::1             ::1             MQTT         92 Connect Command\n" +
		"    2 1.000000     ::1             ::1             MQTT         84 Publish Message [a/b]\n"
	for _, tt := range []struct {
		args           []string
		stdin          []byte
		exit           int
		stdout, stderr string // what is in them; all of stdout where it ends a line
	}{
		{[]string{path}, nil, 0, table, ""},
		{[]string{"-"}, whole, 0, table, ""},
		{[]string{path, "--ports", "--filter", "type=PUBLISH"}, nil, 0, "[::1]:40000     [::1]:1883      MQTT", ""},
		{[]string{path, "--json"}, nil, 0, `"type":"PUBLISH","info":"Publish Message [a/b]","size":10`, ""},
		{[]string{path, "--explain"}, nil, 0, "sent once and forgotten", ""},
		{[]string{path, "--explain", "--lang=fr"}, nil, 0, "envoyé une fois et oublié", ""},
		{[]string{path, "--follow", "abc"}, nil, 0, "PUBLISH a/b, QoS 0, 2 bytes", ""},
		{[]string{path, "--follow", "nobody"}, nil, 0, "", "No client with the id 'nobody' is in these 2 packets."},
		{[]string{path, "--filter", "client=nobody"}, nil, 0, "", "None of the 2 packets is one of those asked for."},
		{[]string{cut}, nil, 2, "Connect Command", "The capture is damaged: at byte"},
		{[]string{junk}, nil, 1, "", "is no capture: it is neither pcap nor pcapng"},
		{[]string{"-"}, nil, 1, "", "The capture is empty"},
		{[]string{path + ".none"}, nil, 1, "", "cannot be opened: no such file"},
		{[]string{"--hex-input", "c0 00"}, nil, 0, "MQTT Control Packet type: PINGREQ", ""},
		{[]string{"--hex-input", "0x82,0x02,0x00,0x00", "-V", "5", "--explain"}, nil, 0, "It breaks the rule [MQTT-2.2.1-3] of MQTT 5.0.", ""},
		{[]string{"--hex-input", "30 05 00"}, nil, 2, "", "The last packet, PUBLISH, has 7 bytes by its Remaining Length, of which 3 are here."},
		{[]string{"--hex-input", "c0 0"}, nil, 3, "", "--hex-input has 3 hex digits: a byte has two."},
		{[]string{"--hex-input", "hello"}, nil, 3, "", "'h' is no hex digit"},
		{nil, nil, 3, "", "Say what to read"},
		{[]string{path, "--tre"}, nil, 3, "", "Unknown option '--tre'; the nearest is '--tree'."},
		{[]string{path, path}, nil, 3, "", "There is a second capture"},
		{[]string{path, "-i", "lo"}, nil, 3, "", "Give one of a capture, -i and --hex-input."},
		{[]string{"-i", "there is none"}, nil, 1, "", ""},
		{[]string{path, "--lang", "de"}, nil, 3, "", "there are en and fr"},
		{[]string{path, "--port", "0"}, nil, 3, "", "'0' is no port"},
		{[]string{path, "--follow", "a", "--json"}, nil, 3, "", "--follow has a form of its own"},
		{[]string{path, "--filter", "colour=red"}, nil, 3, "", "There is no condition 'colour'"},
		{[]string{path, "--keylog", path + ".none"}, nil, 1, "", "The key log"},
		{[]string{"--help"}, nil, 0, "colibri inspect {FILE | - | -i IFACE} [FLAGS]", ""},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			exit := run(context.Background(), append([]string{"colibri", "inspect"}, tt.args...), bytes.NewReader(tt.stdin), &stdout, &stderr)
			if exit != tt.exit {
				t.Errorf("exit: got %d, want %d", exit, tt.exit)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || strings.HasSuffix(tt.stdout, "\n") && stdout.String() != tt.stdout {
				t.Errorf("standard output: got\n%swant in it\n%s", &stdout, tt.stdout)
			}
			if !strings.Contains(stderr.String(), tt.stderr) || tt.stderr == "" && tt.exit == 0 && stderr.Len() > 0 {
				t.Errorf("standard error: got\n%swant in it\n%s", &stderr, tt.stderr)
			}
		})
	}
}

func TestInspectComplete(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		typed string
		want  string
	}{
		{nil, "--tr", "--tree"},
		{[]string{"--lang"}, "f", "fr"},
		{[]string{"a.pcap"}, "--fol", "--follow"},
	} {
		offers, _ := completeInspect(tt.args, tt.typed)
		if len(offers) != 1 || !strings.HasPrefix(offers[0], tt.want) {
			t.Errorf("%v %s: got %v, want %s", tt.args, tt.typed, offers, tt.want)
		}
	}
}
