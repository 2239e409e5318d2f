package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// retry is how a client that outlives its connections comes back.
var retry = &client.Backoff{Min: time.Second, Max: 8 * time.Second}

// farewellTimeout is how long a DISCONNECT may take when a command ends.
const farewellTimeout = 5 * time.Second

// session is a connected client and what its command needs around it.
type session struct {
	*client.Client
	env     *invocation
	options *options
	out     *output
}

// dialError is a Network Connection that could not be made, as opposed to one over
// which the server has said no, or nothing.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// connect connects as the options say; when that fails it says why on standard error
// and returns no session and the exit code. tune may change what it connects with.
func (env *invocation) connect(o *options, out *output, tune func(*client.Options)) (*session, int) {
	if err := o.prepareTLS(); err != nil {
		env.complain(o, "Error: Problem setting TLS options: %s.", err)
		return nil, exitUsage
	}
	s := &session{env: env, options: o, out: out}
	settings := client.Options{
		Version:     o.version,
		ClientID:    o.clientID(func() string { return rand.Text()[:18] }),
		CleanStart:  o.cleanStart,
		KeepAlive:   o.keepAlive,
		HasUserName: o.userName != nil,
		Properties:  o.properties["connect"],
		MaxInflight: o.maxInflight,
		Dial:        o.dial,
	}
	if o.userName != nil {
		settings.UserName = *o.userName
	}
	if o.password != nil {
		settings.Password = []byte(*o.password)
	}
	o.useMethod(&settings)
	if o.willTopic != nil {
		settings.Will = &packet.Will{Topic: *o.willTopic, QoS: o.willQoS, Retain: o.willRetain, Properties: o.properties["will"]}
		if o.willPayload != nil {
			settings.Will.Payload = []byte(*o.willPayload)
		}
	}
	if o.debug && !o.quiet {
		settings.Trace = (&tracer{out: out, id: settings.ClientID, program: o.program}).trace
	}
	if tune != nil {
		tune(&settings)
	}
	if settings.Reconnect != nil && !env.mosquitto {
		settings.Trace = env.tellLosses(o, settings.Trace)
	}
	ctx := env.ctx
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	var err error
	if s.Client, err = client.Dial(ctx, o.url(), settings); err == nil {
		return s, exitOK
	}
	switch {
	case env.ctx.Err() != nil:
		return nil, exitInterrupted
	case ctx.Err() != nil:
		return nil, env.timedOut(o)
	}
	exit := env.ended(o, err)
	if hint := o.dialHint(err); hint != "" && !env.mosquitto {
		env.complain(o, hint)
	}
	if broken := new(colibri.Error); errors.As(err, &broken) && !env.mosquitto {
		env.complain(o, "Perhaps it is no MQTT broker: look whether this port is for TLS, WebSocket or another protocol.")
	}
	switch {
	case exit != exitLost || errors.Is(err, errSpeaksTLS):
	case o.secure():
		// In TLS 1.3 a server that refuses the client's certificate does so after the handshake,
		// and what it says may be lost with the connection.
		env.complain(o, "The server ended it without an answer to CONNECT: look at its log; perhaps it refuses the client's certificate, or wants one, see --cert and --key.")
	default:
		env.complain(o, "The server ended it without an answer to CONNECT: look at its log, or whether this port is for TLS, WebSocket or another protocol.")
	}
	return nil, exit
}

// tellLosses says on standard error when the connection is lost and when it is back, and
// passes every event on to trace. Mosquitto's programs keep silent.
func (env *invocation) tellLosses(o *options, trace func(client.Event)) func(client.Event) {
	away := false
	return func(e client.Event) {
		switch {
		case e.Kind == client.Waiting && !away:
			away = true
			env.complain(o, "The connection to the broker was lost; trying again until it is back.")
		case e.Kind == client.Connected && away:
			away = false
			env.complain(o, "The connection to the broker is back.")
		}
		if trace != nil {
			trace(e)
		}
	}
}

