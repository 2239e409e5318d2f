// Package logtest is what every broker.Log must do, as a suite of tests.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
)

// patience is how long the suite waits for a done that has to come.
const patience = 30 * time.Second

// frame is what Read has yielded.
type frame struct {
	pos  broker.Pos
	text string
}

// Run runs the suite. open returns an empty Log for each test, and a function that closes it
// and opens what it has recorded; that may be called again, and closes then what it has
// returned before. The suite leaves the last Log of a test closed.
func Run(t *testing.T, open func(t *testing.T) (log broker.Log, reopen func() broker.Log)) {
	for _, test := range []struct {
		name string
		run  func(s *suite)
	}{
		{"an empty Log", (*suite).empty},
		{"dones come in order, once each, with ascending positions", (*suite).order},
		{"entries are copied before Append returns", (*suite).copies},
		{"a nil done is recorded in time", (*suite).nilDone},
		{"Read yields what was done, in order, and only from one position up to another", (*suite).read},
		{"an error of fn ends Read", (*suite).readError},
		{"positions are never used again", (*suite).positions},
		{"Truncate lets go of what is before, and of nothing else", (*suite).truncate},
		{"done may append", (*suite).appendFromDone},
		{"many appenders", (*suite).many},
		{"Close waits for what was appended, and nothing is taken afterwards", (*suite).close},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t}
			s.log, s.next = open(t)
			test.run(s)
			s.log.Close()
		})
	}
}

// suite is one test.
type suite struct {
	*testing.T
	log  broker.Log
	next func() broker.Log
}

func (s *suite) reopen() { s.log = s.next() }

// append appends and waits until it is done.
func (s *suite) append(text string) broker.Pos {
	s.Helper()
	type answer struct {
		pos broker.Pos
		err error
	}
	done := make(chan answer, 1)
	s.log.Append(0, []byte(text), func(pos broker.Pos, err error) { done <- answer{pos, err} })
	select {
	case got := <-done:
		if got.err != nil || got.pos == 0 {
			s.Fatalf("Append of %.20q: got position %d and error %v, want it done", text, got.pos, got.err)
		}
		return got.pos
	case <-time.After(patience):
		s.Fatalf("Append of %.20q was not done", text)
	}
	return 0
}

// frames reads from one position up to another.
func (s *suite) frames(from, upTo broker.Pos) (all []frame) {
	s.Helper()
	err := s.log.Read(context.Background(), "", from, upTo, func(pos broker.Pos, b []byte) error {
		all = append(all, frame{pos, string(b)})
		return nil
	})
	if err != nil {
		s.Fatalf("Read: %v", err)
	}
	return all
}

// want fails unless the Log holds exactly these frames.
func (s *suite) want(want []frame) {
	s.Helper()
	if got := s.frames(0, math.MaxUint64); !slices.Equal(got, want) {
		s.Errorf("Read: got %d frames %.200v, want %d %.200v", len(got), got, len(want), want)
	}
}

func (s *suite) empty() {
	s.want(nil)
	if got := s.log.Durability(); got <= broker.InMemory {
		s.Errorf("Durability: got %v, want more", got)
	}
	if err := s.log.Truncate(0, 1); err != nil {
		s.Errorf("Truncate: %v", err)
	}
	s.reopen()
	s.want(nil)
}

func (s *suite) order() {
	const n = 200
	var mu sync.Mutex
	var got []int
	var places []broker.Pos
	var all sync.WaitGroup
	all.Add(n)
	for i := range n {
		s.log.Append(0, fmt.Append(nil, "frame ", i), func(pos broker.Pos, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.Errorf("frame %d: %v", i, err)
			}
			got, places = append(got, i), append(places, pos)
			if len(got) <= n {
				all.Done()
			}
		})
	}
	all.Wait()
	if err := s.log.Close(); err != nil { // a second done would have come by then
		s.Errorf("Close: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != n || !slices.IsSorted(got) {
		s.Errorf("got dones in the order %v, want 0 to %d, once each", got, n-1)
	}
	for i := 1; i < len(places); i++ {
		if places[i] <= places[i-1] {
			s.Errorf("position %d of frame %d is not after %d", places[i], i, places[i-1])
		}
	}
}

func (s *suite) copies() {
	b := []byte("as it was")
	done := make(chan broker.Pos, 1)
	s.log.Append(0, b, func(pos broker.Pos, _ error) { done <- pos })
	soon := []byte("and this")
	s.log.Append(0, soon, nil)
	copy(b, "changed!!")
	copy(soon, "changed!")
	pos := <-done
	last := s.append("last")
	s.reopen()
	got := s.frames(0, math.MaxUint64)
	if len(got) != 3 || got[0] != (frame{pos, "as it was"}) || got[1].text != "and this" || got[2] != (frame{last, "last"}) {
		s.Errorf("got %v, want what was there when Append was called", got)
	}
}

func (s *suite) nilDone() {
	s.log.Append(0, []byte("nobody waits"), nil)
	s.reopen() // it closes the Log, which records what it has taken
	if got := s.frames(0, math.MaxUint64); len(got) != 1 || got[0].text != "nobody waits" {
		s.Errorf("got %v, want it recorded", got)
	}
}

func (s *suite) read() {
	var want []frame
	for i := range 50 {
		text := fmt.Sprintf("%d %0*d", i, 1+i*i, i) // also longer than a sector
		want = append(want, frame{s.append(text), text})
	}
	for range 2 {
		s.reopen()
		s.want(want)
		if got := s.frames(want[10].pos, want[20].pos); !slices.Equal(got, want[10:20]) {
			s.Errorf("a part: got %.200v, want frames 10 to 19", got)
		}
	}
	text := "after the restart"
	want = append(want, frame{s.append(text), text})
	s.reopen()
	s.want(want)
}

