// Package certs makes what crypto/tls needs out of files: the configuration of a listener,
// whose certificate, key, CAs and revocation lists can be read again while it runs, and the
// one of a client. Explain says in a sentence why a handshake has failed.
//
// Nothing here logs, and no error holds a key.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ALPN is the name of MQTT in the handshake of TLS (RFC 7301).
const ALPN = "mqtt"

// maxFileBytes is more than any file of certificates needs: the CAs of a whole system
// have 250 KB, and a revocation list of 100,000 entries has 4 MB.
const maxFileBytes = 64 << 20

// readFile returns the bytes of a file; key is the name of the option that names it. Errors
// name both.
func readFile(key, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s '%s' cannot be read: %w", key, path, plain(err))
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s '%s' cannot be read: %w", key, path, plain(err))
	case len(b) > maxFileBytes:
		return nil, fmt.Errorf("%s '%s' has more than %d bytes, which no such file needs", key, path, maxFileBytes)
	}
	return b, nil
}

// plain returns the cause without the operation and the path.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

// keyPair reads a certificate, with the ones that lead to its CA behind it, and its key.
// certKey and keyKey are the names of the options.
func keyPair(certKey, certPath, keyKey, keyPath string) (tls.Certificate, error) {
	certText, err := readFile(certKey, certPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	if _, err := parseAll(certKey, certPath, certText); err != nil {
		return tls.Certificate{}, err
	}
	keyText, err := readFile(keyKey, keyPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := checkKey(keyKey, keyPath, keyText); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s '%s' does not belong to %s '%s': name the key with which the certificate was made", keyKey, keyPath, certKey, certPath)
	}
	return pair, nil
}

// checkKey refuses a file that holds no key which can be read.
func checkKey(option, path string, text []byte) error {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return fmt.Errorf("%s '%s' holds no private key in PEM: it must have a line that begins with -----BEGIN and ends with PRIVATE KEY-----", option, path)
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
			return fmt.Errorf("%s '%s' is encrypted, and nobody is here to type its passphrase: write it without one, with 'openssl pkey -in OLD -out NEW', and let only the broker's user read it", option, path)
		case block.Type == "PRIVATE KEY":
			if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				return fmt.Errorf("%s '%s' holds a private key of a kind that is not known here: make one with RSA, ECDSA or Ed25519", option, path)
			}
			return nil
		case block.Type == "RSA PRIVATE KEY", block.Type == "EC PRIVATE KEY":
			return nil
		}
	}
}

// parseAll returns the certificates of a text, of which there must be one.
func parseAll(option, path string, text []byte) (all []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s '%s': certificate %d of it cannot be read: %w", option, path, len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s '%s' holds no certificate in PEM: it must have a line -----BEGIN CERTIFICATE-----", option, path)
	}
	return all, nil
}

// authorities reads the CAs of a file and of all files of a directory, of which the ones
// without certificates do not count. Either path may be empty.
func authorities(fileKey, file, dirKey, dir string) (all []*x509.Certificate, err error) {
	if file != "" {
		text, err := readFile(fileKey, file)
		if err != nil {
			return nil, err
		}
		if all, err = parseAll(fileKey, file, text); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		return all, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s '%s' cannot be read: %w", dirKey, dir, plain(err))
	}
	found := 0
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		text, err := readFile(dirKey, path)
		if err != nil {
			return nil, err
		}
		if some, err := parseAll(dirKey, path, text); err == nil {
			all = append(all, some...)
			found += len(some)
		}
	}
	if found == 0 {
		return nil, fmt.Errorf("%s '%s' holds no certificate in PEM in any of its files", dirKey, dir)
	}
	return all, nil
}

func pool(all []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range all {
		p.AddCert(c)
	}
	return p
}

// nameOf returns what people call a subject: its Common Name, or all of it.
func nameOf(n pkix.Name) string {
	switch {
	case n.CommonName != "":
		return n.CommonName
	case len(n.Names) > 0:
		return n.String()
	}
	return "without a name"
}

// day writes a moment for people.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
