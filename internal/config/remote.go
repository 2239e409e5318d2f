package config

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Remote are the options about those that the broker asks who a client is, beside its own files.
type Remote struct {
	Order []string // whom to ask one after the other: all words of authOrder
	Token Token
	HTTP  HTTP
	LDAP  LDAP
}

// Token is about JSON Web Tokens. Without Key, Secret and JWKS none is believed.
type Token struct {
	Key, Secret string // files; empty for none
	JWKS        string // a file or a URL of http or https; empty for none
	CAFile      string // of the authority that has signed the certificate of JWKS
	Refresh     time.Duration
	InUserName  bool // a token is the User Name, not the Password

	Issuer, Audience             string // empty for any
	UserClaim, ClientClaim       string // ClientClaim may be empty
	PublishClaim, SubscribeClaim string // empty for none
	Leeway                       time.Duration
	RequireExp                   bool
}

// HTTP is about a server that is asked with HTTP.
type HTTP struct {
	URL               string // empty for none
	CAFile, TokenFile string // empty for none
	Timeout           time.Duration
	AtOnce, Waiting   int
	CacheTime         time.Duration // 0: nothing is kept
	CacheSize         int
	Faults            int // after which the server is left alone for Pause
	Pause             time.Duration
}

// LDAP is about a directory.
type LDAP struct {
	URL      string // empty for none
	StartTLS bool
	CAFile   string

	BindDN                                           string // of a user; empty when users are searched for
	SearchBase, SearchFilter, SearchDN, PasswordFile string
	UserAttribute                                    string

	Timeout         time.Duration
	AtOnce, Waiting int
}

// authOrder are the words of colibri_auth_order, in the usual order: what sees at once that it
// is not meant stands before what compares a dear hash to hide whom it knows.
var authOrder = words("certificate jwt password http ldap")

// defaultRemote is what holds when no file says anything.
func defaultRemote() Remote {
	return Remote{
		Order: authOrder,
		Token: Token{Refresh: time.Hour, UserClaim: "sub", Leeway: 10 * time.Second, RequireExp: true},
		HTTP: HTTP{Timeout: 5 * time.Second, AtOnce: 16, Waiting: 1000, CacheTime: 30 * time.Second, CacheSize: 10_000,
			Faults: 5, Pause: 10 * time.Second},
		LDAP: LDAP{Timeout: 5 * time.Second, AtOnce: 8, Waiting: 1000},
	}
}

