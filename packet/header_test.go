package packet_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		name string
		wire string
		typ  packet.Type
		want int
	}{
		{"smallest", "C0 00", packet.PINGREQ, 2},
		{"one byte, largest", "30 7F", packet.PUBLISH, 2 + 127},
		{"two bytes, smallest", "30 80 01", packet.PUBLISH, 3 + 128},
		{"two bytes, largest", "30 FF 7F", packet.PUBLISH, 3 + 16_383},
		{"three bytes, smallest", "30 80 80 01", packet.PUBLISH, 4 + 16_384},
		{"three bytes, largest", "30 FF FF 7F", packet.PUBLISH, 4 + 2_097_151},
		{"four bytes, smallest", "30 80 80 80 01", packet.PUBLISH, 5 + 2_097_152},
		{"four bytes, largest", "30 FF FF FF 7F", packet.PUBLISH, packet.MaxSize},
		{"only the header is looked at", "10 05 00", packet.CONNECT, 7},
		{"type and flags are not judged", "0F 02", 0, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := wire(t, tt.wire)
			typ, size, err := packet.Size(b)
			if typ != tt.typ || size != tt.want || err != nil {
				t.Errorf("got %v, %d, %v; want %v, %d", typ, size, err, tt.typ, tt.want)
			}
			if len(b) > 3 || b[1] < 0x80 {
				return
			}
			for i := range b {
				if _, _, err := packet.Size(b[:i]); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("of %d bytes: got %v, want io.ErrUnexpectedEOF", i, err)
				}
			}
		})
	}
}

func TestSizeMalformed(t *testing.T) {
	for _, tt := range []struct{ name, wire, rule string }{
		{"[MQTT-1.5.5-1] 0 in two bytes", "30 80 00", "MQTT-1.5.5-1"},
		{"[MQTT-1.5.5-1] 127 in two bytes", "30 FF 00", "MQTT-1.5.5-1"},
		{"[MQTT-1.5.5-1] 127 in three bytes", "30 FF 80 00", "MQTT-1.5.5-1"},
		{"[MQTT-1.5.5-1] 0 in four bytes", "30 80 80 80 00", "MQTT-1.5.5-1"},
		{"five bytes", "30 80 80 80 80 01", ""},
		{"four bytes that want a fifth", "30 FF FF FF FF", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := wire(t, tt.wire)
			_, _, err := packet.Size(b)
			checkError(t, err, "PUBLISH Remaining Length", colibri.MalformedPacket, tt.rule)
			_, _, err = packet.Decode(b, v5)
			checkError(t, err, "PUBLISH Remaining Length", colibri.MalformedPacket, tt.rule)
		})
	}
}

// TestHeaderFlags tries all 256 first bytes. Faults in it are reported at once, before the rest has arrived.
func TestHeaderFlags(t *testing.T) {
	rules := map[packet.Type][2]string{ // 5.0, then 3.1 and 3.1.1
		packet.PUBREL:      {"MQTT-3.6.1-1", "MQTT311-3.6.1-1"},
		packet.SUBSCRIBE:   {"MQTT-3.8.1-1", "MQTT311-3.8.1-1"},
		packet.UNSUBSCRIBE: {"MQTT-3.10.1-1", "MQTT311-3.10.1-1"},
		packet.DISCONNECT:  {"MQTT-3.14.1-1", "MQTT311-3.14.1-1"},
		packet.AUTH:        {"MQTT-3.15.1-1", ""},
	}
	for _, v := range []colibri.Version{v31, v311, v5} {
		for typ := packet.CONNECT; typ <= packet.AUTH; typ++ {
			if typ == packet.PUBLISH || typ == packet.AUTH && v != v5 {
				continue
			}
			rule, ok := rules[typ]
			if !ok {
				rule = [2]string{"MQTT-2.1.3-1", "MQTT311-2.2.2-1"}
			}
			id := rule[1]
			if v == v5 || typ == packet.CONNECT && v == 0 {
				id = rule[0]
			}
			t.Run(fmt.Sprintf("%v %v [%s] [MQTT311-2.2.2-2]", v, typ, id), func(t *testing.T) {
				for flags := range byte(16) {
					want := flags == 0
					if typ == packet.PUBREL || typ == packet.SUBSCRIBE || typ == packet.UNSUBSCRIBE {
						want = flags == 0x02 || v == v31 && flags == 0x0A // 3.1 has a DUP flag there
					}
					_, _, err := packet.Decode([]byte{byte(typ)<<4 | flags, 40}, v)
					if want && !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("flags %04b: got %v, want io.ErrUnexpectedEOF", flags, err)
					}
					if !want {
						checkError(t, err, typ.String()+" Fixed Header flags", colibri.MalformedPacket, id)
					}
				}
			})
		}
	}
	for _, v := range []colibri.Version{v31, v311, v5} {
		id := map[bool][2]string{
			true:  {"MQTT-3.3.1-2", "MQTT-3.3.1-4"},
			false: {"MQTT311-3.3.1-2", "MQTT311-3.3.1-4"},
		}[v == v5]
		t.Run(fmt.Sprintf("%v PUBLISH DUP [%s] QoS 3 [%s]", v, id[0], id[1]), func(t *testing.T) {
			for flags := range byte(16) {
				_, _, err := packet.Decode([]byte{0x30 | flags, 40}, v)
				switch {
				case flags&0x06 == 0x06:
					checkError(t, err, "PUBLISH QoS level", colibri.MalformedPacket, id[1])
				case flags == 0x08, flags == 0x09:
					checkError(t, err, "PUBLISH DUP flag", colibri.MalformedPacket, id[0])
				case !errors.Is(err, io.ErrUnexpectedEOF):
					t.Errorf("flags %04b: got %v, want io.ErrUnexpectedEOF", flags, err)
				}
			}
		})
	}
}

func TestHeaderType(t *testing.T) {
	checkInvalid(t, []invalid{
		{name: "0 is reserved", v: v5, wire: "00 00", op: "reserved MQTT Control Packet type", code: colibri.MalformedPacket},
		{name: "0 is reserved", v: v311, wire: "00 00", op: "reserved MQTT Control Packet type", code: colibri.MalformedPacket},
		{name: "AUTH is reserved", v: v311, wire: "F0 00", op: "AUTH MQTT Control Packet type", code: colibri.MalformedPacket},
		{name: "AUTH is reserved", v: v31, wire: "F0 00", op: "AUTH MQTT Control Packet type", code: colibri.MalformedPacket},
		{name: "[MQTT-3.1.0-1] a packet before CONNECT", v: 0, wire: "C0 00", op: "PINGREQ MQTT Control Packet type",
			code: colibri.ProtocolError, rule: "MQTT-3.1.0-1"},
	})
}

func TestTypeString(t *testing.T) {
	for typ, want := range map[packet.Type]string{
		0: "reserved", 1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 8: "SUBSCRIBE",
		9: "SUBACK", 10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH", 16: "packet type 16",
	} {
		if got := typ.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
