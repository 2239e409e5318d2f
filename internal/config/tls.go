package config

import "fmt"

// TLS is what a listener says about TLS. Paths are as the file has them.
type TLS struct {
	File string // where the first option of it stands
	Line int

	CertFile, KeyFile string
	CAFile, CAPath    string // of the CAs of clients
	CRLFile           string

	RequireCertificate  bool // of each client
	OptionalCertificate bool // clients may show one: colibri_optional_certificate
	IdentityAsUserName  bool // the Common Name of the certificate is the User Name
	SubjectAsUserName   bool // all of its subject is

	Version string // the least: tlsv1.2 or tlsv1.3; empty for the standard
	Ciphers string // of TLS 1.2, as OpenSSL names them; empty for all that are safe
}

// On reports whether the listener speaks TLS.
func (t *TLS) On() bool { return t.Line > 0 }

const (
	noPSK    = "has no TLS with pre-shared keys; use certificates instead"
	noEngine = "has no engines of OpenSSL; write the key into a file and name it with keyfile"
)

// tlsOptions returns the rows of the table for TLS.
func tlsOptions() []option {
	path := func(name string, field func(*TLS) *string) option {
		return option{names: words(name), scope: listener, set: func(r *reader, v value) error {
			t := r.tls()
			*field(t) = v.text
			return nil
		}}
	}
	yes := func(name string, field func(*TLS) *bool) option {
		return option{names: words(name), kind: boolean, scope: listener, standard: "false", set: func(r *reader, v value) error {
			if v.yes || r.current != nil || r.standardUsed { // the default opens no listener
				*field(&r.listener().TLS) = v.yes
			}
			return nil
		}}
	}
	return []option{
		path("certfile", func(t *TLS) *string { return &t.CertFile }),
		path("keyfile", func(t *TLS) *string { return &t.KeyFile }),
		path("cafile", func(t *TLS) *string { return &t.CAFile }),
		path("capath", func(t *TLS) *string { return &t.CAPath }),
		path("crlfile", func(t *TLS) *string { return &t.CRLFile }),
		yes("require_certificate", func(t *TLS) *bool { return &t.RequireCertificate }),
		yes("colibri_optional_certificate", func(t *TLS) *bool { return &t.OptionalCertificate }),
		yes("use_identity_as_username", func(t *TLS) *bool { return &t.IdentityAsUserName }),
		yes("use_subject_as_username", func(t *TLS) *bool { return &t.SubjectAsUserName }),
		{names: words("tls_version"), scope: listener, set: func(r *reader, v value) error {
			return r.oneOf(v.text, words("tlsv1.2 tlsv1.3"), &r.listener().TLS.Version)
		}},
		{names: words("ciphers"), scope: listener, set: func(r *reader, v value) error {
			r.listener().TLS.Ciphers = v.text
			return nil
		}},
		{names: words("ciphers_tls1.3"), scope: listener, set: func(r *reader, v value) error {
			r.warn("ciphers_tls1.3 has no effect: the suites of TLS 1.3 cannot be chosen here, and all of them are safe")
			return nil
		}},
		{names: words("dhparamfile"), scope: listener, set: func(r *reader, v value) error {
			r.warn("dhparamfile has no effect: keys are exchanged on elliptic curves only")
			return nil
		}},
		{names: words("tls_keyform"), scope: listener, set: func(r *reader, v value) error {
			switch v.text {
			case "pem":
				return nil
			case "engine":
				return r.refuse(noEngine)
			}
			return r.errorf("'%s' is not a form of keys; write pem", v.text)
		}},
		{names: words("tls_engine tls_engine_kpass_sha1"), scope: listener, refused: noEngine},
		{names: words("psk_file psk_hint"), refused: noPSK},
		{names: words("disable_client_cert_date_checks"), kind: boolean, scope: listener, only: "false"},
	}
}

// tls returns the TLS of the listener that an option belongs to, which is on from now on.
func (r *reader) tls() *TLS {
	t := &r.listener().TLS
	if !t.On() {
		t.File, t.Line = r.file, r.line
	}
	return t
}

// checkTLS refuses what does not fit together.
func (l *Listener) checkTLS() error {
	t := &l.TLS
	wrong := func(key, format string, values ...any) error {
		file, line := t.File, t.Line
		if line == 0 {
			file, line = l.File, l.Line
		}
		return &Error{File: file, Line: line, Key: key, Text: fmt.Sprintf(format, values...)}
	}
	authorities := t.CAFile != "" || t.CAPath != ""
	proxied := !t.On() && l.Proxy.Version == 2 // certificates are shown to the proxy
	switch {
	case proxied && t.SubjectAsUserName && !t.IdentityAsUserName:
		return wrong("use_subject_as_username", "a proxy tells the Common Name of the client's certificate only, and use_subject_as_username wants all of its subject; write use_identity_as_username, or give this listener TLS of its own")
	case proxied && (t.Version != "" || t.Ciphers != ""):
		return wrong("certfile", "this listener has options for TLS and no certificate; add certfile and keyfile, or take the options out: the proxy ends the TLS of its clients")
	case proxied:
		return t.checkName(wrong)
	case !t.On() && l.Proxy.Version == 1 && (t.RequireCertificate || t.OptionalCertificate || t.IdentityAsUserName || t.SubjectAsUserName):
		return wrong("enable_proxy_protocol", "version 1 of the PROXY protocol does not tell of certificates; write 'enable_proxy_protocol 2', or give this listener TLS of its own")
	case !t.On() && (t.RequireCertificate || t.OptionalCertificate || t.IdentityAsUserName || t.SubjectAsUserName || t.Version != "" || t.Ciphers != ""):
		return wrong("certfile", "this listener has options for TLS and no certificate; add certfile and keyfile, or take the options out")
	case !t.On():
		return nil
	case l.Path != "":
		return wrong("certfile", "a listener on a Unix domain socket has no TLS; give it a port, or take the certificate out")
	case t.CertFile == "":
		return wrong("certfile", "this listener has options for TLS and no certfile; name the certificate of the broker")
	case t.KeyFile == "":
		return wrong("keyfile", "this listener has a certfile and no keyfile; name the key of the certificate")
	case (t.RequireCertificate || t.OptionalCertificate) && !authorities:
		return wrong("cafile", "certificates of clients need a cafile or a capath; name the CA that signs them")
	}
	return t.checkName(wrong)
}

// checkName refuses to take a User Name from certificates that nobody is asked for.
func (t *TLS) checkName(wrong func(key, format string, values ...any) error) error {
	if (t.IdentityAsUserName || t.SubjectAsUserName) && !t.RequireCertificate && !t.OptionalCertificate {
		return wrong("require_certificate", "the certificate of a client can only give its User Name with 'require_certificate true'; add that line")
	}
	return nil
}

// warnRevoked warns of lists of revoked certificates that nobody is checked against.
func warnRevoked(c *Config) {
	for i := range c.Listeners {
		if t := &c.Listeners[i].TLS; t.CRLFile != "" && !t.RequireCertificate && !t.OptionalCertificate {
			c.Warnings = append(c.Warnings, Warning{t.File, t.Line,
				"the crlfile of this listener has no effect, because no client is asked for a certificate; add 'require_certificate true', or take it out"})
		}
	}
}
