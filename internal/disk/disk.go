// Package disk keeps what a broker must not lose in a directory: it makes a broker.Log of
// a write-ahead log.
package disk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/wal"
)

// Log is a broker.Log in a directory of this machine. It has one lane. Its methods may be
// called from any goroutine, Close not from a done function.
type Log struct {
	wal *wal.Log
	dir string
}

// Open opens the log in a directory, which it creates if need be and keeps for itself until
// Close. Errors as of wal.Open.
func Open(dir string, o wal.Options) (*Log, error) {
	l, err := wal.Open(dir, o)
	if err != nil {
		return nil, err
	}
	return &Log{l, dir}, nil
}

// Torn returns what a crash has left at the end and was cut; nil for nothing.
func (l *Log) Torn() *wal.Torn { return l.wal.Torn() }

// Append implements broker.Log.
func (l *Log) Append(_ int, entries []byte, done func(broker.Pos, error)) {
	l.wal.Append(entries, answer(done))
}

// answer returns done for a wal.Log.
func answer(done func(broker.Pos, error)) func(wal.Pos, error) {
	if done == nil {
		return nil
	}
	return func(at wal.Pos, err error) {
		if errors.Is(err, wal.ErrFull) || errors.Is(err, wal.ErrTooLarge) {
			err = fmt.Errorf("%w: %w", broker.ErrRefused, err)
		}
		done(broker.Pos(at), err)
	}
}

// Read implements broker.Log for the frames that the log held when it was opened, before
// the first Append. An error of fn is returned with file and offset.
func (l *Log) Read(ctx context.Context, _ broker.NodeID, from, upTo broker.Pos, fn func(broker.Pos, []byte) error) error {
	return l.wal.Replay(func(at wal.Pos, frame []byte) error {
		if pos := broker.Pos(at); pos < from || pos >= upTo {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(broker.Pos(at), frame); err != nil {
			return fmt.Errorf("%s, offset %d: %w", filepath.Join(l.dir, at.File()), at.Offset(), err)
		}
		return nil
	})
}

// Truncate implements broker.Log.
func (l *Log) Truncate(_ int, before broker.Pos) error { return l.wal.Truncate(wal.Pos(before)) }

// Bytes implements broker.Log.
func (l *Log) Bytes() int64 { return l.wal.Bytes() }

// Stopped returns a channel that is closed when the disk has failed, also while nobody waits
// for an append; Err says why.
func (l *Log) Stopped() <-chan struct{} { return l.wal.Stopped() }

// Err returns why the log records nothing more; nil while it does.
func (l *Log) Err() error { return l.wal.Err() }

// Durability implements broker.Log.
func (l *Log) Durability() broker.Level { return broker.OnDisk }

// Close implements broker.Log.
func (l *Log) Close() error { return l.wal.Close() }
