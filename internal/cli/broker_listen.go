package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/accept"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/proxy"
	"github.com/colibri-mqtt/colibri/internal/transport"
)

// boundListener is a listener that knows its configuration and counts its connections.
type boundListener struct {
	net.Listener
	name      string // as people write the address
	webSocket bool
	socket    string      // the path of a Unix domain socket; empty for others
	secure    *config.TLS // nil without TLS
	proxy     bool        // each connection begins with a header of the PROXY protocol
	proxyCert bool        // which has to tell of a certificate
	owner     config.Socket
	chain     *auth.Chain
	// certificate takes the User Name from the client's certificate; nil when nobody does.
	certificate auth.Checker
	most        int // connections; below 0: no limit
	log         *brokerLog

	mu   sync.Mutex
	open int
}

// boundAddr is the near end of a connection, with the listener that accepted it.
type boundAddr struct {
	net.Addr
	listener *boundListener
}

// Accept waits for a connection that there is room for; others are closed.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !l.take() {
			l.log.connection("A connection from %s was closed: %s has as many as max_connections allows, %d.",
				address(nc.RemoteAddr()), l.name, l.most)
			nc.Close()
			continue
		}
		switch nc := nc.(type) {
		case *net.TCPConn:
			return &boundTCP{TCPConn: nc, listener: l}, nil
		case *net.UnixConn:
			return &boundUnix{UnixConn: nc, listener: l}, nil
		case *transport.TLS:
			return &boundTLS{TLS: nc, listener: l}, nil
		case *transport.QUIC:
			return &boundQUIC{QUIC: nc, listener: l}, nil
		case *proxy.Conn:
			return &boundOther{descriptorConn: nc, listener: l, proxied: proxiedTLS(nc)}, nil
		case *accept.Conn:
			return &boundOther{descriptorConn: nc, listener: l, proxied: proxiedTLS(nc)}, nil
		case *transport.WebSocket:
			return &boundWebSocket{WebSocket: nc, listener: l, proxied: proxiedTLS(nc)}, nil
		}
		nc.Close()
		return nil, fmt.Errorf("a connection of the unknown kind %T", nc)
	}
}

func (l *boundListener) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most >= 0 && l.open >= l.most {
		return false
	}
	l.open++
	return true
}

