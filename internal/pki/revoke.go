package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"
)

// Revoke puts a certificate of this authority onto its list of revoked ones, which
// brokers read (crlfile). It reports false when the certificate is on it already.
func (a *Authority) Revoke(certificate *x509.Certificate, now time.Time) (bool, error) {
	if bytes.Equal(certificate.Raw, a.certificate.Raw) {
		return false, errors.New("an authority cannot revoke itself: take its certificate out of the broker's cafile instead")
	}
	if err := certificate.CheckSignatureFrom(a.certificate); err != nil {
		return false, fmt.Errorf("the certificate of '%s' was not made by the authority in %s: name the directory of the one that made it",
			certificate.Subject.CommonName, a.dir)
	}
	path := a.Path(RevocationFile)
	// The next list is written to a file that must not be there: so it is a lock, too.
	next, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, publicMode)
	if errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("the file %s.new is there already: another program revokes at this moment, or one was stopped while it did; remove the file if none does", path)
	}
	if err != nil {
		return false, err
	}
	changed, err := a.extend(path, next, certificate, now)
	if err == nil && changed {
		err = os.Rename(next.Name(), path)
	}
	if err != nil || !changed {
		os.Remove(next.Name())
		return false, err
	}
	return true, nil
}

// extend writes the list at path, and certificate, into next and closes it. It reports
// whether the certificate is new on the list.
func (a *Authority) extend(path string, next *os.File, certificate *x509.Certificate, now time.Time) (bool, error) {
	defer next.Close()
	number := new(big.Int)
	var entries []x509.RevocationListEntry
	old, err := ReadRevocationList(path)
	switch {
	case err == nil:
		if err := old.CheckSignatureFrom(a.certificate); err != nil {
			return false, fmt.Errorf("the file %s is not the list of the authority in %s: move it away, and revoke again what was on it", path, a.dir)
		}
		number, entries = old.Number, old.RevokedCertificateEntries
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	for _, e := range entries {
		if e.SerialNumber.Cmp(certificate.SerialNumber) == 0 {
			return false, nil
		}
	}
	entries = append(entries, x509.RevocationListEntry{SerialNumber: certificate.SerialNumber, RevocationTime: now.UTC().Truncate(time.Second)})
	list, err := a.revocationList(entries, number.Add(number, big.NewInt(1)), now)
	if err != nil {
		return false, err
	}
	return true, fill(next, file{mode: publicMode, data: list})
}

// revocationList makes a list. It is valid as long as the authority: nobody is there to
// make a new one in time, and an old one would shut all clients out.
func (a *Authority) revocationList(entries []x509.RevocationListEntry, number *big.Int, now time.Time) ([]byte, error) {
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:                    number,
		ThisUpdate:                now.Add(-early).UTC().Truncate(time.Second),
		NextUpdate:                a.certificate.NotAfter,
		RevokedCertificateEntries: entries,
	}, a.certificate, a.key)
	if err != nil {
		return nil, fmt.Errorf("make the list of revoked certificates: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: listBlock, Bytes: list}), nil
}
