package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/certtest"
	"github.com/colibri-mqtt/colibri/internal/transport"
)

// meet has a client and a server shake hands and exchange a byte, and returns what each of
// them has met.
func meet(server, client *tls.Config) (serverErr, clientErr error) {
	near, far := transport.Pipe()
	for _, nc := range []net.Conn{near, far} {
		nc.SetDeadline(time.Now().Add(10 * time.Second))
	}
	ended := make(chan error, 1)
	go func() {
		defer far.Close()
		c := tls.Server(far, server)
		err := c.Handshake()
		if err == nil {
			_, err = c.Write([]byte("x"))
		}
		ended <- err
	}()
	c := tls.Client(near, client)
	if clientErr = c.Handshake(); clientErr != nil {
		clientErr = &HandshakeError{clientErr}
	} else {
		_, clientErr = c.Read(make([]byte, 1))
	}
	near.Close()
	return <-ended, clientErr
}

// world is a CA, a server, a client and their files.
type world struct {
	t         *testing.T
	dir       string
	authority *certtest.Authority
	server    ServerOptions
	client    ClientOptions
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), authority: certtest.NewAuthority(t, "Our CA")}
	w.server.CAFile = certtest.Write(t, w.dir, "ca.crt", w.authority.CertPEM)
	w.server.CertFile, w.server.KeyFile = w.authority.Server(t).Save(t, w.dir, "server")
	w.server.Asked = RequiredCertificate
	w.client.ServerName, w.client.CAFile = "localhost", w.server.CAFile
	w.client.CertFile, w.client.KeyFile = w.authority.Client(t, "sensor").Save(t, w.dir, "client")
	return w
}

func (w *world) serverIs(template x509.Certificate) {
	w.server.CertFile, w.server.KeyFile = w.authority.Issue(w.t, template).Save(w.t, w.dir, "server")
}

func (w *world) clientIs(template x509.Certificate) {
	template.Subject = pkix.Name{CommonName: "sensor"}
	w.client.CertFile, w.client.KeyFile = w.authority.Issue(w.t, template).Save(w.t, w.dir, "client")
}

// refusesOurs is what a server can know of a client of crypto/tls that refuses its
// certificate: they have one alert for all reasons.
const refusesOurs = "the client refuses this broker's certificate: it does not know the CA, or the certificate has expired or is for another name than the one the client connects to; see what the client says"

