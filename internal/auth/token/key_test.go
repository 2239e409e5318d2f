package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/colibri-mqtt/colibri/internal/auth"
)

var b64 = base64.RawURLEncoding.EncodeToString

// set returns a JSON Web Key Set.
func set(keys ...map[string]any) []byte {
	b, _ := json.Marshal(map[string]any{"keys": keys})
	return b
}

func jwkRSA(k *rsa.PublicKey, more ...any) map[string]any {
	j := map[string]any{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	for i := 0; i < len(more); i += 2 {
		j[more[i].(string)] = more[i+1]
	}
	return j
}

func TestJWKS(t *testing.T) {
	i := issuers()
	point, _ := i.p256.PublicKey.Bytes()
	ec := map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "kid": "ec"}
	okp := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(i.ed.Public().(ed25519.PublicKey)), "kid": "ed", "use": "sig", "alg": "EdDSA"}
	oct := map[string]any{"kty": "oct", "k": b64(i.secret), "kid": "oct", "key_ops": []string{"verify"}}
	keys := newKeys(t, Files{JWKS: write(t, set(jwkRSA(&i.rsa.PublicKey, "kid", "rsa", "alg", "RS256"), ec, okp, oct,
		map[string]any{"kty": "RSA", "use": "enc"}, map[string]any{"kty": "unknown"}))})
	c := New(Config{Keys: keys, UserClaim: "sub"})
	for _, test := range []struct {
		method jwt.SigningMethod
		key    any
		kid    any
		want   auth.Verdict
	}{
		{jwt.SigningMethodRS256, i.rsa, "rsa", auth.Allow},
		{jwt.SigningMethodRS256, i.rsa, nil, auth.Allow},
		{jwt.SigningMethodRS256, i.rsa, "ec", auth.Deny},
		{jwt.SigningMethodRS256, i.rsa, "other", auth.Deny},
		{jwt.SigningMethodRS384, i.rsa, "rsa", auth.Deny},
		{jwt.SigningMethodES256, i.p256, "ec", auth.Allow},
		{jwt.SigningMethodEdDSA, i.ed, "ed", auth.Allow},
		{jwt.SigningMethodHS256, i.secret, "oct", auth.Allow},
	} {
		header := map[string]any{}
		if test.kid != nil {
			header["kid"] = test.kid
		}
		if _, v, err := check(t, c, sign(t, test.method, test.key, good(), header)); v != test.want {
			t.Errorf("%s with kid %v: got %v, %v, want %v", test.method.Alg(), test.kid, v, err, test.want)
		}
	}
}

// TestBadKeys covers files that are refused.
func TestBadKeys(t *testing.T) {
	i := issuers()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	private, _ := x509.MarshalPKCS8PrivateKey(i.p256)
	point, _ := i.p256.PublicKey.Bytes()
	off := b64(make([]byte, 32))
	many := make([]map[string]any, maxKeys+1)
	for _, test := range []struct {
		name, kind string
		content    []byte
		want       string
	}{
		{"no PEM", "public", []byte("hello hush"), "it holds no public key as PEM"},
		{"a private key", "public", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), "it holds a private key"},
		{"half a key", "public", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}), "its PUBLIC KEY cannot be read"},
		{"a weak key", "public", publicPEM(t, &weak.PublicKey), "an RSA key of 1024 bits cannot be used"},
		{"another curve", "public", publicPEM(t, &p224.PublicKey), "a kind of key that signs no tokens"},
		{"a short secret", "secret", []byte("hush"), "the secret has 4 bytes; make one of at least 32"},
		{"a PEM secret", "secret", publicPEM(t, &i.rsa.PublicKey), "it holds a PEM key, which is no secret"},
		{"no JSON", "jwks", []byte("hush"), "it is not JSON"},
		{"an empty set", "jwks", []byte(`{"keys":[]}`), "it holds no key that signs tokens"},
		{"too many keys", "jwks", set(many...), "it holds 101 keys"},
		{"no kty", "jwks", []byte("{}"), "a kty that is not"},
		{"a weak RSA key", "jwks", set(jwkRSA(&weak.PublicKey)), "1024 bits"},
		{"an even exponent", "jwks", set(jwkRSA(&rsa.PublicKey{N: i.rsa.N, E: 2})), "cannot be used"},
		{"a giant exponent", "jwks", set(jwkRSA(&i.rsa.PublicKey, "e", b64([]byte{255, 255, 255, 255}))), "cannot be read"},
		{"a giant modulus", "jwks", set(jwkRSA(&i.rsa.PublicKey, "n", b64(make([]byte, 2000)))), "cannot be read"},
		{"not on the curve", "jwks", set(map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": off}), "not on its curve"},
		{"a short point", "jwks", set(map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": off}), "cannot be read"},
		{"another curve", "jwks", set(map[string]any{"kty": "EC", "crv": "secp256k1", "x": off, "y": off}), "a curve that is not"},
		{"another OKP", "jwks", set(map[string]any{"kty": "OKP", "crv": "X25519", "x": off}), "not for Ed25519"},
		{"alg none", "jwks", set(jwkRSA(&i.rsa.PublicKey, "alg", "none")), "an alg that does not fit its kty"},
		{"RSA for HMAC", "jwks", set(jwkRSA(&i.rsa.PublicKey, "alg", "HS256")), "an alg that does not fit its kty"},
		{"a short oct", "jwks", set(map[string]any{"kty": "oct", "k": b64([]byte("hush"))}), "the secret has 4 bytes"},
	} {
		files := map[string]Files{"public": {Public: write(t, test.content)}, "secret": {Secret: write(t, test.content)}, "jwks": {JWKS: write(t, test.content)}}[test.kind]
		_, err := NewKeys(files, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	if keys, err := parseJWKS(set(map[string]any{"kty": "oct", "k": b64(i.secret)}), false); err == nil || !strings.Contains(err.Error(), "nobody may publish") {
		t.Errorf("a published secret: got %v, %v", keys, err)
	}
	if _, err := NewKeys(Files{Public: "/does/not/exist"}, nil); err == nil || !strings.Contains(err.Error(), "/does/not/exist cannot be read") {
		t.Errorf("no file: got %v", err)
	}
}

// TestLoad covers a file that is read again.
func TestLoad(t *testing.T) {
	i := issuers()
	path := write(t, i.secret)
	keys := newKeys(t, Files{Secret: path})
	c := New(Config{Keys: keys, UserClaim: "sub"})
	token := sign(t, jwt.SigningMethodHS256, i.secret, good(), nil)
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.Load(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a wrong file: got %v, want an error with its path", err)
	}
	if _, v, err := check(t, c, token); v != auth.Allow {
		t.Errorf("after a wrong file: got %v, %v, want the old key to hold", v, err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("other", 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.Load(); err != nil {
		t.Fatal(err)
	}
	if _, v, _ := check(t, c, token); v != auth.Deny {
		t.Errorf("after another key: got %v, want Deny", v)
	}
}

// FuzzJWKS checks that what was read can be used, and that nothing panics.
func FuzzJWKS(f *testing.F) {
	f.Add(set(jwkRSA(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537})))
	f.Add(set(map[string]any{"kty": "oct", "k": b64(make([]byte, 32)), "alg": "HS256"}))
	f.Add(set(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(make([]byte, 32))}))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`))
	f.Add([]byte(`{"keys":[null,7,{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parseJWKS(b, true)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("got %d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if len(k.algorithms) == 0 || checkMaterial(k.material) != nil {
				t.Fatalf("got a key that cannot be used: %v", k)
			}
		}
	})
}
