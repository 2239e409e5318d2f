package history

import (
	"fmt"
	"time"
)

// clock returns a time for people.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// lasting returns how long something took, for people.
func lasting(d time.Duration) string {
	if d < time.Millisecond {
		return "less than a millisecond"
	}
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// enderWords say who has ended a connection.
var enderWords = map[Ender]string{
	ByClient:  "ended by the client",
	ByNetwork: "ended by the client or the network",
	ByBroker:  "ended by the broker",
	ByOther:   "ended by another connection",
}

// String returns the Record as one line without its times.
func (r *Record) String() string {
	where := ""
	if r.Address != "" {
		where = " from " + r.Address
	}
	if r.UserName != "" {
		where += " as user " + r.UserName
	}
	switch {
	case r.Kind == Refusal:
		return fmt.Sprintf("refused%s%s: %s", where, r.often(), r.Text)
	case r.Kind == Note:
		text := r.Text
		if r.Detail != "" {
			text += ": " + r.Detail
		}
		return text + r.often()
	}
	text := "connected" + where
	if r.Version != 0 {
		text += fmt.Sprintf(" with MQTT %s", r.Version)
	}
	if r.Until.IsZero() {
		return text + ", until now"
	}
	return fmt.Sprintf("%s for %s, %s: %s", text, lasting(r.Until.Sub(r.From)), enderWords[r.By], r.Text)
}

// often says how many times something came.
func (r *Record) often() string {
	if r.Times < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times, the last one at %s)", r.Times, clock(r.Until))
}

// Line returns the Record as a line of its own.
func (r *Record) Line() string { return clock(r.From) + "  " + r.String() }

// Sentence says in one sentence, without its full stop, what became of who last. who is a
// ClientID or, in words, an address.
func (a Account) Sentence(who string) string {
	var last, before, note *Record
	for i := range a.Records {
		r := &a.Records[i]
		switch {
		case r.Kind == Note:
			note = r
		case last == nil || !moment(r).Before(moment(last)):
			last, before = r, last
		default:
			before = r
		}
	}
	switch {
	case last == nil && note == nil:
		return "nothing is known of " + who
	case last == nil:
		return fmt.Sprintf("%s %s at %s", who, note.String(), clock(note.Until))
	case last.Kind == Connection && last.Until.IsZero():
		text := fmt.Sprintf("%s is connected since %s", who, clock(last.From))
		if before != nil {
			text += "; before that it " + before.ended()
		}
		return text
	}
	return who + " " + last.ended()
}

// moment is when a Record counts: a connection that lasts is later than all that has ended.
func moment(r *Record) time.Time {
	if r.Until.IsZero() {
		return r.From.Add(1 << 62)
	}
	return r.Until
}

// ended says how a Record has ended.
func (r *Record) ended() string {
	if r.Kind == Refusal {
		return fmt.Sprintf("was refused at %s because %s", clock(r.Until), r.Text)
	}
	if r.By == ByClient {
		return fmt.Sprintf("has left at %s: %s", clock(r.Until), r.Text)
	}
	return fmt.Sprintf("was disconnected at %s because %s", clock(r.Until), r.Text)
}
