package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/colibri-mqtt/colibri/internal/auth"
)

// maxAnswerBytes is how long one answer of the server may be, whatever length it promises.
const maxAnswerBytes = 1 << 20

func init() { ber.MaxPacketLengthBytes = maxAnswerBytes }

// access is how the server is reached, which stands in files, with the connections that
// nobody uses at the moment.
type access struct {
	address  string
	tls      *tls.Config
	implicit bool // TLS from the first byte
	startTLS bool
	password string // of who searches; empty without
	most     int    // connections kept

	mu      sync.Mutex // guards what follows; a leaf
	idle    []*link
	retired bool
}

// link is a connection to the server.
type link struct {
	*ldap.Conn
	nc net.Conn
}

// end closes the connection. The library alone would wait for what is being written.
func (l *link) end() {
	l.nc.Close()
	l.Conn.Close()
}

func newAccess(c *Config) (*access, error) {
	trust, err := auth.ClientTLS(c.CAFile)
	if err != nil {
		return nil, err
	}
	trust.ServerName = c.URL.Hostname()
	a := &access{address: address(c.URL), tls: trust, implicit: c.URL.Scheme == "ldaps", startTLS: c.StartTLS, most: c.AtOnce}
	if c.PasswordFile != "" {
		b, err := auth.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		if a.password = strings.TrimRight(string(b), "\r\n"); a.password == "" {
			return nil, fmt.Errorf("%s holds no password", c.PasswordFile)
		}
	}
	return a, nil
}

// address returns host and port of a URL.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// use calls ask with a connection. When one that was kept turns out to be broken, it is tried
// again with another. A connection is kept unless ask returns an error.
func (a *access) use(ctx context.Context, ask func(*ldap.Conn) error) error {
	for l := a.take(); l != nil; l = a.take() {
		err := a.with(ctx, l, ask)
		if !broke(err) || ctx.Err() != nil {
			return err
		}
	}
	l, err := a.dial(ctx)
	if err != nil {
		return err
	}
	return a.with(ctx, l, ask)
}

// broke reports whether err is of the connection, not of what the server has answered.
func broke(err error) bool {
	if result, ok := errors.AsType[*ldap.Error](err); ok {
		return result.ResultCode >= ldap.ErrorNetwork
	}
	_, found := errors.AsType[finding](err)
	return err != nil && !found
}

// with calls ask and keeps or closes the connection, which is closed at the latest when ctx
// ends.
func (a *access) with(ctx context.Context, l *link, ask func(*ldap.Conn) error) error {
	unwatch := context.AfterFunc(ctx, func() { l.nc.Close() })
	err := ask(l.Conn)
	if unwatch() && err == nil {
		a.keep(l)
	} else {
		l.end()
	}
	return err
}

// take returns a connection that was kept; nil without one.
func (a *access) take() *link {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.idle) == 0 {
		return nil
	}
	l := a.idle[len(a.idle)-1]
	a.idle = a.idle[:len(a.idle)-1]
	return l
}

// keep puts a connection where take finds it, as long as there is room.
func (a *access) keep(l *link) {
	a.mu.Lock()
	room := !a.retired && len(a.idle) < a.most && !l.IsClosing()
	if room {
		a.idle = append(a.idle, l)
	}
	a.mu.Unlock()
	if !room {
		l.end()
	}
}

// retire closes the connections that nobody uses, and the others as soon as they are given
// back.
func (a *access) retire() {
	a.mu.Lock()
	idle := a.idle
	a.idle, a.retired = nil, true
	a.mu.Unlock()
	for _, l := range idle {
		l.end()
	}
}

// dial opens a connection, with TLS if that is asked for. The connection is closed when ctx ends
// before it is ready.
func (a *access) dial(ctx context.Context) (*link, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.address)
	if err != nil {
		return nil, err
	}
	if a.implicit {
		secure := tls.Client(nc, a.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		nc = secure
	}
	l := &link{ldap.NewConn(nc, a.implicit), nc}
	l.Start()
	if !a.startTLS {
		return l, nil
	}
	unwatch := context.AfterFunc(ctx, func() { nc.Close() })
	err = l.StartTLS(a.tls)
	if unwatch() && err == nil {
		return l, nil
	}
	l.end()
	if err == nil {
		return nil, ctx.Err()
	}
	if result, ok := errors.AsType[*ldap.Error](err); ok && result.ResultCode == ldap.ErrorNetwork {
		return nil, fmt.Errorf("TLS does not begin: %w", result.Err) // nothing secret was sent yet
	}
	return nil, fmt.Errorf("TLS does not begin: %s", cause(err))
}
