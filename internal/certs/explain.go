package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Explain says in a sentence, without its full stop, which check of TLS has failed for a
// client whose connection to host ended with err, and what to do. It is empty when err has
// nothing to do with TLS. host is a name or an address without port.
func Explain(err error, host string) string {
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return whyNotServer(failed, host)
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if header.RecordHeader[0] == 'H' { // of HTTP/1.1 400
			return "The server speaks HTTP without TLS on this port: use ws:// instead of wss://, or name its port for TLS with -p"
		}
		return "The server does not speak TLS on this port: leave the TLS flags out, or name its port for TLS with -p (most often 8883)"
	}
	if alert := remoteAlert(err); alert != "" {
		if text, ok := serverAlerts[alert]; ok {
			return text
		}
		return fmt.Sprintf("The server has ended TLS with the alert '%s': look at its log", alert)
	}
	if during, ok := errors.AsType[*HandshakeError](err); ok {
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "The server does not answer to TLS: check that this port is one for TLS"
		case strings.Contains(during.Err.Error(), "server selected unsupported protocol version"):
			return "The server offers no version of TLS that is new enough: have it updated, or take --tls-version out"
		case gone(err):
			return "The server has closed the connection instead of answering to TLS: check that this port is one for TLS (most often 8883), and look at the server's log"
		}
		return "TLS with the server has failed: " + strings.TrimPrefix(during.Err.Error(), "tls: ")
	}
	return ""
}

// HandshakeError is the failure of a handshake, for Explain and ExplainClient. It wraps the
// cause.
type HandshakeError struct{ Err error }

// Error returns the cause.
func (e *HandshakeError) Error() string { return "TLS handshake: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// serverAlerts say what a server means by its alerts.
var serverAlerts = map[string]string{
	"certificate required":           "The server requires a certificate of the client: give one with --cert and --key",
	"bad certificate":                "The server refuses the client's certificate: it may be revoked, not be valid yet, or miss altogether; see --cert and --key, and the server's log",
	"revoked certificate":            "The server refuses the client's certificate because it was revoked: get a new one for --cert and --key",
	"expired certificate":            "The server refuses the client's certificate because it has expired or is not valid yet: get a new one for --cert and --key, and compare the clocks",
	"unknown certificate authority":  "The server refuses the client's certificate because it does not know the CA that has signed it: use another one with --cert and --key, or have the CA added to the server's cafile",
	"unsupported certificate":        "The server refuses the client's certificate because it is not made for clients: its extended key usage must be clientAuth",
	"unknown certificate":            "The server refuses the client's certificate: use another one with --cert and --key, and see the server's log",
	"protocol version not supported": "The server does not take this version of TLS: update the older of both, or take --tls-version out",
	"handshake failure":              "The server and the client have no way of encrypting in common, or the server requires a certificate: see --ciphers, --cert and --key, and the server's log",
	"no application protocol":        "The server does not know the protocol of --tls-alpn: take it out, or set it to mqtt",
	"unrecognized name":              "The server has no certificate for this name: check -h",
}

// remoteAlert returns the text of the alert by which the peer has ended TLS; empty for none.
func remoteAlert(err error) string {
	failed, ok := errors.AsType[*net.OpError](err)
	if !ok || failed.Op != "remote error" {
		return ""
	}
	return strings.TrimPrefix(failed.Err.Error(), "tls: ")
}

// gone reports whether err says that the peer has closed.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "connection reset") ||
		strings.Contains(err.Error(), "broken pipe")
}

// whyNotServer says why a client does not accept the certificate of its server.
func whyNotServer(failed *tls.CertificateVerificationError, host string) string {
	leaf := failed.UnverifiedCertificates[0]
	if _, ok := errors.AsType[x509.HostnameError](failed.Err); ok {
		names := namesOf(leaf)
		if len(names) == 0 {
			return fmt.Sprintf("The server's certificate '%s' holds no name or address that could be compared with '%s': have one made with subject alternative names", nameOf(leaf.Subject), host)
		}
		return fmt.Sprintf("The server's certificate is for %s, not for '%s': use one of these with -h, or have a certificate made for '%s'", strings.Join(names, ", "), host, host)
	}
	if text := outsideItsTime(failed.Err, leaf, "The server's certificate"); text != "" {
		return text
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](failed.Err); ok {
		if leaf.Issuer.String() == leaf.Subject.String() {
			return fmt.Sprintf("The server's certificate '%s' is signed by itself and not trusted here: name it with --cafile if it is the right one", nameOf(leaf.Subject))
		}
		return fmt.Sprintf("The server's certificate '%s' is signed by the CA '%s', which is not trusted here: name the certificate of that CA with --cafile", nameOf(leaf.Subject), nameOf(leaf.Issuer))
	}
	return fmt.Sprintf("The server's certificate '%s' is not accepted: %s", nameOf(leaf.Subject), strings.TrimPrefix(failed.Err.Error(), "x509: "))
}

// namesOf returns the names and addresses that a certificate is for, at most five.
func namesOf(c *x509.Certificate) (names []string) {
	for _, name := range c.DNSNames {
		names = append(names, "'"+name+"'")
	}
	for _, ip := range c.IPAddresses {
		names = append(names, "'"+ip.String()+"'")
	}
	if len(names) > 5 {
		names = append(names[:5], "others")
	}
	return names
}

