package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

// issuers are keys of each kind. They are made once.
var issuers = sync.OnceValue(func() (i struct {
	rsa    *rsa.PrivateKey
	p256   *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	secret []byte
}) {
	i.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	i.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, i.ed, _ = ed25519.GenerateKey(rand.Reader)
	i.secret = []byte("0123456789abcdef0123456789abcdef")
	return i
})

// write returns the path of a new file.
func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func publicPEM(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sign makes a token; header changes its header.
func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// good are claims that are right for an hour.
func good(more ...any) jwt.MapClaims {
	claims := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == nil {
			delete(claims, more[i].(string))
			continue
		}
		claims[more[i].(string)] = more[i+1]
	}
	return claims
}

// check asks c about a token in the Password.
func check(t *testing.T, c *Checker, token string) (*broker.ConnectRequest, auth.Verdict, error) {
	t.Helper()
	r := &broker.ConnectRequest{ClientID: "c1", HasUserName: true, UserName: "x", HasPassword: true, Password: []byte(token)}
	v, err := c.Check(t.Context(), r)
	for part := range strings.SplitSeq(token, ".") {
		if err != nil && len(part) > 3 && strings.Contains(err.Error(), part) {
			t.Errorf("the error holds a part of the token: %v", err)
		}
	}
	return r, v, err
}

