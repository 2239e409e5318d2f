package packet_test

import (
	"strings"
	"testing"

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

// TestDecoderKeepsNothing: a packet must not show what the one before it had, and
// memory that one huge packet needed is not kept for all the small ones.
func TestDecoderKeepsNothing(t *testing.T) {
	var d packet.Decoder
	for _, text := range []string{
		`10 # "MQTT" 05 C6 00 3C { 11 00 00 0E 10 } "client" { 18 00 00 00 05 } "w" "bye" "u" "p"`,
		`3D # "a" 00 01 { 26 "k" "v" 26 "k" "w" } 'x'`,
		`82 # 00 01 { 0B 05 } "a" 01 "b" 01`,
		`A2 # 00 01 { 26 "k" "v" } "a" "b"`,
		`90 # 00 01 { 26 "k" "v" } 00 01`,
		`82 # 00 01 { ` + strings.Repeat(`26 "k" "v" `, 500) + "}" + strings.Repeat(`"a" 00`, 500),
	} {
		if _, _, err := d.Decode(wire(t, text), v5); err != nil {
			t.Fatal(err)
		}
	}
	p, _, err := d.Decode(wire(t, `10 # "MQTT" 05 00 00 00 {} "c"`), v5)
	if err != nil {
		t.Fatal(err)
	}
	if c := p.(*packet.Connect); c.Will != nil || c.Properties != nil || c.UserName != "" || c.Password != nil || c.KeepAlive != 0 {
		t.Errorf("got %+v with parts of an earlier CONNECT", c)
	}
	p, _, err = d.Decode(wire(t, `82 # 00 01 {} "a" 00`), v5)
	if err != nil {
		t.Fatal(err)
	}
	s := p.(*packet.Subscribe)
	if s.Properties != nil || len(s.Subscriptions) != 1 || s.Subscriptions[0] != (colibri.Subscription{Filter: "a"}) {
		t.Errorf("got %+v with parts of an earlier SUBSCRIBE", s)
	}
	if cap(s.Subscriptions) > 64 {
		t.Errorf("got memory for %d Subscriptions, want no more than 64 kept", cap(s.Subscriptions))
	}
	p, _, err = d.Decode(wire(t, `30 # "a" {}`), v5)
	if err != nil {
		t.Fatal(err)
	}
	if m := p.(*packet.Publish); m.Properties != nil || m.Payload != nil || m.PacketID != 0 || m.Dup || m.Retain {
		t.Errorf("got %+v with parts of an earlier PUBLISH", m)
	}
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
