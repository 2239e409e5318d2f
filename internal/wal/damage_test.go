package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// sampleLog is a log of three processes: segment 1 with frames of 100 bytes at 512, 1024
// and 1536, each a commit of its own; segment 2 with one of 3000; segment 3 with two
// of 100 at 512 and 1024, which was not closed, so that zeroes follow.
func sampleLog(t *testing.T) *crashFS {
	t.Helper()
	d := newCrashFS()
	l := mustOpen(t, "log", Options{FS: d, SegmentBytes: 4096})
	for i := range 3 {
		mustPut(t, l, bytes.Repeat([]byte{'a' + byte(i)}, 100))
	}
	mustPut(t, l, bytes.Repeat([]byte{'d'}, 3000))
	mustClose(t, l)
	l = mustOpen(t, "log", Options{FS: d, SegmentBytes: 4096})
	mustPut(t, l, bytes.Repeat([]byte{'e'}, 100))
	mustPut(t, l, bytes.Repeat([]byte{'f'}, 100))
	return d.powerCut(func() bool { return false })
}

// edit changes a file of a log.
func (d *crashFS) edit(number uint32, change func(b []byte) []byte) {
	name := filepath.Join("log", segmentName(number))
	d.put(name, change(d.get(name)))
}

// flip changes one bit.
func flip(offset int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[offset] ^= 0x10
		return b
	}
}

// zero overwrites bytes with zeroes.
func zero(from, to int) func([]byte) []byte {
	return func(b []byte) []byte {
		clear(b[from:to])
		return b
	}
}

// cutAt makes a file shorter.
func cutAt(size int) func([]byte) []byte { return func(b []byte) []byte { return b[:size] } }

func TestDamageIsReported(t *testing.T) {
	tests := []struct {
		name   string
		damage func(d *crashFS)
		file   uint32
		offset int64
		reason string
	}{
		{"a bit in a frame of an earlier segment",
			func(d *crashFS) { d.edit(1, flip(1024+50)) }, 1, 1024, "the record is not whole"},
		{"a bit in the head of a record of an earlier segment",
			func(d *crashFS) { d.edit(1, flip(1024+1)) }, 1, 1024, "these bytes begin no record"},
		{"the last record of an earlier segment",
			func(d *crashFS) { d.edit(1, flip(1536+50)) }, 1, 1536, "the next segment says that the records go on to offset 1648"},
		{"a record of an earlier segment that is zeroes",
			func(d *crashFS) { d.edit(1, zero(1536, 1648)) }, 1, 1536 - 400, "the record is missing"},
		{"an earlier segment that is too short",
			func(d *crashFS) { d.edit(1, cutAt(1600)) }, 1, 1600, "the file ends here, but segment 2 says"},
		{"a bit in a frame of the last segment, with another synced behind",
			func(d *crashFS) { d.edit(3, flip(512+50)) }, 3, 512, "what was written after it, at offset 1024, is whole"},
		{"zeroes over a record of the last segment, with another synced behind",
			func(d *crashFS) { d.edit(3, zero(512, 700)) }, 3, 512, "the record is missing, but what was written after it"},
		{"a segment missing in the middle",
			func(d *crashFS) { delete(d.names, filepath.Join("log", segmentName(2))) }, 3, 0, "follows segment 2, which is missing: the one before it here is 1"},
		{"a bit in a header",
			func(d *crashFS) { d.edit(2, flip(17)) }, 2, 0, "the header's checksum does not match"},
		{"a header that is zeroes",
			func(d *crashFS) { d.edit(3, zero(0, 512)) }, 3, 0, "is not a segment of a log"},
		{"a file that ends in its header",
			func(d *crashFS) { d.edit(3, cutAt(100)) }, 3, 100, "the file ends within its header"},
		{"an empty file",
			func(d *crashFS) { d.edit(3, cutAt(0)) }, 3, 0, "the file ends within its header"},
		{"a segment under another's name",
			func(d *crashFS) {
				d.put(filepath.Join("log", segmentName(4)), d.get(filepath.Join("log", segmentName(3))))
			},
			4, 0, "the header says that this is segment 3"},
		{"a segment of another log",
			func(d *crashFS) {
				other := segment{number: 4, before: 3, endedAt: 512, salt: 1}
				d.put(filepath.Join("log", segmentName(4)), other.header())
			}, 4, 0, "is of another log than segment 3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := sampleLog(t)
			test.damage(d)
			_, err := check(d, "log", nil)
			wantCorrupt(t, err, segmentName(test.file), test.offset, test.reason)
			l, err := Open("log", Options{FS: d})
			if err == nil {
				_, err = replayed(l)
				l.Close()
			}
			wantCorrupt(t, err, segmentName(test.file), test.offset, test.reason)
			d = sampleLog(t)
			test.damage(d)
			_, err = repair(d, "log")
			wantCorrupt(t, err, segmentName(test.file), test.offset, test.reason)
			if len(d.trace) > 0 {
				t.Errorf("repair: got %v, want a damaged log left alone", d.trace)
			}
		})
	}
}

