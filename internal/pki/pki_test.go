package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 500, time.UTC)

func testHosts(t *testing.T) Hosts {
	t.Helper()
	h := Hosts{}
	for _, name := range []string{"Broker.example", "localhost", "localhost", "*.inner.example"} {
		if err := h.AddName(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		if err := h.AddAddress(address); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func create(t *testing.T, clients ...string) (*Made, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	made, err := Create(dir, testHosts(t), clients, now)
	if err != nil {
		t.Fatal(err)
	}
	return made, dir
}

// TestCreate verifies what was made with crypto/x509, as a client and a broker do.
func TestCreate(t *testing.T) {
	made, dir := create(t, "alice", "böb@example 1")
	pool := x509.NewCertPool()
	pool.AddCert(made.Authority.Certificate())

	verify := func(c *x509.Certificate, host string, usage x509.ExtKeyUsage, at time.Time) error {
		_, err := c.Verify(x509.VerifyOptions{DNSName: host, Roots: pool, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at})
		return err
	}
	server, client := made.Server.Certificate, made.Clients[0].Certificate
	for _, host := range []string{"broker.example", "localhost", "a.inner.example", "127.0.0.1", "[::1]"} {
		if err := verify(server, host, x509.ExtKeyUsageServerAuth, now); err != nil {
			t.Errorf("the server as %s: %v", host, err)
		}
	}
	if verify(server, "other.example", x509.ExtKeyUsageServerAuth, now) == nil {
		t.Error("the server is accepted under a name that is not its own")
	}
	if err := verify(client, "", x509.ExtKeyUsageClientAuth, now); err != nil {
		t.Errorf("the client: %v", err)
	}
	if verify(server, "", x509.ExtKeyUsageClientAuth, now) == nil || verify(client, "", x509.ExtKeyUsageServerAuth, now) == nil {
		t.Error("a certificate is accepted for what it was not made for")
	}
	for _, c := range []*x509.Certificate{server, client} {
		if got := c.NotAfter.Sub(c.NotBefore) + time.Second; got != 397*24*time.Hour {
			t.Errorf("valid for %v, want 397 days", got)
		}
		if verify(c, "", x509.ExtKeyUsageAny, now.Add(-50*time.Minute)) != nil || verify(c, "", x509.ExtKeyUsageAny, now.Add(398*24*time.Hour)) == nil {
			t.Error("want it to begin an hour before its making, and to have ended after 398 days")
		}
		if c.KeyUsage != x509.KeyUsageDigitalSignature || c.IsCA || !c.BasicConstraintsValid {
			t.Errorf("got key usage %b, authority %v, want a signer of handshakes only", c.KeyUsage, c.IsCA)
		}
	}
	if got := made.Clients[1].Certificate.Subject.CommonName; got != "böb@example 1" {
		t.Errorf("Common Name: got %q", got)
	}

	root := made.Authority.Certificate()
	if !root.IsCA || root.MaxPathLen != 0 || !root.MaxPathLenZero || root.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("got authority %v, path length %d, key usage %b", root.IsCA, root.MaxPathLen, root.KeyUsage)
	}
	if want := root.NotBefore.AddDate(10, 0, 0).Add(-time.Second); !root.NotAfter.Equal(want) {
		t.Errorf("the authority ends at %v, want %v", root.NotAfter, want)
	}
	serials := map[string]bool{}
	for _, c := range []*x509.Certificate{root, server, client, made.Clients[1].Certificate} {
		key, ok := c.PublicKey.(*ecdsa.PublicKey)
		if !ok || key.Curve != elliptic.P256() || c.SignatureAlgorithm != x509.ECDSAWithSHA256 {
			t.Errorf("got a key of %T, signed by %v", c.PublicKey, c.SignatureAlgorithm)
		}
		if n := c.SerialNumber.BitLen(); n > 128 || n < 96 || serials[c.SerialNumber.String()] {
			t.Errorf("serial number %x: want 128 random bits", c.SerialNumber)
		}
		serials[c.SerialNumber.String()] = true
		if len(c.SubjectKeyId) != 20 || !cmp.Equal(c.AuthorityKeyId, root.SubjectKeyId) {
			t.Errorf("key identifiers: got %x by %x, want that of the authority", c.SubjectKeyId, c.AuthorityKeyId)
		}
	}
	if cmp.Equal(server.SubjectKeyId, client.SubjectKeyId) {
		t.Error("two keys have one identifier")
	}

	want := map[string]fs.FileMode{"ca.crt": 0o644, "ca.key": 0o600, "ca.crl": 0o644, "server.crt": 0o644, "server.key": 0o600,
		"alice.crt": 0o644, "alice.key": 0o600, "böb@example 1.crt": 0o644, "böb@example 1.key": 0o600}
	if diff := cmp.Diff(want, modes(t, dir)); diff != "" {
		t.Errorf("files: want (-), got (+):\n%s", diff)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: got %v, %v, want mode 0700", info.Mode(), err)
	}
	b, err := os.ReadFile(made.Server.KeyFile)
	if block, _ := pem.Decode(b); err != nil || block == nil || block.Type != "PRIVATE KEY" {
		t.Errorf("the key is not PKCS#8: %v", err)
	}
}

// modes returns the files of dir and their modes.
func modes(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]fs.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = info.Mode()
	}
	return found
}

