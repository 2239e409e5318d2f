// Package proxy reads the PROXY protocol of HAProxy, versions 1 and 2: what a proxy says
// of a connection before it hands on the client's bytes. The source of its rules is
// HAProxy's doc/proxy-protocol.txt.
//
// [Listen] puts a header in front of each connection of a listener. Whoever may send one
// chooses the address that the rest of the program believes, so only stated networks may.
package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// Header is what a proxy says of one connection.
type Header struct {
	Version int // 1 or 2
	// Source is the client's address, Destination the one that it has connected to: both
	// are *net.TCPAddr or *net.UnixAddr. They are nil when the header names none: the
	// proxy speaks for itself (LOCAL), or does not know (UNKNOWN). The addresses of the
	// connection hold then.
	Source, Destination net.Addr
	// TLS is what the proxy says of the client's TLS; nil when the client used none or the
	// proxy does not say.
	TLS *TLS
}

// TLS is how a client has connected to a proxy that ends the TLS.
type TLS struct {
	Version     string // such as "TLSv1.3"; may be empty
	Certificate bool   // the client has shown one, in this connection or in the one that it resumes
	Verified    bool   // and the proxy has found it right
	CommonName  string // of that certificate; empty when it is not verified
}

const (
	maxV1Bytes = 107 // of the longest header that version 1 allows
	// maxV2Bytes bounds a header of version 2, which may promise 65,551. Addresses take 232
	// at most, names and a certificate of the client have room in the rest.
	maxV2Bytes = 4096

	v1Start = "PROXY "
	v1Least = len("PROXY UNKNOWN\r\n")
	v2Start = "\r\n\r\n\x00\r\nQUIT\n"
	v2Fixed = len(v2Start) + 4
)

// wrong is a header that cannot be believed. Its text is a sentence without full stop.
func wrong(format string, args ...any) error {
	return fmt.Errorf("PROXY header: "+format, args...)
}

// Parse reads the header at the beginning of b and returns how many bytes it takes. While b is
// only the beginning of a header the error is io.ErrUnexpectedEOF. Header keeps nothing of b.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case len(b) == 0:
		return h, 0, io.ErrUnexpectedEOF
	case b[0] == v1Start[0]:
		return parseV1(b)
	case b[0] == v2Start[0]:
		return parseV2(b)
	}
	return h, 0, wrong("%s", foreign(b[0]))
}

// foreign says what else begins with that byte.
func foreign(first byte) string {
	switch first {
	case 0x10:
		return "the other end speaks MQTT without one: connect through the proxy, or have the proxy send one"
	case 0x16:
		return "the other end speaks TLS without one: connect through the proxy, or have the proxy send one"
	}
	return "the other end sends something else: have the proxy send one"
}

// missing returns how many bytes a header that begins with b lacks at least. b is not a
// whole header, and not a wrong one.
func missing(b []byte) int {
	switch {
	case len(b) < len(v1Start): // as many as tell the versions from other protocols
		return len(v1Start) - len(b)
	case b[0] == v1Start[0] && len(b) < v1Least:
		return v1Least - len(b)
	case b[0] == v1Start[0] && b[len(b)-1] == '\r':
		return 1
	case b[0] == v1Start[0]:
		return 2
	case len(b) < v2Fixed:
		return v2Fixed - len(b)
	}
	return v2Size(b) - len(b)
}

// Read reads one header from r, and no byte of what follows.
func Read(r io.Reader) (Header, error) {
	b := make([]byte, 0, maxV1Bytes+1)
	for {
		h, _, err := Parse(b)
		if err != io.ErrUnexpectedEOF {
			return h, err
		}
		more := missing(b)
		if size := len(b) + more; size > cap(b) {
			b = append(make([]byte, 0, size), b...)
		}
		n, err := io.ReadFull(r, b[len(b):len(b)+more])
		b = b[:len(b)+n]
		if err != nil {
			if _, _, bad := Parse(b); bad != io.ErrUnexpectedEOF {
				return Header{}, bad // says more than that the other end has gone
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return Header{}, fmt.Errorf("PROXY header: it is not complete: %w", err)
		}
	}
}