// remoteOptions returns the rows of the table for Remote.
func remoteOptions() []option {
	line := func(name string, field func(*Remote) *string) option {
		return option{names: words(name), set: func(r *reader, v value) error {
			*field(&r.config.Remote) = v.text
			return nil
		}}
	}
	yes := func(name, standard string, field func(*Remote) *bool) option {
		return option{names: words(name), kind: boolean, standard: standard, set: func(r *reader, v value) error {
			*field(&r.config.Remote) = v.yes
			return nil
		}}
	}
	count := func(name, standard string, min, max int, field func(*Remote) *int) option {
		return option{names: words(name), kind: number, min: min, max: max, standard: standard, set: func(r *reader, v value) error {
			*field(&r.config.Remote) = v.number
			return nil
		}}
	}
	seconds := func(name, standard string, min int, field func(*Remote) *time.Duration) option {
		return option{names: words(name), kind: number, min: min, max: 86_400, standard: standard, set: func(r *reader, v value) error {
			*field(&r.config.Remote) = time.Duration(v.number) * time.Second
			return nil
		}}
	}
	place := func(name string, schemes string, field func(*Remote) *string) option {
		return option{names: words(name), set: func(r *reader, v value) error {
			*field(&r.config.Remote) = v.text
			return r.checkURL(v.text, words(schemes))
		}}
	}
	rows := []option{
		{names: words("colibri_auth_order"), standard: strings.Join(authOrder, " "), set: (*reader).authOrder},

		line("colibri_jwt_key", func(r *Remote) *string { return &r.Token.Key }),
		line("colibri_jwt_secret", func(r *Remote) *string { return &r.Token.Secret }),
		{names: words("colibri_jwt_jwks"), set: func(r *reader, v value) error {
			r.config.Remote.Token.JWKS = v.text
			if !IsURL(v.text) {
				return nil
			}
			if err := r.checkURL(v.text, words("https http")); err != nil {
				return err
			}
			if u, _ := url.Parse(v.text); u.Scheme == "http" && !loopback(u) {
				return r.errorf("the keys of '%s' decide who gets in, and http lets anybody on the way change them; write an https URL", r.key)
			}
			return nil
		}},
		seconds("colibri_jwt_jwks_refresh", "3600", 60, func(r *Remote) *time.Duration { return &r.Token.Refresh }),
		line("colibri_jwt_cafile", func(r *Remote) *string { return &r.Token.CAFile }),
		{names: words("colibri_jwt_in"), standard: "password", set: func(r *reader, v value) error {
			var in string
			err := r.oneOf(v.text, words("password username"), &in)
			r.config.Remote.Token.InUserName = in == "username"
			return err
		}},
		line("colibri_jwt_issuer", func(r *Remote) *string { return &r.Token.Issuer }),
		line("colibri_jwt_audience", func(r *Remote) *string { return &r.Token.Audience }),
		line("colibri_jwt_user_claim", func(r *Remote) *string { return &r.Token.UserClaim }),
		line("colibri_jwt_client_claim", func(r *Remote) *string { return &r.Token.ClientClaim }),
		line("colibri_jwt_publish_claim", func(r *Remote) *string { return &r.Token.PublishClaim }),
		line("colibri_jwt_subscribe_claim", func(r *Remote) *string { return &r.Token.SubscribeClaim }),
		seconds("colibri_jwt_leeway", "10", 0, func(r *Remote) *time.Duration { return &r.Token.Leeway }),
		yes("colibri_jwt_require_exp", "true", func(r *Remote) *bool { return &r.Token.RequireExp }),

		place("colibri_http_auth", "https http", func(r *Remote) *string { return &r.HTTP.URL }),
		line("colibri_http_cafile", func(r *Remote) *string { return &r.HTTP.CAFile }),
		line("colibri_http_token_file", func(r *Remote) *string { return &r.HTTP.TokenFile }),
		seconds("colibri_http_timeout", "5", 1, func(r *Remote) *time.Duration { return &r.HTTP.Timeout }),
		count("colibri_http_at_once", "16", 1, 10_000, func(r *Remote) *int { return &r.HTTP.AtOnce }),
		count("colibri_http_waiting", "1000", 0, most, func(r *Remote) *int { return &r.HTTP.Waiting }),
		seconds("colibri_http_cache_time", "30", 0, func(r *Remote) *time.Duration { return &r.HTTP.CacheTime }),
		count("colibri_http_cache_size", "10000", 1, most, func(r *Remote) *int { return &r.HTTP.CacheSize }),
		count("colibri_http_faults", "5", 1, most, func(r *Remote) *int { return &r.HTTP.Faults }),
		seconds("colibri_http_pause", "10", 1, func(r *Remote) *time.Duration { return &r.HTTP.Pause }),

		place("colibri_ldap_url", "ldaps ldap", func(r *Remote) *string { return &r.LDAP.URL }),
		yes("colibri_ldap_starttls", "false", func(r *Remote) *bool { return &r.LDAP.StartTLS }),
		line("colibri_ldap_cafile", func(r *Remote) *string { return &r.LDAP.CAFile }),
		line("colibri_ldap_bind_dn", func(r *Remote) *string { return &r.LDAP.BindDN }),
		line("colibri_ldap_search_base", func(r *Remote) *string { return &r.LDAP.SearchBase }),
		line("colibri_ldap_search_filter", func(r *Remote) *string { return &r.LDAP.SearchFilter }),
		line("colibri_ldap_search_dn", func(r *Remote) *string { return &r.LDAP.SearchDN }),
		line("colibri_ldap_search_password_file", func(r *Remote) *string { return &r.LDAP.PasswordFile }),
		line("colibri_ldap_user_attribute", func(r *Remote) *string { return &r.LDAP.UserAttribute }),
		seconds("colibri_ldap_timeout", "5", 1, func(r *Remote) *time.Duration { return &r.LDAP.Timeout }),
		count("colibri_ldap_at_once", "8", 1, 10_000, func(r *Remote) *int { return &r.LDAP.AtOnce }),
		count("colibri_ldap_waiting", "1000", 0, most, func(r *Remote) *int { return &r.LDAP.Waiting }),
	}
	for i := range rows {
		set := rows[i].set
		rows[i].set = func(r *reader, v value) error {
			if r.remote == nil {
				r.remote = make(map[string]Warning)
			}
			r.remote[group(r.key)] = Warning{File: r.file, Line: r.line}
			return set(r, v)
		}
	}
	return rows
}

// group returns whom an option is about: jwt, http or ldap.
func group(key string) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(key, "colibri_"), "_")
	return word
}

