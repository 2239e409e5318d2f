package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
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
	// Refused is told why a connection was closed. It is called by many goroutines, and must
	// return soon. Nil discards it.
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

const (
	// headerTime is how long a proxy may take to send a header.
	headerTime = 5 * time.Second
	// waiting is how many connections of a listener may be without their header. More wait
	// in the queue of the kernel.
	waiting = 1024
)

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
	p := &listener{Listener: l, o: o, accepted: make(chan accepted), slots: make(chan struct{}, waiting)}
	p.life, p.end = context.WithCancel(context.Background())
	go p.run()
	return p
}

// listener has a goroutine that accepts, until the listener is closed or breaks, and one
// for each header, until it has come and Accept has taken the connection.
type listener struct {
	net.Listener
	o        Options
	accepted chan accepted
	slots    chan struct{} // holds one for each header that is read

	life context.Context // ends with Close
	end  context.CancelFunc
}

// accepted is what Accept returns.
type accepted struct {
	nc  net.Conn
	err error
}

// Accept waits for the next connection with a header.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.nc, a.err
	case <-l.life.Done():
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and the connections whose header has not come; those that were
// accepted stay.
func (l *listener) Close() error {
	l.end()
	return l.Listener.Close()
}

// run accepts connections. Each error goes to Accept, whose caller closes the listener
// when it is for good.
func (l *listener) run() {
	for l.life.Err() == nil {
		nc, err := l.Listener.Accept()
		switch {
		case err != nil:
			l.deliver(accepted{nil, err})
		case !l.trusted(nc.RemoteAddr()):
			nc.Close()
			l.refused(nc, wrong("this address may not send one: name its network in colibri_proxy_from if it is a proxy of yours"))
		default:
			select {
			case l.slots <- struct{}{}:
				go l.open(nc)
			case <-l.life.Done():
				nc.Close()
			}
		}
	}
}

// trusted reports whether a proxy may have that address.
func (l *listener) trusted(remote net.Addr) bool {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return true
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(l.o.From, func(n netip.Prefix) bool { return n.Contains(address) })
}

// deliver hands a to Accept; false when the listener was closed before.
func (l *listener) deliver(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.life.Done():
		return false
	}
}

func (l *listener) refused(nc net.Conn, err error) {
	if l.o.Refused != nil {
		l.o.Refused(nc.RemoteAddr(), err)
	}
}

// open reads the header of one connection.
func (l *listener) open(nc net.Conn) {
	defer func() { <-l.slots }()
	nc.SetDeadline(time.Now().Add(headerTime))
	interrupt := context.AfterFunc(l.life, func() { nc.SetDeadline(time.Unix(1, 0)) })
	h, err := Read(nc)
	if err == nil {
		err = l.check(h)
	}
	if !interrupt() {
		nc.Close()
		return
	}
	if err != nil {
		nc.Close()
		l.refused(nc, err)
		return
	}
	nc.SetDeadline(time.Time{})
	if !l.deliver(accepted{&Conn{nc, h}, nil}) {
		nc.Close()
	}
}

// check refuses a header that is right and not the one that is wanted.
func (l *listener) check(h Header) error {
	switch {
	case h.Version != l.o.Version:
		return wrong("its version is %d, and enable_proxy_protocol says %d", h.Version, l.o.Version)
	case l.o.RequireTLS && h.TLS == nil:
		return wrong("it does not say that the client has used TLS, and proxy_protocol_v2_require_tls wants that")
	}
	return nil
}
