// Package pki makes a private certificate authority in a directory, and certificates of
// it for one server and some clients: enough for a first try of TLS and for tests. It is
// not for a fleet: whoever reads the directory can make certificates for any name.
//
// What lies in the directory:
//
//	ca.crt ca.key         the authority
//	ca.crl                the certificates that it has revoked; there from the start
//	server.crt server.key a server; others may have other names
//	NAME.crt NAME.key     the client NAME
//
// Keys are ECDSA on P-256, in PKCS#8, readable by their owner only. No file is ever
// overwritten but ca.crl, which is replaced at once. Files appear whole or not at all.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// The files of an authority, in its directory.
const (
	authorityName  = "ca"
	RevocationFile = "ca.crl"

	certificateEnding = ".crt"
	keyEnding         = ".key"
)

// How long certificates are valid.
const (
	// authorityYears is long, because whoever replaces an authority has to visit every
	// client.
	authorityYears = 10
	// Validity is that of the certificates of servers and clients. Programs that check
	// servers strictly have taken 398 days at most; one day less is right whichever way
	// they count, and nobody forgets for longer than a year how to renew.
	Validity = 397 * day

	day = 24 * time.Hour
	// early is how long before its making a certificate begins, for clocks that are slow.
	early = time.Hour
)

// Authority is a certificate authority with its key. Use one Authority of a directory at
// a time to revoke; two processes that do are told apart by a file.
type Authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Issued is a certificate that was made, and its files.
type Issued struct {
	Certificate *x509.Certificate
	File        string // the certificate, PEM
	KeyFile     string // its private key, PEM
}

// Made is all that Create has made.
type Made struct {
	Authority *Authority
	Server    Issued
	Clients   []Issued // in the order of their names
}

// Create makes an authority in dir, a certificate for a server with these hosts and one
// for each client: all files, or with an error none. It makes dir, not what is above it,
// with mode 0700. None of the files may be there already.
func Create(dir string, hosts Hosts, clients []string, now time.Time) (*Made, error) {
	a := &Authority{dir: dir}
	root, err := a.generate(now)
	if err != nil {
		return nil, err
	}
	list, err := a.revocationList(nil, big.NewInt(1), now)
	if err != nil {
		return nil, err
	}
	made := &Made{Authority: a}
	files := append(root, file{RevocationFile, publicMode, list})
	add := func(issued Issued, more []file, err error) (Issued, error) {
		files = append(files, more...)
		return issued, err
	}
	if made.Server, err = add(a.server("server", hosts, now)); err != nil {
		return nil, err
	}
	for _, name := range clients {
		issued, err := add(a.client(name, now))
		if err != nil {
			return nil, err
		}
		made.Clients = append(made.Clients, issued)
	}
	makeErr := os.Mkdir(dir, 0o700)
	if errors.Is(makeErr, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory in which %s would be does not exist: make it, or choose another one", dir)
	}
	if makeErr != nil && !errors.Is(makeErr, fs.ErrExist) {
		return nil, makeErr
	}
	if err := writeNew(dir, files); err != nil {
		if makeErr == nil {
			os.Remove(dir)
		}
		return nil, err
	}
	return made, nil
}

// Open reads the authority in dir.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	path := filepath.Join(dir, authorityName+certificateEnding)
	certificate, err := ReadCertificate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no authority in %s, as it has no %s: make one with init, or name its directory", dir, filepath.Base(path))
	}
	if err != nil {
		return nil, err
	}
	if !certificate.IsCA {
		return nil, fmt.Errorf("the file %s is not the certificate of an authority: take the one that was made with the directory", path)
	}
	keyPath := filepath.Join(dir, authorityName+keyEnding)
	b, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("the key of the authority is needed: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != keyBlock {
		return nil, fmt.Errorf("the file %s holds no private key in PKCS#8: take the one that was made with the directory", keyPath)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the key in %s: %w", keyPath, err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok || !own.PublicKey.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("the file %s is not the key of %s: take both from the same authority", keyPath, path)
	}
	a.certificate, a.key = certificate, own
	return a, nil
}

// Certificate returns the authority's own certificate. Nobody may change it.
func (a *Authority) Certificate() *x509.Certificate { return a.certificate }

