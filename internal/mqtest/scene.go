package mqtest

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// The versions that a scenario may run for.
var (
	All = []colibri.Version{colibri.V31, colibri.V311, colibri.V5}
	Old = []colibri.Version{colibri.V31, colibri.V311}
	V31 = []colibri.Version{colibri.V31}
	// V311 and V5 are for what differs between the standards.
	V311 = []colibri.Version{colibri.V311}
	V5   = []colibri.Version{colibri.V5}
	// Modern has what is alike in 3.1.1 and 5.0 and was not in 3.1.
	Modern = []colibri.Version{colibri.V311, colibri.V5}
)

// Scene is one run of a scenario: a bubble, a version, and a broker that ends with it.
type Scene struct {
	*testing.T
	Broker  *broker.Broker
	Version colibri.Version
	peers   []*Peer
}

// Run runs a scenario once for each version, as a subtest with a broker of its own.
func Run(t *testing.T, name string, versions []colibri.Version, config broker.Config, scenario func(scene *Scene)) {
	t.Helper()
	for _, v := range versions {
		full := name
		if len(versions) > 1 {
			full += " in " + v.String()
		}
		t.Run(full, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scene := &Scene{T: t, Broker: New(t, config), Version: v}
				defer scene.end()
				scenario(scene)
			})
		})
	}
}

// New returns a broker, and fails the test when it cannot be made.
func New(t testing.TB, config broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return b
}

// end closes all Network Connections and the broker, and waits until they have ended.
func (s *Scene) end() {
	for _, p := range s.peers {
		p.close()
	}
	if err := s.Broker.Shutdown(context.Background()); err != nil {
		s.Errorf("Shutdown: %v", err)
	}
}

// Dial opens a Network Connection and sends nothing on it.
func (s *Scene) Dial() *Peer { return s.DialVersion(s.Version) }

// DialVersion is Dial for a peer of another version than the scene's.
func (s *Scene) DialVersion(v colibri.Version) *Peer {
	client, server := transport.Pipe()
	return s.dial(v, client, server)
}

// DialSize is Dial over a Network Connection that holds the given number of bytes in each
// direction, for a peer that does not read.
func (s *Scene) DialSize(bytes int) *Peer {
	client, server := transport.PipeSize(bytes)
	return s.dial(s.Version, client, server)
}

// DialFrom is Dial from an address, such as "192.0.2.1:40000".
func (s *Scene) DialFrom(address string) *Peer {
	client, server := transport.Pipe()
	return s.dial(s.Version, client, from{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))})
}

// from is a Network Connection whose other end has an address.
type from struct {
	net.Conn
	remote net.Addr
}

func (c from) RemoteAddr() net.Addr { return c.remote }

func (s *Scene) dial(v colibri.Version, client, server net.Conn) *Peer {
	p := newPeer(s.T, client, v)
	s.peers = append(s.peers, p)
	go s.Broker.ServeConn(context.Background(), server)
	return p
}

// Connect dials, sends a CONNECT with the ClientID, Clean Start 1 and what the options
// make of it, and expects to be accepted.
func (s *Scene) Connect(clientID string, options ...func(*packet.Connect)) *Peer {
	s.Helper()
	return s.ConnectVersion(s.Version, clientID, options...)
}

// ConnectVersion is Connect for a peer of another version than the scene's.
func (s *Scene) ConnectVersion(v colibri.Version, clientID string, options ...func(*packet.Connect)) *Peer {
	s.Helper()
	p := s.DialVersion(v)
	p.Connect(clientID, options...)
	return p
}

// Use goes on with another broker, for one whose configuration has to be made inside the
// bubble. It ends the one before; its peers have to be connected afterwards.
func (s *Scene) Use(b *broker.Broker) {
	s.end()
	s.peers, s.Broker = nil, b
}
