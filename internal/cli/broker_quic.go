package cli

import (
	"net"
	"sync"

	"github.com/colibri-mqtt/colibri/internal/transport"
)

// boundQUIC is a connection by QUIC of a boundListener.
type boundQUIC struct {
	*transport.QUIC
	listener *boundListener
	once     sync.Once
}

func (c *boundQUIC) LocalAddr() net.Addr { return boundAddr{c.QUIC.LocalAddr(), c.listener} }

func (c *boundQUIC) Close() error {
	c.once.Do(c.listener.release)
	return c.QUIC.Close()
}
