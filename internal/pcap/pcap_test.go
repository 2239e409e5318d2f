package pcap_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// row is what a test wants of a Frame.
type row struct {
	Time    string
	Link    pcap.LinkType
	Length  int
	Data    string
	Comment string
}

// readAll reads a file to its end.
func readAll(t *testing.T, file []byte) (rows []row, secrets []string, err error) {
	t.Helper()
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, nil, err
	}
	r.Secrets = func(b []byte) { secrets = append(secrets, string(b)) }
	for {
		f, err := r.Next()
		if err != nil {
			if _, again := r.Next(); again != err {
				t.Errorf("second error: got %v, want %v", again, err)
			}
			return rows, secrets, err
		}
		rows = append(rows, row{f.Time.Format("15:04:05.000000000"), f.Link, f.Length, string(f.Data), f.Comment})
		if f.Number != len(rows) {
			t.Errorf("number: got %d, want %d", f.Number, len(rows))
		}
	}
}

// words writes 32-bit words.
func words(order binary.AppendByteOrder, values ...uint32) (b []byte) {
	for _, v := range values {
		b = order.AppendUint32(b, v)
	}
	return b
}

// block writes a pcapng block.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body) + 12)
	return append(append(words(order, kind, n), body...), words(order, n)...)
}

func section(order binary.AppendByteOrder) []byte {
	return block(order, 0x0A0D0D0A, words(order, 0x1A2B3C4D, 1, 0xFFFFFFFF, 0xFFFFFFFF))
}

// describe writes an Interface Description Block.
func describe(order binary.AppendByteOrder, link pcap.LinkType, snap uint32, options ...byte) []byte {
	body := order.AppendUint16(nil, uint16(link))
	body = append(order.AppendUint32(append(body, 0, 0), snap), options...)
	return block(order, 1, body)
}

func enhanced(order binary.AppendByteOrder, id uint32, stamp uint64, data string, options ...byte) []byte {
	body := words(order, id, uint32(stamp>>32), uint32(stamp), uint32(len(data)), uint32(len(data))+1)
	body = append(body, data...)
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	return block(order, 6, append(body, options...))
}

