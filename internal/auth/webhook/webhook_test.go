package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

// secrets are what must stand in no error: the Password, the token, and what is in the URL.
var secrets = []string{"hush", "bearer-of-news"}

// standard is a configuration that is far from its bounds.
func standard() Config {
	return Config{Timeout: 5 * time.Second, AtOnce: 10, Waiting: 10, CacheSize: 100, Faults: 1000, Pause: time.Minute}
}

// start returns a Checker that asks handler over TLS.
func start(t *testing.T, c Config, handler http.HandlerFunc) *Checker {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	directory := t.TempDir()
	c.CAFile, c.TokenFile = filepath.Join(directory, "ca"), filepath.Join(directory, "token")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := errors.Join(os.WriteFile(c.CAFile, certificate, 0o600), os.WriteFile(c.TokenFile, []byte("bearer-of-news\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	c.URL, _ = url.Parse(server.URL + "/hush?key=hush")
	c.URL.User = url.UserPassword("me", "hush")
	checker, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checker.server.Load().client.CloseIdleConnections() })
	return checker
}

func request() *broker.ConnectRequest {
	return &broker.ConnectRequest{Version: colibri.V5, ClientID: "c1", HasUserName: true, UserName: "alice", HasPassword: true, Password: []byte("hush"),
		RemoteAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 1234}}
}

// ask1 asks once and looks for secrets in the error.
func ask1(t *testing.T, c *Checker, r *broker.ConnectRequest) (auth.Verdict, error) {
	t.Helper()
	v, err := c.Check(t.Context(), r)
	for _, secret := range secrets {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	return v, err
}

func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		answer string
		want   auth.Verdict
		err    string // part of it; empty for none
		user   string
		rights *acl.Rules
	}{
		{"allow", 200, `{"result":"allow"}`, auth.Allow, "", "alice", nil},
		{"allow as another", 200, `{"result":"allow","username":"bob","publish":["%u/%c"],"more":1}`, auth.Allow, "", "bob", &acl.Rules{Source: "the HTTP server", Publish: []string{"bob/c1"}}},
		{"allow nothing", 200, `{"result":"allow","publish":[],"subscribe":[]}`, auth.Allow, "", "alice", &acl.Rules{Source: "the HTTP server"}},
		{"deny", 200, `{"result":"deny"}`, auth.Deny, "", "alice", nil},
		{"deny and say why", 200, `{"result":"deny","reason":"not on Sundays","username":"bob"}`, auth.Deny, "CONNECT: not on Sundays: Not authorized (0x87)", "alice", nil},
		{"deny and repeat the Password", 200, `{"result":"deny","reason":"hush is wrong"}`, auth.Deny, "", "alice", nil},
		{"deny and paint", 200, `{"result":"deny","reason":"\u001b[2K"}`, auth.Deny, "", "alice", nil},
		{"pass", 200, `{"result":"pass","username":"bob"}`, auth.Pass, "", "alice", nil},
		{"another result", 200, `{"result":"ALLOW"}`, auth.Pass, "its answer has no result of allow, deny or pass", "alice", nil},
		{"no result", 200, `{}`, auth.Pass, "no result", "alice", nil},
		{"no JSON", 200, `hush`, auth.Pass, "not the JSON that is documented", "alice", nil},
		{"two answers", 200, `{"result":"allow"}{"result":"deny"}`, auth.Pass, "not the JSON", "alice", nil},
		{"a wrong filter", 200, `{"result":"allow","publish":["hush#"]}`, auth.Pass, "what its answer permits cannot be used", "alice", nil},
		{"a wrong name", 200, `{"result":"allow","username":"a\u0000"}`, auth.Pass, "a username that is none of MQTT", "alice", nil},
		{"too long", 200, `{"result":"allow","reason":"` + strings.Repeat("x", maxAnswerBytes) + `"}`, auth.Pass, "more than 65536 bytes", "alice", nil},
		{"no content", 204, ``, auth.Pass, "the status 204", "alice", nil},
		{"elsewhere", 302, `{"result":"allow"}`, auth.Pass, "the status 302", "alice", nil},
		{"forbidden", 403, `{"result":"allow"}`, auth.Pass, "the status 403", "alice", nil},
		{"broken", 500, `{"result":"allow"}`, auth.Pass, "the status 500", "alice", nil},
	} {
		var asked atomic.Int64
		c := start(t, standard(), func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.status)
			io.WriteString(w, test.answer)
		})
		r := request()
		v, err := ask1(t, c, r)
		if v != test.want || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) || r.UserName != test.user {
			t.Errorf("%s: got %v, %v as %s, want %v, %q as %s", test.name, v, err, r.UserName, test.want, test.err, test.user)
		}
		if v == auth.Pass && err != nil && !errors.Is(err, colibri.ServerUnavailable) {
			t.Errorf("%s: got the code of %v, want ServerUnavailable", test.name, err)
		}
		rights, _ := r.Rights.(*acl.Rules)
		if diff := cmp.Diff(test.rights, rights); diff != "" {
			t.Errorf("%s: Rights: want (-), got (+):\n%s", test.name, diff)
		}
		if asked.Load() != 1 {
			t.Errorf("%s: the server was asked %d times", test.name, asked.Load())
		}
	}
}

