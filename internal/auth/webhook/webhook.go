// Package webhook asks an HTTP server who a client is.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

// Config says whom to ask, and how. All numbers are above 0 where nothing else is said.
type Config struct {
	URL       *url.URL
	CAFile    string // the authority of the server's certificate; empty for those of the system
	TokenFile string // sent as "Authorization: Bearer"; empty for none

	Timeout   time.Duration // of one question, with the time it waits for its turn
	AtOnce    int           // questions at once
	Waiting   int           // that wait beside; at least 0
	CacheTime time.Duration // how long an answer is kept; 0 for not at all
	CacheSize int           // answers kept
	Faults    int           // one after the other, after which the server is left alone: see breaker
	Pause     time.Duration // for so long
}

// Checker asks the server. It is an auth.Checker.
type Checker struct {
	config  Config
	place   string
	bound   *auth.Bound
	cache   *cache // nil without
	breaker *breaker
	server  atomic.Pointer[server]
}

// server is how the server is reached, which stands in files.
type server struct {
	client *http.Client
	bearer string // empty for none
}

// New returns a Checker, after it has read the files.
func New(c Config) (*Checker, error) {
	checker := &Checker{config: c, place: auth.Place(c.URL), bound: auth.NewBound(c.AtOnce, c.Waiting),
		breaker: newBreaker(c.Faults, c.Pause)}
	if c.CacheTime > 0 {
		checker.cache = newCache(c.CacheTime, c.CacheSize)
	}
	return checker, checker.Load()
}

// Load reads the files again. With an error, which names the file, nothing has changed.
func (c *Checker) Load() error {
	trust, err := auth.ClientTLS(c.config.CAFile)
	if err != nil {
		return err
	}
	s := &server{client: auth.HTTPClient(trust, c.config.AtOnce)}
	if path := c.config.TokenFile; path != "" {
		b, err := auth.ReadFile(path)
		if err != nil {
			return err
		}
		s.bearer = strings.TrimSpace(string(b))
		if s.bearer == "" || strings.ContainsFunc(s.bearer, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("%s holds no token; it should be one line of ASCII without spaces", path)
		}
	}
	if old := c.server.Swap(s); old != nil {
		old.client.CloseIdleConnections()
	}
	return nil
}

// Name is auth.Checker's.
func (*Checker) Name() string { return "http" }

// Turned returns how many questions were not asked because too many waited.
func (c *Checker) Turned() uint64 { return c.bound.Turned() }

// question is what the server is asked: the body of a POST, as JSON.
type question struct {
	UserName string `json:"username"`
	Password string `json:"password"`
	ClientID string `json:"clientid"` // empty when the client has chosen none
	Address  string `json:"address"`  // without its port
	Protocol string `json:"protocol"` // 3.1, 3.1.1 or 5.0
	TLS      bool   `json:"tls"`
	CertName string `json:"certificate,omitempty"` // the Common Name of a verified client certificate
}

// answer is what the server says, as JSON.
type answer struct {
	Result    string   `json:"result"`
	UserName  *string  `json:"username"`
	Reason    string   `json:"reason"`
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
}

