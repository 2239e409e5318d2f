package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/colibri-mqtt/colibri/internal/certs"
	"github.com/colibri-mqtt/colibri/internal/transport"
)

// exitTLS is the exit code of Mosquitto's programs for what goes wrong with TLS.
const exitTLS = 8

// tlsOptions are the flags of TLS.
type tlsOptions struct {
	asked    bool // by the scheme of -L
	off      bool // --no-tls
	caFile   string
	caPath   string
	osCerts  bool
	certFile string
	keyFile  string
	insecure bool
	version  string
	ciphers  string
	alpn     string
	keyLog   string

	config *tls.Config // of prepareTLS
}

// flags says which flag asks for TLS; empty for none.
func (t *tlsOptions) flags() string {
	switch {
	case t.asked:
		return "-L"
	case t.caFile != "":
		return "--cafile"
	case t.caPath != "":
		return "--capath"
	case t.osCerts:
		return "--tls-use-os-certs"
	case t.certFile != "":
		return "--cert"
	}
	return ""
}

// secure reports whether the connection is made with TLS: it is asked for, or the port is
// the one of MQTT over TLS.
func (o *options) secure() bool {
	return !o.tls.off && o.port != 0 && (o.tls.flags() != "" || o.port == 8883)
}

// checkTLS refuses what does not fit together.
func (o *options) checkTLS() error {
	t := &o.tls
	switch asks := t.flags(); {
	case t.off && asks != "":
		return usagef("Combining '--no-tls' and '%s' makes no sense.", asks)
	case (t.certFile == "") != (t.keyFile == ""):
		return usagef("Both certfile and keyfile must be provided if one of them is set.")
	case o.port == 0 && asks != "":
		return usagef("Combining '--unix' and '%s' makes no sense.", asks)
	case !o.secure() && !t.off:
		for _, flag := range []struct {
			name  string
			given bool
		}{
			{"--insecure", t.insecure}, {"--tls-alpn", t.alpn != ""}, {"--tls-version", t.version != ""}, {"--ciphers", t.ciphers != ""}, {"--tls-keylog", t.keyLog != ""},
		} {
			if flag.given {
				return usagef("'%s' is for TLS, which nothing asks for: add --cafile, --capath, --tls-use-os-certs or -p 8883.", flag.name)
			}
		}
	}
	return nil
}

// prepareTLS reads the files that the flags name.
func (o *options) prepareTLS() (err error) {
	if !o.secure() {
		return nil
	}
	t := &o.tls
	c := certs.ClientOptions{ServerName: o.host, CAFile: t.caFile, CAPath: t.caPath, OSCerts: t.osCerts, CertFile: t.certFile, KeyFile: t.keyFile,
		Insecure: t.insecure}
	if c.MinVersion, err = certs.Version(t.version); err != nil {
		return fmt.Errorf("--tls-version: %w", err)
	}
	if c.Ciphers, err = certs.Ciphers(t.ciphers); err != nil {
		return fmt.Errorf("--ciphers: %w", err)
	}
	if t.alpn != "" {
		c.Protocols = []string{t.alpn}
	}
	if t.keyLog != "" {
		file, err := os.OpenFile(t.keyLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("--tls-keylog: the file cannot be written: %w", err)
		}
		c.KeyLog = file // open until the program ends
	}
	if t.config, err = certs.NewClient(c); err != nil {
		return err
	}
	t.config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // to come back sooner
	return nil
}

// openTLS makes a TLS connection of nc, or one that finds out that it should have been.
func (o *options) openTLS(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if !o.secure() {
		return &plainConn{Conn: nc}, nil
	}
	c, err := transport.OpenTLS(ctx, nc, o.tls.config)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &certs.HandshakeError{Err: errors.Unwrap(err)}
	}
	return c, nil
}

// explainTLS says in a sentence which check of TLS has failed; empty when it was something
// else.
func (o *options) explainTLS(err error) string {
	if !o.secure() {
		return ""
	}
	return certs.Explain(err, o.host)
}

