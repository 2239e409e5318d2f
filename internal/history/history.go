// Package history remembers what has become of the connections of each client, for people who
// ask why: connects, refusals and disconnections with their reasons, for a while and within
// bounds. It takes the events of a broker and keeps what they say as plain values.
package history

import (
	"container/list"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// Bounds of a Table. Clients that were let in have the larger part, so that connections which
// are refused, of whom anybody can make many, do not push them out.
const (
	maxClients      = 8000
	maxBytes        = 3 << 20
	maxStrangers    = 2000    // ClientIDs that were never let in, and addresses
	maxStrangeBytes = 1 << 20 // of these
	maxRecords      = 8       // of one client
	maxText         = 300     // bytes of a text
	maxName         = 256     // bytes of a name
)

// Kind says what a Record is about.
type Kind string

// The kinds.
const (
	Connection Kind = "connection" // that was accepted
	Refusal    Kind = "refusal"    // of a connection
	Note       Kind = "note"       // what happened meanwhile
)

// Ender says who has ended a connection.
type Ender string

// Who ends connections.
const (
	ByClient  Ender = "client"
	ByNetwork Ender = "network" // or the client, without a word
	ByBroker  Ender = "broker"
	ByOther   Ender = "another connection" // with the same ClientID
)

// Record is one thing that has happened.
type Record struct {
	Kind           Kind
	From           time.Time // when it began, or came first
	Until          time.Time // when it ended, or came last; zero while a connection lasts
	Times          int       // that a refusal or note came in a row
	Address        string    // of the client, with its port; empty when it is not known
	UserName       string
	Version        colibri.Version // of a connection
	KeepAlive      uint16          // of a connection, in seconds
	SessionPresent bool            // of a connection
	By             Ender           // of a connection that has ended
	Code           colibri.ReasonCode
	Text           string // why, in plain words without a full stop
	Detail         string // what a note is about last, such as a topic; may be empty
}

// recordBytes is what a Record takes without its texts, and clientBytes what a client takes.
const (
	recordBytes = 216
	clientBytes = 256
)

func (r *Record) bytes() int {
	return recordBytes + len(r.Address) + len(r.UserName) + len(r.Text) + len(r.Detail)
}

// Account is what is known of one client or address.
type Account struct {
	Records   []Record // the oldest first
	Forgotten int      // older ones
}

// Stats are the numbers of a Table.
type Stats struct {
	Clients int // and addresses
	Bytes   int
	Evicted int64 // clients and addresses that gave way to others
}

// Words say why a connection ended, from the error of its event: a clause in plain words.
type Words func(err error) string

// Table remembers the last of each client. It is safe for concurrent use; its lock is a leaf
// and never held over anything that waits. New makes one.
type Table struct {
	refused, ended Words
	now            func() time.Time

	mu        sync.Mutex
	known     shelf // clients that were let in
	strangers shelf // all others, and addresses
}

// New returns an empty Table that says why connections were refused and have ended in these
// words.
func New(refused, ended Words) *Table {
	return &Table{refused: refused, ended: ended, now: time.Now,
		known: newShelf(maxClients, maxBytes), strangers: newShelf(maxStrangers, maxStrangeBytes)}
}

// shelf holds accounts, of which those that nothing was added to for the longest time give way.
type shelf struct {
	accounts              map[string]*list.Element // of *account
	order                 *list.List               // the latest first
	bytes                 int
	evicted               int64
	maxAccounts, maxBytes int
}

type account struct {
	key   string
	bytes int
	Account
}

func newShelf(accounts, bytes int) shelf {
	return shelf{accounts: make(map[string]*list.Element), order: list.New(), maxAccounts: accounts, maxBytes: bytes}
}

// get returns the account of key, nil without one.
func (s *shelf) get(key string) *account {
	if e := s.accounts[key]; e != nil {
		return e.Value.(*account)
	}
	return nil
}

// touch returns the account of key, which is the latest then; it is made if there is none.
func (s *shelf) touch(key string) *account {
	if e := s.accounts[key]; e != nil {
		s.order.MoveToFront(e)
		return e.Value.(*account)
	}
	a := &account{key: key}
	s.put(a)
	s.resize(a, clientBytes+len(key))
	return a
}

func (s *shelf) put(a *account) {
	s.accounts[a.key] = s.order.PushFront(a)
	s.bytes += a.bytes
}

// remove takes out and returns the account of key, nil without one.
func (s *shelf) remove(key string) *account {
	e := s.accounts[key]
	if e == nil {
		return nil
	}
	delete(s.accounts, key)
	a := s.order.Remove(e).(*account)
	s.bytes -= a.bytes
	return a
}

// resize counts that a takes so many bytes more.
func (s *shelf) resize(a *account, by int) {
	a.bytes += by
	s.bytes += by
}

// add adds a Record to a.
func (s *shelf) add(a *account, r Record) {
	if len(a.Records) == maxRecords {
		s.resize(a, -a.Records[0].bytes())
		a.Records = a.Records[:copy(a.Records, a.Records[1:])]
		a.Forgotten++
	}
	a.Records = append(a.Records, r)
	s.resize(a, r.bytes())
}

// change puts r in the place of Record i of a.
func (s *shelf) change(a *account, i int, r Record) {
	s.resize(a, r.bytes()-a.Records[i].bytes())
	a.Records[i] = r
}

// trim evicts what is too much.
func (s *shelf) trim() {
	for len(s.accounts) > s.maxAccounts || s.bytes > s.maxBytes {
		s.remove(s.order.Back().Value.(*account).key)
		s.evicted++
	}
}

// Keys: a ClientID and an address may look alike.

func clientKey(clientID string) string {
	if len(clientID) > maxName {
		h := fnv.New64a()
		h.Write([]byte(clientID))
		clientID = clientID[:maxName-20] + "#" + strconv.FormatUint(h.Sum64(), 16)
	}
	return "c" + clientID
}

func addressKey(host string) string { return "a" + host }

// Client returns what is known of a client; ok is false when nothing is.
func (t *Table) Client(clientID string) (a Account, ok bool) { return t.find(clientKey(clientID)) }

// Address returns what is known of connections from an IP address whose ClientID could not be
// read; ok is false when nothing is.
func (t *Table) Address(host string) (a Account, ok bool) { return t.find(addressKey(host)) }

func (t *Table) find(key string) (Account, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.known.get(key)
	if found == nil {
		found = t.strangers.get(key)
	}
	if found == nil {
		return Account{}, false
	}
	return Account{append([]Record(nil), found.Records...), found.Forgotten}, true
}

// Stats returns the numbers of now.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{Clients: len(t.known.accounts) + len(t.strangers.accounts), Bytes: t.known.bytes + t.strangers.bytes,
		Evicted: t.known.evicted + t.strangers.evicted}
}
