package inspect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// tlsSuite is a cipher suite: what encrypts, with a key of so many bytes, and the hash of the
// key schedule.
type tlsSuite struct {
	kind     tlsKind
	keyBytes int
	hash     func() hash.Hash
	mac      func() hash.Hash // of tlsCBC; nil for others
}

// tlsKind is how a cipher suite encrypts.
type tlsKind int

const (
	tlsGCM    tlsKind = iota // AES-GCM; in TLS 1.2 each record says half of its nonce
	tlsChaCha                // ChaCha20-Poly1305; the nonce is of the sequence number, as in TLS 1.3
	tlsCBC                   // AES-CBC with an HMAC; TLS 1.2 only
)

var (
	aes128 = tlsSuite{tlsGCM, 16, sha256.New, nil}
	aes256 = tlsSuite{tlsGCM, 32, sha512.New384, nil}
	chacha = tlsSuite{tlsChaCha, 32, sha256.New, nil}

	cbc128     = tlsSuite{tlsCBC, 16, sha256.New, sha1.New}
	cbc256     = tlsSuite{tlsCBC, 32, sha256.New, sha1.New}
	cbc128sha2 = tlsSuite{tlsCBC, 16, sha256.New, sha256.New}
	cbc256sha2 = tlsSuite{tlsCBC, 32, sha256.New, sha256.New}
	cbc256sha3 = tlsSuite{tlsCBC, 32, sha512.New384, sha512.New384} // SHA-384
)

// tlsSuites are the cipher suites that can be read, by their numbers.
var tlsSuites = map[uint16]tlsSuite{
	0x1301: aes128, 0x1302: aes256, 0x1303: chacha, // TLS 1.3
	0xC02B: aes128, 0xC02C: aes256, 0xC02F: aes128, 0xC030: aes256, 0xCCA8: chacha, 0xCCA9: chacha, // ECDHE
	0x009C: aes128, 0x009D: aes256, 0x009E: aes128, 0x009F: aes256, 0xCCAA: chacha, // RSA, DHE

	0xC009: cbc128, 0xC00A: cbc256, 0xC013: cbc128, 0xC014: cbc256, // ECDHE
	0xC023: cbc128sha2, 0xC024: cbc256sha3, 0xC027: cbc128sha2, 0xC028: cbc256sha3,
	0x002F: cbc128, 0x0035: cbc256, 0x003C: cbc128sha2, 0x003D: cbc256sha2, // RSA
	0x0033: cbc128, 0x0039: cbc256, 0x0067: cbc128sha2, 0x006B: cbc256sha2, // DHE
}

// tlsCipher opens the records of one direction, in order.
type tlsCipher struct {
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
	suite    tlsSuite
	secret   []byte // TLS 1.3

	block   cipher.Block // of tlsCBC, as what follows
	macKey  []byte
	macLast bool // the HMAC is of what is encrypted (RFC 7366)
}

// ciphers makes those of the client and of the server.
func (suite tlsSuite) ciphers(s *secured) (client, server *tlsCipher, err error) {
	if s.version == 0x0304 {
		if client, err = suite.cipher13(s.secrets.traffic[0]); err == nil {
			server, err = suite.cipher13(s.secrets.traffic[1])
		}
		return client, server, err
	}
	macBytes, ivBytes := 0, 4
	switch suite.kind {
	case tlsChaCha:
		ivBytes = 12
	case tlsCBC:
		macBytes, ivBytes = suite.mac().Size(), 0
	}
	seed := append(append([]byte("key expansion"), s.random[1][:]...), s.random[0][:]...)
	rest := suite.expand12(s.secrets.master, seed, 2*(macBytes+suite.keyBytes+ivBytes))
	next := func(n int) []byte {
		part := rest[:n]
		rest = rest[n:]
		return part
	}
	macs, keys := [2][]byte{next(macBytes), next(macBytes)}, [2][]byte{next(suite.keyBytes), next(suite.keyBytes)}
	ivs := [2][]byte{next(ivBytes), next(ivBytes)}
	var both [2]*tlsCipher
	for i := range both {
		if both[i], err = suite.cipher(keys[i], ivs[i]); err != nil {
			return nil, nil, err
		}
		both[i].macKey, both[i].macLast = macs[i], s.macLast
	}
	return both[0], both[1], nil
}

func (suite tlsSuite) cipher(key, iv []byte) (*tlsCipher, error) {
	c := &tlsCipher{iv: iv, suite: suite}
	var err error
	if suite.kind == tlsChaCha {
		c.aead, err = chacha20poly1305.New(key)
		return c, err
	}
	if c.block, err = aes.NewCipher(key); err == nil && suite.kind == tlsGCM {
		c.aead, err = cipher.NewGCM(c.block)
	}
	return c, err
}