// errSpeaksTLS is the end of a connection without TLS to a server with it.
var errSpeaksTLS = fmt.Errorf("the server speaks TLS: %w", io.ErrUnexpectedEOF)

// plainConn is a connection without TLS. It knows the alert by which a server with TLS
// answers.
type plainConn struct {
	net.Conn
	begun bool // something was read
}

func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 1 && !c.begun && b[0] == 0x15 && b[1] == 0x03 {
		return 0, errSpeaksTLS
	}
	c.begun = c.begun || n > 0
	return n, err
}

// CloseWrite ends the direction to the server, for a client that says goodbye.
func (c *plainConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// tlsFlags returns the flags of TLS.
func tlsFlags() []flag {
	text := func(name, value, missing, help string, file bool, place func(*tlsOptions) *string) flag {
		return flag{names: []string{name}, in: all, group: groupTLS, value: value, missing: missing, help: help, file: file,
			apply: func(o *options, value string) error {
				if value == "" {
					return usagef("%s argument given but no %s specified.", name, missing)
				}
				*place(&o.tls) = value
				return nil
			}}
	}
	yes := func(name, help string, place func(*tlsOptions) *bool) flag {
		return flag{names: []string{name}, in: all, group: groupTLS, help: help, apply: set(func(o *options) { *place(&o.tls) = true })}
	}
	version := text("--tls-version", "VERSION", "version", "the least version of TLS: tlsv1.2 (the default) or tlsv1.3", false, func(t *tlsOptions) *string { return &t.version })
	version.values = []string{"tlsv1.2", "tlsv1.3"}
	return []flag{
		text("--cafile", "FILE", "file", "use TLS, and trust the CAs whose certificates are in FILE", true, func(t *tlsOptions) *string { return &t.caFile }),
		text("--capath", "DIR", "directory", "use TLS, and trust the CAs whose certificates are in the files of DIR", true, func(t *tlsOptions) *string { return &t.caPath }),
		yes("--tls-use-os-certs", "use TLS, and trust the CAs of this system, as -p 8883 alone does", func(t *tlsOptions) *bool { return &t.osCerts }),
		text("--cert", "FILE", "file", "use TLS, and show the server the certificate in FILE; needs --key", true, func(t *tlsOptions) *string { return &t.certFile }),
		text("--key", "FILE", "file", "the key of --cert, in PEM and without a passphrase", true, func(t *tlsOptions) *string { return &t.keyFile }),
		{names: []string{"--keyform"}, in: all, group: groupTLS, value: "FORM", missing: "keyform", values: []string{"pem"}, help: "the form of --key: pem",
			apply: func(_ *options, value string) error {
				switch value {
				case "pem":
					return nil
				case "engine":
					return &refusedError{"this program has no engines of OpenSSL; write the key into a file"}
				}
				return usagef("If keyform is set, keyform must be \"pem\".")
			}},
		yes("--insecure", "do not check who the server is; for tries only", func(t *tlsOptions) *bool { return &t.insecure }),
		version,
		text("--tls-alpn", "NAME", "ALPN", "ask for this protocol by ALPN, such as mqtt", false, func(t *tlsOptions) *string { return &t.alpn }),
		text("--ciphers", "LIST", "ciphers", "the cipher suites of TLS 1.2, with colons between them; those of 1.3 cannot be chosen", false, func(t *tlsOptions) *string { return &t.ciphers }),
		text("--tls-keylog", "FILE", "file", "append the secrets of the connection to FILE, for Wireshark; who has it can read all", true, func(t *tlsOptions) *string { return &t.keyLog }),
		yes("--no-tls", "do not use TLS, not even with -p 8883", func(t *tlsOptions) *bool { return &t.off }),

		refused("there is no TLS with pre-shared keys here; use certificates, with --cafile", "VALUE", "--psk", "--psk-identity"),
		refused("this program has no engines of OpenSSL; write the key into a file, and name it with --key", "VALUE", "--tls-engine", "--tls-engine-kpass-sha1"),
	}
}
