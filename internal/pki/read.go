package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxFileBytes is the most that is read of a file: the certificates of all public
// authorities together have a quarter of it.
const maxFileBytes = 1 << 20

// Content is what a file holds: certificates in their order, and lists of revoked ones.
type Content struct {
	Certificates []*x509.Certificate
	Lists        []*x509.RevocationList
}

// Read reads a file of certificates and lists of revoked ones, in PEM or one in DER. It
// refuses a file that holds neither, and says when it holds a private key.
func Read(path string) (*Content, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	content, hasKey := &Content{}, false
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == certificateBlock:
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the file %s holds a certificate that cannot be read: %w", path, err)
			}
			content.Certificates = append(content.Certificates, certificate)
		case block.Type == listBlock:
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the file %s holds a list of revoked certificates that cannot be read: %w", path, err)
			}
			content.Lists = append(content.Lists, list)
		case strings.HasSuffix(block.Type, keyBlock):
			hasKey = true
		}
	}
	if certificate, err := x509.ParseCertificate(b); err == nil {
		content.Certificates = append(content.Certificates, certificate)
	} else if list, err := x509.ParseRevocationList(b); err == nil {
		content.Lists = append(content.Lists, list)
	}
	switch {
	case len(content.Certificates)+len(content.Lists) > 0:
		return content, nil
	case hasKey:
		return nil, fmt.Errorf("the file %s holds a private key, which is not for showing: name the file of its certificate, which mostly ends in .crt", path)
	}
	return nil, fmt.Errorf("the file %s holds no certificate, neither in PEM nor in DER: name another file", path)
}

// ReadCertificate returns the first certificate of a file.
func ReadCertificate(path string) (*x509.Certificate, error) {
	content, err := Read(path)
	if err != nil {
		return nil, err
	}
	if len(content.Certificates) == 0 {
		return nil, fmt.Errorf("the file %s holds no certificate: name another file", path)
	}
	return content.Certificates[0], nil
}

// ReadRevocationList returns the first list of a file.
func ReadRevocationList(path string) (*x509.RevocationList, error) {
	content, err := Read(path)
	if err != nil {
		return nil, err
	}
	if len(content.Lists) == 0 {
		return nil, fmt.Errorf("the file %s holds no list of revoked certificates: name another file", path)
	}
	return content.Lists[0], nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, maxFileBytes+1)); err != nil {
		return nil, err
	}
	if b.Len() > maxFileBytes {
		return nil, errors.New("the file " + path + " is far larger than any file of certificates: name another file")
	}
	return b.Bytes(), nil
}

// Fingerprint returns the SHA-256 of a certificate as openssl prints it, such as
// "3F:0A:…".
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Purposes says in words what a certificate is for, such as "server".
func Purposes(certificate *x509.Certificate) []string {
	var purposes []string
	if certificate.IsCA {
		purposes = append(purposes, "authority")
	}
	for _, usage := range certificate.ExtKeyUsage {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			purposes = append(purposes, "server")
		case x509.ExtKeyUsageClientAuth:
			purposes = append(purposes, "client")
		case x509.ExtKeyUsageAny:
			purposes = append(purposes, "anything")
		default:
			purposes = append(purposes, "other")
		}
	}
	if len(purposes) == 0 {
		purposes = append(purposes, "anything") // nothing limits it
	}
	return purposes
}
