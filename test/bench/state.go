package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/wal"
	"github.com/colibri-mqtt/colibri/packet"
)

// state says what a broker finds when it starts.
type state struct {
	queued   int // messages that one Session has queued
	sessions int // with a Subscription each; their clients are away
	retained int // messages
}

// pieceBytes is how much a frame of the log holds at least, except for the last.
const pieceBytes = 256 << 10

// entries yields what folds to the state.
func (s state) entries(now time.Time) func(yield func(journal.Entry) bool) {
	return func(yield func(journal.Entry) bool) {
		ok := yield(journal.Format{Version: journal.FormatVersion})
		session := func(number uint64, clientID, filter string) {
			ok = ok && yield(journal.SessionOpened{Session: number, ClientID: clientID, Version: colibri.V311, ExpiryInterval: math.MaxUint32}) &&
				yield(journal.SubscriptionGranted{Session: number, Subscription: colibri.Subscription{Filter: filter, QoS: colibri.AtLeastOnce}}) &&
				yield(journal.SessionClosed{Session: number, At: now.UnixNano(), ExpiryInterval: math.MaxUint32})
		}
		payload := make([]byte, payloadBytes)
		if s.queued > 0 {
			session(1, queueClient, queueTopic)
		}
		for n := uint64(1); ok && n <= uint64(s.queued); n++ {
			ok = yield(journal.MessageStored{Number: n, Message: &colibri.Message{Topic: queueTopic, Payload: payload, QoS: colibri.AtLeastOnce}}) &&
				yield(journal.DeliveryQueued{Session: 1, Delivery: n, Message: n, QoS: colibri.AtLeastOnce})
		}
		for n := uint64(1); ok && n <= uint64(s.sessions); n++ {
			session(n+1, sessionClient(n), fmt.Sprintf("bench/session/%06d/+", n))
		}
		for n := uint64(1); ok && n <= uint64(s.retained); n++ {
			ok = yield(journal.RetainedSet{Number: n, Message: &colibri.Message{
				Topic: retainedTopic(n), Payload: payload, QoS: colibri.AtLeastOnce, Retain: true}})
		}
	}
}

func sessionClient(n uint64) string { return fmt.Sprintf("bench-session-%06d", n) }
func retainedTopic(n uint64) string { return fmt.Sprintf("bench/retained/%06d", n) }

// write makes a log of the state in dir; the empty state has none, as when a broker starts
// for the first time.
func (s state) write(dir string) error {
	log, err := wal.Open(dir, wal.Options{SyncInterval: time.Second}) // closing it syncs it
	if err != nil {
		return err
	}
	if s == (state{}) {
		return log.Close()
	}
	var b []byte
	written := make(chan error, 1)
	flush := func() error {
		log.Append(b, func(_ wal.Pos, err error) { written <- err })
		b = b[:0]
		return <-written
	}
	for e := range s.entries(time.Now()) {
		b = journal.Append(b, e)
		if len(b) >= pieceBytes {
			if err := flush(); err != nil {
				return errors.Join(err, log.Close())
			}
		}
	}
	return errors.Join(flush(), log.Close())
}

// check finds out whether the broker has taken the state over, by its first and its last.
func (s state) check(broker *process) error {
	if s.queued > 0 {
		nc, err := resume(broker, queueClient)
		if err != nil {
			return err
		}
		err = awaitMessage(nc, queueTopic)
		nc.Close()
		if err != nil {
			return err
		}
	}
	if s.sessions > 0 {
		for _, n := range []int{1, s.sessions} {
			nc, err := resume(broker, sessionClient(uint64(n)))
			if err != nil {
				return err
			}
			nc.Close()
		}
	}
	if s.retained > 0 {
		nc, _, err := connect(broker, "bench-retained", true)
		if err != nil {
			return err
		}
		defer nc.Close()
		for _, n := range []int{1, s.retained} {
			if err := grant(nc, retainedTopic(uint64(n))); err != nil {
				return err
			}
			if err := awaitMessage(nc, retainedTopic(uint64(n))); err != nil {
				return err
			}
		}
	}
	return nil
}

// resume connects to a Session that must be there.
func resume(broker *process, clientID string) (net.Conn, error) {
	nc, present, err := connect(broker, clientID, false)
	if err == nil && !present {
		nc.Close()
		err = fmt.Errorf("the Session of %s is gone", clientID)
	}
	return nc, err
}

// awaitMessage reads a message with that topic.
func awaitMessage(nc net.Conn, topic string) error {
	got, err := receive(nc)
	if err != nil {
		return fmt.Errorf("waiting for a message with topic %s: %w", topic, err)
	}
	if m, ok := got.(*packet.Publish); !ok || m.Topic != topic || len(m.Payload) != payloadBytes {
		return fmt.Errorf("got %T %+v, want a message with topic %s", got, got, topic)
	}
	return nil
}
