package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

const (
	topLeast   = 100 * time.Millisecond // between two reports
	topFirst   = 500 * time.Millisecond // until the first one, at most
	topClients = 100_000                // whose rates are looked at, so that an asker costs a bounded memory
)

// topReport is how a broker does at one moment. Rates are of the time since the report before.
type topReport struct {
	Time      time.Time `json:"time"`
	Version   string    `json:"version"`
	Process   int       `json:"process"`
	Listeners []string  `json:"listeners"`
	State     string    `json:"state_directory,omitempty"`
	Seconds   float64   `json:"uptime_seconds"`
	Interval  float64   `json:"interval_seconds"` // that the rates are of

	Connected           int   `json:"clients_connected"`
	ConnectedMaximum    int   `json:"clients_maximum"`
	Sessions            int   `json:"sessions"`
	SessionsExpired     int64 `json:"sessions_expired"`
	Subscriptions       int   `json:"subscriptions"`
	SharedSubscriptions int   `json:"shared_subscriptions"`
	Retained            int   `json:"retained_messages"`
	RetainedBytes       int64 `json:"retained_bytes"`
	Queued              int64 `json:"queued_messages"`
	Outgoing            int64 `json:"outgoing_packets"`
	OutgoingBytes       int64 `json:"outgoing_bytes"`
	HeapBytes           int64 `json:"heap_bytes"`

	Received topTraffic `json:"received"`
	Sent     topTraffic `json:"sent"`

	Dropped      map[string]int64 `json:"dropped"`      // messages not delivered as asked, by reason
	DroppedRate  float64          `json:"dropped_rate"` // of all but withheld ones
	Limited      map[string]int64 `json:"limited"`      // times that a limit was reached
	Refused      map[string]int64 `json:"refused"`      // connections, by Reason Code
	Handshakes   map[string]int64 `json:"handshakes"`   // that have failed, by protocol
	Disconnected map[string]int64 `json:"disconnected"` // clients, by reason

	Clients []topClient `json:"clients"` // the busiest first
	Unseen  int         `json:"clients_not_looked_at,omitempty"`
}

// topTraffic is what goes in one direction.
type topTraffic struct {
	Packets     int64   `json:"packets"`
	Publish     int64   `json:"publish"`
	Bytes       int64   `json:"bytes"`
	PublishRate float64 `json:"publish_rate"` // a second
	BytesRate   float64 `json:"bytes_rate"`   // a second
}

// topClient is one client.
type topClient struct {
	ClientID      string    `json:"client_id"`
	UserName      string    `json:"user_name,omitempty"`
	Address       string    `json:"address,omitempty"`
	Version       string    `json:"version,omitempty"`
	Connected     bool      `json:"connected"`
	Since         time.Time `json:"since,omitzero"`
	Subscriptions int       `json:"subscriptions"`
	Inflight      int       `json:"inflight"`
	Queued        int       `json:"queued"`
	Dropped       int64     `json:"dropped"`
	Published     int64     `json:"published"`
	Delivered     int64     `json:"delivered"`
	PublishRate   float64   `json:"publish_rate"` // PUBLISH packets from it, a second
	DeliverRate   float64   `json:"deliver_rate"` // PUBLISH packets to it, a second
	ReadRate      float64   `json:"read_rate"`    // bytes from it, a second
	WrittenRate   float64   `json:"written_rate"` // bytes of PUBLISH packets to it, a second
}

// ends counts the clients that have gone, by reason. Its lock is a leaf.
type ends struct {
	mu       sync.Mutex
	byReason map[string]int64
}

// count notes e, if it is an end. The reasons are Reason Codes in words and two of our own,
// so there are few.
func (n *ends) count(e broker.Event) {
	d, ok := e.(broker.Disconnected)
	if !ok {
		return
	}
	reason := d.Code.String()
	switch {
	case d.Err == nil && d.Code == colibri.Success:
		reason = "goodbye"
	case d.Err != nil && d.Code == colibri.UnspecifiedError:
		reason = "connection lost"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byReason == nil {
		n.byReason = make(map[string]int64)
	}
	n.byReason[reason]++
}

func (n *ends) all() map[string]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[string]int64, len(n.byReason))
	for reason, count := range n.byReason {
		all[reason] = count
	}
	return all
}

// topWatch makes the reports for one asker.
type topWatch struct {
	server *brokerServer
	broker *broker.Broker
	most   int // clients in a report

	at      time.Time // of the last report
	last    broker.Stats
	dropped int64
	clients map[string]topBefore // by ClientID
}

// topBefore is what a connection had done until the report before.
type topBefore struct {
	since                           time.Time
	published, read, delivered, out int64
}