// TestExplain has each check fail and looks at the sentences of both ends.
func TestExplain(t *testing.T) {
	past, future := time.Date(2025, 1, 2, 3, 4, 0, 0, time.UTC), time.Date(2120, 1, 2, 3, 4, 0, 0, time.UTC)
	for _, c := range []struct {
		name           string
		change         func(w *world)
		server, client string
	}{
		{"all is right", func(*world) {}, "", ""},
		{"the CA of the server is unknown", func(w *world) {
			w.client.CAFile = certtest.Write(t, w.dir, "other.crt", certtest.NewAuthority(t, "Other CA").CertPEM)
		}, refusesOurs,
			"The server's certificate 'broker' is signed by the CA 'Our CA', which is not trusted here: name the certificate of that CA with --cafile"},
		{"the server's certificate has expired", func(w *world) {
			w.serverIs(x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"localhost"}, NotBefore: past.AddDate(-1, 0, 0), NotAfter: past})
		}, refusesOurs,
			"The server's certificate 'broker' has expired on 2025-01-02 03:04 UTC: have it renewed"},
		{"the server's certificate is not valid yet", func(w *world) {
			w.serverIs(x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"localhost"}, NotBefore: future, NotAfter: future.AddDate(1, 0, 0)})
		}, refusesOurs,
			"The server's certificate 'broker' is valid from 2120-01-02 03:04 UTC only: compare the clocks of both machines, or wait"},
		{"another host name", func(w *world) { w.client.ServerName = "broker.example" },
			refusesOurs,
			"The server's certificate is for 'localhost', '127.0.0.1', '::1', not for 'broker.example': use one of these with -h, or have a certificate made for 'broker.example'"},
		{"a Common Name alone", func(w *world) {
			w.serverIs(x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		}, refusesOurs,
			"The server's certificate 'localhost' holds no name or address that could be compared with 'localhost': have one made with subject alternative names"},
		{"no client certificate", func(w *world) { w.client.CertFile, w.client.KeyFile = "", "" },
			"the client shows no certificate, and this listener requires one: give the client one with --cert and --key",
			"The server requires a certificate of the client: give one with --cert and --key"},
		{"the CA of the client is unknown", func(w *world) {
			w.client.CertFile, w.client.KeyFile = certtest.NewAuthority(t, "Other CA").Client(t, "sensor").Save(t, w.dir, "client")
		}, "the client's certificate 'sensor' is signed by the CA 'Other CA', which is not in cafile or capath: give the client another one, or add that CA",
			"The server refuses the client's certificate because it does not know the CA that has signed it: use another one with --cert and --key, or have the CA added to the server's cafile"},
		{"the client's certificate has expired", func(w *world) { w.clientIs(x509.Certificate{NotBefore: past.AddDate(-1, 0, 0), NotAfter: past}) },
			"the client's certificate 'sensor' has expired on 2025-01-02 03:04 UTC: have it renewed",
			"The server refuses the client's certificate because it has expired or is not valid yet: get a new one for --cert and --key, and compare the clocks"},
		{"the client's certificate is not valid yet", func(w *world) { w.clientIs(x509.Certificate{NotBefore: future, NotAfter: future.AddDate(1, 0, 0)}) },
			"the client's certificate 'sensor' is valid from 2120-01-02 03:04 UTC only: compare the clocks of both machines, or wait",
			"The server refuses the client's certificate because it has expired or is not valid yet: get a new one for --cert and --key, and compare the clocks"},
		{"a certificate for servers", func(w *world) {
			w.clientIs(x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		},
			"the client's certificate 'sensor' is not made for clients: its extended key usage must be clientAuth",
			"The server refuses the client's certificate: it may be revoked, not be valid yet, or miss altogether; see --cert and --key, and the server's log"},
		{"a revoked certificate", func(w *world) {
			revoked := w.authority.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "sensor"}, SerialNumber: bigInt(0xBADCAFE)})
			w.client.CertFile, w.client.KeyFile = revoked.Save(t, w.dir, "client")
			w.server.CRLFile = certtest.Write(t, w.dir, "crl.pem", w.authority.Revoke(t, time.Now().AddDate(1, 0, 0), revoked))
		}, "the client's certificate is refused: the certificate 'sensor' (serial number badcafe) was revoked by its CA on 2026-01-02 03:04 UTC; give the client a new one",
			"The server refuses the client's certificate: it may be revoked, not be valid yet, or miss altogether; see --cert and --key, and the server's log"},
		{"a revocation list that is out of date", func(w *world) {
			w.server.CRLFile = certtest.Write(t, w.dir, "crl.pem", w.authority.Revoke(t, past))
		}, "the client's certificate is refused: whether the certificate 'sensor' was revoked is not known, because the list of its CA 'Our CA' in crlfile is out of date since 2025-01-02 03:04 UTC; get the list of that CA",
			"The server refuses the client's certificate: it may be revoked, not be valid yet, or miss altogether; see --cert and --key, and the server's log"},
		{"too old a version", func(w *world) { w.server.MinVersion = tls.VersionTLS13; w.client.MinVersion = tls.VersionTLS12 },
			"the client offers only versions of TLS that are too old for this listener: update the client, or see tls_version",
			"The server does not take this version of TLS: update the older of both, or take --tls-version out"},
		{"another protocol by ALPN", func(w *world) { w.server.Protocols = []string{ALPN}; w.client.Protocols = []string{"h2"} },
			"the client asks by ALPN for a protocol that this listener does not know: have it ask for mqtt, or for none",
			"The server does not know the protocol of --tls-alpn: take it out, or set it to mqtt"},
		{"no cipher suite in common", func(w *world) {
			w.server.Ciphers, _ = Ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
			w.client.Ciphers, _ = Ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
		}, "the client offers no cipher suite that this listener takes: see ciphers, and the client's own list",
			"The server and the client have no way of encrypting in common, or the server requires a certificate: see --ciphers, --cert and --key, and the server's log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			s, err := NewServer(w.server)
			if err != nil {
				t.Fatal(err)
			}
			client, err := NewClient(w.client)
			if err != nil {
				t.Fatal(err)
			}
			if c.name == "too old a version" || c.name == "no cipher suite in common" {
				client.MaxVersion = tls.VersionTLS12
			}
			serverErr, clientErr := meet(s.Config(), client)
			got := ""
			if serverErr != nil {
				got = ExplainClient(serverErr)
			}
			if got != c.server {
				t.Errorf("the server says\n%s, want\n%s\n(%v)", got, c.server, serverErr)
			}
			got = ""
			if clientErr != nil {
				got = Explain(clientErr, w.client.ServerName)
			}
			if got != c.client {
				t.Errorf("the client says\n%s, want\n%s\n(%v)", got, c.client, clientErr)
			}
		})
	}
}

