package cli

import (
	"net"
	"sync"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/proxy"
)

// boundProxy is a connection whose client's address stands in a header of the PROXY protocol.
type boundProxy struct {
	*proxy.Conn
	listener *boundListener
	once     sync.Once
}

func (c *boundProxy) LocalAddr() net.Addr { return boundAddr{c.Conn.LocalAddr(), c.listener} }

func (c *boundProxy) Close() error {
	c.once.Do(c.listener.release)
	return c.Conn.Close()
}

// proxied returns what takes the headers off the connections of l, nil when there are none.
func (s *brokerServer) proxied(bound *boundListener, l *config.Listener) func(net.Listener) net.Listener {
	if l.Proxy.Version == 0 {
		return nil
	}
	return func(below net.Listener) net.Listener {
		return proxy.Listen(below, proxy.Options{Version: l.Proxy.Version, From: l.Proxy.From, RequireTLS: l.Proxy.RequireTLS,
			Refused: func(remote net.Addr, err error) {
				bound.refused(remote, err)
				if b := s.broker.Load(); b != nil {
					b.TurnedAway(remote, broker.LimitProxy)
				}
			}})
	}
}
