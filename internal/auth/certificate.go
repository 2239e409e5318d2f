package auth

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// Certificate takes the User Name of a client from the certificate that it has shown, which
// the listener has verified, or the proxy that has ended the client's TLS. The User Name and the Password that the client sends have no
// meaning then, as with Mosquitto.
type Certificate struct {
	// Subject takes all of the certificate's subject, written as RFC 2253 says, such as
	// "CN=sensor,O=Example"; else its Common Name alone is the User Name.
	Subject bool
	// Optional passes about a client without a certificate; else it is refused.
	Optional bool
}

// Name is Checker's.
func (c *Certificate) Name() string { return "the client's certificate" }

// Check is Checker's.
func (c *Certificate) Check(_ context.Context, r *broker.ConnectRequest) (Verdict, error) {
	if r.TLS == nil && r.ProxiedTLS != nil && r.ProxiedTLS.Verified {
		return c.checkProxied(r)
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		if c.Optional {
			return Pass, nil
		}
		return Deny, noName("this listener takes the User Name from the client's certificate, and there is none")
	}
	subject := &r.TLS.PeerCertificates[0].Subject
	name := subject.CommonName
	if c.Subject {
		name = subjectText(r.TLS.PeerCertificates[0])
	}
	switch n := commonNames(subject); {
	case n > 1 && !c.Subject: // OpenSSL, and so Mosquitto, takes the first, and Go the last
		return Deny, noName(fmt.Sprintf("the client's certificate has %d Common Names, and only one can be the User Name", n))
	case name == "" && c.Subject:
		return Deny, noName("the client's certificate has no subject to take the User Name from")
	case name == "":
		return Deny, noName("the client's certificate has no Common Name to take the User Name from")
	}
	return named(r, name)
}

// checkProxied is Check for a certificate of which a proxy tells: the Common Name only.
func (c *Certificate) checkProxied(r *broker.ConnectRequest) (Verdict, error) {
	switch name := r.ProxiedTLS.CommonName; {
	case c.Subject:
		return Deny, noName("this listener takes the User Name from the subject of the client's certificate, and a proxy tells the Common Name only")
	case name == "":
		return Deny, noName("the proxy tells no Common Name of the client's certificate to take the User Name from")
	default:
		return named(r, name)
	}
}

// named makes name the User Name, if it can be one.
func named(r *broker.ConnectRequest, name string) (Verdict, error) {
	if len(name) > 65_535 || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return Deny, noName("the name in the client's certificate cannot be a User Name")
	}
	r.UserName, r.HasUserName = name, true
	return Allow, nil
}

// commonName is the kind of attribute that a Common Name is.
var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonNames returns how many there are.
func commonNames(subject *pkix.Name) (n int) {
	for _, a := range subject.Names {
		if a.Type.Equal(commonName) {
			n++
		}
	}
	return n
}

func noName(reason string) error {
	return &colibri.Error{Op: "CONNECT", Code: colibri.BadUserNameOrPassword, Err: errors.New(reason)}
}

// attribute is one of a subject, and attributeSET what stands together in it.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type attributeSET []attribute

// attributeNames are those that OpenSSL writes.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.17": "postalCode", "2.5.4.41": "name",
	"2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
	"1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

// subjectText writes the subject of c as Mosquitto does, which asks OpenSSL for RFC 2253: the
// last attribute first, with commas between them. It is empty when there is none.
func subjectText(c *x509.Certificate) string {
	var sets []attributeSET
	if rest, err := asn1.Unmarshal(c.RawSubject, &sets); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for i, set := range slices.Backward(sets) {
		for j, a := range slices.Backward(set) {
			switch {
			case j < len(set)-1:
				b.WriteByte('+')
			case i < len(sets)-1:
				b.WriteByte(',')
			}
			name, known := attributeNames[a.Type.String()]
			if !known {
				name = a.Type.String()
			}
			b.WriteString(name + "=")
			if text, ok := textOf(a.Value); ok && known {
				escape(&b, text)
			} else {
				b.WriteString("#" + strings.ToUpper(hex.EncodeToString(a.Value.FullBytes)))
			}
		}
	}
	return b.String()
}

// textOf returns a value that is a text in one of the forms of ASN.1.
func textOf(v asn1.RawValue) (string, bool) {
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString:
		return string(v.Bytes), v.Class == asn1.ClassUniversal
	case asn1.TagT61String: // taken for Latin-1 by everybody
		var b strings.Builder
		for _, c := range v.Bytes {
			b.WriteRune(rune(c))
		}
		return b.String(), true
	case asn1.TagBMPString:
		var units []uint16
		for pair := range slices.Chunk(v.Bytes, 2) {
			if len(pair) == 2 {
				units = append(units, uint16(pair[0])<<8|uint16(pair[1]))
			}
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// escape writes text as RFC 2253 says: every byte that is not ASCII, or none to print, is two
// hexadecimal digits behind a backslash.
func escape(b *strings.Builder, text string) {
	for i := range len(text) {
		c := text[i]
		switch {
		case c < ' ' || c >= 0x7F:
			b.WriteString(`\` + strings.ToUpper(hex.EncodeToString([]byte{c})))
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && (c == '#' || c == ' '), i == len(text)-1 && c == ' ':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}
