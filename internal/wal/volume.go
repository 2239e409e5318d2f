package wal

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	freshName = "next.tmp"  // becomes a segment as soon as its header is durable
	spareName = "spare.tmp" // has been a segment and waits to become one again
)

// spareState is whether there is a file called spareName.
type spareState int

const (
	absent spareState = iota
	ready
	inUse // it is about to come or to go: whoever has set this, and nobody else, touches the name
)

// Torn is what a crash has left of a write that was never reported as done.
type Torn struct {
	File   string
	Offset int64 // in bytes; the file is cut behind the last whole record, at or before
	Reason string
}

// String says what was found, in one line.
func (t *Torn) String() string {
	return fmt.Sprintf("%s, offset %d: %s: the end of a write that a crash has cut off", t.File, t.Offset, t.Reason)
}

// volume is a log's files, as they lie in the directory.
type volume struct {
	fs       FS
	dir      string
	segments []segment // oldest first; their ends are known, that of the last after tail
	spare    spareState
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

func (v *volume) file(s *segment) string { return v.path(segmentName(s.number)) }

// load reads the directory and the headers of all segments, and checks that none is missing.
func load(system FS, dir string) (*volume, error) {
	v := &volume{fs: system, dir: dir}
	names, err := system.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	numbers := map[uint32]string{}
	for _, name := range names {
		if name == spareName {
			v.spare = ready
		}
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		number, ok := segmentNumber(name)
		if !ok {
			return nil, &CorruptError{v.path(name), 0, "the name is not that of a segment, such as " + segmentName(1)}
		}
		if other, ok := numbers[number]; ok {
			return nil, &CorruptError{v.path(name), 0, fmt.Sprintf("is segment %d, and so is %s", number, other)}
		}
		numbers[number] = name
		if name != segmentName(number) {
			continue // refused below, unless its twin comes
		}
		s, err := v.header(number)
		if err != nil {
			return nil, err
		}
		v.segments = append(v.segments, s)
	}
	for number, name := range numbers {
		if name != segmentName(number) {
			return nil, &CorruptError{v.path(name), 0, "has been renamed: segment " + fmt.Sprint(number) + " is called " + segmentName(number)}
		}
	}
	slices.SortFunc(v.segments, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	return v, v.chain()
}

// header reads the header of a segment.
func (v *volume) header(number uint32) (segment, error) {
	name := v.path(segmentName(number))
	f, err := v.fs.Open(name, os.O_RDONLY)
	if err != nil {
		return segment{}, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return segment{}, err
	}
	b := make([]byte, headerUsed)
	if _, err := f.ReadAt(b, 0); err == io.EOF || err == nil && size < headerBytes {
		return segment{}, &CorruptError{name, size, "the file ends within its header"}
	} else if err != nil {
		return segment{}, err
	}
	s, err := decodeHeader(b, name, number)
	s.size = size
	return s, err
}

// chain checks that each segment follows the one before, and notes where that ends.
func (v *volume) chain() error {
	for i := 1; i < len(v.segments); i++ {
		before, s := &v.segments[i-1], &v.segments[i]
		if s.before != before.number {
			return &CorruptError{v.file(s), 0, fmt.Sprintf("follows segment %d, which is missing: the one before it here is %d", s.before, before.number)}
		}
		if s.salt != before.salt {
			return &CorruptError{v.file(s), 0, fmt.Sprintf("is of another log than segment %d", before.number)}
		}
		if s.endedAt < headerBytes || s.endedAt > before.size {
			return &CorruptError{v.file(before), before.size, fmt.Sprintf("the file ends here, but segment %d says that its records go on to offset %d", s.number, s.endedAt)}
		}
		before.end = s.endedAt
	}
	return nil
}

// last returns the last segment; nil when there is none.
func (v *volume) last() *segment {
	if len(v.segments) == 0 {
		return nil
	}
	return &v.segments[len(v.segments)-1]
}

// scan walks segment i.
func (v *volume) scan(i int, fn func(Pos, []byte) error) (walked, error) {
	s := &v.segments[i]
	f, err := v.fs.Open(v.file(s), os.O_RDONLY)
	if err != nil {
		return walked{}, err
	}
	defer f.Close()
	if i < len(v.segments)-1 {
		return newScanner(f, v.file(s), s, s.end).walkSealed(fn)
	}
	return newScanner(f, v.file(s), s, s.size).walkLast(fn)
}

func ignore(Pos, []byte) error { return nil }

// settle makes the end of the last segment a fact: it cuts the file there, and brings
// to the disk what is before.
func (v *volume) settle() (*Torn, error) {
	last := v.last()
	if last == nil {
		return nil, nil
	}
	w, err := v.scan(len(v.segments)-1, ignore)
	if err != nil {
		return nil, err
	}
	last.end = w.end
	f, err := v.fs.Open(v.file(last), os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := settleFile(f, w, last.size); err != nil {
		f.Close()
		return nil, err
	}
	last.size = last.end
	return w.broken, f.Close()
}

// settleFile cuts a file behind its records and syncs it. A file that ends with its last
// record was closed well. In any other, what lies behind the last mark may be in the
// system's memory only, and after a failed sync the system may take it for written: so
// it is written again first, byte for byte.
func settleFile(f File, w walked, size int64) error {
	if size > w.end {
		if err := rewrite(f, w.marked, w.end); err != nil {
			return err
		}
		if err := f.Truncate(w.end); err != nil {
			return err
		}
	}
	return f.Sync()
}

// rewrite writes what a file holds between two offsets once more; it does nothing when
// from is 0.
func rewrite(f File, from, to int64) error {
	if from == 0 {
		return nil
	}
	b := make([]byte, min(windowBytes, to-from))
	for from < to {
		b = b[:min(int64(len(b)), to-from)]
		if _, err := f.ReadAt(b, from); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return nil
}
