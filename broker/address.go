package broker

import (
	"net"
	"net/netip"
	"sync"
)

// addressCount counts the Network Connections of each address, for
// Limits.PerAddress. It holds an entry for each address that has one, so it is as
// large as the number of connections at most, and empty without that limit.
type addressCount struct {
	mu    sync.Mutex // a leaf
	conns map[netip.Addr]int
}

// addressOf returns what counts as one address: the IP address, of IPv6 the network of 64
// bits that one customer has at least. It is invalid for what has no IP address.
func addressOf(remote net.Addr) netip.Addr {
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

// take counts a connection; false when its address has as many as the limit says.
func (a *addressCount) take(remote net.Addr, limit int) bool {
	address := addressOf(remote)
	if limit <= 0 || !address.IsValid() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns[address] >= limit {
		return false
	}
	if a.conns == nil {
		a.conns = make(map[netip.Addr]int)
	}
	a.conns[address]++
	return true
}

// giveBack ends what take has counted.
func (a *addressCount) giveBack(remote net.Addr, limit int) {
	address := addressOf(remote)
	if limit <= 0 || !address.IsValid() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns[address]--; a.conns[address] == 0 {
		delete(a.conns, address)
	}
}
