package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/certtest"
)

func bigInt(n int64) *big.Int { return big.NewInt(n) }

// TestLoad replaces each file of a server, by right ones and by wrong ones.
func TestLoad(t *testing.T) {
	w := newWorld(t)
	w.server.CRLFile = certtest.Write(t, w.dir, "crl.pem", w.authority.Revoke(t, time.Now().AddDate(1, 0, 0)))
	s, err := NewServer(w.server)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(w.client)
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config() // the listener keeps it
	served := func() (name string, err error) {
		serverErr, clientErr := meet(config, func() *tls.Config {
			c := client.Clone()
			c.VerifyConnection = func(state tls.ConnectionState) error {
				name = state.PeerCertificates[0].Subject.CommonName
				return nil
			}
			return c
		}())
		if serverErr != nil {
			return name, serverErr
		}
		return name, clientErr
	}
	if name, err := served(); name != "broker" || err != nil {
		t.Fatalf("at first: got %q, %v", name, err)
	}

	next := w.authority.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "renewed"}, DNSNames: []string{"localhost"}})
	other := certtest.NewAuthority(t, "Other CA")
	for _, c := range []struct {
		name, file string
		content    []byte
		err        string // of Load; empty when it takes the file
		served     string
	}{
		{"a new certificate without its key", "server.crt", next.CertPEM, "keyfile '" + w.server.KeyFile + "' does not belong to certfile '" + w.server.CertFile + "': name the key with which the certificate was made", "broker"},
		{"and its key", "server.key", next.KeyPEM, "", "renewed"},
		{"a certificate that is none", "server.crt", []byte("hello"), "certfile '" + w.server.CertFile + "' holds no certificate in PEM: it must have a line -----BEGIN CERTIFICATE-----", "renewed"},
		{"half a certificate", "server.crt", next.CertPEM[:len(next.CertPEM)/2], "holds no certificate in PEM", "renewed"},
		{"it comes back", "server.crt", next.CertPEM, "", "renewed"},
		{"a key that is none", "server.key", []byte("hello"), "keyfile '" + w.server.KeyFile + "' holds no private key in PEM: it must have a line that begins with -----BEGIN and ends with PRIVATE KEY-----", "renewed"},
		{"an encrypted key", "server.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), "is encrypted, and nobody is here to type its passphrase", "renewed"},
		{"the key comes back", "server.key", next.KeyPEM, "", "renewed"},
		{"CAs that are none", "ca.crt", []byte("hello"), "cafile '" + w.server.CAFile + "' holds no certificate in PEM", "renewed"},
		{"the CAs come back", "ca.crt", w.authority.CertPEM, "", "renewed"},
		{"a revocation list that is none", "crl.pem", []byte("hello"), "crlfile '" + w.server.CRLFile + "' holds no revocation list: it must have a line -----BEGIN X509 CRL-----", "renewed"},
		{"a revocation list of a clock that is ahead a little", "crl.pem", w.authority.Revoke(t, time.Now().AddDate(5, 0, 0).Add(clocksApart/2)), "", "renewed"},
		{"a revocation list of tomorrow", "crl.pem", w.authority.Revoke(t, time.Now().AddDate(5, 0, 1)), "the list of 'Our CA' is in force from ", "renewed"},
	} {
		certtest.Write(t, w.dir, c.file, c.content)
		switch err := s.Load(); {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: got %v, want %s", c.name, err, c.err)
		}
		if name, err := served(); name != c.served || err != nil {
			t.Errorf("%s: the client met %q, %v, want %q", c.name, name, err, c.served)
		}
	}

	if _, err := NewServer(w.server); err == nil || !strings.Contains(err.Error(), "compare the clocks of this machine and of the CA") {
		t.Errorf("at the start, with the list of tomorrow: got %v", err)
	}

	// The CA of the clients is another one: the old client is out, with its sessions.
	certtest.Write(t, w.dir, "ca.crt", other.CertPEM)
	certtest.Write(t, w.dir, "crl.pem", other.Revoke(t, time.Now().AddDate(1, 0, 0)))
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := served(); err == nil || !strings.Contains(ExplainClient(err), "is not in cafile") {
		t.Errorf("a client of the CA before: got %v, want that its CA is unknown", err)
	}
	certtest.Write(t, w.dir, "crl.pem", w.authority.Revoke(t, time.Now().AddDate(1, 0, 0)))
	if err := s.Load(); err == nil || !strings.Contains(err.Error(), "the list of 'Our CA' was not signed by a CA of cafile or capath") {
		t.Errorf("a list of another CA: got %v", err)
	}
}

