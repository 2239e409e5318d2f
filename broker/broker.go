package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/accept"
	"github.com/colibri-mqtt/colibri/internal/router"
	"github.com/colibri-mqtt/colibri/internal/session"
)

// Broker is an MQTT server. New makes one; Shutdown ends it.
type Broker struct {
	authenticator Authenticator
	methods       map[string]*Method
	authorizer    Authorizer
	log           Log
	peers         Peers
	limits        Limits
	sessionLimits session.Limits
	events        func(Event)
	logger        *slog.Logger
	logFailure    func(error)

	whenFull            WhenFull
	without             Without
	disconnectDenied    bool
	checkPayloads       bool
	responseInformation func(ClientInfo) string
	explain             func(error) string
	secretUserNames     bool

	registry    registry
	router      *router.Router[*liveSession]
	groups      shareGroups
	retained    retainedStore
	conns       connSet
	ruleChanges atomic.Uint64 // calls of Reauthorize
	pending     atomic.Int32  // Network Connections without an accepted CONNECT
	rate        connectRate
	draining    atomic.Pointer[moved]
	origins     accept.Addresses
	flaps       flaps

	checkpoints checkpoints
	alarm       alarm
	batches     sync.Pool
	recordGate  *gate
	decisions   grace
	logQuota    int64
	counters    counters
	dropList    *dropList // nil without $SYS
	recorder    *recorder // nil without one
	captures    captureList
	connNumber  atomic.Uint64 // of the last Network Connection
	numbers     numbers
	earliest    int64 // the latest time that the Log had at the start, see recordedTime
	durable     bool  // the Log keeps what it is given

	lifetime context.Context // ends with Shutdown
	end      context.CancelFunc
	closing  atomic.Bool
	failed   atomic.Bool    // the Log
	running  sync.WaitGroup // accepting loops, connections, the sweep, $SYS

	mu        sync.Mutex // of the listeners
	listeners map[net.Listener]struct{}
}

// New returns a Broker. It serves nobody until Serve or ServeConn is called. Shutdown
// must be called to end it.
func New(config Config) (*Broker, error) {
	b := &Broker{
		authenticator: config.Authenticator,
		authorizer:    config.Authorizer,
		log:           config.Log,
		peers:         config.Peers,
		limits:        config.Limits.withDefaults(),
		events:        config.Events,
		logger:        config.Logger,
		logFailure:    config.LogFailed,

		whenFull:            config.WhenFull,
		without:             config.Without,
		disconnectDenied:    config.DisconnectDenied,
		checkPayloads:       config.CheckPayloads,
		responseInformation: config.ResponseInformation,
		explain:             config.Explain,
		secretUserNames:     config.SecretUserNames,

		recorder:   newRecorder(config.RecorderBytes),
		recordGate: newGate(recordBytes),
		logQuota:   config.LogQuota,
		listeners:  make(map[net.Listener]struct{}),
	}
	if b.limits.Inflight > 65_535 || b.limits.Inflight < 0 {
		return nil, errors.New("broker: Limits.Inflight must be 1 to 65535")
	}
	var err error
	if b.methods, err = checkMethods(config.Methods); err != nil {
		return nil, err
	}
	if s := config.SharedStrategy; s < SharedRoundRobin || s > SharedHashTopic {
		return nil, fmt.Errorf("broker: there is no SharedStrategy %d", s)
	}
	if b.log == nil {
		b.log = memoryLog{}
	}
	if b.checkpoints.least = config.CheckpointBytes; b.checkpoints.least == 0 {
		b.checkpoints.least = checkpointBytes
	}
	if b.durable = b.log.Durability() > InMemory; b.durable {
		b.retained.recent = make(map[string]uint64)
	}
	b.decisions.off = !b.durable
	if b.peers == nil {
		b.peers = nobody{}
	}
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	b.sessionLimits = session.Limits{
		Inflight:          b.limits.Inflight,
		ReceiveMaximum:    b.limits.ReceiveMaximum,
		QueueMessages:     max(0, b.limits.QueueMessages),
		QueueBytes:        max(0, b.limits.QueueBytes),
		DropOldest:        b.whenFull == FullDropOldest,
		Subscriptions:     b.limits.Subscriptions,
		TopicAliasMaximum: b.limits.TopicAliasMaximum,
		ExpiryInterval:    b.limits.SessionExpiry,
	}
	b.origins.Most = b.limits.PerAddress
	b.registry.sessions = make(map[string]*liveSession)
	var receives func(*liveSession, string) bool
	if b.authorizer != nil {
		receives = (*liveSession).receives
	}
	b.router = newRouter(config.SharedStrategy, receives)
	b.alarm.ring = b.expire
	b.lifetime, b.end = context.WithCancel(context.Background())
	if config.SysInterval > 0 {
		b.dropList = new(dropList)
	}
	if err := b.recover(); err != nil { // from here on Sessions may expire
		return nil, err
	}
	b.running.Add(1)
	go b.sweep()
	if config.SysInterval > 0 {
		tree := newSysTree(b, &config)
		b.running.Add(1)
		go tree.run()
	}
	return b, nil
}