// TestHandshake has a client and a server meet with the files.
func TestHandshake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	made, err := Create(dir, testHosts(t), []string{"alice"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	load := func(i Issued) []tls.Certificate {
		c, err := tls.LoadX509KeyPair(i.File, i.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	pool := x509.NewCertPool()
	pool.AddCert(made.Authority.Certificate())
	near, far := net.Pipe()
	got := make(chan string, 1)
	go func() {
		server := tls.Server(far, &tls.Config{Certificates: load(made.Server), ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
		if err := server.Handshake(); err != nil {
			got <- err.Error()
			return
		}
		got <- server.ConnectionState().PeerCertificates[0].Subject.CommonName
		io.Copy(io.Discard, server)
	}()
	client := tls.Client(near, &tls.Config{Certificates: load(made.Clients[0]), RootCAs: pool, ServerName: "127.0.0.1"})
	if err := client.Handshake(); err != nil {
		t.Errorf("the client: %v", err)
	}
	if name := <-got; name != "alice" {
		t.Errorf("the server saw %q, want alice", name)
	}
	near.Close()
}

// TestNothingIsOverwritten shows that a file in the way leaves everything as it was.
func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"server.key", "alice.crt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Create(dir, testHosts(t), []string{"alice"}, now)
	var exists *ExistsError
	want := []string{filepath.Join(dir, "server.key"), filepath.Join(dir, "alice.crt")}
	if !errors.As(err, &exists) || !cmp.Equal(exists.Files, want) || !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want both files named", err)
	}
	if diff := cmp.Diff(map[string]fs.FileMode{"server.key": 0o640, "alice.crt": 0o640}, modes(t, dir)); diff != "" {
		t.Errorf("files: want (-), got (+):\n%s", diff)
	}

	made, dir := create(t, "alice")
	before := modes(t, dir)
	if _, err := made.Authority.Client("alice", now); !errors.As(err, &exists) {
		t.Errorf("the same client once more: got %v", err)
	}
	if _, err := made.Authority.Server("ca", testHosts(t), now); !errors.As(err, &exists) {
		t.Errorf("a server with the name of the authority: got %v", err)
	}
	if diff := cmp.Diff(before, modes(t, dir)); diff != "" {
		t.Errorf("files: want (-), got (+):\n%s", diff)
	}

	fresh := filepath.Join(t.TempDir(), "pki")
	if _, err := Create(fresh, testHosts(t), []string{"alice", "Alice"}, now); err == nil || !strings.Contains(err.Error(), "different names") {
		t.Errorf("two clients in one file: got %v", err)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
}

// TestPlace shows that what was put into its place goes again when a later file cannot
// be: here because another one appeared after the first look. That one stays.
func TestPlace(t *testing.T) {
	dir := t.TempDir()
	files := []file{{"a", 0o600, nil}, {"b", 0o600, nil}, {"c", 0o600, nil}}
	var staged []string
	for _, f := range files {
		path, err := stage(dir, f)
		if err != nil {
			t.Fatal(err)
		}
		staged = append(staged, path)
	}
	late := filepath.Join(dir, "c")
	if err := os.WriteFile(late, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	var exists *ExistsError
	if err := place(dir, files, staged); !errors.As(err, &exists) || !slices.Equal(exists.Files, []string{late}) {
		t.Errorf("got %v, want that %s exists", err, late)
	}
	if b, err := os.ReadFile(late); err != nil || string(b) != "mine" {
		t.Errorf("the other's file: got %q, %v", b, err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if err := writeNew(dir, []file{{"a", 0o600, nil}, {"sub/x", 0o600, nil}}); err == nil {
		t.Error("a file in a directory that is not there was written")
	}
	if left := modes(t, dir); len(left) != 4 { // c, and what was staged above
		t.Errorf("left: %v", left)
	}
}

func TestOpen(t *testing.T) {
	made, dir := create(t)
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Client("later", now)
	if err != nil {
		t.Fatal(err)
	}
	if err := issued.Certificate.CheckSignatureFrom(made.Authority.Certificate()); err != nil {
		t.Error(err)
	}
	// It never outlives the authority.
	end := a.Certificate().NotAfter
	if late, err := a.Client("late", end.Add(-day)); err != nil || !late.Certificate.NotAfter.Equal(end) {
		t.Errorf("got %v and the end %v, want that of the authority, %v", err, late.Certificate.NotAfter, end)
	}

	other, _ := create(t)
	replace := func(name, with string) func(dir string) error {
		return func(dir string) error {
			b, err := os.ReadFile(with)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
	}
	for _, c := range []struct {
		name   string
		change func(dir string) error
		text   string
	}{
		{"no certificate", func(dir string) error { return os.Remove(filepath.Join(dir, "ca.crt")) }, "there is no authority in"},
		{"no key", func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }, "the key of the authority is needed"},
		{"another key", replace("ca.key", other.Authority.KeyFile()), "is not the key of"},
		{"a certificate as key", replace("ca.key", other.Authority.CertificateFile()), "holds no private key in PKCS#8"},
		{"a key as certificate", replace("ca.crt", other.Authority.KeyFile()), "holds a private key"},
		{"no authority", replace("ca.crt", made.Server.File), "is not the certificate of an authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, dir := create(t)
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
	if _, err := a.Client("x", end.Add(time.Second)); err == nil || !strings.Contains(err.Error(), "has ended on 2036-05-04") {
		t.Errorf("an authority that has ended: got %v", err)
	}
}

func TestRevoke(t *testing.T) {
	made, dir := create(t, "alice", "bob")
	a := made.Authority
	numbers := func() (string, []string) {
		list, err := ReadRevocationList(a.Path(RevocationFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(a.Certificate()); err != nil || !list.NextUpdate.Equal(a.Certificate().NotAfter) {
			t.Errorf("the list: %v, next update %v", err, list.NextUpdate)
		}
		var serials []string
		for _, e := range list.RevokedCertificateEntries {
			serials = append(serials, e.SerialNumber.String())
		}
		return list.Number.String(), serials
	}
	if number, serials := numbers(); number != "1" || len(serials) > 0 {
		t.Errorf("at first: got number %s, %v, want an empty list", number, serials)
	}
	alice, bob := made.Clients[0].Certificate, made.Clients[1].Certificate
	for _, step := range []struct {
		certificate *x509.Certificate
		changed     bool
	}{{bob, true}, {bob, false}, {alice, true}} {
		if changed, err := a.Revoke(step.certificate, now); err != nil || changed != step.changed {
			t.Errorf("got %v, %v, want %v", changed, err, step.changed)
		}
	}
	if number, serials := numbers(); number != "3" || !slices.Equal(serials, []string{bob.SerialNumber.String(), alice.SerialNumber.String()}) {
		t.Errorf("got number %s, %v, want 3 and both", number, serials)
	}

	other, _ := create(t)
	before, _ := os.ReadFile(a.Path(RevocationFile))
	for _, c := range []struct {
		name        string
		certificate *x509.Certificate
		text        string
	}{
		{"of another authority", other.Server.Certificate, "was not made by the authority in"},
		{"the authority", a.Certificate(), "cannot revoke itself"},
	} {
		if _, err := a.Revoke(c.certificate, now); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
	lock := a.Path(RevocationFile + ".new")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Revoke(made.Server.Certificate, now); err == nil || !strings.Contains(err.Error(), "another program revokes") {
		t.Errorf("while another revokes: got %v", err)
	}
	os.Remove(lock)
	if after, _ := os.ReadFile(a.Path(RevocationFile)); !cmp.Equal(before, after) {
		t.Error("the list has changed")
	}
	// A list that is gone begins anew; one of another authority does not.
	foreign, _ := os.ReadFile(other.Authority.Path(RevocationFile))
	if err := os.WriteFile(a.Path(RevocationFile), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Revoke(bob, now); err == nil || !strings.Contains(err.Error(), "is not the list of the authority") {
		t.Errorf("a list of another authority: got %v", err)
	}
	os.Remove(a.Path(RevocationFile))
	if changed, err := a.Revoke(bob, now); err != nil || !changed {
		t.Errorf("without a list: got %v, %v", changed, err)
	}
	for name := range modes(t, dir) {
		if strings.HasSuffix(name, ".new") || strings.HasPrefix(name, ".") {
			t.Errorf("%s is left", name)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"alice", ""}, {"sensor 1", ""}, {"a@b.example", ""}, {"é", ""}, {strings.Repeat("é", 64), ""},
		{"", "is empty"}, {"../x", "cannot be that of a file"}, {`a\b`, "cannot be that of a file"}, {".x", "begins with a dot"},
		{"-x", "begins with"}, {"a+b", "wildcards"}, {"#", "wildcards"}, {"a\nb", "cannot be printed"}, {"a\xffb", "cannot be printed"},
		{strings.Repeat("é", 65), "longer than 64"}, {"x ", "ends with a space"},
	} {
		if err := CheckName(c.name); (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%q: got %v, want %q", c.name, err, c.text)
		}
	}
	h := Hosts{}
	for _, c := range []struct{ name, text string }{
		{"broker", ""}, {"my_host.example", ""}, {"*.example", ""}, {"10.0.0.1", "is an IP address"}, {"::1", "is an IP address"},
		{"a..b", "is not the name of a host"}, {"", "is not"}, {"a b", "is not"}, {"a*.b", "is not"}, {"-a", "is not"}, {"bücher.example", "xn--"},
		{strings.Repeat("a", 64), "is not"}, {"broker:8883", "is not"}, {strings.Repeat("a.", 127), "is not"},
	} {
		if err := h.AddName(c.name); (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("host %q: got %v, want %q", c.name, err, c.text)
		}
	}
	if err := h.AddAddress("10.0.0.1:8883"); err == nil || !strings.Contains(err.Error(), "without a port") {
		t.Errorf("an address with a port: got %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "x"), Hosts{}, nil, now); err == nil || !strings.Contains(err.Error(), "needs a name or an address") {
		t.Errorf("no hosts: got %v", err)
	}
	machine, err := Machine()
	if err != nil || !slices.Contains(machine.Names, "localhost") || !slices.ContainsFunc(machine.Addresses, net.IPv6loopback.Equal) {
		t.Errorf("this machine: got %v, %v", machine, err)
	}
}

func TestRead(t *testing.T) {
	made, dir := create(t, "alice")
	der := filepath.Join(dir, "alice.der")
	both := filepath.Join(dir, "both.pem")
	large := filepath.Join(dir, "large")
	list, err := os.ReadFile(made.Authority.Path(RevocationFile))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := os.ReadFile(made.Server.File)
	if err != nil {
		t.Fatal(err)
	}
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	for path, b := range map[string][]byte{der: made.Clients[0].Certificate.Raw, both: append(append([]byte("text\n"), chain...), list...),
		large: make([]byte, maxFileBytes+1), filepath.Join(dir, "text"): []byte("x"), filepath.Join(dir, "broken"): broken} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := ReadCertificate(der); err != nil || !c.Equal(made.Clients[0].Certificate) {
		t.Errorf("DER: %v", err)
	}
	if c, err := Read(both); err != nil || len(c.Certificates) != 1 || len(c.Lists) != 1 {
		t.Errorf("certificate and list: got %v, %v", c, err)
	}
	for name, text := range map[string]string{"large": "far larger", "text": "holds no certificate", "alice.key": "holds a private key", "broken": "cannot be read"} {
		if _, err := Read(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q", name, err, text)
		}
	}
	if _, err := ReadCertificate(made.Authority.Path(RevocationFile)); err == nil {
		t.Error("a list was taken for a certificate")
	}
	if got := Fingerprint(made.Server.Certificate); len(got) != 95 || strings.Count(got, ":") != 31 {
		t.Errorf("fingerprint: got %s", got)
	}
}
