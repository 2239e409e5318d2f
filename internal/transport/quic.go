package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// DefaultQUICPort is the UDP port that others use for MQTT over QUIC; none is registered.
	DefaultQUICPort = "14567"
	// quicProtocol is the name of MQTT in ALPN, without which there is no QUIC.
	quicProtocol = "mqtt"

	// quicIdle ends a connection whose peer has gone without a word. Both ends send something
	// in quicAlive, so that a client may be silent for as long as its Keep Alive allows, and
	// routers on the way do not forget it.
	quicIdle  = time.Minute
	quicAlive = 20 * time.Second
	// quicTime is how long a client may take from its first packet to its stream.
	quicTime = 10 * time.Second
	// quicStreamBytes and quicConnBytes bound what a peer may send before it is read.
	quicStreamBytes = 512 << 10
	quicConnBytes   = 768 << 10
)

// QUIC is a Network Connection that is the first bidirectional stream of a QUIC connection, and the
// only one: the client opens it, and its end is the end of the connection. One goroutine may read, any may
// write and close.
type QUIC struct {
	*quic.Stream
	conn          *quic.Conn
	local, remote net.Addr // a QUIC connection may move: these are those of its beginning

	reading sync.Mutex // held while a goroutine reads
	closed  atomic.Bool
}

func newQUIC(conn *quic.Conn, stream *quic.Stream) *QUIC {
	return &QUIC{Stream: stream, conn: conn, local: conn.LocalAddr(), remote: conn.RemoteAddr()}
}

// LocalAddr and RemoteAddr return the addresses with which the connection began.
func (c *QUIC) LocalAddr() net.Addr  { return c.local }
func (c *QUIC) RemoteAddr() net.Addr { return c.remote }

// Protocol names what carries MQTT.
func (c *QUIC) Protocol() string { return "QUIC" }

// ConnectionState returns what is known of the TLS inside QUIC.
func (c *QUIC) ConnectionState() tls.ConnectionState { return c.conn.ConnectionState().TLS }

// Read reads from the stream. Its end, and that of the connection without an error, is io.EOF.
func (c *QUIC) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Stream.Read(b)
	if err != nil && n == 0 && c.closed.Load() {
		return 0, net.ErrClosed
	}
	return n, quicEnd(err)
}

// Write writes to the stream.
func (c *QUIC) Write(b []byte) (int, error) {
	n, err := c.Stream.Write(b)
	if quicEnd(err) == io.EOF {
		err = io.ErrClosedPipe
	}
	return n, err
}

// quicEnd returns io.EOF for the end of a connection that its peer has closed without an error.
func quicEnd(err error) error {
	if end, ok := errors.AsType[*quic.ApplicationError](err); ok && end.Remote && end.ErrorCode == 0 {
		return io.EOF
	}
	return err
}

// Close ends the stream. What was written before goes on its way; the connection is closed when
// the peer has ended the stream as well, at the latest after a second. It does not wait.
func (c *QUIC) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	c.Stream.SetReadDeadline(time.Unix(1, 0)) // whoever reads lets go
	err := c.Stream.Close()
	go c.finish()
	return err
}

// finish reads the stream to its end: a peer that has ended it has had all of ours.
func (c *QUIC) finish() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.Stream.SetReadDeadline(time.Now().Add(farewellTime))
	io.Copy(io.Discard, c.Stream)
	c.conn.CloseWithError(0, "")
}

// quicConfig is for both ends. The only stream is a client's.
func quicConfig(streams int64) *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout: quicTime / 2, MaxIdleTimeout: quicIdle, KeepAlivePeriod: quicAlive,
		MaxIncomingStreams: streams, MaxIncomingUniStreams: -1,
		MaxStreamReceiveWindow: quicStreamBytes, MaxConnectionReceiveWindow: quicConnBytes,
		InitialStreamReceiveWindow: 64 << 10, InitialConnectionReceiveWindow: 64 << 10,
	}
}

// quicTLS returns config for a protocol that needs TLS 1.3 and ALPN.
func quicTLS(config *tls.Config) *tls.Config {
	if config == nil {
		config = &tls.Config{}
	}
	config = config.Clone()
	config.NextProtos, config.MinVersion = []string{quicProtocol}, tls.VersionTLS13
	if choose := config.GetConfigForClient; choose != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return nil, err
			}
			chosen = chosen.Clone()
			chosen.NextProtos, chosen.MinVersion = []string{quicProtocol}, tls.VersionTLS13
			return chosen, nil
		}
	}
	return config
}

