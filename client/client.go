package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/flow"
	"github.com/colibri-mqtt/colibri/packet"
)

// Client is one MQTT client: a Session with a Server over one Network Connection, or over
// several of them, one after the other. Safe for concurrent use.
type Client struct {
	url    string
	o      Options
	life   context.Context // done when Disconnect or Close was called
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards everything below, and what its comments say of conn, Subscription, delivery
	changed signal     // something has changed that somebody may wait for
	conn    *conn      // nil while there is no Network Connection
	closing bool       // Disconnect or Close was called
	ended   bool
	err     error // why the Client has ended; nil after Disconnect and Close

	clientID string
	connack  packet.Connack
	limits   limits

	sender    flow.Sender[*Publication]
	anew      []*Publication // of a lost Session, to be sent as new messages
	requests  []*request     // SUBSCRIBE and UNSUBSCRIBE without an answer
	abandoned []uint16       // identifiers of those for which nobody waits any more

	receiver flow.Receiver
	unacked  map[uint16]*delivery // QoS 1 and 2 messages not yet acknowledged
	acks     []*delivery          // the same on this Network Connection, in order of arrival

	subscriptions []*Subscription
	unclaimed     *Subscription // what no other Subscription asked for
	holding       bool          // unclaimed messages are kept, not dropped
	responses     responses
	reauth        bool // an AUTH that ends the re-authentication is awaited
	queued        int  // messages that wait for the program
	queuedBytes   int
}

// signal wakes all who wait for a change. The mutex of the Client guards it.
type signal struct{ ch chan struct{} }

func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// Dial connects to url and returns once the Server has accepted the connection. ctx
// limits connecting only. A Server that says no is a *[Refusal]; the error may
// also be of the network, of Options, or a *topic.SyntaxError for the Will Topic.
func Dial(ctx context.Context, url string, o Options) (*Client, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	c := &Client{url: url, o: o, clientID: o.ClientID, done: make(chan struct{})}
	c.life, c.cancel = context.WithCancel(context.Background())
	c.unclaimed = &Subscription{client: c}
	if n, ok := o.Properties.Number(colibri.ReceiveMaximum); ok {
		c.receiver.SetWindow(int(n))
	}
	c.sender.SetWindow(o.window(65_535))
	cn, err := c.connect(ctx, true)
	if err != nil {
		c.cancel()
		return nil, err
	}
	go c.run(cn)
	return c, nil
}

// ClientID returns the Client Identifier in use: the one of the Options, or the one
// that the Server has assigned.
func (c *Client) ClientID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clientID
}

// Version returns the protocol version of the connection.
func (c *Client) Version() colibri.Version { return c.o.Version }

// Connack returns the CONNACK of the latest Network Connection. Its properties are
// shared and must not be changed.
func (c *Client) Connack() packet.Connack {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connack
}

// KeepAlive returns the Keep Alive in force, which is the Server's if it has set one
// [MQTT-3.2.2-21]; 0 when there is none.
func (c *Client) KeepAlive() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limits.keepAlive
}

// Done is closed when the Client has ended for good and its goroutines are gone.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the Client has ended: nil while it lives, and after Disconnect or
// Close. A *[Refusal] of DISCONNECT tells what the Server has said.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Disconnect sends what waits to be sent, then a DISCONNECT with the code and
// properties given (5.0; both nothing in 3.1 and 3.1.1), and closes the
// connection. NormalDisconnection makes the Server forget the Will Message. It
// returns when the Client has ended; when ctx is done before, as Close does. It does
// not wait for acknowledgements: publications without one end with [ErrClosed].
func (c *Client) Disconnect(ctx context.Context, code colibri.ReasonCode, properties colibri.Properties) error {
	c.mu.Lock()
	if c.ended || c.closing {
		c.mu.Unlock()
		<-c.done
		return nil
	}
	if cn := c.conn; cn != nil && !cn.final {
		p := &packet.Disconnect{Code: code, Properties: properties}
		err := c.send(cn, p)
		if errors.Is(err, colibri.PacketTooLarge) { // [MQTT-3.14.2-3] [MQTT-3.14.2-4]
			p.Properties = nil
			err = c.send(cn, p)
		}
		if err != nil {
			c.mu.Unlock()
			return err
		}
		cn.finish()
	}
	c.closing = true
	c.changed.broadcast()
	if c.conn == nil {
		c.cancel()
	}
	c.mu.Unlock()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		c.Close()
		return ctx.Err()
	}
}

