package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/transport"
)

// reach opens the stream of bytes below WebSocket and TLS: that of -h, -p, --unix, -A, -S
// and --proxy.
func (o *options) reach(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	if o.port == 0 {
		return dialer.DialContext(ctx, "unix", o.host)
	}
	if o.bind != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(o.bind, "0"))
		if err != nil {
			return nil, fmt.Errorf("bind address: %w", err)
		}
		dialer.LocalAddr = local
	}
	addresses := []string{net.JoinHostPort(o.host, o.portNumber())}
	if o.srv {
		resolver := o.resolver
		if resolver == nil {
			resolver = net.DefaultResolver
		}
		var err error
		if addresses, err = transport.LookupServers(ctx, resolver, o.service(), o.host); err != nil {
			return nil, err
		}
	}
	var first error
	for _, address := range addresses {
		nc, err := o.reachServer(ctx, &dialer, address)
		if err == nil {
			return nc, nil
		}
		if first == nil { // what the best server said
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

func (o *options) reachServer(ctx context.Context, dialer *net.Dialer, address string) (net.Conn, error) {
	if o.proxy != nil {
		return o.proxy.Dial(ctx, dialer, address)
	}
	return dialer.DialContext(ctx, "tcp", address)
}

// service is what SRV records are asked for.
func (o *options) service() string {
	if o.secure() {
		return transport.ServiceSecureMQTT
	}
	return transport.ServiceMQTT
}

// routeHint is dialHint for -S and --proxy; empty when it was neither.
func (o *options) routeHint(err error) string {
	var failed *transport.ProxyError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &failed) && failed.Refusal == transport.ProxyNoRoute:
		return sentence(failed.Error()) + " Check -h and -p."
	case errors.As(err, &failed):
		return sentence(failed.Error()) + " Check --proxy."
	case o.srv && errors.As(err, &lookup) && strings.HasPrefix(lookup.Name, "_"+o.service()):
		return fmt.Sprintf("No server is named by SRV records of '_%s._tcp.%s': check -h, or leave -S out and name the server with -h and -p.", o.service(), o.host)
	case o.srv:
		return fmt.Sprintf("None of the servers that the SRV records of '_%s._tcp.%s' name could be reached.", o.service(), o.host)
	}
	return ""
}

// proxyFailure returns the sentence and the exit code of Mosquitto's programs for a proxy
// that has made no connection; ok is false when there was none.
func proxyFailure(err error) (text string, exit int, ok bool) {
	var failed *transport.ProxyError
	if !errors.As(err, &failed) || !failed.Reached {
		return "", 0, false
	}
	switch failed.Refusal {
	case transport.ProxyNotAllowed:
		return "Error: Authorisation failed.", exitNotAllowed, true
	case transport.ProxyNoRoute:
		return "Error: The client is not currently connected.", exitNoRoute, true
	}
	return "Error: Proxy error.", exitProxy, true
}

func setProxy(o *options, value string) error {
	if scheme, _, _ := strings.Cut(value, "://"); !strings.EqualFold(scheme, "socks5h") {
		return usagef("Unsupported proxy protocol: write socks5h://HOST:PORT, or socks5h://USER:PASSWORD@HOST:PORT.")
	}
	p, err := transport.ParseProxy(value)
	if err != nil {
		return usagef("%s.", capitalised(err.Error()))
	}
	o.proxy = p
	return nil
}

// checkRoute refuses ways to the server that do not go together.
func (o *options) checkRoute() error {
	switch {
	case o.srv && o.port == 0:
		return usagef("Combining '-S' and '--unix' makes no sense.")
	case o.srv && o.webSocket:
		return usagef("Combining '-S' and '--ws' makes no sense: SRV records name ports without WebSocket.")
	case o.proxy != nil && o.port == 0:
		return usagef("Combining '--proxy' and '--unix' makes no sense.")
	}
	return nil
}
