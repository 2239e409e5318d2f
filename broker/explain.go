package broker

import (
	"fmt"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/topic"
)

// Explain walks the road with a message that is not sent. What decides is the code of the road;
// here are only the order of the questions and the words of the answers. No lock is held longer
// than it takes to look at one Session.

// Question is what Explain is asked: would the client get this message?
type Question struct {
	ClientID string // of who would get it
	From     string // ClientID of who would publish it; empty when that does not matter
	Topic    string // Topic Name
	QoS      colibri.QoS
	Retain   bool
	Bytes    int     // of the payload
	Expiry   *uint32 // Message Expiry Interval in seconds; nil without
}

// Verdict is the answer to a Question, with the reason.
type Verdict int

// The verdicts. The client gets the message, now or later, up to WaitsGroup, and does not with
// the others.
const (
	GetsIt        Verdict = iota // at once
	WaitsAway                    // when it connects
	WaitsWindow                  // when it has acknowledged: its Receive Maximum, or Limits.Inflight
	WaitsOutbox                  // when it has read: Limits.OutboxBytes wait for its connection
	WaitsGroup                   // with its Shared Subscription: whichever member comes first
	MissNoSession                // there is no Session of the client
	MissNoMatch                  // none of its Subscriptions matches
	MissNoLocal                  // it is the publisher, and asked not to have it
	MissDenied                   // DropDenied
	MissInvalid                  // DropInvalid, or the packet is larger than Limits.PacketBytes
	MissRejected                 // DropRejected
	MissStateFull                // DropStateFull
	MissExpired                  // DropExpired
	MissWithheld                 // DropWithheld
	MissNotChosen                // another member of the Shared Subscription is chosen
	MissOffline                  // DropOffline
	MissQueueFull                // DropQueueFull
	MissPaced                    // DropPaced
	MissSlow                     // DropSlow
	MissTooLarge                 // DropTooLarge
	verdicts
)

// Verdicts is the number of verdicts: they are 0 to Verdicts - 1.
const Verdicts = int(verdicts)

var verdictNames = [verdicts]string{"gets it", "waits until it connects", "waits for acknowledgements", "waits until it reads", "waits with the group",
	"no session", "no match", "no local", "denied", "invalid", "rejected", "state full", "expired", "withheld", "another member", "offline",
	"queue full", "paced", "slow consumer", "packet too large"}

// String returns the verdict in words.
func (v Verdict) String() string { return verdictNames[v] }

// Delivered reports whether the client gets the message, now or later.
func (v Verdict) Delivered() bool { return v <= WaitsGroup }

// CheckResult says what a Check means for the client.
type CheckResult int

// The results.
const (
	CheckOK   CheckResult = iota // nothing is in the way
	CheckNo                      // this is why the client does not get it, or one of the reasons
	CheckNote                    // worth knowing
)

var checkResultNames = [...]string{"ok", "no", "note"}

// String returns the result in a word.
func (r CheckResult) String() string { return checkResultNames[r] }

// Check is one thing that was looked at.
type Check struct {
	About  string // in one or two words
	Result CheckResult
	Text   string // without a full stop; may hold any text that a client chose
}

// MatchedFilter is a Subscription of the client beside the topic, level by level.
type MatchedFilter struct {
	Subscription colibri.Subscription
	Matches      bool
	Levels       []topic.Level // of the filter within a Shared Subscription
}

// Explanation is the answer of Explain.
type Explanation struct {
	Verdict  Verdict
	Sentence string          // the verdict and its reason, without a full stop
	Checks   []Check         // in the order of the road
	Filters  []MatchedFilter // those that match, and the nearest of the others; a few of each
	Time     time.Time
}

// explainer is one call of Explain.
type explainer struct {
	*Explanation
	q     Question
	b     *batch // of which nothing is recorded or sent
	m     *colibri.Message
	s     *liveSession // of the client; nil without one
	from  *liveSession // of the publisher; nil without one
	view  sessionView
	found bool // a Verdict
}

// Explain says whether the client would get a message if it was published now, and why. It
// changes nothing. What happens meanwhile may make it wrong. The error is a *topic.SyntaxError
// or says what is wrong with q.
func (b *Broker) Explain(q Question) (*Explanation, error) {
	if err := topic.CheckName(q.Topic); err != nil {
		return nil, err
	}
	switch {
	case !q.QoS.Valid():
		return nil, fmt.Errorf("there is no QoS %d", byte(q.QoS))
	case q.Bytes < 0 || q.Bytes > 268_435_455:
		return nil, fmt.Errorf("no payload has %d bytes", q.Bytes)
	}
	batch := b.takeBatch()
	defer batch.giveBack()
	defer batch.encoder.begin(nil, time.Time{})
	batch.now = time.Now()
	x := &explainer{Explanation: &Explanation{Time: batch.now}, q: q, b: batch}
	x.s, x.from = b.sessionOf(q.ClientID), b.sessionOf(q.From)
	x.session()
	fits := x.message()
	if fits && x.publisher() && x.s != nil {
		x.deliveries()
	} else {
		x.subscriptions()
	}
	x.retained()
	x.ledger()
	return x.Explanation, nil
}

// sessionOf returns the Session of a client, nil without one.
func (b *Broker) sessionOf(clientID string) *liveSession {
	b.registry.mu.Lock()
	defer b.registry.mu.Unlock()
	return b.registry.sessions[clientID]
}

// check adds a line.
func (x *explainer) check(about string, result CheckResult, format string, args ...any) {
	x.Checks = append(x.Checks, Check{about, result, fmt.Sprintf(format, args...)})
}

// conclude notes a verdict. The client gets a message that reaches it on one of several ways;
// otherwise the first reason counts.
func (x *explainer) conclude(v Verdict, format string, args ...any) {
	if x.found && rank(v) >= rank(x.Verdict) {
		return
	}
	x.found = true
	x.Verdict, x.Sentence = v, fmt.Sprintf(format, args...)
}

// rank orders verdicts: at once, later, not.
func rank(v Verdict) int {
	switch {
	case v == GetsIt:
		return 0
	case v.Delivered():
		return 1
	}
	return 2
}

// miss is check and conclude for what is in the way.
func (x *explainer) miss(v Verdict, about, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	x.check(about, CheckNo, "%s", text)
	x.conclude(v, "%s does not get it: %s", x.q.ClientID, text)
}

// clock returns a time for people.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// several returns "1 message" or "2 messages".
func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
