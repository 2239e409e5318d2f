// Package directory asks an LDAP server who a client is: with a simple bind as the user, whose
// name either stands in a template or is searched for before.
package directory

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-ldap/ldap/v3"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

// Config says whom to ask, and how. Either BindDN or SearchBase and SearchFilter are given.
type Config struct {
	URL      *url.URL // ldap://HOST[:PORT] or ldaps://HOST[:PORT]
	StartTLS bool     // begin TLS on a connection of ldap://
	CAFile   string   // the authority of the server's certificate; empty for those of the system

	BindDN string // the user's name in the directory, with %u where the User Name stands

	SearchBase    string // below it the user is searched for
	SearchFilter  string // which must find one entry; with %u where the User Name stands
	SearchDN      string // who searches; empty for anonymously
	PasswordFile  string // whose password is in that file
	UserAttribute string // of the entry, becomes the User Name; empty for that of SearchFilter by which it was found

	Timeout time.Duration // of the whole check, with the time it waits for its turn
	AtOnce  int           // checks at once, each with a connection
	Waiting int           // that wait beside
}

// Checker asks the directory. It is an auth.Checker.
type Checker struct {
	config Config
	found  []string // attributes that SearchFilter compares with the User Name
	place  string
	bound  *auth.Bound
	access atomic.Pointer[access]
}

// New returns a Checker, after it has read the files.
func New(c Config) (*Checker, error) {
	var found []string
	if c.SearchBase != "" {
		found = comparedWith(c.SearchFilter)
		if _, err := ldap.CompileFilter(strings.ReplaceAll(c.SearchFilter, "%u", "x")); err != nil {
			return nil, errors.New("the filter that searches for a user is no LDAP filter; write one as in (uid=%u)")
		}
		if _, err := ldap.ParseDN(c.SearchBase); err != nil {
			return nil, errors.New("the name below which users are searched for is no name of a directory; write one as in ou=people,dc=example,dc=org")
		}
		if len(found) == 0 && c.UserAttribute == "" {
			return nil, errors.New("the filter that searches for a user compares no attribute with %u alone, so that nobody knows how the directory spells the name; set colibri_ldap_user_attribute")
		}
	} else if _, err := ldap.ParseDN(strings.ReplaceAll(c.BindDN, "%u", "x")); err != nil {
		return nil, errors.New("the template of the user's name is no name of a directory; write one as in uid=%u,ou=people,dc=example,dc=org")
	}
	checker := &Checker{config: c, found: found, place: auth.Place(c.URL), bound: auth.NewBound(c.AtOnce, c.Waiting)}
	return checker, checker.Load()
}

// Load reads the files again. With an error, which names the file, nothing has changed.
func (c *Checker) Load() error {
	a, err := newAccess(&c.config)
	if err != nil {
		return err
	}
	if old := c.access.Swap(a); old != nil {
		old.retire()
	}
	return nil
}

// Close closes the connections that nobody uses.
func (c *Checker) Close() { c.access.Load().retire() }

// Name is auth.Checker's.
func (*Checker) Name() string { return "ldap" }

// Turned returns how many checks were not made because too many waited.
func (c *Checker) Turned() uint64 { return c.bound.Turned() }

// Check passes about clients without User Name or Password: a bind without a password says
// nothing about who binds (RFC 4513 section 5.1.2).
func (c *Checker) Check(ctx context.Context, r *broker.ConnectRequest) (auth.Verdict, error) {
	if r.UserName == "" || len(r.Password) == 0 {
		return auth.Pass, nil
	}
	if !plainName(r.UserName) {
		return refuse("the User Name holds characters that the name of no user has")
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	if err := c.bound.Enter(ctx); err != nil {
		return auth.Pass, err
	}
	defer c.bound.Leave()
	var v auth.Verdict
	var userName string
	err := c.access.Load().use(ctx, func(conn *ldap.Conn) (err error) {
		v, userName, err = c.ask(conn, r)
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return auth.Pass, auth.Unavailable(c.place, auth.Cause(ctx.Err()))
	case err != nil:
		return auth.Pass, auth.Unavailable(c.place, cause(err))
	case v == auth.Deny:
		return auth.Deny, nil
	case v == auth.Allow:
		r.UserName = userName
	}
	return v, nil
}

// plainName refuses names that a directory may take for another one: it folds spaces, and leaves
// out what is not seen.
func plainName(name string) bool {
	return strings.TrimSpace(name) == name && !strings.Contains(name, "  ") && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r)
	})
}

