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

// audit says what clients were denied: a line for the first time, and a second later how
// many times more. Its lock is a leaf.
type audit struct {
	log    *brokerLog
	access *auth.Access // names the rules

	mu     sync.Mutex
	recent map[string]int // by ClientID: how often since the last line, in the last auditPause
	closed bool
}

func newAudit(log *brokerLog, access *auth.Access) *audit {
	return &audit{log: log, access: access, recent: make(map[string]int)}
}

// denied writes the line of an event, or counts it. It does not block.
func (a *audit) denied(e broker.Denied) {
	if !a.log.wants(logNotice) {
		return
	}
	id := e.Client.ClientID
	a.mu.Lock()
	n, known := a.recent[id]
	if !known && len(a.recent) >= auditClients {
		id = ""
		n, known = a.recent[id]
	}
	if known {
		n++
	}
	a.recent[id] = n
	first := !known && !a.closed
	if first {
		time.AfterFunc(auditPause, func() { a.pause(id) })
	}
	a.mu.Unlock()
	if first {
		a.log.printf(logNotice, "%s", a.line(e))
	}
}

// pause is called an auditPause after a line about a client.
func (a *audit) pause(id string) {
	a.mu.Lock()
	n := a.recent[id]
	if n > 0 && !a.closed {
		a.recent[id] = 0
		time.AfterFunc(auditPause, func() { a.pause(id) })
	} else {
		delete(a.recent, id)
	}
	a.mu.Unlock()
	a.more(id, n)
}

// more says how many times more a client was denied something.
func (a *audit) more(id string, n int) {
	switch {
	case n == 0:
	case id == "":
		a.log.printf(logNotice, "Denied: other clients, %d times more.", n)
	default:
		a.log.printf(logNotice, "Denied: client %s, %d times more.", shown(id), n)
	}
}

// close writes what was counted and not said.
func (a *audit) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for id, n := range a.recent {
		a.more(id, n)
	}
	clear(a.recent)
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
	case broker.ActionKeep:
		what, action = "loses its Subscription to", acl.Subscribe
	}
	rule := "topics below $SYS are the broker's own to write"
	switch d := a.access.Decide(e.Client, action, e.Topic); {
	case !d.Allowed:
		rule = d.Rule.String()
	case action == acl.Subscribe || e.Topic == "" || e.Topic[0] != '$':
		rule = "a rule that was replaced at this moment"
	}
	return fmt.Sprintf("Denied: %s %s %s: %s.", who, what, shown(e.Topic), escaped(rule, 1<<10))
}
