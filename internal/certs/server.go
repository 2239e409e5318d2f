package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Asked says whether clients are asked for a certificate.
type Asked uint8

// What a listener asks for.
const (
	NoCertificate       Asked = iota
	OptionalCertificate       // one that a client shows must be right
	RequiredCertificate
)

// ServerOptions say what a listener needs. The paths are those of the options with the same
// names.
type ServerOptions struct {
	CertFile, KeyFile string
	CAFile, CAPath    string // of the CAs that sign the certificates of clients; empty for none
	CRLFile           string // empty for none; not read when no certificate is asked for
	Asked             Asked
	MinVersion        uint16    // 0 stands for TLS 1.2
	Ciphers           []uint16  // of TLS 1.2; nil for all that are safe
	Protocols         []string  // for ALPN; clients that name none are taken too
	KeyLog            io.Writer // gets the secrets of all connections, for Wireshark; nil for none

	now func() time.Time // for tests
}

// Server is the TLS of a listener. Safe for concurrent use.
type Server struct {
	o       ServerOptions
	current atomic.Pointer[set]
}

// set is what the files have said at one time. It does not change.
type set struct {
	config  *tls.Config
	leaf    *x509.Certificate
	chain   []*x509.Certificate // with the leaf
	revoked revocations         // nil without a crlfile
	now     func() time.Time
}

// NewServer reads the files. An error is a sentence that names the file.
func NewServer(o ServerOptions) (*Server, error) {
	if o.now == nil {
		o.now = time.Now
	}
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS12
	}
	if o.Asked == NoCertificate {
		o.CRLFile = ""
	}
	s := &Server{o: o}
	if err := s.Load(); err != nil {
		return nil, err
	}
	return s, nil
}

// Load reads the files again. What they say holds for the handshakes that begin from then on;
// connections stay. With an error, a sentence that names the file, what held before goes on.
func (s *Server) Load() error {
	next, err := s.read()
	if err != nil {
		return err
	}
	s.current.Store(next)
	return nil
}

func (s *Server) read() (*set, error) {
	o := &s.o
	switch {
	case o.CertFile == "":
		return nil, errors.New("TLS needs a certfile: name the certificate of the broker")
	case o.KeyFile == "":
		return nil, errors.New("TLS needs a keyfile: name the key of the certfile")
	case o.Asked != NoCertificate && o.CAFile == "" && o.CAPath == "":
		return nil, errors.New("certificates of clients need a cafile or a capath: name the CA that signs them")
	}
	pair, err := keyPair("certfile", o.CertFile, "keyfile", o.KeyFile)
	if err != nil {
		return nil, err
	}
	next := &set{leaf: pair.Leaf, now: o.now}
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certfile '%s': %w", o.CertFile, err)
		}
		next.chain = append(next.chain, c)
	}
	cas, err := authorities("cafile", o.CAFile, "capath", o.CAPath)
	if err != nil {
		return nil, err
	}
	if o.CRLFile != "" {
		if next.revoked, err = readRevocations(o.CRLFile, cas, o.now()); err != nil {
			return nil, err
		}
	}
	next.config = &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   o.MinVersion,
		CipherSuites: o.Ciphers,
		NextProtos:   o.Protocols,
		KeyLogWriter: o.KeyLog,
		Time:         o.now,
	}
	if o.Asked != NoCertificate {
		next.config.ClientCAs = pool(cas)
		next.config.ClientAuth = tls.VerifyClientCertIfGiven
		next.config.VerifyConnection = next.verify
		if o.Asked == RequiredCertificate {
			next.config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return next, nil
}

// verify checks what crypto/tls does not: revocation. It is called for resumed sessions too,
// whose CA crypto/tls has looked for among ours again.
func (s *set) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 || s.revoked == nil {
		return nil // crypto/tls has seen to it that no certificate is required
	}
	return s.revoked.check(state.VerifiedChains, s.now())
}

// Config returns the configuration of the listener. It does not change: each handshake asks
// s what the files say. Session tickets hold over a Load, and what they carry is checked anew.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: s.o.MinVersion,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return s.current.Load().config, nil
		},
	}
}

// Files returns the paths that s is read from; one may be a directory.
func (s *Server) Files() (paths []string) {
	for _, path := range []string{s.o.CertFile, s.o.KeyFile, s.o.CAFile, s.o.CAPath, s.o.CRLFile} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// Expires returns when the first certificate of the certfile expires.
func (s *Server) Expires() time.Time { return s.current.Load().expires() }

func (s *set) expires() time.Time {
	first := s.leaf.NotAfter
	for _, c := range s.chain {
		if c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// DaysLeft returns the whole days until Expires, below 0 when that is over.
func (s *Server) DaysLeft() int {
	left := s.Expires().Sub(s.o.now())
	days := int(left / (24 * time.Hour))
	if left < 0 {
		days--
	}
	return days
}

// warnDays is how early people hear of a certificate that expires.
const warnDays = 30

// Warnings says what is not in order, or will not be soon, in sentences without a full stop.
func (s *Server) Warnings() (texts []string) {
	now, in := s.o.now(), s.current.Load()
	for _, c := range in.chain {
		switch {
		case now.After(c.NotAfter):
			texts = append(texts, fmt.Sprintf("the certificate '%s' of certfile '%s' has expired on %s: clients refuse it; renew it", nameOf(c.Subject), s.o.CertFile, day(c.NotAfter)))
		case now.Before(c.NotBefore):
			texts = append(texts, fmt.Sprintf("the certificate '%s' of certfile '%s' is valid from %s only: clients refuse it until then; look at the clock of this machine", nameOf(c.Subject), s.o.CertFile, day(c.NotBefore)))
		case c.NotAfter.Sub(now) < warnDays*24*time.Hour:
			texts = append(texts, fmt.Sprintf("the certificate '%s' of certfile '%s' expires on %s, in %d days: renew it", nameOf(c.Subject), s.o.CertFile, day(c.NotAfter), c.NotAfter.Sub(now)/(24*time.Hour)))
		}
	}
	for _, list := range in.revoked {
		if !list.next.IsZero() && now.After(list.next) {
			texts = append(texts, fmt.Sprintf("the revocation list of '%s' in crlfile '%s' is out of date since %s: no client with a certificate of that CA is let in; get the new list", nameOf(list.authority.Subject), s.o.CRLFile, day(list.next)))
		}
	}
	return texts
}
