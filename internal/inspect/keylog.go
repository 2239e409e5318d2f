package inspect

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"strings"
)

// maxKeys bounds the connections whose secrets are kept.
const maxKeys = 1 << 17

// KeyLog holds the secrets of TLS connections, in the format that programs write to the
// file that SSLKEYLOGFILE names. Not safe for concurrent use.
type KeyLog struct {
	secrets map[[32]byte]*tlsSecrets // by the random of the ClientHello
}

// tlsSecrets are the secrets of one connection.
type tlsSecrets struct {
	master  []byte    // TLS 1.2
	traffic [2][]byte // TLS 1.3, of the client and of the server
}

// NewKeyLog returns a KeyLog without secrets.
func NewKeyLog() *KeyLog { return &KeyLog{secrets: map[[32]byte]*tlsSecrets{}} }

// Add adds the lines of b.
func (k *KeyLog) Add(b []byte) {
	for line := range bytes.Lines(b) {
		k.line(string(line))
	}
}

// Read adds the lines of r. Lines that say nothing of use are passed over.
func (k *KeyLog) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		k.line(lines.Text())
	}
	return lines.Err()
}

// line adds one line: a label, the random of the ClientHello and the secret.
func (k *KeyLog) line(text string) {
	parts := strings.Fields(text)
	if len(parts) != 3 {
		return
	}
	random, err := hex.DecodeString(parts[1])
	secret, err2 := hex.DecodeString(parts[2])
	if err != nil || err2 != nil || len(random) != 32 {
		return
	}
	s := k.secrets[[32]byte(random)]
	if s == nil {
		if len(k.secrets) == maxKeys {
			return
		}
		s = &tlsSecrets{}
		k.secrets[[32]byte(random)] = s
	}
	switch parts[0] {
	case "CLIENT_RANDOM":
		s.master = secret
	case "CLIENT_TRAFFIC_SECRET_0":
		s.traffic[0] = secret
	case "SERVER_TRAFFIC_SECRET_0":
		s.traffic[1] = secret
	}
}

// empty reports whether there are no secrets.
func (k *KeyLog) empty() bool { return k == nil || len(k.secrets) == 0 }
