package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

const (
	auditPause   = time.Second // between two lines about what one client was denied
	auditClients = 4096        // that have lines of their own at the same time; the others share one
)

// audit says what clients were denied: a line for the first time, and then one a second at
// most, for the last time, with how many were left out before it. Its lock is a leaf.
type audit struct {
	log    *brokerLog
	access *auth.Access // names the rules

	mu     sync.Mutex
	recent map[string]*auditMark // by ClientID: who had a line in the last auditPause
	closed bool
}

// auditMark is what has come since the last line.
type auditMark struct {
	times int
	last  broker.Denied
}

func newAudit(log *brokerLog, access *auth.Access) *audit {
	return &audit{log: log, access: access, recent: make(map[string]*auditMark)}
}

// denied writes the line of an event, or counts it. It does not block.
func (a *audit) denied(e broker.Denied) {
	if !a.log.wants(logNotice) {
		return
	}
	if a.first(e) {
		a.log.printf(logNotice, "%s.", a.line(e))
	}
}

// first counts e, or returns true when it is the first for a while.
func (a *audit) first(e broker.Denied) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := e.Client.ClientID
	if a.recent[id] == nil && len(a.recent) >= auditClients {
		id = ""
	}
	if mark := a.recent[id]; mark != nil {
		mark.times++
		mark.last = e
		return false
	}
	if a.closed {
		return false
	}
	a.recent[id] = &auditMark{}
	time.AfterFunc(auditPause, func() { a.pause(id) })
	return true
}

// pause is called an auditPause after a line about a client.
func (a *audit) pause(id string) {
	a.mu.Lock()
	mark := a.recent[id]
	switch {
	case mark == nil: // closed
	case mark.times == 0:
		delete(a.recent, id)
	default:
		a.recent[id] = &auditMark{}
		time.AfterFunc(auditPause, func() { a.pause(id) })
	}
	a.mu.Unlock()
	a.more(mark)
}

// more says what has come since the last line.
func (a *audit) more(mark *auditMark) {
	switch {
	case mark == nil || mark.times == 0:
	case mark.times == 1:
		a.log.printf(logNotice, "%s.", a.line(mark.last))
	default:
		a.log.printf(logNotice, "%s; %d more were left out before.", a.line(mark.last), mark.times-1)
	}
}

// close writes what was counted and not said.
func (a *audit) close() {
	a.mu.Lock()
	rest := a.recent
	a.recent, a.closed = nil, true
	a.mu.Unlock()
	for _, mark := range rest {
		a.more(mark)
	}
}

// line says what a client was denied, and by which rule.
func (a *audit) line(e broker.Denied) string {
	who := "client " + shown(e.Client.ClientID)
	if e.Client.UserName != "" {
		who += " (user " + shown(e.Client.UserName) + ")"
	}
	what, action := "may not publish to", acl.Publish
	switch e.Action {
	case broker.ActionSubscribe:
		what, action = "may not subscribe to", acl.Subscribe
	case broker.ActionUnsubscribe:
		what, action = "may not unsubscribe from", acl.Unsubscribe
	case broker.ActionKeep:
		what, action = "loses its Subscription to", acl.Subscribe
	}
	rule := "topics below $SYS are the broker's own to write"
	switch d := a.access.Decide(e.Client, action, e.Topic); {
	case !d.Allowed:
		rule = d.Rule.String()
	case action != acl.Publish || e.Topic == "" || e.Topic[0] != '$':
		rule = "a rule that was replaced at this moment"
	}
	return fmt.Sprintf("Denied: %s %s %s: %s", who, what, shown(e.Topic), escaped(rule, 1<<10))
}
