package sim

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/topic"
)

// never is the step of what has not happened yet.
const never = math.MaxInt

// client is one ClientID and its habits.
type client struct {
	name     string
	version  colibri.Version
	conn     *conn
	session  *session // the last one that may still exist
	events   []string
	forgiven [broker.DropReasons]int // messages missing for which the broker has reported a drop, by reason

	lasting    bool // its Session outlives its connections
	expiry     uint32
	window     int // Receive Maximum; 0: none
	maxPacket  int
	aliases    uint32
	keepAlive  uint16
	lazy       int  // of 100: how often it keeps its acknowledgements back
	disorderly bool // acknowledges in any order
	pauses     bool
	worker     string // a 3.1.1 client subscribes to this Shared Subscription alone; empty for others
	pipe       int    // bytes that its Network Connection holds
}

// session is what the broker keeps for one ClientID, as far as its client knows.
type session struct {
	client   *client
	began    int // step
	endFrom  int // it surely lives in the steps before, never while it does
	endBy    int // it is surely gone from here on
	expiry   uint32
	dueFrom  time.Time // when it ends, between these two; zero while connected or for ever
	dueBy    time.Time
	lastLost int // the step of its last lost connection

	subscriptions []*record
	outgoing      []*outgoing // our messages, in the order of sending
	lastID        uint16
	busy          map[uint16]bool // Packet Identifiers of SUBSCRIBE and UNSUBSCRIBE

	incoming  map[uint16]*incoming // messages of the broker that are not acknowledged
	finished  map[uint16]*incoming // acknowledged, but nobody knows whether the broker has noticed
	live      map[*publication]int
	ambiguous map[*publication]bool // may be a Retained Message for a new Subscription or a live one
	order     map[orderKey]*publication
	owed      []*publication
	kept      []replay // Retained Messages that the connections before still had to bring

	smallest int // Maximum Packet Size of its clients, 0: no limit
}

// orderKey is within what messages stay in order.
type orderKey struct {
	from         *client
	topic        string
	qos          colibri.QoS
	acknowledged bool // delivered with QoS 1 or 2
}

// record is the life of one Subscription. It is surely there after addedBy and before
// removedFrom, and perhaps from addedFrom to removedBy.
type record struct {
	subscription           colibri.Subscription
	share, filter          string
	group                  *group // of a Shared Subscription
	addedFrom, addedBy     int
	removedFrom, removedBy int
	existed                certainty // there was one with this Topic Filter
	conn                   *conn
	replayed               map[*publication]int
}

type certainty byte

const (
	no certainty = iota
	maybe
	yes
)

// replays says whether the Subscription brings the Retained Messages.
func (r *record) replays() certainty {
	switch {
	case r.share != "" || r.subscription.RetainHandling == colibri.NoRetained:
		return no
	case r.subscription.RetainHandling == colibri.SendRetained:
		return yes
	}
	return yes - r.existed
}

// replay is a Retained Message that a new Subscription must bring.
type replay struct {
	record  *record
	message *publication
}

// fate says what is known of a publication.
type fate byte

const (
	underWay fate = iota
	taken         // the broker has it
	unknown       // perhaps
	refused       // the broker has answered with an error: nobody gets it
	void          // a Will Message that is not to be published
)

// publication is one Application Message of a client. The broker decides on it between
// the steps from and until.
type publication struct {
	number        int
	sender        *client
	will          bool
	topic         string
	payload       []byte
	qos           colibri.QoS
	retain        bool
	properties    colibri.Properties // without Message Expiry Interval
	expiry        time.Duration      // 0 without
	transmissions int
	first, last   int // places of its PUBLISH packets among all that were sent
	from, until   int
	fromTime      time.Time
	untilTime     time.Time
	fate          fate
	conn          *conn // the last that it was sent on
	code          colibri.ReasonCode
	replacedAt    int // step at which another one was surely retained instead
}

