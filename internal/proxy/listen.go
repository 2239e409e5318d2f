package proxy

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/colibri-mqtt/colibri/internal/accept"
)

// Options are the choices of a listener.
type Options struct {
	Version int // 1 or 2: the one that the proxy has to send
	// From are the networks that proxies connect from; without any, [Private] stands for
	// them. A connection from elsewhere is closed at once, whatever it sends: neither a
	// header nor its own address would be what the configuration promises. Who opens a Unix
	// domain socket is on this machine and let in.
	From []netip.Prefix
	// RequireTLS refuses connections whose header does not say that the client has used TLS
	// towards the proxy. Only version 2 can say so.
	RequireTLS bool
	// RequireCertificate refuses connections whose header does not say that the client has
	// shown the proxy a certificate, and that the proxy has found it right.
	RequireCertificate bool
	// RefuseUnverified refuses connections whose header says that the client has shown one
	// which the proxy has not found right.
	RefuseUnverified bool
	// Refused is told why a connection was closed, [accept.ErrCrowded] among others. It is
	// called by many goroutines, and must return soon. Nil discards it.
	Refused func(remote net.Addr, err error)
}

// Private returns the networks of this machine and of private use: those of loopback,
// RFC 1918, RFC 4193 and the link.
func Private() []netip.Prefix {
	return slices.Clone(private)
}

var private = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
}

// headerTime is how long a proxy may take to send a header.
const headerTime = 5 * time.Second

// Conn is a connection whose header was read. RemoteAddr is the client's address, if the
// header names one; LocalAddr stays that of the connection.
type Conn struct {
	net.Conn
	Header Header // never changes
}

// RemoteAddr returns the address of the client.
func (c *Conn) RemoteAddr() net.Addr {
	if c.Header.Source != nil {
		return c.Header.Source
	}
	return c.Conn.RemoteAddr()
}

// SyscallConn gives access to the descriptor, on which the client's bytes follow.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if below, ok := c.Conn.(syscall.Conn); ok {
		return below.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Listen returns a listener whose Accept returns a *[Conn] for each connection of l that
// begins with a header. It takes l over.
func Listen(l net.Listener, o Options) net.Listener {
	if len(o.From) == 0 {
		o.From = private
	}
	return accept.Handshakes{Network: l.Addr().Network(), Time: headerTime, Open: o.open, Failed: o.Refused}.Listen(&trusting{l, &o})
}

// trusting is a listener whose connections come from proxies. Others are closed.
type trusting struct {
	net.Listener
	o *Options
}

// Accept waits for the next connection of a proxy.
func (l *trusting) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil || l.o.trusted(nc.RemoteAddr()) {
			return nc, err
		}
		nc.Close()
		if l.o.Refused != nil {
			l.o.Refused(nc.RemoteAddr(), wrong("this address may not send one: name its network in colibri_proxy_from if it is a proxy of yours"))
		}
	}
}

// trusted reports whether a proxy may have that address.
func (o *Options) trusted(remote net.Addr) bool {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return true
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(o.From, func(n netip.Prefix) bool { return n.Contains(address) })
}

// open reads the header of one connection.
func (o *Options) open(nc *accept.Watched) (net.Conn, error) {
	h, err := Read(nc)
	if err == nil {
		err = o.check(h)
	}
	if err != nil {
		return nil, err
	}
	return &Conn{nc.Conn, h}, nil
}

// check refuses a header that is right and not the one that is wanted.
func (o *Options) check(h Header) error {
	switch {
	case h.Version != o.Version:
		return wrong("its version is %d, and enable_proxy_protocol says %d", h.Version, o.Version)
	case o.RequireTLS && h.TLS == nil:
		return wrong("it does not say that the client has used TLS, and proxy_protocol_v2_require_tls wants that")
	case o.RequireCertificate && (h.TLS == nil || !h.TLS.Certificate):
		return wrong("it does not say that the client%s has shown the proxy a certificate, and require_certificate wants that: give the client one, or have the proxy tell of it", h.who())
	case (o.RequireCertificate || o.RefuseUnverified) && h.TLS != nil && h.TLS.Certificate && !h.TLS.Verified:
		return wrong("it says that the client%s has shown a certificate which the proxy has not found right: give the client another one", h.who())
	}
	return nil
}

// who names the client, with a space before it; empty when h does not say.
func (h *Header) who() string {
	if h.Source == nil {
		return ""
	}
	return " " + h.Source.String()
}
