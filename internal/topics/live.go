package topics

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri/internal/display"
)

// The bounds of a Live besides the number of its topics.
const (
	previewBytes   = 256      // of each payload
	maxTopicsBytes = 16 << 20 // of all topics together
	maxOthers      = 100_000  // topics beyond the limit that are told apart, to count them
	maxDepth       = 32       // levels that become a Row each; the last Row holds the rest
)

// ratePeriod is how far rates look back: what is older weighs less and less.
const ratePeriod = 10 * time.Second

// Live is what was seen of the topics of a broker: the last message of each topic, with
// its count and rate, for a bounded number of topics. Not safe for concurrent use.
type Live struct {
	max     int
	start   time.Time
	asSent  bool
	topics  map[string]*seen
	ordered []*seen // by level; see sorted
	sorted  bool
	bytes   int // of the topics

	total    rate
	messages int
	session  int // connections so far
	others   map[uint64]struct{}
	lost     int // messages of topics beyond the limit
}

// seen is one topic.
type seen struct {
	topic    string
	payload  []byte // its beginning
	bytes    int    // of the whole payload
	qos      byte
	retained bool
	count    int
	rate     rate
	at       time.Time
	session  int // the connection over which it was last seen
}

// rate is a rate of messages. Each weighs 1 when it comes, and less as it grows older.
type rate struct {
	weight float64
	at     time.Time
}

func (r *rate) add(now time.Time) {
	r.weight = r.now(now) + 1
	r.at = now
}

// now returns the weight at that time.
func (r *rate) now(now time.Time) float64 {
	return r.weight * math.Exp(-max(0, now.Sub(r.at).Seconds())/ratePeriod.Seconds())
}

// perSecond returns messages a second, given since when they were counted.
func (r *rate) perSecond(now, start time.Time) float64 {
	counted := max(1, now.Sub(start).Seconds())
	return r.now(now) / (ratePeriod.Seconds() * (1 - math.Exp(-counted/ratePeriod.Seconds())))
}

// NewLive returns a Live of at most limit topics that begins at start. asSent says that
// the RETAIN flag of messages is that of the publisher (Retain As Published of 5.0); else
// it marks messages that were kept before.
func NewLive(limit int, start time.Time, asSent bool) *Live {
	return &Live{max: limit, start: start, asSent: asSent, topics: map[string]*seen{}, others: map[uint64]struct{}{}, session: 1}
}

// Reconnected says that a new connection sends the Retained Messages again.
func (l *Live) Reconnected() { l.session++ }

// Add enters a message. It keeps copies of what it needs.
func (l *Live) Add(now time.Time, topic string, payload []byte, qos byte, retain bool) {
	l.messages++
	t := l.topics[topic]
	if t == nil {
		if len(l.topics) >= l.max || l.bytes+len(topic) > maxTopicsBytes {
			if !retain {
				l.total.add(now)
			}
			l.lost++
			if len(l.others) < maxOthers {
				l.others[hash(topic)] = struct{}{}
			}
			return
		}
		t = &seen{topic: strings.Clone(topic)}
		l.topics[t.topic] = t
		l.ordered, l.sorted = append(l.ordered, t), false
		l.bytes += len(topic)
	}
	// The first message of a connection with the flag was kept before: it does not count
	// as one a second.
	if !retain || t.session == l.session {
		t.rate.add(now)
		l.total.add(now)
	}
	switch {
	case retain:
		t.retained = len(payload) > 0
	case len(payload) == 0 && !l.asSent:
		t.retained = false // most likely what has cleared it
	}
	t.session = l.session
	t.payload = append(t.payload[:0], payload[:min(len(payload), previewBytes)]...)
	t.bytes, t.qos, t.at = len(payload), qos, now
	t.count++
}

// hash tells topics apart (FNV-1a).
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// Summary is the whole in numbers.
type Summary struct {
	Topics      int     `json:"topics"`
	Messages    int     `json:"messages"`
	Rate        float64 `json:"rate"`    // messages a second
	Seconds     float64 `json:"seconds"` // since the beginning
	MoreTopics  int     `json:"more_topics"`
	MoreAtLeast bool    `json:"more_at_least,omitempty"` // there are more than MoreTopics
	MoreMessage int     `json:"more_messages"`           // of MoreTopics
}

// Summary returns the whole in numbers.
func (l *Live) Summary(now time.Time) Summary {
	return Summary{len(l.topics), l.messages, rounded(l.total.perSecond(now, l.start)), rounded(now.Sub(l.start).Seconds()),
		len(l.others), len(l.others) == maxOthers, l.lost}
}

