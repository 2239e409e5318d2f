package wal

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// crashFS is a file system in memory that knows what a power cut would leave of it: the
// content that files had at their last Sync, and the names that the directory had at its
// last SyncDir, and of what was done since, any part.
type crashFS struct {
	mu     sync.Mutex
	files  map[int]*content
	names  map[string]int // as a process sees them
	kept   map[string]int // as they were at the last SyncDir
	since  []change       // of names since
	trace  []change       // everything, from the beginning
	locked bool

	// refuse is called before each change; a write may still take that many bytes.
	refuse func(c change) (taken int, err error)
	notify func(c change) // after each change
}

// content is what a file holds.
type content struct {
	now    []byte // as a process sees it
	synced []byte // as it was at the last Sync
	since  []change
}

// change is one step that a process has taken.
type change struct {
	kind string // write, truncate, sync, create, rename, remove, syncdir
	file int
	at   int64 // offset of a write, size of a truncate
	data []byte
	name string
	to   string // of a rename
}

func (c change) String() string {
	return fmt.Sprintf("%s file %d at %d, %d bytes, %s %s", c.kind, c.file, c.at, len(c.data), c.name, c.to)
}

func newCrashFS() *crashFS {
	return &crashFS{files: map[int]*content{}, names: map[string]int{}, kept: map[string]int{}}
}

// do takes one step, as a process.
func (d *crashFS) do(c change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse != nil {
		taken, err := d.refuse(c)
		if err != nil {
			if c.kind == "write" && taken > 0 {
				c.data = c.data[:taken]
				d.apply(c)
			}
			return &fs.PathError{Op: c.kind, Path: c.name, Err: err}
		}
	}
	d.apply(c)
	if d.notify != nil {
		d.notify(c)
	}
	return nil
}

// apply changes what a process sees, and what a power cut leaves.
func (d *crashFS) apply(c change) {
	d.trace = append(d.trace, c)
	switch c.kind {
	case "create":
		d.files[c.file] = &content{}
		rename(d.names, c)
		d.since = append(d.since, c)
	case "rename", "remove":
		rename(d.names, c)
		d.since = append(d.since, c)
	case "syncdir":
		d.kept, d.since = maps.Clone(d.names), nil
	case "write", "truncate":
		f := d.files[c.file]
		f.now = c.on(f.now)
		f.since = append(f.since, c)
	case "sync":
		f := d.files[c.file]
		for _, c := range f.since {
			f.synced = c.on(f.synced)
		}
		f.since = nil
	}
}

// rename applies a change of names.
func rename(names map[string]int, c change) {
	switch c.kind {
	case "create":
		names[c.name] = c.file
	case "remove":
		delete(names, c.name)
	case "rename":
		delete(names, c.name)
		names[c.to] = c.file
	}
}

// on applies a write or a truncate to bytes, which it may change.
func (c change) on(b []byte) []byte {
	size := int(c.at) + len(c.data)
	if c.kind == "truncate" && size < len(b) {
		return b[:size]
	}
	if size > len(b) {
		b = append(b, make([]byte, size-len(b))...)
	}
	copy(b[c.at:], c.data)
	return b
}

// sectors splits a write where it crosses sectors.
func (c change) sectors() []change {
	var all []change
	for from := 0; from < len(c.data); {
		piece := c
		piece.at += int64(from)
		piece.data = c.data[from:min(int(nextSector(piece.at+1)-c.at), len(c.data))]
		all = append(all, piece)
		from += len(piece.data)
	}
	return all
}

// clone copies the file system as it is, without its history: what a process that starts
// after kill -9 finds.
func (d *crashFS) clone() *crashFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newCrashFS()
	for id, f := range d.files {
		after.files[id] = &content{slices.Clone(f.now), slices.Clone(f.synced), slices.Clone(f.since)}
	}
	after.names, after.kept, after.since = maps.Clone(d.names), maps.Clone(d.kept), slices.Clone(d.since)
	return after
}

// powerCut returns what is there after a power cut: keep says of each step that was not
// synced whether it has reached the disk. Names reach it in order, as in a journal.
func (d *crashFS) powerCut(keep func() bool) *crashFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newCrashFS()
	after.names = maps.Clone(d.kept)
	for _, c := range d.since {
		if !keep() {
			break
		}
		rename(after.names, c)
	}
	after.kept = maps.Clone(after.names)
	for _, id := range after.names {
		f := d.files[id]
		b := slices.Clone(f.synced)
		for _, c := range f.since {
			if c.kind == "truncate" {
				if keep() {
					b = c.on(b)
				}
				continue
			}
			for _, piece := range c.sectors() {
				if keep() {
					b = piece.on(b)
				}
			}
		}
		after.files[id] = &content{now: b, synced: slices.Clone(b)}
	}
	return after
}