func (s *suite) readError() {
	s.append("one")
	s.append("two")
	s.reopen()
	enough := errors.New("enough")
	calls := 0
	err := s.log.Read(context.Background(), "", 0, math.MaxUint64, func(broker.Pos, []byte) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		s.Errorf("got error %v after %d frames, want fn's after one", err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err = s.log.Read(ctx, "", 0, math.MaxUint64, func(broker.Pos, []byte) error { return nil })
	if !errors.Is(err, context.Canceled) {
		s.Errorf("got error %v, want that of the context", err)
	}
}

func (s *suite) positions() {
	last := broker.Pos(0)
	for i := range 5 {
		for range 3 {
			pos := s.append("frame")
			if pos <= last {
				s.Errorf("after %d restarts: got position %d, want one after %d", i, pos, last)
			}
			last = pos
		}
		if err := s.log.Truncate(0, last+1); err != nil {
			s.Errorf("Truncate: %v", err)
		}
		s.reopen()
	}
}

func (s *suite) truncate() {
	const n, size = 100, 1000
	text := func(i int) string { return fmt.Sprintf("%0*d", size, i) }
	var all []frame
	for i := range n {
		all = append(all, frame{s.append(text(i)), text(i)})
	}
	before := s.log.Bytes()
	if before < n*size {
		s.Errorf("Bytes: got %d, want at least the %d that it has taken", before, n*size)
	}
	if err := s.log.Truncate(0, all[60].pos); err != nil {
		s.Fatalf("Truncate: %v", err)
	}
	// It may keep more, as it lets go of files.
	if got := s.log.Bytes(); got < (n-60)*size || got > before-40*size {
		s.Errorf("Bytes: got %d after %d, want less, but what is to be kept", got, before)
	}
	if err := s.log.Truncate(0, all[10].pos); err != nil { // gone already
		s.Errorf("Truncate before what there is: %v", err)
	}
	s.reopen()
	got := s.frames(0, math.MaxUint64)
	if len(got) < n-60 || !slices.Equal(got, all[n-len(got):]) {
		s.Errorf("got %d frames, want frame 60 and all after it, without a gap", len(got))
	}
	s.append("goes on")
}

func (s *suite) appendFromDone() {
	places := make(chan broker.Pos, 3)
	var step func(left int) func(broker.Pos, error)
	step = func(left int) func(broker.Pos, error) {
		return func(pos broker.Pos, err error) {
			if err != nil {
				s.Errorf("done: %v", err)
			}
			if left > 0 {
				s.log.Append(0, []byte("more"), step(left-1))
				s.log.Append(0, []byte("nobody waits"), nil)
				s.log.Bytes()
			}
			places <- pos
		}
	}
	s.log.Append(0, []byte("first"), step(2))
	last := broker.Pos(0)
	for range 3 {
		select {
		case pos := <-places:
			if pos <= last {
				s.Errorf("got position %d after %d", pos, last)
			}
			last = pos
		case <-time.After(patience):
			s.Fatal("an Append from inside a done was not done")
		}
	}
}

func (s *suite) many() {
	const appenders, each = 8, 100
	var mu sync.Mutex
	want := map[broker.Pos]string{}
	var all sync.WaitGroup
	for a := range appenders {
		all.Go(func() {
			var mine sync.WaitGroup
			last := broker.Pos(0)
			for i := range each {
				mine.Add(1)
				text := fmt.Sprintf("appender %d, frame %d", a, i)
				s.log.Append(0, []byte(text), func(pos broker.Pos, err error) {
					mu.Lock()
					defer mu.Unlock()
					if err != nil || pos <= last {
						s.Errorf("%s: got position %d after %d and error %v", text, pos, last, err)
					}
					last = pos
					if want[pos] != "" {
						s.Errorf("position %d was given twice", pos)
					}
					want[pos] = text
					mine.Done()
				})
				if i%10 == 0 {
					s.log.Append(0, []byte("nobody waits"), nil)
					s.log.Bytes()
				}
			}
			mine.Wait()
		})
	}
	all.Wait()
	s.reopen()
	for _, f := range s.frames(0, math.MaxUint64) {
		if f.text == "nobody waits" {
			continue
		}
		if want[f.pos] != f.text {
			s.Errorf("at position %d: got %q, want %q", f.pos, f.text, want[f.pos])
		}
		delete(want, f.pos)
	}
	if len(want) > 0 {
		s.Errorf("%d frames were done and are not there", len(want))
	}
}

func (s *suite) close() {
	const n = 100
	var done, wrong atomic.Int32
	for range n {
		s.log.Append(0, []byte("frame"), func(_ broker.Pos, err error) {
			if done.Add(1); err != nil {
				wrong.Add(1)
			}
		})
	}
	if err := s.log.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	if done.Load() != n || wrong.Load() != 0 {
		s.Errorf("after Close: %d of %d are done, %d of them with an error", done.Load(), n, wrong.Load())
	}
	late := make(chan error, 2)
	s.log.Append(0, []byte("late"), func(_ broker.Pos, err error) { late <- err })
	s.log.Append(0, []byte("late"), nil)
	select {
	case err := <-late:
		if err == nil || errors.Is(err, broker.ErrRefused) {
			s.Errorf("Append after Close: got %v, want an error for good", err)
		}
	case <-time.After(patience):
		s.Error("Append after Close was not done")
	}
	if err := s.log.Close(); err != nil {
		s.Errorf("a second Close: %v", err)
	}
	s.reopen()
	if got := s.frames(0, math.MaxUint64); len(got) != n {
		s.Errorf("got %d frames, want the %d that were done", len(got), n)
	}
}
