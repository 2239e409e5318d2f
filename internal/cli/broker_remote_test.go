package cli

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// file writes a file that only we may read, and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tokenFor returns a token that is signed with secret.
func tokenFor(secret, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sum := hmac.New(sha256.New, []byte(secret))
	sum.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

const (
	tokenSecret = "a secret of the issuer, which nobody else knows"
	farAway     = `"exp":4102444800` // 1 January 2100
)

// pubAs runs colibri pub against a broker.
func publishWith(t *testing.T, b *runningBroker, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(b.address())
	return call(t, append([]string{"colibri", "pub", "-h", host, "-p", port, "-m", "m", "-q", "1"}, args...)...)
}

const refusedText = "Connection error: Connection Refused: not authorised.\nError: The connection was refused.\n"

// TestTokens shows a broker that takes tokens, as people see it.
func TestTokens(t *testing.T) {
	isolate(t)
	secret := file(t, tokenSecret+"\n")
	b := startConfigured(t, "listener 0 127.0.0.1\ncolibri_jwt_secret "+secret+"\ncolibri_jwt_publish_claim pub\ncolibri_jwt_client_claim cid\ncolibri_login_failures 0\n")
	good := tokenFor(tokenSecret, `{"sub":"alice","cid":"c1","pub":["%u/#"],`+farAway+`}`)
	expired := tokenFor(tokenSecret, `{"sub":"alice","cid":"c1","exp":1000000000}`)
	forged := tokenFor("another secret, of somebody who is nobody", `{"sub":"alice","cid":"c1",`+farAway+`}`)
	for _, test := range []struct {
		name, token, topic string
		args               []string
		exit               int
		stderr, log        string
	}{
		{"right", good, "alice/a", []string{"-i", "c1"}, 0, "", `as c1 \(p2, c1, k60, u'alice'\)`},
		{"a client without a name", good, "alice/a", []string{"-V", "5"}, 0, "", `as c1 \(p5, c1, k60, u'alice'\)`},
		{"a topic of another", good, "bob/a", []string{"-i", "c1", "-V", "5"}, 135, "Warning: Publish 1 failed: Not authorized.\nthis client may not publish to this topic\n", ""},
		{"another client", good, "alice/a", []string{"-i", "c2"}, 5, refusedText, `Client c2 \[.*\] refused: CONNECT: the token is for another Client Identifier \(Not authorized\)\.`},
		{"expired", expired, "alice/a", []string{"-i", "c3"}, 5, refusedText, `Client c3 \[.*\] refused: CONNECT: the token has expired \(Not authorized\)\.`},
		{"expired, 5.0", expired, "alice/a", []string{"-i", "c4", "-V", "5"}, 135, "Connection error: Not authorized\nCONNECT: the token has expired\nError: The connection was refused.\n", ""},
		{"forged", forged, "alice/a", []string{"-i", "c5"}, 5, refusedText, `Client c5 \[.*\] refused: CONNECT: the signature of the token is wrong \(Not authorized\)\.`},
		{"a password", "hush", "alice/a", []string{"-i", "c6"}, 5, refusedText, `Client c6 \[.*\] refused: CONNECT: the Server does not know this User Name with this Password \(Not authorized\)\.`},
	} {
		exit, stdout, stderr := publishWith(t, b, append(test.args, "-u", "x", "-P", test.token, "-t", test.topic)...)
		if exit != test.exit || stdout != "" || stderr != test.stderr {
			t.Errorf("%s: got exit code %d and\n%s%swant %d and\n%s", test.name, exit, stdout, stderr, test.exit, test.stderr)
		}
		b.until(test.log)
	}
	if err := os.WriteFile(secret, []byte("another secret, of somebody who is nobody"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangup(t, b)
	b.until(`Reading the keys of tokens again: what stands there holds from now on\.`)
	if exit, _, _ := publishWith(t, b, "-u", "x", "-P", good, "-t", "alice/a", "-i", "c1"); exit != 5 {
		t.Errorf("with a key that holds no more: got exit code %d, want 5", exit)
	}
	if exit, _, _ := publishWith(t, b, "-u", "x", "-P", forged, "-t", "alice/a", "-i", "c1"); exit != 0 {
		t.Errorf("with the new key, and without rights: got exit code %d, want 0: it is told of a refused message only in 5.0", exit)
	}
	noSecrets(t, b.end(), good, expired, forged, "hush", tokenSecret)
}

// hangup sends SIGHUP to ourselves, who are the broker.
func hangup(t *testing.T, b *runningBroker) {
	t.Helper()
	b.address()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// noSecrets looks for secrets, and parts of tokens, in a log.
func noSecrets(t *testing.T, log string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		for part := range strings.SplitSeq(secret, ".") {
			if strings.Contains(log, part) {
				t.Errorf("the log holds %q:\n%s", part, log)
			}
		}
	}
}

// TestTokenAsUserName covers the token in the other place: no log and no $SYS may have it.
func TestTokenAsUserName(t *testing.T) {
	isolate(t)
	b := startConfigured(t, "listener 0 127.0.0.1\nlog_type all\ncolibri_jwt_in username\ncolibri_jwt_secret "+file(t, tokenSecret)+"\n")
	good, bad := tokenFor(tokenSecret, `{"sub":"alice",`+farAway+`}`), tokenFor("x", `{"sub":"alice",`+farAway+`}`)
	if exit, _, stderr := publishWith(t, b, "-i", "c1", "-u", good, "-t", "a"); exit != 0 || stderr != "" {
		t.Errorf("got exit code %d and %s", exit, stderr)
	}
	if exit, _, _ := publishWith(t, b, "-i", "c2", "-u", bad, "-t", "a"); exit != 5 {
		t.Errorf("got exit code %d, want 5", exit)
	}
	b.until(`u'alice'`)
	b.until(`Client c2 .* refused`)
	noSecrets(t, b.end(), good, bad, tokenSecret)
}

// TestHTTPAuth shows a broker that asks an HTTPS server.
func TestHTTPAuth(t *testing.T) {
	isolate(t)
	down := make(chan bool, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case len(down) > 0:
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "%s", body)
		case r.Header.Get("Authorization") != "Bearer hush-bearer":
			w.WriteHeader(http.StatusForbidden)
		case strings.Contains(string(body), `"password":"hush"`):
			io.WriteString(w, `{"result":"allow","username":"alice","publish":["%u/+"],"subscribe":[]}`)
		default:
			io.WriteString(w, `{"result":"deny","reason":"ask for a new password at the desk"}`)
		}
	}))
	defer server.Close()
	authority := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	where := strings.Replace(server.URL, "https://", "https://me:hush-url@", 1)
	b := startConfigured(t, "listener 0 127.0.0.1\nlog_type all\ncolibri_http_auth "+where+"/ask?key=hush-url\ncolibri_http_cache_time 0\ncolibri_http_cafile "+authority+"\n")
	exit, _, stderr := publishWith(t, b, "-u", "x", "-P", "hush", "-t", "alice/a")
	if exit != 3 || stderr != "Connection error: Connection Refused: broker unavailable.\nError: The connection was refused.\n" {
		t.Errorf("without the token of the server: got exit code %d and %s", exit, stderr)
	}
	b.until(`refused: https://127\.0\.0\.1:\d+ cannot be asked: it answers with the status 403\.`)
	noSecrets(t, b.end(), "hush")

	b = startConfigured(t, "listener 0 127.0.0.1\nlog_type all\ncolibri_http_auth "+where+"/ask?key=hush-url\ncolibri_http_cache_time 0\ncolibri_http_cafile "+authority+
		"\ncolibri_http_token_file "+file(t, "hush-bearer\n")+"\n")
	for _, test := range []struct {
		name, password, topic string
		exit                  int
		stderr                string
	}{
		{"right", "hush", "alice/a", 0, ""},
		{"a topic of another", "hush", "bob/a", 135, "Warning: Publish 1 failed: Not authorized.\nthis client may not publish to this topic\n"},
		{"wrong", "shhh", "alice/a", 135, "Connection error: Not authorized\nCONNECT: ask for a new password at the desk\nError: The connection was refused.\n"},
	} {
		exit, _, stderr := publishWith(t, b, "-V", "5", "-u", "x", "-P", test.password, "-t", test.topic)
		if exit != test.exit || stderr != test.stderr {
			t.Errorf("%s: got exit code %d and\n%swant %d and\n%s", test.name, exit, stderr, test.exit, test.stderr)
		}
	}
	down <- true
	exit, _, stderr = publishWith(t, b, "-V", "5", "-u", "x", "-P", "hush", "-t", "alice/a")
	if exit != 136 || stderr != "Connection error: Server unavailable\nError: The connection was refused.\n" {
		t.Errorf("with a broken server: got exit code %d and\n%s", exit, stderr)
	}
	b.until(`refused: https://127\.0\.0\.1:\d+ cannot be asked: it answers with the status 500\.`)
	noSecrets(t, b.end(), "hush", "shhh")
}

