package cli

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// subscriber is one run of sub.
type subscriber struct {
	*session
	printer *printer
	unacked []*client.Message // printed, but perhaps still in the buffer
	remover *remover          // nil without --remove-retained
	handled int               // messages, for -C
	arrived int               // messages in this second, for --message-rate
}

// runSub is colibri sub: it prints what comes until it is told to end.
func runSub(env *invocation, o *options) int {
	env.warnOfIgnored(o)
	out := newOutput(env.stdout)
	s, exit := env.connect(o, out, func(settings *client.Options) {
		settings.Reconnect = retry
		settings.ManualAck = true // what was not printed is not acknowledged
		// --remove-retained waits for acknowledgements, and meanwhile the client would
		// rather lose a message of QoS 0 than wait: there must be room for many.
		settings.MaxQueued = 65_535
		if o.count > 0 && o.version == colibri.V5 && !settings.Properties.Has(colibri.ReceiveMaximum) {
			settings.Properties = settings.Properties.Clone().AppendNumber(colibri.ReceiveMaximum, uint32(min(o.count, 65_535)))
		}
	})
	if s == nil {
		return exit
	}
	sub := &subscriber{session: s, printer: newPrinter(out, env.stderr, o)}
	removing, cancel := context.WithCancel(context.Background())
	defer cancel()
	if o.removeRetained {
		sub.remover = newRemover(removing, s)
	}
	exit, will := sub.run()
	sub.settle(cancel, will)
	s.leave(will)
	if exit == exitTimeout {
		env.timedOut(o)
	}
	return exit
}

// warnOfIgnored says which flags have no effect with the version asked for.
func (env *invocation) warnOfIgnored(o *options) {
	if o.version == colibri.V5 {
		return
	}
	if o.retainAsPublished {
		env.complain(o, "Warning: --retain-as-published has no effect with MQTT %s.", o.version)
	}
	if o.retainHandling != colibri.SendRetained {
		env.complain(o, "Warning: --retain-handling has no effect with MQTT %s.", o.version)
	}
}