// IsURL reports whether the value of colibri_jwt_jwks is a URL and no file.
func IsURL(text string) bool { return strings.Contains(text, "://") }

// authOrder reads colibri_auth_order. Whom it does not name follows in the usual order.
func (r *reader) authOrder(v value) error {
	var order []string
	for _, word := range strings.FieldsFunc(v.text, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		if !slices.Contains(authOrder, word) {
			return r.errorf("'%s' is none of %s", word, list(authOrder))
		}
		if slices.Contains(order, word) {
			return r.errorf("'%s' stands there twice; write each once", word)
		}
		order = append(order, word)
	}
	for _, word := range authOrder {
		if !slices.Contains(order, word) {
			order = append(order, word)
		}
	}
	r.config.Remote.Order = order
	return nil
}

// checkURL refuses what is no URL of one of the schemes. What it says holds no part of the URL,
// as a password may stand in it.
func (r *reader) checkURL(text string, schemes []string) error {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
		return r.errorf("'%s' needs a URL; write one as in %s://HOST/", r.key, schemes[0])
	}
	return nil
}

// loopback reports whether a URL stays on this machine.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// finishRemote checks what concerns several options.
func (r *reader) finishRemote() error {
	wrong := func(key, text string) error {
		at := r.remote[group(key)]
		return &Error{File: at.File, Line: at.Line, Key: key, Text: text}
	}
	standard, c := defaultRemote(), r.config.Remote
	hasKeys := c.Token.Key != "" || c.Token.Secret != "" || c.Token.JWKS != ""
	tokens := c.Token
	tokens.Key, tokens.Secret, tokens.JWKS = "", "", ""
	web, directory := c.HTTP, c.LDAP
	web.URL, directory.URL = "", ""
	l := &c.LDAP
	switch {
	case !hasKeys && tokens != standard.Token:
		return wrong("colibri_jwt_key", "it says how tokens are checked, and not with which key; add colibri_jwt_key, colibri_jwt_secret or colibri_jwt_jwks")
	case c.HTTP.URL == "" && web != standard.HTTP:
		return wrong("colibri_http_auth", "it says how an HTTP server is asked, and not which; add colibri_http_auth")
	case l.URL == "" && directory != standard.LDAP:
		return wrong("colibri_ldap_url", "it says how a directory is asked, and not which; add colibri_ldap_url")
	case l.URL == "":
	case (l.BindDN == "") == (l.SearchBase == ""):
		return wrong("colibri_ldap_url", "a directory needs either colibri_ldap_bind_dn, as in uid=%u,ou=people,dc=example,dc=org, or colibri_ldap_search_base")
	case l.BindDN != "" && !strings.Contains(l.BindDN, "%u"):
		return wrong("colibri_ldap_bind_dn", "colibri_ldap_bind_dn has no %u where the User Name stands, so that everybody would be the same user")
	case l.SearchBase != "" && !strings.Contains(l.SearchFilter, "%u"):
		return wrong("colibri_ldap_search_filter", "colibri_ldap_search_base needs a colibri_ldap_search_filter with %u in it, as in (uid=%u)")
	case l.BindDN != "" && (l.SearchFilter != "" || l.SearchDN != "" || l.PasswordFile != "" || l.UserAttribute != ""):
		return wrong("colibri_ldap_bind_dn", "with colibri_ldap_bind_dn nobody is searched for; take it out, or the other options of the search")
	case (l.SearchDN == "") != (l.PasswordFile == ""):
		return wrong("colibri_ldap_search_dn", "colibri_ldap_search_dn and colibri_ldap_search_password_file belong together; add the one that is missing")
	case l.StartTLS && strings.HasPrefix(l.URL, "ldaps:"):
		return wrong("colibri_ldap_starttls", "an ldaps URL has TLS already; take colibri_ldap_starttls out, or write ldap")
	}
	for _, to := range []struct {
		url, key string
		plain    bool
	}{{c.HTTP.URL, "colibri_http_auth", true}, {l.URL, "colibri_ldap_url", !l.StartTLS}} {
		if u, err := url.Parse(to.url); err == nil && to.plain && (u.Scheme == "http" || u.Scheme == "ldap") && !loopback(u) {
			at := r.remote[group(to.key)]
			r.config.Warnings = append(r.config.Warnings, Warning{File: at.File, Line: at.Line,
				Text: "passwords go to the server of " + to.key + " without TLS, for everybody on the way to read"})
		}
	}
	return nil
}
