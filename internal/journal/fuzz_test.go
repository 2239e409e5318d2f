package journal

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzDecode: no bytes make Decode panic, and what it takes is what Append writes.
func FuzzDecode(f *testing.F) {
	for _, test := range formatTable {
		f.Add(unhex(f, test.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, n, err := Decode(b)
		if err != nil {
			wrong, ok := errors.AsType[*SyntaxError](err)
			if err != io.ErrUnexpectedEOF && !ok || ok && wrong.Offset > len(b) {
				t.Fatalf("got error %v for %d bytes", err, len(b))
			}
			return
		}
		if got := Append(nil, e); !bytes.Equal(got, b[:n]) {
			t.Fatalf("%#v\nread from  %x\nwritten as %x", e, b[:n], got)
		}
	})
}

// FuzzFold: no bytes make a State panic, and its snapshot folds to the same State.
func FuzzFold(f *testing.F) {
	var all []byte
	for _, test := range formatTable {
		all = append(all, unhex(f, test.hex)...)
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewState()
		if s.Fold(b) != nil {
			return
		}
		checkReferences(t, s)
		if diff := diff(s, fold(t, s.snapshot())); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		if err := s.Apply(Recovered{1}); err != nil {
			t.Fatal(err)
		}
		checkReferences(t, s)
		if diff := diff(s, fold(t, s.snapshot())); diff != "" {
			t.Fatalf("after recovery, -want +got:\n%s", diff)
		}
	})
}