// serveLDAP answers simple binds: with success when they hold good, else with invalidCredentials.
func serveLDAP(nc net.Conn, good string) {
	defer nc.Close()
	request := make([]byte, 256)
	for {
		n, err := nc.Read(request)
		if err != nil || n < 6 || request[5] != 0x60 { // no BindRequest
			return
		}
		result := byte(49)
		if strings.Contains(string(request[:n]), good) {
			result = 0
		}
		nc.Write([]byte{0x30, 12, 2, 1, request[4], 0x61, 7, 10, 1, result, 4, 0, 4, 0})
	}
}

// TestDirectory shows a broker that asks a directory.
func TestDirectory(t *testing.T) {
	isolate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			go serveLDAP(nc, `uid=al\2bice,dc=a`+"\x80\x04hush")
		}
	}()
	b := startConfigured(t, "listener 0 127.0.0.1\nlog_type all\ncolibri_ldap_url ldap://"+listener.Addr().String()+"\ncolibri_ldap_bind_dn uid=%u,dc=a\n")
	b.until(`open to whom ldap lets in\n`)
	for _, test := range []struct {
		password string
		exit     int
		stderr   string
	}{
		{"hush", 0, ""},
		{"shhh", 5, refusedText},
		{"", 5, refusedText},
	} {
		if exit, _, stderr := publishWith(t, b, "-u", "al+ice", "-P", test.password, "-t", "a"); exit != test.exit || stderr != test.stderr {
			t.Errorf("%q: got exit code %d and\n%swant %d and\n%s", test.password, exit, stderr, test.exit, test.stderr)
		}
	}
	listener.Close()
	noSecrets(t, b.end(), "hush", "shhh")

	b = startConfigured(t, "listener 0 127.0.0.1\nlog_type all\ncolibri_ldap_url ldap://"+listener.Addr().String()+"\ncolibri_ldap_bind_dn uid=%u,dc=a\n")
	exit, _, stderr := publishWith(t, b, "-u", "al+ice", "-P", "hush", "-t", "a")
	if exit != 3 || stderr != "Connection error: Connection Refused: broker unavailable.\nError: The connection was refused.\n" {
		t.Errorf("without its server: got exit code %d and %s", exit, stderr)
	}
	b.until(`refused: ldap://127\.0\.0\.1:\d+ cannot be asked: .*connection refused\.`)
	noSecrets(t, b.end(), "hush")
}

