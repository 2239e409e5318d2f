// Package hasher compares passwords with dear hashes in a process of low priority beside the
// broker, so that neither the processor nor the garbage of the hashes is taken from those who
// are connected. Both ends are here: Hasher asks, Serve answers.
//
// Passwords go through pipes, and are neither in arguments nor in the environment of the
// process. It ends when its standard input is closed, which the system does when the broker
// has died, whatever of.
package hasher

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri/internal/passwd"
)

const (
	// startTime is how long the process may take until it can be asked.
	startTime = 10 * time.Second
	// answerTime is how long one comparison may take, which needs up to a second of a
	// processor that others may want.
	answerTime = 30 * time.Second
	// pause is how long nobody tries to start the process again after that has failed.
	pause = time.Minute
	// endTime is how long the process may take to end.
	endTime = 2 * time.Second
	// lowestPriority is the nice value.
	lowestPriority = 19
)

// Hasher compares passwords. It is safe for concurrent use. Whoever calls bounds how many
// comparisons there are at once; the process has its own bound besides, see Serve.
type Hasher struct {
	command func() (*exec.Cmd, error)
	say     func(text string)
	now     func() time.Time

	process  atomic.Pointer[process] // nil before the first; it may have ended
	closed   atomic.Bool
	starting chan struct{} // holds one while somebody starts the process, or ends it

	// These belong to who holds a place in starting.
	failed time.Time // when it last could not be started; zero when it was since
}

// New returns a Hasher. The process is started by the first password that needs it, so that
// it has the rights which the broker has then. command makes the command that calls Serve;
// its standard input and output are set here. say is told, as a sentence for the log, when
// the process cannot be started, when it can again, and when it has ended by itself.
func New(command func() (*exec.Cmd, error), say func(text string)) *Hasher {
	return &Hasher{command: command, say: say, now: time.Now, starting: make(chan struct{}, 1)}
}

// errClosed is for who comes after Close.
var errClosed = errors.New("the broker is shutting down")

// Match reports whether h was made from password: by the process if h is dear and the process
// can be started, else here. When the process ends meanwhile the question is put once
// more, to another one. An error says that there is no answer; it does not show the password.
func (s *Hasher) Match(h passwd.Hash, password []byte) (right bool, err error) {
	if !h.Dear() {
		return h.Matches(password), nil
	}
	for range 2 {
		p, startErr := s.running()
		switch {
		case errors.Is(startErr, errClosed):
			return false, errClosed
		case startErr != nil:
			return h.Matches(password), nil
		}
		if right, err = p.ask(h, password); err == nil {
			return right, nil
		}
	}
	return false, err
}

// running returns the process, which it starts if need be.
func (s *Hasher) running() (*process, error) {
	if p := s.process.Load(); p.alive() {
		return p, nil
	}
	s.starting <- struct{}{}
	defer func() { <-s.starting }()
	old := s.process.Load()
	switch {
	case s.closed.Load():
		return nil, errClosed
	case old.alive():
		return old, nil
	case !s.failed.IsZero() && s.now().Sub(s.failed) < pause:
		return nil, errors.New("it was tried a moment ago")
	case old != nil && s.failed.IsZero():
		s.say(fmt.Sprintf("The process that compares passwords has ended by itself (%v); it is started again.", old.err))
	}
	p, err := s.start()
	if err != nil {
		if s.failed.IsZero() {
			s.say(fmt.Sprintf("No process can be started that compares passwords: %v. They are compared in the broker, which delays messages while many clients log in.", err))
		}
		s.failed = s.now()
		return nil, err
	}
	if !s.failed.IsZero() {
		s.say("The process that compares passwords can be started again.")
	}
	s.failed = time.Time{}
	s.process.Store(p)
	return p, nil
}

func (s *Hasher) start() (*process, error) {
	command, err := s.command()
	if err != nil {
		return nil, err
	}
	return start(command)
}

// Close ends the process, and returns when it has ended.
func (s *Hasher) Close() {
	s.closed.Store(true)
	s.starting <- struct{}{}
	defer func() { <-s.starting }()
	if p := s.process.Load(); p != nil {
		p.end()
	}
}

// process is a process that runs Serve.
type process struct {
	command *exec.Cmd
	in      interface {
		Write(b []byte) (int, error) // whole, also when others write at the same time
		Close() error
	}
	greeted chan struct{} // closed when it can be asked
	ended   chan struct{} // closed when it has ended
	err     error         // why; only after that

	mu      sync.Mutex // a leaf
	last    uint32
	waiting map[uint32]chan<- bool
}

// start starts a process, and returns when it can be asked.
func start(command *exec.Cmd) (*process, error) {
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, in: in, greeted: make(chan struct{}), ended: make(chan struct{}), waiting: make(map[uint32]chan<- bool)}
	go func() {
		err := p.read(out)
		command.Process.Kill()
		if exit := command.Wait(); err == nil {
			err = fmt.Errorf("its end of the pipe is closed, %v", exit)
		}
		in.Close()
		p.err = err
		close(p.ended)
	}()
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case <-p.greeted:
		return p, nil
	case <-p.ended:
		return nil, p.err
	case <-late.C:
		p.end()
		return nil, errors.New("it does not answer")
	}
}

// alive reports whether p can be asked. A nil p cannot.
func (p *process) alive() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end closes the standard input of p, and takes harder means if that does not end it.
func (p *process) end() {
	p.in.Close()
	late := time.AfterFunc(endTime, func() { p.command.Process.Kill() })
	defer late.Stop()
	<-p.ended
}

// ask puts one question. With an error p has ended.
func (p *process) ask(h passwd.Hash, password []byte) (right bool, err error) {
	answer := make(chan bool, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.waiting[id] = answer
	p.mu.Unlock()
	b := appendQuestion(nil, id, h.String(), password)
	defer clear(b)
	late := time.AfterFunc(answerTime, func() { p.command.Process.Kill() })
	defer late.Stop()
	if _, err := p.in.Write(b); err != nil {
		p.command.Process.Kill() // it may have closed its standard input without an end
	}
	select {
	case right := <-answer:
		return right, nil
	case <-p.ended:
		return false, fmt.Errorf("the process that compares passwords has ended: %w", p.err)
	}
}

// answered gives an answer to who has asked, and reports whether somebody had.
func (p *process) answered(id uint32, right bool) bool {
	p.mu.Lock()
	answer, ok := p.waiting[id]
	delete(p.waiting, id)
	p.mu.Unlock()
	if ok {
		answer <- right
	}
	return ok
}
