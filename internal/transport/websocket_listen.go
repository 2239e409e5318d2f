package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gobwas/ws"

	"github.com/colibri-mqtt/colibri/internal/accept"
)

// WebSocketOptions are the choices of a listener for WebSocket. The zero value is ready
// to use.
type WebSocketOptions struct {
	// Origins are the web pages from which browsers may connect, such as
	// "https://example.org"; none means that all may, and also programs that name no
	// page.
	Origins []string
	// HeaderBytes limits the HTTP request that opens a connection; 0 stands for 4,096, the
	// least is 512.
	HeaderBytes int
	// Refused is told why a connection has not become a WebSocket, [accept.ErrCrowded] among
	// others. It is called by many goroutines, and must return soon. Nil discards it.
	Refused func(remote net.Addr, err error)
}

const (
	defaultHeaderBytes = 4096
	leastHeaderBytes   = 512
	headChunk          = 4096 // read at once, which bounds what comes early
)

func listenWebSocket(u *url.URL, o Options) (net.Listener, error) {
	l, err := o.wrapped(net.Listen("tcp", hostPort(u, webSocketPort)))
	if err != nil {
		return nil, err
	}
	return ListenWebSocket(l, u.Path, o.WebSocket), nil
}

// ListenWebSocket returns a listener whose Accept returns a *[WebSocket] for each
// connection of l that asks for one at path; an empty path and "/" stand for any. It takes
// l over.
func ListenWebSocket(l net.Listener, path string, o WebSocketOptions) net.Listener {
	if o.HeaderBytes == 0 {
		o.HeaderBytes = defaultHeaderBytes
	}
	o.HeaderBytes = max(o.HeaderBytes, leastHeaderBytes)
	if path == "/" {
		path = ""
	}
	w := &webSocketServer{path: path, o: o}
	open := func(nc *accept.Watched) (net.Conn, error) { return w.open(nc) }
	return accept.Handshakes{Network: "ws", Time: handshakeTime, Open: open, Failed: o.Refused}.Listen(l)
}

// webSocketServer answers the requests that clients of a listener open WebSockets with.
type webSocketServer struct {
	path string
	o    WebSocketOptions
}

// open makes a WebSocket of nc.
func (l *webSocketServer) open(nc net.Conn) (net.Conn, error) {
	early, err := l.handshake(nc)
	if err != nil {
		return nil, err
	}
	return newWebSocket(accept.Unwatched(nc), ws.StateServerSide, early), nil
}

// handshake answers the request of nc. early is what came behind the request.
func (l *webSocketServer) handshake(nc net.Conn) (early []byte, err error) {
	head, early, err := readHead(nc, l.o.HeaderBytes)
	if err != nil {
		var refusal *httpRefusal
		if errors.As(err, &refusal) {
			nc.Write(refusal.response())
		}
		return nil, err
	}
	answer, err := l.answer(head)
	if _, failed := nc.Write(answer); err == nil {
		err = failed
	}
	return early, err
}

// httpRefusal refuses a request. reason is a sentence without its full stop.
type httpRefusal struct {
	status int
	reason string
}

func (e *httpRefusal) Error() string {
	return fmt.Sprintf("WebSocket handshake: %s (HTTP status %d)", e.reason, e.status)
}

// response returns the HTTP response, for people who have typed the address into a browser.
func (e *httpRefusal) response() []byte {
	body := "This port is for MQTT over WebSocket, and the request does not open one: " + e.reason + ".\n"
	more := ""
	if e.status == http.StatusUpgradeRequired {
		more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s",
		e.status, http.StatusText(e.status), len(body), more, body)
}

// readHead reads an HTTP request up to its empty line, and returns it and what came
// behind it.
func readHead(nc net.Conn, limit int) (head, early []byte, err error) {
	b := make([]byte, 0, min(limit, 1024))
	for {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(2*cap(b), limit)), b...)
		}
		n, err := nc.Read(b[len(b):min(cap(b), len(b)+headChunk)])
		b = b[:len(b)+n]
		if strange := notHTTP(b); strange != "" {
			return nil, nil, errors.New("WebSocket handshake: " + strange)
		}
		if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
			end += len("\r\n\r\n")
			return b[:end], bytes.Clone(b[end:]), nil
		}
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("WebSocket handshake: the request is not complete: %w", err)
		case len(b) >= limit:
			return nil, nil, &httpRefusal{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("its head has more than %d bytes", limit)}
		}
	}
}

// notHTTP says what else than a request of HTTP begins with b, in the words of the
// commonest mistakes; it is empty when b may be one.
func notHTTP(b []byte) string {
	switch {
	case len(b) == 0, b[0] >= 'A' && b[0] <= 'Z':
		return ""
	case b[0] == 0x10:
		return "the client speaks MQTT without WebSocket, and this port is for WebSocket only"
	case b[0] == 0x16:
		return "the client speaks TLS, and this port does not"
	}
	return "the client speaks neither HTTP nor WebSocket"
}

// answer returns the response to a request; with an error it refuses.
func (l *webSocketServer) answer(head []byte) ([]byte, error) {
	mqtt, mqtt31, origin := false, false, ""
	upgrader := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			path, _, _ := strings.Cut(string(uri), "?")
			if l.path != "" && path != l.path {
				return &httpRefusal{http.StatusNotFound, "there is nothing at its path"}
			}
			return nil
		},
		OnHeader: func(key, value []byte) error {
			if string(key) == "Origin" {
				origin = string(value)
			}
			return nil
		},
		ProtocolCustom: func(offer []byte) (string, bool) {
			for name := range strings.SplitSeq(string(offer), ",") {
				mqtt = mqtt || strings.TrimSpace(name) == Subprotocol
				mqtt31 = mqtt31 || strings.TrimSpace(name) == oldSubprotocol
			}
			return "", true // chosen when all offers are known
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !l.allowed(origin) {
				return nil, &httpRefusal{http.StatusForbidden, "its origin is not one from which clients may connect"}
			}
			switch {
			case mqtt: // [MQTT-6.0.0-4] [MQTT311-6.0.0-4]
				return subprotocolHeader(Subprotocol), nil
			case mqtt31:
				return subprotocolHeader(oldSubprotocol), nil
			}
			return nil, &httpRefusal{http.StatusBadRequest, "it does not offer the subprotocol mqtt"}
		},
	}
	var response bytes.Buffer
	_, err := upgrader.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(head), &response})
	if err == nil {
		return response.Bytes(), nil
	}
	var refusal *httpRefusal
	if !errors.As(err, &refusal) {
		refusal = &httpRefusal{http.StatusBadRequest, strings.TrimPrefix(err.Error(), "handshake error: ")}
		var rejected *ws.ConnectionRejectedError
		if errors.As(err, &rejected) && rejected.StatusCode() != 0 {
			refusal.status = rejected.StatusCode()
		}
		if err == ws.ErrHandshakeBadUpgrade {
			refusal = &httpRefusal{http.StatusUpgradeRequired, "it does not ask for the upgrade to websocket"}
		}
	}
	return refusal.response(), refusal
}

// oldSubprotocol is what clients of MQTT 3.1 ask for. Mosquitto knows it too.
const oldSubprotocol = "mqttv3.1"

func subprotocolHeader(name string) ws.HandshakeHeader {
	return ws.HandshakeHeaderString("Sec-WebSocket-Protocol: " + name + "\r\n")
}

// allowed reports whether a client of that origin may connect.
func (l *webSocketServer) allowed(origin string) bool {
	for _, one := range l.o.Origins {
		if strings.EqualFold(one, origin) {
			return true
		}
	}
	return len(l.o.Origins) == 0
}