// TestSilentServer covers a server that never answers: other clients are let in meanwhile, and
// who waits for it is refused in time.
func TestSilentServer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	asked := make(chan net.Conn, 10)
	go func() {
		for {
			nc, err := silent.Accept()
			if err != nil {
				return
			}
			asked <- nc
		}
	}()
	b := startConfigured(t, fmt.Sprintf("listener 0 127.0.0.1\nallow_anonymous true\ncolibri_jwt_secret %s\ncolibri_http_auth http://%s/\ncolibri_http_timeout 2\n",
		file(t, tokenSecret), silent.Addr()))
	address := b.address()
	waits := dialRaw(t, "tcp", address, colibri.V5)
	waits.send(&packet.Connect{Version: colibri.V5, ClientID: "waits", CleanStart: true, HasUserName: true, UserName: "x", HasPassword: true, Password: []byte("hush")})
	nc := <-asked
	defer nc.Close()
	for n := range 20 {
		p := packet.Connect{ClientID: fmt.Sprint("anonymous", n)}
		if n%2 == 0 {
			p = packet.Connect{ClientID: fmt.Sprint("known", n), HasUserName: true, UserName: "x", HasPassword: true,
				Password: []byte(tokenFor(tokenSecret, `{"sub":"alice",`+farAway+`}`))}
		}
		if got := dialRaw(t, "tcp", address, colibri.V5).connect(p); got != colibri.Success {
			t.Fatalf("%s: got %v while another waits, want Success", p.ClientID, got)
		}
	}
	if text, _ := b.stderr.now(); strings.Contains(text, "Client waits") {
		t.Fatalf("it did not wait:\n%s", text)
	}
	if p, ok := waits.receive().(*packet.Connack); !ok || p.Code != colibri.ServerUnavailable {
		t.Errorf("got %v, want a CONNACK with 0x88", p)
	}
	b.until(`Client waits \[.*\] refused: http://127\.0\.0\.1:\d+ cannot be asked: there was no answer in time\.`)
	noSecrets(t, b.end(), "hush")
}

