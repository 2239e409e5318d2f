package packet_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// seed adds all packets of the tables.
func seed(f *testing.F) {
	for _, table := range [][]valid{validConnect, validConnack, validPublish, validAck, validSubscribe, validSuback,
		validUnsubscribe, validUnsuback, validDisconnect} {
		for _, tt := range table {
			f.Add(byte(tt.v), wire(f, tt.wire))
		}
	}
	for _, table := range [][]invalid{invalidConnect, invalidConnack, invalidPublish, invalidAck, invalidSubscribe, invalidSuback,
		invalidUnsubscribe, invalidUnsuback, invalidDisconnect} {
		for _, tt := range table {
			f.Add(byte(tt.v), wire(f, tt.wire))
		}
	}
}

// FuzzDecode: nothing panics, the two decoders and the dissector agree, a packet is
// as long as Size says, and its prefixes are incomplete.
func FuzzDecode(f *testing.F) {
	seed(f)
	var reused packet.Decoder // sees packets of all kinds one after the other
	f.Fuzz(func(t *testing.T, version byte, b []byte) {
		v := colibri.Version(version)
		p, n, err := packet.Decode(b, v)
		again, m, againErr := reused.Decode(b, v)
		if m != n || !reflect.DeepEqual(again, p) || !reflect.DeepEqual(againErr, err) {
			t.Errorf("Decode: %#v, %d, %v\nDecoder: %#v, %d, %v", p, n, err, again, m, againErr)
		}
		checkFields(t, b, v)
		var fault *colibri.Error
		switch {
		case err == nil:
			if _, size, _ := packet.Size(b); n != size || n > len(b) {
				t.Fatalf("got %d of %d bytes, Size says %d", n, len(b), size)
			}
			if n <= 1024 {
				checkPrefixes(t, b[:n], v)
			}
		case errors.Is(err, io.ErrUnexpectedEOF):
			if n != 0 || p != nil {
				t.Errorf("got %v and %d bytes of an incomplete packet", p, n)
			}
		case !errors.As(err, &fault):
			t.Errorf("got error %v, want a *colibri.Error", err)
		case n != 0 || fault.Op == "" || !fault.Code.Failed() || fault.Err == nil:
			t.Errorf("got %d bytes and %+v", n, fault)
		}
	})
}

// FuzzFixpoint: what was decoded can be encoded, not longer than it was, and is then
// the same packet and the same bytes for ever.
func FuzzFixpoint(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, version byte, b []byte) {
		v := colibri.Version(version)
		first, n, err := packet.Decode(b, v)
		if err != nil {
			return
		}
		encoded, err := packet.Append(nil, first, v)
		if err != nil {
			t.Fatalf("Append(%#v): %v", first, err)
		}
		if len(encoded) > n {
			t.Errorf("got %d bytes, were %d", len(encoded), n)
		}
		second, _, err := packet.Decode(encoded, v)
		if err != nil {
			t.Fatalf("Decode of what Append wrote: %v", err)
		}
		if !reflect.DeepEqual(first, second) {
			t.Errorf("got %#v\nwant %#v", second, first)
		}
		if twice, err := packet.Append(nil, second, v); err != nil || !bytes.Equal(twice, encoded) {
			t.Errorf("got % x, %v; want % x", twice, err, encoded)
		}
	})
}
