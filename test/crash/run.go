package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// options are what a run is asked for.
type options struct {
	binary      string
	kills       int
	terminates  float64 // the part of the kills that are SIGTERM instead
	publishers  int
	subscribers int
	shifters    int
	rate        float64 // messages a second of each publisher, roughly
	seed        uint64
	progress    io.Writer // nil: none
	discard     bool      // faults are expected: keep no directory
}

// run is one chaos run.
type run struct {
	options
	history *history
	broker  *process
	address string
	dir     string

	quiet     atomic.Bool   // nothing new is published or asked for
	quietened chan struct{} // closed when quiet becomes true
	restarts  []time.Duration

	publish []*publisher
	receive []*subscriber
	shift   []*shifter
}

// outcome is what a run has shown.
type outcome struct {
	*verdict
	kills     int
	shortened int // times that the broker has shortened its state
	restarts  []time.Duration
	lasted    time.Duration
	dir       string // kept for the post mortem; empty when it was removed
}

// start makes a run in a directory of its own.
func start(o options) (*run, error) {
	dir, err := os.MkdirTemp("", "colibri-crash-")
	if err != nil {
		return nil, err
	}
	broker, err := newProcess(o.binary, dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &run{options: o, history: newHistory(o.publishers), broker: broker, address: broker.address, dir: dir,
		quietened: make(chan struct{})}, nil
}

// randomOf returns the random numbers of one client.
func (r *run) randomOf(kind, number int) *rand.Rand {
	return rand.New(rand.NewPCG(r.seed, uint64(kind)<<32+uint64(number)))
}

// sleep waits, but not longer than until the run is quiet.
func (r *run) sleep(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-r.quietened:
	case <-time.After(long):
	}
}

// all does the run and judges it. An error says why there is no judgement.
func (r *run) all(ctx context.Context) (*outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer r.broker.end(syscall.SIGKILL)
	defer clients.Wait()
	defer cancel()
	if err := r.broker.start(); err != nil {
		return nil, err
	}
	if _, err := r.broker.firstConnack(ctx); err != nil {
		return nil, err
	}
	for n := range r.subscribers {
		s := newSubscriber(r, n)
		r.receive = append(r.receive, s)
		clients.Go(func() { s.live(ctx) })
	}
	for _, s := range r.receive {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(connackTime):
			return nil, fmt.Errorf("%s was not subscribed within %s", s.id, connackTime)
		}
	}
	for n := range r.publishers {
		p := newPublisher(r, n)
		r.publish = append(r.publish, p)
		clients.Go(func() { p.live(ctx) })
	}
	for n := range r.shifters {
		s := newShifter(r, n)
		r.shift = append(r.shift, s)
		clients.Go(func() { s.live(ctx) })
	}
	if r.chaos(ctx) && r.settle(ctx) {
		r.afterwards(ctx)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	cancel()
	clients.Wait()
	r.leftOver()
	o := &outcome{verdict: check(r.history), kills: r.history.killCount(), restarts: r.restarts, lasted: r.history.now(), dir: r.dir}
	r.broker.end(syscall.SIGTERM)
	var err error
	if o.shortened, err = r.broker.checkpoints(); err != nil {
		return nil, err
	}
	return o, r.keep(o)
}

// chaos kills the broker again and again. It returns false when the run is over, because
// the broker has ended by itself or ctx has.
func (r *run) chaos(ctx context.Context) bool {
	random := r.randomOf(0, 0)
	early := false
	for range r.kills {
		wait := 100*time.Millisecond + time.Duration(random.Int64N(int64(1400*time.Millisecond)))
		if early { // before it has come up
			wait = time.Duration(random.Int64N(int64(40 * time.Millisecond)))
		}
		signal := r.signal(random)
		early = random.IntN(6) == 0
		if !r.let(ctx, wait) || !r.restart(ctx, signal, early) {
			return false
		}
		r.show()
	}
	return !early || r.up(ctx)
}

// signal chooses how the broker ends.
func (r *run) signal(random *rand.Rand) os.Signal {
	if random.Float64() < r.terminates {
		return syscall.SIGTERM
	}
	return syscall.SIGKILL
}

// let waits while the broker lives.
func (r *run) let(ctx context.Context, wait time.Duration) bool {
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
	case <-r.broker.exited:
		if ctx.Err() == nil {
			r.history.observe(fault{Kind: broken, Text: "the broker ended by itself: " + r.broker.state()})
		}
	}
	return false
}

