package config

import (
	"errors"
	"net/netip"
	"strings"
)

// Proxy says which PROXY protocol a listener expects, and from whom.
type Proxy struct {
	Version    int            // 1 or 2; 0 for none
	From       []netip.Prefix // the networks of the proxies; none: those of this machine and of private use
	RequireTLS bool           // the header has to say that the client used TLS
}

// proxyOptions returns the rows of the table that Mosquitto does not have: it believes the header
// of everybody.
func proxyOptions() []option {
	return []option{
		{names: words("colibri_proxy_from"), scope: listener, set: func(r *reader, v value) error {
			l := r.listener()
			for _, word := range strings.FieldsFunc(v.text, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' }) {
				network, err := parseNetwork(word)
				if err != nil {
					return r.errorf("'%s' is not a network; write an address, or a network such as 192.0.2.0/24", word)
				}
				l.Proxy.From = append(l.Proxy.From, network)
			}
			return nil
		}},
	}
}

// parseNetwork reads a network, or an address that stands for itself.
func parseNetwork(word string) (netip.Prefix, error) {
	if !strings.Contains(word, "/") {
		address, err := netip.ParseAddr(word)
		if err != nil {
			return netip.Prefix{}, err
		}
		address = address.Unmap()
		return address.Prefix(address.BitLen())
	}
	network, err := netip.ParsePrefix(word)
	if err == nil && network.Addr().Is4In6() {
		err = errors.New("an IPv4 network in the form of IPv6")
	}
	return network.Masked(), err
}

// checkProxies refuses options of the PROXY protocol that do not fit together, and warns where
// the standard networks hold.
func checkProxies(c *Config) error {
	for i := range c.Listeners {
		l := &c.Listeners[i]
		mistake := func(key, text string) error { return &Error{File: l.File, Line: l.Line, Key: key, Text: text} }
		switch p := &l.Proxy; {
		case p.RequireTLS && p.Version != 2:
			return mistake("proxy_protocol_v2_require_tls", "this listener has proxy_protocol_v2_require_tls, which only version 2 can satisfy; add 'enable_proxy_protocol 2', or take it out")
		case len(p.From) > 0 && p.Version == 0:
			return mistake("colibri_proxy_from", "this listener has colibri_proxy_from and does not read the PROXY protocol; add 'enable_proxy_protocol 2', or take it out")
		case p.Version > 0 && len(p.From) == 0 && l.Path == "" && (l.TLS.RequireCertificate || l.TLS.OptionalCertificate) && !l.TLS.On():
			c.Warnings = append(c.Warnings, Warning{l.File, l.Line, "this listener has enable_proxy_protocol without colibri_proxy_from, so everybody on this machine and in private networks may say of himself whose certificate he has; add 'colibri_proxy_from NETWORK' with those of your proxies"})
		case p.Version > 0 && len(p.From) == 0 && l.Path == "":
			c.Warnings = append(c.Warnings, Warning{l.File, l.Line, "this listener has enable_proxy_protocol without colibri_proxy_from, so only proxies on this machine and in private networks may connect to it; add 'colibri_proxy_from NETWORK' with those of yours"})
		}
	}
	return nil
}
