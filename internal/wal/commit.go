package wal

import (
	"time"
)

// commit is the committer: the one goroutine that writes. It ends with Close.
func (l *Log) commit() {
	defer close(l.ended)
	l.writer.log = l
	var b batch
	for {
		l.mu.Lock()
		if len(l.pending.entries) == 0 && l.closing {
			l.mu.Unlock()
			break
		}
		if !l.urgent && !l.closing {
			l.idle = true
			l.mu.Unlock()
			l.rest()
			continue
		}
		b, l.pending = l.pending, b
		l.urgent = false
		err := l.err
		l.mu.Unlock()

		if err == nil {
			if err = l.writer.write(&b); err != nil {
				err = l.stop(err)
			}
		}
		l.answer(&b, err)
		b.reset()
		l.syncIfDue()
	}
	if err := l.writer.close(); err != nil {
		l.stop(err)
	}
}

// rest waits until there is work.
func (l *Log) rest() {
	due, ok := l.writer.due()
	if !ok || l.Err() != nil { // after a failure nothing is synced any more
		<-l.wake
		return
	}
	timer := time.NewTimer(due)
	defer timer.Stop()
	select {
	case <-l.wake:
	case <-timer.C:
		l.syncIfDue()
	}
}

// syncIfDue syncs what has been written when Options.SyncInterval has passed.
func (l *Log) syncIfDue() {
	if due, ok := l.writer.due(); ok && due <= 0 && l.Err() == nil {
		if err := l.writer.sync(); err != nil {
			l.stop(err)
		}
	}
}

// answer calls the done functions of a batch.
func (l *Log) answer(b *batch, err error) {
	for i := range b.entries {
		e := &b.entries[i]
		switch {
		case e.done == nil:
		case err != nil:
			e.done(0, err)
		case e.err != nil:
			e.done(0, e.err)
		default:
			e.done(e.pos, nil)
		}
	}
}
