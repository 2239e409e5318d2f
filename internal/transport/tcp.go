package transport

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
)

func checkTCP(u *url.URL) error {
	if u.Path != "" && u.Path != "/" {
		return fmt.Errorf("address %q ends in a path, which TCP does not have: leave %q out", u, u.Path)
	}
	return checkHost(u)
}

func checkHost(u *url.URL) error {
	if strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[") {
		return fmt.Errorf("address %q is ambiguous: write an IPv6 address in brackets, as in %s://[::1]:1883", u, u.Scheme)
	}
	return nil
}

// hostPort returns the address for package net; standard is the port of a URL without
// one. TCP_NODELAY is on for every
// connection, as package net sets it: writers write whole batches.
func hostPort(u *url.URL, standard string) string {
	port := u.Port()
	if port == "" {
		port = standard
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func listenTCP(u *url.URL, o Options) (net.Listener, error) {
	return o.wrapped(net.Listen("tcp", hostPort(u, DefaultPort)))
}

func dialTCP(ctx context.Context, u *url.URL, _ Options) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", hostPort(u, DefaultPort))
}