// dialHint says where no Network Connection could be made, and what to do about it:
// Mosquitto's texts, which scripts know, do not. It is empty for other errors.
func (o *options) dialHint(err error) string {
	var failed *dialError
	if !errors.As(err, &failed) || o.explainTLS(err) != "" {
		return ""
	}
	if hint := o.routeHint(failed.err); hint != "" {
		return hint
	}
	var lookup *net.DNSError
	switch {
	case o.port == 0:
		return fmt.Sprintf("No broker takes connections on the socket %s: start one there, or name another with --unix.", o.host)
	case errors.As(err, &lookup):
		return fmt.Sprintf("No host is known by the name '%s': check -h.", o.host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("Nothing listens on %s, port %s: start a broker there, or name another with -h and -p.", o.host, o.portNumber())
	}
	return fmt.Sprintf("That was %s, port %s: check -h and -p.", o.host, o.portNumber())
}

// url names the server in error texts of the client.
func (o *options) url() string {
	if o.port == 0 {
		return "unix://" + o.host
	}
	scheme := "tcp"
	switch {
	case o.quic:
		scheme = "quic"
	case o.webSocket && o.secure():
		scheme = "wss"
	case o.webSocket:
		scheme = "ws"
	case o.secure():
		scheme = "tls"
	}
	return (&url.URL{Scheme: scheme, Host: net.JoinHostPort(o.host, o.portNumber())}).String()
}

func (o *options) portNumber() string {
	switch {
	case o.port < 0 && o.secure():
		return transport.DefaultTLSPort
	case o.port < 0:
		return transport.DefaultPort
	}
	return strconv.Itoa(o.port)
}

// dial opens the Network Connection to the server.
func (o *options) dial(ctx context.Context, _ string) (net.Conn, error) {
	if o.quic {
		nc, err := transport.Dial(ctx, o.url(), transport.Options{TLS: o.tls.config})
		if err != nil {
			return nil, &dialError{err}
		}
		return nc, nil
	}
	nc, err := o.reach(ctx)
	if err == nil {
		nc, err = o.openTLS(ctx, nc)
	}
	if err == nil && o.webSocket {
		nc, err = transport.OpenWebSocket(ctx, nc, o.url())
	}
	if err != nil {
		return nil, &dialError{err}
	}
	return nc, nil
}

// leave ends the session with a DISCONNECT. With will the server of 5.0 publishes the
// Will Message all the same, as it does when Mosquitto's programs are interrupted.
func (s *session) leave(will bool) {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	code, properties := colibri.NormalDisconnection, colibri.Properties(nil)
	if s.options.version == colibri.V5 {
		properties = s.options.properties["disconnect"]
		if will {
			code = colibri.DisconnectWithWillMessage
		}
	}
	if err := s.Disconnect(ctx, code, properties); err != nil {
		s.Close() // as if there had been a DISCONNECT, but for the Will Message
	}
}

// complain writes a sentence to standard error, unless --quiet was given. What was
// printed before it comes first.
func (s *session) complain(format string, args ...any) {
	s.out.flush()
	s.env.complain(s.options, format, args...)
}

func (env *invocation) complain(o *options, format string, args ...any) {
	if !o.quiet {
		fmt.Fprintf(env.stderr, format+"\n", args...)
	}
}

// timedOut is the end by -W.
func (env *invocation) timedOut(o *options) int {
	env.complain(o, "Timed out")
	return exitTimeout
}

// ended says why a connection could not be made or has ended, and returns the exit code.
func (env *invocation) ended(o *options, err error) int {
	var dial *dialError
	var refusal *client.Refusal
	var broken *colibri.Error
	explained := o.explainTLS(err)
	switch {
	case explained != "":
		env.complain(o, "Error: A TLS error occurred.")
		env.complain(o, "%s.", explained)
		return exitTLS
	case errors.Is(err, errSpeaksTLS):
		env.complain(o, "Error: The connection was lost.")
		env.complain(o, "The server speaks TLS on this port: name its CA with --cafile, or its port without TLS with -p (most often 1883).")
		return exitLost
	case errors.As(err, &dial):
		if text, exit, ok := proxyFailure(dial.err); ok {
			env.complain(o, "%s", text)
			return exit
		}
		env.complain(o, "%s", connectFailure(dial.err))
		return exitUsage
	case errors.As(err, &refusal) && refusal.Packet == packet.CONNACK:
		code := refusal.Code
		if o.version < colibri.V5 {
			code = colibri.ReasonCode(refusal.ReturnCode)
		}
		text, exit := refusalText(o.version, code)
		env.complain(o, "Connection error: %s", text)
		env.complainReason(o, refusal)
		if o.program == pub {
			env.complain(o, "Error: The connection was refused.")
		}
		return exit
	case errors.As(err, &refusal):
		env.complain(o, "Error: The server has disconnected: %s.", refusal.Code.String())
		env.complainReason(o, refusal)
		return int(refusal.Code)
	case errors.As(err, &broken):
		env.complain(o, "Error: A network protocol error occurred when communicating with the broker.")
		env.complain(o, "%s.", broken)
		return exitProtocol
	case errors.Is(err, client.ErrPingTimeout):
		env.complain(o, "Error: Keepalive exceeded")
		return exitKeepAlive
	}
	env.complain(o, "Error: The connection was lost.")
	return exitLost
}

// complainReason adds the Reason String of a server that gives one.
func (env *invocation) complainReason(o *options, refusal *client.Refusal) {
	if reason, ok := refusal.Properties.Value(colibri.ReasonString); ok {
		env.complain(o, "%s", reason)
	}
}
