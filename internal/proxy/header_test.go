package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func tcp(address string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		panic(err)
	}
	return tcpAddr(a.AddrPort().Addr(), uint16(a.Port))
}

// v2 returns a header of version 2.
func v2(command, family byte, parts ...string) string {
	body := strings.Join(parts, "")
	return v2Start + string(binary.BigEndian.AppendUint16([]byte{0x20 | command, family}, uint16(len(body)))) + body
}

// record returns a record of version 2.
func record(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed puts the right checksum into the place of the record "CRC-".
func summed(header string) string {
	mark := record(typeCRC32C, "CRC-")
	at := strings.Index(header, mark) + 3
	b := []byte(header)
	copy(b[at:], make([]byte, 4))
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

const (
	four = "\xC0\x00\x02\x01\xC0\x00\x02\x02\x9C\x40\x07\x5B" // 192.0.2.1:40000, 192.0.2.2:1883
	six  = "\x20\x01\x0D\xB8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\x01\x0D\xB8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\xFF\xFF"
)

var (
	ofFour = Header{Version: 2, Source: tcp("192.0.2.1:40000"), Destination: tcp("192.0.2.2:1883")}
	paths  = "/run/a" + strings.Repeat("\x00", 102) + strings.Repeat("b", 108)
)

func withTLS(h Header, t TLS) Header {
	h.TLS = &t
	return h
}

var right = []struct {
	name, bytes string
	want        Header
}{
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n", Header{1, tcp("192.0.2.1:40000"), tcp("192.0.2.2:1883"), nil}},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n", Header{1, tcp("[2001:db8::1]:0"), tcp("[2001:db8::2]:65535"), nil}},
	{"v1 TCP6, the longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		Header{1, tcp("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), tcp("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), nil}},
	{"v1 IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Header{1, tcp("192.0.2.1:1"), tcp("[::1]:2"), nil}},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", Header{Version: 1}},
	{"v1 UNKNOWN with more, 107 bytes", "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", Header{Version: 1}},
	{"v2 LOCAL", v2(0, 0), Header{Version: 2}},
	{"v2 LOCAL with what is ignored", v2(0, 0x11, "xyz"), Header{Version: 2}},
	{"v2 IPv4", v2(1, 0x11, four), ofFour},
	{"v2 IPv4, UDP", v2(1, 0x12, four), ofFour},
	{"v2 IPv6", v2(1, 0x21, six), Header{2, tcp("[2001:db8::1]:1"), tcp("[2001:db8::2]:65535"), nil}},
	{"v2 Unix", v2(1, 0x31, paths), Header{2, &net.UnixAddr{Net: "unix", Name: "/run/a"}, &net.UnixAddr{Net: "unix", Name: strings.Repeat("b", 108)}, nil}},
	{"v2 without addresses", v2(1, 0x00), Header{Version: 2}},
	{"v2 with an unknown record", v2(1, 0x11, four, record(0xEA, "vpce-1")), ofFour},
	{"v2 with a checksum", summed(v2(1, 0x11, four, record(typeCRC32C, "CRC-"), record(4, "padding"))), ofFour},
	{"v2 of a client without TLS", v2(1, 0x11, four, record(typeTLS, "\x00\x00\x00\x00\x00")), ofFour},
	{"v2 of TLS without a certificate", v2(1, 0x11, four, record(typeTLS, "\x01\x00\x00\x00\x00"+record(typeTLSVersion, "TLSv1.3"))),
		withTLS(ofFour, TLS{Version: "TLSv1.3"})},
	{"v2 of a certificate", v2(1, 0x11, four, record(typeTLS, "\x07\x00\x00\x00\x00"+record(typeTLSVersion, "TLSv1.2")+record(typeTLSName, "pump-7")+record(0x23, "AES"))),
		withTLS(ofFour, TLS{"TLSv1.2", true, true, "pump-7"})},
	{"v2 of a resumed certificate", v2(1, 0x11, four, record(typeTLS, "\x05\x00\x00\x00\x00"+record(typeTLSName, "pump-7"))),
		withTLS(ofFour, TLS{"", true, true, "pump-7"})},
	{"v2 of a certificate that is not verified", v2(1, 0x11, four, record(typeTLS, "\x03\x00\x00\x00\x01"+record(typeTLSName, "pump-7"))),
		withTLS(ofFour, TLS{"", true, false, ""})},
	{"v2 of a name without a certificate", v2(1, 0x11, four, record(typeTLS, "\x01\x00\x00\x00\x00"+record(typeTLSName, "pump-7"))),
		withTLS(ofFour, TLS{})},
	{"v2 of a name that is not UTF-8", v2(1, 0x11, four, record(typeTLS, "\x07\x00\x00\x00\x00"+record(typeTLSName, "pump\xFF"))),
		withTLS(ofFour, TLS{"", true, true, ""})},
	{"v2, the longest that is taken", v2(1, 0x11, four, record(4, strings.Repeat("x", maxV2Bytes-v2Fixed-len(four)-3))), ofFour},
}

// TestParse reads headers that are right: whole, with more behind, and one byte after the other.
func TestParse(t *testing.T) {
	for _, c := range right {
		t.Run(c.name, func(t *testing.T) {
			got, n, err := Parse([]byte(c.bytes + "\x10\x0C"))
			if diff := cmp.Diff(c.want, got); err != nil || n != len(c.bytes) || diff != "" {
				t.Errorf("got %d bytes and the error %v, want %d (-want +got):\n%s", n, err, len(c.bytes), diff)
			}
			for i := range len(c.bytes) {
				if _, _, err := Parse([]byte(c.bytes[:i])); err != io.ErrUnexpectedEOF {
					t.Fatalf("the first %d bytes: got the error %v, want that more is needed", i, err)
				}
			}
			rest := strings.NewReader(c.bytes + "\x10\x0C")
			got, err = Read(iotest.OneByteReader(rest))
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" || rest.Len() != 2 {
				t.Errorf("read: got the error %v, and %d bytes left, want 2 (-want +got):\n%s", err, rest.Len(), diff)
			}
		})
	}
}

// TestParseWrong shows that what is no header is refused with a reason, however it comes.
func TestParseWrong(t *testing.T) {
	for _, c := range []struct{ name, bytes, want string }{
		{"MQTT", "\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00", "speaks MQTT without one"},
		{"TLS", "\x16\x03\x01\x02\x00\x01", "speaks TLS without one"},
		{"HTTP", "GET / HTTP/1.1\r\n", "sends something else"},
		{"HTTP with a P", "PUT / HTTP/1.1\r\n", "sends something else"},
		{"v2 with two records about TLS", v2(1, 0x11, four, record(typeTLS, "\x01\x00\x00\x00\x00"), record(typeTLS, "\x07\x00\x00\x00\x00")), "two records about TLS"},
		{"v2 with two names", v2(1, 0x11, four, record(typeTLS, "\x07\x00\x00\x00\x00"+record(typeTLSName, "pump\xFF")+record(typeTLSName, "admin"))), "two Common Names"},
		{"v1 in small letters", "proxy UNKNOWN\r\n", "sends something else"},
		{"v1, 108 bytes", "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", "longer than the 107 bytes"},
		{"v1 without an end", "PROXY UNKNOWN " + strings.Repeat("f", 1000), "longer than the 107 bytes"},
		{"v1 of another family", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "is not 'PROXY TCP4"},
		{"v1 without ports", "PROXY TCP4 192.0.2.1 192.0.2.2\r\n", "is not 'PROXY TCP4"},
		{"v1 with two spaces", "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "is not 'PROXY TCP4"},
		{"v1 with LF alone", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "does not end in CR LF"},
		{"v1 with CR alone", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx", "does not end in CR LF"},
		{"v1 TCP4 with IPv6", "PROXY TCP4 ::1 192.0.2.2 1 2\r\n", "is not one of TCP4"},
		{"v1 TCP6 with IPv4", "PROXY TCP6 ::1 192.0.2.2 1 2\r\n", "is not one of TCP6"},
		{"v1 with a zone", "PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "is not one of TCP6"},
		{"v1 with a port too great", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "is not one of TCP4"},
		{"v1 with a port that begins with 0", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "is not one of TCP4"},
		{"v1 with a sign", "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "is not one of TCP4"},
		{"v2 beginning", "\r\n\r\nHELLO\r\n\r\n", "sends something else"},
		{"v2 of version 1", v2Start + "\x11\x11\x00\x00", "its version is 1"},
		{"v2 of version 3", v2Start + "\x31\x11\x00\x00", "its version is 3"},
		{"v2 command", v2(2, 0x11, four), "command, address family or protocol"},
		{"v2 family", v2(1, 0x41, four), "command, address family or protocol"},
		{"v2 protocol", v2(1, 0x13, four), "command, address family or protocol"},
		{"v2 too long", v2Start + "\x21\x11\x0F\xF1", "promises 4097 bytes, and 4096 are taken"},
		{"v2 as long as it goes", v2Start + "\x20\x00\xFF\xFF", "promises 65551 bytes"},
		{"v2 too short for IPv4", v2(1, 0x11, four[1:]), "too short for its addresses"},
		{"v2 too short for IPv6", v2(1, 0x21, six[1:]), "too short for its addresses"},
		{"v2 too short for Unix", v2(1, 0x31, paths[1:]), "too short for its addresses"},
		{"v2 record cut", v2(1, 0x11, four, "\x04\x00"), "longer than the header"},
		{"v2 record too long", v2(1, 0x11, four, "\x04\x00\x02x"), "longer than the header"},
		{"v2 checksum", v2(1, 0x11, four, record(typeCRC32C, "CRC-")), "its checksum is wrong"},
		{"v2 checksum of 3 bytes", v2(1, 0x11, four, record(typeCRC32C, "CRC")), "its checksum is wrong"},
		{"v2 TLS too short", v2(1, 0x11, four, record(typeTLS, "\x01\x00\x00\x00")), "record about TLS is too short"},
		{"v2 TLS record too long", v2(1, 0x11, four, record(typeTLS, "\x01\x00\x00\x00\x00\x22\x00\x01")), "longer than the header"},
	} {
		for way, parse := range map[string]func() (Header, error){
			"parsed": func() (Header, error) { h, _, err := Parse([]byte(c.bytes)); return h, err },
			"read":   func() (Header, error) { return Read(strings.NewReader(c.bytes)) },
			"read byte by byte": func() (Header, error) {
				return Read(iotest.OneByteReader(strings.NewReader(c.bytes)))
			},
		} {
			h, err := parse()
			if err == nil || !strings.HasPrefix(err.Error(), "PROXY header: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: got the error %v, want %q", c.name, way, err, c.want)
			}
			if h.Source != nil || h.TLS != nil {
				t.Errorf("%s, %s: got the header %+v with the error", c.name, way, h)
			}
		}
	}
}

// TestReadCut shows what is said of a connection that ends before its header does.
func TestReadCut(t *testing.T) {
	for _, text := range []string{"", "PRO", "PROXY TCP4 192", v2Start, v2(1, 0x11, four)[:20]} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "not complete") {
			t.Errorf("%q: got the error %v, want that it is not complete", text, err)
		}
	}
}

// FuzzParse shows that Read takes what Parse takes, not a byte more, and that both are bounded.
func FuzzParse(f *testing.F) {
	for _, c := range right {
		f.Add([]byte(c.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want, n, err := Parse(b)
		r := bytes.NewReader(b)
		got, failed := Read(r)
		if err != nil {
			if failed == nil || len(b)-r.Len() > maxV2Bytes {
				t.Errorf("Parse: %v; Read: %v after %d bytes", err, failed, len(b)-r.Len())
			}
			return
		}
		if failed != nil || len(b)-r.Len() != n || n > maxV2Bytes {
			t.Errorf("Parse took %d bytes; Read %d, with the error %v", n, len(b)-r.Len(), failed)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Parse and Read differ (-Parse +Read):\n%s", diff)
		}
		for i := range n {
			if _, _, err := Parse(b[:i]); err != io.ErrUnexpectedEOF {
				t.Fatalf("the first %d of %d bytes: got %v", i, n, err)
			}
		}
	})
}