func TestReadClassic(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order binary.AppendByteOrder
		magic uint32
		want  string
	}{
		{"little endian, microseconds", binary.LittleEndian, 0xA1B2C3D4, "00:01:40.000005000"},
		{"big endian, microseconds", binary.BigEndian, 0xA1B2C3D4, "00:01:40.000005000"},
		{"little endian, nanoseconds", binary.LittleEndian, 0xA1B23C4D, "00:01:40.000000005"},
		{"big endian, nanoseconds", binary.BigEndian, 0xA1B23C4D, "00:01:40.000000005"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := words(tt.order, tt.magic, 4<<16|2, 0, 0, 65535, 1)
			file = append(file, words(tt.order, 100, 5, 3, 9)...)
			file = append(file, "abc"...)
			rows, _, err := readAll(t, file)
			if diff := cmp.Diff([]row{{tt.want, pcap.Ethernet, 9, "abc", ""}}, rows); diff != "" || err != io.EOF {
				t.Errorf("got %v, (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestReadNG(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		t.Run(order.String(), func(t *testing.T) {
			option := func(code uint16, value ...byte) []byte {
				b := order.AppendUint16(order.AppendUint16(nil, code), uint16(len(value)))
				b = append(b, value...)
				for len(b)%4 != 0 {
					b = append(b, 0)
				}
				return b
			}
			var file []byte
			for _, part := range [][]byte{
				section(order),
				describe(order, pcap.Ethernet, 0),
				describe(order, pcap.LinuxSLL2, 2, append(option(9, 9), option(14, order.AppendUint64(nil, 60)...)...)...),
				describe(order, pcap.Raw, 0, option(9, 0x80|10)...),
				block(order, 0xBAD, []byte("passed over")),
				block(order, 10, append(words(order, 0x544C534B, 5), "keys\n"...)),
				enhanced(order, 0, 1_000_005, "micro"),
				enhanced(order, 1, 2_000_000_007, "nano", append(option(1, []byte("why")...), 0, 0, 0, 0)...),
				enhanced(order, 2, 3<<10|512, "half"),
				block(order, 3, append(words(order, 4), "none"...)),
				section(binary.LittleEndian),
				describe(binary.LittleEndian, pcap.Null, 0),
				enhanced(binary.LittleEndian, 0, 9_000_000, "next section"),
			} {
				file = append(file, part...)
			}
			rows, secrets, err := readAll(t, file)
			want := []row{
				{"00:00:01.000005000", pcap.Ethernet, 6, "micro", ""},
				{"00:01:02.000000007", pcap.LinuxSLL2, 5, "nano", "why"},
				{"00:00:03.500000000", pcap.Raw, 5, "half", ""},
				{"00:00:00.000000000", pcap.Ethernet, 4, "none", ""},
				{"00:00:09.000000000", pcap.Null, 13, "next section", ""},
			}
			if diff := cmp.Diff(want, rows); diff != "" || err != io.EOF {
				t.Errorf("got %v, (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff([]string{"keys\n"}, secrets); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadDamage: what stands before the damage is read, and the error says what is wrong.
func TestReadDamage(t *testing.T) {
	le := binary.LittleEndian
	good := append(section(le), describe(le, pcap.Ethernet, 0)...)
	good = append(good, enhanced(le, 0, 5, "good")...)
	classic := append(words(le, 0xA1B2C3D4, 4<<16|2, 0, 0, 65535, 1), append(words(le, 1, 2, 4, 4), "good"...)...)
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"pcap, a frame cut off", append(bytes.Clone(classic), words(le, 1, 2, 100, 100)...), "ends in the middle of a frame"},
		{"pcap, a length that is none", append(bytes.Clone(classic), words(le, 1, 2, 0xFFFFFFFF, 1)...), "claims to have 4294967295 bytes"},
		{"a block of 4 GB", append(bytes.Clone(good), words(le, 6, 0xFFFFFFFC)...), "ends in the middle of a block"},
		{"a block below its smallest size", append(bytes.Clone(good), words(le, 6, 8)...), "claims to have 8 bytes"},
		{"a frame larger than its block", append(bytes.Clone(good), block(le, 6, words(le, 0, 0, 0, 99, 99))...), "does not fit"},
		{"an interface that is not there", append(bytes.Clone(good), enhanced(le, 7, 0, "x")...), "interface 7"},
		{"lengths that differ", append(bytes.Clone(good), append(words(le, 5, 12), words(le, 16)...)...), "lengths of a block differ"},
		{"a section without byte order", append(bytes.Clone(good), block(le, 0x0A0D0D0A, words(le, 1, 2, 3, 4))...), "no byte order"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, _, err := readAll(t, tt.file)
			var damage *pcap.DamageError
			if !errors.As(err, &damage) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: got %v, want one that says %q", err, tt.want)
			}
			if len(rows) != 1 || rows[0].Data != "good" {
				t.Errorf("frames before it: got %v, want one", rows)
			}
		})
	}
	for _, file := range []string{"", "abc", "GIF89a and more than a header of bytes", "\xd4\xc3\xb2\xa1\x02\x00"} {
		_, err := pcap.NewReader(strings.NewReader(file))
		if file == "" && err != io.EOF || file != "" && err != pcap.ErrFormat {
			t.Errorf("%q: got %v", file, err)
		}
	}
}

// TestFrameIsBounded: no more than MaxFrameBytes are kept, and the next frame is found.
func TestFrameIsBounded(t *testing.T) {
	le := binary.LittleEndian
	large := strings.Repeat("x", pcap.MaxFrameBytes+5)
	file := append(section(le), describe(le, pcap.Ethernet, 0)...)
	file = append(file, enhanced(le, 0, 5, large)...)
	file = append(file, enhanced(le, 0, 5, "next")...)
	rows, _, err := readAll(t, file)
	if len(rows) != 2 || len(rows[0].Data) != pcap.MaxFrameBytes || rows[1].Data != "next" || err != io.EOF {
		t.Errorf("got %d frames, %v; want a cut one and the next", len(rows), err)
	}
}

func TestWriteRead(t *testing.T) {
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.Ethernet, "colibri")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	w.Secrets([]byte("log"))
	w.Frame(at, []byte("odd"), "a comment")
	w.Frame(at, []byte("even"), "")
	rows, secrets, err := readAll(t, file.Bytes())
	want := []row{{"03:04:05.000000006", pcap.Ethernet, 3, "odd", "a comment"}, {"03:04:05.000000006", pcap.Ethernet, 4, "even", ""}}
	if diff := cmp.Diff(want, rows); diff != "" || err != io.EOF || !cmp.Equal(secrets, []string{"log"}) {
		t.Errorf("got %v, %v, (-want +got):\n%s", err, secrets, diff)
	}
}

// lay puts an IP packet behind another link layer than Ethernet's.
func lay(frame []byte, header string) []byte { return append([]byte(header), frame[14:]...) }

func TestDecode(t *testing.T) {
	four := &pcap.Segment{Source: netip.MustParseAddrPort("10.0.0.1:1000"), Destination: netip.MustParseAddrPort("10.0.0.2:1883"),
		Seq: 1<<32 - 1, Ack: 7, Flags: pcap.PSH | pcap.ACK, Window: 512, Payload: []byte("hello")}
	six := *four
	six.Source, six.Destination = netip.MustParseAddrPort("[fe80::1]:1000"), netip.MustParseAddrPort("[fe80::2]:1883")
	v4, v6 := pcap.AppendFrame(nil, four), pcap.AppendFrame(nil, &six)
	edit := func(b []byte, at int, values ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], values)
		return b
	}
	extension := edit(v6, 20, 0) // Hop-by-Hop follows
	extension = append(extension[:54:54], append([]byte{6, 0, 0, 0, 0, 0, 0, 0}, extension[54:]...)...)
	extension[19] += 8
	fragment6 := edit(extension, 20, 44)
	fragment6[57] = 1 // more fragments
	for _, tt := range []struct {
		name    string
		link    pcap.LinkType
		data    []byte
		want    pcap.Verdict
		layers  string
		payload string
		cut     int
	}{
		{"Ethernet, IPv4", pcap.Ethernet, v4, pcap.IsTCP, "Ethernet II 0-14, Internet Protocol Version 4 14-34, Transmission Control Protocol 34-54", "hello", 0},
		{"padding of Ethernet", pcap.Ethernet, append(bytes.Clone(v4), 0, 0, 0), pcap.IsTCP, "", "hello", 0},
		{"cut off by the capture", pcap.Ethernet, v4[:len(v4)-2], pcap.IsTCP, "", "hel", 2},
		{"VLAN", pcap.Ethernet, append(append(bytes.Clone(v4[:12]), 0x81, 0, 0x20, 5), v4[12:]...), pcap.IsTCP,
			"Ethernet II 0-14, 802.1Q Virtual LAN 14-18, Internet Protocol Version 4 18-38, Transmission Control Protocol 38-58", "hello", 0},
		{"QinQ", pcap.Ethernet, append(append(bytes.Clone(v4[:12]), 0x88, 0xA8, 0, 5, 0x81, 0, 0, 6), v4[12:]...), pcap.IsTCP, "", "hello", 0},
		{"IPv6", pcap.Ethernet, v6, pcap.IsTCP, "Ethernet II 0-14, Internet Protocol Version 6 14-54, Transmission Control Protocol 54-74", "hello", 0},
		{"IPv6 with an extension header", pcap.Ethernet, extension, pcap.IsTCP,
			"Ethernet II 0-14, Internet Protocol Version 6 14-54, IPv6 extension header 54-62, Transmission Control Protocol 62-82", "hello", 0},
		{"Linux cooked", pcap.LinuxCooked, lay(v4, "\x00\x00\x00\x01\x00\x06abcdef\x00\x00\x08\x00"), pcap.IsTCP, "", "hello", 0},
		{"Linux cooked 2", pcap.LinuxSLL2, lay(v6, "\x86\xdd\x00\x00\x00\x00\x00\x01\x00\x01\x00\x06abcdef\x00\x00"), pcap.IsTCP, "", "hello", 0},
		{"raw", pcap.Raw, lay(v6, ""), pcap.IsTCP, "", "hello", 0},
		{"null", pcap.Null, lay(v4, "\x02\x00\x00\x00"), pcap.IsTCP, "", "hello", 0},
		{"loop", pcap.Loop, lay(v4, "\x00\x00\x00\x02"), pcap.IsTCP, "", "hello", 0},
		{"ARP", pcap.Ethernet, edit(v4, 12, 8, 6), pcap.NotTCP, "", "", 0},
		{"UDP", pcap.Ethernet, edit(v4, 23, 17), pcap.NotTCP, "", "", 0},
		{"fragment of IPv4", pcap.Ethernet, edit(v4, 20, 0x20), pcap.IsFragment, "", "", 0},
		{"fragment of IPv6", pcap.Ethernet, fragment6, pcap.IsFragment, "", "", 0},
		{"short Ethernet", pcap.Ethernet, v4[:13], pcap.IsDamaged, "", "", 0},
		{"IPv4 header length below 20", pcap.Ethernet, edit(v4, 14, 0x41), pcap.IsDamaged, "", "", 0},
		{"TCP header length beyond the frame", pcap.Ethernet, edit(v4, 46, 0xF0), pcap.IsDamaged, "", "", 0},
		{"another link type", 999, v4, pcap.UnknownLink, "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s pcap.Segment
			got := pcap.Decode(tt.link, tt.data, &s)
			if got != tt.want || string(s.Payload) != tt.payload && got == pcap.IsTCP || got == pcap.IsTCP && s.Cut != tt.cut {
				t.Fatalf("got %d, payload %q, cut %d; want %d, %q, %d", got, s.Payload, s.Cut, tt.want, tt.payload, tt.cut)
			}
			if got != pcap.IsTCP {
				return
			}
			if s.Seq != four.Seq || s.Ack != 7 || s.Flags != four.Flags || s.Source.Port() != 1000 || s.Destination.Port() != 1883 {
				t.Errorf("got %+v", s)
			}
			if string(tt.data[s.PayloadAt:s.PayloadAt+len(s.Payload)]) != tt.payload {
				t.Errorf("PayloadAt: got %d", s.PayloadAt)
			}
			var layers []string
			for _, l := range s.Layers(tt.data) {
				layers = append(layers, fmt.Sprintf("%s %d-%d", l.Name, l.Start, l.End))
				for _, f := range l.Fields {
					if f.Name == "" || f.Text == "" || f.Start < l.Start || f.End > l.End || f.Start >= f.End {
						t.Errorf("field %+v of %s", f, l.Name)
					}
				}
			}
			if tt.layers != "" && strings.Join(layers, ", ") != tt.layers {
				t.Errorf("layers: got %s, want %s", strings.Join(layers, ", "), tt.layers)
			}
		})
	}
}