// TestQuestion covers what the server is sent.
func TestQuestion(t *testing.T) {
	var got, header string
	c := start(t, standard(), func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, header = string(b), r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("Authorization")
		io.WriteString(w, `{"result":"allow"}`)
	})
	for _, test := range []struct {
		change func(*broker.ConnectRequest)
		want   string // empty: the server is not asked
		v      auth.Verdict
	}{
		{func(*broker.ConnectRequest) {}, `{"username":"alice","password":"hush","clientid":"c1","address":"10.0.0.7","protocol":"5.0","tls":false}`, auth.Allow},
		{func(r *broker.ConnectRequest) { r.Assigned, r.Version, r.UserName = true, colibri.V311, `"}` },
			`{"username":"\"}","password":"hush","clientid":"","address":"10.0.0.7","protocol":"3.1.1","tls":false}`, auth.Allow},
		{func(r *broker.ConnectRequest) {
			r.RemoteAddr = &net.UnixAddr{}
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
			r.TLS.VerifiedChains[0][0].Subject.CommonName = "device7"
		}, `{"username":"alice","password":"hush","clientid":"c1","address":"","protocol":"5.0","tls":true,"certificate":"device7"}`, auth.Allow},
		{func(r *broker.ConnectRequest) {
			r.HasUserName, r.HasPassword, r.UserName, r.Password = false, false, "", nil
		}, "", auth.Pass},
		{func(r *broker.ConnectRequest) { r.Password = []byte("hush\xff") }, "", auth.Deny},
	} {
		got = ""
		r := request()
		test.change(r)
		if v, err := ask1(t, c, r); v != test.v {
			t.Errorf("%s: got %v, %v", test.want, v, err)
		}
		if got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	if want := "POST /hush?key=hush application/json Bearer bearer-of-news"; header != want {
		t.Errorf("got the header %q, want %q", header, want)
	}
}

// TestFiles covers what stands in files, and their being read again.
func TestFiles(t *testing.T) {
	var header atomic.Value
	c := start(t, standard(), func(w http.ResponseWriter, r *http.Request) {
		header.Store(r.Header.Get("Authorization"))
		io.WriteString(w, `{"result":"allow"}`)
	})
	for _, test := range []struct{ path, content, want string }{
		{c.config.TokenFile, "two words hush", "holds no token"},
		{c.config.TokenFile, "", "holds no token"},
		{c.config.CAFile, "hush", "holds no certificate"},
	} {
		before, _ := os.ReadFile(test.path)
		os.WriteFile(test.path, []byte(test.content), 0o600)
		if err := c.Load(); err == nil || !strings.Contains(err.Error(), test.path+" "+test.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: got %v, want %q", test.content, err, test.want)
		}
		if v, err := ask1(t, c, request()); v != auth.Allow || header.Load() != "Bearer bearer-of-news" {
			t.Errorf("%q: after a wrong file: got %v, %v and %v", test.content, v, err, header.Load())
		}
		os.WriteFile(test.path, before, 0o600)
	}
	os.WriteFile(c.config.TokenFile, []byte("news\n"), 0o600)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if v, _ := ask1(t, c, request()); v != auth.Allow || header.Load() != "Bearer news" {
		t.Errorf("after another token: got %v and %v", v, header.Load())
	}
	distrust := c.config
	distrust.CAFile = ""
	other, err := New(distrust)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := ask1(t, other, request()); v != auth.Pass || err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server of an unknown authority: got %v, %v", v, err)
	}
}