// TestResumption shows that a session can be resumed after a Load, and that neither
// revocation nor the CA is bypassed by it.
func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		w := newWorld(t)
		pair := w.authority.Client(t, "sensor")
		w.client.CertFile, w.client.KeyFile = pair.Save(t, w.dir, "client")
		w.server.CRLFile = certtest.Write(t, w.dir, "crl.pem", w.authority.Revoke(t, time.Now().AddDate(1, 0, 0)))
		s, err := NewServer(w.server)
		if err != nil {
			t.Fatal(err)
		}
		client, err := NewClient(w.client)
		if err != nil {
			t.Fatal(err)
		}
		client.MaxVersion = version
		client.ClientSessionCache = tls.NewLRUClientSessionCache(10)
		resumed := false
		client.VerifyConnection = func(state tls.ConnectionState) error {
			resumed = state.DidResume
			return nil
		}
		config := s.Config()
		try := func(what string, wantResumed, wantRefused bool) {
			t.Helper()
			serverErr, _ := meet(config, client)
			if resumed != wantResumed || (serverErr != nil) != wantRefused {
				t.Errorf("%s, %s: resumed %v, error %v", tls.VersionName(version), what, resumed, serverErr)
			}
		}
		try("first", false, false)
		try("second", true, false)
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		try("after a Load", true, false)
		certtest.Write(t, w.dir, "crl.pem", w.authority.Revoke(t, time.Now().AddDate(1, 0, 0), pair))
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		if serverErr, _ := meet(config, client); serverErr == nil || !strings.Contains(serverErr.Error(), "was revoked") {
			t.Errorf("%s, revoked: got %v", tls.VersionName(version), serverErr)
		}
		other := certtest.NewAuthority(t, "Other CA")
		certtest.Write(t, w.dir, "ca.crt", other.CertPEM)
		certtest.Write(t, w.dir, "crl.pem", other.Revoke(t, time.Now().AddDate(1, 0, 0)))
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		if serverErr, _ := meet(config, client); serverErr == nil {
			t.Errorf("%s, with another CA: the client was let in", tls.VersionName(version))
		}
	}
}

// TestOptionalCertificate shows that a client may come without one, but not with a wrong one.
func TestOptionalCertificate(t *testing.T) {
	w := newWorld(t)
	w.server.Asked = OptionalCertificate
	s, err := NewServer(w.server)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		change  func()
		refused bool
	}{
		{"with one", func() {}, false},
		{"without", func() { w.client.CertFile, w.client.KeyFile = "", "" }, false},
		{"with one of another CA", func() {
			w.client.CertFile, w.client.KeyFile = certtest.NewAuthority(t, "Other CA").Client(t, "x").Save(t, w.dir, "client")
		}, true},
	} {
		c.change()
		client, err := NewClient(w.client)
		if err != nil {
			t.Fatal(err)
		}
		if err, _ := meet(s.Config(), client); (err != nil) != c.refused {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

// TestWarnings looks at certificates and lists at several times.
func TestWarnings(t *testing.T) {
	w := newWorld(t)
	start := time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
	w.serverIs(x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"localhost"}, NotBefore: start, NotAfter: start.AddDate(0, 0, 100)})
	w.server.CRLFile = certtest.Write(t, w.dir, "crl.pem", w.authority.Revoke(t, start.AddDate(0, 0, 10)))
	crl := "the revocation list of 'Our CA' in crlfile '" + w.server.CRLFile + "' is out of date since 2120-01-11 00:00 UTC: no client with a certificate of that CA is let in; get the new list"
	file := "the certificate 'broker' of certfile '" + w.server.CertFile + "' "
	for _, c := range []struct {
		day  int
		left int
		want []string
	}{
		{-1, 101, []string{file + "is valid from 2120-01-01 00:00 UTC only: clients refuse it until then; look at the clock of this machine"}},
		{1, 99, nil},
		{69, 31, []string{crl}},
		{71, 29, []string{file + "expires on 2120-04-10 00:00 UTC, in 29 days: renew it", crl}},
		{101, -2, []string{file + "has expired on 2120-04-10 00:00 UTC: clients refuse it; renew it", crl}},
	} {
		w.server.now = func() time.Time { return start.AddDate(0, 0, c.day) }
		s, err := NewServer(w.server)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Warnings(); !slices.Equal(got, c.want) {
			t.Errorf("on day %d: got %q, want %q", c.day, got, c.want)
		}
		if got := s.DaysLeft(); got != c.left {
			t.Errorf("on day %d: got %d days left, want %d", c.day, got, c.left)
		}
	}
}

