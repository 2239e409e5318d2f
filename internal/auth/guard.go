package auth

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// GuardOptions say what a Guard takes.
type GuardOptions struct {
	// Failures is how many failed logins with one User Name from one address cost nothing;
	// at least 1. The next one is answered with a ban, and each one behind it with twice the
	// time.
	Failures int
	// Longest is the longest ban.
	Longest time.Duration
	// Banned is called for each ban, and must not block; nil for nobody.
	Banned func(Ban)
}

// Ban is what follows a failed login.
type Ban struct {
	Address  string // an IPv4 address or an IPv6 network; 127.0.0.1 for Unix domain sockets
	UserName string // empty when all names are meant
	For      time.Duration
}

// What a Guard counts besides, and how it forgets: see Guard.
const (
	guardEntries    = 1 << 16         // at most; about 10 MB
	guardSample     = 8               // entries among which the oldest gives way
	manyFailures    = 10              // times GuardOptions.Failures: by one address, or of one User Name
	firstBan        = time.Second     // twice as long with each failure behind it
	loopbackLongest = 5 * time.Second // the longest ban of this machine itself
	pairForgets     = 10 * time.Minute
	othersForget    = time.Minute
)

// Guard answers failed logins with bans that grow. It counts three things:
//
//   - the failures of a User Name from an address: they ban that name from that address. A
//     device with an old password shuts out nobody but itself.
//   - the failures of an address, whatever the name: ten times as many ban all names from
//     there but those that have logged in from it before, so that one who guesses
//     behind the same router locks nobody out. Not for this machine itself.
//   - the failures of a User Name, wherever from: ten times as many ban nobody, for who guesses
//     a name must not lock its owner out. They take the free failures of that name
//     away: who has the right password comes in at once, and each wrong one costs its
//     address a ban.
//
// While a ban lasts, clients are refused at once and nothing is computed or counted for them.
// A failure is forgotten after some minutes. An IPv6 address stands for its network of 64
// bits. The table has a limit: what happened longest ago gives way. A Guard is safe for
// concurrent use.
type Guard struct {
	o    GuardOptions
	seed maphash.Seed

	mu      sync.Mutex // a leaf
	entries map[guardKey]*guardEntry
	evicted int64
}

// guardKey is what failures are counted of. The zero address stands for all, and no user
// for all too.
type guardKey struct {
	address netip.Prefix
	user    uint64 // a hash, as names may be long; 0 for all
}

type guardEntry struct {
	failures float64   // that are not forgotten
	last     time.Time // when that was counted, or something else happened
	until    time.Time // the end of the ban
	good     bool      // the last login was right
}

// NewGuard returns a Guard that has seen nothing.
func NewGuard(o GuardOptions) *Guard {
	return &Guard{o: o, seed: maphash.MakeSeed(), entries: make(map[guardKey]*guardEntry)}
}

// Authenticate asks next about r unless there is a ban, and remembers what it says.
func (g *Guard) Authenticate(ctx context.Context, r *broker.ConnectRequest, next broker.Authenticator) error {
	if !r.HasUserName && !r.HasPassword {
		return next.Authenticate(ctx, r)
	}
	user := r.UserName // what was asked for: next may change it
	if err := g.allowed(r.RemoteAddr, user); err != nil {
		return err
	}
	err := next.Authenticate(ctx, r)
	if err == nil && r.UserName != user {
		return nil // by a certificate, for example: nobody has proven that name
	}
	g.learn(r.RemoteAddr, user, err)
	return err
}

// learn counts the end of a login: only what the client did wrong.
func (g *Guard) learn(from net.Addr, user string, err error) {
	switch code, _ := errors.AsType[colibri.ReasonCode](err); {
	case err == nil:
		g.right(from, user)
	case code == colibri.NotAuthorized, code == colibri.BadUserNameOrPassword:
		g.wrong(from, user)
	}
}

// keys returns what is counted of a login.
func (g *Guard) keys(from net.Addr, user string) (pair, address, name guardKey) {
	where := Prefix(from)
	hash := maphash.String(g.seed, user) | 1
	return guardKey{where, hash}, guardKey{address: where}, guardKey{user: hash}
}

