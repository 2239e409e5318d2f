package main

import (
	"slices"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// history is what the clients of a run know: what they sent, what was acknowledged to
// them, and what they received. Instants are durations since the start of the run. The
// clients write under mu; check and the other judges read when mu is theirs.
type history struct {
	mu       sync.Mutex
	start    time.Time
	kills    []time.Duration
	sent     [][]message // by publisher, then by sequence number
	sessions []*session
	faults   []fault // what a client saw for itself
}

// messageID names a message of the run.
type messageID struct{ publisher, sequence int }

// message is one Application Message of a publisher.
type message struct {
	topic        string
	qos          colibri.QoS
	retain       bool
	removal      bool // a Retained Message without payload: nobody can tell which one it was
	sent         time.Duration
	again        time.Duration // sent for the last time; 0: once only
	acknowledged time.Duration // by PUBACK or PUBREC; 0: not
	refused      colibri.ReasonCode
}

// session is what a subscriber's Session asked for and received.
type session struct {
	name          string
	share         string // the Share Name; the Sessions that have it count as one
	subscriptions []subscribed
	arrivals      []arrival
}

// subscribed is a Subscription that was acknowledged. It is never ended.
type subscribed struct {
	filter string // without the $share prefix
	qos    colibri.QoS
	at     time.Duration
}

// arrival is a PUBLISH with QoS 1 or 2 that a subscriber received. The ones which
// announce a Retained Message are left out.
type arrival struct {
	message messageID
	topic   string
	qos     colibri.QoS
	at      time.Duration
	again   bool // QoS 2, and the handshake of its Packet Identifier was open: the same delivery
}

func newHistory(publishers int) *history {
	return &history{start: time.Now(), sent: make([][]message, publishers)}
}

func (h *history) now() time.Duration { return time.Since(h.start) }

// addSession adds a subscriber's Session to those that are checked.
func (h *history) addSession(name, share string) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &session{name: name, share: share}
	h.sessions = append(h.sessions, s)
	return s
}

// killed notes that the broker is about to be killed.
func (h *history) killed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kills = append(h.kills, h.now())
}

// publish notes that a message is sent for the first time, and returns its name.
func (h *history) publish(publisher int, m message) messageID {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.sent = h.now()
	h.sent[publisher] = append(h.sent[publisher], m)
	return messageID{publisher, len(h.sent[publisher]) - 1}
}

// acknowledge notes the answer to a message.
func (h *history) acknowledge(id messageID, code colibri.ReasonCode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &h.sent[id.publisher][id.sequence]
	switch {
	case code >= colibri.UnspecifiedError:
		m.refused = code
	case m.acknowledged == 0:
		m.acknowledged = h.now()
	}
}

// publishAgain notes that a message is sent again.
func (h *history) publishAgain(id messageID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent[id.publisher][id.sequence].again = h.now()
}

// subscribe notes what a SUBACK has acknowledged; a repetition changes nothing.
func (h *history) subscribe(s *session, filter string, qos colibri.QoS) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.ContainsFunc(s.subscriptions, func(old subscribed) bool { return old.filter == filter }) {
		s.subscriptions = append(s.subscriptions, subscribed{filter, qos, h.now()})
	}
}

// arrive notes a PUBLISH that a subscriber received.
func (h *history) arrive(s *session, a arrival) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.at = h.now()
	s.arrivals = append(s.arrivals, a)
}

// observe notes a fault that a client saw for itself.
func (h *history) observe(f fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.At = h.now()
	h.faults = append(h.faults, f)
}

// progress returns how many messages were acknowledged and how many PUBLISH packets received.
func (h *history) progress() (acknowledged, received int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, messages := range h.sent {
		for i := range messages {
			if messages[i].acknowledged > 0 {
				acknowledged++
			}
		}
	}
	for _, s := range h.sessions {
		received += len(s.arrivals)
	}
	return acknowledged, received
}

// message returns a copy of a message of the run.
func (h *history) message(id messageID) message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent[id.publisher][id.sequence]
}

// killCount returns how often the broker was killed.
func (h *history) killCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.kills)
}

// momentNow says what time it is in the run.
func (h *history) momentNow() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.moment(h.now())
}
