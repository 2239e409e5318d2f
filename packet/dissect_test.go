package packet_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// checkFields checks that Dissect agrees with Decode about b, and that its fields
// form a tree whose leaves cover each bit of the packet exactly once.
func checkFields(t testing.TB, b []byte, v colibri.Version) {
	t.Helper()
	want, wantN, wantErr := packet.Decode(b, v)
	got, n, fields, err := packet.Dissect(b, v)
	if n != wantN || !reflect.DeepEqual(err, wantErr) {
		t.Errorf("Dissect: got %d, %v; Decode: %d, %v", n, err, wantN, wantErr)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Dissect against Decode:\n%s", diff)
	}
	if fields == nil {
		return
	}
	covered := make([]byte, fields[0].End)
	for i, f := range fields {
		if f.Name == "" || f.Start < 0 || f.End < f.Start || f.End > len(b) {
			t.Fatalf("field %d is %+v, of %d bytes", i, f, len(b))
		}
		if f.Depth > 0 && (i == 0 || f.Depth > fields[i-1].Depth+1) {
			t.Errorf("field %q has no parent", f.Name)
		}
		if i+1 < len(fields) && fields[i+1].Depth > f.Depth {
			if part := fields[i+1]; part.Start < f.Start || part.End > f.End {
				t.Errorf("field %q is outside of %q", part.Name, f.Name)
			}
			continue
		}
		mask := f.Mask
		if mask == 0 {
			mask = 0xFF
		}
		for j := f.Start; j < f.End; j++ {
			if covered[j]&mask != 0 {
				t.Errorf("field %q covers byte %d again", f.Name, j)
			}
			covered[j] |= mask
		}
	}
	for i, mask := range covered {
		if mask != 0xFF {
			t.Errorf("bits %08b of byte %d are in no field", ^mask, i)
		}
	}
}

