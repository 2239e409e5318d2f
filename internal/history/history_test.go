package history

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// hand is a clock that a test sets.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) read() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(time.Second)
	return h.now
}

func newTable() *Table {
	words := func(err error) string { return "of " + err.Error() }
	t := New(words, words)
	t.now = (&hand{now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.Local)}).read
	return t
}

func addr(text string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", text)
	if err != nil {
		panic(err)
	}
	return a
}

func who(id string) broker.ClientInfo { return broker.ClientInfo{ClientID: id} }

// TestAccount shows how events become records.
func TestAccount(t *testing.T) {
	table := newTable()
	first, second := addr("192.0.2.1:1000"), addr("192.0.2.2:2000")
	for _, e := range []broker.Event{
		broker.Refused{Client: who("c"), Remote: first, Code: colibri.NotAuthorized, Err: errors.New("a wrong password")},
		broker.Refused{Client: who("c"), Remote: first, Code: colibri.NotAuthorized, Err: errors.New("a wrong password")},
		broker.Connected{Client: who("c"), Remote: first, Version: colibri.V311},
		broker.Denied{Client: who("c"), Action: broker.ActionPublish, Topic: "x"},
		broker.Denied{Client: who("c"), Action: broker.ActionPublish, Topic: "y"},
		broker.Connected{Client: who("c"), Remote: second, Version: colibri.V5},
		broker.Disconnected{Client: who("c"), Remote: first, Code: colibri.SessionTakenOver, Err: colibri.SessionTakenOver, After: 3 * time.Second},
		broker.Limited{Client: who("c"), Limit: broker.LimitMessageRate},
		broker.Dropped{Client: who("c"), Reason: broker.DropSlow, Messages: 1},
		broker.Limited{Limit: broker.LimitConnectTime},
	} {
		table.Event(e)
	}
	a, ok := table.Client("c")
	var got []string
	for i := range a.Records {
		got = append(got, a.Records[i].Line())
	}
	want := []string{
		"2030-01-01 12:00:01  refused from 192.0.2.1:1000 (2 times, the last one at 2030-01-01 12:00:02): of a wrong password",
		"2030-01-01 12:00:03  connected from 192.0.2.1:1000 with MQTT 3.1.1 for 4s, ended by another connection: of " + colibri.SessionTakenOver.Error(),
		"2030-01-01 12:00:04  was not allowed to publish to: y (2 times, the last one at 2030-01-01 12:00:05)",
		"2030-01-01 12:00:06  connected from 192.0.2.2:2000 with MQTT 5.0, until now",
		"2030-01-01 12:00:08  reached a limit: message rate",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || !ok {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := a.Sentence("c"), "c is connected since 2030-01-01 12:00:06; before that it was disconnected at 2030-01-01 12:00:07 because of "+colibri.SessionTakenOver.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := table.Stats().Clients; n != 1 {
		t.Errorf("%d accounts, want 1: one that was let in is no stranger any more", n)
	}
	if _, ok := table.Address("192.0.2.1"); ok {
		t.Error("an address has what belongs to a client")
	}
}

// TestSentence has each kind of end.
func TestSentence(t *testing.T) {
	remote := addr("192.0.2.1:1000")
	connected := broker.Connected{Client: who("c"), Remote: remote}
	ended := func(code colibri.ReasonCode, err error) broker.Event {
		return broker.Disconnected{Client: who("c"), Remote: remote, Code: code, Err: err}
	}
	for _, row := range []struct {
		events []broker.Event
		want   string
	}{
		{nil, "nothing is known of c"},
		{[]broker.Event{connected}, "c is connected since 2030-01-01 12:00:01"},
		{[]broker.Event{connected, ended(0, nil)}, "c has left at 2030-01-01 12:00:02: it said goodbye"},
		{[]broker.Event{connected, ended(colibri.DisconnectWithWillMessage, nil)}, "c has left at 2030-01-01 12:00:02: it said goodbye and asked for its Will Message"},
		{[]broker.Event{connected, ended(colibri.QuotaExceeded, nil)}, "c has left at 2030-01-01 12:00:02: it said goodbye with Quota exceeded"},
		{[]broker.Event{connected, ended(colibri.UnspecifiedError, io.EOF)}, "c was disconnected at 2030-01-01 12:00:02 because of EOF"},
		{[]broker.Event{ended(colibri.UnspecifiedError, io.EOF)}, "c was disconnected at 2030-01-01 12:00:01 because of EOF"},
		{[]broker.Event{connected, ended(0, nil), broker.Refused{Client: who("c"), Err: io.EOF}}, "c was refused at 2030-01-01 12:00:03 because of EOF"},
		{[]broker.Event{broker.Limited{Client: who("c"), Limit: broker.LimitConnectRate}}, "c reached a limit: connection rate at 2030-01-01 12:00:01"},
		{[]broker.Event{broker.Denied{Client: who("c"), Action: broker.ActionKeep, Topic: "#"}}, "c lost, as the rules have changed, its Subscription to: # at 2030-01-01 12:00:01"},
		{[]broker.Event{broker.Dropped{Client: who("c"), Reason: broker.DropSessionEnded, Messages: 2}}, "c lost, as its Session ended, messages that it had not had at 2030-01-01 12:00:01"},
	} {
		table := newTable()
		for _, e := range row.events {
			table.Event(e)
		}
		a, _ := table.Client("c")
		if got := a.Sentence("c"); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

// TestAddress shows what is kept of connections of which nobody knows the client.
func TestAddress(t *testing.T) {
	table := newTable()
	for _, remote := range []net.Addr{addr("[2001:db8::1]:5"), addr("192.0.2.1:6"), &net.UnixAddr{Name: "@"}, nil} {
		table.Event(broker.Refused{Remote: remote, Code: colibri.ProtocolError, Err: errors.New("TLS")})
		table.Event(broker.Limited{Remote: remote, Limit: broker.LimitAddress})
	}
	for host, want := range map[string]int{"2001:db8::1": 2, "192.0.2.1": 2, "": 2, "192.0.2.2": 0} {
		if a, _ := table.Address(host); len(a.Records) != want {
			t.Errorf("%q: got %d records, want %d", host, len(a.Records), want)
		}
	}
}

// TestBounds fills a table from many sides and looks at what it holds.
func TestBounds(t *testing.T) {
	if n := unsafe.Sizeof(Record{}); n > recordBytes {
		t.Errorf("a Record takes %d bytes, and is counted as %d", n, recordBytes)
	}
	table := newTable()
	table.Event(broker.Connected{Client: who("first"), Remote: addr("192.0.2.1:1")})
	long := strings.Repeat("ü", 400)
	for i := range 3000 { // strangers do not push out who was let in
		table.Event(broker.Refused{Client: broker.ClientInfo{ClientID: fmt.Sprint("stranger", i, long), UserName: long}, Remote: addr("192.0.2.1:1"), Err: errors.New(long)})
	}
	if _, ok := table.Client("first"); !ok {
		t.Error("strangers have pushed out a client")
	}
	if a, ok := table.Client("stranger2999" + long); !ok || len(a.Records[0].Text) > maxText || len(a.Records[0].UserName) > maxName {
		t.Errorf("the last one: got %v, %v", a, ok)
	}
	if n := len(table.strangers.accounts); n > maxStrangers || table.strangers.evicted != int64(3000-n) {
		t.Errorf("%d strangers, %d evicted", n, table.strangers.evicted)
	}
	for i := range 3000 {
		c := broker.ClientInfo{ClientID: fmt.Sprint(i)}
		for n := range 12 {
			table.Event(broker.Connected{Client: c, Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: n + 1}})
		}
	}
	sum := 0
	for _, s := range []*shelf{&table.known, &table.strangers} {
		bytes := 0
		for e := s.order.Front(); e != nil; e = e.Next() {
			a := e.Value.(*account)
			n := clientBytes + len(a.key)
			for i := range a.Records {
				n += a.Records[i].bytes()
			}
			if n != a.bytes || len(a.Records) > maxRecords {
				t.Fatalf("%q: %d records, %d bytes, counted as %d", a.key, len(a.Records), n, a.bytes)
			}
			bytes += n
		}
		if bytes != s.bytes || bytes > s.maxBytes || len(s.accounts) > s.maxAccounts || s.order.Len() != len(s.accounts) {
			t.Errorf("%d accounts with %d bytes, counted as %d", len(s.accounts), bytes, s.bytes)
		}
		sum += bytes
	}
	if stats := table.Stats(); stats.Bytes != sum || stats.Bytes > 4<<20 || stats.Clients > 10_000 || stats.Evicted < 2000 {
		t.Errorf("got %+v", stats)
	}
	if a, _ := table.Client("2999"); len(a.Records) != maxRecords || a.Forgotten != 4 {
		t.Errorf("the latest client: %d records, %d forgotten, want %d and 4", len(a.Records), a.Forgotten, maxRecords)
	}
}

// TestMeanwhile asks while events come.
func TestMeanwhile(t *testing.T) {
	table := newTable()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 500 {
				id := fmt.Sprint(i % 5)
				table.Event(broker.Connected{Client: who(id), Remote: addr("192.0.2.1:1")})
				table.Event(broker.Disconnected{Client: who(id), Remote: addr("192.0.2.1:1"), Err: io.EOF})
				a, _ := table.Client(id)
				a.Sentence(id)
			}
		})
	}
	all.Wait()
}

// TestOrder has the end of a connection that took another one over come before that one's.
func TestOrder(t *testing.T) {
	table := newTable()
	first, second := addr("192.0.2.1:1000"), addr("192.0.2.2:2000")
	table.Event(broker.Connected{Client: who("c"), Remote: first})
	table.Event(broker.Connected{Client: who("c"), Remote: second})
	table.Event(broker.Disconnected{Client: who("c"), Remote: second, Err: io.EOF})
	table.Event(broker.Disconnected{Client: who("c"), Remote: first, Code: colibri.SessionTakenOver, Err: colibri.SessionTakenOver})
	a, _ := table.Client("c")
	if len(a.Records) != 2 || a.Records[0].By != ByOther || a.Records[1].By != ByNetwork {
		t.Errorf("got %+v", a.Records)
	}
}