// allowed returns an error while there is a ban.
func (g *Guard) allowed(from net.Addr, user string) error {
	pair, address, _ := g.keys(from, user)
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	until := time.Time{}
	p := g.entries[pair]
	if p != nil {
		until = p.until
	}
	if a := g.entries[address]; a != nil && a.until.After(until) && (p == nil || !p.good) {
		until = a.until
	}
	if !until.After(now) {
		return nil
	}
	left := until.Sub(now).Truncate(time.Second) + time.Second
	return &broker.LimitError{Limit: broker.LimitLogins, Err: &colibri.Error{Op: "CONNECT", Code: colibri.Banned,
		Err: fmt.Errorf("too many failed logins; try again in %s", left)}}
}

// right forgets the failures of a User Name from an address.
func (g *Guard) right(from net.Addr, user string) {
	pair, _, _ := g.keys(from, user)
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.entry(pair)
	p.failures, p.until, p.last, p.good = 0, time.Time{}, time.Now(), true
}

// wrong counts a failed login, and bans.
func (g *Guard) wrong(from net.Addr, user string) {
	pair, address, name := g.keys(from, user)
	now := time.Now()
	most := float64(g.o.Failures)
	longest := g.o.Longest
	local := address.address.Addr().IsLoopback()
	if local {
		longest = min(longest, loopbackLongest)
	}
	var bans []Ban
	func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		free := most
		if g.entry(name).count(now, othersForget) > manyFailures*most {
			free = 0
		}
		p := g.entry(pair)
		if over := p.count(now, pairForgets) - free; over > 0 {
			bans = append(bans, Ban{describe(address.address), user, p.ban(now, over, longest)})
		}
		if a := g.entry(address); a.count(now, othersForget) > manyFailures*most && !local {
			bans = append(bans, Ban{describe(address.address), "", a.ban(now, a.failures-manyFailures*most, longest)})
		}
	}()
	if g.o.Banned != nil {
		for _, b := range bans {
			g.o.Banned(b)
		}
	}
}

// entry returns the entry of k, which may be a new one. The Guard's lock is held.
func (g *Guard) entry(k guardKey) *guardEntry {
	if e := g.entries[k]; e != nil {
		return e
	}
	if len(g.entries) >= guardEntries {
		g.evict()
	}
	e := &guardEntry{}
	g.entries[k] = e
	return e
}

// evict makes room: of a few entries the one that was touched longest ago goes. The Guard's
// lock is held.
func (g *Guard) evict() {
	var oldest guardKey
	var last time.Time
	seen := 0
	for k, e := range g.entries { // in an order that nobody can foresee
		if seen == 0 || e.last.Before(last) {
			oldest, last = k, e.last
		}
		if seen++; seen == guardSample {
			break
		}
	}
	delete(g.entries, oldest)
	g.evicted++
}

// count adds a failure, after it has forgotten one for each forget that has passed.
func (e *guardEntry) count(now time.Time, forget time.Duration) float64 {
	if !e.last.IsZero() {
		e.failures = max(0, e.failures-float64(now.Sub(e.last))/float64(forget))
	}
	e.failures++
	e.last = now
	return e.failures
}

// ban begins a ban whose length doubles with each failure over what is free.
func (e *guardEntry) ban(now time.Time, over float64, longest time.Duration) time.Duration {
	length := longest
	if doublings := int(over+0.999) - 1; doublings < 30 {
		length = min(longest, firstBan<<max(0, doublings))
	}
	e.until = now.Add(length)
	return length
}

// Evicted is how many entries had to give way to others.
func (g *Guard) Evicted() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.evicted
}

// loopback stands for everybody on this machine who does not come over IP.
var loopback = netip.MustParsePrefix("127.0.0.1/32")

// Prefix returns what stands for an address where something is counted for it: the address of
// IPv4, the network of 64 bits of IPv6, and 127.0.0.1 where there is none.
func Prefix(a net.Addr) netip.Prefix {
	var ip netip.Addr
	switch a := a.(type) {
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	case *net.UDPAddr:
		ip = a.AddrPort().Addr()
	case nil:
		return loopback
	default:
		port, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return loopback
		}
		ip = port.Addr()
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	} else if ip.IsLoopback() {
		bits = 128
	}
	p, err := ip.Prefix(bits)
	if err != nil || !p.IsValid() {
		return loopback
	}
	return p
}

// describe writes an address as people do.
func describe(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