// answerTop answers the question "top": a line of JSON after each interval "every", "count"
// times or, without that, until the asker has had enough.
func (s *brokerServer) answerTop(b *broker.Broker) func(context.Context, url.Values, io.Writer) error {
	return func(ctx context.Context, ask url.Values, w io.Writer) error {
		every, err := time.ParseDuration(ask.Get("every"))
		if err != nil || every < topLeast {
			return fmt.Errorf("'%s' is not a time between two reports; give %v at least", ask.Get("every"), topLeast)
		}
		most, err := strconv.Atoi(ask.Get("clients"))
		if err != nil || most < 0 {
			return fmt.Errorf("'%s' is not a number of clients", ask.Get("clients"))
		}
		count := 0
		if n := ask.Get("count"); n != "" {
			if count, err = strconv.Atoi(n); err != nil || count < 1 {
				return fmt.Errorf("'%s' is not a number of reports", n)
			}
		}
		watch := &topWatch{server: s, broker: b, most: most, clients: make(map[string]topBefore)}
		watch.report(time.Now())
		out := json.NewEncoder(w)
		wait := min(every, topFirst)
		if count == 1 {
			wait = every
		}
		for n := 0; count == 0 || n < count; n++ {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			if err := out.Encode(watch.report(time.Now())); err != nil {
				return nil // the asker has gone
			}
			wait = every
		}
		return nil
	}
}

// report looks at the broker. The first report of a watch has no rates that mean anything.
func (t *topWatch) report(now time.Time) *topReport {
	seconds := now.Sub(t.at).Seconds()
	s := t.broker.Stats()
	r := &topReport{
		Time: now, Version: versionNumber(), Process: os.Getpid(), State: t.server.stateDir,
		Seconds: now.Sub(t.server.started).Seconds(), Interval: seconds,
		Connected: s.Connections, ConnectedMaximum: s.ConnectionsMaximum, Sessions: s.Sessions, SessionsExpired: s.SessionsExpired,
		Subscriptions: s.Subscriptions, SharedSubscriptions: s.SharedSubscriptions,
		Retained: s.Retained, RetainedBytes: s.RetainedBytes, Queued: s.Queued,
		Outgoing: s.Outgoing, OutgoingBytes: s.OutgoingBytes, HeapBytes: s.HeapBytes,
		Received: topTrafficOf(&s.Received, s.PublishReceived, &t.last.Received, t.last.PublishReceived, seconds),
		Sent:     topTrafficOf(&s.Sent, s.PublishSent, &t.last.Sent, t.last.PublishSent, seconds),
		Dropped:  make(map[string]int64), Limited: make(map[string]int64), Refused: make(map[string]int64),
		Handshakes:   make(map[string]int64),
		Disconnected: t.server.ends.all(),
		Clients:      []topClient{},
	}
	for _, l := range t.server.listeners {
		r.Listeners = append(r.Listeners, l.name)
	}
	dropped := int64(0)
	for reason, n := range s.Dropped {
		r.Dropped[reason.String()] = n
		if reason != broker.DropWithheld {
			dropped += n
		}
	}
	for limit, n := range s.Limited {
		r.Limited[limit.String()] = n
	}
	for handshake, n := range s.Handshakes {
		r.Handshakes[handshake.String()] = n
	}
	for code, n := range s.Refused {
		r.Refused[code.String()] = n
	}
	r.DroppedRate = float64(dropped-t.dropped) / seconds
	t.at, t.last, t.dropped = now, s, dropped
	t.rank(r, seconds)
	return r
}

func topTrafficOf(now *broker.Traffic, publish int64, before *broker.Traffic, publishBefore int64, seconds float64) topTraffic {
	return topTraffic{Packets: now.All(), Publish: publish, Bytes: now.Bytes,
		PublishRate: float64(publish-publishBefore) / seconds, BytesRate: float64(now.Bytes-before.Bytes) / seconds}
}

// rank puts the busiest clients into r, those with the most messages in either direction; among
// equals those with the longest queue, then those with the most drops.
func (t *topWatch) rank(r *topReport, seconds float64) {
	clients := make(map[string]topBefore, len(t.clients))
	var all []topClient
	order := func(a, b topClient) int {
		return cmp.Or(-cmp.Compare(a.PublishRate+a.DeliverRate, b.PublishRate+b.DeliverRate), -cmp.Compare(a.Queued, b.Queued),
			-cmp.Compare(a.Dropped, b.Dropped), cmp.Compare(a.ClientID, b.ClientID))
	}
	for c := range t.broker.Clients {
		if len(clients) == topClients {
			r.Unseen = max(0, r.Sessions-topClients)
			break
		}
		one := topClient{ClientID: c.Client.ClientID, UserName: c.Client.UserName, Connected: c.Connected, Since: c.Since,
			Subscriptions: c.Subscriptions, Inflight: c.Inflight, Queued: c.Queued, Published: c.Published, Delivered: c.Delivered}
		for reason, n := range c.Dropped {
			if reason != broker.DropWithheld {
				one.Dropped += n
			}
		}
		if c.Connected {
			one.Address, one.Version = c.Remote.String(), c.Version.String()
		}
		before := t.clients[c.Client.ClientID]
		if before.since != c.Since { // another connection
			before = topBefore{}
		}
		one.PublishRate, one.DeliverRate = float64(c.Published-before.published)/seconds, float64(c.Delivered-before.delivered)/seconds
		one.ReadRate, one.WrittenRate = float64(c.ReadBytes-before.read)/seconds, float64(c.WrittenBytes-before.out)/seconds
		clients[c.Client.ClientID] = topBefore{c.Since, c.Published, c.ReadBytes, c.Delivered, c.WrittenBytes}
		all = append(all, one)
		if len(all) >= 2*t.most+100 {
			slices.SortFunc(all, order)
			all = all[:t.most]
		}
	}
	slices.SortFunc(all, order)
	r.Clients = append(r.Clients, all[:min(len(all), t.most)]...)
	t.clients = clients
}
