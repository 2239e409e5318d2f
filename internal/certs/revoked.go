package certs

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// revocations are the lists of a crlfile, by the raw name of the CA that has signed them.
type revocations map[string]*revocationList

// revocationList is one list.
type revocationList struct {
	authority *x509.Certificate
	next      time.Time            // when its CA has promised the next one; zero when it has not
	serials   map[string]time.Time // when each was revoked
}

// RevokedError refuses a certificate that its CA has revoked.
type RevokedError struct {
	Certificate *x509.Certificate
	At          time.Time
}

// Error says which certificate it is.
func (e *RevokedError) Error() string {
	return fmt.Sprintf("the certificate '%s' (serial number %x) was revoked by its CA on %s", nameOf(e.Certificate.Subject), e.Certificate.SerialNumber, day(e.At))
}

// NoListError refuses a certificate of whose CA there is no revocation list that is in force.
type NoListError struct {
	Certificate *x509.Certificate
	Since       time.Time // when the list has become out of date; zero when there is none
}

// Error says what is missing.
func (e *NoListError) Error() string {
	if e.Since.IsZero() {
		return fmt.Sprintf("whether the certificate '%s' was revoked is not known, because crlfile has no list of its CA '%s'", nameOf(e.Certificate.Subject), nameOf(e.Certificate.Issuer))
	}
	return fmt.Sprintf("whether the certificate '%s' was revoked is not known, because the list of its CA '%s' in crlfile is out of date since %s", nameOf(e.Certificate.Subject), nameOf(e.Certificate.Issuer), day(e.Since))
}

// clocksApart is how much later than here it may be where a list was made.
const clocksApart = time.Minute

// readRevocations reads the lists of a file, in PEM or DER, each of which one of the CAs
// must have signed, and all of which must be in force by now.
func readRevocations(path string, authorities []*x509.Certificate, now time.Time) (revocations, error) {
	text, err := readFile("crlfile", path)
	if err != nil {
		return nil, err
	}
	var lists [][]byte
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	if len(lists) == 0 && len(text) > 0 && text[0] == 0x30 { // a SEQUENCE of DER
		lists = [][]byte{text}
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("crlfile '%s' holds no revocation list: it must have a line -----BEGIN X509 CRL-----", path)
	}
	all := revocations{}
	for i, der := range lists {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("crlfile '%s': list %d of it cannot be read: %w", path, i+1, err)
		}
		if partial(list) {
			return nil, fmt.Errorf("crlfile '%s': the list of '%s' speaks of a part of its certificates only, or adds to another list, which this program cannot tell apart: name a list that is complete", path, nameOf(list.Issuer))
		}
		authority := signer(list, authorities)
		if authority == nil {
			return nil, fmt.Errorf("crlfile '%s': the list of '%s' was not signed by a CA of cafile or capath: add that CA, or take the list out", path, nameOf(list.Issuer))
		}
		if now.Add(clocksApart).Before(list.ThisUpdate) {
			return nil, fmt.Errorf("crlfile '%s': the list of '%s' is in force from %s only: compare the clocks of this machine and of the CA, or name the list that is in force now", path, nameOf(list.Issuer), day(list.ThisUpdate))
		}
		one := &revocationList{authority: authority, next: list.NextUpdate, serials: make(map[string]time.Time, len(list.RevokedCertificateEntries))}
		for _, entry := range list.RevokedCertificateEntries {
			one.serials[entry.SerialNumber.String()] = entry.RevocationTime
		}
		if before := all[string(list.RawIssuer)]; before == nil || before.next.Before(one.next) {
			all[string(list.RawIssuer)] = one
		}
	}
	return all, nil
}

// partial reports whether list has an extension without which it cannot be understood
// (RFC 5280 section 5.2): that it adds to another list, for example, or leaves out users.
// Taken for a whole list it would have the others pass for not revoked.
func partial(list *x509.RevocationList) bool {
	critical := func(e pkix.Extension) bool { return e.Critical }
	return slices.ContainsFunc(list.Extensions, critical) || slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return slices.ContainsFunc(e.Extensions, critical)
	})
}

// signer returns the CA that has signed list, nil if none has.
func signer(list *x509.RevocationList, authorities []*x509.Certificate) *x509.Certificate {
	for _, a := range authorities {
		if bytes.Equal(a.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(a) == nil {
			return a
		}
	}
	return nil
}

// check returns nil if one of the chains, which are not empty, holds no revoked certificate.
// As in OpenSSL the CA of the client's own certificate needs a list that is in force; the
// CAs above it may have one.
func (all revocations) check(chains [][]*x509.Certificate, now time.Time) (err error) {
	for _, chain := range chains {
		if err = all.checkChain(chain, now); err == nil {
			return nil
		}
	}
	return err
}

func (all revocations) checkChain(chain []*x509.Certificate, now time.Time) error {
	for i, c := range chain[:len(chain)-1] { // nobody revokes a root
		list := all[string(c.RawIssuer)]
		switch {
		case list == nil && i > 0:
			continue
		case list == nil:
			return &NoListError{Certificate: c}
		case i == 0 && !list.next.IsZero() && now.After(list.next):
			return &NoListError{Certificate: c, Since: list.next}
		}
		if at, ok := list.serials[c.SerialNumber.String()]; ok {
			return &RevokedError{Certificate: c, At: at}
		}
	}
	return nil
}
