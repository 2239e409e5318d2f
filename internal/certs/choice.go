package certs

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Version returns the least version of TLS that name, such as "tlsv1.2", allows; an empty
// one stands for TLS 1.2. Older ones are refused: RFC 8996 has done away with them.
func Version(name string) (uint16, error) {
	switch strings.ToLower(name) {
	case "", "tlsv1.2":
		return tls.VersionTLS12, nil
	case "tlsv1.3":
		return tls.VersionTLS13, nil
	case "tlsv1", "tlsv1.0", "tlsv1.1", "sslv3":
		return 0, fmt.Errorf("'%s' is not safe any more, and this program does not have it: write tlsv1.2 or tlsv1.3", name)
	}
	return 0, fmt.Errorf("'%s' is not a version of TLS: write tlsv1.2 or tlsv1.3", name)
}

// suites are the names that OpenSSL has for the suites of TLS 1.2. The suites of Go that
// are not here are known to be weak.
var suites = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
}

// Ciphers returns the suites of TLS 1.2 that list names, as OpenSSL or the IANA calls them,
// with colons between them; nil for an empty list, which stands for all that are safe. Their
// order has no meaning: crypto/tls prefers what is fast and safe on both machines. The suites
// of TLS 1.3 cannot be chosen, and all of them are safe.
func Ciphers(list string) (ids []uint16, err error) {
	for name := range strings.FieldsFuncSeq(list, func(c rune) bool { return c == ':' || c == ',' || c == ' ' }) {
		id, ok := suites[name]
		for _, known := range tls.CipherSuites() {
			if known.Name == name && slices.Contains(known.SupportedVersions, tls.VersionTLS12) {
				id, ok = known.ID, true
			}
		}
		if !ok {
			return nil, fmt.Errorf("'%s' is not the name of a cipher suite that this program has: write names such as ECDHE-RSA-AES256-GCM-SHA384 with colons between them, or leave it out for all that are safe", name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