// TestOptions covers what does not fit together, and directories of CAs.
func TestOptions(t *testing.T) {
	w := newWorld(t)
	empty := t.TempDir()
	for want, change := range map[string]func(o *ServerOptions){
		"TLS needs a certfile: name the certificate of the broker":                                                 func(o *ServerOptions) { o.CertFile = "" },
		"TLS needs a keyfile: name the key of the certfile":                                                        func(o *ServerOptions) { o.KeyFile = "" },
		"certificates of clients need a cafile or a capath: name the CA that signs them":                           func(o *ServerOptions) { o.CAFile = "" },
		"certfile '/nowhere' cannot be read: no such file or directory":                                            func(o *ServerOptions) { o.CertFile = "/nowhere" },
		"capath '/nowhere' cannot be read: no such file or directory":                                              func(o *ServerOptions) { o.CAPath = "/nowhere" },
		"capath '" + empty + "' holds no certificate in PEM in any of its files":                                   func(o *ServerOptions) { o.CAPath = empty },
		"crlfile '" + w.server.CAFile + "' holds no revocation list: it must have a line -----BEGIN X509 CRL-----": func(o *ServerOptions) { o.CRLFile = w.server.CAFile },
	} {
		o := w.server
		change(&o)
		if _, err := NewServer(o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for want, o := range map[string]ClientOptions{
		"--cert needs --key: name the key of the certificate":                                                                                      {CertFile: w.client.CertFile},
		"--key needs --cert: name the certificate of the key":                                                                                      {KeyFile: w.client.KeyFile},
		"--cafile '/nowhere' cannot be read: no such file or directory":                                                                            {CAFile: "/nowhere"},
		"--key '" + w.server.KeyFile + "' does not belong to --cert '" + w.client.CertFile + "': name the key with which the certificate was made": {CertFile: w.client.CertFile, KeyFile: w.server.KeyFile},
	} {
		if _, err := NewClient(o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}

	dir := t.TempDir()
	certtest.Write(t, dir, "README", []byte("about these files"))
	certtest.Write(t, dir, "one.crt", certtest.NewAuthority(t, "Other CA").CertPEM)
	certtest.Write(t, dir, "two.crt", w.authority.CertPEM)
	if err := os.Symlink("two.crt", filepath.Join(dir, "01234567.0")); err != nil {
		t.Fatal(err)
	}
	w.server.CAFile, w.server.CAPath = "", dir
	w.client.CAFile, w.client.CAPath, w.client.OSCerts = "", dir, true
	s, err := NewServer(w.server)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(w.client)
	if err != nil {
		t.Fatal(err)
	}
	if serverErr, clientErr := meet(s.Config(), client); serverErr != nil || clientErr != nil {
		t.Errorf("with directories: got %v and %v", serverErr, clientErr)
	}
	w.client.CAPath, w.client.Insecure = "", true
	if client, err = NewClient(w.client); err != nil {
		t.Fatal(err)
	}
	if serverErr, clientErr := meet(s.Config(), client); serverErr != nil || clientErr != nil {
		t.Errorf("with --insecure: got %v and %v", serverErr, clientErr)
	}
}

// TestNames covers versions and cipher suites.
func TestNames(t *testing.T) {
	for name, want := range map[string]uint16{"": tls.VersionTLS12, "tlsv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13, "tlsv1.1": 0, "1.2": 0} {
		if got, err := Version(name); got != want || (err != nil) != (want == 0) {
			t.Errorf("Version(%q): got %#x, %v, want %#x", name, got, err, want)
		}
	}
	for list, want := range map[string][]uint16{
		"": nil,
		"ECDHE-RSA-AES256-GCM-SHA384:TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": {tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	} {
		if got, err := Ciphers(list); !slices.Equal(got, want) || err != nil {
			t.Errorf("Ciphers(%q): got %#x, %v, want %#x", list, got, err, want)
		}
	}
	for _, list := range []string{"HIGH", "ECDHE-RSA-AES256-GCM-SHA384:RC4-SHA", "TLS_AES_128_GCM_SHA256"} {
		if _, err := Ciphers(list); err == nil || !strings.Contains(err.Error(), "is not the name of a cipher suite that this program has") {
			t.Errorf("Ciphers(%q): got %v", list, err)
		}
	}
}
