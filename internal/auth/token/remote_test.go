package token

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

// issuer is a key server without a network. Only one goroutine changes it at a time.
type issuer struct {
	keys   atomic.Pointer[[]byte] // nil: it is down
	pause  time.Duration
	asked  atomic.Int64
	status int
}

func (s *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	timer := time.NewTimer(s.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	keys := s.keys.Load()
	if keys == nil {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: max(s.status, 200), Body: io.NopCloser(strings.NewReader(string(*keys))), Request: r}, nil
}

// set makes the keys what it publishes.
func (s *issuer) set(keys []byte) { s.keys.Store(&keys) }

func newRemote(t *testing.T, s http.RoundTripper, report func(error)) *Checker {
	t.Helper()
	u, err := url.Parse("https://me:hush@keys.example/path?key=hush")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeys(Files{}, NewRemote(u, time.Hour, &http.Client{Transport: s}, report))
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Keys: keys, UserClaim: "sub", Leeway: 1000 * time.Hour})
}

func TestRemote(t *testing.T) {
	i := issuers()
	synctest.Test(t, func(t *testing.T) {
		s := &issuer{pause: time.Second}
		var reported []string
		c := newRemote(t, s, func(err error) {
			if err == nil {
				reported = append(reported, "good")
			} else {
				reported = append(reported, err.Error())
			}
		})
		signed := func(kid string) string {
			return sign(t, jwt.SigningMethodRS256, i.rsa, good(), map[string]any{"kid": kid})
		}
		const away = auth.Verdict(99) // the key cannot be had
		expect := func(what, token string, want auth.Verdict, asked int64) {
			t.Helper()
			_, v, err := check(t, c, token)
			unavailable := want == away
			if unavailable {
				want = auth.Deny // and no password for others to compare
			}
			if v != want || unavailable != errors.Is(err, colibri.ServerUnavailable) {
				t.Errorf("%s: got %v, %v, want %v", what, v, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: the error holds a secret of the URL: %v", what, err)
			}
			synctest.Wait()
			if got := s.asked.Load(); got != asked {
				t.Errorf("%s: the server was asked %d times, want %d", what, got, asked)
			}
		}
		expect("down from the start", signed("a"), away, 1)
		expect("down, at once again", signed("a"), away, 1)
		s.set(set(jwkRSA(&i.rsa.PublicKey, "kid", "a")))
		time.Sleep(fetchPause)
		expect("up", signed("a"), auth.Allow, 2)
		expect("cached", signed("a"), auth.Allow, 2)
		expect("an unknown key, too soon", signed("b"), auth.Deny, 2)
		time.Sleep(fetchPause)
		expect("an unknown key", signed("b"), auth.Deny, 3)
		expect("unknown keys do not ask again", signed("c"), auth.Deny, 3)
		s.set(set(jwkRSA(&i.rsa.PublicKey, "kid", "b")))
		time.Sleep(fetchPause)
		expect("a new key", signed("b"), auth.Allow, 4)
		expect("the old key", signed("a"), auth.Deny, 4)
		s.keys.Store(nil)
		time.Sleep(2 * time.Hour)
		expect("stale, down", signed("b"), auth.Allow, 5)
		time.Sleep(fetchPause)
		expect("stale, still down", signed("b"), auth.Allow, 6)
		time.Sleep(2 * s.pause)
		s.set(set(jwkRSA(&i.rsa.PublicKey, "kid", "b")))
		time.Sleep(fetchPause)
		expect("stale, up", signed("b"), auth.Allow, 7)
		time.Sleep(fetchPause)
		synctest.Wait()
		if got, want := strings.Join(reported, "; "), "https://keys.example cannot be asked: connection refused; good; https://keys.example cannot be asked: connection refused; good"; got != want {
			t.Errorf("reported: got %s\nwant %s", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &issuer{pause: time.Hour}
		c := newRemote(t, s, nil)
		began := time.Now()
		done := make(chan error, 50)
		for range cap(done) {
			go func() {
				_, _, err := check(t, c, sign(t, jwt.SigningMethodRS256, i.rsa, good(), nil))
				done <- err
			}()
		}
		for range cap(done) {
			if err := <-done; !errors.Is(err, colibri.ServerUnavailable) || !strings.Contains(err.Error(), "no answer in time") {
				t.Errorf("a server that does not answer: got %v", err)
			}
		}
		if took := time.Since(began); took != fetchTime || s.asked.Load() != 1 {
			t.Errorf("it took %v and %d questions, want %v and 1", took, s.asked.Load(), fetchTime)
		}
	})
}

// TestRemoteAnswers covers answers that are no keys, over a real connection.
func TestRemoteAnswers(t *testing.T) {
	i := issuers()
	keys := set(jwkRSA(&i.rsa.PublicKey, "kid", "a"))
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
		want   string // empty: the token is believed
	}{
		{"right", func(w http.ResponseWriter, r *http.Request) { w.Write(keys) }, ""},
		{"away", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, "it answers with the status 500 instead of its keys"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/other" {
				w.Write(keys)
				return
			}
			http.Redirect(w, r, "/other", http.StatusFound)
		}, "the status 302"},
		{"no JSON", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }, "of what it answers, it is not JSON"},
		{"secrets", func(w http.ResponseWriter, r *http.Request) {
			w.Write(set(map[string]any{"kty": "oct", "k": b64(i.secret)}))
		}, "nobody may publish"},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "its keys have too many bytes"},
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(test.answer))
		defer server.Close()
		u, _ := url.Parse(server.URL)
		trust := server.Client().Transport.(*http.Transport).TLSClientConfig
		k, err := NewKeys(Files{}, NewRemote(u, time.Hour, auth.HTTPClient(trust, 1), nil))
		if err != nil {
			t.Fatal(err)
		}
		_, v, err := check(t, New(Config{Keys: k, UserClaim: "sub"}), sign(t, jwt.SigningMethodRS256, i.rsa, good(), nil))
		if test.want == "" && v != auth.Allow || test.want != "" && (v != auth.Deny || !errors.Is(err, colibri.ServerUnavailable) || err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, %v, want %q", test.name, v, err, test.want)
		}
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	u, _ := url.Parse(server.URL)
	system, _ := auth.ClientTLS("")
	k, _ := NewKeys(Files{}, NewRemote(u, time.Hour, auth.HTTPClient(system, 1), nil))
	if _, _, err := check(t, New(Config{Keys: k}), sign(t, jwt.SigningMethodRS256, i.rsa, good(), nil)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that cannot be trusted: got %v", err)
	}
}