// Check asks about a client with a User Name or a Password, unless the answer is cached.
func (c *Checker) Check(ctx context.Context, r *broker.ConnectRequest) (auth.Verdict, error) {
	if !r.HasUserName && !r.HasPassword {
		return auth.Pass, nil
	}
	if !utf8.Valid(r.Password) {
		return refuse("the Password is not UTF-8, which this Server requires")
	}
	body, err := json.Marshal(ask(r))
	if err != nil {
		return auth.Pass, auth.Unavailable(c.place, "the question cannot be written")
	}
	if a := c.cache.get(body); a != nil {
		return c.admit(r, a)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	if err := c.bound.Enter(ctx); err != nil {
		return auth.Pass, err
	}
	defer c.bound.Leave()
	who := asker{auth.Prefix(r.RemoteAddr), r.UserName}
	ticket, ok := c.breaker.enter(time.Now(), who)
	if !ok {
		return auth.Pass, auth.Unavailable(c.place, "it has failed too often, and is left alone for a while")
	}
	a, blame, err := c.post(ctx, body)
	c.breaker.leave(time.Now(), who, ticket, blame)
	if err != nil {
		return auth.Pass, err
	}
	c.cache.put(body, a)
	return c.admit(r, a)
}

// ask returns the question about r.
func ask(r *broker.ConnectRequest) *question {
	q := &question{UserName: r.UserName, Password: string(r.Password), ClientID: r.ClientID, Protocol: r.Version.String(), TLS: r.TLS != nil || r.ProxiedTLS != nil}
	if r.Assigned {
		q.ClientID = ""
	}
	if r.RemoteAddr != nil {
		if host, _, err := net.SplitHostPort(r.RemoteAddr.String()); err == nil {
			q.Address = host
		}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		q.CertName = r.TLS.VerifiedChains[0][0].Subject.CommonName
	} else if r.TLS == nil && r.ProxiedTLS != nil {
		q.CertName = r.ProxiedTLS.CommonName
	}
	return q
}

// maxAnswerBytes is how long an answer may be.
const maxAnswerBytes = 64 << 10

// blame says what a question shows of the server.
type blame int

const (
	works     blame = iota // it answers
	fails                  // it does not, perhaps because of the question
	unreached              // the question has not even got there
	nobody                 // nothing: the client has gone, or the question was at fault
)

// post asks the server. The error is of type *auth.Fault.
func (c *Checker) post(ctx context.Context, body []byte) (*answer, blame, error) {
	s := c.server.Load()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nobody, auth.Unavailable(c.place, "its URL cannot be used")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if s.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	var reached atomic.Bool
	request = request.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached.Store(true) }}))
	response, err := s.client.Do(request)
	switch {
	case err != nil && !reached.Load() && ctx.Err() != context.Canceled:
		return nil, unreached, auth.Unavailable(c.place, auth.Cause(err))
	case err != nil:
		return nil, blameOf(ctx), auth.Unavailable(c.place, auth.Cause(err))
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, blameOf(ctx), auth.Unavailable(c.place, auth.Cause(err))
	case response.StatusCode >= 400 && response.StatusCode < 500: // what one client sends must not stop the others
		return nil, nobody, auth.Unavailable(c.place, fmt.Sprintf("it answers with the status %d", response.StatusCode))
	case response.StatusCode != http.StatusOK:
		return nil, fails, auth.Unavailable(c.place, fmt.Sprintf("it answers with the status %d", response.StatusCode))
	case len(b) > maxAnswerBytes:
		return nil, fails, auth.Unavailable(c.place, fmt.Sprintf("its answer has more than %d bytes", maxAnswerBytes))
	}
	a, err := parse(b)
	if err != nil {
		return nil, fails, auth.Unavailable(c.place, err.Error())
	}
	return a, works, nil
}

// blameOf says whether the server or nobody is to blame for a question without an answer.
func blameOf(ctx context.Context) blame {
	if ctx.Err() == context.Canceled {
		return nobody
	}
	return fails
}

// parse reads an answer.
func parse(b []byte) (*answer, error) {
	a := &answer{}
	if json.Unmarshal(b, a) != nil {
		return nil, errors.New("its answer is not the JSON that is documented")
	}
	switch a.Result {
	case "allow", "deny", "pass":
	default:
		return nil, errors.New("its answer has no result of allow, deny or pass")
	}
	if a.UserName != nil && (len(*a.UserName) > 65_535 || strings.ContainsRune(*a.UserName, 0)) {
		return nil, errors.New("its answer has a username that is none of MQTT")
	}
	return a, nil
}

// maxReasonBytes is how much of a reason a client is told.
const maxReasonBytes = 200

// admit takes what the server has said into r.
func (c *Checker) admit(r *broker.ConnectRequest, a *answer) (auth.Verdict, error) {
	switch a.Result {
	case "pass":
		return auth.Pass, nil
	case "deny":
		reason := strings.ToValidUTF8(a.Reason, "")
		if secret := string(r.Password); reason == "" || secret != "" && strings.Contains(reason, secret) || strings.ContainsFunc(reason, unicode.IsControl) {
			return auth.Deny, nil // the usual words
		}
		return refuse(strings.ToValidUTF8(reason[:min(len(reason), maxReasonBytes)], ""))
	}
	userName, hasUserName := r.UserName, r.HasUserName
	if a.UserName != nil {
		userName, hasUserName = *a.UserName, *a.UserName != ""
	}
	rights, err := auth.NewRights("the HTTP server", a.Publish, a.Subscribe, userName, r.ClientID)
	if err != nil {
		return auth.Pass, auth.Unavailable(c.place, "what its answer permits cannot be used: "+err.Error())
	}
	r.UserName, r.HasUserName = userName, hasUserName
	if rights != nil {
		r.Rights = rights
	}
	return auth.Allow, nil
}

// refuse denies with a reason that the client may read.
func refuse(reason string) (auth.Verdict, error) {
	return auth.Deny, &colibri.Error{Op: "CONNECT", Code: colibri.NotAuthorized, Err: errors.New(reason)}
}
