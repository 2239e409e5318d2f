package wal

// Truncate lets go of all segments whose frames lie before a position, but never of the
// last segment; when it returns nil, that is durable. The oldest goes first, so that a
// crash leaves no gap. One file is kept, to become a segment again.
//
// An error of the operating system leaves in place what could not be let go of, and the
// Log goes on; but if it was a sync that failed, the Log has stopped.
func (l *Log) Truncate(before Pos) error {
	l.cut.Lock()
	defer l.cut.Unlock()
	for {
		l.mu.Lock()
		v := l.volume
		switch {
		case l.closing:
			l.mu.Unlock()
			return ErrClosed
		case l.err != nil:
			err := l.err
			l.mu.Unlock()
			return err
		}
		if len(v.segments) < 2 || v.segments[1].pos(headerBytes) > before {
			l.mu.Unlock()
			return nil
		}
		oldest := v.segments[0]
		keep := v.spare == absent
		if keep {
			v.spare = inUse
		}
		l.mu.Unlock()
		if err := l.release(&oldest, keep); err != nil {
			return err
		}
	}
}

// release removes the oldest segment, or makes it the spare file.
func (l *Log) release(oldest *segment, keep bool) error {
	v := l.volume
	var err error
	if keep {
		err = v.fs.Rename(v.file(oldest), v.path(spareName))
	} else {
		err = v.fs.Remove(v.file(oldest))
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if keep {
			v.spare = absent
		}
		return err
	}
	if err := v.fs.SyncDir(v.dir); err != nil {
		return l.stop(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v.segments = v.segments[1:]
	l.bytes.Add(-oldest.end)
	if keep {
		v.spare = ready
	}
	return nil
}