// TestConnectionsAreReused covers keep-alive.
func TestConnectionsAreReused(t *testing.T) {
	seen := map[string]bool{}
	c := start(t, standard(), func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		io.WriteString(w, `{"result":"allow"}`)
	})
	for range 5 {
		ask1(t, c, request())
	}
	if len(seen) != 1 {
		t.Errorf("5 questions took %d connections, want 1", len(seen))
	}
}

// fake is a server without a network.
type fake func(r *http.Request) (status int, answer string, err error)

func (f fake) RoundTrip(r *http.Request) (*http.Response, error) {
	status, answer, err := f(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

// with returns a Checker that asks f.
func with(t *testing.T, c Config, f fake) *Checker {
	t.Helper()
	c.URL = &url.URL{Scheme: "https", Host: "who.example", Path: "/hush", User: url.UserPassword("me", "hush")}
	checker, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	checker.server.Store(&server{client: &http.Client{Transport: f}})
	return checker
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := standard()
		config.CacheTime, config.CacheSize = 30*time.Second, 100
		asked := 0
		c := with(t, config, func(r *http.Request) (int, string, error) {
			asked++
			b, _ := io.ReadAll(r.Body)
			if bytes.Contains(b, []byte("wrong")) {
				return 200, `{"result":"deny"}`, nil
			}
			return 200, `{"result":"allow","publish":["%c"]}`, nil
		})
		expect := func(what string, change func(*broker.ConnectRequest), v auth.Verdict, want int) {
			t.Helper()
			r := request()
			change(r)
			if got, err := ask1(t, c, r); got != v || asked != want {
				t.Errorf("%s: got %v, %v after %d questions, want %v after %d", what, got, err, asked, v, want)
			}
			if rights, ok := r.Rights.(*acl.Rules); ok && (len(rights.Publish) != 1 || rights.Publish[0] != r.ClientID) {
				t.Errorf("%s: got the Rights %v of another client", what, rights)
			}
		}
		same := func(*broker.ConnectRequest) {}
		wrong := func(r *broker.ConnectRequest) { r.Password = []byte("wrong") }
		expect("first", same, auth.Allow, 1)
		expect("the same", same, auth.Allow, 1)
		expect("another port", func(r *broker.ConnectRequest) { r.RemoteAddr.(*net.TCPAddr).Port++ }, auth.Allow, 1)
		expect("a wrong Password", wrong, auth.Deny, 2)
		expect("a wrong Password again", wrong, auth.Deny, 2)
		expect("another client", func(r *broker.ConnectRequest) { r.ClientID = "c2" }, auth.Allow, 3)
		expect("an assigned name", func(r *broker.ConnectRequest) { r.ClientID, r.Assigned = "auto-1", true }, auth.Allow, 4)
		expect("another assigned name", func(r *broker.ConnectRequest) { r.ClientID, r.Assigned = "auto-2", true }, auth.Allow, 4)
		expect("one field is not the next", func(r *broker.ConnectRequest) { r.UserName, r.Password = "alicehush", nil }, auth.Allow, 5)
		time.Sleep(30 * time.Second)
		expect("later", same, auth.Allow, 6)
		for n := range 500 {
			expect("many", func(r *broker.ConnectRequest) { r.ClientID = fmt.Sprint(n, "of many") }, auth.Allow, 7+n)
			if len(c.cache.answers) > 100 {
				t.Fatalf("the cache holds %d answers, want 100 at most", len(c.cache.answers))
			}
		}
		if text := fmt.Sprint(c.cache.answers); strings.Contains(text, "hush") {
			t.Error("the cache holds a Password")
		}
	})
	if a, b := newCache(1, 1), newCache(1, 1); a.sum(nil) == b.sum(nil) {
		t.Error("two caches have the same key")
	}
	synctest.Test(t, func(t *testing.T) { // faults are not kept
		config := standard()
		config.CacheTime = time.Hour
		asked := 0
		c := with(t, config, func(*http.Request) (int, string, error) { asked++; return 500, "", nil })
		ask1(t, c, request())
		ask1(t, c, request())
		if asked != 2 {
			t.Errorf("asked %d times, want 2", asked)
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := standard()
		config.Faults, config.Pause = 3, 10*time.Second
		asked, status := 0, 500
		c := with(t, config, func(r *http.Request) (int, string, error) {
			asked++
			switch status {
			case 0:
				return 0, "", errors.New("connection refused")
			case 1:
				<-r.Context().Done()
				return 0, "", r.Context().Err()
			}
			return status, `{"result":"allow"}`, nil
		})
		expect := func(what string, v auth.Verdict, want int) {
			t.Helper()
			if got, err := ask1(t, c, request()); got != v || asked != want {
				t.Errorf("%s: got %v, %v after %d questions, want %v after %d", what, got, err, asked, v, want)
			}
		}
		expect("a fault", auth.Pass, 1)
		status = 0
		expect("another", auth.Pass, 2)
		status = 200
		expect("an answer begins anew", auth.Allow, 3)
		status = 1
		expect("a fault", auth.Pass, 4)
		expect("another", auth.Pass, 5)
		status = 403
		expect("no fault of the server", auth.Pass, 6)
		status = 1
		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if v, err := c.Check(gone, request()); v != auth.Pass || err == nil || asked != 7 {
			t.Errorf("a client that goes: got %v, %v after %d questions", v, err, asked)
		}
		expect("the third", auth.Pass, 8)
		began := time.Now()
		for range 10 {
			expect("left alone", auth.Pass, 8)
		}
		if time.Since(began) != 0 {
			t.Errorf("a server that is left alone took %v", time.Since(began))
		}
		time.Sleep(10 * time.Second)
		done := make(chan bool)
		go func() {
			c.Check(context.Background(), request())
			done <- true
		}()
		synctest.Wait()
		expect("one finds out, the others do not wait", auth.Pass, 9)
		<-done
		expect("it was in vain", auth.Pass, 9)
		time.Sleep(10 * time.Second)
		status = 200
		expect("it is back", auth.Allow, 10)
		expect("for everybody", auth.Allow, 11)
	})
}

// TestBounds covers a server that never answers: it costs places, time and nothing else.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := standard()
		config.AtOnce, config.Waiting, config.Faults = 2, 3, 1000
		var open, most atomic.Int64
		c := with(t, config, func(r *http.Request) (int, string, error) {
			most.Store(max(most.Load(), open.Add(1)))
			<-r.Context().Done()
			open.Add(-1)
			return 0, "", r.Context().Err()
		})
		began := time.Now()
		results := make(chan error)
		for n := range 10 {
			go func() {
				r := request()
				r.ClientID = fmt.Sprint(n)
				_, err := c.Check(context.Background(), r)
				results <- err
			}()
		}
		busy, late := 0, 0
		for range 10 {
			switch err := <-results; {
			case errors.Is(err, colibri.ServerBusy):
				busy++
			case errors.Is(err, colibri.ServerUnavailable):
				late++
			default:
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(began); took != config.Timeout || most.Load() != 2 || busy < 5 || late < 2 || c.Turned() != 5 {
			t.Errorf("took %v, %d at once, %d busy, %d late, %d turned away; want %v, 2, 5 or more, 2 or more, 5", took, most.Load(), busy, late, c.Turned(), config.Timeout)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"result":"allow","username":"a","publish":["a"],"subscribe":["#"]}`))
	f.Add([]byte(`{"result":"deny","reason":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parse(b)
		if err == nil && !json.Valid(b) {
			t.Fatal("took what is no JSON")
		}
		if err != nil {
			return
		}
		c := &Checker{place: "https://x"}
		r := request()
		v, err := c.admit(r, a)
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Fatalf("the error holds the Password: %v", err)
		}
		if v != auth.Allow && (r.UserName != "alice" || r.Rights != nil) {
			t.Fatalf("%v changes the request", v)
		}
	})
}