// rounded keeps three digits behind the point, for JSON.
func rounded(x float64) float64 { return math.Round(x*1000) / 1000 }

// Topic is the last message of a topic, and what came before it in numbers. Its keys in
// JSON are read by scripts.
type Topic struct {
	Topic    string  `json:"topic"`
	Text     *string `json:"text,omitempty"` // the payload, or its beginning, if it is text
	Hex      string  `json:"hex,omitempty"`  // if it is not
	Bytes    int     `json:"bytes"`          // of the payload
	Cut      bool    `json:"cut,omitempty"`  // only the beginning of the payload is there
	Retained bool    `json:"retained"`
	QoS      byte    `json:"qos"`
	Count    int     `json:"count"`
	Rate     float64 `json:"rate"` // messages a second
	Age      float64 `json:"age"`  // seconds since the last message
}

// Value returns the payload in one safe line.
func (t *Topic) Value() string {
	value := ""
	switch {
	case t.Bytes == 0:
		return "(empty)"
	case t.Text == nil:
		value = "0x" + t.Hex
	default:
		if value = display.Safe(strings.Join(strings.Fields(*t.Text), " ")); value == "" {
			value = `" "`
		}
	}
	if t.Cut {
		value += "…"
	}
	return value
}

// shown returns t as it is now.
func (l *Live) shown(t *seen, now time.Time) *Topic {
	s := &Topic{Topic: t.topic, Bytes: t.bytes, Cut: t.bytes > len(t.payload), Retained: t.retained, QoS: t.qos, Count: t.count,
		Rate: rounded(t.rate.perSecond(now, l.start)), Age: rounded(max(0, now.Sub(t.at).Seconds()))}
	if text, ok := readable(t.payload, s.Cut); ok {
		s.Text = &text
	} else {
		s.Hex = hex.EncodeToString(t.payload)
	}
	return s
}

// readable returns payload as text, if it is: UTF-8 without control characters but those
// that part words and lines. A character that was cut at the end is left out.
func readable(payload []byte, cut bool) (string, bool) {
	if cut {
		for end := 1; end < utf8.UTFMax && end <= len(payload); end++ {
			if last := payload[len(payload)-end:]; utf8.RuneStart(last[0]) {
				if !utf8.FullRune(last) {
					payload = payload[:len(payload)-end]
				}
				break
			}
		}
	}
	if !utf8.Valid(payload) || bytes.ContainsFunc(payload, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) {
		return "", false
	}
	return string(payload), true
}

// Topics returns all topics, in the order of the tree.
func (l *Live) Topics(now time.Time) []*Topic {
	l.sort()
	all := make([]*Topic, len(l.ordered))
	for i, t := range l.ordered {
		all[i] = l.shown(t, now)
	}
	return all
}

// Row is a level of the tree.
type Row struct {
	Depth int     // from 0
	Name  string  // as it was sent; may be empty
	Topic *Topic  // nil if there is no topic, only others below
	Below int     // topics below
	Rate  float64 // messages a second, of the topic and those below
}

// Rows returns the tree from top to bottom, those below a level behind it. Levels from
// the 32nd on share a Row.
func (l *Live) Rows(now time.Time) []*Row {
	l.sort()
	var rows []*Row
	var path []*Row // to the row at hand
	var before []string
	for _, t := range l.ordered {
		names := strings.SplitN(t.topic, "/", maxDepth)
		same := 0
		for same < len(names) && same < len(before) && names[same] == before[same] {
			same++
		}
		path = path[:same]
		for _, row := range path {
			row.Below++
		}
		for depth := same; depth < len(names); depth++ {
			row := &Row{Depth: depth, Name: names[depth]}
			if depth < len(names)-1 {
				row.Below = 1
			}
			rows, path = append(rows, row), append(path, row)
		}
		topic := l.shown(t, now)
		path[len(path)-1].Topic = topic
		for _, row := range path {
			row.Rate += topic.Rate
		}
		before = names
	}
	return rows
}

// sort puts the topics in order: what lies below a level comes right behind it.
func (l *Live) sort() {
	if !l.sorted {
		slices.SortFunc(l.ordered, func(a, b *seen) int { return compareLevels(a.topic, b.topic) })
		l.sorted = true
	}
}

// compareLevels orders topics level by level.
func compareLevels(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == b[i]:
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		default:
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}
