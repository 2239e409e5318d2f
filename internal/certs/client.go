package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
)

// ClientOptions say how a client checks its server and shows who it is. The paths are those
// of the flags with the same names.
type ClientOptions struct {
	ServerName        string // the name or address that the server's certificate must be for
	CAFile, CAPath    string // the CAs to trust; without both those of the system
	OSCerts           bool   // trust the CAs of the system as well
	CertFile, KeyFile string // empty for no certificate
	Insecure          bool   // check nothing
	MinVersion        uint16 // 0 stands for TLS 1.2
	Ciphers           []uint16
	Protocols         []string // for ALPN; none: nothing is said
	KeyLog            io.Writer
}

// NewClient reads the files. An error is a sentence that names the file and the flag.
func NewClient(o ClientOptions) (*tls.Config, error) {
	switch {
	case o.CertFile != "" && o.KeyFile == "":
		return nil, errors.New("--cert needs --key: name the key of the certificate")
	case o.KeyFile != "" && o.CertFile == "":
		return nil, errors.New("--key needs --cert: name the certificate of the key")
	}
	config := &tls.Config{ServerName: o.ServerName, MinVersion: o.MinVersion, CipherSuites: o.Ciphers, NextProtos: o.Protocols,
		InsecureSkipVerify: o.Insecure, KeyLogWriter: o.KeyLog}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	if o.CertFile != "" {
		pair, err := keyPair("--cert", o.CertFile, "--key", o.KeyFile)
		if err != nil {
			return nil, err
		}
		// Shown also to a server that names other CAs: then it can say that.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if o.CAFile == "" && o.CAPath == "" {
		return config, nil
	}
	cas, err := authorities("--cafile", o.CAFile, "--capath", o.CAPath)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if o.OSCerts {
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("the CAs of this system cannot be read: %w", err)
		}
	}
	for _, c := range cas {
		config.RootCAs.AddCert(c)
	}
	return config, nil
}
