package topics

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time {
	return begin.Add(time.Duration(seconds * float64(time.Second)))
}

// drawing shows rows as text: indented names, the value of topics, how many are below.
func drawing(rows []*Row) string {
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%s%q", strings.Repeat("  ", row.Depth), row.Name)
		if row.Topic != nil {
			fmt.Fprintf(&b, " = %s", row.Topic.Value())
		}
		if row.Below > 0 {
			fmt.Fprintf(&b, " (%d)", row.Below)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestRows(t *testing.T) {
	l := NewLive(100, begin, true)
	for i, topic := range []string{"maison/salon/temperature", "maison/salon", "maison/salon-2", "maison/cuisine/temperature", "/x//y", "$SYS/a", "maison"} {
		l.Add(after(0), topic, []byte(fmt.Sprint(i)), 0, false)
	}
	want := `"" (1)
  "x" (1)
    "" (1)
      "y" = 4
"$SYS" (1)
  "a" = 5
"maison" = 6 (4)
  "cuisine" (1)
    "temperature" = 3
  "salon" = 1 (1)
    "temperature" = 0
  "salon-2" = 2
`
	if diff := cmp.Diff(want, drawing(l.Rows(after(1)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var order []string
	for _, topic := range l.Topics(after(1)) {
		order = append(order, topic.Topic)
	}
	if got, want := strings.Join(order, " "), "/x//y $SYS/a maison maison/cuisine/temperature maison/salon maison/salon/temperature maison/salon-2"; got != want {
		t.Errorf("order: got %s, want %s", got, want)
	}
}

// TestDeepTopics holds that a topic of many levels does not take a row for each.
func TestDeepTopics(t *testing.T) {
	l := NewLive(100, begin, true)
	for _, end := range []string{"a", "b", "c/d"} {
		l.Add(after(0), strings.Repeat("/", 60_000)+end, nil, 0, false)
	}
	rows := l.Rows(after(1))
	if len(rows) != maxDepth-1+3 || rows[len(rows)-1].Depth != maxDepth-1 {
		t.Errorf("got %d rows, the last at depth %d; want %d, at depth %d", len(rows), rows[len(rows)-1].Depth, maxDepth+2, maxDepth-1)
	}
}

func TestValues(t *testing.T) {
	long := strings.Repeat("é", 200)
	for payload, want := range map[string]string{
		"":                                       "(empty)",
		"21.5":                                   "21.5",
		"{\n  \"a\": 1\r\n}":                     `{ "a": 1 }`,
		"a\x1b[31mb":                             "0x611b5b33316d62",
		"\x00\xff":                               "0x00ff",
		"a\u202eb":                               "a\ufffdb",
		" \n":                                    `" "`,
		long:                                     strings.Repeat("é", 128) + "…",
		"a" + long:                               "a" + strings.Repeat("é", 127) + "…",
		strings.Repeat("a", 255) + "\xff" + long: "0x" + strings.Repeat("61", 255) + "ff…",
	} {
		l := NewLive(1, begin, true)
		l.Add(after(0), "t", []byte(payload), 0, false)
		got := l.Topics(after(0))[0]
		if got.Value() != want || got.Bytes != len(payload) || got.Cut != (len(payload) > previewBytes) {
			t.Errorf("%.20q: got %.60q, %d bytes, cut %t, want %.60q", payload, got.Value(), got.Bytes, got.Cut, want)
		}
	}
}

// TestLiveKeepsCopies shows that a payload may be overwritten after Add.
func TestLiveKeepsCopies(t *testing.T) {
	l := NewLive(1, begin, true)
	payload := []byte("before")
	l.Add(after(0), "t", payload, 0, false)
	copy(payload, "beyond")
	if got := l.Topics(after(0))[0].Value(); got != "before" {
		t.Errorf("got %q, want before", got)
	}
}

func TestRetainedMark(t *testing.T) {
	for _, test := range []struct {
		what   string
		asSent bool
		sent   string // r and R: retained, R with an empty payload; m and M: not
		want   bool
	}{
		{"none", true, "m", false},
		{"kept before", true, "r", true},
		{"a later message changes nothing", true, "rm", true},
		{"an empty one, not retained, neither", true, "rM", true},
		{"cleared", true, "rR", false},
		{"and set again", true, "rRr", true},
		{"3.1.1: most likely cleared", false, "rM", false},
		{"3.1.1: a later message", false, "rm", true},
	} {
		l := NewLive(1, begin, test.asSent)
		for _, kind := range test.sent {
			payload := []byte("x")
			if kind == 'R' || kind == 'M' {
				payload = nil
			}
			l.Add(after(0), "t", payload, 1, kind == 'r' || kind == 'R')
		}
		if got := l.Topics(after(0))[0]; got.Retained != test.want || got.Count != len(test.sent) || got.QoS != 1 {
			t.Errorf("%s: got %+v, want retained %t", test.what, got, test.want)
		}
	}
}

// TestRates holds that a steady stream has its rate, from early on, and that it fades.
func TestRates(t *testing.T) {
	l := NewLive(10, begin, true)
	for i := range 100 {
		l.Add(after(float64(i)/5), "steady", []byte("x"), 0, false)
		if i == 24 {
			wantRate(t, "after 5 s", l.Topics(after(5))[0].Rate, 5)
		}
	}
	l.Add(after(20), "kept", []byte("x"), 0, true)
	wantRate(t, "after 20 s", l.Topics(after(20))[1].Rate, 5)
	wantRate(t, "the sum", l.Summary(after(20)).Rate, 5)
	if got := l.Topics(after(20))[0]; got.Rate != 0 || got.Count != 1 {
		t.Errorf("a message that was kept: got %+v, want rate 0, count 1", got)
	}
	if got := l.Topics(after(120))[1]; got.Rate > 0.01 || got.Age < 100 {
		t.Errorf("after silence: got %+v, want a rate near 0", got)
	}
	l.Reconnected()
	l.Add(after(121), "kept", []byte("x"), 0, true)
	if got := l.Topics(after(121))[0]; got.Rate != 0 || got.Count != 2 {
		t.Errorf("a kept message that came again: got %+v, want rate 0, count 2", got)
	}
	l.Add(after(122), "kept", []byte("x"), 0, true)
	if got := l.Topics(after(122))[0]; got.Rate == 0 {
		t.Error("a message that is published with RETAIN has no rate")
	}
}

func wantRate(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want/10 {
		t.Errorf("%s: got %.2f messages a second, want about %.0f", what, got, want)
	}
}

// TestLiveBounds holds that neither many topics nor long ones nor large payloads make a
// Live grow, and that what is not shown is counted.
func TestLiveBounds(t *testing.T) {
	l := NewLive(3, begin, true)
	for range 2 {
		for i := range 10 {
			l.Add(after(0), fmt.Sprint("t", i), make([]byte, 1<<16), 0, false)
		}
	}
	s := l.Summary(after(1))
	if s.Topics != 3 || s.Messages != 20 || s.MoreTopics != 7 || s.MoreMessage != 14 || s.MoreAtLeast {
		t.Errorf("got %+v, want 3 topics, 20 messages, 7 more topics with 14", s)
	}
	for _, topic := range l.ordered {
		if cap(topic.payload) > 2*previewBytes {
			t.Errorf("%d bytes of a payload are kept", cap(topic.payload))
		}
	}
	l = NewLive(1_000_000, begin, true)
	long := strings.Repeat("x", 65_000)
	for i := range 300 {
		l.Add(after(0), long+fmt.Sprint(i), nil, 0, false)
	}
	if s := l.Summary(after(0)); l.bytes > maxTopicsBytes || s.Topics+s.MoreTopics != 300 || s.MoreTopics == 0 {
		t.Errorf("long topics: got %d bytes and %+v", l.bytes, s)
	}
	l = NewLive(1, begin, true)
	for i := range maxOthers + 10 {
		l.Add(after(0), fmt.Sprint(i), nil, 0, false)
	}
	if s := l.Summary(after(0)); s.MoreTopics != maxOthers || !s.MoreAtLeast || s.MoreMessage != maxOthers+9 {
		t.Errorf("very many topics: got %+v", s)
	}
}

// TestOrder holds that what lies below a level stands right behind it, whatever is compared
// with what.
func TestOrder(t *testing.T) {
	order := []string{"", "/", "//", "/a", "a", "a/", "a//b", "a/b", "a/b/c", "a b", "a-b", "a0", "ab"}
	for i, a := range order {
		for j, b := range order {
			if got := compareLevels(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q and %q: got %d", a, b, got)
			}
		}
	}
}