// cipher13 makes the cipher of a traffic secret (RFC 8446 section 7.3).
func (suite tlsSuite) cipher13(secret []byte) (*tlsCipher, error) {
	key, err := suite.label(secret, "key", suite.keyBytes)
	if err != nil {
		return nil, err
	}
	iv, err := suite.label(secret, "iv", 12)
	if err != nil {
		return nil, err
	}
	c, err := suite.cipher(key, iv)
	if err == nil {
		c.secret = secret
	}
	return c, err
}

// label is HKDF-Expand-Label without a context (RFC 8446 section 7.1).
func (suite tlsSuite) label(secret []byte, label string, n int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(info, byte(len("tls13 "+label))), "tls13 "+label...)
	return hkdf.Expand(suite.hash, secret, string(append(info, 0)), n)
}

// expand12 is the PRF of TLS 1.2, with its label at the front of seed (RFC 5246 section 5).
func (suite tlsSuite) expand12(secret, seed []byte, n int) []byte {
	sum := func(parts ...[]byte) []byte {
		mac := hmac.New(suite.hash, secret)
		for _, part := range parts {
			mac.Write(part)
		}
		return mac.Sum(nil)
	}
	var out []byte
	a := seed
	for len(out) < n {
		a = sum(a)
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// update goes on to the keys that follow a KeyUpdate (RFC 8446 section 7.2).
func (c *tlsCipher) update() error {
	secret, err := c.suite.label(c.secret, "traffic upd", len(c.secret))
	if err != nil {
		return err
	}
	next, err := c.suite.cipher13(secret)
	if err == nil {
		*c = *next
	}
	return err
}

// nonce returns the nonce that is made of the sequence number.
func (c *tlsCipher) nonce() []byte {
	nonce := [12]byte(c.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(c.sequence >> (56 - 8*i))
	}
	return nonce[:]
}

// open13 opens a record of TLS 1.3; the result does not alias it. A record that does not
// open does not count.
func (c *tlsCipher) open13(record []byte) ([]byte, bool) {
	plain, err := c.aead.Open(nil, c.nonce(), record[5:], record[:5])
	if err != nil {
		return nil, false
	}
	c.sequence++
	return plain, true
}

// open12 opens a record of TLS 1.2; the result does not alias it.
func (c *tlsCipher) open12(record []byte) (plain []byte, ok bool) {
	body := record[5:]
	switch c.suite.kind {
	case tlsCBC:
		plain, ok = c.openCBC(record, body)
	case tlsChaCha:
		plain, ok = c.openAEAD(record, c.nonce(), body)
	default: // the nonce begins with what the record says
		if len(body) >= 8 {
			plain, ok = c.openAEAD(record, append(append(make([]byte, 0, 12), c.iv...), body[:8]...), body[8:])
		}
	}
	if ok {
		c.sequence++
	}
	return plain, ok
}

// data returns what is authenticated besides the text of a record of TLS 1.2, which has n
// bytes.
func (c *tlsCipher) data(record []byte, n int) []byte {
	b := binary.BigEndian.AppendUint64(nil, c.sequence)
	return binary.BigEndian.AppendUint16(append(b, record[:3]...), uint16(n))
}

func (c *tlsCipher) openAEAD(record, nonce, sealed []byte) ([]byte, bool) {
	if len(sealed) < c.aead.Overhead() {
		return nil, false
	}
	plain, err := c.aead.Open(nil, nonce, sealed, c.data(record, len(sealed)-c.aead.Overhead()))
	return plain, err == nil
}

// openCBC opens a record of blocks with an HMAC, which is of the text (RFC 5246 section
// 6.2.3.2) or of what is encrypted (RFC 7366).
func (c *tlsCipher) openCBC(record, body []byte) ([]byte, bool) {
	mac := hmac.New(c.suite.mac, c.macKey)
	right := func(text, sum []byte) bool {
		mac.Write(c.data(record, len(text)))
		mac.Write(text)
		return hmac.Equal(mac.Sum(nil), sum)
	}
	if c.macLast {
		if len(body) < mac.Size() || !right(body[:len(body)-mac.Size()], body[len(body)-mac.Size():]) {
			return nil, false
		}
		body = body[:len(body)-mac.Size()]
	}
	if len(body) < 2*aes.BlockSize || len(body)%aes.BlockSize != 0 {
		return nil, false
	}
	plain := make([]byte, len(body)-aes.BlockSize)
	cipher.NewCBCDecrypter(c.block, body[:aes.BlockSize]).CryptBlocks(plain, body[aes.BlockSize:])
	padding := int(plain[len(plain)-1]) + 1
	if padding > len(plain) {
		return nil, false
	}
	plain = plain[:len(plain)-padding]
	if c.macLast {
		return plain, true
	}
	if len(plain) < mac.Size() {
		return nil, false
	}
	text := plain[:len(plain)-mac.Size()]
	return text, right(text, plain[len(text):])
}
