package inspect_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
)

// wire writes a capture of one TCP connection between a client and a server.
type wire struct {
	t      testing.TB
	frames [][]byte
	ends   [2]netip.AddrPort // client, server
	seq    [2]uint32
	step   time.Duration // between frames; 1 ms if 0
}

const (
	client = 0
	server = 1
)

func newWire(t testing.TB) *wire {
	return &wire{t: t, ends: [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:1883")},
		seq: [2]uint32{0xFFFFFFF0, 5000}}
}

// frame adds a frame that from sends, with the sequence number that has its turn.
func (w *wire) frame(from int, flags byte, payload string) {
	w.at(from, w.seq[from], flags, payload)
	w.seq[from] += uint32(len(payload))
}

// at adds a frame with a sequence number.
func (w *wire) at(from int, seq uint32, flags byte, payload string) {
	w.frames = append(w.frames, pcap.AppendFrame(nil, &pcap.Segment{Source: w.ends[from], Destination: w.ends[1-from],
		Seq: seq, Ack: w.seq[1-from], Flags: flags, Window: 512, Payload: []byte(payload)}))
}

// open adds the handshake of TCP.
func (w *wire) open() *wire {
	w.frame(client, pcap.SYN, "")
	w.seq[client]++
	w.frame(server, pcap.SYN|pcap.ACK, "")
	w.seq[server]++
	w.frame(client, pcap.ACK, "")
	return w
}

func (w *wire) send(from int, payload string) { w.frame(from, pcap.PSH|pcap.ACK, payload) }

// file writes the capture.
func (w *wire) file() []byte {
	var file bytes.Buffer
	out, err := pcap.NewWriter(&file, pcap.Ethernet, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	step := w.step
	if step == 0 {
		step = time.Millisecond
	}
	for _, frame := range w.frames {
		out.Frame(at, frame, "")
		at = at.Add(step)
	}
	return file.Bytes()
}

// look is what a test sees of a capture: a line for each packet and event.
func look(t testing.TB, file []byte, config inspect.Config) (string, inspect.Summary) {
	t.Helper()
	var b strings.Builder
	config.Packet = func(r *inspect.Record) {
		arrow := "<-"
		if r.FromClient {
			arrow = "->"
		}
		fmt.Fprintf(&b, "%d %s %s", r.Frame.Number, arrow, r.Info())
		if p, ok := r.Packet.(*packet.Publish); ok && len(p.Payload) > 0 && strings.Trim(string(p.Payload), "x\x00") != "" && r.Connection.Transport != inspect.TCP {
			t.Errorf("packet %d has the wrong payload", r.Number)
		}
		if r.Guessed {
			fmt.Fprintf(&b, " guessed %s", r.Version)
		}
		b.WriteByte('\n')
		if r.At >= 0 && !bytes.Equal(r.Frame.Data[r.At:r.At+len(r.Bytes)], r.Bytes) {
			t.Errorf("packet %d is not at byte %d of its frame", r.Number, r.At)
		}
	}
	config.Event = func(e *inspect.Event) {
		switch e.Kind {
		case inspect.Gap:
			fmt.Fprintf(&b, "%d gap of %d\n", e.Frame.Number, e.Bytes)
		case inspect.Encrypted, inspect.NotMQTT:
			fmt.Fprintf(&b, "%d %s: %s\n", e.Frame.Number, e.Connection.Transport, e.Text)
		}
	}
	in := inspect.New(config)
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		in.Frame(f)
	}
	summary := in.Finish()
	return b.String(), summary
}

// wireBytes encodes a packet.
func wireBytes(t testing.TB, p packet.Packet, v colibri.Version) string {
	t.Helper()
	b, err := packet.Append(nil, p, v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// onPort is the server's end on another port.
func onPort(w *wire, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(w.ends[server].Addr(), port)
}
