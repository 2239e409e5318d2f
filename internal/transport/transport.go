// Package transport makes connections and listeners from URLs. Whoever uses it
// sees net.Conn and net.Listener only and does not know what carries the bytes:
//
//	tcp://host:port   TCP; port 1883 when there is none. mqtt:// is the same.
//	tls://host:port   TLS; port 8883 when there is none. mqtts:// and ssl:// are the same.
//	unix:///path      a Unix domain socket
//	ws://host:port/p  WebSocket; port 80 when there is none. Listeners without a
//	                  path take any, clients without one ask for /mqtt.
//	wss://host:port/p WebSocket inside TLS; port 443 when there is none
//	quic://host:port  QUIC; UDP port 14567 when there is none
//
// An IPv6 address stands in brackets: tcp://[::1]:1883. For tests there is a
// transport in memory, see [Memory] and [Pipe].
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/accept"
)

// DefaultPort is the TCP port registered for MQTT.
const DefaultPort = "1883"

// Options are the choices that a URL does not carry. The zero value is ready to use.
type Options struct {
	// SocketMode is the mode of the file of a listening Unix domain socket; 0
	// is for its owner alone. Until it has that mode, it is for the owner alone too.
	SocketMode fs.FileMode
	// SocketOwner and SocketGroup are the user and the group, by name or number, that a
	// listening Unix domain socket is given to; empty: those of the process.
	SocketOwner, SocketGroup string
	// Wrap, if it is not nil, takes the listener of the sockets over and returns the one
	// whose connections carry TLS, WebSocket or MQTT, such as one that lets some in only.
	Wrap func(net.Listener) net.Listener
	// PerAddress counts the connections of a listener by their addresses, before any
	// handshake but that of Wrap; nil for none.
	PerAddress *accept.Addresses
	// WebSocket is for listeners of WebSocket.
	WebSocket WebSocketOptions
	// TLS is for the schemes with TLS. A listener needs it. Without it a client trusts
	// the CAs of its system, and without a ServerName in it the host of the URL is meant.
	TLS *tls.Config
	// TLSRefused is told why a connection of a listener has not got over the handshake of
	// TLS or QUIC, [accept.ErrCrowded] among others. It is called by many goroutines, and
	// must return soon. Nil discards it.
	TLSRefused func(remote net.Addr, err error)
}

// wrapped returns what stands in the place of a listener of sockets.
func (o *Options) wrapped(l net.Listener, err error) (net.Listener, error) {
	if err != nil {
		return nil, err
	}
	if o.Wrap != nil {
		l = o.Wrap(l)
	}
	if o.PerAddress != nil {
		l = o.PerAddress.Listen(l)
	}
	return l, nil
}

// scheme is one kind of transport.
type scheme struct {
	listen func(u *url.URL, o Options) (net.Listener, error)
	dial   func(ctx context.Context, u *url.URL, o Options) (net.Conn, error)
}

var schemes = map[string]scheme{
	"tcp":  {listenTCP, dialTCP},
	"mqtt": {listenTCP, dialTCP},
	"unix": {listenUnix, dialUnix},
	"ws":   {listenWebSocket, dialWebSocket},

	"tls":   {listenTLS, dialTLS},
	"mqtts": {listenTLS, dialTLS},
	"ssl":   {listenTLS, dialTLS},
	"wss":   {listenWebSocketTLS, dialWebSocketTLS},
	"quic":  {listenQUIC, dialQUIC},
}

// Listen listens at rawURL. Closing the listener leaves no file behind and does not
// close the connections that it has accepted.
func Listen(rawURL string, o Options) (net.Listener, error) {
	u, s, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	return s.listen(u, o)
}

// Dial connects to rawURL. It gives up when ctx is done; ctx has no effect
// on the connection that is returned.
func Dial(ctx context.Context, rawURL string, o Options) (net.Conn, error) {
	u, s, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	return s.dial(ctx, u, o)
}

// Check returns the error that Listen and Dial would return for the form of
// rawURL, without opening anything.
func Check(rawURL string) error {
	_, _, err := parse(rawURL)
	return err
}

// parse never shows the user information of rawURL in an error: it may be a Password.
func parse(rawURL string) (*url.URL, scheme, error) {
	shown := rawURL
	if at := strings.LastIndexByte(rawURL, '@'); at >= 0 {
		begin, _, ok := strings.Cut(rawURL[:at], "://")
		if shown = "…" + rawURL[at:]; ok {
			shown = begin + "://" + shown
		}
	}
	name, _, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, scheme{}, fmt.Errorf("address %q has no scheme: write it as tcp://host:port or unix:///path", shown)
	}
	s, ok := schemes[strings.ToLower(name)]
	if !ok {
		return nil, scheme{}, fmt.Errorf("address %q has the unknown scheme %q: use one of %s", shown, name, Known())
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, scheme{}, fmt.Errorf("address %q: %w: write it as tcp://host:port, an IPv6 address in brackets", shown, err)
	}
	switch {
	case u.User != nil:
		return nil, scheme{}, fmt.Errorf("address %q holds a User Name: give it as an option of its own", shown)
	case u.Fragment != "" || u.RawQuery != "" && u.Scheme != "ws" && u.Scheme != "wss":
		return nil, scheme{}, fmt.Errorf("address %q ends in a query or fragment, which this transport does not have: leave it out", shown)
	case u.Scheme == "unix":
		return u, s, checkUnix(u)
	case u.Scheme == "quic":
		return u, s, checkQUIC(u)
	case u.Scheme == "ws", u.Scheme == "wss":
		return u, s, checkHost(u)
	}
	return u, s, checkTCP(u)
}

// Known returns the schemes that Listen and Dial take, sorted, as a text such as
// "mqtt, tcp, unix".
func Known() string {
	return strings.Join(slices.Sorted(maps.Keys(schemes)), ", ")
}