// wantCorrupt wants a CorruptError of that place.
func wantCorrupt(t *testing.T, err error, file string, offset int64, reason string) {
	t.Helper()
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatalf("got %v, want a CorruptError", err)
	}
	if corrupt.File != filepath.Join("log", file) || corrupt.Offset != offset {
		t.Errorf("got %s, offset %d, want %s, offset %d", corrupt.File, corrupt.Offset, file, offset)
	}
	wantText(t, said{err}, reason, "the log is damaged")
}

func TestNamesInTheDirectory(t *testing.T) {
	tests := []struct {
		name, file string
		reason     string // "" when the file is not looked at
	}{
		{"notes", "README.txt", ""},
		{"another program's", "0000000002.wal.bak", ""},
		{"half a segment", freshName, ""},
		{"a segment renamed", "two.wal", "the name is not that of a segment, such as 0000000001.wal"},
		{"segment 0", "0000000000.wal", "the name is not that of a segment"},
		{"two segments with one number", "2.wal", "is segment 2, and so is 0000000002.wal"},
		{"a short name", "7.wal", "has been renamed: segment 7 is called 0000000007.wal"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := sampleLog(t)
			d.put(filepath.Join("log", test.file), []byte("whatever"))
			l, err := Open("log", Options{FS: d})
			if test.reason != "" {
				wantCorrupt(t, err, test.file, 0, test.reason)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(t, l); len(got) != 6 {
				t.Errorf("got %d frames, want 6", len(got))
			}
			mustPut(t, l, []byte("x"))
			mustClose(t, l)
		})
	}
}

func TestOtherVersion(t *testing.T) {
	d := sampleLog(t)
	d.edit(3, func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[8:], 2)
		return b
	})
	_, err := Open("log", Options{FS: d})
	var version *VersionError
	if !errors.As(err, &version) || version.Version != 2 || version.File != filepath.Join("log", segmentName(3)) {
		t.Errorf("got %v, want a VersionError", err)
	}
	wantText(t, said{err}, "has format 2 and this program reads format 1")
}

// The last record may be half there: nobody was told that it is done.
func TestTornEndIsCut(t *testing.T) {
	tests := []struct {
		name   string
		damage func(b []byte) []byte
		offset int64
		reason string // "" when nothing can be seen
	}{
		{"the file ends in the frame", cutAt(1024 + 60), 1024, "the record is not whole"},
		{"the file ends in the head", cutAt(1024 + 5), 1024, "these bytes begin no record"},
		{"the file ends before the record", cutAt(1024), 0, ""},
		{"the end of the frame has not come", zero(1100, 1200), 1024, "the record is not whole"},
		{"the head has not come whole", zero(1024+6, 1200), 1024, "these bytes begin no record"},
		{"nothing has come", zero(1024, 1200), 0, ""},
		{"a length of 1 GiB", func(b []byte) []byte {
			head := b[1024:]
			binary.LittleEndian.PutUint32(head, MaxFrameBytes+recordBytes)
			s, err := decodeHeader(b, "", 3)
			if err != nil {
				t.Fatal(err)
			}
			seal(head, s.seed(), 1024, true)
			return b
		}, 1024, "the record is not whole"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := sampleLog(t)
			d.edit(3, test.damage)
			report, err := check(d, "log", nil)
			if err != nil || report.Frames != 5 {
				t.Errorf("check: got %+v and error %v, want 5 frames", report, err)
			}
			wantTorn(t, report.Torn, test.offset, test.reason)
			if len(d.trace) > 0 {
				t.Errorf("check: got %v, want nothing changed", d.trace)
			}

			repaired := d.clone()
			report, err = repair(repaired, "log")
			if err != nil {
				t.Errorf("repair: %v", err)
			}
			wantTorn(t, report.Torn, test.offset, test.reason)
			if got := len(repaired.get(filepath.Join("log", segmentName(3)))); got != 624 {
				t.Errorf("repair: got a file of %d bytes, want it cut after the last whole record, at 624", got)
			}
			report, err = check(repaired, "log", nil)
			if err != nil || report.Torn != nil || report.Frames != 5 {
				t.Errorf("check after repair: got %+v and error %v, want nothing torn", report, err)
			}

			l := mustOpen(t, "log", Options{FS: d})
			wantTorn(t, l.Torn(), test.offset, test.reason)
			if got := texts(t, l); len(got) != 5 || got[4][0] != 'e' {
				t.Errorf("got %d frames, want all but the last", len(got))
			}
			if got := mustPut(t, l, []byte("goes on")); got>>32 != 4 {
				t.Errorf("got place %v, want it in a new segment", got)
			}
			mustClose(t, l)
		})
	}
}

