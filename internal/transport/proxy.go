package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/proxy"
)

// proxyPort is the TCP port registered for SOCKS.
const proxyPort = "1080"

// Proxy is a SOCKS5 proxy (RFC 1928), through which TCP connections are made. The proxy
// looks up the names of hosts.
type Proxy struct {
	Address            string // host:port
	UserName, Password string // RFC 1929; no User Name, none is offered
}

// ParseProxy reads socks5h://[USER[:PASSWORD]@]HOST[:PORT]; %XX stands for a byte of the
// user and the password, which no error shows.
func ParseProxy(rawURL string) (*Proxy, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok || !strings.EqualFold(scheme, "socks5h") {
		return nil, errors.New("a proxy is written as socks5h://HOST:PORT, or socks5h://USER:PASSWORD@HOST:PORT")
	}
	p := &Proxy{}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, _ := strings.Cut(rest[:at], ":")
		var err, other error
		p.UserName, err = url.PathUnescape(user)
		p.Password, other = url.PathUnescape(password)
		if err != nil || other != nil {
			return nil, errors.New("the user or the password of the proxy holds a % that two hex digits do not follow: write %25 for it")
		}
		if p.UserName == "" || len(p.UserName) > 255 || len(p.Password) > 255 {
			return nil, errors.New("the user of the proxy must have 1 to 255 bytes, and the password 255 at most")
		}
		rest = rest[at+1:]
	}
	rest = strings.TrimSuffix(rest, "/")
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		host, port = strings.Trim(rest, "[]"), proxyPort
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return nil, fmt.Errorf("the port of the proxy is '%s', and must be between 1 and 65535", port)
	}
	if host == "" || strings.ContainsAny(host, "/?# ") {
		return nil, fmt.Errorf("'%s' is not the host of a proxy: write socks5h://HOST:PORT", host)
	}
	p.Address = net.JoinHostPort(host, port)
	return p, nil
}

// ProxyError says that no connection could be made through a proxy.
type ProxyError struct {
	Address string // of the proxy
	Target  string // host:port
	Reached bool   // the proxy was, and it or its network refused
	Refusal ProxyRefusal
	err     error
}

// ProxyRefusal says why a proxy that was reached has made no connection.
type ProxyRefusal uint8

// The refusals, as far as they are told apart.
const (
	ProxyFailed     ProxyRefusal = iota // any other, a wrong password too
	ProxyNotAllowed                     // its rules forbid it, or it wants a user
	ProxyNoRoute                        // it cannot reach the target, which may refuse
)

// refusals are the ends of the texts for the answers of a proxy, which the library has no
// values for.
var refusals = map[string]ProxyRefusal{
	"no acceptable authentication methods": ProxyNotAllowed,
	"connection not allowed by ruleset":    ProxyNotAllowed,
	"network unreachable":                  ProxyNoRoute,
	"host unreachable":                     ProxyNoRoute,
	"connection refused":                   ProxyNoRoute,
}

func (e *ProxyError) Error() string {
	if e.Reached {
		return fmt.Sprintf("the proxy %s did not connect to %s: %v", e.Address, e.Target, e.err)
	}
	return fmt.Sprintf("the proxy %s cannot be reached: %v", e.Address, e.err)
}

func (e *ProxyError) Unwrap() error { return e.err }

// Dial connects to address, host:port, through p, with d as far as to the proxy. It gives
// up when ctx is done. Its errors are of the type *ProxyError.
func (p *Proxy) Dial(ctx context.Context, d *net.Dialer, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if p.UserName != "" {
		auth = &proxy.Auth{User: p.UserName, Password: p.Password}
	}
	way := &wayToProxy{Dialer: d}
	dialer, err := proxy.SOCKS5("tcp", p.Address, auth, way)
	if err != nil {
		return nil, &ProxyError{Address: p.Address, Target: address, err: err}
	}
	nc, err := dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	if err == nil {
		return nc, nil
	}
	if inner := new(net.OpError); errors.As(err, &inner) {
		err = inner.Err // the addresses are named already
	}
	failed := &ProxyError{Address: p.Address, Target: address, Reached: way.reached, err: err}
	if text, ok := strings.CutPrefix(err.Error(), "unknown error "); ok && way.reached {
		failed.err = errors.New(text)
	}
	if way.reached {
		failed.Refusal = refusals[failed.err.Error()]
	}
	return nil, failed
}

// wayToProxy remembers whether the proxy was reached.
type wayToProxy struct {
	*net.Dialer
	reached bool
}

func (w *wayToProxy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := w.Dialer.DialContext(ctx, network, address)
	w.reached = err == nil
	return nc, err
}
