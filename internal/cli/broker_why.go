package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/history"
)

// whyAnswer says whether a client would get a message. The keys of this file are read by
// scripts.
type whyAnswer struct {
	Time     time.Time   `json:"time"`
	Client   string      `json:"client"`
	Topic    string      `json:"topic"`
	QoS      int         `json:"qos"`
	Gets     bool        `json:"gets_it"`
	Verdict  string      `json:"verdict"`
	Sentence string      `json:"sentence"`
	Checks   []whyCheck  `json:"checks"`
	Filters  []whyFilter `json:"subscriptions"`
}

// whyCheck is one thing that was looked at.
type whyCheck struct {
	Result string `json:"result"` // ok, no or note
	About  string `json:"about"`
	Text   string `json:"text"`
}

// whyFilter is a Subscription beside the topic.
type whyFilter struct {
	Filter  string     `json:"filter"`
	QoS     int        `json:"qos"`
	Matches bool       `json:"matches"`
	Levels  []whyLevel `json:"levels"`
}

// whyLevel is a level of a Topic Filter beside that of the topic; null where there is none.
type whyLevel struct {
	Filter  *string `json:"filter"`
	Topic   *string `json:"topic"`
	Matches bool    `json:"matches"`
	Why     string  `json:"why"`
}

// whyHistory says what became of the connections of a client, or of an address.
type whyHistory struct {
	Time      time.Time   `json:"time"`
	Client    string      `json:"client,omitempty"`
	Address   string      `json:"address,omitempty"`
	Known     bool        `json:"known"`
	Records   []whyRecord `json:"history"` // the oldest first
	Forgotten int         `json:"forgotten,omitempty"`
	Checks    []whyCheck  `json:"now,omitempty"` // of its Session
	Sentence  string      `json:"sentence"`
}

// whyRecord is one thing that has happened.
type whyRecord struct {
	Kind           string    `json:"kind"` // connection, refusal or note
	From           time.Time `json:"from"`
	Until          time.Time `json:"until,omitzero"`
	Times          int       `json:"times"`
	Address        string    `json:"address,omitempty"`
	UserName       string    `json:"user_name,omitempty"`
	Version        string    `json:"version,omitempty"`
	KeepAlive      uint16    `json:"keep_alive,omitempty"`
	SessionPresent bool      `json:"session_present,omitempty"`
	By             string    `json:"ended_by,omitempty"`
	Code           int       `json:"reason_code,omitempty"`
	Text           string    `json:"reason,omitempty"`
	Detail         string    `json:"detail,omitempty"`
	Line           string    `json:"line"` // all of it in words
}

// answerWhy answers the question "why": would this client get this message?
func (s *brokerServer) answerWhy(b *broker.Broker) func(context.Context, url.Values, io.Writer) error {
	return func(_ context.Context, ask url.Values, w io.Writer) error {
		q, err := whyQuestion(ask)
		if err != nil {
			return err
		}
		e, err := b.Explain(q)
		if err != nil {
			return fmt.Errorf("'%s' is no topic: %w", q.Topic, err)
		}
		answer := whyAnswer{Time: e.Time, Client: q.ClientID, Topic: q.Topic, QoS: int(q.QoS), Gets: e.Verdict.Delivered(),
			Verdict: e.Verdict.String(), Sentence: e.Sentence, Checks: []whyCheck{}, Filters: []whyFilter{}}
		for _, c := range e.Checks {
			answer.Checks = append(answer.Checks, whyCheck{c.Result.String(), c.About, c.Text})
		}
		for i := range e.Filters {
			answer.Filters = append(answer.Filters, whyFilterOf(&e.Filters[i]))
		}
		if e.Verdict == broker.MissNoSession {
			text := "nothing is known of an earlier one"
			if a, ok := s.history.Client(q.ClientID); ok {
				text = a.Sentence(q.ClientID)
				answer.Sentence += "; " + text
			}
			answer.Checks = append(answer.Checks, whyCheck{broker.CheckNote.String(), "history", text})
		}
		return json.NewEncoder(w).Encode(&answer)
	}
}