// Close ends the Client at once, without a DISCONNECT: to the Server the network has
// failed, and it publishes the Will Message. After Disconnect it does nothing. It
// returns when the Client has ended, always nil.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closing = true
	cn := c.conn
	c.mu.Unlock()
	c.cancel()
	if cn != nil {
		cn.end(nil)
	}
	<-c.done
	return nil
}

// run drives the Client from its first connection to its end, in a goroutine of its own.
func (c *Client) run(cn *conn) {
	for attempts := 0; ; {
		began := time.Now()
		err := c.serve(cn)
		c.mu.Lock()
		c.conn = nil
		if c.closing {
			err = nil
		}
		c.trace(Event{Kind: Lost, Err: err})
		c.changed.broadcast()
		stop := c.closing || c.o.Reconnect == nil || !c.o.Reconnect.retry(err)
		c.mu.Unlock()
		if stop {
			c.finish(err)
			return
		}
		if time.Since(began) >= c.o.Reconnect.delay(attempts) {
			attempts = 0
		}
		if cn, attempts, err = c.again(attempts, err); cn == nil {
			c.finish(err)
			return
		}
	}
}

// again connects until it succeeds, the Client is closed, or the Backoff is at its end:
// then there is no connection and the error says why the Client ends.
func (c *Client) again(attempts int, err error) (*conn, int, error) {
	b := c.o.Reconnect
	for b.Attempts == 0 || attempts < b.Attempts {
		delay := b.delay(attempts)
		attempts++
		c.mu.Lock()
		c.trace(Event{Kind: Waiting, Delay: delay})
		c.mu.Unlock()
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-c.life.Done():
			timer.Stop()
			return nil, attempts, nil
		}
		var cn *conn
		if cn, err = c.connect(c.life, false); err == nil {
			return cn, attempts, nil
		}
		if c.life.Err() != nil {
			return nil, attempts, nil
		}
		if !b.retry(err) {
			return nil, attempts, err
		}
	}
	return nil, attempts, fmt.Errorf("%d attempts to connect: %w", attempts, err)
}

// finish ends everything that waits, and the Client.
func (c *Client) finish(err error) {
	c.cancel()
	c.mu.Lock()
	c.ended = true
	if c.closing {
		err = nil
	}
	c.err = err
	failure := c.closedError()
	c.sender.Pending(func(id uint16, _ flow.State, p **Publication) bool {
		(*p).complete(Result{PacketID: id}, failure)
		return true
	})
	for _, p := range c.anew {
		p.complete(Result{}, failure)
	}
	for _, r := range c.requests {
		r.complete(nil, failure)
	}
	c.sender.Clear()
	c.anew, c.requests = nil, nil
	for _, s := range c.subscriptions {
		s.finish(failure)
	}
	c.unclaimed.finish(failure)
	c.responses.fail(failure)
	c.changed.broadcast()
	c.mu.Unlock()
	close(c.done)
}

// closedError is what operations return once the Client has ended; it needs the lock.
func (c *Client) closedError() error {
	if c.err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, c.err)
	}
	return ErrClosed
}

// wait gives up the lock until something has changed. It returns an error when ctx is done.
func (c *Client) wait(ctx context.Context) error {
	changed := c.changed.wait()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// trace needs the lock.
func (c *Client) trace(e Event) {
	if c.o.Trace != nil {
		c.o.Trace(e)
	}
}
