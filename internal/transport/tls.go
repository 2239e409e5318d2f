package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/colibri-mqtt/colibri/internal/accept"
)

const (
	// DefaultTLSPort is the port registered for MQTT over TLS.
	DefaultTLSPort = "8883"
	// webSocketTLSPort is the one of https, as in every URL that begins with wss://.
	webSocketTLSPort = "443"
	// handshakeTime is how long a client may take for the handshake of a listener.
	handshakeTime = 10 * time.Second
)

// TLS is a Network Connection inside TLS, whose handshake is over. One goroutine may read, any
// may write and close. Between two reads it holds no buffer but those of crypto/tls: a few
// kilobytes, and as much as the largest record that the peer has sent.
type TLS struct {
	*tls.Conn
	below *below
}

// NetConn returns the connection below.
func (c *TLS) NetConn() net.Conn { return c.below.Conn }

// below is the connection under that of crypto/tls.
type below struct {
	net.Conn
	read func([]byte) (int, error) // reads in the place of Conn; nil while Read is called
}

// errNothing says that nothing has come. To crypto/tls it is temporary: what has come before
// of a record is kept, and the next Read goes on.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing has come yet" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

func (b *below) Read(p []byte) (int, error) {
	if b.read == nil {
		return b.Conn.Read(p)
	}
	n, err := b.read(p)
	if n == 0 && err == nil {
		return 0, errNothing
	}
	return n, err
}

// Descriptor returns the descriptor below, nil when there is none, for a reader that wants no
// buffer while it waits and then calls ReadThrough.
func (c *TLS) Descriptor() syscall.RawConn { return descriptorOf(c.below.Conn) }

func descriptorOf(nc net.Conn) syscall.RawConn {
	below, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := below.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// ReadThrough is Read, but that the bytes of the descriptor come from read, which must not
// wait: it returns 0 and no error when nothing has come. ReadThrough does the same, and only
// then: what crypto/tls holds comes first.
func (c *TLS) ReadThrough(read func([]byte) (int, error), b []byte) (int, error) {
	c.below.read = read
	n, err := c.Conn.Read(b)
	c.below.read = nil
	if err == errNothing {
		err = nil
	}
	return n, err
}

// ListenTLS returns a listener whose Accept returns a *[TLS] for each connection of l whose
// handshake was completed. It takes l over. refused is told of the others; see Options.
func ListenTLS(l net.Listener, config *tls.Config, refused func(remote net.Addr, err error)) net.Listener {
	open := func(w *accept.Watched) (net.Conn, error) { return acceptTLS(w, config) }
	return accept.Handshakes{Network: "tls", Time: handshakeTime, Open: open, Failed: refused}.Listen(l)
}

// acceptTLS does the handshake of the server. Who does not speak TLS is told so, as far as it
// is known what it understands.
func acceptTLS(nc net.Conn, config *tls.Config) (net.Conn, error) {
	under := &below{Conn: nc}
	c := tls.Server(under, config)
	err := c.Handshake()
	if err == nil {
		under.Conn = accept.Unwatched(nc)
		return &TLS{c, under}, nil
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && header.Conn != nil {
		if first := header.RecordHeader[0]; first >= 'A' && first <= 'Z' {
			nc.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nThis port is for TLS only, and the request came without it.\n"))
		} else {
			nc.Write(plainAlert)
		}
	}
	linger(nc)
	return nil, err
}

const (
	// lingerTime and lingerBytes are how long and how much a refused client may go on: were
	// nc closed with bytes that nobody has read, the client would see a broken connection
	// instead of the alert that says why.
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// linger ends the direction to the client, and waits for the client to end the other one.
func linger(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	nc.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, nc, lingerBytes)
}

// plainAlert is the alert unexpected_message, of TLS, before anything is encrypted.
var plainAlert = []byte{0x15, 3, 1, 0, 2, 2, 10}

// OpenTLS makes a TLS connection of nc, to the server that config names. It takes nc over,
// and closes it when the handshake fails or ctx is done.
func OpenTLS(ctx context.Context, nc net.Conn, config *tls.Config) (*TLS, error) {
	under := &below{Conn: nc}
	c := tls.Client(under, config)
	interrupt := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err := c.Handshake()
	if !interrupt() {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return &TLS{c, under}, nil
}

func listenTLS(u *url.URL, o Options) (net.Listener, error) {
	return listenSecure(u, DefaultTLSPort, o)
}

func listenSecure(u *url.URL, standard string, o Options) (net.Listener, error) {
	if o.TLS == nil {
		return nil, fmt.Errorf("address %q is for TLS, and there is no certificate", u)
	}
	l, err := o.wrapped(net.Listen("tcp", hostPort(u, standard)))
	if err != nil {
		return nil, err
	}
	return ListenTLS(l, o.TLS, o.TLSRefused), nil
}

func dialTLS(ctx context.Context, u *url.URL, o Options) (net.Conn, error) {
	c, err := dialSecure(ctx, u, DefaultTLSPort, o)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func dialSecure(ctx context.Context, u *url.URL, standard string, o Options) (*TLS, error) {
	config := &tls.Config{}
	if o.TLS != nil {
		config = o.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", hostPort(u, standard))
	if err != nil {
		return nil, err
	}
	return OpenTLS(ctx, nc, config)
}

func listenWebSocketTLS(u *url.URL, o Options) (net.Listener, error) {
	l, err := listenSecure(u, webSocketTLSPort, o)
	if err != nil {
		return nil, err
	}
	return ListenWebSocket(l, u.Path, o.WebSocket), nil
}

func dialWebSocketTLS(ctx context.Context, u *url.URL, o Options) (net.Conn, error) {
	nc, err := dialSecure(ctx, u, webSocketTLSPort, o)
	if err != nil {
		return nil, err
	}
	c, err := OpenWebSocket(ctx, nc, u.String())
	if err != nil {
		return nil, err
	}
	return c, nil
}