// whyQuestion reads the question.
func whyQuestion(ask url.Values) (q broker.Question, err error) {
	q = broker.Question{ClientID: ask.Get("client"), From: ask.Get("from"), Topic: ask.Get("topic"), Retain: ask.Get("retain") == "1"}
	number := func(name string, most uint64) (n uint64, given bool) {
		text := ask.Get(name)
		if text == "" || err != nil {
			return 0, false
		}
		var wrong error
		if n, wrong = strconv.ParseUint(text, 10, 64); wrong != nil || n > most {
			err = fmt.Errorf("'%s' is no %s: give a number from 0 to %d", text, name, most)
		}
		return n, true
	}
	qos, _ := number("qos", 2)
	size, _ := number("size", 268_435_455)
	expiry, expires := number("expiry", 1<<32-1)
	q.QoS, q.Bytes = colibri.QoS(qos), int(size)
	if expires {
		seconds := uint32(expiry)
		q.Expiry = &seconds
	}
	if q.ClientID == "" && err == nil {
		err = errors.New("say which client")
	}
	return q, err
}

func whyFilterOf(f *broker.MatchedFilter) whyFilter {
	out := whyFilter{Filter: f.Subscription.Filter, QoS: int(f.Subscription.QoS), Matches: f.Matches}
	for _, level := range f.Levels {
		one := whyLevel{Matches: level.Matches, Why: level.Why}
		if level.HasFilter {
			one.Filter = &level.Filter
		}
		if level.HasName {
			one.Topic = &level.Name
		}
		out.Levels = append(out.Levels, one)
	}
	return out
}

// answerHistory answers the question "history": what became of the connections of a client, or
// of those from an address whose client is not known?
func (s *brokerServer) answerHistory(b *broker.Broker) func(context.Context, url.Values, io.Writer) error {
	return func(_ context.Context, ask url.Values, w io.Writer) error {
		answer := whyHistory{Time: time.Now(), Client: ask.Get("client"), Address: ask.Get("address"), Records: []whyRecord{}}
		var a history.Account
		switch {
		case answer.Client != "":
			a, answer.Known = s.history.Client(answer.Client)
			answer.Sentence = a.Sentence(answer.Client)
			s.sessionNow(b, &answer)
		case answer.Address != "":
			a, answer.Known = s.history.Address(answer.Address)
			answer.Sentence = a.Sentence("a connection from " + answer.Address + " without a known client")
		default:
			return errors.New("say which client, or which address")
		}
		for i := range a.Records {
			answer.Records = append(answer.Records, whyRecordOf(&a.Records[i]))
		}
		answer.Forgotten = a.Forgotten
		return json.NewEncoder(w).Encode(&answer)
	}
}

// sessionNow adds what is known of the Session of the client now.
func (s *brokerServer) sessionNow(b *broker.Broker, answer *whyHistory) {
	add := func(result broker.CheckResult, about, format string, args ...any) {
		answer.Checks = append(answer.Checks, whyCheck{result.String(), about, fmt.Sprintf(format, args...)})
	}
	c, ok := b.Client(answer.Client)
	if !ok {
		add(broker.CheckNote, "session", "there is none now")
		return
	}
	where := "not connected"
	if c.Connected {
		where = fmt.Sprintf("connected from %s", address(c.Remote))
	}
	add(broker.CheckOK, "session", "%s; %d Subscriptions, %d messages in flight, %d waiting (%d bytes)", where, c.Subscriptions, c.Inflight, c.Queued, c.QueuedBytes)
	for reason := range broker.DropReasons {
		if reason := broker.DropReason(reason); c.Dropped[reason] > 0 {
			add(broker.CheckNote, "ledger", "dropped (%s): %d, the last one at %s", reason, c.Dropped[reason], c.LastDropped[reason].Format(time.DateTime))
		}
	}
	if !answer.Known {
		answer.Known = true
		answer.Sentence = fmt.Sprintf("%s has a Session and nothing is remembered of its connections: the broker was started at %s", answer.Client,
			s.started.Format(time.DateTime))
	}
}

func whyRecordOf(r *history.Record) whyRecord {
	out := whyRecord{Kind: string(r.Kind), From: r.From, Until: r.Until, Times: r.Times, Address: r.Address, UserName: r.UserName,
		KeepAlive: r.KeepAlive, SessionPresent: r.SessionPresent, By: string(r.By), Code: int(r.Code), Text: r.Text, Detail: r.Detail, Line: r.Line()}
	if r.Version != 0 {
		out.Version = r.Version.String()
	}
	return out
}
