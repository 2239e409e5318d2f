package history

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// Event keeps what an event says of a client's connections. It does not block.
func (t *Table) Event(e broker.Event) {
	switch e := e.(type) {
	case broker.Connected:
		t.connected(e)
	case broker.Disconnected:
		t.disconnected(e)
	case broker.Refused:
		t.refusal(e)
	case broker.HandshakeFailed:
		t.repeat(addressKey(hostOf(e.Remote)), Record{Kind: Refusal, Address: addressOf(e.Remote), Text: cut(e.Err.Error(), maxText)})
	case broker.Limited:
		switch {
		case e.Client.ClientID != "":
			t.note(clientKey(e.Client.ClientID), Record{Text: "reached a limit", Detail: e.Limit.String()})
		case e.Remote != nil:
			t.note(addressKey(hostOf(e.Remote)), Record{Address: addressOf(e.Remote), Text: "was closed at once because of a limit", Detail: e.Limit.String()})
		}
	case broker.Denied:
		t.note(clientKey(e.Client.ClientID), Record{Text: deniedText[e.Action], Detail: cut(e.Topic, maxText)})
	case broker.Flapping:
		t.note(clientKey(e.Client.ClientID), Record{Text: "is the Client Identifier of two devices that disconnect each other",
			Detail: addressOf(e.Remotes[0]) + " and " + addressOf(e.Remotes[1])})
	case broker.Dropped:
		// The others are in the ledger of the Session, and may come very often.
		if e.Reason == broker.DropSessionEnded && e.Client.ClientID != "" {
			t.note(clientKey(e.Client.ClientID), Record{Text: "lost, as its Session ended, messages that it had not had"})
		}
	}
}

// deniedText says what a client was not allowed to do.
var deniedText = map[broker.Action]string{
	broker.ActionPublish:     "was not allowed to publish to",
	broker.ActionSubscribe:   "was not allowed to subscribe to",
	broker.ActionKeep:        "lost, as the rules have changed, its Subscription to",
	broker.ActionUnsubscribe: "was not allowed to end its Subscription to",
}

func (t *Table) connected(e broker.Connected) {
	key := clientKey(e.Client.ClientID)
	r := Record{Kind: Connection, From: t.now(), Times: 1, Address: addressOf(e.Remote), UserName: cut(e.Client.UserName, maxName),
		Version: e.Version, KeepAlive: e.KeepAlive, SessionPresent: e.SessionPresent}
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.strangers.remove(key); before != nil { // it was let in at last
		t.known.put(before)
	}
	t.known.add(t.known.touch(key), r)
	t.known.trim()
}

func (t *Table) disconnected(e broker.Disconnected) {
	key, address, now := clientKey(e.Client.ClientID), addressOf(e.Remote), t.now()
	by, text := ByClient, "it said goodbye"
	switch {
	case e.Err != nil:
		by, text = enderOf(e.Err), cut(t.ended(e.Err), maxText)
	case e.Code == colibri.DisconnectWithWillMessage:
		text = "it said goodbye and asked for its Will Message"
	case e.Code != colibri.Success:
		text = "it said goodbye with " + e.Code.String()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.known.touch(key)
	at := -1
	for i := range a.Records { // a connection that was taken over ends when the next one has begun
		if r := &a.Records[i]; r.Kind == Connection && r.Until.IsZero() && (r.Address == address || at < 0) {
			at = i
			if r.Address == address {
				break
			}
		}
	}
	r := Record{Kind: Connection, From: now.Add(-e.After), Times: 1, Address: address, UserName: cut(e.Client.UserName, maxName)}
	if at >= 0 {
		r = a.Records[at]
	}
	r.Until, r.By, r.Code, r.Text = now, by, e.Code, text
	if at >= 0 {
		t.known.change(a, at, r)
	} else { // its beginning was forgotten
		t.known.add(a, r)
	}
	t.known.trim()
}

// enderOf says who ends a connection that ends because of err.
func enderOf(err error) Ender {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ByNetwork
	case errors.Is(err, colibri.SessionTakenOver):
		return ByOther
	}
	return ByBroker
}

func (t *Table) refusal(e broker.Refused) {
	key := clientKey(e.Client.ClientID)
	if e.Client.ClientID == "" {
		key = addressKey(hostOf(e.Remote))
	}
	t.repeat(key, Record{Kind: Refusal, Address: addressOf(e.Remote), UserName: cut(e.Client.UserName, maxName), Code: e.Code,
		Text: cut(t.refused(e.Err), maxText)})
}

func (t *Table) note(key string, r Record) {
	r.Kind = Note
	t.repeat(key, r)
}

// repeat adds r, or counts it with one of its kind and text that has come since the last
// connection began.
func (t *Table) repeat(key string, r Record) {
	r.From = t.now()
	r.Until, r.Times = r.From, 1
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.known
	if s.get(key) == nil {
		s = &t.strangers
	}
	a := s.touch(key)
	defer s.trim()
	for i := len(a.Records) - 1; i >= 0; i-- {
		if old := &a.Records[i]; old.Kind == Connection {
			break
		} else if old.Kind == r.Kind && old.Text == r.Text {
			r.From, r.Times = old.From, old.Times+1
			s.change(a, i, r)
			return
		}
	}
	s.add(a, r)
}

// addressOf names the far end of a connection; empty when it has no address.
func addressOf(a net.Addr) string {
	if a == nil || a.String() == "@" {
		return ""
	}
	return cut(a.String(), maxName)
}

// hostOf is addressOf without the port. Connections of local sockets are one.
func hostOf(a net.Addr) string {
	text := addressOf(a)
	if host, _, err := net.SplitHostPort(text); err == nil {
		return host
	}
	return text
}

// cut returns the first n bytes of text at most, in memory of its own when that is less.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "…"
}