// Path returns the path of a file of the authority.
func (a *Authority) Path(name string) string { return filepath.Join(a.dir, name) }

// CertificateFile returns the path of the authority's certificate.
func (a *Authority) CertificateFile() string { return a.Path(authorityName + certificateEnding) }

// KeyFile returns the path of the authority's private key.
func (a *Authority) KeyFile() string { return a.Path(authorityName + keyEnding) }

// Server makes a certificate for a server that is reached by these hosts, in the files
// NAME.crt and NAME.key.
func (a *Authority) Server(name string, hosts Hosts, now time.Time) (Issued, error) {
	return a.write(a.server(name, hosts, now))
}

// Client makes a certificate for a client: its Common Name is name, which brokers can
// take as the User Name. The files are NAME.crt and NAME.key.
func (a *Authority) Client(name string, now time.Time) (Issued, error) {
	return a.write(a.client(name, now))
}

// write writes what was made.
func (a *Authority) write(issued Issued, files []file, err error) (Issued, error) {
	if err == nil {
		err = writeNew(a.dir, files)
	}
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// generate makes the key and the certificate of the authority itself. Its subject is
// drawn anew each time: two authorities of one name and different keys make errors that
// nobody understands.
func (a *Authority) generate(now time.Time) ([]file, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	mark := make([]byte, 4)
	rand.Read(mark) // never fails
	begin := now.Add(-early).UTC().Truncate(time.Second)
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Colibri private CA " + hex.EncodeToString(mark)},
		NotBefore:             begin,
		NotAfter:              begin.AddDate(authorityYears, 0, 0).Add(-time.Second),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs no other authority
	}
	a.key, a.certificate = key, template
	certificate, files, err := a.sign(authorityName, template, key)
	a.certificate = certificate
	return files, err
}

func (a *Authority) server(name string, hosts Hosts, now time.Time) (Issued, []file, error) {
	if len(hosts.Names)+len(hosts.Addresses) == 0 {
		return Issued{}, nil, errors.New("a server needs a name or an address by which clients reach it")
	}
	common := ""
	if len(hosts.Names) > 0 {
		common = hosts.Names[0]
	} else {
		common = hosts.Addresses[0].String()
	}
	return a.issue(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: cut(common, maxCommonName)},
		DNSNames:    hosts.Names,
		IPAddresses: hosts.Addresses,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, now)
}

func (a *Authority) client(name string, now time.Time) (Issued, []file, error) {
	return a.issue(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, now)
}

// issue completes the template of a server or a client, and signs it with a new key.
func (a *Authority) issue(name string, template *x509.Certificate, now time.Time) (Issued, []file, error) {
	if err := CheckName(name); err != nil {
		return Issued{}, nil, err
	}
	if now.After(a.certificate.NotAfter) {
		return Issued{}, nil, fmt.Errorf("the authority in %s has ended on %s: make a new one in another directory",
			a.dir, a.certificate.NotAfter.Format(time.DateOnly))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, nil, err
	}
	template.NotBefore = now.Add(-early).UTC().Truncate(time.Second)
	template.NotAfter = template.NotBefore.Add(Validity - time.Second) // both ends count
	if end := a.certificate.NotAfter; template.NotAfter.After(end) {
		template.NotAfter = end
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	certificate, files, err := a.sign(name, template, key)
	return Issued{certificate, a.Path(name + certificateEnding), a.Path(name + keyEnding)}, files, err
}

// sign makes a certificate of template and key, signed by a, and its files.
func (a *Authority) sign(name string, template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, []file, error) {
	serial := make([]byte, 16)
	rand.Read(serial) // never fails
	template.SerialNumber = new(big.Int).SetBytes(serial)
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, nil, err
	}
	digest := sha256.Sum256(public)
	template.SubjectKeyId = digest[:20] // RFC 7093, method 1
	template.AuthorityKeyId = a.certificate.SubjectKeyId
	signed, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the certificate of %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(signed)
	if err != nil {
		return nil, nil, fmt.Errorf("make the certificate of %s: %w", name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	return certificate, []file{
		{name + certificateEnding, publicMode, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: signed})},
		{name + keyEnding, privateMode, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: private})},
	}, nil
}
