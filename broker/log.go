package broker

import (
	"context"
	"errors"
	"fmt"
)

// The seams of durability and reach. One machine has a Log of its own, or none, and no
// Peers; a cluster has both on a replicated engine. The rest of the broker cannot tell.

// NodeID names one node of a cluster; empty on one machine.
type NodeID string

// Pos is a position in a node's Log; later is greater.
type Pos uint64

// Level says what a recorded entry survives.
type Level int

// The levels of durability.
const (
	InMemory Level = iota // nothing: the end of the process loses it
	OnDisk                // the end of the process and a power cut
	OnQuorum              // also the loss of a node
)

// String says where entries are recorded.
func (l Level) String() string {
	switch l {
	case InMemory:
		return "in memory"
	case OnDisk:
		return "on disk"
	case OnQuorum:
		return "on a quorum of nodes"
	}
	return fmt.Sprintf("level %d", int(l))
}

// ErrRefused is what the error of a done unwraps to when the Log does not take these
// entries and may take later ones: too much waits, or they are too many. Any other error
// says that it takes nothing any more.
var ErrRefused = errors.New("the log does not take more now")

// Log records the durable changes of one node, as entries of internal/journal.
type Log interface {
	// Append records entries and calls done, once, when they are durable or cannot
	// become so; done may run in another goroutine, and before Append returns, and may
	// itself call Append. Appends to one lane are done in order. The Log copies entries
	// before Append returns. A nil done says that nobody waits: they are recorded soon.
	Append(lane int, entries []byte, done func(Pos, error))
	// Read yields the frames of owner's Log from one position up to another, as often as it
	// is asked. The frame is
	// valid until fn returns. An error of fn ends Read, which adds the place to it.
	Read(ctx context.Context, owner NodeID, from, upTo Pos, fn func(Pos, []byte) error) error
	// Truncate lets go of a lane's frames before a position.
	Truncate(lane int, before Pos) error
	// Bytes returns how much the Log holds.
	Bytes() int64
	// Durability says what a done entry survives.
	Durability() Level
	// Close waits until all that was appended is done. Nothing is taken afterwards.
	Close() error
}

// SessionID names a Session among all nodes.
type SessionID string

// Member is a node as its Peers see it.
type Member struct {
	ID      NodeID
	Address string
}

// Claimed is a Session whose ownership has moved here, fenced from its owner before.
type Claimed struct {
	Session SessionID
	From    NodeID
	Epoch   uint64
}

// Peers are the other nodes of a cluster.
type Peers interface {
	Self() NodeID
	// Watch calls fn when a member comes (up is true) or goes.
	Watch(fn func(m Member, up bool))
	Owner(ctx context.Context, s SessionID) (NodeID, uint64, error)
	Claim(ctx context.Context, s []SessionID) ([]Claimed, error)
	Fetch(ctx context.Context, from NodeID, s SessionID, epoch uint64) ([]byte, error)
	Send(to NodeID, frame []byte) error
}

// memoryLog is the Log of a broker without one: everything is done at once, and
// nothing survives. The road does not even write entries for it.
type memoryLog struct{}

func (memoryLog) Append(_ int, _ []byte, done func(Pos, error)) {
	if done != nil {
		done(0, nil)
	}
}
func (memoryLog) Read(context.Context, NodeID, Pos, Pos, func(Pos, []byte) error) error {
	return nil
}
func (memoryLog) Truncate(int, Pos) error { return nil }
func (memoryLog) Bytes() int64            { return 0 }
func (memoryLog) Durability() Level       { return InMemory }
func (memoryLog) Close() error            { return nil }

// nobody is the Peers of one machine.
type nobody struct{}

func (nobody) Self() NodeID             { return "" }
func (nobody) Watch(func(Member, bool)) {}
func (nobody) Owner(context.Context, SessionID) (NodeID, uint64, error) {
	return "", 0, nil
}
func (nobody) Claim(context.Context, []SessionID) ([]Claimed, error) { return nil, nil }
func (nobody) Fetch(context.Context, NodeID, SessionID, uint64) ([]byte, error) {
	return nil, nil
}
func (nobody) Send(NodeID, []byte) error { return nil }
