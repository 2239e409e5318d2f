package auth

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// passwordFile writes a file of users and passwords, "ann:secret bob:other".
func passwordFile(t *testing.T, kind passwd.Kind, users string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	rewrite(t, path, kind, users)
	return path
}

func rewrite(t *testing.T, path string, kind passwd.Kind, users string) {
	t.Helper()
	e := passwd.Create(path)
	for field := range strings.FieldsSeq(users) {
		user, password, _ := strings.Cut(field, ":")
		h, err := passwd.New(kind, 0, []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		e.Set(user, h.String())
	}
	if err := e.Save(); err != nil {
		t.Fatal(err)
	}
}

func newPasswords(t *testing.T, path string, gate *Gate, remember int) *Passwords {
	t.Helper()
	p, err := NewPasswords(path, gate, remember)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// login is what a client sends; "-" stands for nothing.
func login(user, password string) *broker.ConnectRequest {
	r := &broker.ConnectRequest{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1000}}
	if user != "-" {
		r.HasUserName, r.UserName = true, user
	}
	if password != "-" {
		r.HasPassword, r.Password = true, []byte(password)
	}
	return r
}

func TestPasswords(t *testing.T) {
	path := passwordFile(t, passwd.SHA512, "ann:secret bob:-")
	for _, remember := range []int{0, 10} {
		p := newPasswords(t, path, NewGate(1, 0), remember)
		for range 2 { // from the file, and from memory
			for _, c := range []struct {
				user, password string
				want           Verdict
			}{
				{"ann", "secret", Allow}, {"ann", "Secret", Deny}, {"ann", "", Deny}, {"ann", "-", Deny},
				{"eve", "secret", Pass}, {"", "secret", Pass}, {"-", "-", Pass}, {"Ann", "secret", Pass},
			} {
				v, err := p.Check(t.Context(), login(c.user, c.password))
				if v != c.want || (err != nil) != (v == Deny) || err != nil && !errors.Is(err, colibri.NotAuthorized) {
					t.Errorf("%s with %q: got %v, %v, want %v", c.user, c.password, v, err, c.want)
				}
			}
		}
	}
}

// TestPasswordsOfNone shows that a hash of the empty password lets nobody in who has none.
func TestPasswordsOfNone(t *testing.T) {
	h, err := passwd.New(passwd.SHA512, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte("ann:"+h.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPasswords(t, path, NewGate(1, 0), 10)
	for _, password := range []string{"-", "", "-"} { // also when "" is remembered
		want := Deny
		if password == "" {
			want = Allow
		}
		if v, _ := p.Check(t.Context(), login("ann", password)); v != want {
			t.Errorf("%q: got %v, want %v", password, v, want)
		}
	}
}

func TestPasswordsReload(t *testing.T) {
	path := passwordFile(t, passwd.SHA512, "ann:one bob:two")
	p := newPasswords(t, path, NewGate(1, 0), 10)
	check := func(want ...Verdict) {
		t.Helper()
		for i, r := range []*broker.ConnectRequest{login("ann", "one"), login("ann", "new"), login("bob", "two")} {
			if v, _ := p.Check(t.Context(), r); v != want[i] {
				t.Errorf("%s with %s: got %v, want %v", r.UserName, r.Password, v, want[i])
			}
		}
	}
	check(Allow, Deny, Allow)
	if err := os.WriteFile(path, []byte("ann:new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Load(); err == nil || !strings.Contains(err.Error(), path+":1: ") {
		t.Errorf("a file without hashes: got %v, want its first line", err)
	}
	check(Allow, Deny, Allow)
	rewrite(t, path, passwd.SHA512, "ann:new")
	check(Allow, Deny, Allow)
	if err := p.Load(); err != nil {
		t.Fatal(err)
	}
	check(Deny, Allow, Pass)
}

// TestUnknownUserIsCompared shows that the gate is passed for a user who is not there.
func TestUnknownUserIsCompared(t *testing.T) {
	gate := NewGate(1, 0)
	p := newPasswords(t, passwordFile(t, passwd.SHA512, "ann:one"), gate, 10)
	for range 3 {
		p.Check(t.Context(), login("eve", "one"))
	}
	if n := gate.Stats().Entered; n != 3 {
		t.Errorf("got %d comparisons, want one for each", n)
	}
}

// TestRemembered shows that passwords which were right cost no comparison again, that wrong
// ones do, and that the memory has a limit.
func TestRemembered(t *testing.T) {
	gate := NewGate(1, 0)
	p := newPasswords(t, passwordFile(t, passwd.SHA512, "ann:one bob:two eve:three"), gate, 2)
	for range 5 {
		p.Check(t.Context(), login("ann", "one"))
		p.Check(t.Context(), login("ann", "wrong"))
	}
	if n := gate.Stats().Entered; n != 6 {
		t.Errorf("got %d comparisons, want 1 for the right password and 5 for wrong ones", n)
	}
	p.Check(t.Context(), login("bob", "two"))
	p.Check(t.Context(), login("eve", "three"))
	if n := len(p.remembered.marks); n != 2 {
		t.Errorf("got %d remembered, want 2", n)
	}
	if err := p.Load(); err != nil || len(p.remembered.marks) != 0 {
		t.Errorf("after Load: got %d remembered, %v, want none", len(p.remembered.marks), err)
	}
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2, 3)
		inside := 0
		var order []int
		var mu sync.Mutex
		done := make(chan struct{})
		for i := range 5 {
			go func() {
				if _, err := g.Enter(t.Context()); err != nil {
					t.Errorf("%d: got %v", i, err)
					return
				}
				mu.Lock()
				inside++
				if inside > 2 {
					t.Errorf("%d are inside, want at most 2", inside)
				}
				order = append(order, i)
				mu.Unlock()
				<-done
				mu.Lock()
				inside--
				mu.Unlock()
				g.Leave()
			}()
			synctest.Wait()
		}
		if _, err := g.Enter(t.Context()); !errors.Is(err, colibri.ServerBusy) {
			t.Errorf("one too many: got %v, want ServerBusy", err)
		}
		if got, want := g.Stats(), (GateStats{Inside: 2, Waiting: 3, Entered: 2, Refused: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for range 5 {
			done <- struct{}{} // one leaves, and one comes in
			synctest.Wait()
		}
		for i, n := range order {
			if n != i {
				t.Errorf("they came in as %v, want the order in which they came", order)
				break
			}
		}
		if got, want := g.Stats(), (GateStats{Entered: 5, Refused: 1}); got != want {
			t.Errorf("at the end: got %+v, want %+v", got, want)
		}
	})
}

// TestGateEndsWithContext shows that nobody waits longer than its context.
func TestGateEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(0, 10) // 1, as there must be one
		if _, err := g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := g.Enter(ctx); !errors.Is(err, colibri.ServerBusy) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want ServerBusy after 1 s", err, time.Since(began))
		}
		if got, want := g.Stats(), (GateStats{Inside: 1, Entered: 1, Refused: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// TestWaitingLogins shows what a login that had to wait is asked again: whether it was
// banned meanwhile, and whether its password has proven right meanwhile.
func TestWaitingLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(1, 100)
		p := newPasswords(t, passwordFile(t, passwd.SHA512, "ann:one"), gate, 10)
		p.Guard = NewGuard(GuardOptions{Failures: 5, Longest: time.Minute})
		chain := &Chain{Checkers: []Checker{p}}
		many := func(n int, password string) (banned, wrong, right int) {
			var mu sync.Mutex
			gate.places <- struct{}{} // all of them wait
			for range n {
				go func() {
					err := p.Guard.Authenticate(t.Context(), login("ann", password), chain)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						right++
					case errors.Is(err, colibri.Banned):
						banned++
					default:
						wrong++
					}
				}()
			}
			synctest.Wait()
			before := gate.Stats().Waiting
			gate.Leave()
			synctest.Wait()
			if before != n {
				t.Errorf("%d waited, want %d", before, n)
			}
			return banned, wrong, right
		}
		if banned, wrong, right := many(50, "two"); wrong > 7 || banned != 50-wrong || right != 0 {
			t.Errorf("guesses at once: got %d banned, %d wrong, %d right, want about 6 compared", banned, wrong, right)
		}
		time.Sleep(time.Hour)
		if banned, wrong, right := many(50, "one"); right != 50 {
			t.Errorf("one fleet: got %d banned, %d wrong, %d right, want all let in", banned, wrong, right)
		}
		if n := len(p.remembered.marks); n != 1 {
			t.Errorf("got %d remembered, want 1", n)
		}
	})
}

// matcher is a Matcher that says what a test wants.
type matcher func() (bool, error)

func (m matcher) Match(passwd.Hash, []byte) (bool, error) { return m() }

// TestMatcher shows that what the Matcher says holds, and that its failure is neither a right
// password nor a wrong one.
func TestMatcher(t *testing.T) {
	p := newPasswords(t, passwordFile(t, passwd.SHA512, "ann:one"), NewGate(1, 0), 10)
	for _, c := range []struct {
		right bool
		err   error
		want  Verdict
		code  colibri.ReasonCode
	}{
		{false, errors.New("it has gone"), Deny, colibri.ServerUnavailable},
		{false, nil, Deny, colibri.NotAuthorized},
		{true, nil, Allow, 0},
	} {
		p.Matcher = matcher(func() (bool, error) { return c.right, c.err })
		v, err := p.Check(t.Context(), login("ann", "one"))
		if v != c.want || c.code != 0 && !errors.Is(err, c.code) || (err == nil) != (c.code == 0) {
			t.Errorf("%v and %v: got %v and %v, want %v and %v", c.right, c.err, v, err, c.want, c.code)
		}
	}
}