// ask binds as the user. An error is a fault, after which the connection is of no use.
func (c *Checker) ask(conn *ldap.Conn, r *broker.ConnectRequest) (v auth.Verdict, userName string, err error) {
	dn := strings.ReplaceAll(c.config.BindDN, "%u", escapeDN(r.UserName))
	userName = r.UserName
	if c.config.SearchBase != "" {
		dn, userName, err = c.search(conn, r.UserName)
		if err != nil || dn == "" {
			return auth.Pass, "", err
		}
	}
	err = conn.Bind(dn, string(r.Password))
	switch {
	case err == nil:
		return auth.Allow, userName, nil
	case ldap.IsErrorAnyOf(err, refusals...):
		return auth.Deny, "", nil
	}
	return auth.Pass, "", err
}

// refusals are the results of a bind that speak of the user, not of the server.
var refusals = []uint16{ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
	ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInsufficientAccessRights}

// finding is a fault of what the server holds: the connection works.
type finding string

func (f finding) Error() string { return string(f) }

// search finds the entry of a user. dn is empty when there is none, or more than one.
func (c *Checker) search(conn *ldap.Conn, name string) (dn, userName string, err error) {
	a := c.access.Load()
	if c.config.SearchDN == "" {
		err = conn.UnauthenticatedBind("")
	} else {
		err = conn.Bind(c.config.SearchDN, a.password)
	}
	if ldap.IsErrorAnyOf(err, refusals...) {
		return "", "", finding("it does not let in whom it should be searched as")
	}
	if err != nil {
		return "", "", err
	}
	attributes := []string{c.config.UserAttribute}
	if c.config.UserAttribute == "" {
		attributes = c.found
	}
	found, err := conn.Search(&ldap.SearchRequest{
		BaseDN: c.config.SearchBase, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
		SizeLimit: 2, EnforceSizeLimit: true, TimeLimit: max(1, int(c.config.Timeout/time.Second)),
		Filter:     strings.ReplaceAll(c.config.SearchFilter, "%u", ldap.EscapeFilter(name)),
		Attributes: attributes,
	})
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject):
		return "", "", finding("it has no entry of the name below which users are searched for")
	case errors.Is(err, ldap.ErrSizeLimitExceeded):
		return "", "", finding("it finds more entries than it was asked for")
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded), err == nil && len(found.Entries) > 1:
		return "", "", nil // which of them is it?
	case err != nil:
		return "", "", err
	case len(found.Entries) == 0:
		return "", "", nil
	}
	entry := found.Entries[0]
	if entry.DN == "" {
		return "", "", finding("it found an entry without a name")
	}
	if c.config.UserAttribute == "" {
		if name = c.spelling(entry, name); name == "" {
			return "", "", finding("it does not show the attribute by which the user was found; let who searches read it, or set colibri_ldap_user_attribute")
		}
	} else {
		if name = entry.GetEqualFoldAttributeValue(c.config.UserAttribute); name == "" || strings.ContainsRune(name, 0) || len(name) > 65_535 {
			return "", "", finding("the entry of the user lacks the attribute that becomes the User Name")
		}
	}
	return entry.DN, name, nil
}

// placeholder is an attribute that a filter compares with the User Name alone.
var placeholder = regexp.MustCompile(`\(([A-Za-z0-9.-]+)=%u\)`)

// comparedWith returns these attributes.
func comparedWith(filter string) (attributes []string) {
	for _, match := range placeholder.FindAllStringSubmatch(filter, -1) {
		attributes = append(attributes, match[1])
	}
	return attributes
}

// spelling returns the name as the directory spells it, which takes "Anna" and "anna" for the
// same user: access rules and Sessions do not. Empty when the entry shows no such name.
func (c *Checker) spelling(entry *ldap.Entry, written string) string {
	for _, attribute := range c.found {
		for _, value := range entry.GetEqualFoldAttributeValues(attribute) {
			if strings.EqualFold(value, written) {
				return value
			}
		}
	}
	return ""
}

// escapeDN writes text as a value in a name (RFC 4514 section 2.4): all but the plainest
// characters as the numbers of their bytes.
func escapeDN(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '@' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%02x`, c)
		}
	}
	return b.String()
}

// cause says what a fault is, without what the server says, which may repeat what it was sent.
func cause(err error) string {
	result, ok := errors.AsType[*ldap.Error](err)
	switch {
	case !ok:
		return auth.Cause(err)
	case result.ResultCode >= ldap.ErrorNetwork: // of the library
		return "the connection broke, or what it answered cannot be read"
	}
	return fmt.Sprintf("it answers with the result %d (%s)", result.ResultCode, ldap.LDAPResultCodeMap[result.ResultCode])
}

// refuse denies with a reason that the client may read.
func refuse(reason string) (auth.Verdict, error) {
	return auth.Deny, &colibri.Error{Op: "CONNECT", Code: colibri.NotAuthorized, Err: errors.New(reason)}
}