func (l *boundListener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// boundTCP, boundUnix, boundTLS and boundWebSocket are connections of a boundListener. They keep all methods of
// the connection inside, so that the broker reaches its descriptor.
type boundTCP struct {
	*net.TCPConn
	listener *boundListener
	once     sync.Once
}

func (c *boundTCP) LocalAddr() net.Addr { return boundAddr{c.TCPConn.LocalAddr(), c.listener} }

func (c *boundTCP) Close() error {
	c.once.Do(c.listener.release)
	return c.TCPConn.Close()
}

type boundUnix struct {
	*net.UnixConn
	listener *boundListener
	once     sync.Once
}

func (c *boundUnix) LocalAddr() net.Addr { return boundAddr{c.UnixConn.LocalAddr(), c.listener} }

func (c *boundUnix) Close() error {
	c.once.Do(c.listener.release)
	return c.UnixConn.Close()
}

type boundTLS struct {
	*transport.TLS
	listener *boundListener
	once     sync.Once
}

func (c *boundTLS) LocalAddr() net.Addr { return boundAddr{c.TLS.LocalAddr(), c.listener} }

func (c *boundTLS) Close() error {
	c.once.Do(c.listener.release)
	return c.TLS.Close()
}

type boundWebSocket struct {
	*transport.WebSocket
	listener *boundListener
	proxied  *broker.ProxiedTLS // nil for none
	once     sync.Once
}

func (c *boundWebSocket) ProxiedTLS() *broker.ProxiedTLS { return c.proxied }

func (c *boundWebSocket) LocalAddr() net.Addr { return boundAddr{c.WebSocket.LocalAddr(), c.listener} }

func (c *boundWebSocket) Close() error {
	c.once.Do(c.listener.release)
	return c.WebSocket.Close()
}

// listen opens all listeners, or none.
func (s *brokerServer) listen() error {
	s.perAddress = s.countedAddresses()
	var err error
	if s.config.LocalOnly() {
		ports := s.options.ports
		if len(ports) == 0 {
			ports = []int{1883}
		}
		for _, port := range ports {
			if err = s.listenLocal(port); err != nil {
				break
			}
		}
	} else {
		for i := range s.config.Listeners {
			if err = s.listenConfigured(&s.config.Listeners[i]); err != nil {
				break
			}
		}
	}
	if err != nil {
		s.closeListeners()
	}
	return err
}

func (s *brokerServer) closeListeners() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// listenLocal listens on the loopback addresses. A machine without IPv6 has one only.
func (s *brokerServer) listenLocal(port int) error {
	l := &config.Listener{Port: port, MaxConnections: -1, AllowAnonymous: config.No}
	if s.config.Anonymous(nil) {
		l.AllowAnonymous = config.Yes
	}
	first, err := s.open("tcp", "127.0.0.1", l, "with -p")
	if err != nil {
		return err
	}
	free := port == 0
	if free {
		l.Port = first.Addr().(*net.TCPAddr).Port
	}
	if _, err := s.open("tcp", "::1", l, "with -p"); err != nil && !free && !noSuchAddress(err) {
		return err
	}
	return nil
}

// listenConfigured opens one listener of the configuration: a name may stand for more
// than one address.
func (s *brokerServer) listenConfigured(l *config.Listener) error {
	place := fmt.Sprintf("in %s:%d", l.File, l.Line)
	if l.Path != "" {
		_, err := s.open("unix", l.Path, l, place)
		return err
	}
	hosts := []string{l.Host}
	if l.Host != "" && net.ParseIP(l.Host) == nil && !strings.Contains(l.Host, "%") {
		found, err := net.DefaultResolver.LookupHost(s.env.ctx, l.Host)
		if err != nil {
			return fmt.Errorf("the host '%s' of the listener in %s:%d is not known; write an address of this machine, or leave it out for all of them",
				shown(l.Host), l.File, l.Line)
		}
		slices.Sort(found)
		hosts = slices.Compact(found)
	}
	scheme := "tcp"
	switch {
	case l.QUIC:
		scheme = "quic"
	case l.WebSocket && l.TLS.On():
		scheme = "wss"
	case l.WebSocket:
		scheme = "ws"
	case l.TLS.On():
		scheme = "tls"
	}
	opened := 0
	var missing error
	for _, host := range hosts {
		_, err := s.open(scheme, host, l, place)
		switch {
		case err == nil:
			opened++
		case noSuchAddress(err) && len(hosts) > 1:
			missing = err
		default:
			return err
		}
	}
	if opened == 0 {
		return missing
	}
	return nil
}

// open listens for l on one of its addresses, or on its path, and remembers the listener.
// place says where the person chose the address.
func (s *brokerServer) open(scheme, host string, l *config.Listener, place string) (*boundListener, error) {
	where, name := "", ""
	if scheme == "unix" {
		where, name = (&url.URL{Scheme: "unix", Path: host}).String(), host
	} else {
		name = net.JoinHostPort(host, strconv.Itoa(l.Port))
		where = (&url.URL{Scheme: scheme, Host: name}).String()
	}
	chain, err := s.chain(l)
	if err != nil {
		return nil, err
	}
	bound := &boundListener{chain: chain, certificate: certificateChecker(l), most: l.MaxConnections, log: s.log, webSocket: l.WebSocket, proxy: l.Proxy.Version > 0,
		proxyCert: l.TLS.RequireCertificate && !l.TLS.On()}
	o := transport.Options{
		SocketMode: l.Socket.Mode, SocketOwner: l.Socket.Owner, SocketGroup: l.Socket.Group,
		WebSocket: transport.WebSocketOptions{Origins: l.Origins, HeaderBytes: s.config.WebSocketHeaderBytes,
			Refused: s.failedHandshake(broker.HandshakeWebSocket)},
		TLSRefused: s.failedHandshake(broker.HandshakeTLS), Wrap: s.admitted(s.proxied(l)), PerAddress: s.perAddress,
	}
	if l.QUIC {
		o.TLSRefused = s.failedHandshake(broker.HandshakeQUIC)
	}
	if server := s.secureOf(l); server != nil {
		bound.secure, o.TLS = &l.TLS, server.Config()
	}
	listener, err := transport.Listen(where, o)
	if err != nil {
		return nil, cannotListen(scheme, host, l.Port, place, err)
	}
	if port := portOf(listener.Addr()); port > 0 && host != "" {
		name = net.JoinHostPort(host, strconv.Itoa(port))
	} else if port > 0 {
		name = fmt.Sprintf("port %d of all addresses", port)
	}
	if scheme == "unix" {
		bound.socket, bound.owner = host, l.Socket
	}
	bound.Listener, bound.name = listener, name
	s.listeners = append(s.listeners, bound)
	return bound, nil
}

// portOf returns the port of an address of TCP or UDP; 0 for others.
func portOf(a net.Addr) int {
	if ip, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return int(ip.AddrPort().Port())
	}
	return 0
}

// noSuchAddress reports whether this machine does not have the address.
func noSuchAddress(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// listenError is a sentence about a listener; errors.Is finds the cause.
type listenError struct {
	text  string
	cause error
}

func (e *listenError) Error() string { return e.text }
func (e *listenError) Unwrap() error { return e.cause }

// cannotListen says in a sentence what failed and what to do.
func cannotListen(scheme, host string, port int, place string, err error) error {
	if scheme == "unix" {
		return &listenError{socketText(host, err), err}
	}
	on := "on all addresses of this machine"
	if host != "" {
		on = "on " + shown(host)
	}
	text := fmt.Sprintf("cannot listen on port %d %s: %v", port, on, err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		text = fmt.Sprintf("port %d %s is in use by another program; stop it or choose another port %s", port, on, place)
	case errors.Is(err, syscall.EACCES):
		text = fmt.Sprintf("port %d %s may not be opened by this user; choose a port above 1023 %s", port, on, place)
	case noSuchAddress(err):
		text = fmt.Sprintf("%s is not an address of this machine; choose one that is, or leave it out for all of them", shown(host))
	}
	return &listenError{text, err}
}

// socketText is cannotListen for a Unix domain socket.
func socketText(path string, err error) string {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fmt.Sprintf("cannot listen on %s: the directory does not exist; make it, or choose another path", shown(path))
	case errors.Is(err, syscall.EACCES):
		return fmt.Sprintf("cannot listen on %s: this user may not write into the directory; choose another path", shown(path))
	}
	return fmt.Sprintf("cannot listen on %s: %v", shown(path), err)
}
