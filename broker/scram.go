package broker

import (
	"context"

	"github.com/colibri-mqtt/colibri/internal/scram"
)

// ScramCredentials are what a broker keeps of a user for SCRAM-SHA-256: enough to check
// a proof, and not the password. They still belong in a file that others cannot read:
// passwords can be guessed with them, and who has them can pass for the broker.
type ScramCredentials struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte // 32 bytes
	ServerKey  []byte // 32 bytes
}

// NewScramCredentials returns the credentials of a password, with a fresh salt. iterations
// is what a guess costs who has stolen them, and a connection each client: 4,096
// (RFC 7677) to 2,000,000; 0 stands for 15,000. The error says that the number is another
// or that SASLprep (RFC 4013) does not take the password.
func NewScramCredentials(password string, iterations int) (ScramCredentials, error) {
	c, err := scram.NewCredentials(password, iterations)
	return ScramCredentials(c), err
}

// ScramOptions say where ScramSHA256 finds the users.
type ScramOptions struct {
	// Lookup returns the credentials of a user, and false when there is none of that name,
	// which is in the form that SASLprep gives it. An error refuses the client with Server
	// unavailable. Lookup may block until ctx ends; many goroutines call it.
	Lookup func(ctx context.Context, userName string) (ScramCredentials, bool, error)
	// Secret hides which users exist: a name without credentials gets a salt made from it.
	// 32 random bytes that stay the same over restarts; nil for others after each start.
	Secret []byte
	// Iterations are those of most credentials, for the same purpose; 0 stands for 15,000.
	Iterations int
}

// ScramSHA256 returns the Method "SCRAM-SHA-256" (RFC 7677) without channel binding: the
// client sends its first message in the CONNECT, one AUTH goes each way, and the CONNACK
// holds the broker's proof that it knows the user. A client hears the same about a
// wrong password as about a user that does not exist.
func ScramSHA256(o ScramOptions) Method {
	lookup := func(ctx context.Context, userName string) (scram.Credentials, bool, error) {
		c, known, err := o.Lookup(ctx, userName)
		return scram.Credentials(c), known, err
	}
	server := scram.NewServer(lookup, o.Secret, o.Iterations)
	return Method{Name: scram.Name, Begin: func(*ConnectRequest) Exchange { return server.Begin() }}
}
