package broker

import (
	"io"
	"net"
	"syscall"
)

// framed reads a Network Connection with a descriptor on which MQTT travels inside another
// protocol, such as TLS or WebSocket: like others it needs no buffer while it is idle. It is
// written as one without a descriptor is.
type framed struct {
	raw syscall.RawConn
	unframer
}

// unframer is what such a Network Connection offers.
type unframer interface {
	// Descriptor returns the access to the descriptor, nil when Read is the only way.
	Descriptor() syscall.RawConn
	// ReadThrough is Read, but that the bytes of the descriptor come from read. That returns 0
	// and no error when nothing has come; ReadThrough does the same, and only then. It does
	// not wait for the peer.
	ReadThrough(read func([]byte) (int, error), b []byte) (n int, err error)
}

// descriptorReader reads a descriptor without waiting and without allocating: it keeps the
// function that ReadThrough wants. A batch has one.
type descriptorReader struct {
	fd   uintptr
	read func([]byte) (int, error)
}

func newDescriptorReader() *descriptorReader {
	r := &descriptorReader{}
	r.read = func(b []byte) (int, error) {
		for {
			n, err := readDescriptor(r.fd, b)
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				return 0, nil
			case err != nil:
				return 0, err
			case n == 0 && len(b) > 0:
				return 0, io.EOF
			}
			return n, nil
		}
	}
	return r
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
