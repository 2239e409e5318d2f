package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/transport"
)

// Result is what one run did.
type Result struct {
	Seed      uint64
	Steps     int
	Counts    Counts
	Violation *Violation // nil when all rules were kept
}

// Counts are the operations of a run.
type Counts struct {
	Connects, Resumed, Takeovers, Cuts, Disconnects, Publishes, Repeats, Deliveries, Resends, Acknowledgements,
	Subscribes, Unsubscribes, Retained, Wills, Jumps, Expiries, Rubbish, Pauses, Audits int
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	to, from := c.fields(), other.fields()
	for i := range to {
		*to[i].value += *from[i].value
	}
}

// Total returns the number of operations.
func (c *Counts) Total() (n int) {
	for _, f := range c.fields() {
		n += *f.value
	}
	return n
}

// String names every count.
func (c *Counts) String() string {
	var parts []string
	for _, f := range c.fields() {
		parts = append(parts, fmt.Sprintf("%s %d", f.name, *f.value))
	}
	return strings.Join(parts, ", ")
}

type countField struct {
	name  string
	value *int
}

func (c *Counts) fields() []countField {
	return []countField{{"connects", &c.Connects}, {"resumed", &c.Resumed}, {"takeovers", &c.Takeovers}, {"cuts", &c.Cuts},
		{"disconnects", &c.Disconnects}, {"publishes", &c.Publishes}, {"repeats", &c.Repeats}, {"deliveries", &c.Deliveries},
		{"resends", &c.Resends}, {"acknowledgements", &c.Acknowledgements}, {"subscribes", &c.Subscribes},
		{"unsubscribes", &c.Unsubscribes}, {"retained", &c.Retained}, {"wills", &c.Wills}, {"clock jumps", &c.Jumps},
		{"expiries", &c.Expiries}, {"rubbish", &c.Rubbish}, {"pauses", &c.Pauses}, {"audits", &c.Audits}}
}

// Violation is a rule that the broker has broken.
type Violation struct {
	Seed   uint64
	Step   int
	Rule   string // a statement id, or our own name of a rule
	Text   string // one sentence
	Events []string
}

// String is what a person reads, with how to run the seed again.
func (v *Violation) String() string {
	return fmt.Sprintf("seed %d, step %d, rule %s: %s\nlast events:\n\t%s\nagain: make sim SEED=%d",
		v.Seed, v.Step, v.Rule, v.Text, strings.Join(v.Events, "\n\t"), v.Seed)
}

// world is one run.
type world struct {
	seed   uint64
	rand   *rand.Rand
	broker *broker.Broker
	plan   plan
	step   int
	counts Counts
	start  time.Time

	clients   []*client
	conns     []*conn    // that have not ended
	sessions  []*session // that may exist
	strays    []*stray
	messages  []*publication
	unsettled []*publication
	settled   []*publication // in this step
	retained  map[string][]*publication
	wills     []*pendingWill
	groups    map[string]*group
	groupGot  map[groupKey][]share
	groupOwed []*groupDebt
	arrived   []delivery
	granted   []*record // in this step
	sends     int       // PUBLISH packets of all clients
	arrivals  int
	racing    bool // time has passed in this step before its actions

	mu      sync.Mutex // of what the broker's events and log write
	dropped map[string]*[broker.DropReasons]int
	logged  []string
}

// Progress is the step that the run in progress has come to, for those who watch it from
// outside.
var Progress atomic.Int64

// Run runs one seed, and hands a violation to report before it cleans up, which may hang
// with a broker that is broken enough.
func Run(t *testing.T, seed uint64, report func(*Violation)) (result Result) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), retained: map[string][]*publication{},
			groups: map[string]*group{}, groupGot: map[groupKey][]share{}, dropped: map[string]*[broker.DropReasons]int{}, start: time.Now()}
		result.Seed = seed
		defer func() { result.Steps, result.Counts = w.step, w.counts }()
		w.plan = newPlan(w.rand)
		w.clients = w.plan.clients
		var err error
		config := broker.Config{Limits: w.plan.limits, WhenFull: w.plan.whenFull, SharedStrategy: w.plan.strategy, Events: w.event, Logger: slog.New(&watcher{world: w})}
		if w.plan.recorded {
			config.Log = newLateLog()
		}
		w.broker, err = broker.New(config)
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		result.Violation = w.catch(func() {
			w.run()
			w.finish()
		})
		if result.Violation != nil {
			report(result.Violation)
		}
		w.leave()
		if err := w.broker.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return result
}

// catch returns the violation that ends f.
func (w *world) catch(f func()) (v *Violation) {
	defer func() {
		broken := recover()
		if broken == nil {
			return
		}
		var ok bool
		if v, ok = broken.(*Violation); !ok {
			panic(broken)
		}
	}()
	f()
	return nil
}

// violate ends the run.
func (w *world) violate(c *client, rule, format string, values ...any) {
	v := &Violation{Seed: w.seed, Step: w.step, Rule: rule, Text: fmt.Sprintf(format, values...)}
	if c != nil {
		v.Text = c.name + ": " + v.Text
		v.Events = append(v.Events, c.events[max(0, len(c.events)-40):]...)
	}
	panic(v)
}

