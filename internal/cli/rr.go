package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
)

// runRR is colibri rr: it sends a request and prints the first message on the Response
// Topic. Whoever answers need not return the Correlation Data.
func runRR(env *invocation, o *options) int {
	env.warnOfIgnored(o)
	payload, exit := env.payload(o)
	if exit != exitOK {
		return exit
	}
	out := newOutput(env.stdout)
	s, exit := env.connect(o, out, nil)
	if s == nil {
		return exit
	}
	r := &requester{session: s, printer: newPrinter(out, env.stderr, o)}
	exit = r.run(payload)
	out.flush()
	s.leave(exit == exitTimeout || exit == exitInterrupted)
	if exit == exitTimeout {
		env.timedOut(o)
	}
	return exit
}

// requester is one run of rr.
type requester struct {
	*session
	printer *printer
}

// run asks and waits. The answer may come before the acknowledgement of the request.
func (r *requester) run(payload []byte) int {
	o := r.options
	ctx, cancel := context.WithCancel(r.env.ctx)
	if o.timeout > 0 {
		ctx, cancel = context.WithTimeout(r.env.ctx, o.timeout)
	}
	defer cancel()
	subscription, err := r.SubscribeWith(ctx, o.properties["subscribe"], o.subscriptions()...)
	if subscription == nil {
		if exit, all := r.denied(ctx, err); all {
			return exit
		}
		return r.over(ctx, err)
	}
	sent := time.Now()
	publication, err := r.Start(ctx, r.request(payload))
	if err != nil {
		return r.over(ctx, err)
	}
	failed := make(chan int, 1)
	go func() {
		if exit := r.confirm(ctx, publication); exit != exitOK {
			failed <- exit
		}
	}()
	answer := make(chan *client.Message)
	lost := make(chan error, 1)
	go func() {
		for {
			m, err := subscription.Next(ctx)
			if err != nil {
				lost <- err
				return
			}
			select {
			case answer <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case m := <-answer:
			if o.hideRetained && m.Retain {
				continue
			}
			at := time.Now()
			r.printer.print(received{Message: &m.Message, packetID: m.PacketID, at: at})
			if o.latency {
				r.out.writeLine(latencyLine(at.Sub(sent)))
			}
			return exitOK
		case exit := <-failed:
			return exit
		case err := <-lost:
			return r.over(ctx, err)
		case <-ctx.Done():
			return r.over(ctx, ctx.Err())
		}
	}
}

// request is the message that asks; in 5.0 it says where the answer is awaited.
func (r *requester) request(payload []byte) *colibri.Message {
	o := r.options
	m := &colibri.Message{Topic: *o.topic, Payload: payload, QoS: o.qos, Properties: o.properties["publish"]}
	if o.version == colibri.V5 {
		m.Properties = m.Properties.Clone().AppendValue(colibri.ResponseTopic, *o.responseTopic)
	}
	return m
}

// confirm waits until the server has the request. When it refuses it there will be no
// answer, and the result is the exit code.
func (r *requester) confirm(ctx context.Context, publication *client.Publication) int {
	result, err := publication.Wait(ctx)
	var refusal *client.Refusal
	if errors.As(err, &refusal) && !errors.Is(err, client.ErrClosed) {
		r.warnRefused(result, refusal)
		return int(refusal.Code)
	}
	return exitOK // another error ends the Subscription too
}

// over is the exit code when there will be no answer.
func (r *requester) over(ctx context.Context, err error) int {
	switch {
	case r.env.ctx.Err() != nil:
		return exitInterrupted
	case ctx.Err() != nil:
		return exitTimeout
	}
	return r.failed(err)
}

// latencyLine says how long the answer took, in the unit that fits.
func latencyLine(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("Latency: %d.%09d", d/time.Second, d%time.Second)
	case d >= time.Millisecond:
		return fmt.Sprintf("Latency: %fms", float64(d)/float64(time.Millisecond))
	case d >= time.Microsecond:
		return fmt.Sprintf("Latency: %fµs", float64(d)/float64(time.Microsecond))
	}
	return fmt.Sprintf("Latency: %dns", d)
}