// cuts are the ways in which a process or a machine can end.
var cuts = []struct {
	name string
	cut  func(d *crashFS, seed uint64) *crashFS
}{
	{"kill -9", func(d *crashFS, _ uint64) *crashFS { return d.clone() }},
	{"power cut, nothing unsynced is left", func(d *crashFS, _ uint64) *crashFS {
		return d.powerCut(func() bool { return false })
	}},
	{"power cut, some sectors are left", func(d *crashFS, seed uint64) *crashFS {
		random := rand.New(rand.NewPCG(seed, 1))
		return d.powerCut(func() bool { return random.IntN(2) == 0 })
	}},
	{"power cut, most sectors are left", func(d *crashFS, seed uint64) *crashFS {
		random := rand.New(rand.NewPCG(seed, 2))
		return d.powerCut(func() bool { return random.IntN(8) != 0 })
	}},
	{"power cut, the sectors being written are ruined", func(d *crashFS, _ uint64) *crashFS { return d.ruined() }},
}

// ruined returns what is there after a power cut on a disk that spoils the sectors which
// it was about to write.
func (d *crashFS) ruined() *crashFS {
	after := d.powerCut(func() bool { return false })
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, id := range after.names {
		f := after.files[id]
		for _, c := range d.files[id].since {
			for _, piece := range c.sectors() {
				piece.at, piece.data = piece.at&^(sectorBytes-1), bytes.Repeat([]byte{0xA5}, sectorBytes)
				if filepath.Ext(name) == suffix {
					f.now = piece.on(f.now)
				}
			}
		}
		f.synced = slices.Clone(f.now)
	}
	return after
}

// stepsFrom returns all steps but the first n.
func (d *crashFS) stepsFrom(n int) []change {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trace[n:]
}

// refuseWith sets what refuses steps from now on.
func (d *crashFS) refuseWith(refuse func(c change) (taken int, err error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = refuse
}

// put makes a durable file.
func (d *crashFS) put(name string, b []byte) {
	id := len(d.files) + 1
	d.files[id] = &content{now: slices.Clone(b), synced: slices.Clone(b)}
	d.names[name], d.kept[name] = id, id
}

// get returns what a file holds.
func (d *crashFS) get(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.files[d.names[name]].now)
}

func (d *crashFS) MakeDir(string) error { return nil }

func (d *crashFS) ReadDir(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

func (d *crashFS) SyncDir(string) error { return d.do(change{kind: "syncdir"}) }

func (d *crashFS) Open(name string, flag int) (File, error) {
	d.mu.Lock()
	id, ok := d.names[name]
	next := len(d.files) + 1
	for d.files[next] != nil {
		next++
	}
	d.mu.Unlock()
	switch {
	case ok && flag&os.O_TRUNC != 0:
		if err := d.do(change{kind: "truncate", file: id, name: name}); err != nil {
			return nil, err
		}
	case !ok && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case !ok:
		id = next
		if err := d.do(change{kind: "create", file: id, name: name}); err != nil {
			return nil, err
		}
	}
	return &crashFile{d, id, name}, nil
}

func (d *crashFS) Rename(from, to string) error {
	d.mu.Lock()
	id, ok := d.names[from]
	d.mu.Unlock()
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	return d.do(change{kind: "rename", file: id, name: from, to: to})
}

func (d *crashFS) Remove(name string) error { return d.do(change{kind: "remove", name: name}) }

func (d *crashFS) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, &LockedError{PID: 1, File: name}
	}
	d.locked = true
	return unlocker{d}, nil
}

type unlocker struct{ d *crashFS }

func (u unlocker) Close() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	u.d.locked = false
	return nil
}

type crashFile struct {
	d    *crashFS
	id   int
	name string
}

func (f *crashFile) ReadAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	now := f.d.files[f.id].now
	if at >= int64(len(now)) {
		return 0, io.EOF
	}
	n := copy(b, now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.d.do(change{kind: "write", file: f.id, at: at, data: slices.Clone(b), name: f.name}); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *crashFile) Truncate(size int64) error {
	return f.d.do(change{kind: "truncate", file: f.id, at: size, name: f.name})
}

func (f *crashFile) Sync() error { return f.d.do(change{kind: "sync", file: f.id, name: f.name}) }

func (f *crashFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.d.files[f.id].now)), nil
}

func (f *crashFile) Close() error { return nil }