// expires returns between which instants it expires; ok is false when it does not.
func (m *publication) expires() (from, by time.Time, ok bool) {
	if m.expiry == 0 {
		return time.Time{}, time.Time{}, false
	}
	by = m.untilTime
	if m.until == never {
		by = m.fromTime.Add(10_000 * time.Hour)
	}
	return m.fromTime.Add(m.expiry), by.Add(m.expiry), true
}

func (m *publication) mayBeExpired(now time.Time) bool {
	from, _, ok := m.expires()
	return ok && !now.Before(from)
}

func (m *publication) surelyExpired(now time.Time) bool {
	_, by, ok := m.expires()
	return ok && !now.Before(by)
}

// after reports whether the broker surely took m later than other.
func (m *publication) after(other *publication) bool {
	return m.from > other.until ||
		m.sender == other.sender && !m.will && !other.will && other.last < m.first
}

// routes is how often the broker may have handed m out.
func (m *publication) routes() int {
	if m.qos == colibri.ExactlyOnce || m.will {
		return 1
	}
	return m.transmissions
}

// outgoing is a QoS 1 or 2 message of the client whose handshake is not complete.
type outgoing struct {
	id      uint16
	message *publication
	state   sendState
}

type sendState byte

const (
	sent     sendState = iota
	answered           // PUBREC has come
	released           // PUBREL was sent
)

// incoming is a QoS 1 or 2 message of the broker that the client has not acknowledged to
// the end.
type incoming struct {
	message  *publication
	qos      colibri.QoS
	conn     *conn // the last that it came on
	number   int   // place among all that arrived first
	recorded bool  // PUBREC was sent
	shared   bool  // because of a Shared Subscription
	released bool  // PUBREL has come
}

func newSession(c *client, step int) *session {
	return &session{client: c, began: step, endFrom: never, endBy: never,
		busy: map[uint16]bool{}, incoming: map[uint16]*incoming{}, finished: map[uint16]*incoming{},
		live: map[*publication]int{}, ambiguous: map[*publication]bool{}, order: map[orderKey]*publication{}}
}

func (s *session) end(step int) {
	s.endFrom, s.endBy = min(s.endFrom, step), min(s.endBy, step)
	s.owed = nil
}

// newID returns a Packet Identifier that the client does not use.
func (s *session) newID() uint16 {
	for {
		s.lastID++
		if s.lastID != 0 && !s.busy[s.lastID] &&
			!slices.ContainsFunc(s.outgoing, func(o *outgoing) bool { return o.id == s.lastID }) {
			return s.lastID
		}
	}
}

func (s *session) find(id uint16) *outgoing {
	for _, o := range s.outgoing {
		if o.id == id {
			return o
		}
	}
	return nil
}

func (r *record) matches(m *publication) bool {
	return topic.Match(r.filter, m.topic)
}

// matching returns the Subscriptions of s to which m must, and may, have been routed:
// those of all Shared Subscriptions, or those that are not shared.
func (s *session) matching(m *publication, shared bool, step int) (must, may []*record) {
	until := min(m.until, step)
	if s.endBy < m.from || s.began > until {
		return nil, nil
	}
	for _, r := range s.subscriptions {
		if (r.share != "") != shared || r.addedFrom > until || r.removedBy < m.from || !r.matches(m) {
			continue
		}
		local := r.subscription.NoLocal && m.sender == s.client
		if local && !m.will {
			continue
		}
		may = append(may, r)
		if !local && r.addedBy < m.from && r.removedFrom > until && s.endFrom > until {
			must = append(must, r)
		}
	}
	return must, may
}

// pendingWill is a Will Message that waits for its delay.
type pendingWill struct {
	message        *publication
	session        *session
	dueFrom, dueBy time.Time
}

// shared splits a Topic Filter into Share Name and the rest.
func shared(filter string) (share, inner string) {
	if share, inner, ok := topic.SplitShared(filter); ok {
		return share, inner
	}
	return "", strings.Clone(filter)
}
