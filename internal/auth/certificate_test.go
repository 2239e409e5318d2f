package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/certtest"
)

// TestProxiedCertificate takes User Names from what a proxy tells.
func TestProxiedCertificate(t *testing.T) {
	right := &broker.ProxiedTLS{Verified: true, CommonName: "pump-7"}
	for _, c := range []struct {
		name    string
		checker Certificate
		tls     *tls.ConnectionState
		proxied *broker.ProxiedTLS
		verdict Verdict
		want    string // the User Name, or a part of the error
	}{
		{"a Common Name", Certificate{}, nil, right, Allow, "pump-7"},
		{"a Common Name that was not verified", Certificate{}, nil, &broker.ProxiedTLS{CommonName: "pump-7"}, Deny, "and there is none"},
		{"not verified, and none is needed", Certificate{Optional: true}, nil, &broker.ProxiedTLS{CommonName: "pump-7"}, Pass, "admin"},
		{"no header", Certificate{}, nil, nil, Deny, "and there is none"},
		{"no Common Name", Certificate{Optional: true}, nil, &broker.ProxiedTLS{Verified: true}, Deny, "tells no Common Name"},
		{"a Common Name with a zero", Certificate{}, nil, &broker.ProxiedTLS{Verified: true, CommonName: "a\x00b"}, Deny, "cannot be a User Name"},
		{"the subject", Certificate{Subject: true}, nil, right, Deny, "a proxy tells the Common Name only"},
		{"TLS of our own, without a certificate", Certificate{}, &tls.ConnectionState{}, right, Deny, "and there is none"},
	} {
		r := &broker.ConnectRequest{HasUserName: true, UserName: "admin", TLS: c.tls, ProxiedTLS: c.proxied}
		v, err := c.checker.Check(t.Context(), r)
		if v != c.verdict || v == Deny && !strings.Contains(err.Error(), c.want) || v != Deny && (err != nil || r.UserName != c.want) {
			t.Errorf("%s: got %v, %v and the User Name %q, want %v and %q", c.name, v, err, r.UserName, c.verdict, c.want)
		}
	}
}

// TestCertificate takes User Names from certificates. The subjects are those that openssl
// prints with -nameopt RFC2253.
func TestCertificate(t *testing.T) {
	authority := certtest.NewAuthority(t, "a CA")
	attribute := func(id asn1.ObjectIdentifier, value any) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: id, Value: value}
	}
	unknown := asn1.ObjectIdentifier{1, 2, 3, 4}
	for _, c := range []struct {
		name    string
		checker Certificate
		subject *pkix.Name // nil for no certificate
		verdict Verdict
		want    string // the User Name, or a part of the error
	}{
		{"the Common Name", Certificate{}, &pkix.Name{CommonName: "sensor 1", Organization: []string{"Example"}}, Allow, "sensor 1"},
		{"no Common Name", Certificate{}, &pkix.Name{Organization: []string{"Example"}}, Deny, "has no Common Name"},
		{"a Common Name with a zero", Certificate{}, &pkix.Name{CommonName: "admin\x00x"}, Deny, "cannot be a User Name"},
		{"two Common Names", Certificate{}, &pkix.Name{CommonName: "admin", ExtraNames: []pkix.AttributeTypeAndValue{
			attribute(commonName, "sensor"), attribute(commonName, "admin")}}, Deny, "has 2 Common Names"},
		{"no certificate", Certificate{}, nil, Deny, "and there is none"},
		{"none is needed", Certificate{Optional: true}, nil, Pass, ""},
		{"the subject", Certificate{Subject: true}, &pkix.Name{CommonName: "sensor 1", Organization: []string{"Example"}, Country: []string{"NL"}}, Allow, "CN=sensor 1,O=Example,C=NL"},
		{"what has to be escaped", Certificate{Subject: true}, &pkix.Name{CommonName: `#a,b+c"d\e<f>g;h `, Organization: []string{" Käse\n"}}, Allow,
			`CN=\#a\,b\+c\"d\\e\<f\>g\;h\ ,O=\ K\C3\A4se\0A`},
		{"two together", Certificate{Subject: true}, &pkix.Name{Organization: []string{"B", "A"}}, Allow, "O=B+O=A"},
		{"attributes with names and without", Certificate{Subject: true}, &pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			attribute(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, "u1"), attribute(unknown, "x")}}, Allow, "1.2.3.4=#130178,UID=u1"},
		{"no subject", Certificate{Subject: true}, &pkix.Name{}, Deny, "has no subject"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &broker.ConnectRequest{HasUserName: true, UserName: "admin", HasPassword: true, Password: []byte("x"), TLS: &tls.ConnectionState{}}
			if c.subject != nil {
				r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, authority.Issue(t, x509.Certificate{Subject: *c.subject}).Certificate)
			}
			v, err := c.checker.Check(t.Context(), r)
			if v != c.verdict {
				t.Fatalf("got %v, %v, want %v", v, err, c.verdict)
			}
			switch v {
			case Allow:
				if r.UserName != c.want || !r.HasUserName {
					t.Errorf("User Name: got %s, want %s", r.UserName, c.want)
				}
			case Deny:
				if code, ok := errors.AsType[colibri.ReasonCode](err); !ok || code != colibri.BadUserNameOrPassword || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want Bad User Name or Password and %q", err, c.want)
				}
			}
		})
	}
	if v, _ := (&Certificate{}).Check(t.Context(), &broker.ConnectRequest{}); v != Deny {
		t.Errorf("without TLS: got %v, want Deny", v)
	}
}
