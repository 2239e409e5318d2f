package webhook

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/auth"
)

// breakerScene asks a breaker about clients, at times of its own.
type breakerScene struct {
	*testing.T
	b   *breaker
	now time.Time
}

func newBreakerScene(t *testing.T) *breakerScene {
	return &breakerScene{t, newBreaker(3, 10*time.Second), time.Unix(1000, 0)}
}

func at(address int, user string) asker {
	return asker{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(address >> 8), byte(address)}), 32), user}
}

// ask asks about who; asked is what is wanted.
func (s *breakerScene) ask(who asker, shown blame, asked bool) {
	s.Helper()
	ticket, ok := s.b.enter(s.now, who)
	if ok != asked {
		s.Errorf("%v: asked is %v, want %v", who, ok, asked)
	}
	if ok {
		s.b.leave(s.now, who, ticket, shown)
	}
}

// TestBreakerOneClient shows that who breaks the server over and over is left out alone.
func TestBreakerOneClient(t *testing.T) {
	s := newBreakerScene(t)
	for n := range 3 {
		s.ask(at(1, fmt.Sprint("name ", n)), fails, true)
	}
	s.ask(at(1, "other"), works, false)
	s.ask(at(2, "anna"), works, true)
	s.ask(at(1, "other"), works, false) // the answer to others is not about this one
	s.now = s.now.Add(10 * time.Second)
	first, ok := s.b.enter(s.now, at(1, "x"))
	if _, second := s.b.enter(s.now, at(1, "x")); !ok || second {
		t.Errorf("one finds out: %v, a second one: %v", ok, second)
	}
	s.b.leave(s.now, at(1, "x"), first, fails)
	s.ask(at(1, "x"), works, false)
	s.now = s.now.Add(10 * time.Second)
	s.ask(at(1, "x"), works, true)
	for range 2 { // at once, as none has to find out
		if _, ok := s.b.enter(s.now, at(1, "x")); !ok {
			t.Error("after an answer: not asked")
		}
	}
}

// TestBreakerOneName shows the same for a user who comes from everywhere.
func TestBreakerOneName(t *testing.T) {
	s := newBreakerScene(t)
	for n := range 10 {
		s.ask(at(n, "poison"), fails, true)
	}
	s.ask(at(11, "anna"), works, true)
}

// TestBreakerAll shows what stops the questions about everybody, and what begins them again.
func TestBreakerAll(t *testing.T) {
	s := newBreakerScene(t)
	s.ask(at(1, "a"), fails, true)
	s.ask(at(2, "b"), fails, true)
	s.ask(at(3, "c"), works, true)
	for n := range 3 {
		s.ask(at(n, fmt.Sprint(n)), fails, true)
	}
	s.ask(at(9, "z"), works, false)
	s.now = s.now.Add(10 * time.Second)
	s.ask(at(1, "z"), fails, true) // counted already: who found out learned nothing about others
	s.ask(at(9, "z"), fails, true)
	s.ask(at(10, "y"), works, false)
	s.now = s.now.Add(10 * time.Second)
	s.ask(at(10, "y"), works, true)
	s.ask(at(11, "x"), works, true)

	s = newBreakerScene(t)
	for range 3 { // nobody's question is to blame
		s.ask(at(1, "a"), unreached, true)
	}
	s.ask(at(2, "b"), works, false)
	s.now = s.now.Add(10 * time.Second)
	s.ask(at(2, "b"), unreached, true)
	s.ask(at(2, "b"), works, false)
}

// TestBreakerBound holds that many addresses do not make it grow.
func TestBreakerBound(t *testing.T) {
	s := newBreakerScene(t)
	for n := range 2 * breakerSources {
		s.now = s.now.Add(20 * time.Second)
		s.ask(at(n, fmt.Sprint(n)), fails, true)
	}
	if len(s.b.sources) != breakerSources || len(s.b.names) > 3 || len(s.b.addresses) > 3 {
		t.Errorf("%d sources, %d names, %d addresses; want %d, 3, 3", len(s.b.sources), len(s.b.names), len(s.b.addresses), breakerSources)
	}
}

// TestPoison shows a server that breaks off over what one client sends, and others who are
// asked about all the same.
func TestPoison(t *testing.T) {
	config := standard()
	config.Faults = 3
	c := start(t, config, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "poison") {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, `{"result":"allow"}`)
	})
	poison := request()
	poison.ClientID, poison.RemoteAddr = "poison", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 8)}
	var last error
	for range 5 {
		if _, last = ask1(t, c, poison); last == nil {
			t.Fatal("no fault")
		}
	}
	if !strings.Contains(last.Error(), "left alone") {
		t.Errorf("the fifth time: got %v, want not to have been asked about", last)
	}
	if v, err := ask1(t, c, request()); v != auth.Allow {
		t.Errorf("another client: got %v, %v, want to be let in", v, err)
	}
}
