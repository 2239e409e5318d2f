package broker

import (
	"net"
	"syscall"
)

// Departed reports whether the client has closed its end of the Network Connection
// meanwhile: an Authenticator that had to wait before something costly asks, and saves
// itself the work. It does not block and takes nothing from the connection. false also means
// that it cannot be known. It may be called while the request is being decided.
func (r *ConnectRequest) Departed() bool {
	raw := descriptorOf(r.conn)
	if raw == nil {
		return false
	}
	gone := false
	err := raw.Control(func(fd uintptr) { gone = hungUp(fd) })
	return gone || err != nil
}

// descriptorOf returns the access to the descriptor under nc, whatever protocol lies between;
// nil when there is none.
func descriptorOf(nc net.Conn) syscall.RawConn {
	for nc != nil {
		if u, ok := nc.(unframer); ok {
			return u.Descriptor()
		}
		if raw := rawConn(nc); raw != nil {
			return raw
		}
		inner, ok := nc.(interface{ NetConn() net.Conn }) // such as *tls.Conn
		if !ok {
			return nil
		}
		nc = inner.NetConn()
	}
	return nil
}
