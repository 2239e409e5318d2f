package packet_test

import (
	"reflect"
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