// restart ends the broker and starts it again; early does not wait until it lets clients in.
func (r *run) restart(ctx context.Context, signal os.Signal, early bool) bool {
	r.history.killed()
	r.broker.end(signal)
	if err := r.broker.start(); err != nil {
		r.history.observe(fault{Kind: broken, Text: "the broker cannot be started again: " + err.Error()})
		return false
	}
	return early || r.up(ctx)
}

// up waits until the broker lets clients in.
func (r *run) up(ctx context.Context) bool {
	took, err := r.broker.firstConnack(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.history.observe(fault{Kind: broken, Text: fmt.Sprintf("no CONNACK %s after the restart: %v", seconds(time.Since(r.broker.started)), err)})
		}
		return false
	}
	r.restarts = append(r.restarts, took)
	return true
}

// settleTime is how long nothing may have arrived before nothing more is expected.
const settleTime = 5 * time.Second

// settle lets every handshake end and everything that waits arrive.
func (r *run) settle(ctx context.Context) bool {
	if r.quiet.CompareAndSwap(false, true) {
		close(r.quietened)
	}
	_, before := r.history.progress()
	since := time.Now()
	for r.let(ctx, 200*time.Millisecond) {
		_, received := r.history.progress()
		if received != before {
			before, since = received, time.Now()
		}
		r.show()
		idle := time.Since(since)
		if idle > settleTime || idle > time.Second && r.complete() {
			return true
		}
	}
	return false
}

// complete reports whether every client has come to its end and nothing is missing.
func (r *run) complete() bool {
	for _, p := range r.publish {
		if p.outstanding.Load() > 0 {
			return false
		}
	}
	for _, s := range r.receive {
		if !s.online.Load() {
			return false
		}
	}
	for _, s := range r.shift {
		if !s.settled.Load() {
			return false
		}
	}
	return check(r.history).countOfFaults[lost] == 0
}

// afterwards restarts the broker once more, so that what it shows comes from what it has
// recorded, and compares the Retained Messages and the Subscriptions.
func (r *run) afterwards(ctx context.Context) {
	if !r.restart(ctx, r.signal(r.randomOf(0, 1)), false) || !r.settle(ctx) {
		return
	}
	found, err := retained(ctx, r.address)
	if err != nil {
		r.history.observe(fault{Kind: retainedWrong, Text: err.Error()})
	} else {
		for _, f := range checkRetained(r.history, found) {
			r.history.observe(f)
		}
	}
	kills := int32(r.history.killCount())
	for _, s := range r.shift {
		for deadline := time.Now().Add(30 * time.Second); s.rounds.Load() <= kills; {
			if !r.let(ctx, 50*time.Millisecond) {
				return
			}
			if time.Now().After(deadline) {
				r.history.observe(fault{Kind: unanswered, Session: s.id, Text: "its Subscriptions could not be looked at"})
				break
			}
		}
	}
}

// leftOver notes the handshakes that the broker never ended. The clients have stopped.
func (r *run) leftOver() {
	for _, p := range r.publish {
		for _, h := range slices.Concat(p.released, p.unanswered) {
			r.history.mu.Lock()
			text := r.history.describe(h.message) + ": its handshake did not end"
			r.history.mu.Unlock()
			r.history.observe(fault{Kind: unanswered, Session: p.id, Text: text})
		}
	}
}

// keep removes the directory of a run without faults. The one of another holds the
// state, the broker's log, and what is wrong.
func (r *run) keep(o *outcome) error {
	if len(o.faults) == 0 || r.discard {
		o.dir = ""
		return os.RemoveAll(r.dir)
	}
	return os.WriteFile(filepath.Join(r.dir, "faults.txt"), []byte(o.allFaults()), 0o644)
}

// show writes the progress line.
func (r *run) show() {
	if r.progress == nil {
		return
	}
	acknowledged, received := r.history.progress()
	text := ""
	if r.quiet.Load() {
		text = ", waiting for the rest"
	}
	fmt.Fprintf(r.progress, "\r\x1b[Kkill %d of %d: %d acknowledged, %d PUBLISH received%s", r.history.killCount(), r.kills, acknowledged, received, text)
}
