package packet_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

const (
	v31  = colibri.V31
	v311 = colibri.V311
	v5   = colibri.V5
)

// valid is a packet that must decode to want and, unless longer says that a
// shorter form exists, must be what want encodes to.
type valid struct {
	name   string
	v      colibri.Version
	wire   string
	want   packet.Packet
	longer bool
}

// invalid is a packet that must not decode, and how the error must read.
type invalid struct {
	name string
	v    colibri.Version
	wire string
	op   string
	code colibri.ReasonCode
	rule string
}

// refused is a packet that must not encode. The error carries rule and names the field op.
type refused struct {
	name string
	v    colibri.Version
	p    packet.Packet
	op   string
	code colibri.ReasonCode
	rule string
}

func checkValid(t *testing.T, table []valid) {
	t.Helper()
	for _, tt := range table {
		t.Run(tt.v.String()+" "+tt.name, func(t *testing.T) {
			b := wire(t, tt.wire)
			checkDecodes(t, b, tt)
			checkPrefixes(t, b, tt.v)
			if !tt.longer {
				got, err := packet.Append([]byte("kept"), tt.want, tt.v)
				if err != nil {
					t.Fatalf("Append: %v", err)
				}
				if diff := cmp.Diff("kept"+string(b), string(got)); diff != "" {
					t.Errorf("Append (-want +got):\n%s", diff)
				}
			}
			checkFields(t, b, tt.v)
		})
	}
}

// checkDecodes checks both decoders, with another packet behind the one in b.
func checkDecodes(t *testing.T, b []byte, tt valid) {
	t.Helper()
	more := append(append([]byte{}, b...), 0xD0, 0x00)
	got, n, err := packet.Decode(more, tt.v)
	if err != nil || n != len(b) {
		t.Fatalf("Decode: got %d bytes, error %v; want %d bytes", n, err, len(b))
	}
	if diff := cmp.Diff(tt.want, got); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	if got.Type() != packet.Type(b[0]>>4) {
		t.Errorf("got type %v, want the one of the first byte", got.Type())
	}
	var d packet.Decoder
	for range 2 { // the second time with memory of the first
		got, n, err := d.Decode(more, tt.v)
		if err != nil || n != len(b) {
			t.Fatalf("Decoder: got %d bytes, error %v; want %d bytes", n, err, len(b))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Decoder (-want +got):\n%s", diff)
		}
	}
}

// checkPrefixes checks that every proper prefix of a valid packet is incomplete.
func checkPrefixes(t *testing.T, b []byte, v colibri.Version) {
	t.Helper()
	for i := range b {
		p, n, err := packet.Decode(b[:i:i], v)
		if p != nil || n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("Decode of the first %d of %d bytes: got %v, %d, %v; want io.ErrUnexpectedEOF", i, len(b), p, n, err)
		}
	}
}

func checkInvalid(t *testing.T, table []invalid) {
	t.Helper()
	for _, tt := range table {
		t.Run(tt.v.String()+" "+tt.name, func(t *testing.T) {
			b := wire(t, tt.wire)
			p, n, err := packet.Decode(b, tt.v)
			checkError(t, err, tt.op, tt.code, tt.rule)
			if n != 0 {
				t.Errorf("got %d bytes consumed, want 0", n)
			}
			if _, ok := p.(*packet.Connect); p != nil && !ok {
				t.Errorf("got packet %v, want none", p)
			}
			checkFields(t, b, tt.v)
		})
	}
}

func checkRefused(t *testing.T, table []refused) {
	t.Helper()
	for _, tt := range table {
		t.Run(tt.v.String()+" "+tt.name, func(t *testing.T) {
			b := []byte("kept")
			got, err := packet.Append(b, tt.p, tt.v)
			if string(got) != "kept" {
				t.Errorf("got %q appended, want nothing", got[4:])
			}
			checkError(t, err, tt.op, tt.code, tt.rule)
		})
	}
}

func checkError(t *testing.T, err error, op string, code colibri.ReasonCode, rule string) {
	t.Helper()
	var got *colibri.Error
	if !errors.As(err, &got) {
		t.Fatalf("got error %v, want a *colibri.Error", err)
	}
	if got.Op != op || got.Code != code || got.Rule != rule {
		t.Errorf("got %q\nwant Op %q, Code %v, Rule %q", err, op, code.Error(), rule)
	}
	if got.Err == nil || strings.TrimSpace(got.Err.Error()) == "" {
		t.Errorf("got no cause in %q", err)
	}
	if !errors.Is(err, code) {
		t.Errorf("errors.Is does not find %v in %q", code, err)
	}
}
