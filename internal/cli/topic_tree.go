package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/topics"
	"github.com/colibri-mqtt/colibri/topic"
)

const (
	snapshotWindow = 2 * time.Second        // how long a snapshot looks, unless -W says
	redrawEvery    = 250 * time.Millisecond // of the live tree, at most
	drawShare      = 10                     // a tree that is slow to draw is drawn less often: one part in so many
	newsFor        = 5 * time.Second        // how long the live tree shows a sentence about the connection
	treeQueued     = 10_000                 // messages that wait while the screen is drawn
)

// topicTreeRun is one run of topic tree.
type topicTreeRun struct {
	*session
	link         *treeLink
	live         *topics.Live
	subscription *client.Subscription
	screen       *treeScreen // nil for a snapshot
	connection   int         // the one whose messages come, from 1
	messages     int         // for -C
}

// treeLink knows the connection, of which the client tells in goroutines of its own. Safe
// for concurrent use.
type treeLink struct {
	mu          sync.Mutex
	connections int // so far
	away        bool
}

func (l *treeLink) trace(e client.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case client.Connected:
		l.connections++
		l.away = false
	case client.Lost:
		l.away = true
	}
}

func (l *treeLink) now() (connections int, away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connections, l.away
}

// runTree is colibri topic tree.
func runTree(env *invocation, o *options) int {
	status := &statusLine{w: env.stderr}
	told := *env
	told.stderr = status
	link := &treeLink{}
	s, exit := told.connect(o, newOutput(env.stdout), func(settings *client.Options) {
		settings.Reconnect = retry
		settings.MaxQueued = treeQueued
		settings.Trace = link.trace
	})
	if s == nil {
		return exit
	}
	t := &topicTreeRun{session: s, link: link, connection: 1}
	exit = t.run(status)
	s.leave(false)
	return exit
}

// run subscribes, watches and prints.
func (t *topicTreeRun) run(status *statusLine) int {
	o := t.options
	var err error
	t.subscription, err = t.SubscribeWith(t.env.ctx, o.properties["subscribe"], o.subscriptions()...)
	if t.subscription == nil {
		return t.refused(err)
	}
	for i, code := range t.subscription.Granted() {
		if code.Failed() && i < len(o.filters) {
			t.complain("Warning: The server refuses the filter '%s': %s.", shown(o.filters[i]), code.String())
		}
	}
	t.live = topics.NewLive(o.maxTopics, time.Now(), o.version == colibri.V5)
	if terminal := liveTerminal(t.env.stdout); terminal != nil && !o.once && !o.json {
		t.screen = &treeScreen{screen: openScreen(t.env.stdin, terminal), paint: inspect.Paint(wantsColour(terminal))}
		defer t.screen.close()
		status.hold()
		defer status.release()
	}
	ended := t.watch(status)
	if t.screen != nil {
		t.screen.close()
		status.release()
		for _, line := range t.notes(time.Now()) {
			t.out.writeLine(line)
		}
	} else {
		t.print()
	}
	_, away := t.link.now()
	switch {
	case ended && t.Err() != nil:
		return t.failed(t.lossError())
	case away && t.env.ctx.Err() == nil:
		t.complain("The connection is still lost: what is shown came before.")
		return exitLost
	}
	return exitOK
}

// refused says that there is no Subscription, and what may help.
func (t *topicTreeRun) refused(err error) int {
	exit, told := t.denied(t.env.ctx, err)
	if !told && t.Err() != nil {
		return t.failed(t.lossError())
	}
	if told && len(t.options.filters) == 1 && t.options.filters[0] == "#" {
		t.complain("Not every server lets everybody subscribe to '#': name the topics that you may see, such as 'house/#'.")
	}
	return exit
}

// watch takes messages until there is enough. ended says that the client has ended.
func (t *topicTreeRun) watch(status *statusLine) (ended bool) {
	o := t.options
	ctx, cancel := context.WithCancel(t.env.ctx)
	defer cancel()
	messages := make(chan *client.Message, 256)
	go func() {
		feed(ctx, t.subscription, messages)
		close(messages)
	}()
	window := o.window
	if window == 0 && t.screen == nil && o.count == 0 {
		window = snapshotWindow
	}
	var timeout <-chan time.Time
	if window > 0 {
		timer := time.NewTimer(window)
		defer timer.Stop()
		timeout = timer.C
	}
	var keys <-chan key
	redraw := time.NewTimer(redrawEvery)
	defer redraw.Stop()
	if t.screen != nil {
		keys = t.screen.keys
		t.draw(status)
	} else {
		redraw.Stop()
	}
	for {
		select {
		case m, more := <-messages:
			if !more {
				return t.env.ctx.Err() == nil
			}
			if t.take(m) {
				return false
			}
		case <-redraw.C:
			begun := time.Now()
			if !t.draw(status) {
				return false // nobody looks any more
			}
			redraw.Reset(max(redrawEvery, drawShare*time.Since(begun)))
		case k := <-keys:
			if k == keyQuit {
				return false
			}
			t.screen.scroll(k)
			t.draw(status)
		case <-timeout:
			return false
		case <-t.env.ctx.Done():
			return false
		}
	}
}

