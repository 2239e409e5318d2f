package broker

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/topic"
)

// recover rebuilds the broker's state from its Log. Nobody is served yet.
func (b *Broker) recover() error {
	if !b.durable {
		return nil
	}
	state := journal.NewState()
	frames := 0
	var index journal.Index
	err := b.log.Read(context.Background(), b.peers.Self(), 0, math.MaxUint64, func(at Pos, frame []byte) error {
		frames++
		index.Add(uint64(at), frame)
		return nil
	})
	if err == nil {
		err = b.log.Read(context.Background(), b.peers.Self(), Pos(index.From()), math.MaxUint64, func(at Pos, frame []byte) error {
			if !index.Counts(uint64(at), frame) {
				return nil
			}
			return state.Fold(frame)
		})
	}
	if err != nil {
		return fmt.Errorf("broker: the log cannot be read: %w", err)
	}
	now := time.Now()
	var entries []byte
	if frames == 0 {
		entries = journal.Append(entries, journal.Format{Version: journal.FormatVersion})
	}
	b.earliest = state.Latest
	recovered := journal.Recovered{At: b.recordedTime(now).UnixNano()}
	if err := state.Apply(recovered); err != nil {
		return err
	}
	b.log.Append(0, journal.Append(entries, recovered), nil)
	b.numbers.session.Store(state.LastSession)
	b.numbers.message.Store(state.LastMessage)
	b.numbers.retained.Store(state.LastRetained)
	for _, retained := range state.Retained {
		if !retained.Message.Expired(now) {
			b.retained.restore(retained.Message)
		}
	}
	var groups []*journal.Session
	b.registry.mu.Lock()
	defer b.registry.mu.Unlock()
	for _, from := range state.Sessions {
		if _, ok := groupFilter(from.ClientID); ok {
			groups = append(groups, from)
			continue
		}
		b.recoverSession(from, now)
	}
	for _, from := range groups { // their members are there now
		b.recoverGroup(from)
	}
	for _, s := range b.registry.sessions { // only now: the alarm ends Sessions
		if s.will != nil {
			b.alarm.set(s.willDue, s)
		}
		if !s.due.IsZero() {
			b.alarm.set(s.due, s)
		}
	}
	return nil
}

// recoverSession makes a Session of what the Log says of it.
func (b *Broker) recoverSession(from *journal.Session, now time.Time) {
	s := &liveSession{clientID: from.ClientID, number: from.Number, state: session.New(&b.sessionLimits),
		log: &logged{will: from.Will != nil, author: from.WillAuthor, deliveries: from.LastDelivery}}
	s.state.Restore(from)
	b.registry.sessions[s.clientID] = s
	for _, sub := range s.state.Subscriptions() {
		if _, _, shared := topic.SplitShared(sub.Filter); shared {
			b.joinGroup(s, sub.Filter)
		}
		b.router.Subscribe(s, sub)
	}
	for _, filter := range s.state.Shares() {
		if g, _ := b.groups.find(filter); g != nil {
			g.owed.Store(true)
		}
	}
	shard := &b.counters.road[0]
	shard.queued.Add(int64(s.state.Queued()))
	shard.queuedBytes.Add(int64(s.state.QueuedPayload()))

	closed := time.Unix(0, from.Closed)
	s.closed = closed
	if closed.After(now) { // what is left of its interval is not known
		closed = now
	}
	if from.Will != nil {
		delay := min(from.WillDelay, s.state.ExpiryInterval())
		s.will, s.willDue = from.Will, closed.Add(time.Duration(delay)*time.Second)
	}
	if interval := s.state.ExpiryInterval(); interval != session.NeverExpires {
		s.due = closed.Add(time.Duration(interval) * time.Second)
	}
}

// recordedTime returns the time that is recorded for now: none before those that the Log has.
// A machine without a battery begins with a time long ago, and whoever starts with the right
// one next would end all Sessions that were closed meanwhile. If it was the time before
// that was wrong, they stay for too long instead, but no longer than their interval while
// the broker runs.
func (b *Broker) recordedTime(now time.Time) time.Time {
	if now.UnixNano() < b.earliest {
		return time.Unix(0, b.earliest)
	}
	return now
}

// restore retains m, which the Log says to be retained.
func (r *retainedStore) restore(m *colibri.Message) {
	r.names.Update(m.Topic, func(old *colibri.Message) *colibri.Message {
		r.changed(m.Topic, old, m)
		return m
	})
}
