package directory

import (
	"context"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

const people = ",ou=people,dc=example,dc=org"

// users are in all directories of the tests.
var users = []entry{
	{"uid=alice" + people, "alice", "hush", false},
	{"uid=b\\2co" + people, "b,o", "hush", false},
	{"uid=reader" + people, "reader", "hush-reader", false},
	{"uid=twin,ou=a" + people, "twin", "hush", false},
	{"uid=twin,ou=b" + people, "twin", "hush", false},
	{"", "ghost", "", false},
	{"uid=Hidden" + people, "Hidden", "hush", true},
}

// start returns a Checker for a server.
func start(t *testing.T, s *server, c Config) *Checker {
	t.Helper()
	if c.URL == nil {
		c.URL = &url.URL{Scheme: "ldap", Host: s.Addr().String()}
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	c.AtOnce, c.Waiting = 2, 2
	checker, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(checker.Close)
	return checker
}

// write returns the path of a new file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// bind and search are the two ways.
func bind() Config { return Config{BindDN: "uid=%u" + people} }

func search(t *testing.T) Config {
	return Config{SearchBase: people[1:], SearchFilter: "(uid=%u)", SearchDN: "uid=reader" + people, PasswordFile: write(t, "hush-reader\n")}
}

// check asks c and looks for the Password in the error.
func check(t *testing.T, c *Checker, user, password string) (*broker.ConnectRequest, auth.Verdict, error) {
	t.Helper()
	r := &broker.ConnectRequest{HasUserName: true, UserName: user, HasPassword: password != "", Password: []byte(password)}
	v, err := c.Check(t.Context(), r)
	if err != nil && strings.Contains(err.Error(), "hush") {
		t.Errorf("the error holds a secret: %v", err)
	}
	return r, v, err
}

func TestCheck(t *testing.T) {
	s := startServer(t, false, users...)
	byBind, bySearch, canonical, anonymous := bind(), search(t), search(t), search(t)
	canonical.UserAttribute = "CN"
	anonymous.SearchDN, anonymous.PasswordFile = "", ""
	reader := "uid=reader" + people
	for _, test := range []struct {
		name           string
		config         Config
		user, password string
		want           auth.Verdict
		as             string
		binds          string
	}{
		{"by bind", byBind, "alice", "hush", auth.Allow, "alice", "uid=alice" + people},
		{"wrong", byBind, "alice", "shhh", auth.Deny, "alice", "uid=alice" + people},
		{"nobody", byBind, "bob", "hush", auth.Deny, "bob", "uid=bob" + people},
		{"no Password", byBind, "alice", "", auth.Pass, "alice", ""},
		{"no User Name", byBind, "", "hush", auth.Pass, "", ""},
		{"another name inside", byBind, "x,uid=alice", "hush", auth.Deny, "x,uid=alice", `uid=x\2cuid\3dalice` + people},
		{"a comma", byBind, "b,o", "hush", auth.Allow, "b,o", `uid=b\2co` + people},
		{"spaces around", byBind, "alice ", "hush", auth.Deny, "alice ", ""},
		{"what is not seen", byBind, "al\u200bice", "hush", auth.Deny, "al\u200bice", ""},
		{"by search", bySearch, "alice", "hush", auth.Allow, "alice", reader + "; uid=alice" + people},
		{"by search, wrong", bySearch, "alice", "shhh", auth.Deny, "alice", reader + "; uid=alice" + people},
		{"by search, nobody", bySearch, "bob", "hush", auth.Pass, "bob", reader},
		{"by search, no Password", bySearch, "alice", "", auth.Pass, "alice", ""},
		{"by search, two", bySearch, "twin", "hush", auth.Pass, "twin", reader},
		{"by search, a wildcard", bySearch, "al*", "hush", auth.Pass, "al*", reader},
		{"by search, a filter", bySearch, "x)(|(uid=alice", "hush", auth.Pass, "x)(|(uid=alice", reader},
		{"by search, the name of the directory", canonical, "alice", "hush", auth.Allow, "alice-canonical", reader + "; uid=alice" + people},
		{"by search, in capitals", bySearch, "ALICE", "hush", auth.Allow, "alice", reader + "; uid=alice" + people},
		{"by bind, in capitals: there is no entry to look at", byBind, "ALICE", "hush", auth.Allow, "ALICE", "uid=ALICE" + people},
		{"anonymous search", anonymous, "alice", "hush", auth.Allow, "alice", "; uid=alice" + people},
	} {
		r, v, err := check(t, start(t, s, test.config), test.user, test.password)
		if v != test.want || err != nil && v != auth.Deny || r.UserName != test.as {
			t.Errorf("%s: got %v, %v as %q, want %v as %q", test.name, v, err, r.UserName, test.want, test.as)
		}
		if binds, _ := s.seen(); binds != test.binds {
			t.Errorf("%s: the server saw binds as\n%s\nwant\n%s", test.name, binds, test.binds)
		}
	}
	if r, v, err := check(t, start(t, s, bySearch), "ghost", "hush"); v != auth.Pass || err == nil || r.UserName != "ghost" {
		t.Errorf("an entry without a name: got %v, %v, want a fault", v, err)
	}
	if _, v, err := check(t, start(t, s, bySearch), "hidden", "hush"); v != auth.Pass || err == nil || !strings.Contains(err.Error(), "does not show the attribute") {
		t.Errorf("an entry that hides its name: got %v, %v, want a fault", v, err)
	}
}

// TestFaults covers servers that do not answer as they should.
func TestFaults(t *testing.T) {
	s := startServer(t, false, users...)
	badReader := search(t)
	badReader.SearchDN = "uid=nobody" + people
	lost := startServer(t, false)
	lost.Close()
	for _, test := range []struct {
		name   string
		s      *server
		config Config
		code   uint16
		want   string
	}{
		{"busy", s, bind(), ldap.LDAPResultBusy, "it answers with the result 51 (Busy)"},
		{"a result that repeats the Password", s, bind(), ldap.LDAPResultOther, "it answers with the result 80 (Other)"},
		{"busy for the search", s, search(t), ldap.LDAPResultUnavailable, "it answers with the result 52 (Unavailable)"},
		{"a wrong reader", s, badReader, 0, "it does not let in whom it should be searched as"},
		{"nobody listens", lost, bind(), 0, "connection refused"},
	} {
		s.set(func() { s.code = test.code })
		_, v, err := check(t, start(t, test.s, test.config), "alice", "hush")
		if v != auth.Pass || !errors.Is(err, colibri.ServerUnavailable) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v, want %q", test.name, v, err, test.want)
		}
	}
}

// TestConnections covers that connections are kept, and replaced when they are broken.
func TestConnections(t *testing.T) {
	s := startServer(t, false, users...)
	c := start(t, s, search(t))
	allowed := func(want int) {
		t.Helper()
		if _, v, err := check(t, c, "alice", "hush"); v != auth.Allow {
			t.Errorf("got %v, %v", v, err)
		}
		if _, n := s.seen(); n != want {
			t.Errorf("got %d connections, want %d", n, want)
		}
	}
	allowed(1)
	allowed(1)
	check(t, c, "alice", "wrong")
	allowed(1)
	s.drop()
	allowed(2)
	<-s.ended
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended: // nobody uses it any more
	case <-time.After(10 * time.Second):
		t.Error("the connection stays open after another one has taken its place")
	}
	allowed(3)
	os.WriteFile(c.config.PasswordFile, nil, 0o600)
	if err := c.Load(); err == nil || !strings.Contains(err.Error(), c.config.PasswordFile+" holds no password") {
		t.Errorf("an empty password: got %v", err)
	}
	allowed(3)
}