// take enters a message, and reports whether it was the last that is wanted.
func (t *topicTreeRun) take(m *client.Message) (last bool) {
	for _, filter := range t.options.filtersOut {
		if topic.Match(filter, m.Topic) {
			return false
		}
	}
	if connections, _ := t.link.now(); connections != t.connection {
		t.connection = connections
		t.live.Reconnected()
	}
	t.live.Add(time.Now(), m.Topic, m.Payload, byte(m.QoS), m.Retain)
	t.messages++
	return t.messages == t.options.count
}

// treeSnapshot is what --json prints. Its keys are read by scripts.
type treeSnapshot struct {
	Broker    string   `json:"broker"`
	Filters   []string `json:"filters"`
	Connected bool     `json:"connected"`
	topics.Summary
	Dropped int             `json:"dropped"` // messages that came too fast
	List    []*topics.Topic `json:"list"`
}

// print writes the snapshot.
func (t *topicTreeRun) print() {
	now := time.Now()
	_, away := t.link.now()
	if t.options.json {
		printJSON(t.env, &treeSnapshot{t.options.url(), t.options.filters, !away, t.live.Summary(now), t.subscription.Dropped(), t.live.Topics(now)})
		return
	}
	width := 0
	if file := liveTerminal(t.env.stdout); file != nil {
		width, _, _ = term.GetSize(int(file.Fd()))
	}
	table := newTreeTable(t.live.Rows(now), width, inspect.Paint(wantsColour(t.env.stdout)))
	var b strings.Builder
	if len(table.rows) > 0 {
		b.WriteString(table.header() + "\n")
	}
	for i := range table.rows {
		b.WriteString(table.line(i) + "\n")
	}
	for _, line := range t.notes(now) {
		b.WriteString(line + "\n")
	}
	t.out.write([]byte(b.String()))
	t.out.flush()
	if t.messages == 0 {
		t.complain("Nothing has come for %s: Retained Messages come at once, others as they are published. Look longer with -W, or at other topics.", filterList(t.options.filters))
	}
}

// notes returns the lines below the tree: what was seen, and what is not shown.
func (t *topicTreeRun) notes(now time.Time) []string {
	s := t.live.Summary(now)
	lines := []string{fmt.Sprintf("%s, %s in %.1f s, %s a second.", counted(s.Topics, "topic"), counted(s.Messages, "message"), s.Seconds, shortRate(s.Rate))}
	if s.MoreTopics > 0 {
		more := counted(s.MoreTopics, "more topic")
		if s.MoreAtLeast {
			more = "More than " + more
		}
		lines = append(lines, fmt.Sprintf("%s with %s not shown: the tree is full (--max-topics %d).", more, counted(s.MoreMessage, "message"), t.options.maxTopics))
	}
	if dropped := t.subscription.Dropped(); dropped > 0 {
		lines = append(lines, fmt.Sprintf("%s came faster than they could be taken, and are missing.", counted(dropped, "message")))
	}
	return lines
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// filterList names filters in a sentence.
func filterList(filters []string) string {
	list := "'" + shown(filters[0]) + "'"
	if len(filters) > 1 {
		list += fmt.Sprintf(" and %d more", len(filters)-1)
	}
	return list
}

// draw redraws the screen; it returns false when that has failed.
func (t *topicTreeRun) draw(status *statusLine) bool {
	now := time.Now()
	_, away := t.link.now()
	return t.screen.draw(&treeView{
		title:  fmt.Sprintf("%s  %s", t.options.url(), filterList(t.options.filters)),
		rows:   t.live.Rows(now),
		notes:  t.notes(now),
		status: status.line(newsFor),
		away:   away,
	})
}

// liveTerminal returns w as a terminal that can be drawn on, or nil.
func liveTerminal(w any) *os.File {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}
