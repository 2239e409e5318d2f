package cli

import (
	"net"
	"sync"
	"syscall"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/proxy"
	"github.com/colibri-mqtt/colibri/internal/transport"
)

// boundOther is a connection of a boundListener that stands on one of TCP or of a Unix domain
// socket: its client's address stands in a header of the PROXY protocol, or is counted.
type boundOther struct {
	descriptorConn
	listener *boundListener
	proxied  *broker.ProxiedTLS // nil for none
	once     sync.Once
}

// descriptorConn is a connection that gives access to its descriptor.
type descriptorConn interface {
	net.Conn
	syscall.Conn
}

func (c *boundOther) LocalAddr() net.Addr { return boundAddr{c.descriptorConn.LocalAddr(), c.listener} }

func (c *boundOther) Close() error {
	c.once.Do(c.listener.release)
	return c.descriptorConn.Close()
}

func (c *boundOther) ProxiedTLS() *broker.ProxiedTLS { return c.proxied }

// proxiedTLS returns what a proxy has said of the client's TLS; nil when there was no header, when
// it says nothing, or when the client has TLS with us.
func proxiedTLS(nc net.Conn) *broker.ProxiedTLS {
	for {
		switch one := nc.(type) {
		case *transport.TLS:
			return nil
		case *proxy.Conn:
			t := one.Header.TLS
			if t == nil {
				return nil
			}
			return &broker.ProxiedTLS{Version: t.Version, Verified: t.Verified, CommonName: t.CommonName}
		}
		above, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = above.NetConn()
	}
}

// proxied returns what takes the headers off the connections of l, nil when there are none.
func (s *brokerServer) proxied(l *config.Listener) func(net.Listener) net.Listener {
	if l.Proxy.Version == 0 {
		return nil
	}
	o := proxy.Options{Version: l.Proxy.Version, From: l.Proxy.From, RequireTLS: l.Proxy.RequireTLS,
		Refused: s.failedHandshake(broker.HandshakeProxy)}
	if !l.TLS.On() { // the client's certificate is the proxy's affair
		o.RequireCertificate, o.RefuseUnverified = l.TLS.RequireCertificate, l.TLS.OptionalCertificate
	}
	return func(below net.Listener) net.Listener { return proxy.Listen(below, o) }
}
