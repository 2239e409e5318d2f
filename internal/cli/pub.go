package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
)

// maxPayloadBytes is the largest payload that a PUBLISH can carry at all.
const maxPayloadBytes = 268_435_455

// runPub is colibri pub: it ends when the server has what it was to get.
func runPub(env *invocation, o *options) int {
	payload, exit := env.payload(o)
	if exit != exitOK {
		return exit
	}
	out := newOutput(env.stdout)
	s, exit := env.connect(o, out, func(settings *client.Options) {
		if o.source == sourceLines { // a stream goes on after a loss
			settings.Reconnect = retry
		}
	})
	if s == nil {
		return exit
	}
	p := &publisher{session: s}
	if o.source == sourceLines {
		exit = p.publishLines(env.stdin)
	} else {
		exit = p.publishRepeatedly(payload)
	}
	s.leave(exit == exitInterrupted)
	return exit
}

// payload returns what -m, -f, -s or -n say is to be sent.
func (env *invocation) payload(o *options) ([]byte, int) {
	switch o.source {
	case sourceArgument:
		return []byte(o.message), exitOK
	case sourceFile:
		file, err := until(env.ctx, func() (*os.File, error) { return os.Open(o.message) }) // a FIFO waits for its writer
		if env.ctx.Err() != nil {
			return nil, exitInterrupted
		}
		if err != nil {
			env.complain(o, "Error: Unable to open file \"%s\".", o.message)
			env.complain(o, "Error loading input file \"%s\".", o.message)
			return nil, exitUsage
		}
		defer file.Close()
		return env.readPayload(o, file, fmt.Sprintf("Error loading input file \"%s\".", o.message))
	case sourceStdin:
		return env.readPayload(o, env.stdin, "Error loading input from stdin.")
	}
	return nil, exitOK
}

func (env *invocation) readPayload(o *options, r io.Reader, failure string) ([]byte, int) {
	payload, err := until(env.ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxPayloadBytes+1)) })
	if env.ctx.Err() != nil {
		return nil, exitInterrupted
	}
	switch {
	case err != nil:
	case len(payload) == 0 && o.source == sourceStdin: // more likely a slip than a wish: -n is for that
		err = errors.New("zero length input")
	case len(payload) > maxPayloadBytes:
		err = fmt.Errorf("a message has at most %d bytes", maxPayloadBytes)
	}
	if err != nil {
		env.complain(o, "Error: %s.", capitalised(err.Error()))
		env.complain(o, "%s", failure)
		return nil, exitUsage
	}
	return payload, exitOK
}

// until returns what f does, or the error of ctx when it is done before: a terminal or a
// pipe may keep f waiting for ever.
func until[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	results := make(chan result, 1)
	go func() {
		v, err := f()
		results <- result{v, err}
	}()
	select {
	case r := <-results:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// publisher sends the messages of one run of pub.
type publisher struct {
	*session
	refused colibri.ReasonCode // of the first message that the server has refused
}

func (p *publisher) message(payload []byte) *colibri.Message {
	o := p.options
	return &colibri.Message{Topic: *o.topic, Payload: payload, QoS: o.qos, Retain: o.retain, Properties: o.properties["publish"]}
}

// publishRepeatedly sends one message as often as --repeat says, each after the
// server has the one before.
func (p *publisher) publishRepeatedly(payload []byte) int {
	for n := range p.options.repeat {
		if n > 0 && p.options.repeatDelay > 0 {
			select {
			case <-time.After(p.options.repeatDelay):
			case <-p.Done():
				return p.failed(p.lossError())
			case <-p.env.ctx.Done():
				return exitInterrupted
			}
		}
		publication, err := p.Start(p.env.ctx, p.message(payload))
		if err != nil {
			return p.failed(err)
		}
		if exit := p.await(publication); exit != exitOK {
			return exit
		}
	}
	return p.exit()
}

// publishLines sends each line of r as a message. As many as -M and the server allow
// are on their way at once.
func (p *publisher) publishLines(r io.Reader) int {
	ctx, cancel := context.WithCancel(p.env.ctx)
	defer cancel()
	lines := readLines(ctx, r)
	pending := make(chan *client.Publication, 1024)
	awaited := make(chan int, 1)
	go func() { awaited <- p.awaitAll(pending) }()
	for {
		var line []byte
		var more bool
		select {
		case line, more = <-lines:
		case exit := <-awaited: // the client has ended
			return exit
		case <-ctx.Done():
			return exitInterrupted
		}
		if !more {
			close(pending)
			return <-awaited
		}
		publication, err := p.Start(ctx, p.message(line))
		if err != nil {
			return p.failed(err)
		}
		select {
		case pending <- publication:
		case exit := <-awaited:
			return exit
		}
	}
}

// readLines hands out the lines of r without their ends, until ctx is done. The last
// line need not have an end.
func readLines(ctx context.Context, r io.Reader) <-chan []byte {
	lines := make(chan []byte, 64)
	go func() {
		defer close(lines)
		buffered := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := buffered.ReadBytes('\n')
			if n := len(line); n > 0 && line[n-1] == '\n' {
				line = line[:n-1]
			} else if n == 0 {
				return
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

// awaitAll waits for publications in their order, until there are no more or one
// cannot be fulfilled.
func (p *publisher) awaitAll(pending <-chan *client.Publication) int {
	for publication := range pending {
		if exit := p.await(publication); exit != exitOK {
			return exit
		}
	}
	return p.exit()
}

// await waits until the QoS of one message is fulfilled. A refused message is a
// warning; later messages may still be welcome.
func (p *publisher) await(publication *client.Publication) int {
	result, err := publication.Wait(p.env.ctx)
	var refusal *client.Refusal
	if errors.As(err, &refusal) && !errors.Is(err, client.ErrClosed) {
		p.warnRefused(result, refusal)
		if p.refused == 0 {
			p.refused = refusal.Code
		}
		return exitOK
	}
	if err != nil {
		return p.failed(err)
	}
	return exitOK
}

// warnRefused says that the server did not take a message.
func (s *session) warnRefused(result client.Result, refusal *client.Refusal) {
	s.complain("Warning: Publish %d failed: %s.", result.PacketID, refusal.Code.String())
	s.env.complainReason(s.options, refusal)
}

// exit is the exit code when all is sent. mosquitto_pub ends with 0 even if the
// server has refused the message.
func (p *publisher) exit() int {
	if p.env.mosquitto {
		return exitOK
	}
	return int(p.refused)
}

// failed says why a message could not be sent and returns the exit code.
func (s *session) failed(err error) int {
	s.out.flush()
	var broken *colibri.Error
	switch {
	case s.env.ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, client.ErrClosed):
		return s.env.ended(s.options, err)
	case errors.Is(err, client.ErrSessionLost):
		s.complain("Error: %s.", capitalised(err.Error()))
		return exitLost
	case errors.Is(err, colibri.QoSNotSupported):
		s.complain("Error: Message QoS not supported on broker, try a lower QoS.")
		return exitQoS
	case errors.Is(err, colibri.PacketTooLarge):
		s.complain("Error: Message payload is too large.")
		return exitTooLarge
	case errors.As(err, &broken) && broken.Err != nil:
		s.complain("Error: %s.", capitalised(broken.Err.Error()))
		return exitProtocol
	}
	s.complain("Error: %s.", capitalised(err.Error()))
	return exitUsage
}

// lossError is why the client has ended, in the form that Start and Wait return.
func (s *session) lossError() error {
	return fmt.Errorf("%w: %w", client.ErrClosed, s.Err())
}
