package wal

import (
	"errors"
	"path/filepath"
	"testing"
)

// FuzzOpen puts any bytes in the place of the last, or the last but one, segment of a
// log. It must be opened with frames that were there, or be refused with a typed error.
func FuzzOpen(f *testing.F) {
	sample := func() *crashFS {
		d := newCrashFS()
		l, err := open("log", Options{FS: d, SegmentBytes: 4096})
		if err != nil {
			f.Fatal(err)
		}
		l.salt = fuzzSalt
		go l.commit()
		for i := range 6 {
			put(l, make([]byte, 700*i))
		}
		return d.powerCut(func() bool { return false })
	}
	whole := sample()
	last := whole.get(filepath.Join("log", segmentName(4)))
	before := whole.get(filepath.Join("log", segmentName(3)))
	if len(last) == 0 || len(before) == 0 || len(whole.names) != 4 {
		f.Fatalf("the sample has files %v, want four segments", whole.names)
	}
	f.Add(last, true, uint16(0), uint32(0))
	f.Add(before, false, uint16(0), uint32(0))
	f.Add(last, true, uint16(512), uint32(0x80)<<24)
	f.Add(last[:600], true, uint16(0), uint32(0))
	f.Add(before[:512], false, uint16(20), uint32(3))
	f.Add([]byte{}, true, uint16(0), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, isLast bool, at uint16, word uint32) {
		d := whole.clone()
		number := uint32(3)
		if isLast {
			number = 4
		}
		b = append([]byte(nil), b...)
		if int(at)+recordBytes <= len(b) && word != 0 { // a head with any length and a good sum
			b[at], b[at+1], b[at+2], b[at+3] = byte(word), byte(word>>8), byte(word>>16), byte(word>>24)
			seal(b[at:], (&segment{number: number, salt: fuzzSalt}).seed(), int64(at), false)
		}
		d.put(filepath.Join("log", segmentName(number)), b)
		wantFramesOrTypedError(t, d)
	})
}

// fuzzSalt is that of the sample, so that what was found counts in the next run too.
const fuzzSalt = 42

func wantFramesOrTypedError(t *testing.T, d *crashFS) {
	var (
		corrupt *CorruptError
		version *VersionError
	)
	report, checked := check(d, "log", func(_ Pos, frame []byte) error {
		if len(frame) > 1<<20 {
			t.Errorf("got a frame of %d bytes, want none larger than the file", len(frame))
		}
		return nil
	})
	if checked != nil && !errors.As(checked, &corrupt) && !errors.As(checked, &version) {
		t.Errorf("check: got %v, want a typed error", checked)
	}
	l, err := Open("log", Options{FS: d})
	if err != nil {
		if !errors.As(err, &corrupt) && !errors.As(err, &version) {
			t.Errorf("open: got %v, want a typed error", err)
		}
		if checked == nil {
			t.Errorf("open: got %v, and Check had found nothing", err)
		}
		return
	}
	defer l.Close()
	got, err := replayed(l)
	if (err == nil) != (checked == nil) || len(got) != report.Frames {
		t.Errorf("got %d frames and error %v, and Check had found %d and %v", len(got), err, report.Frames, checked)
	}
	for _, a := range put(l, []byte("goes on")) {
		if a.err != nil {
			t.Errorf("append: %v", a.err)
		}
	}
}
