package cli

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// banner says what has started, who may connect, and what to do next.
func (s *brokerServer) banner() {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is running.\n", versionLine(s.env.name))
	widest := 0
	for _, l := range s.listeners {
		widest = max(widest, len(shown(l.name)))
	}
	for _, l := range s.listeners {
		how := ""
		if l.webSocket {
			how = ", by WebSocket"
		}
		if l.Addr().Network() == "udp" {
			how = ", by QUIC"
		}
		if l.secure != nil {
			how += ", with TLS"
			if l.secure.RequireCertificate {
				how += " and a certificate"
			}
		}
		if l.proxy {
			how += ", through a proxy"
			if l.proxyCert {
				how += " that asks for a certificate"
			}
		}
		fmt.Fprintf(&b, "  listening on  %-*s  open to %s%s\n", widest, shown(l.name), s.whom(l), how)
	}
	if s.stateDir == "" {
		fmt.Fprintf(&b, "  state         in memory only%s: it is lost when the broker ends\n", s.inMemory)
	} else {
		fmt.Fprintf(&b, "  state         in %s\n", shown(s.stateDir))
	}
	if s.account != nil {
		fmt.Fprintf(&b, "  runs as       the user %s\n", shown(s.account.name))
	}
	if s.config.LocalOnly() {
		s.hints(&b)
	}
	s.log.plain(b.String())
	for _, w := range s.config.Warnings {
		s.log.printf(logWarning, "Warning: %s:%d: %s.", w.File, w.Line, w.Text)
	}
	if s.env.alone && s.account == nil && os.Geteuid() == 0 && s.config.User.Name == "" {
		s.log.printf(logWarning, "Warning: the broker runs as root and keeps all its rights: add 'user NAME' to the configuration, for it to become that user when its ports are open.")
	}
	if !s.config.LocalOnly() && len(s.options.ports) > 0 {
		s.log.printf(logWarning, "Warning: -p has no effect, because %s has listeners of its own.", s.config.File)
	}
	if !slices.ContainsFunc(s.listeners, func(l *boundListener) bool { return l.chain.Anonymous || s.knowsUsers(l) }) {
		s.log.printf(logWarning, "Warning: nobody can connect, because no user is known: make a file with 'colibri passwd -c FILE USER' and add 'password_file FILE', or add 'allow_anonymous true' to let everybody in.")
	}
}

// whom says who may connect through l.
func (s *brokerServer) whom(l *boundListener) string {
	host, _, err := net.SplitHostPort(l.Addr().String())
	switch ip := net.ParseIP(host); {
	case len(l.chain.Checkers) > 0:
		return whomKnown(l.chain)
	case s.knowsUsers(l) && !l.chain.Anonymous:
		return "users of colibri_scram_file: anonymous clients are denied"
	case !l.chain.Anonymous:
		return "nobody: anonymous clients are denied"
	case err != nil: // a path
		return "anyone on this machine who may open that file, without a password"
	case ip.IsLoopback():
		return "anyone on this machine, without a password"
	}
	return "anyone who can reach this machine, without a password"
}

// knowsUsers reports whether somebody is asked about the clients of l.
func (s *brokerServer) knowsUsers(l *boundListener) bool {
	return len(l.chain.Checkers) > 0 || s.logins.scram.Name != ""
}

// hints say how to let others in, and what to type next.
func (s *brokerServer) hints(b *strings.Builder) {
	file := "my.conf"
	if s.config.File != "" {
		file = s.config.File
	}
	fmt.Fprintf(b, `Other machines cannot connect. To let them all in, without a password, put these lines
into %s and start with '%s -c %s':
  listener 1883
  allow_anonymous true
`, file, s.env.name, file)
	if !s.listeners[0].chain.Anonymous {
		return
	}
	sub, pub, port := "colibri sub", "colibri pub", ""
	if s.env.mosquitto {
		sub, pub = "mosquitto_sub", "mosquitto_pub"
	}
	if p := s.listeners[0].Addr().(*net.TCPAddr).Port; p != 1883 {
		port = fmt.Sprintf(" -p %d", p)
	}
	fmt.Fprintf(b, "Try it, in two other terminals:\n  %s%s -v -t '#'\n  %s%s -t hello -m world\n", sub, port, pub, port)
}
