package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/hasher"
	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// logins is what all listeners share to check passwords.
type logins struct {
	gate   *auth.Gate
	guard  *auth.Guard // nil when nobody is banned
	files  map[string]*auth.Passwords
	hasher *hasher.Hasher
	scram  broker.Method // without a Name when there is no file for it
}

// openLogins reads what does not belong to one listener.
func (s *brokerServer) openLogins() error {
	o := &s.config.Login
	checks := loginChecks(o.Checks)
	s.logins = logins{gate: auth.NewGate(checks, o.Queue), files: make(map[string]*auth.Passwords), hasher: s.newHasher(checks)}
	if o.Failures > 0 {
		s.logins.guard = auth.NewGuard(auth.GuardOptions{Failures: o.Failures, Longest: o.Ban, Banned: s.banned})
	}
	if o.Scram == "" {
		return nil
	}
	method, err := s.scramMethod(o.Scram)
	s.logins.scram = method
	return err
}

// checkLogins reads the files with users that c names, so that a mistake in them is told as one
// in the configuration itself.
func checkLogins(c *config.Config) error {
	paths := []string{c.PasswordFile}
	for i := range c.Listeners {
		paths = append(paths, c.Passwords(&c.Listeners[i]))
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if path == "" {
			continue
		}
		if _, err := passwd.Read(path); err != nil {
			return fmt.Errorf("the password file %w", err)
		}
	}
	if c.Login.Scram != "" {
		if _, err := passwd.ReadScram(c.Login.Scram); err != nil {
			return fmt.Errorf("the file of colibri_scram_file %w", err)
		}
	}
	return nil
}

// loginChecks is how many passwords are compared at once: by default on half of the
// processors, so that the other half is there for those who are connected.
func loginChecks(configured int) int {
	if configured > 0 {
		return configured
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

// passwords returns the Checker of a password file, which listeners may share.
func (s *brokerServer) passwords(path string) (*auth.Passwords, error) {
	if p := s.logins.files[path]; p != nil {
		return p, nil
	}
	p, err := auth.NewPasswords(path, s.logins.gate, s.config.Login.Remember)
	if err != nil {
		return nil, fmt.Errorf("the password file %w", err)
	}
	p.Guard, p.Matcher = s.logins.guard, s.logins.hasher
	s.logins.files[path] = p
	s.reloads = append(s.reloads, reloaded{what: "the passwords", files: []string{path}, load: p.Load})
	return p, nil
}

// scramMethod returns the Method for the users of a file, which it reads.
func (s *brokerServer) scramMethod(path string) (broker.Method, error) {
	var users atomic.Pointer[map[string]passwd.ScramUser]
	load := func() error {
		read, err := passwd.ReadScram(path)
		if err == nil {
			users.Store(&read)
		}
		return err
	}
	if err := load(); err != nil {
		return broker.Method{}, fmt.Errorf("the file of colibri_scram_file %w", err)
	}
	s.reloads = append(s.reloads, reloaded{what: "the users of SCRAM", files: []string{path}, load: load})
	method := broker.ScramSHA256(broker.ScramOptions{Lookup: func(_ context.Context, name string) (broker.ScramCredentials, bool, error) {
		u, known := (*users.Load())[name]
		return broker.ScramCredentials{Salt: u.Salt, Iterations: u.Iterations, StoredKey: u.StoredKey, ServerKey: u.ServerKey}, known, nil
	}})
	if s.logins.guard != nil {
		method = s.logins.guard.Method(method)
	}
	return certificatesFirst(method), nil
}

// certificatesFirst returns m without the clients of listeners that take the User Name from
// the client's certificate: no other name may take its place.
func certificatesFirst(m broker.Method) broker.Method {
	begin := m.Begin
	m.Begin = func(r *broker.ConnectRequest) broker.Exchange {
		a, ok := r.LocalAddr.(boundAddr)
		if !ok {
			return refusing{colibri.NotAuthorized}
		}
		if a.listener.certificate == nil {
			return begin(r)
		}
		asked := *r
		switch v, err := a.listener.certificate.Check(context.Background(), &asked); v {
		case auth.Pass:
			return begin(r)
		case auth.Deny:
			return refusing{err}
		}
		return refusing{&colibri.Error{Op: "CONNECT", Code: colibri.NotAuthorized,
			Err: errors.New("this listener takes the User Name from the client's certificate; leave the Authentication Method out")}}
	}
	return m
}

// refusing is an Exchange that refuses the client.
type refusing struct{ err error }

func (x refusing) Step(context.Context, []byte) ([]byte, bool, error) { return nil, false, x.err }

func (refusing) UserName() string { return "" }

// methods returns the Authentication Methods of the broker.
func (l *logins) methods() []broker.Method {
	if l.scram.Name == "" {
		return nil
	}
	return []broker.Method{l.scram}
}

// banned writes about a ban, seldom enough that the log stays readable.
func (s *brokerServer) banned(b auth.Ban) {
	n := s.log.bans.add(1)
	if n == 0 {
		return
	}
	whom := "everybody who is not known to log in from " + b.Address
	switch {
	case b.UserName != "" && s.config.Remote.Token.InUserName: // it may be a token
		whom = "a user from " + b.Address
	case b.UserName != "":
		whom = "user '" + shown(b.UserName) + "' from " + b.Address
	}
	s.log.printf(logWarning, "Banned for failed logins: %d times, the last time %s for %s.", n, whom, b.For)
}