// tree writes fields down, one per line.
func tree(fields []packet.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%d-%d %s%s", f.Start, f.End, strings.Repeat("  ", f.Depth), f.Name)
		if f.Mask != 0 {
			fmt.Fprintf(&b, " %08b", f.Mask)
		}
		if f.Text != "" {
			fmt.Fprintf(&b, " = %s", f.Text)
		}
		if f.Value != nil {
			fmt.Fprintf(&b, " (%T)", f.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestDissect(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    colibri.Version
		wire string
		want string
	}{
		{"CONNECT", v5, `10 # "MQTT" 05 C6 00 3C { 21 00 0A } "id" { 18 00 00 00 05 } "w" FF FF "u" "p"`, `
0-37 CONNECT
0-2   Fixed Header
0-1     Packet Type and Flags = 16 (uint32)
0-1       MQTT Control Packet type 11110000 = CONNECT (packet.Type)
0-1       Reserved 00001111 = 0 (uint32)
1-2     Remaining Length = 35 (uint32)
2-16   Variable Header
2-8     Protocol Name = "MQTT" (string)
8-9     Protocol Version = 5 (uint32)
9-10     Connect Flags = 198 (uint32)
9-10       User Name Flag 10000000 = 1 (bool)
9-10       Password Flag 01000000 = 1 (bool)
9-10       Will Retain 00100000 = 0 (bool)
9-10       Will QoS 00011000 = 0 (uint32)
9-10       Will Flag 00000100 = 1 (bool)
9-10       Clean Start 00000010 = 1 (bool)
9-10       Reserved 00000001 = 0 (bool)
10-12     Keep Alive = 60 (uint32)
12-16     Properties
12-13       Property Length = 3 (uint32)
13-16       Receive Maximum = 10 (uint32)
13-14         Property Identifier = 33 (0x21) (uint32)
14-16         Receive Maximum = 10 (uint32)
16-29   Payload
16-20     Client Identifier = "id" (string)
20-26     Will Properties
20-21       Property Length = 5 (uint32)
21-26       Will Delay Interval = 5 (uint32)
21-22         Property Identifier = 24 (0x18) (uint32)
22-26         Will Delay Interval = 5 (uint32)
26-29     Will Topic = "w" (string)
29-37   Not decoded
`},
		{"CONNACK", v311, "20 02 01 00", `
0-4 CONNACK
0-2   Fixed Header
0-1     Packet Type and Flags = 32 (uint32)
0-1       MQTT Control Packet type 11110000 = CONNACK (packet.Type)
0-1       Reserved 00001111 = 0 (uint32)
1-2     Remaining Length = 2 (uint32)
2-4   Variable Header
2-3     Connect Acknowledge Flags = 1 (uint32)
2-3       Reserved 11111110 = 0 (uint32)
2-3       Session Present 00000001 = 1 (bool)
3-4     Connect Return code = Accepted (0x00) (colibri.ReasonCode)
`},
		{"SUBSCRIBE", v5, `82 # 00 07 {} "a" 2D`, `
0-9 SUBSCRIBE
0-2   Fixed Header
0-1     Packet Type and Flags = 130 (uint32)
0-1       MQTT Control Packet type 11110000 = SUBSCRIBE (packet.Type)
0-1       Reserved 00001111 = 2 (uint32)
1-2     Remaining Length = 7 (uint32)
2-5   Variable Header
2-4     Packet Identifier = 7 (uint32)
4-5     Properties
4-5       Property Length = 0 (uint32)
5-9   Payload
5-9     Subscription
5-8       Topic Filter = "a" (string)
8-9       Subscription Options = 45 (uint32)
8-9         Reserved 11000000 = 0 (uint32)
8-9         Retain Handling 00110000 = 2 (uint32)
8-9         Retain As Published 00001000 = 1 (bool)
8-9         No Local 00000100 = 1 (bool)
8-9         Maximum QoS 00000011 = 1 (uint32)
`},
		{"PUBREL again", v31, "6A 02 00 07", `
0-4 PUBREL
0-2   Fixed Header
0-1     Packet Type and Flags = 106 (uint32)
0-1       MQTT Control Packet type 11110000 = PUBREL (packet.Type)
0-1       DUP flag 00001000 = 1 (bool)
0-1       QoS level 00000110 = 1 (uint32)
0-1       RETAIN 00000001 = 0 (bool)
1-2     Remaining Length = 2 (uint32)
2-4   Variable Header
2-4     Packet Identifier = 7 (uint32)
`},
		{"fault in a property", v5, `30 # "a" { 01 00 03 00 09 'text' } 'x'`, `
0-16 PUBLISH
0-2   Fixed Header
0-1     Packet Type and Flags = 48 (uint32)
0-1       MQTT Control Packet type 11110000 = PUBLISH (packet.Type)
0-1       DUP flag 00001000 = 0 (bool)
0-1       QoS level 00000110 = 0 (uint32)
0-1       RETAIN 00000001 = 0 (bool)
1-2     Remaining Length = 14 (uint32)
2-9   Variable Header
2-5     Topic Name = "a" (string)
5-9     Properties
5-6       Property Length = 9 (uint32)
6-8       Payload Format Indicator = 0 (uint32)
6-7         Property Identifier = 1 (0x01) (uint32)
7-8         Payload Format Indicator = 0 (uint32)
8-9       Content Type
8-9         Property Identifier = 3 (0x03) (uint32)
9-16   Not decoded
`},
		{"fault in the first byte", v5, "37 05 00", `
0-3 PUBLISH
0-1   Fixed Header
0-1     Packet Type and Flags = 55 (uint32)
0-1       MQTT Control Packet type 11110000 = PUBLISH (packet.Type)
0-1       DUP flag 00001000 = 0 (bool)
0-1       QoS level 00000110 = 3 (uint32)
0-1       RETAIN 00000001 = 1 (bool)
1-3   Not decoded
`},
	} {
		t.Run(tt.v.String()+" "+tt.name, func(t *testing.T) {
			_, _, fields, _ := packet.Dissect(wire(t, tt.wire), tt.v)
			if diff := cmp.Diff(tt.want[1:], tree(fields)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDissectCodes: the same byte has another name in another packet.
func TestDissectCodes(t *testing.T) {
	for _, tt := range []struct {
		v    colibri.Version
		wire string
		want string
	}{
		{v5, "E0 01 00", "Normal disconnection (0x00)"},
		{v5, "90 # 00 01 {} 00", "Granted QoS 0 (0x00)"},
		{v5, "40 03 00 01 00", "Success (0x00)"},
		{v5, "40 03 00 01 10", "No matching subscribers (0x10)"},
		{v5, "40 03 00 01 77", "unknown (0x77)"},
		{v311, "90 # 00 01 00", "Granted QoS 0 (0x00)"},
		{v311, "90 # 00 01 80", "Failure (0x80)"},
		{v311, "20 # 00 05", "Refused: not authorized (0x05)"},
		{v311, "20 # 00 06", "reserved (0x06)"},
		{v5, "20 # 00 87 {}", "Not authorized (0x87)"},
	} {
		_, _, fields, _ := packet.Dissect(wire(t, tt.wire), tt.v)
		if got := tree(fields); !strings.Contains(got, " = "+tt.want+" (colibri.ReasonCode)\n") {
			t.Errorf("%s: got\n%swant a code %q", tt.wire, got, tt.want)
		}
	}
}

func TestDissectIncomplete(t *testing.T) {
	for _, text := range []string{"", "30", "30 80", "30 05 00", "30 80 80 80 80"} {
		p, n, fields, err := packet.Dissect(wire(t, text), v5)
		if p != nil || n != 0 || fields != nil || err == nil {
			t.Errorf("%q: got %v, %d, %v, %v; want nothing but an error", text, p, n, fields, err)
		}
	}
}
