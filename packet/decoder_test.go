package packet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// sink keeps results alive, so that the compiler cannot leave out the work.
var sink packet.Packet

// hotPackets are those that a server reads and writes all the time.
var hotPackets = []struct {
	name string
	v    colibri.Version
	wire string
}{
	{"PUBLISH QoS 0", v311, `30 # "sensors/kitchen/temperature" '` + strings.Repeat("x", 100) + `'`},
	{"PUBLISH QoS 0", v5, `30 # "sensors/kitchen/temperature" {} '` + strings.Repeat("x", 100) + `'`},
	{"PUBLISH QoS 1 with properties", v5, `32 # "sensors/kitchen/temperature" 00 01
		{ 02 00 00 00 3C 03 "text/plain" 08 "answers/7" 09 "42" 26 "trace" "00-4bf92f35" } '` + strings.Repeat("x", 100) + `'`},
	{"PUBLISH with a Topic Alias", v5, `30 # "" { 23 00 07 } '` + strings.Repeat("x", 100) + `'`},
	{"PUBACK", v311, "40 02 00 01"},
	{"PUBACK with a Reason Code", v5, "40 03 00 01 10"},
	{"SUBSCRIBE", v5, `82 # 00 01 { 0B 05 } "a/b" 01 "c/#" 02`},
	{"UNSUBSCRIBE", v311, `A2 # 00 01 "a/b" "c/#"`},
	{"SUBACK", v311, "90 # 00 01 01 02"},
	{"PINGREQ", v311, "C0 00"},
	{"CONNECT with a Will Message", v5, `10 # "MQTT" 05 C6 00 3C { 11 00 00 0E 10 } "client" { 18 00 00 00 05 } "w" "bye" "u" "p"`},
}

func TestDecoderAllocations(t *testing.T) {
	for _, tt := range hotPackets {
		t.Run(tt.v.String()+" "+tt.name, func(t *testing.T) {
			b := wire(t, tt.wire)
			var d packet.Decoder
			allocations := testing.AllocsPerRun(100, func() {
				p, _, err := d.Decode(b, tt.v)
				if err != nil {
					t.Fatal(err)
				}
				sink = p
			})
			if allocations != 0 {
				t.Errorf("got %v allocations, want none", allocations)
			}
			if allocations := testing.AllocsPerRun(100, func() { _, _, _ = d.Decode(b[:len(b)-1], tt.v) }); allocations != 0 {
				t.Errorf("incomplete: got %v allocations, want none", allocations)
			}
		})
	}
}

func TestAppendAllocations(t *testing.T) {
	for _, tt := range hotPackets {
		t.Run(tt.v.String()+" "+tt.name, func(t *testing.T) {
			p, n, err := packet.Decode(wire(t, tt.wire), tt.v)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 0, n+8)
			allocations := testing.AllocsPerRun(100, func() {
				if _, err := packet.Append(b, p, tt.v); err != nil {
					t.Fatal(err)
				}
				if p, ok := p.(*packet.Publish); ok {
					if _, err := packet.AppendPublish(b, p, tt.v); err != nil {
						t.Fatal(err)
					}
				}
			})
			if allocations != 0 {
				t.Errorf("got %v allocations, want none", allocations)
			}
		})
	}
}

