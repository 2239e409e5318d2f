package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTLS reads the options of TLS, each for the listener before it.
func TestTLS(t *testing.T) {
	got, err := readText("listener 8883\ncertfile a b.crt\nkeyfile k\ncafile ca\ncapath d\ncrlfile crl\nrequire_certificate true\n" +
		"use_identity_as_username true\ntls_version tlsv1.3\nciphers A:B\nlistener 8884\nuse_subject_as_username false\ncertfile c\nkeyfile k2\ntls_keyform pem\n" +
		"cafile ca\ncolibri_optional_certificate true\nlistener 1883\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Listener{
		{File: "a.conf", Line: 1, Port: 8883, MaxConnections: -1, TLS: TLS{File: "a.conf", Line: 2, CertFile: "a b.crt", KeyFile: "k", CAFile: "ca", CAPath: "d",
			CRLFile: "crl", RequireCertificate: true, IdentityAsUserName: true, Version: "tlsv1.3", Ciphers: "A:B"}},
		{File: "a.conf", Line: 11, Port: 8884, MaxConnections: -1, TLS: TLS{File: "a.conf", Line: 13, CertFile: "c", KeyFile: "k2", CAFile: "ca", OptionalCertificate: true}},
		{File: "a.conf", Line: 18, Port: 1883, MaxConnections: -1},
	}
	if diff := cmp.Diff(want, got.Listeners); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
	if got.Listeners[2].TLS.On() || !got.Listeners[0].TLS.On() {
		t.Error("On does not tell which listeners have TLS")
	}
}

// TestTLSMistakes covers what does not fit together.
func TestTLSMistakes(t *testing.T) {
	const begin = "listener 8883\ncertfile c\n"
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{begin, 2, "this listener has a certfile and no keyfile; name the key of the certificate"},
		{"listener 8883\ncafile c\n", 2, "and no certfile; name the certificate of the broker"},
		{"listener 8883\nrequire_certificate true\n", 1, "no certificate; add certfile and keyfile"},
		{"listener 8883\ntls_version tlsv1.3\n", 1, "no certificate; add certfile and keyfile"},
		{begin + "keyfile k\nrequire_certificate true\n", 2, "certificates of clients need a cafile or a capath"},
		{begin + "keyfile k\ncrlfile c\nrequire_certificate true\n", 2, "certificates of clients need a cafile or a capath"},
		{"listener 1883\nenable_proxy_protocol 2\nuse_subject_as_username true\nrequire_certificate true\n", 1, "a proxy tells the Common Name of the client's certificate only"},
		{"listener 1883\nenable_proxy_protocol 2\nuse_identity_as_username true\n", 1, "only give its User Name with 'require_certificate true'; add that line"},
		{"listener 1883\nenable_proxy_protocol 2\nrequire_certificate true\ntls_version tlsv1.3\n", 1, "the proxy ends the TLS of its clients"},
		{"listener 1883\nenable_proxy_protocol 1\nrequire_certificate true\n", 1, "version 1 of the PROXY protocol does not tell of certificates"},
		{begin + "keyfile k\ncafile c\nuse_identity_as_username true\n", 2, "only give its User Name with 'require_certificate true'; add that line"},
		{"listener 0 /run/s\ncertfile c\nkeyfile k\n", 2, "a listener on a Unix domain socket has no TLS"},
		{begin + "tls_version tlsv1.1\n", 3, "'tlsv1.1' is none of tlsv1.2 or tlsv1.3"},
		{begin + "tls_keyform engine\n", 3, "this version has no engines of OpenSSL; write the key into a file"},
		{begin + "tls_keyform der\n", 3, "write pem"},
		{"psk_file f\n", 1, "this version has no TLS with pre-shared keys; use certificates instead"},
	} {
		_, err := readText(c.text)
		var mistake *Error
		if !errors.As(err, &mistake) || mistake.Line != c.line || !strings.Contains(mistake.Text, c.want) {
			t.Errorf("%q: got %v, want line %d and %q", c.text, err, c.line, c.want)
		}
	}
	got, err := readText(begin + "keyfile k\ndhparamfile d\nciphers_tls1.3 TLS_AES_128_GCM_SHA256\n")
	if err != nil || len(got.Warnings) != 2 || !strings.HasPrefix(got.Warnings[0].Text, "dhparamfile has no effect") ||
		!strings.HasPrefix(got.Warnings[1].Text, "ciphers_tls1.3 has no effect") {
		t.Errorf("what has no effect: got %+v, %v, want two warnings", got, err)
	}
	for _, ca := range []string{"", "cafile a\n"} {
		got, err = readText(begin + "keyfile k\n" + ca + "crlfile c\n")
		if err != nil || len(got.Warnings) != 1 || got.Warnings[0].Text != "the crlfile of this listener has no effect, because no client is asked for a certificate; add 'require_certificate true', or take it out" {
			t.Errorf("%sa crlfile, and nobody asked: got %+v, %v, want a warning", ca, got, err)
		}
		if got, err = readText(begin + "keyfile k\ncafile a\ncrlfile c\nrequire_certificate true\n"); err != nil || len(got.Warnings) != 0 {
			t.Errorf("a crlfile with an effect: got %+v, %v", got, err)
		}
	}
}

// TestProxiedCertificate reads listeners whose clients show their certificates to a proxy.
func TestProxiedCertificate(t *testing.T) {
	for _, more := range []string{"require_certificate true\n", "require_certificate true\nuse_identity_as_username true\n",
		"colibri_optional_certificate true\nuse_identity_as_username true\n",
		"require_certificate true\nuse_identity_as_username true\nuse_subject_as_username true\n"} { // the first of them wins, as with Mosquitto
		got, err := readText("listener 1883\nenable_proxy_protocol 2\ncolibri_proxy_from 10.0.0.0/8\n" + more)
		if err != nil || len(got.Warnings) != 0 || got.Listeners[0].TLS.On() || !got.Listeners[0].TLS.RequireCertificate && !got.Listeners[0].TLS.OptionalCertificate {
			t.Errorf("%q: got %+v, %v", more, got, err)
		}
	}
	for _, asked := range []string{"require_certificate true\n", "colibri_optional_certificate true\n"} {
		got, err := readText("listener 1883\nenable_proxy_protocol 2\n" + asked)
		if err != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0].Text, "may say of himself whose certificate he has; add 'colibri_proxy_from NETWORK'") {
			t.Errorf("%swithout networks: got %+v, %v, want a warning", asked, got, err)
		}
	}
}
