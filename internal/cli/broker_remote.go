package cli

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/auth/directory"
	"github.com/colibri-mqtt/colibri/internal/auth/token"
	"github.com/colibri-mqtt/colibri/internal/auth/webhook"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// askers are those who know clients, for all listeners.
type askers struct {
	byName  map[string]auth.Checker // by the words of colibri_auth_order
	reloads []reloaded
	secrets []string // files that nobody else should read
	close   []func()
}

// newAskers makes the checkers that c asks for: of tokens, by HTTP and in a directory. report is
// called when the keys of a URL cannot be had any more, and with nil when they can again. An
// error says in a sentence what is wrong.
func newAskers(c *config.Remote, report func(error)) (*askers, error) {
	a := &askers{byName: make(map[string]auth.Checker)}
	for _, add := range []func(*config.Remote) error{
		func(c *config.Remote) error { return a.addToken(&c.Token, report) },
		func(c *config.Remote) error { return a.addHTTP(&c.HTTP) },
		func(c *config.Remote) error { return a.addDirectory(&c.LDAP) },
	} {
		if err := add(c); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// add takes a checker, with what it reads from files.
func (a *askers) add(checker auth.Checker, what string, load func() error, files ...string) {
	a.byName[checker.Name()] = checker
	files = slices.DeleteFunc(files, func(path string) bool { return path == "" })
	if len(files) > 0 {
		a.reloads = append(a.reloads, reloaded{what: what, files: files, load: load})
	}
}

// secret remembers files that hold what nobody else should know.
func (a *askers) secret(paths ...string) {
	for _, path := range paths {
		if path != "" {
			a.secrets = append(a.secrets, path)
		}
	}
}

func (a *askers) addToken(c *config.Token, report func(error)) error {
	if c.Key == "" && c.Secret == "" && c.JWKS == "" {
		return nil
	}
	files := token.Files{Public: c.Key, Secret: c.Secret, JWKS: c.JWKS}
	var remote *token.Remote
	if config.IsURL(c.JWKS) {
		files.JWKS = ""
		u, err := url.Parse(c.JWKS)
		if err != nil {
			return fmt.Errorf("colibri_jwt_jwks is no URL")
		}
		trust, err := auth.ClientTLS(c.CAFile)
		if err != nil {
			return fmt.Errorf("colibri_jwt_cafile: %w", err)
		}
		remote = token.NewRemote(u, c.Refresh, auth.HTTPClient(trust, 1), report)
	}
	keys, err := token.NewKeys(files, remote)
	if err != nil {
		return fmt.Errorf("the keys of tokens: %w", err)
	}
	a.add(token.New(token.Config{
		Keys: keys, InUserName: c.InUserName, Issuer: c.Issuer, Audience: c.Audience,
		UserClaim: c.UserClaim, ClientClaim: c.ClientClaim, PublishClaim: c.PublishClaim, SubscribeClaim: c.SubscribeClaim,
		Leeway: c.Leeway, Forever: !c.RequireExp,
	}), "the keys of tokens", keys.Load, files.Public, files.Secret, files.JWKS)
	a.secret(files.Secret)
	return nil
}

func (a *askers) addHTTP(c *config.HTTP) error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("colibri_http_auth is no URL")
	}
	checker, err := webhook.New(webhook.Config{
		URL: u, CAFile: c.CAFile, TokenFile: c.TokenFile, Timeout: c.Timeout, AtOnce: c.AtOnce, Waiting: c.Waiting,
		CacheTime: c.CacheTime, CacheSize: c.CacheSize, Faults: c.Faults, Pause: c.Pause,
	})
	if err != nil {
		return fmt.Errorf("colibri_http_auth: %w", err)
	}
	a.add(checker, "the files for colibri_http_auth", checker.Load, c.CAFile, c.TokenFile)
	a.secret(c.TokenFile)
	return nil
}

func (a *askers) addDirectory(c *config.LDAP) error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("colibri_ldap_url is no URL")
	}
	checker, err := directory.New(directory.Config{
		URL: u, StartTLS: c.StartTLS, CAFile: c.CAFile, BindDN: c.BindDN,
		SearchBase: c.SearchBase, SearchFilter: c.SearchFilter, SearchDN: c.SearchDN, PasswordFile: c.PasswordFile,
		UserAttribute: c.UserAttribute, Timeout: c.Timeout, AtOnce: c.AtOnce, Waiting: c.Waiting,
	})
	if err != nil {
		return fmt.Errorf("colibri_ldap_url: %w", err)
	}
	a.add(checker, "the files for colibri_ldap_url", checker.Load, c.CAFile, c.PasswordFile)
	a.secret(c.PasswordFile)
	a.close = append(a.close, checker.Close)
	return nil
}

// openAskers makes those whom all listeners ask.
func (s *brokerServer) openAskers() error {
	a, err := newAskers(&s.config.Remote, func(err error) {
		if err != nil {
			s.log.printf(logWarning, "The keys of tokens cannot be had: %s. Those that were there before hold on.", shown(err.Error()))
		} else {
			s.log.printf(logNotice, "The keys of tokens are there.")
		}
	})
	if err != nil {
		return err
	}
	for _, path := range a.secrets {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o007 != 0 {
			s.log.printf(logWarning, "%s holds a secret, and every user of this machine may read it: 'chmod 640' takes that away.", shown(path))
		}
	}
	s.askers = a
	s.reloads = append(s.reloads, a.reloads...)
	return nil
}

// end closes the connections that nobody uses.
func (a *askers) end() {
	for _, close := range a.close {
		close()
	}
}

// inOrder returns the checkers as colibri_auth_order says.
func inOrder(order []string, byName map[string]auth.Checker) (checkers []auth.Checker) {
	for _, name := range order {
		if checker := byName[name]; checker != nil {
			checkers = append(checkers, checker)
		}
	}
	return checkers
}

// whomKnown says who may connect where checkers are asked.
func whomKnown(chain *auth.Chain) string {
	var names []string
	for _, checker := range chain.Checkers {
		names = append(names, checker.Name())
	}
	text := "whom " + strings.Join(names, ", ") + " lets in"
	if chain.Anonymous {
		text += ", and anyone without a User Name"
	}
	return text
}
