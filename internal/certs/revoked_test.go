package certs

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/certtest"
)

// TestPartialLists shows that a list which only adds to another one does not take its place:
// who is revoked in the first would be let in.
func TestPartialLists(t *testing.T) {
	w := newWorld(t)
	pair := w.authority.Client(t, "sensor")
	w.client.CertFile, w.client.KeyFile = pair.Save(t, w.dir, "client")
	whole := w.authority.Revoke(t, time.Now().AddDate(1, 0, 0), pair)
	for name, list := range map[string]*x509.RevocationList{
		"a delta": {ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}},
		"for CAs": {ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xFF}}}},
		"for others": {RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: bigInt(1), RevocationTime: time.Now(),
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}}}},
	} {
		list.Number, list.ThisUpdate, list.NextUpdate = bigInt(2), time.Now(), time.Now().AddDate(2, 0, 0)
		der, err := x509.CreateRevocationList(rand.Reader, list, w.authority.Certificate, w.authority.Key)
		if err != nil {
			t.Fatal(err)
		}
		w.server.CRLFile = certtest.Write(t, w.dir, "crl.pem", append(whole, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...))
		s, err := NewServer(w.server)
		if err == nil {
			client, _ := NewClient(w.client)
			serverErr, _ := meet(s.Config(), client)
			t.Errorf("%s: the list was taken, and the revoked client met %v", name, serverErr)
		} else if !strings.Contains(err.Error(), "the list of 'Our CA' speaks of a part of its certificates only") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
