package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/gobwas/ws"
)

const (
	// webSocketPort is the one of http, as in every URL that begins with ws://.
	webSocketPort = "80"
	// WebSocketPath is the path that clients ask for when their URL has none.
	WebSocketPath = "/mqtt"
	// answerBytes limits the answer to our handshake.
	answerBytes = 64 << 10
)

func dialWebSocket(ctx context.Context, u *url.URL, _ Options) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", hostPort(u, webSocketPort))
	if err != nil {
		return nil, err
	}
	c, err := OpenWebSocket(ctx, nc, u.String())
	if err != nil {
		return nil, err
	}
	return c, nil
}

// OpenWebSocket makes a WebSocket of nc, the connection to the server of rawURL, which is
// ws://host:port/path; an empty path stands for [WebSocketPath]. It takes nc over, and
// closes it when the server does not agree or ctx is done.
func OpenWebSocket(ctx context.Context, nc net.Conn, rawURL string) (*WebSocket, error) {
	c, err := openWebSocket(ctx, nc, rawURL)
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("open WebSocket: %w", err)
	}
	return c, nil
}

func openWebSocket(ctx context.Context, nc net.Conn, rawURL string) (*WebSocket, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Path == "" {
		u.Path = WebSocketPath
	}
	interrupt := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	dialer := ws.Dialer{Protocols: []string{Subprotocol}} // [MQTT-6.0.0-3] [MQTT311-6.0.0-3]
	answer := &answerReader{nc, answerBytes}
	buffered, chosen, err := dialer.Upgrade(answer, u)
	if !interrupt() {
		return nil, ctx.Err()
	}
	switch status := ws.StatusError(0); {
	case errors.As(err, &status):
		return nil, fmt.Errorf("the server answers with the HTTP status %d: check the port, and the path %q", int(status), u.Path)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("the server has closed without an answer: check that its port is one for WebSocket: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, err
	case chosen.Protocol != Subprotocol:
		return nil, fmt.Errorf("the server does not choose the subprotocol %q: check the port and the path %q", Subprotocol, u.Path)
	}
	var early []byte
	if buffered != nil {
		early = make([]byte, buffered.Buffered())
		io.ReadFull(buffered, early) // from memory
		ws.PutReader(buffered)
	}
	return newWebSocket(nc, ws.StateClientSide, early), nil
}

// answerReader reads at most left bytes.
type answerReader struct {
	net.Conn
	left int
}

func (r *answerReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, fmt.Errorf("the answer of the server has more than %d bytes", answerBytes)
	}
	n, err := r.Conn.Read(b[:min(len(b), r.left)])
	r.left -= n
	return n, err
}
