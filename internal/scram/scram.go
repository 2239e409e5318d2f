// Package scram is SCRAM-SHA-256 (RFC 5802, RFC 7677) for both ends, without channel
// binding: the client proves that it knows the password and the server that it holds the
// credentials, and neither sends what the other could use elsewhere. The arithmetic is that of
// github.com/xdg-go/scram; the package adds what a server of strangers needs: bounds,
// errors that repeat nothing of what was received, and the same answer to an unknown
// user as to a wrong password.
package scram

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
)

// Name is the name that IANA lists, and what MQTT calls the Authentication Method.
const Name = "SCRAM-SHA-256"

const (
	// DefaultIterations is the rule of thumb of RFC 7677 section 4, which gives 4,096 as the
	// least. Each connection of a client costs it so many rounds, unless it remembers the
	// result: 0.15 s where a round takes 10 µs. The server never computes them.
	DefaultIterations = 15_000
	// MinIterations is the least that RFC 7677 allows.
	MinIterations = 4096
	// MaxIterations is the most that a client computes for a server.
	MaxIterations = 2_000_000

	saltBytes    = 16
	messageBytes = 4096 // more than any message needs
)

// Credentials are what a server keeps of a user. The password cannot be computed from
// them, only guessed; but who has them can pass for the server, and for the user after
// having listened once. They belong in a file that others cannot read.
type Credentials struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte // 32 bytes
	ServerKey  []byte // 32 bytes
}

// NewCredentials returns the Credentials of a password with a fresh salt; 0 iterations
// stand for DefaultIterations. The error says that there are fewer than MinIterations or
// more than MaxIterations, or that SASLprep (RFC 4013) does not take the password.
func NewCredentials(password string, iterations int) (Credentials, error) {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	return derive(password, salt, iterations)
}

// derive is NewCredentials for a salt.
func derive(password string, salt []byte, iterations int) (Credentials, error) {
	if iterations == 0 {
		iterations = DefaultIterations
	}
	if iterations < MinIterations || iterations > MaxIterations {
		return Credentials{}, fmt.Errorf("scram: %d iterations: use %d to %d", iterations, MinIterations, MaxIterations)
	}
	client, err := newLibraryClient("", password)
	if err != nil {
		return Credentials{}, err
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return Credentials{}, fmt.Errorf("scram: %w", err)
	}
	return Credentials{Salt: salt, Iterations: iterations, StoredKey: stored.StoredKey, ServerKey: stored.ServerKey}, nil
}

// valid reports whether a server can work with c.
func (c *Credentials) valid() bool {
	return len(c.Salt) > 0 && c.Iterations > 0 && len(c.StoredKey) == sha256.Size && len(c.ServerKey) == sha256.Size
}

// newLibraryClient prepares a user name and a password. Its errors show neither.
func newLibraryClient(userName, password string) (*scram.Client, error) {
	if password == "" {
		return nil, errors.New("scram: the password is empty")
	}
	if _, err := PrepareName(userName); err != nil && userName != "" {
		return nil, errors.New("scram: the user name holds characters that SASLprep (RFC 4013) prohibits")
	}
	client, err := scram.SHA256.NewClient(userName, password, "")
	if err != nil {
		return nil, errors.New("scram: the password holds characters that SASLprep (RFC 4013) prohibits")
	}
	return client.WithMinIterations(MinIterations), nil
}

// PrepareName brings a user name into the form in which it is compared (RFC 5802 section 5.1).
func PrepareName(userName string) (string, error) {
	prepared, err := stringprep.SASLprep.Prepare(userName)
	if err != nil || prepared == "" {
		return "", errors.New("no such user name is possible")
	}
	return prepared, nil
}

// checkMessage refuses what no message of SCRAM can be, before it is parsed.
func checkMessage(data []byte) error {
	switch {
	case len(data) == 0:
		return refusal("the message is empty")
	case len(data) > messageBytes:
		return refusal(fmt.Sprintf("the message has %d bytes, %d are allowed", len(data), messageBytes))
	case !utf8.Valid(data) || strings.ContainsFunc(string(data), func(r rune) bool { return r < ' ' || r == 0x7F }):
		return refusal("the message is not text")
	}
	return nil
}

// refusal returns the error that says to the other end, too, why it does not go on.
func refusal(reason string) error {
	return &colibri.Error{Op: Name, Code: colibri.NotAuthorized, Err: errors.New(reason)}
}