// Serve accepts Network Connections from l until Shutdown, when it returns nil, or until
// l fails. It closes l.
func (b *Broker) Serve(l net.Listener) error {
	if !b.addListener(l) {
		l.Close()
		return errors.New("broker: Serve after Shutdown")
	}
	defer b.running.Done()
	defer b.removeListener(l)
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			b.running.Add(1)
			go b.serve(nc)
		case b.closing.Load():
			return nil
		case transient(err):
			// Out of descriptors, most likely: those who are connected go on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			b.logger.Error("cannot accept a connection; trying again", "listener", l.Addr().String(), "error", err, "after", pause)
			select {
			case <-time.After(pause):
			case <-b.lifetime.Done():
			}
		default:
			return err
		}
	}
}

// transient reports whether Accept may succeed later.
func transient(err error) bool {
	var timeout interface{ Temporary() bool }
	return errors.As(err, &timeout) && timeout.Temporary()
}

func (b *Broker) addListener(l net.Listener) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Load() {
		return false
	}
	b.listeners[l] = struct{}{}
	b.running.Add(1)
	return true
}

// begin counts something that Shutdown waits for; false after Shutdown.
func (b *Broker) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Load() {
		return false
	}
	b.running.Add(1)
	return true
}

func (b *Broker) removeListener(l net.Listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners, l)
	l.Close()
}

// Shutdown closes the listeners, tells every 5.0 client that the Server is shutting down
// (0x8B), closes all Network Connections and waits for their ends, at most until ctx
// ends, whose error it returns then. Will Messages are not published: the clients have
// not failed.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closing.Store(true)
	for l := range b.listeners {
		l.Close()
	}
	b.mu.Unlock()
	b.end()
	b.alarm.stop()
	for _, c := range b.conns.which(func(*conn) bool { return true }) {
		c.stop(errShutdown)
	}
	ended := make(chan struct{})
	go func() {
		b.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return b.log.Close()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errShutdown is what the clients are told by Shutdown.
var errShutdown = &colibri.Error{Op: "shutdown", Code: colibri.ServerShuttingDown}

// sweep closes, once a second, the connections whose Keep Alive has passed by half
// [MQTT-3.1.2-22]. It is one goroutine for all connections, and ends with Shutdown.
func (b *Broker) sweep() {
	defer b.running.Done()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	expired := expiredSweep{broker: b}
	defer expired.end()
	for {
		select {
		case <-b.lifetime.Done():
			return
		case now := <-ticker.C:
			b.sweepKeepAlive(now)
			b.sweepExpired(now)
			expired.step(now)
			if b.recorder != nil {
				b.recorder.keepLast()
			}
			b.checkpointIfDue()
			if now.Unix()%int64(tombstoneTime/time.Second) == 0 && b.checkpoints.running.TryLock() {
				b.retained.forgetGraves() // a checkpoint writes those that were dug since it began
				b.checkpoints.running.Unlock()
			}
		}
	}
}

func (b *Broker) sweepKeepAlive(now time.Time) {
	silent := b.conns.which(func(c *conn) bool {
		limit := time.Duration(c.keepAlive) * time.Second * 3 / 2
		return limit > 0 && now.UnixNano()-c.lastRead.Load() > int64(limit)
	})
	for _, c := range silent {
		c.stop(&colibri.Error{Op: "Keep Alive", Code: colibri.KeepAliveTimeout, Rule: "MQTT-3.1.2-22",
			Err: errors.New("nothing was received for one and a half times the Keep Alive")})
	}
}

// sweepExpired closes the connections whose ConnectRequest.Expires has come.
func (b *Broker) sweepExpired(now time.Time) {
	expired := b.conns.which(func(c *conn) bool { return c.expires != 0 && c.expires <= now.Unix() })
	for _, c := range expired {
		c.stop(&colibri.Error{Op: "connection", Code: colibri.MaximumConnectTime,
			Err: errors.New("what the client was let in with has expired")})
	}
}

func (b *Broker) emit(e Event) {
	if b.events != nil {
		b.events(e)
	}
}