// run subscribes and handles messages. will says whether the Will Message is to be
// published at the end.
func (s *subscriber) run() (exit int, will bool) {
	o := s.options
	ctx, cancel := context.WithCancel(s.env.ctx)
	defer cancel()
	var timeout, second <-chan time.Time
	if o.timeout > 0 {
		timer := time.NewTimer(o.timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	if o.rate {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		second = ticker.C
	}
	messages := make(chan *client.Message, 256)
	finished := make(chan int, 1)
	var feeding sync.WaitGroup
	feeding.Go(func() { feed(ctx, s.Unclaimed(), messages) })
	feeding.Go(func() {
		if exit, all := s.subscribe(ctx, &feeding, messages); all {
			finished <- exit
		}
	})
	go func() {
		feeding.Wait()
		close(messages)
	}()
	for {
		var m *client.Message
		more := true
		select {
		case m, more = <-messages:
		default:
			if !s.flush() {
				return exitOK, false // nobody reads any more
			}
			select {
			case m, more = <-messages:
			case exit := <-finished:
				return exit, false
			case <-second:
				s.out.writeLine(s.rate())
				continue
			case <-timeout:
				return exitTimeout, true
			case <-s.env.ctx.Done():
				return exitOK, true
			}
		}
		if !more {
			return s.over(finished), false
		}
		if s.handle(m) {
			return exitOK, false
		}
		// A flood must not keep the clock and the signals from being looked at.
		select {
		case <-second:
			s.out.writeLine(s.rate())
		case <-timeout:
			return exitTimeout, true
		case <-s.env.ctx.Done():
			return exitOK, true
		default:
		}
	}
}

// over is the exit code when no message can come any more.
func (s *subscriber) over(finished <-chan int) int {
	select {
	case exit := <-finished:
		return exit
	default:
	}
	if s.env.ctx.Err() != nil || s.Err() == nil {
		return exitOK
	}
	return s.failed(s.lossError())
}

// subscribe sends what -t and -U ask for and lets the messages flow. all says that this
// is all there is to do, with the exit code.
func (s *subscriber) subscribe(ctx context.Context, feeding *sync.WaitGroup, messages chan<- *client.Message) (exit int, all bool) {
	o := s.options
	if len(o.filters) > 0 {
		subscription, err := s.SubscribeWith(ctx, o.properties["subscribe"], o.subscriptions()...)
		if subscription == nil {
			return s.denied(ctx, err)
		}
		feeding.Go(func() { feed(ctx, subscription, messages) })
	}
	for _, filter := range o.unsubscribe {
		if _, err := s.Unsubscribe(ctx, o.properties["unsubscribe"], filter); err != nil && ctx.Err() == nil && !errors.Is(err, client.ErrClosed) {
			s.complain("Warning: Unsubscribe from '%s' failed: %s.", filter, capitalised(err.Error()))
		}
	}
	return exitOK, o.exitAfterSubscribe
}

// subscriptions returns the Subscriptions that the options ask for, one for each -t.
func (o *options) subscriptions() []colibri.Subscription {
	filters := o.filters
	if o.program == rr {
		filters = []string{*o.responseTopic}
	}
	list := make([]colibri.Subscription, len(filters))
	for i, filter := range filters {
		list[i] = colibri.Subscription{Filter: filter, QoS: o.qos}
		if o.version != colibri.V5 {
			continue
		}
		list[i].RetainAsPublished = o.retainAsPublished
		list[i].RetainHandling = o.retainHandling
		if o.hideRetained && !o.removeRetained {
			list[i].RetainHandling = colibri.NoRetained
		}
	}
	return list
}

// denied says that there is no Subscription, with the exit code. all is false if the
// client has ended, which is for others to tell. mosquitto_sub ends with 0 when it is
// denied everything.
func (s *session) denied(ctx context.Context, err error) (exit int, all bool) {
	var refusal *client.Refusal
	switch {
	case ctx.Err() != nil || errors.Is(err, client.ErrClosed):
		return exitOK, false
	case errors.As(err, &refusal) && refusal.Packet == packet.SUBACK:
		if s.options.program == rr {
			s.complain("%s", refusal.Code.String())
		} else {
			s.complain("All subscription requests were denied.")
		}
		s.env.complainReason(s.options, refusal)
		if s.env.mosquitto {
			return exitOK, true
		}
		return int(refusal.Code), true
	}
	return s.failed(err), true
}

// feed hands the messages of a Subscription on until it has ended or ctx is done.
func feed(ctx context.Context, subscription *client.Subscription, messages chan<- *client.Message) {
	for {
		m, err := subscription.Next(ctx)
		if err != nil {
			return
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return
		}
	}
}

// handle prints m, or not, as the options say, and reports whether it was the last.
func (s *subscriber) handle(m *client.Message) (last bool) {
	o := s.options
	if o.retainedOnly && !m.Retain {
		return true
	}
	s.arrived++
	s.unacked = append(s.unacked, m)
	for _, filter := range o.filtersOut {
		if topic.Match(filter, m.Topic) {
			return false
		}
	}
	if o.removeRetained && m.Retain {
		s.remover.add(m.Topic)
	}
	if o.hideRetained && m.Retain {
		return false
	}
	if !o.rate {
		s.printer.print(received{Message: &m.Message, packetID: m.PacketID, at: time.Now()})
	}
	s.handled++
	return s.handled == o.count
}

// flush hands on what was printed and acknowledges it. It returns false when nobody
// reads it any more.
func (s *subscriber) flush() bool {
	if !s.out.flush() {
		return false
	}
	for _, m := range s.unacked {
		m.Ack()
	}
	s.unacked = s.unacked[:0]
	return true
}

// settle acknowledges what was handled and waits for what is to be removed: to its
// end, or not much longer when the run was told to end.
func (s *subscriber) settle(stop context.CancelFunc, hurry bool) {
	s.flush()
	if s.remover == nil {
		return
	}
	s.remover.finish()
	var late <-chan time.Time
	if hurry {
		timer := time.NewTimer(farewellTimeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-s.remover.done:
		return
	case <-late:
	case <-s.interruptedLater(hurry):
	}
	stop()
	<-s.remover.done
}

// interruptedLater is done when a signal comes; one that has come already does not count.
func (s *subscriber) interruptedLater(already bool) <-chan struct{} {
	if already {
		return nil
	}
	return s.env.ctx.Done()
}

// rate returns the line of --message-rate and begins a new second.
func (s *subscriber) rate() string {
	line := strconv.Itoa(s.arrived)
	s.arrived = 0
	return line
}
