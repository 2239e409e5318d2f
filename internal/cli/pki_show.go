package cli

import (
	"crypto/x509"
	"fmt"
	"math"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri/internal/pki"
)

// pkiCertificate is what show says about a certificate. Scripts read the keys.
type pkiCertificate struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"` // hex digits, two a byte
	Names       []string  `json:"names"`
	Purposes    []string  `json:"purposes"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	DaysLeft    int       `json:"days_left"` // whole days; below 0 when it has ended
	Valid       bool      `json:"valid"`     // now
	Fingerprint string    `json:"sha256"`
}

// pkiList is what show says about a list of revoked certificates.
type pkiList struct {
	Issuer     string       `json:"issuer"`
	Number     string       `json:"number"`
	ThisUpdate time.Time    `json:"this_update"`
	NextUpdate time.Time    `json:"next_update"`
	DaysLeft   int          `json:"days_left"`
	Valid      bool         `json:"valid"`
	Revoked    []pkiRevoked `json:"revoked"`
}

type pkiRevoked struct {
	Serial string    `json:"serial"`
	At     time.Time `json:"at"`
}

func describe(c *x509.Certificate, now time.Time) pkiCertificate {
	return pkiCertificate{
		Subject:     c.Subject.String(),
		Issuer:      c.Issuer.String(),
		Serial:      serialText(c.SerialNumber),
		Names:       append([]string{}, hostTexts(c)...),
		Purposes:    pki.Purposes(c),
		NotBefore:   c.NotBefore,
		NotAfter:    c.NotAfter,
		DaysLeft:    daysLeft(c.NotAfter, now),
		Valid:       !now.Before(c.NotBefore) && !now.After(c.NotAfter),
		Fingerprint: pki.Fingerprint(c),
	}
}

func describeList(l *x509.RevocationList, now time.Time) pkiList {
	list := pkiList{
		Issuer:     l.Issuer.String(),
		ThisUpdate: l.ThisUpdate,
		NextUpdate: l.NextUpdate,
		DaysLeft:   daysLeft(l.NextUpdate, now),
		Valid:      !now.Before(l.ThisUpdate) && !now.After(l.NextUpdate),
		Revoked:    []pkiRevoked{},
	}
	if l.Number != nil {
		list.Number = l.Number.String()
	}
	for _, e := range l.RevokedCertificateEntries {
		list.Revoked = append(list.Revoked, pkiRevoked{serialText(e.SerialNumber), e.RevocationTime})
	}
	return list
}

// serialText writes a serial number as openssl does.
func serialText(n *big.Int) string { return fmt.Sprintf("%X", n.Bytes()) }

func daysLeft(end, now time.Time) int { return int(math.Floor(end.Sub(now).Hours() / 24)) }

// hostTexts returns the names and addresses of a certificate.
func hostTexts(c *x509.Certificate) []string {
	var texts []string
	texts = append(texts, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		texts = append(texts, ip.String())
	}
	texts = append(texts, c.EmailAddresses...)
	for _, u := range c.URIs {
		texts = append(texts, u.String())
	}
	return texts
}

// showCertificates is "pki show".
func showCertificates(env *invocation, o *pkiOptions) int {
	content, err := pki.Read(o.argument)
	if err != nil {
		return env.pkiFailed(err)
	}
	now := time.Now()
	result := struct {
		File         string           `json:"file"`
		Certificates []pkiCertificate `json:"certificates"`
		Lists        []pkiList        `json:"revocation_lists"`
	}{o.argument, []pkiCertificate{}, []pkiList{}}
	exit := exitOK
	var b strings.Builder
	for _, c := range content.Certificates {
		d := describe(c, now)
		result.Certificates = append(result.Certificates, d)
		if !d.Valid {
			exit = exitPKIEnded
		}
		writeCertificate(&b, d, now)
	}
	for _, l := range content.Lists {
		d := describeList(l, now)
		result.Lists = append(result.Lists, d)
		if !d.Valid {
			exit = exitPKIEnded
		}
		writeList(&b, d, now)
	}
	if o.json {
		if code := env.printResult(result); code != exitOK {
			return code
		}
	} else if code := env.printText(strings.TrimPrefix(b.String(), "\n")); code != exitOK {
		return code
	}
	return exit
}

func writeCertificate(b *strings.Builder, c pkiCertificate, now time.Time) {
	names := strings.Join(c.Names, ", ")
	if names == "" {
		names = "none"
	}
	fmt.Fprintf(b, "\nsubject      %s\nissuer       %s\n", plain(c.Subject), plain(c.Issuer))
	fmt.Fprintf(b, "names        %s\n", wrapped(plain(names), 13))
	fmt.Fprintf(b, "purpose      %s\n", strings.Join(c.Purposes, ", "))
	fmt.Fprintf(b, "valid        %s\n", validity(c.NotBefore, c.NotAfter, now))
	fmt.Fprintf(b, "serial       %s\nSHA-256      %s\n", c.Serial, c.Fingerprint)
}

func writeList(b *strings.Builder, l pkiList, now time.Time) {
	fmt.Fprintf(b, "\nrevoked by   %s\nvalid        %s\n", plain(l.Issuer), validity(l.ThisUpdate, l.NextUpdate, now))
	if len(l.Revoked) == 0 {
		b.WriteString("serial       none\n")
	}
	for _, r := range l.Revoked {
		fmt.Fprintf(b, "serial       %s, on %s\n", r.Serial, r.At.UTC().Format(time.DateOnly))
	}
}

// plain returns what stands in a certificate without what would change a terminal.
func plain(text string) string { return escaped(text, 1<<12) }

// validity says from when to when, and how long still.
func validity(from, to, now time.Time) string {
	text := fmt.Sprintf("from %s to %s: ", from.UTC().Format("2006-01-02 15:04"), to.UTC().Format("2006-01-02 15:04 UTC"))
	days := daysLeft(to, now)
	switch {
	case now.Before(from):
		return text + "NOT YET VALID: check the clock of this machine"
	case now.After(to):
		return text + fmt.Sprintf("ENDED %d days ago: make a new one", -days-1)
	}
	return text + fmt.Sprintf("%d days left", days)
}

// revokeCertificate is "pki revoke".
func revokeCertificate(env *invocation, o *pkiOptions) int {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return env.pkiFailed(err)
	}
	a, err := pki.Open(dir)
	if err != nil {
		return env.pkiFailed(err)
	}
	path := o.argument
	if !strings.ContainsRune(path, filepath.Separator) && !strings.HasSuffix(path, ".crt") && !strings.HasSuffix(path, ".pem") {
		if err := pki.CheckName(path); err != nil {
			return env.pkiFailed(err)
		}
		path = a.Path(path + ".crt")
	}
	certificate, err := pki.ReadCertificate(path)
	if err != nil {
		return env.pkiFailed(err)
	}
	changed, err := a.Revoke(certificate, time.Now())
	if err != nil {
		return env.pkiFailed(err)
	}
	list := a.Path(pki.RevocationFile)
	if o.json {
		return env.printResult(struct {
			RevocationFile string `json:"revocation_file"`
			Serial         string `json:"serial"`
			Changed        bool   `json:"changed"`
		}{list, serialText(certificate.SerialNumber), changed})
	}
	name := plain(certificate.Subject.CommonName)
	if !changed {
		return env.printText(fmt.Sprintf("The certificate of '%s' was revoked before; nothing was changed.\n", name))
	}
	return env.printText(fmt.Sprintf("The certificate of '%s' is revoked: it is on the list %s. A broker that has this crlfile, and runs, refuses it from now on; Mosquitto does after SIGHUP.\n", name, list))
}
