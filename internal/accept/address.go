// Package accept holds what stands between a socket that listens and the protocol that
// its connections carry: how many of them one address may have, and the handshakes that
// are going on.
package accept

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// Addresses counts the Network Connections of each address. It holds an entry for each address
// that has one, so it is as large as the number of connections at most. Listeners may share
// one; it is safe for concurrent use, and without limit as its zero value.
type Addresses struct {
	Most    int                   // of one address; 0: no limit, and nothing is counted
	Refused func(remote net.Addr) // is told of each one too many, must not block; nil for nobody

	mu    sync.Mutex // a leaf
	conns map[netip.Addr]int
}

// AddressOf returns what counts as one address: the IP address, of IPv6 the network of 64
// bits that one customer has at least. It is invalid for what has no IP address.
func AddressOf(remote net.Addr) netip.Addr {
	ip, ok := remote.(interface{ AddrPort() netip.AddrPort }) // of TCP, and of UDP for QUIC
	if !ok {
		return netip.Addr{}
	}
	address := ip.AddrPort().Addr().Unmap().WithZone("")
	if address.Is6() {
		network, _ := address.Prefix(64)
		return network.Addr()
	}
	return address
}

// Take counts a connection, which GiveBack ends; false when its address has as many as it
// may have. What has no IP address is not counted.
func (a *Addresses) Take(remote net.Addr) bool {
	address := AddressOf(remote)
	if a.Most <= 0 || !address.IsValid() || a.take(address) {
		return true
	}
	if a.Refused != nil {
		a.Refused(remote)
	}
	return false
}

func (a *Addresses) take(address netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns[address] >= a.Most {
		return false
	}
	if a.conns == nil {
		a.conns = make(map[netip.Addr]int)
	}
	a.conns[address]++
	return true
}

// GiveBack ends what Take has counted.
func (a *Addresses) GiveBack(remote net.Addr) {
	address := AddressOf(remote)
	if a.Most <= 0 || !address.IsValid() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns[address]--; a.conns[address] == 0 {
		delete(a.conns, address)
	}
}

// Len returns how many addresses have a connection.
func (a *Addresses) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.conns)
}

// Listen returns a listener over l, which it takes over, whose Accept returns a *[Conn] for
// each connection that a has room for. Others are closed at once.
func (a *Addresses) Listen(l net.Listener) net.Listener { return &counted{l, a} }

type counted struct {
	net.Listener
	addresses *Addresses
}

// Accept waits for the next connection that there is room for.
func (l *counted) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.addresses.Take(nc.RemoteAddr()) {
			return &Conn{Conn: nc, addresses: l.addresses}, nil
		}
		nc.Close()
	}
}

// Conn is a connection that is counted until Close.
type Conn struct {
	net.Conn
	addresses *Addresses
	closed    atomic.Bool
}

// Close ends the connection, and gives its place back.
func (c *Conn) Close() error {
	if !c.closed.Swap(true) {
		c.addresses.GiveBack(c.RemoteAddr())
	}
	return c.Conn.Close()
}

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the direction to the peer, where the connection below can.
func (c *Conn) CloseWrite() error { return closeWrite(c.Conn) }

// SyscallConn gives access to the descriptor below.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if below, ok := c.Conn.(syscall.Conn); ok {
		return below.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func closeWrite(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