// TestDecoderForgets: a packet must not show what the one before it had, and memory
// that one huge packet needed is not kept for all the small ones behind it.
func TestDecoderForgets(t *testing.T) {
	many := func(text string) string { return strings.Repeat(text, 500) }
	small := []valid{
		{wire: `10 # "MQTT" 05 00 00 00 {} "c"`, want: &packet.Connect{Version: v5, ClientID: "c"}},
		{wire: `20 # 00 00 {}`, want: &packet.Connack{}},
		{wire: `30 # "a" {}`, want: &packet.Publish{Topic: "a"}},
		{wire: `40 # 00 01`, want: &packet.Puback{PacketID: 1}},
		{wire: `50 # 00 01`, want: &packet.Pubrec{PacketID: 1}},
		{wire: `62 # 00 01`, want: &packet.Pubrel{PacketID: 1}},
		{wire: `70 # 00 01`, want: &packet.Pubcomp{PacketID: 1}},
		{wire: `82 # 00 01 {} "a" 00`, want: &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a"}}}},
		{wire: `90 # 00 01 {} 00`, want: &packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{0}}},
		{wire: `A2 # 00 01 {} "a"`, want: &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}}},
		{wire: `B0 # 00 01 {} 00`, want: &packet.Unsuback{PacketID: 1, Codes: []colibri.ReasonCode{0}}},
		{wire: `E0 00`, want: &packet.Disconnect{}},
		{wire: `F0 00`, want: &packet.Auth{}},
	}
	var d packet.Decoder
	for _, big := range []string{
		`10 # "MQTT" 05 F6 00 3C { 11 00 00 0E 10 } "client" { ` + many(`26 "k" "v" `) + `} "w" "bye" "u" "p"`,
		`20 # 01 00 { ` + many(`26 "k" "v" `) + `}`,
		`3D # "b" 00 02 { ` + many(`26 "k" "v" `) + `} 'x'`,
		`40 # 00 02 87 { 26 "k" "v" }`, `50 # 00 02 87 { 26 "k" "v" }`, `62 # 00 02 92 { 26 "k" "v" }`, `70 # 00 02 92 { 26 "k" "v" }`,
		`82 # 00 02 { 0B 05 } ` + many(`"b" 2D `), `90 # 00 02 { 26 "k" "v" } ` + many("01"),
		`A2 # 00 02 { 26 "k" "v" } ` + many(`"b" `), `B0 # 00 02 { 26 "k" "v" } ` + many("11"),
		`E0 # 8E { 26 "k" "v" }`, `F0 # 18 { 15 "m" }`,
	} {
		if _, _, err := d.Decode(wire(t, big), v5); err != nil {
			t.Fatal(err)
		}
		for _, tt := range small {
			got, _, err := d.Decode(wire(t, tt.wire), v5)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("after %.20s (-want +got):\n%s", big, diff)
			}
			if kept := capacity(got); kept > 64 {
				t.Errorf("%v after %.20s: got memory for %d elements, want no more than 64", got.Type(), big, kept)
			}
		}
	}
}

// capacity returns how many elements the list of p has room for.
func capacity(p packet.Packet) int {
	switch p := p.(type) {
	case *packet.Subscribe:
		return cap(p.Subscriptions)
	case *packet.Suback:
		return cap(p.Codes)
	case *packet.Unsubscribe:
		return cap(p.Filters)
	case *packet.Unsuback:
		return cap(p.Codes)
	}
	return 0
}

func BenchmarkDecoder(b *testing.B) {
	for _, tt := range hotPackets {
		b.Run(tt.v.String()+" "+tt.name, func(b *testing.B) {
			bytes := wire(b, tt.wire)
			var d packet.Decoder
			b.ReportAllocs()
			for b.Loop() {
				sink, _, _ = d.Decode(bytes, tt.v)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, tt := range hotPackets[:3] {
		b.Run(tt.v.String()+" "+tt.name, func(b *testing.B) {
			bytes := wire(b, tt.wire)
			b.ReportAllocs()
			for b.Loop() {
				sink, _, _ = packet.Decode(bytes, tt.v)
			}
		})
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	for _, tt := range hotPackets[:4] {
		b.Run(tt.v.String()+" "+tt.name, func(b *testing.B) {
			p, n, err := packet.Decode(wire(b, tt.wire), tt.v)
			if err != nil {
				b.Fatal(err)
			}
			out := make([]byte, 0, n)
			b.ReportAllocs()
			for b.Loop() {
				out, err = packet.AppendPublish(out[:0], p.(*packet.Publish), tt.v)
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	puback := &packet.Puback{PacketID: 1}
	out := make([]byte, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		out, _ = packet.Append(out[:0], puback, v5)
	}
}