// involve adds the last events of a further client to v's.
func (w *world) violateWith(c, other *client, rule, format string, values ...any) {
	if other == nil || other == c {
		w.violate(c, rule, format, values...)
	}
	kept := c.events
	c.events = append(slices.Clone(other.events[max(0, len(other.events)-30):]), kept[max(0, len(kept)-30):]...)
	w.violate(c, rule, format, values...)
}

// note remembers what happens to c.
func (w *world) note(c *client, format string, values ...any) {
	c.events = append(c.events, fmt.Sprintf("step %d, %v, %s: %s", w.step, time.Since(w.start), c.name, fmt.Sprintf(format, values...)))
	if len(c.events) > 400 {
		c.events = append([]string(nil), c.events[200:]...)
	}
}

// event receives what the broker tells.
func (w *world) event(e broker.Event) {
	dropped, ok := e.(broker.Dropped)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := w.dropped[dropped.Client.ClientID]
	if counts == nil {
		counts = new([broker.DropReasons]int)
		w.dropped[dropped.Client.ClientID] = counts
	}
	counts[dropped.Reason] += dropped.Messages
}

// drops returns how many messages for c the broker has dropped for one reason.
func (w *world) drops(c *client, reason broker.DropReason) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if counts := w.dropped[c.name]; counts != nil {
		return counts[reason]
	}
	return 0
}

// watcher takes the broker's log: whatever it says of an internal error is a violation.
type watcher struct{ world *world }

func (h *watcher) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (h *watcher) WithAttrs([]slog.Attr) slog.Handler               { return h }
func (h *watcher) WithGroup(string) slog.Handler                    { return h }
func (h *watcher) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %v", a)
		return true
	})
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	h.world.logged = append(h.world.logged, text)
	return nil
}

// stray is a Network Connection that never gets as far as a CONNECT.
type stray struct {
	conn *conn
	step int
}

// dial opens a Network Connection for c.
func (w *world) dial(c *client) *conn {
	mine, theirs := transport.PipeSize(c.pipe)
	go w.broker.ServeConn(context.Background(), theirs)
	n := newConn(c, mine)
	n.opened, n.calmStep, n.lastSent, n.calm = w.step, w.step, time.Now(), time.Now()
	return n
}

// run makes the steps of the plan.
func (w *world) run() {
	for w.step = 1; w.step <= w.plan.steps; w.step++ {
		Progress.Store(int64(w.step))
		switch r := w.rand.IntN(100); {
		case r < w.plan.jumps:
			w.jump()
		case r < w.plan.jumps+2:
			w.audit()
		default:
			w.burst()
		}
		w.judge()
	}
}

// burst has some clients act at the same time.
func (w *world) burst() {
	count := 1
	if w.rand.IntN(2) == 0 {
		count += w.rand.IntN(min(len(w.clients), 8))
	}
	for _, i := range w.rand.Perm(len(w.clients))[:count] {
		w.act(w.clients[i])
	}
	for _, c := range w.clients {
		if c.conn.open() && !c.conn.acks.empty() && w.rand.IntN(100) >= c.lazy {
			w.acknowledge(c, w.rand.IntN(4) > 0)
		}
	}
	if w.rand.IntN(50) == 0 {
		w.stray()
	}
}

// jump lets time pass: some time, or until something is due. Half of the times clients
// come back at that very moment.
func (w *world) jump() {
	w.counts.Jumps++
	d := []time.Duration{time.Millisecond, 700 * time.Millisecond, 2 * time.Second, 6 * time.Second, 30 * time.Second,
		5 * time.Minute, time.Hour}[w.rand.IntN(7)]
	if due := w.dueTimes(); len(due) > 0 && w.rand.IntN(2) == 0 {
		d = time.Until(due[w.rand.IntN(len(due))])
		if d > 3*time.Hour {
			d = time.Hour
		}
	}
	time.Sleep(max(d, 0))
	if w.rand.IntN(2) == 0 {
		w.racing = true
		for _, i := range w.rand.Perm(len(w.clients)) {
			if c := w.clients[i]; c.conn == nil && w.rand.IntN(3) == 0 {
				w.connect(c, w.rand.IntN(4) == 0)
			}
		}
	}
}

// dueTimes returns when Sessions end and Will Messages are due.
func (w *world) dueTimes() (due []time.Time) {
	for _, s := range w.sessions {
		if !s.dueFrom.IsZero() {
			due = append(due, s.dueFrom)
		}
	}
	for _, pending := range w.wills {
		due = append(due, pending.dueFrom)
	}
	return due
}

// stray opens a Network Connection and sends what is no CONNECT.
func (w *world) stray() {
	w.counts.Rubbish++
	n := w.dial(&client{name: "stray", version: colibri.V311, pipe: 4096})
	b := make([]byte, w.rand.IntN(40))
	for i := range b {
		b[i] = byte(w.rand.Uint32())
	}
	if len(b) > 0 && w.rand.IntN(2) == 0 {
		b[0] = 0x10 // a CONNECT, as far as the first byte goes
	}
	n.sendBytes(b)
	w.strays = append(w.strays, &stray{n, w.step})
}

// leave closes all Network Connections.
func (w *world) leave() {
	for _, n := range w.conns {
		n.pause(false)
		n.sever()
	}
	for _, s := range w.strays {
		s.conn.sever()
	}
	synctest.Wait()
}
