package broker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// $SYS/broker/clients/<ClientID>/dropped/<reason> says what one client did not get. Only
// clients with drops have these topics, and of those the sysClients with the most recent
// ones, until their Sessions end.

const (
	sysClients       = 1000 // clients that have topics of their own
	sysClientIDBytes = 1024 // of an encoded ClientID; longer ones have no topics
)

// dropList collects the Sessions that have had drops since the last look: the last
// sysClients of them, each once. Its lock is a leaf; a Session takes it for the first drop
// after a look only.
type dropList struct {
	mu       sync.Mutex
	sessions []*liveSession // a ring once it is full
	oldest   int
}

// add notes that something for s was dropped.
func (l *dropList) add(s *liveSession) {
	if s.listed.Load() || !s.listed.CompareAndSwap(false, true) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sessions) < sysClients {
		l.sessions = append(l.sessions, s)
		return
	}
	l.sessions[l.oldest].listed.Store(false)
	l.sessions[l.oldest] = s
	l.oldest = (l.oldest + 1) % sysClients
}

// take returns what was collected, the oldest first, and begins anew.
func (l *dropList) take() []*liveSession {
	l.mu.Lock()
	defer l.mu.Unlock()
	sessions := append(slices.Clone(l.sessions[l.oldest:]), l.sessions[:l.oldest]...)
	l.sessions, l.oldest = nil, 0
	for _, s := range sessions {
		s.listed.Store(false) // before its ledger is read: what is dropped from now on lists it again
	}
	return sessions
}

// updateClients says what has been dropped for single clients. unsay removes a topic.
func (t *sysTree) updateClients(say func(topic, text string), unsay func(topic string)) {
	recent := t.broker.dropList.take()
	listed := make(map[*liveSession]bool, len(recent))
	for _, s := range recent {
		listed[s] = true
	}
	t.clients = append(slices.DeleteFunc(t.clients, func(s *liveSession) bool { return listed[s] }), recent...)
	gone := max(0, len(t.clients)-sysClients)
	kept := t.clients[:0:0]
	var leave []*liveSession
	for i, s := range t.clients {
		if i < gone || s.hasEnded() || len(sysClientID(s.clientID)) > sysClientIDBytes {
			leave = append(leave, s)
		} else {
			kept = append(kept, s)
		}
	}
	t.clients = kept
	each := func(s *liveSession, do func(topic string, n int64)) {
		for reason, n := range s.drops().byReason() {
			do(fmt.Sprintf("clients/%s/dropped/%s", sysClientID(s.clientID), sysLevel(reason.String())), n)
		}
	}
	for _, s := range leave { // first, as a new Session may have the same ClientID
		each(s, func(topic string, _ int64) { unsay(topic) })
	}
	for _, s := range kept {
		each(s, func(topic string, n int64) { say(topic, fmt.Sprint(n)) })
	}
}

// hasEnded reports whether s has ended.
func (s *liveSession) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// sysClientID returns a ClientID as one level of a topic: what has a meaning in topics or
// cannot be printed is percent-encoded, and the percent sign itself.
func sysClientID(clientID string) string {
	var b strings.Builder
	for _, r := range clientID {
		if strings.ContainsRune("%/+#", r) || unicode.IsControl(r) {
			for _, one := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", one)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