// TestExplainPlain is about peers that do not speak TLS at all.
func TestExplainPlain(t *testing.T) {
	w := newWorld(t)
	s, err := NewServer(w.server)
	if err != nil {
		t.Fatal(err)
	}
	for sent, want := range map[string]string{
		"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00": "the client speaks MQTT without TLS, and this port is for TLS only: have it use TLS, or another port",
		"GET /mqtt HTTP/1.1\r\n":               "the client speaks HTTP without TLS, and this port is for TLS only: have it use wss:// or https://, or another port",
		"\x00\x01\x02\x03\x04\x05":             "the client does not speak TLS, and this port is for TLS only: have it use TLS, or another port",
		"":                                     "the client has closed the connection during the TLS handshake: perhaps it does not trust the broker's certificate, see what it says",
	} {
		near, far := transport.Pipe()
		io.WriteString(near, sent)
		near.Close()
		if got := ExplainClient(tls.Server(far, s.Config()).Handshake()); got != want {
			t.Errorf("%q: got\n%s, want\n%s", sent, got, want)
		}
	}
	for answer, want := range map[string]string{
		"\x20\x02\x00\x05\x00\x00":         "The server does not speak TLS on this port: leave the TLS flags out, or name its port for TLS with -p (most often 8883)",
		"HTTP/1.1 400 Bad Request\r\n":     "The server speaks HTTP without TLS on this port: use ws:// instead of wss://, or name its port for TLS with -p",
		"":                                 "The server has closed the connection instead of answering to TLS: check that this port is one for TLS (most often 8883), and look at the server's log",
		"\x15\x03\x01\x00\x02\x02\x28":     "The server and the client have no way of encrypting in common, or the server requires a certificate: see --ciphers, --cert and --key, and the server's log",
		"\x15\x03\x01\x00\x02\x02\x2c":     "The server refuses the client's certificate because it was revoked: get a new one for --cert and --key",
		"\x15\x03\x01\x00\x02\x02\x50":     "The server has ended TLS with the alert 'internal error': look at its log",
		"\x16\x03\x01\x00\x04\x99\x00\x00": "The server has closed the connection instead of answering to TLS: check that this port is one for TLS (most often 8883), and look at the server's log",
	} {
		near, far := transport.Pipe()
		io.WriteString(far, answer)
		far.(interface{ CloseWrite() error }).CloseWrite()
		err := tls.Client(near, &tls.Config{ServerName: "localhost"}).Handshake()
		if got := Explain(&HandshakeError{err}, "localhost"); got != want {
			t.Errorf("%q: got\n%s, want\n%s (%v)", answer, got, want, err)
		}
	}
	if got := Explain(errors.New("something else"), "localhost"); got != "" {
		t.Errorf("an error without TLS: got %q, want nothing", got)
	}
}

// TestExplainAlerts is about clients that say more with their alerts than those of crypto/tls.
func TestExplainAlerts(t *testing.T) {
	w := newWorld(t)
	s, err := NewServer(w.server)
	if err != nil {
		t.Fatal(err)
	}
	for alert, want := range map[byte]string{
		48: "the client does not trust the CA of this broker's certificate: give the client the right --cafile",
		45: "the client refuses this broker's certificate because it has expired or is not valid yet: renew it, and compare the clocks",
		80: "the client has ended TLS with the alert 'internal error': look at what it says",
	} {
		near, far := transport.Pipe()
		near.Write([]byte{0x15, 3, 1, 0, 2, 2, alert})
		if got := ExplainClient(tls.Server(far, s.Config()).Handshake()); got != want {
			t.Errorf("alert %d: got\n%s, want\n%s", alert, got, want)
		}
	}
}

// TestExplainPlainAlert is about clients of OpenSSL, which refuse a certificate in TLS 1.3
// with an alert that they do not encrypt.
func TestExplainPlainAlert(t *testing.T) {
	w := newWorld(t)
	s, err := NewServer(w.server)
	if err != nil {
		t.Fatal(err)
	}
	near, far := transport.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tls.Client(near, &tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS13,
			VerifyConnection: func(tls.ConnectionState) error {
				near.Write([]byte{0x15, 3, 3, 0, 2, 2, 48})
				return near.Close()
			}}).Handshake()
	}()
	const want = "the client has broken off the TLS handshake: perhaps it does not trust the broker's certificate, see what it says"
	if got := ExplainClient(tls.Server(far, s.Config()).Handshake()); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	far.Close()
	<-ended
}
