package inspect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
)

// tlsSuite is a cipher suite: AES-GCM with a key of so many bytes, and the hash of the key
// schedule.
type tlsSuite struct {
	keyBytes int
	hash     func() hash.Hash
}

var (
	aes128 = tlsSuite{16, sha256.New}
	aes256 = tlsSuite{32, sha512.New384}
)

// tlsSuites are the cipher suites that can be read, by their numbers.
var tlsSuites = map[uint16]tlsSuite{
	0x1301: aes128, 0x1302: aes256, // TLS 1.3
	0xC02B: aes128, 0xC02C: aes256, 0xC02F: aes128, 0xC030: aes256, // ECDHE
	0x009C: aes128, 0x009D: aes256, 0x009E: aes128, 0x009F: aes256, // RSA, DHE
}

// tlsCipher opens the records of one direction, in order.
type tlsCipher struct {
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
	suite    tlsSuite
	secret   []byte // TLS 1.3
}

// ciphers makes those of the client and of the server.
func (suite tlsSuite) ciphers(s *secured) (client, server *tlsCipher, err error) {
	if s.version == 0x0304 {
		if client, err = suite.cipher13(s.secrets.traffic[0]); err == nil {
			server, err = suite.cipher13(s.secrets.traffic[1])
		}
		return client, server, err
	}
	seed := append(append([]byte("key expansion"), s.random[1][:]...), s.random[0][:]...)
	block := suite.expand12(s.secrets.master, seed, 2*suite.keyBytes+8)
	keys, ivs := block[:2*suite.keyBytes], block[2*suite.keyBytes:]
	if client, err = suite.cipher(keys[:suite.keyBytes], ivs[:4]); err == nil {
		server, err = suite.cipher(keys[suite.keyBytes:], ivs[4:])
	}
	return client, server, err
}

func (suite tlsSuite) cipher(key, iv []byte) (*tlsCipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &tlsCipher{aead: aead, iv: iv, suite: suite}, err
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

// open13 opens a record of TLS 1.3; the result does not alias it. A record that does not
// open does not count.
func (c *tlsCipher) open13(record []byte) ([]byte, bool) {
	nonce := [12]byte(c.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(c.sequence >> (56 - 8*i))
	}
	plain, err := c.aead.Open(nil, nonce[:], record[5:], record[:5])
	if err != nil {
		return nil, false
	}
	c.sequence++
	return plain, true
}

// open12 opens a record of TLS 1.2, whose nonce begins with what the record says.
func (c *tlsCipher) open12(record []byte) ([]byte, bool) {
	body := record[5:]
	if len(body) < 8+c.aead.Overhead() {
		return nil, false
	}
	nonce := append(append(make([]byte, 0, 12), c.iv...), body[:8]...)
	data := binary.BigEndian.AppendUint64(nil, c.sequence)
	data = append(data, record[:3]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(body)-8-c.aead.Overhead()))
	plain, err := c.aead.Open(nil, nonce, body[8:], data)
	if err != nil {
		return nil, false
	}
	c.sequence++
	return plain, true
}
