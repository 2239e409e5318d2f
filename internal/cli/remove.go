package cli

import (
	"context"
	"sync"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
)

// remover clears Retained Messages for --remove-retained, in a goroutine of its own:
// the server acknowledges one after the other, and printing must not wait for that.
type remover struct {
	session *session
	done    chan struct{} // closed when all is acknowledged after finish, or ctx is done

	mu       sync.Mutex
	changed  *sync.Cond
	topics   []string // not yet sent
	finished bool
}

// newRemover starts a remover; it ends after finish, or when ctx is done.
func newRemover(ctx context.Context, s *session) *remover {
	r := &remover{session: s, done: make(chan struct{})}
	r.changed = sync.NewCond(&r.mu)
	context.AfterFunc(ctx, r.finish)
	go r.run(ctx)
	return r
}

// add has the Retained Message of a topic cleared.
func (r *remover) add(topic string) {
	r.mu.Lock()
	r.topics = append(r.topics, topic)
	r.mu.Unlock()
	r.changed.Signal()
}

// finish says that there will be no more.
func (r *remover) finish() {
	r.mu.Lock()
	r.finished = true
	r.mu.Unlock()
	r.changed.Signal()
}

// next waits for topics to clear; there are none after the end.
func (r *remover) next() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.topics) == 0 && !r.finished {
		r.changed.Wait()
	}
	topics := r.topics
	r.topics = nil
	return topics
}

func (r *remover) run(ctx context.Context) {
	defer close(r.done)
	var pending []*client.Publication
	for {
		topics := r.next()
		for _, topic := range topics {
			publication, err := r.session.Start(ctx, &colibri.Message{Topic: topic, QoS: colibri.AtLeastOnce, Retain: true})
			if err != nil {
				r.warn(ctx, err)
				continue
			}
			pending = append(pending, publication)
			for len(pending) > 0 && isDone(pending[0]) {
				r.await(ctx, pending[0])
				pending = pending[1:]
			}
		}
		if len(topics) == 0 {
			break
		}
	}
	for _, publication := range pending {
		r.await(ctx, publication)
	}
}

func isDone(p *client.Publication) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

func (r *remover) await(ctx context.Context, p *client.Publication) {
	if _, err := p.Wait(ctx); err != nil {
		r.warn(ctx, err)
	}
}

// warn says that a message was not removed, unless the run ends anyhow.
func (r *remover) warn(ctx context.Context, err error) {
	if ctx.Err() == nil {
		r.session.complain("Warning: A retained message was not removed: %s.", err)
	}
}
