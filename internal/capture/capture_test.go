package capture

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
)

func encode(t *testing.T, p packet.Packet, v colibri.Version) []byte {
	t.Helper()
	b, err := packet.Append(nil, p, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// written writes packets into a file.
func written(t *testing.T, packets ...broker.TracedPacket) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, "a test")
	if err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		if err := w.Packet(&packets[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Lost(time.Unix(9, 0), broker.Lost{Packets: 3, Bytes: 33}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// read returns what our inspector sees in a file, and the comments.
func read(t *testing.T, file []byte) (packets []inspect.Record, comments []string, summary inspect.Summary) {
	t.Helper()
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	in := inspect.New(inspect.Config{Packet: func(r *inspect.Record) { packets = append(packets, *r) }})
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets, comments, in.Finish()
		}
		if err != nil {
			t.Fatal(err)
		}
		comments = append(comments, f.Comment)
		in.Frame(f)
	}
}

func tcp(address string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		panic(err)
	}
	return a
}

// TestMidway begins in the middle of a connection, with a packet of many segments.
func TestMidway(t *testing.T) {
	for _, ends := range [][2]net.Addr{
		{tcp("192.0.2.1:40000"), tcp("192.0.2.2:8883")},
		{tcp("[2001:db8::1]:40000"), tcp("[2001:db8::2]:8883")},
		{tcp("[2001:db8::1]:40000"), tcp("192.0.2.2:8883")}, // as a proxy may tell it
		{&net.UnixAddr{}, &net.UnixAddr{Name: "/run/mqtt"}},
	} {
		c := &broker.TracedConnection{Number: 7, Client: broker.ClientInfo{ClientID: "the client", UserName: "ann"}, Remote: ends[0], Local: ends[1],
			Transport: "TLS", Version: colibri.V5, KeepAlive: 9, Accepted: true}
		large := encode(t, &packet.Publish{Topic: "a", Payload: make([]byte, 200_000), Properties: colibri.Properties{{ID: colibri.ContentType, Value: "x"}}}, colibri.V5)
		ping := encode(t, &packet.Pingresp{}, colibri.V5)
		at := time.Unix(5, 0)
		packets, comments, summary := read(t, written(t,
			broker.TracedPacket{Connection: c, Time: at, Length: len(large), Bytes: large},
			broker.TracedPacket{Connection: c, Time: at, ToClient: true, Length: len(ping), Bytes: ping},
			broker.TracedPacket{Connection: c, Time: at, Reason: "gone"},
			broker.TracedPacket{Connection: c, Time: at, Reason: "gone"}, // nothing of it is there any more
		))
		if len(packets) != 3 || packets[0].Type != packet.CONNECT || packets[1].Type != packet.PUBLISH || packets[2].Type != packet.PINGRESP || summary.Malformed+summary.MissingBytes > 0 {
			t.Fatalf("%v: got %d packets, %+v", ends, len(packets), summary)
		}
		whose := `client "the client", user "ann", connection 7, TLS to ` + ends[1].String()
		want := []string{"", "", "reconstructed: the capture began after the CONNECT; this one says what the broker knows of it. " + whose,
			whose, "", "", "", whose, "The connection ended: gone. " + whose}
		if !slices.Equal(comments, want) {
			t.Errorf("%v: got the comments %q, want %q", ends, comments, want)
		}
	}
}

// TestCut writes the beginnings of packets, as the flight recorder has them.
func TestCut(t *testing.T) {
	c := &broker.TracedConnection{Number: 7, Remote: tcp("192.0.2.1:40000"), Local: tcp("192.0.2.2:1883"), Version: colibri.V311, Accepted: true}
	connect := encode(t, &packet.Connect{Version: colibri.V311, ClientID: "c", CleanStart: true}, colibri.V311)
	large := encode(t, &packet.Publish{Topic: "a", Payload: make([]byte, 200_000)}, colibri.V311)
	ping := encode(t, &packet.Pingreq{}, colibri.V311)
	packets, _, summary := read(t, written(t,
		broker.TracedPacket{Connection: c, Length: len(connect), Bytes: connect},
		broker.TracedPacket{Connection: c, Length: len(large), Bytes: large[:64]},
		broker.TracedPacket{Connection: c, Length: len(ping), Bytes: ping},
	))
	if len(packets) != 3 || packets[2].Type != packet.PINGREQ || summary.MissingBytes != len(large)-64 {
		t.Errorf("got %d packets, %+v", len(packets), summary)
	}
}

// TestCopy copies a file that breaks off at any byte: what is written can be read.
func TestCopy(t *testing.T) {
	c := &broker.TracedConnection{Number: 7, Remote: tcp("192.0.2.1:40000"), Local: tcp("192.0.2.2:1883"), Version: colibri.V311, Accepted: true}
	ping := encode(t, &packet.Pingreq{}, colibri.V311)
	file := written(t, broker.TracedPacket{Connection: c, Length: len(ping), Bytes: ping})
	for n := range len(file) + 1 {
		var to bytes.Buffer
		counts, err := Copy(&to, bytes.NewReader(file[:n]))
		if to.Len() >= 28 {
			_, comments, _ := read(t, to.Bytes())
			if uint64(len(comments)) != counts.Frames {
				t.Fatalf("after %d bytes: got %d frames, want %d", n, len(comments), counts.Frames)
			}
		}
		if whole := n == to.Len(); whole != (err == nil) || !whole && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("after %d bytes: %d written, %v", n, to.Len(), err)
		}
		if n == len(file) && (counts.Lost != 3 || counts.Frames != 4) {
			t.Errorf("got %+v", counts)
		}
	}
	if !strings.Contains(string(file), "3 packets with 33 bytes are not in this capture") {
		t.Error("what was lost has no comment")
	}
	if _, err := Copy(failing{}, bytes.NewReader(file)); !errors.Is(err, ErrWrite) {
		t.Errorf("got %v", err)
	}
	if _, err := Copy(io.Discard, strings.NewReader("12345678")); err == nil {
		t.Error("rubbish is copied")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }
