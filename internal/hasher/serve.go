package hasher

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// idleTime is how long nothing is asked before memory goes back to the system.
const idleTime = time.Second

// Serve answers the questions of a Hasher, which come from in, until that is closed; then it
// returns at once. Several goroutines write to out at the same time. It is for a process of its
// own, whose priority it lowers, and which it makes use at most checks processors, as many as
// questions are worked on at once; on Linux always the same ones, the last. The
// memory is that of checks hashes, and a few mebibytes. An error says that something else
// than questions came.
func Serve(in io.Reader, out io.Writer, checks int) error {
	checks = max(1, checks)
	// A signal for all of a group, as of a terminal or a service manager, is for the broker,
	// which lets the clients finish and then closes in.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	runtime.GOMAXPROCS(checks)
	StayBehind(checks)
	setName()
	if _, err := io.WriteString(out, greeting); err != nil {
		return nil // nobody wants to ask
	}
	return serve(in, out, checks)
}

// serve answers questions.
func serve(in io.Reader, out io.Writer, checks int) error {
	idle := time.AfterFunc(idleTime, debug.FreeOSMemory)
	places := make(chan struct{}, checks)
	r := bufio.NewReader(in)
	for {
		id, text, password, err := readQuestion(r)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		hash, err := passwd.ParseHash(text)
		if err != nil {
			return errors.New("what was sent is not a hash")
		}
		places <- struct{}{}
		go func() {
			defer func() { <-places }()
			right := hash.Matches(password)
			clear(password)
			// The block of a hash is free from here on. Collected now, it is the one
			// that the next hash takes; left to itself, the heap would hold several.
			runtime.GC()
			idle.Reset(idleTime)
			out.Write(appendAnswer(nil, id, right)) // who has gone closes in, too
		}()
	}
}
