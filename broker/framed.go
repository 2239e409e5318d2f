package broker

import (
	"net"
	"syscall"
)

// framed reads a Network Connection with a descriptor on which MQTT travels inside another
// protocol, such as WebSocket: like others it needs no buffer while it is idle. It is
// written as one without a descriptor is.
type framed struct {
	raw syscall.RawConn
	unframer
}

// unframer is what such a Network Connection offers.
type unframer interface {
	// Descriptor returns the access to the descriptor, nil when Read is the only way.
	Descriptor() syscall.RawConn
	// Unframe takes the other protocol off b, which was read from the descriptor: b[:n] is
	// what Read would have returned. n may be 0. It does not wait for the peer.
	Unframe(b []byte) (n int, err error)
}

// framedConn returns how to read nc when it is such a Network Connection, else nil.
func framedConn(nc net.Conn) *framed {
	u, ok := nc.(unframer)
	if !ok || !haveDescriptors {
		return nil
	}
	raw := u.Descriptor()
	if raw == nil {
		return nil
	}
	return &framed{raw, u}
}