// TestSilent covers a server that takes requests and answers none: the checks end in time, and
// no more of them wait than may.
func TestSilent(t *testing.T) {
	s := startServer(t, false, users...)
	s.set(func() { s.mute = true })
	c := start(t, s, bind())
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	ask := func() {
		_, err := c.Check(ctx, &broker.ConnectRequest{HasUserName: true, UserName: "alice", Password: []byte("hush")})
		results <- err
	}
	const asked = 10
	for range asked {
		go ask()
	}
	for range asked - 4 { // 2 at once and 2 that wait stay
		if err := <-results; !errors.Is(err, colibri.ServerBusy) {
			t.Errorf("got %v, want ServerBusy", err)
		}
	}
	if c.Turned() != asked-4 {
		t.Errorf("%d were turned away, want %d", c.Turned(), asked-4)
	}
	cancel()
	for range 4 {
		if err := <-results; err == nil {
			t.Error("a client that has gone is let in")
		}
	}
	hasty := bind()
	hasty.Timeout = 50 * time.Millisecond
	if _, v, err := check(t, start(t, s, hasty), "alice", "hush"); v != auth.Pass || err == nil || !strings.Contains(err.Error(), "there was no answer in time") {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestTLS(t *testing.T) {
	implicit, starts := startServer(t, true, users...), startServer(t, false, users...)
	authority := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: implicit.tls.Certificates[0].Certificate[0]})))
	for _, test := range []struct {
		name, scheme string
		s            *server
		startTLS     bool
		ca           string
		want         string // part of the fault; empty: let in
	}{
		{"ldaps", "ldaps", implicit, false, authority, ""},
		{"StartTLS", "ldap", starts, true, authority, ""},
		{"ldaps of an unknown authority", "ldaps", implicit, false, "", "certificate"},
		{"StartTLS of an unknown authority", "ldap", starts, true, "", "certificate"},
	} {
		c := bind()
		c.URL, c.StartTLS, c.CAFile = &url.URL{Scheme: test.scheme, Host: test.s.Addr().String()}, test.startTLS, test.ca
		_, v, err := check(t, start(t, test.s, c), "alice", "hush")
		if test.want == "" && v != auth.Allow || test.want != "" && (v != auth.Pass || err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, %v, want %q", test.name, v, err, test.want)
		}
		if binds, _ := test.s.seen(); (binds == "") != (test.want != "") {
			t.Errorf("%s: the server saw binds as %q", test.name, binds)
		}
	}
	starts.set(func() { starts.tlsRefused = true })
	c := bind()
	c.StartTLS, c.CAFile = true, authority
	_, v, err := check(t, start(t, starts, c), "alice", "hush")
	if v != auth.Pass || err == nil || !strings.Contains(err.Error(), "TLS does not begin: it answers with the result 52") {
		t.Errorf("StartTLS refused: got %v, %v", v, err)
	}
	if binds, _ := starts.seen(); binds != "" {
		t.Errorf("StartTLS refused: the server saw binds as %q", binds)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{BindDN: "%u"}, "uid=%u,ou=people"},
		{Config{SearchBase: "people", SearchFilter: "(uid=%u)"}, "ou=people,dc=example"},
		{Config{SearchBase: "ou=a", SearchFilter: "uid=%u)("}, "is no LDAP filter"},
		{Config{BindDN: "uid=%u", CAFile: "/does/not/exist"}, "/does/not/exist cannot be read"},
		{Config{BindDN: "uid=%u", PasswordFile: "/does/not/exist"}, "/does/not/exist cannot be read"},
	} {
		test.config.URL, test.config.AtOnce = &url.URL{Scheme: "ldap", Host: "127.0.0.1:1"}, 1
		if _, err := New(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.config, err, test.want)
		}
	}
}

// FuzzEscape checks that a name stays one value, whatever it holds.
func FuzzEscape(f *testing.F) {
	f.Add("alice")
	f.Add("a,b=c+d\"e\\f<g>h;i #\x00")
	f.Add(" é ")
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return
		}
		dn, err := ldap.ParseDN("uid=" + escapeDN(name) + people)
		if err != nil || len(dn.RDNs) != 4 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Value != name {
			t.Errorf("%q became %q: %v", name, escapeDN(name), err)
		}
		if filter := ldap.EscapeFilter(name); strings.ContainsAny(filter, "()*\x00") {
			t.Errorf("%q became the filter %q", name, filter)
		}
	})
}