// outsideItsTime says which certificate is not valid now; empty when err says something else.
func outsideItsTime(err error, leaf *x509.Certificate, whose string) string {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired {
		return ""
	}
	c := invalid.Cert
	if c == nil {
		c = leaf
	}
	if !c.Equal(leaf) {
		if strings.HasPrefix(whose, "T") {
			whose = "A CA of the" + whose[len("The"):]
		} else {
			whose = "a CA of " + whose
		}
	}
	// The clock is asked, as the error does not tell which end of the time is meant.
	if time.Now().Before(c.NotAfter) {
		return fmt.Sprintf("%s '%s' is valid from %s only: compare the clocks of both machines, or wait", whose, nameOf(c.Subject), day(c.NotBefore))
	}
	return fmt.Sprintf("%s '%s' has expired on %s: have it renewed", whose, nameOf(c.Subject), day(c.NotAfter))
}

// ExplainClient says in a sentence, without its full stop, why the handshake with a client has
// failed with err, and what to do. It is never empty.
func ExplainClient(err error) string {
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return whyNotClient(failed)
	}
	if revoked, ok := errors.AsType[*RevokedError](err); ok {
		return fmt.Sprintf("the client's certificate is refused: %s; give the client a new one", revoked)
	}
	if missing, ok := errors.AsType[*NoListError](err); ok {
		return fmt.Sprintf("the client's certificate is refused: %s; get the list of that CA", missing)
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return whatInstead(header.RecordHeader[:])
	}
	if alert := remoteAlert(err); alert != "" {
		if text, ok := clientAlerts[alert]; ok {
			return text
		}
		return fmt.Sprintf("the client has ended TLS with the alert '%s': look at what it says", alert)
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "client didn't provide a certificate"):
		return "the client shows no certificate, and this listener requires one: give the client one with --cert and --key"
	case strings.Contains(text, "client offered only unsupported versions"):
		return "the client offers only versions of TLS that are too old for this listener: update the client, or see tls_version"
	case strings.Contains(text, "no cipher suite supported by both"):
		return "the client offers no cipher suite that this listener takes: see ciphers, and the client's own list"
	case strings.Contains(text, "unsupported application protocols"):
		return "the client asks by ALPN for a protocol that this listener does not know: have it ask for mqtt, or for none"
	case strings.Contains(text, "local error: tls: bad record MAC"):
		// Clients of OpenSSL do not encrypt the alert with which they refuse a certificate in
		// TLS 1.3, and crypto/tls takes it for a broken record.
		return "the client has broken off the TLS handshake: perhaps it does not trust the broker's certificate, see what it says"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the client has not completed the TLS handshake in time"
	case gone(err):
		return "the client has closed the connection during the TLS handshake: perhaps it does not trust the broker's certificate, see what it says"
	}
	return "the TLS handshake has failed: " + strings.TrimPrefix(text, "tls: ")
}

// clientAlerts say what a client means by its alerts.
var clientAlerts = map[string]string{
	"unknown certificate authority":  "the client does not trust the CA of this broker's certificate: give the client the right --cafile",
	"bad certificate":                "the client refuses this broker's certificate: it does not know the CA, or the certificate has expired or is for another name than the one the client connects to; see what the client says",
	"expired certificate":            "the client refuses this broker's certificate because it has expired or is not valid yet: renew it, and compare the clocks",
	"unknown certificate":            "the client refuses this broker's certificate: perhaps it does not know its CA; see what it says",
	"unsupported certificate":        "the client refuses this broker's certificate because it is not made for servers: its extended key usage must be serverAuth",
	"revoked certificate":            "the client refuses this broker's certificate because it was revoked: get a new one",
	"protocol version not supported": "the client does not take the version of TLS of this listener: update the client, or see tls_version",
	"handshake failure":              "the client and this listener have no way of encrypting in common: see ciphers, and the client's own list",
}

// whatInstead names what a client speaks instead of TLS.
func whatInstead(b []byte) string {
	switch {
	case len(b) > 0 && b[0] == 0x10:
		return "the client speaks MQTT without TLS, and this port is for TLS only: have it use TLS, or another port"
	case len(b) > 0 && b[0] >= 'A' && b[0] <= 'Z':
		return "the client speaks HTTP without TLS, and this port is for TLS only: have it use wss:// or https://, or another port"
	}
	return "the client does not speak TLS, and this port is for TLS only: have it use TLS, or another port"
}

// whyNotClient says why a certificate of a client is not accepted.
func whyNotClient(failed *tls.CertificateVerificationError) string {
	leaf := failed.UnverifiedCertificates[0]
	if text := outsideItsTime(failed.Err, leaf, "the client's certificate"); text != "" {
		return text
	}
	invalid, wrong := errors.AsType[x509.CertificateInvalidError](failed.Err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](failed.Err)
	switch {
	case unknown:
		return fmt.Sprintf("the client's certificate '%s' is signed by the CA '%s', which is not in cafile or capath: give the client another one, or add that CA", nameOf(leaf.Subject), nameOf(leaf.Issuer))
	case wrong && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Sprintf("the client's certificate '%s' is not made for clients: its extended key usage must be clientAuth", nameOf(leaf.Subject))
	}
	return fmt.Sprintf("the client's certificate '%s' is not accepted: %s", nameOf(leaf.Subject), strings.TrimPrefix(failed.Err.Error(), "x509: "))
}