// TestAskersMistakes covers what is wrong in files: the broker does not start, and says why.
func TestAskersMistakes(t *testing.T) {
	for _, test := range []struct{ config, want string }{
		{"colibri_jwt_secret " + file(t, "hush"), "Error: The keys of tokens: .*: the secret has 4 bytes; make one of at least 32.\n"},
		{"colibri_jwt_key /does/not/exist", "Error: The keys of tokens: /does/not/exist cannot be read: no such file or directory.\n"},
		{"colibri_http_auth https://x.example/\ncolibri_http_cafile " + file(t, "hush"), "holds no certificate; it should hold that of the authority, as PEM.\n"},
		{"colibri_ldap_url ldaps://x.example\ncolibri_ldap_bind_dn %u", "write one as in uid=%u,ou=people,dc=example,dc=org.\n"},
	} {
		path := writeConfig(t, "listener 0 127.0.0.1\n"+test.config+"\n")
		for _, args := range [][]string{{"--test-config"}, nil} {
			want := 3
			if args == nil {
				want = 1
			}
			exit, stdout, stderr := call(t, append([]string{"colibri", "broker", "-c", path}, args...)...)
			_, after, ok := strings.Cut(test.want, ".*")
			if !ok {
				after = test.want
			}
			if exit != want || stdout != "" || !strings.Contains(stderr, after) || strings.Contains(stderr, "hush") {
				t.Errorf("%s %v: got exit code %d and %s%s", test.config, args, exit, stdout, stderr)
			}
		}
	}
}

// TestAuthOrder covers who is asked first: a token is right, and the HTTP server denies everybody.
func TestAuthOrder(t *testing.T) {
	isolate(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"result":"deny"}`) }))
	defer server.Close()
	config := "listener 0 127.0.0.1\ncolibri_jwt_secret " + file(t, tokenSecret) + "\ncolibri_http_auth " + server.URL + "\n"
	for _, test := range []struct {
		config, whom string
		exit         int
	}{
		{config, "jwt, http", 0},
		{config + "colibri_auth_order http\n", "http, jwt", 5},
		{config + "colibri_auth_order password, jwt, http\nallow_anonymous true\n", "jwt, http lets in, and anyone without a User Name", 0},
	} {
		b := startConfigured(t, test.config)
		b.until(`open to whom ` + test.whom)
		if exit, _, stderr := publishWith(t, b, "-u", "x", "-P", tokenFor(tokenSecret, `{"sub":"alice",`+farAway+`}`), "-t", "a"); exit != test.exit {
			t.Errorf("%s: got exit code %d, want %d\n%s", test.whom, exit, test.exit, stderr)
		}
		b.end()
	}
}
