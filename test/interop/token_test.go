package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// signToken has node sign a token with the private key of a file: the payload is for alice, and
// ends in an hour.
const signToken = `
const crypto = require("crypto"), fs = require("fs"), [, file, algorithm] = process.argv;
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const text = part({alg: algorithm, typ: "JWT"}) + "." + part({sub: "alice", aud: "mqtt", exp: Math.floor(Date.now() / 1000) + 3600});
const key = {key: fs.readFileSync(file), dsaEncoding: "ieee-p1363"};
const hash = algorithm == "EdDSA" ? null : "sha" + algorithm.slice(2);
process.stdout.write(text + "." + crypto.sign(hash, Buffer.from(text), key).toString("base64url"));`

// TestTokens has openssl make keys, node sign tokens, and mosquitto_pub show them to our broker.
func TestTokens(t *testing.T) {
	for _, kind := range []struct{ algorithms, openssl string }{
		{"RS256 RS512", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"},
		{"ES256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"},
		{"ES384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"},
		{"EdDSA", "-algorithm ed25519"},
	} {
		directory := t.TempDir()
		private, other, public := filepath.Join(directory, "private.pem"), filepath.Join(directory, "other.pem"), filepath.Join(directory, "public.pem")
		for _, path := range []string{private, other} {
			start(t, paths["openssl"], append([]string{"genpkey", "-out", path}, strings.Fields(kind.openssl)...)...).succeeds(t)
		}
		start(t, paths["openssl"], "pkey", "-in", private, "-pubout", "-out", public).succeeds(t)
		b := &broker{kind: colibri, port: freePort(t)}
		configuration := filepath.Join(directory, "colibri.conf")
		text := fmt.Sprintf("listener %d 127.0.0.1\nlistener_allow_anonymous true\ncolibri_jwt_key %s\ncolibri_jwt_audience mqtt\n", b.port, public)
		if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		b.program = start(t, paths[colibri], "broker", "-c", configuration)
		b.waitUntilReady(t)
		for _, algorithm := range strings.Fields(kind.algorithms) {
			for key, want := range map[string]int{private: 0, other: 5} {
				node := start(t, paths["node"], "-e", signToken, key, algorithm)
				node.succeeds(t)
				token := node.stdout.String()
				p := start(t, paths["mosquitto_pub"], "-h", "127.0.0.1", "-p", strconv.Itoa(b.port), "-u", "any", "-P", token, "-t", "a", "-m", "b")
				if got := p.wait(t); got != want {
					t.Errorf("%s with %s: mosquitto_pub ended with %d, want %d\n%s", algorithm, filepath.Base(key), got, want, p.both)
				}
				if strings.Contains(b.program.both.String(), token[strings.LastIndexByte(token, '.'):]) {
					t.Errorf("%s: the log holds the token", algorithm)
				}
			}
		}
	}
}
