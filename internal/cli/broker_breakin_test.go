package cli

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/certs"
	"github.com/colibri-mqtt/colibri/internal/transport"
)

// scramFile makes a file for SCRAM with ann, whose password is secret.
func scramFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scram")
	if exit, _, stderr := passwdCall(t, path, "", "colibri passwd --scram -I 4096 -c -b F ann "+secret); exit != 0 {
		t.Fatal(stderr)
	}
	return path
}

// TestAnonymousBesideScram shows that where SCRAM proves who users are, nobody is believed
// who only says it.
func TestAnonymousBesideScram(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\ncolibri_scram_file "+scramFile(t)+"\n")
	address := b.address()
	if exit, stderr := pubAs(t, address, "5", "", ""); exit != 0 {
		t.Errorf("nobody: got exit code %d and %q", exit, stderr)
	}
	for _, user := range []string{"ann", "eve"} {
		if exit, _ := pubAs(t, address, "5", user, "x"); exit != 135 {
			t.Errorf("%s, without SCRAM: got exit code %d, want 135", user, exit)
		}
	}
	b.end()
}

// TestScramBesideCertificates shows that a listener which takes the User Name from a
// certificate takes no other name.
func TestScramBesideCertificates(t *testing.T) {
	f := newSecureFiles(t)
	b := startConfigured(t, "colibri_scram_file "+scramFile(t)+"\n"+
		f.listener("cafile "+f.cafile+"\nrequire_certificate true\nuse_identity_as_username true\n"))
	method, err := client.ScramSHA256("ann", secret)
	if err != nil {
		t.Fatal(err)
	}
	config, err := certs.NewClient(certs.ClientOptions{ServerName: "localhost", CAFile: f.cafile, CertFile: f.clientCert, KeyFile: f.clientKey})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), "tls://"+b.address(), client.Options{Version: colibri.V5, Method: method,
		Dial: func(ctx context.Context, url string) (net.Conn, error) {
			return transport.Dial(ctx, url, transport.Options{TLS: config})
		}})
	if err == nil {
		c.Close()
		t.Error("ann came in with the certificate of sensor")
	}
	if log := b.end(); strings.Contains(log, "u'ann'") {
		t.Errorf("got\n%s", log)
	}
}

// TestBansOutliveOtherListeners shows that a ban for guessing does not end because the
// same name is let in without a proof elsewhere.
func TestBansOutliveOtherListeners(t *testing.T) {
	b := startConfigured(t, fmt.Sprintf("per_listener_settings true\ncolibri_login_failures 2\nlistener 0 127.0.0.1\npassword_file %s\n"+
		"listener 0 127.0.0.2\nallow_anonymous true\n", passwordFile(t)))
	guarded := b.address()
	open := b.until(`listening on +[^\n]*\n(?:[^\n]*\n)*?[^\n]*(127\.0\.0\.2:\d+)`)[1]
	for range 2 {
		pubAs(t, guarded, "5", "bob", "guess")
	}
	if exit, stderr := pubAs(t, open, "5", "bob", "x"); exit != 0 {
		t.Fatalf("elsewhere: got exit code %d and %s", exit, stderr)
	}
	pubAs(t, guarded, "5", "bob", "guess")
	if exit, _ := pubAs(t, guarded, "5", "bob", "guess"); exit != 138 {
		t.Errorf("the fourth guess: got exit code %d, want 138: Banned", exit)
	}
	b.end()
}

// TestBanHidesToken shows that a token in the place of the User Name is in no line about a ban.
func TestBanHidesToken(t *testing.T) {
	isolate(t)
	b := startConfigured(t, "listener 0 127.0.0.1\nlog_type all\ncolibri_login_failures 1\ncolibri_login_ban 60\ncolibri_jwt_in username\ncolibri_jwt_secret "+file(t, tokenSecret)+
		"\npassword_file "+passwordFile(t)+"\n")
	old := tokenFor(tokenSecret, `{"sub":"alice","exp":1000000000}`)
	for range 4 {
		publishWith(t, b, "-i", "c1", "-u", old, "-t", "a", "-V", "5")
	}
	b.until(`Banned for failed logins`)
	noSecrets(t, b.end(), old)
}