func wantTorn(t *testing.T, got *Torn, offset int64, reason string) {
	t.Helper()
	if reason == "" {
		if got != nil {
			t.Errorf("got %v, want nothing torn", got)
		}
		return
	}
	if got == nil {
		t.Fatalf("got nothing torn, want %q", reason)
	}
	if got.Offset != offset && got.Offset != 624 || got.File != filepath.Join("log", segmentName(3)) {
		t.Errorf("got %v, want it at offset %d", got, offset)
	}
	wantText(t, got, reason, "crash")
}

// A segment that had been another is full of whole records, in the right places.
func TestSegmentUsedAgainHidesWhatItHeld(t *testing.T) {
	d := newCrashFS()
	l := mustOpen(t, "log", Options{FS: d, SegmentBytes: 4096})
	for range 10 {
		mustPut(t, l, []byte("old"))
	}
	if err := l.Truncate(l.Next()); err != nil || l.Segments() != 1 {
		t.Fatalf("got %d segments and error %v, want one", l.Segments(), err)
	}
	var want []string
	for i := 0; l.Segments() < 2; i++ {
		text := fmt.Sprint("new ", i)
		want = append(want, text)
		mustPut(t, l, []byte(text))
	}
	after := d.powerCut(func() bool { return false })
	file := after.get(filepath.Join("log", segmentName(3)))
	if !bytes.Contains(file, []byte("old")) {
		t.Fatal("segment 3 is no file that was used before")
	}
	l = mustOpen(t, "log", Options{FS: after})
	got := texts(t, l)
	if at := slices.Index(got, want[0]); at < 0 || !slices.Equal(got[at:], want) || l.Torn() != nil {
		t.Errorf("got %q and %v torn, want it to end with %q", got, l.Torn(), want)
	}
}

func TestCheckOnDisk(t *testing.T) {
	dir := t.TempDir()
	report, err := Check(dir, nil)
	if err != nil || report != (Report{}) {
		t.Errorf("empty directory: got %+v and error %v, want nothing", report, err)
	}
	l := mustOpen(t, dir, Options{})
	mustPut(t, l, []byte("x"), []byte("y"))
	mustClose(t, l)
	var got []string
	report, err = Check(dir, func(_ Pos, frame []byte) error {
		got = append(got, string(frame))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"x", "y"}) || report.Frames != 2 {
		t.Errorf("got %q, %+v and error %v, want x and y", got, report, err)
	}
	name := filepath.Join(dir, segmentName(1))
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	if report, err := Repair(dir); err != nil || report.Torn == nil || report.Frames != 1 {
		t.Errorf("repair: got %+v and error %v, want the last frame cut", report, err)
	}
	if report, err := Check(dir, nil); err != nil || report.Torn != nil || report.Frames != 1 {
		t.Errorf("after repair: got %+v and error %v, want one frame", report, err)
	}
	if err := os.Mkdir(filepath.Join(dir, segmentName(2)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(dir, nil); err == nil {
		t.Error("got no error for a directory with a segment's name")
	}
}
