package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Bounds of keys.
const (
	maxKeys        = 100  // of one file or URL
	minSecretBytes = 32   // of an HMAC secret: the size of the smallest hash (RFC 7518 section 3.2)
	minRSABits     = 2048 // RFC 7518 section 3.3
	maxRSABits     = 8192 // more costs more time than a check should
)

// key is one key with the only algorithms that it may be used with: what the token says
// about its algorithm chooses among keys and never changes what a key is.
type key struct {
	id         string // kid; empty for one that fits all tokens
	algorithms []string
	material   any // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or []byte
}

// fits reports whether a token with that algorithm and kid may be checked with k.
func (k *key) fits(algorithm, id string) bool {
	return slices.Contains(k.algorithms, algorithm) && (k.id == "" || id == "" || k.id == id)
}

// algorithmsOf returns what material may be used with; nil for what is no key for tokens.
func algorithmsOf(material any) []string {
	switch m := material.(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch m.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	case []byte:
		return []string{"HS256", "HS384", "HS512"}
	}
	return nil
}

// checkMaterial refuses keys that are too weak or too large.
func checkMaterial(material any) error {
	switch m := material.(type) {
	case *rsa.PublicKey:
		if bits := m.N.BitLen(); bits < minRSABits || bits > maxRSABits || m.E < 3 || m.E&1 == 0 {
			return fmt.Errorf("an RSA key of %d bits cannot be used; make one of %d to %d bits", bits, minRSABits, maxRSABits)
		}
	case []byte:
		if len(m) < minSecretBytes {
			return fmt.Errorf("the secret has %d bytes; make one of at least %d", len(m), minSecretBytes)
		}
	}
	if algorithmsOf(material) == nil {
		return errors.New("it is a kind of key that signs no tokens; RSA, the curves P-256, P-384 and P-521, and Ed25519 do")
	}
	return nil
}

// parsePEM reads public keys and certificates.
func parsePEM(b []byte) (keys []key, err error) {
	for len(keys) < maxKeys {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		var material any
		switch block.Type {
		case "PUBLIC KEY":
			material, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			material, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				material = certificate.PublicKey
			}
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			return nil, errors.New("it holds a private key, which only the issuer of the tokens may have; write the public key there, as 'openssl pkey -pubout' does")
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("its %s cannot be read", block.Type)
		}
		if err := checkMaterial(material); err != nil {
			return nil, err
		}
		keys = append(keys, key{algorithms: algorithmsOf(material), material: material})
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no public key as PEM, which begins with '-----BEGIN PUBLIC KEY-----'")
	}
	return keys, nil
}

// parseSecret reads the secret for HMAC: the bytes of a file without the end of its line.
func parseSecret(b []byte) ([]key, error) {
	secret := bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return nil, errors.New("it holds a PEM key, which is no secret; name it with colibri_jwt_key")
	}
	if err := checkMaterial(secret); err != nil {
		return nil, err
	}
	return []key{{algorithms: algorithmsOf(secret), material: secret}}, nil
}

// jwk is a JSON Web Key (RFC 7517), as far as it signs.
type jwk struct {
	Kind      string   `json:"kty"`
	Use       string   `json:"use"`
	Actions   []string `json:"key_ops"`
	Algorithm string   `json:"alg"`
	ID        string   `json:"kid"`
	N         string   `json:"n"`
	E         string   `json:"e"`
	Curve     string   `json:"crv"`
	X         string   `json:"x"`
	Y         string   `json:"y"`
	Secret    string   `json:"k"`
}

// parseJWKS reads a JSON Web Key, or a set of them. Keys that are for something else are left
// out. secrets says whether it may hold secrets for HMAC: what the world can read may not.
func parseJWKS(b []byte, secrets bool) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{b}
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it holds %d keys, and %d are possible", len(set.Keys), maxKeys)
	}
	var keys []key
	var wrong error
	for _, raw := range set.Keys {
		var j jwk
		err := json.Unmarshal(raw, &j)
		if err != nil {
			err = errors.New("one of its keys is no JSON Web Key")
		}
		var k *key
		if err == nil {
			k, err = j.key(secrets)
		}
		if err != nil && wrong == nil {
			wrong = err
		}
		if k != nil {
			keys = append(keys, *k)
		}
	}
	switch {
	case len(keys) > 0:
		return keys, nil // what others use beside it does no harm
	case wrong != nil:
		return nil, wrong
	}
	return nil, errors.New("it holds no key that signs tokens")
}

// key returns what j says; nil for a key that is for something else.
func (j *jwk) key(secrets bool) (*key, error) {
	if j.Use != "" && j.Use != "sig" || j.Actions != nil && !slices.Contains(j.Actions, "verify") && !slices.Contains(j.Actions, "sign") {
		return nil, nil
	}
	material, err := j.material()
	switch _, secret := material.([]byte); {
	case err != nil:
		return nil, err
	case secret && !secrets:
		return nil, errors.New("it holds a secret (kty oct), which nobody may publish")
	}
	if err := checkMaterial(material); err != nil {
		return nil, err
	}
	algorithms := algorithmsOf(material)
	if j.Algorithm != "" {
		if !slices.Contains(algorithms, j.Algorithm) {
			return nil, errors.New("one of its keys has an alg that does not fit its kty")
		}
		algorithms = []string{j.Algorithm}
	}
	return &key{id: j.ID, algorithms: algorithms, material: material}, nil
}

// material returns the key itself.
func (j *jwk) material() (any, error) {
	switch j.Kind {
	case "RSA":
		n, e := number(j.N), number(j.E)
		if len(n) == 0 || len(n) > maxRSABits/8+1 || len(e) == 0 || len(e) > 4 || e[0] > 0x7F && len(e) == 4 {
			return nil, errors.New("the n or e of one of its RSA keys cannot be read")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Curve]
		x, y := number(j.X), number(j.Y)
		if curve == nil {
			return nil, errors.New("one of its keys is on a curve that is not P-256, P-384 or P-521")
		}
		if size := (curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
			return nil, errors.New("the x or y of one of its keys cannot be read")
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
		if err != nil {
			return nil, errors.New("the x and y of one of its keys are not on its curve")
		}
		return public, nil
	case "OKP":
		x := number(j.X)
		if j.Curve != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("one of its OKP keys is not for Ed25519")
		}
		return ed25519.PublicKey(x), nil
	case "oct":
		return number(j.Secret), nil
	}
	return nil, errors.New("one of its keys has a kty that is not RSA, EC, OKP or oct")
}

// number decodes Base64url without padding; nil when it cannot be read.
func number(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}
