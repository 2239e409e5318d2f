package sim

import (
	"context"

	"github.com/colibri-mqtt/colibri/broker"
)

// lateLog is a Log that forgets everything and is done in a goroutine of its own, in order:
// what is to be recorded before a reply is always under way when others go on.
type lateLog struct {
	appends chan func(broker.Pos, error)
	ended   chan struct{}
}

func newLateLog() *lateLog {
	l := &lateLog{appends: make(chan func(broker.Pos, error), 1<<16), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		pos := broker.Pos(0)
		for done := range l.appends {
			pos++
			done(pos, nil)
		}
	}()
	return l
}

// Append implements broker.Log.
func (l *lateLog) Append(_ int, _ []byte, done func(broker.Pos, error)) {
	if done != nil {
		l.appends <- done
	}
}

// Read implements broker.Log.
func (*lateLog) Read(context.Context, broker.NodeID, broker.Pos, broker.Pos, func(broker.Pos, []byte) error) error {
	return nil
}

// Truncate implements broker.Log.
func (*lateLog) Truncate(int, broker.Pos) error { return nil }

// Bytes implements broker.Log.
func (*lateLog) Bytes() int64 { return 0 }

// Durability implements broker.Log.
func (*lateLog) Durability() broker.Level { return broker.OnDisk }

// Close implements broker.Log.
func (l *lateLog) Close() error {
	close(l.appends)
	<-l.ended
	return nil
}
