package wal

import (
	"slices"
	"strings"
)

// Report is what a log's directory holds.
type Report struct {
	Segments int
	Frames   int
	Bytes    int64 // headers, records and the gaps between them
	Oldest   Pos   // no frame lies before
	Next     Pos   // all frames lie before
	Torn     *Torn // what a crash has left at the end; nil when there is nothing
}

// Check reads a whole log, without its lock and without changing anything, and calls fn
// for each frame, oldest first. The frame is valid until fn returns; fn may be nil. An
// error of fn ends Check and is returned.
//
// Errors are *CorruptError, *VersionError and those of the operating system. The Report
// holds what was read before the error. A torn end is none. While a Log is open its end moves: Check
// may then see a torn end, and fail if segments are let go of.
func Check(dir string, fn func(Pos, []byte) error) (Report, error) {
	return check(&system{}, dir, fn)
}

func check(system FS, dir string, fn func(Pos, []byte) error) (Report, error) {
	if fn == nil {
		fn = ignore
	}
	v, err := load(system, dir)
	if err != nil {
		return Report{}, openError(err)
	}
	report := Report{Segments: len(v.segments)}
	for i := range v.segments {
		s := &v.segments[i]
		if i == 0 {
			report.Oldest = s.pos(headerBytes)
		}
		w, err := v.scan(i, fn)
		report.Frames += w.frames
		report.Bytes += w.end
		report.Next = s.pos(w.end)
		report.Torn = w.broken
		if err != nil {
			return report, err
		}
	}
	return report, nil
}

// CheckLocked is Check with the lock: no Log moves the end meanwhile. What is open already
// is a *LockedError.
func CheckLocked(dir string) (Report, error) {
	return locked(&system{}, dir, func(r Report) (Report, error) { return r, nil })
}

// Repair cuts what a crash has left at the end of a log, and nothing else: the Report
// says in Torn what that was. It does what Open does, with the lock, after a Check.
func Repair(dir string) (Report, error) { return repair(&system{}, dir) }

func repair(system FS, dir string) (Report, error) {
	return locked(system, dir, func(report Report) (Report, error) {
		v, err := load(system, dir)
		if err == nil {
			report.Torn, err = v.settle()
		}
		if err != nil {
			return report, openError(err)
		}
		return report, nil
	})
}

// locked checks a log and calls do, with the lock. It leaves a directory alone that has
// never been one.
func locked(system FS, dir string, do func(Report) (Report, error)) (report Report, err error) {
	names, err := system.ReadDir(dir)
	if err != nil {
		return report, openError(err)
	}
	if !slices.ContainsFunc(names, func(name string) bool { return name == lockName || strings.HasSuffix(name, suffix) }) {
		return report, nil
	}
	v := &volume{fs: system, dir: dir}
	lock, err := system.Lock(v.path(lockName))
	if err != nil {
		return report, openError(err)
	}
	defer func() {
		if e := lock.Close(); err == nil {
			err = e
		}
	}()
	if report, err = check(system, dir, nil); err != nil {
		return report, err
	}
	return do(report)
}