// quietQUIC keeps the library from writing to standard error that the system has small
// buffers for UDP: it runs with them all the same.
var quietQUIC = sync.OnceFunc(func() { os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") })

func dialQUIC(ctx context.Context, u *url.URL, o Options) (net.Conn, error) {
	quietQUIC()
	config := quicTLS(o.TLS)
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	conn, err := quic.DialAddr(ctx, hostPort(u, DefaultQUICPort), config, quicConfig(-1))
	if err != nil {
		return nil, fmt.Errorf("open QUIC: %w", err)
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		conn.CloseWithError(0, "")
		return nil, fmt.Errorf("open a stream of QUIC: %w", err)
	}
	return newQUIC(conn, stream), nil
}

// listenQUIC listens on a UDP port, whose socket stays open for the connections that were
// accepted when the listener is closed.
func listenQUIC(u *url.URL, o Options) (net.Listener, error) {
	quietQUIC()
	if o.TLS == nil {
		return nil, errors.New("listen by QUIC: there is no certificate, and QUIC needs one")
	}
	socket, err := net.ListenPacket("udp", hostPort(u, DefaultQUICPort))
	if err != nil {
		return nil, err
	}
	l := &quicListener{socket: socket, accepted: make(chan accepted), crowd: newQUICCrowd(o.PerAddress), failed: o.TLSRefused}
	l.life, l.end = context.WithCancel(context.Background())
	l.transport = &quic.Transport{Conn: socket, ConnContext: l.begin,
		VerifySourceAddress: func(net.Addr) bool { return l.crowd.suspicious() }}
	if l.inner, err = l.transport.Listen(quicTLS(o.TLS), quicConfig(1)); err != nil {
		socket.Close()
		return nil, err
	}
	go l.run()
	return l, nil
}

// quicListener has a goroutine that accepts connections, and one for each that has to open its
// stream.
type quicListener struct {
	socket    net.PacketConn
	transport *quic.Transport
	inner     *quic.Listener
	accepted  chan accepted
	crowd     *quicCrowd
	failed    func(remote net.Addr, err error) // may be nil

	life context.Context // ends with Close
	end  context.CancelFunc

	mu   sync.Mutex
	open int // connections, those without a stream included
}

// accepted is what Accept returns.
type accepted struct {
	nc  net.Conn
	err error
}

// handshakeKey is the key of a connection's *quicHandshake.
type handshakeKey struct{}

// begin takes a place for a connection; it has it until it has its stream or has ended.
func (l *quicListener) begin(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
	h, err := l.crowd.enter(client.RemoteAddr, client.AddrVerified)
	if err != nil {
		l.refuse(client.RemoteAddr, err)
		return nil, err
	}
	l.count(1)
	context.AfterFunc(ctx, func() {
		if err := h.end(context.Cause(ctx)); err != nil {
			l.refuse(h.remote, err)
		}
		l.count(-1)
	})
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// refuse tells that a client has come to no stream, and why. The limit of addresses has told
// itself.
func (l *quicListener) refuse(remote net.Addr, err error) {
	if l.failed != nil && l.life.Err() == nil && err != errQUICAddress {
		l.failed(remote, err)
	}
}

// count counts connections. The socket is closed when there are none and the listener is closed.
func (l *quicListener) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open += n; l.open == 0 && l.life.Err() != nil {
		go func() {
			l.transport.Close()
			l.socket.Close()
		}()
	}
}

// Addr returns the address of the UDP socket.
func (l *quicListener) Addr() net.Addr { return l.inner.Addr() }

// Accept waits for the next connection with a stream.
func (l *quicListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.nc, a.err
	case <-l.life.Done():
		return nil, &net.OpError{Op: "accept", Net: "quic", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and the handshakes under way; connections that were accepted stay.
func (l *quicListener) Close() error {
	l.end()
	err := l.inner.Close()
	l.count(0)
	return err
}

func (l *quicListener) run() {
	for {
		conn, err := l.inner.Accept(l.life)
		if err != nil {
			l.deliver(accepted{nil, &net.OpError{Op: "accept", Net: "quic", Addr: l.Addr(), Err: err}})
			return // it does not come back
		}
		go l.openStream(conn)
	}
}

// deliver hands a to Accept; false when the listener was closed before.
func (l *quicListener) deliver(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.life.Done():
		return false
	}
}

// openStream waits for the stream of one connection.
func (l *quicListener) openStream(conn *quic.Conn) {
	ctx, cancel := context.WithTimeout(l.life, quicTime)
	defer cancel()
	h := conn.Context().Value(handshakeKey{}).(*quicHandshake)
	defer h.leave()
	if h.connected(conn) != nil {
		conn.CloseWithError(0, "")
		return
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		h.fails(err)
	} else if h.open() && l.deliver(accepted{newQUIC(conn, stream), nil}) {
		return
	}
	conn.CloseWithError(0, "")
}

// checkQUIC is checkTCP for the other protocol.
func checkQUIC(u *url.URL) error {
	if u.Path != "" && u.Path != "/" {
		return fmt.Errorf("address %q ends in a path, which QUIC does not have: leave %q out", u, u.Path)
	}
	return checkHost(u)
}