func newKeys(t *testing.T, files Files) *Keys {
	t.Helper()
	keys, err := NewKeys(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestAlgorithms(t *testing.T) {
	i := issuers()
	all := newKeys(t, Files{
		Public: write(t, append(append(publicPEM(t, &i.rsa.PublicKey), publicPEM(t, &i.p256.PublicKey)...), publicPEM(t, i.ed.Public())...)),
		Secret: write(t, append(i.secret, '\n')),
	})
	c := New(Config{Keys: all, UserClaim: "sub"})
	for _, test := range []struct {
		method jwt.SigningMethod
		key    any
	}{
		{jwt.SigningMethodHS256, i.secret}, {jwt.SigningMethodHS384, i.secret}, {jwt.SigningMethodHS512, i.secret},
		{jwt.SigningMethodRS256, i.rsa}, {jwt.SigningMethodRS384, i.rsa}, {jwt.SigningMethodRS512, i.rsa}, {jwt.SigningMethodPS256, i.rsa},
		{jwt.SigningMethodES256, i.p256}, {jwt.SigningMethodEdDSA, i.ed},
	} {
		token := sign(t, test.method, test.key, good(), nil)
		r, v, err := check(t, c, token)
		if v != auth.Allow || err != nil || r.UserName != "alice" || r.Expires.IsZero() {
			t.Errorf("%s: got %v, %v as %q until %v", test.method.Alg(), v, err, r.UserName, r.Expires)
		}
		for _, cut := range []int{1, 20} { // a bit of the signature
			wrong := []byte(token)
			wrong[len(wrong)-cut-5] ^= 1
			if _, v, err := check(t, c, string(wrong)); v != auth.Deny {
				t.Errorf("%s with a wrong signature: got %v, %v", test.method.Alg(), v, err)
			}
		}
		if _, v, err := check(t, c, token[:strings.LastIndexByte(token, '.')+1]); v != auth.Deny {
			t.Errorf("%s without a signature: got %v, %v", test.method.Alg(), v, err)
		}
	}
}

// TestConfusion covers tokens that ask for an algorithm that their key is not for.
func TestConfusion(t *testing.T) {
	i := issuers()
	public := publicPEM(t, &i.rsa.PublicKey)
	onlyRSA := New(Config{Keys: newKeys(t, Files{Public: write(t, public)}), UserClaim: "sub"})
	unsigned := jwt.NewWithClaims(jwt.SigningMethodNone, good())
	none, _ := unsigned.SignedString(jwt.UnsafeAllowNoneSignatureType)
	der, _ := x509.MarshalPKIXPublicKey(&i.rsa.PublicKey)
	pinned, _ := json.Marshal(map[string]string{"kty": "oct", "alg": "HS512", "k": base64.RawURLEncoding.EncodeToString(i.secret)})
	only512 := New(Config{Keys: newKeys(t, Files{JWKS: write(t, pinned)}), UserClaim: "sub"})
	for name, test := range map[string]struct {
		c     *Checker
		token string
		want  auth.Verdict
	}{
		"none":                             {onlyRSA, none, auth.Deny},
		"None":                             {onlyRSA, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"None"}`)) + none[strings.IndexByte(none, '.'):], auth.Deny},
		"the public key as a secret":       {onlyRSA, sign(t, jwt.SigningMethodHS256, public, good(), nil), auth.Deny},
		"its DER as a secret":              {onlyRSA, sign(t, jwt.SigningMethodHS256, der, good(), nil), auth.Deny},
		"another family":                   {onlyRSA, sign(t, jwt.SigningMethodES256, i.p256, good(), nil), auth.Deny},
		"the algorithm that the key names": {only512, sign(t, jwt.SigningMethodHS512, i.secret, good(), nil), auth.Allow},
		"another one of the family":        {only512, sign(t, jwt.SigningMethodHS256, i.secret, good(), nil), auth.Deny},
		"a key in the token":               {onlyRSA, sign(t, jwt.SigningMethodES256, i.p256, good(), map[string]any{"jwk": map[string]string{"kty": "EC"}, "jku": "http://127.0.0.1:1/"}), auth.Deny},
		"a critical extension":             {onlyRSA, sign(t, jwt.SigningMethodRS256, i.rsa, good(), map[string]any{"crit": []string{"b64"}, "b64": false}), auth.Deny},
		"right":                            {onlyRSA, sign(t, jwt.SigningMethodRS256, i.rsa, good(), nil), auth.Allow},
		"right with a kid":                 {onlyRSA, sign(t, jwt.SigningMethodRS256, i.rsa, good(), map[string]any{"kid": "1"}), auth.Allow},
		"too long":                         {onlyRSA, sign(t, jwt.SigningMethodRS256, i.rsa, good("x", strings.Repeat("x", maxTokenBytes)), nil), auth.Deny},
		"a password":                       {onlyRSA, "pass.word.dots", auth.Pass},
		"nothing":                          {onlyRSA, "", auth.Pass},
	} {
		r, v, err := check(t, test.c, test.token)
		if v != test.want || (v == auth.Deny) != errors.Is(err, colibri.NotAuthorized) {
			t.Errorf("%s: got %v, %v, want %v", name, v, err, test.want)
		}
		if v != auth.Allow && r.UserName != "x" {
			t.Errorf("%s: the User Name became %q", name, r.UserName)
		}
	}
}

func TestClaims(t *testing.T) {
	i := issuers()
	keys := newKeys(t, Files{Secret: write(t, i.secret)})
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, test := range []struct {
		name   string
		config Config
		claims jwt.MapClaims
		want   string // of the error; empty: let in
	}{
		{"right", Config{Issuer: "me", Audience: "mqtt"}, good("iss", "me", "aud", []string{"web", "mqtt"}, "nbf", at(-time.Minute), "iat", at(-time.Minute)), ""},
		{"expired", Config{}, good("exp", at(-time.Minute)), "the token has expired"},
		{"expired within the leeway", Config{Leeway: 2 * time.Minute}, good("exp", at(-time.Minute)), ""},
		{"never expires", Config{}, good("exp", nil), "the token lacks exp, iss or aud, which this Server requires"},
		{"may never expire", Config{Forever: true}, good("exp", nil), ""},
		{"expires at a word", Config{Forever: true}, good("exp", "soon"), "the token is not valid"},
		{"not yet", Config{}, good("nbf", at(time.Minute)), "the token is not valid yet"},
		{"from the future", Config{}, good("iat", at(time.Minute)), "the token is from the future"},
		{"another issuer", Config{Issuer: "me"}, good("iss", "you"), "the token is from another issuer"},
		{"no issuer", Config{Issuer: "me"}, good(), "the token lacks exp, iss or aud, which this Server requires"},
		{"another audience", Config{Audience: "mqtt"}, good("aud", "web"), "the token is for another audience"},
		{"no audience", Config{Audience: "mqtt"}, good(), "the token lacks exp, iss or aud, which this Server requires"},
		{"no user", Config{}, good("sub", nil), "the token lacks the claim with the User Name"},
		{"a number as user", Config{}, good("sub", 7), "the token lacks the claim with the User Name"},
		{"a user with U+0000", Config{}, good("sub", "a\x00"), "the token lacks the claim with the User Name"},
		{"its client", Config{ClientClaim: "cid"}, good("cid", "c1"), ""},
		{"another client", Config{ClientClaim: "cid"}, good("cid", "c2"), "the token is for another Client Identifier"},
		{"no client", Config{ClientClaim: "cid"}, good(), "the token lacks the claim with the Client Identifier"},
		{"topics of the wrong kind", Config{PublishClaim: "pub"}, good("pub", 7), "the claim of the token with the topics is not a list of filters"},
		{"topics of many kinds", Config{SubscribeClaim: "sub2"}, good("sub2", []any{"a", 7}), "the claim of the token with the topics is not a list of filters"},
		{"a topic that is none", Config{PublishClaim: "pub"}, good("pub", []string{"a#"}), "the claim of the token with the topics cannot be used: one of its filters is not a Topic Filter"},
	} {
		test.config.Keys, test.config.UserClaim = keys, "sub"
		_, v, err := check(t, New(test.config), sign(t, jwt.SigningMethodHS256, i.secret, test.claims, nil))
		switch {
		case test.want == "" && (v != auth.Allow || err != nil):
			t.Errorf("%s: got %v, %v, want the client let in", test.name, v, err)
		case test.want != "" && (v != auth.Deny || err == nil || err.Error() != "CONNECT: "+test.want+": Not authorized (0x87)"):
			t.Errorf("%s: got %v, %v, want %q", test.name, v, err, test.want)
		}
	}
}

// TestTakes covers what of a token goes into the request.
func TestTakes(t *testing.T) {
	i := issuers()
	config := Config{Keys: newKeys(t, Files{Secret: write(t, i.secret)}), InUserName: true, UserClaim: "name", ClientClaim: "cid", PublishClaim: "pub", SubscribeClaim: "read", Leeway: time.Minute}
	c := New(config)
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	token := sign(t, jwt.SigningMethodHS256, i.secret, jwt.MapClaims{"name": "alice", "cid": "c9", "exp": expires.Unix(), "pub": "%u/%c/#", "read": []string{"a", "b/+"}}, nil)
	r := &broker.ConnectRequest{ClientID: "auto-1", Assigned: true, HasUserName: true, UserName: token}
	v, err := c.Check(t.Context(), r)
	if v != auth.Allow || err != nil || r.ClientID != "c9" || r.UserName != "alice" || !r.HasUserName || !r.Expires.Equal(expires.Add(time.Minute)) {
		t.Errorf("got %v, %v, %+v", v, err, r)
	}
	if diff := cmp.Diff(&acl.Rules{Source: "the token", Publish: []string{"alice/c9/#"}, Subscribe: []string{"a", "b/+"}}, r.Rights); diff != "" {
		t.Errorf("Rights: want (-), got (+):\n%s", diff)
	}
	token = sign(t, jwt.SigningMethodHS256, i.secret, good("name", "alice", "cid", "c9"), nil)
	r = &broker.ConnectRequest{ClientID: "c9", HasUserName: true, UserName: token}
	if v, err := c.Check(t.Context(), r); v != auth.Allow || err != nil {
		t.Fatal(v, err)
	}
	if rights, ok := r.Rights.(*acl.Rules); !ok || len(rights.Publish)+len(rights.Subscribe) != 0 {
		t.Errorf("a token without the claims: got the Rights %v, want some that permit nothing", r.Rights)
	}
	for _, wrong := range []string{token + "x", token[:len(token)-9] + "AAAAAAAAA", token + strings.Repeat("x", maxTokenBytes)} {
		r = &broker.ConnectRequest{ClientID: "c9", HasUserName: true, UserName: wrong}
		if v, err := c.Check(t.Context(), r); v != auth.Deny || r.UserName != "" || strings.Contains(err.Error(), wrong[:20]) {
			t.Errorf("a wrong token as User Name: got %v, %v, with the User Name %q", v, err, r.UserName)
		}
	}
	config.PublishClaim, config.SubscribeClaim = "", ""
	r = &broker.ConnectRequest{ClientID: "c9", HasUserName: true, UserName: token}
	if v, err := New(config).Check(t.Context(), r); v != auth.Allow || r.Rights != nil {
		t.Errorf("without claims for topics: got %v, %v with the Rights %v", v, err, r.Rights)
	}
}
