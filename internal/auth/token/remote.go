package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri/internal/auth"
)

// Bounds of fetching keys.
const (
	fetchTime    = 5 * time.Second  // for the whole answer
	fetchPause   = 10 * time.Second // between two questions, whatever asks for them
	maxJWKSBytes = 1 << 20
)

// Remote fetches a JSON Web Key Set when it is needed and keeps it. When its server is down,
// the keys that were there before stay. It is safe for concurrent use.
type Remote struct {
	url    *url.URL
	every  time.Duration
	client *http.Client
	report func(error)

	mu      sync.Mutex // guards what follows; a leaf
	keys    []key      // the last good ones; nil before
	fetched time.Time  // when they came
	tried   time.Time  // when the last question began; zero before
	fault   error      // what became of it; nil when it was answered
	running chan struct{}
}

// NewRemote returns a Remote that asks client for the keys at u when they are older than every,
// and when a token names a key that is not among them, but not twice within 10 s. report is
// called when the keys cannot be had any more, and with nil when they can again; it must
// not block.
func NewRemote(u *url.URL, every time.Duration, client *http.Client, report func(error)) *Remote {
	return &Remote{url: u, every: every, client: client, report: report}
}

// fitting returns the keys for a token. It waits for the server only when it has none that
// fits, and until ctx ends.
func (r *Remote) fitting(ctx context.Context, algorithm, id string) ([]key, error) {
	found, running, fault := r.look(algorithm, id)
	if len(found) > 0 || running == nil {
		return found, fault
	}
	select {
	case <-running:
	case <-ctx.Done():
		return nil, auth.Unavailable(auth.Place(r.url), "its keys did not come in time")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return pick(r.keys, algorithm, id), r.missing()
}

// look returns the keys that fit, and begins to fetch when that is due. running is closed when
// a fetch that is under way has ended; nil without one.
func (r *Remote) look(algorithm, id string) (found []key, running <-chan struct{}, fault error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	found = pick(r.keys, algorithm, id)
	due := len(found) == 0 || now.Sub(r.fetched) >= r.every
	if due && r.running == nil && (r.tried.IsZero() || now.Sub(r.tried) >= fetchPause) {
		r.tried, r.running = now, make(chan struct{})
		go r.fetch()
	}
	if r.running != nil {
		running = r.running
	}
	return found, running, r.missing()
}

// missing returns why there are no keys at all; nil when there are some. The caller holds mu.
func (r *Remote) missing() error {
	if r.keys != nil {
		return nil
	}
	return r.fault
}

// fetch asks once, in a goroutine of its own, which ends within fetchTime.
func (r *Remote) fetch() {
	keys, err := r.get()
	r.mu.Lock()
	changed := (err == nil) != (r.fault == nil)
	r.fault = err
	if err == nil {
		r.keys, r.fetched = keys, time.Now()
	}
	close(r.running)
	r.running = nil
	r.mu.Unlock()
	if changed && r.report != nil {
		r.report(err)
	}
}

// get asks for the keys.
func (r *Remote) get() ([]key, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	place := auth.Place(r.url)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url.String(), nil)
	if err != nil {
		return nil, auth.Unavailable(place, "its URL cannot be used")
	}
	request.Header.Set("Accept", "application/json")
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, auth.Unavailable(place, auth.Cause(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, auth.Unavailable(place, fmt.Sprintf("it answers with the status %d instead of its keys", answer.StatusCode))
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKSBytes+1))
	if err == nil && len(b) > maxJWKSBytes {
		err = errors.New("its keys have too many bytes")
	}
	if err != nil {
		return nil, auth.Unavailable(place, auth.Cause(err))
	}
	keys, err := parseJWKS(b, false)
	if err != nil {
		return nil, auth.Unavailable(place, "of what it answers, "+err.Error())
	}
	return keys, nil
}
