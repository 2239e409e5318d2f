package scram

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/xdg-go/scram"
)

// Lookup returns the Credentials of a user, and false when there is none of that name.
// The name is prepared with SASLprep. An error says that it cannot be known now. It may
// block until ctx ends.
type Lookup func(ctx context.Context, userName string) (Credentials, bool, error)

// Server authenticates clients. It is safe for concurrent use if its Lookup is.
type Server struct {
	lookup     Lookup
	secret     []byte
	iterations int
	nonce      func() string // nil for random ones
}

// NewServer returns a Server. From secret come the salts by which a user that does not exist
// looks like one that does: always the same for the same name. With nil they are
// other ones after each start, by which who asks twice can tell. The Server keeps a copy.
// iterations are those of most Credentials, for the same purpose; 0 stands for
// DefaultIterations.
func NewServer(lookup Lookup, secret []byte, iterations int) *Server {
	s := &Server{lookup: lookup, secret: append([]byte(nil), secret...), iterations: iterations}
	if s.iterations == 0 {
		s.iterations = DefaultIterations
	}
	if len(s.secret) == 0 {
		s.secret = make([]byte, sha256.Size)
		rand.Read(s.secret)
	}
	return s
}

// Begin returns the server's end of one exchange.
func (s *Server) Begin() *ServerExchange { return &ServerExchange{server: s} }

// ServerExchange is one client that proves who it is. It is not safe for concurrent use.
type ServerExchange struct {
	server       *Server
	conversation *scram.ServerConversation
	userName     string
	known        bool
	proven       bool
	over         bool // by an error or by the proof
}

// Step takes the next message of the client and returns the answer to it. done says that
// the client has proven who it is; the answer then proves the same of the server. An error
// refuses the client: a *colibri.Error with NotAuthorized, or with ServerUnavailable
// when the look-up failed. It shows nothing of what the client sent. Nothing can follow.
func (e *ServerExchange) Step(ctx context.Context, data []byte) (answer []byte, done bool, err error) {
	if e.over {
		return nil, false, refusal("the exchange is over")
	}
	switch err = checkMessage(data); {
	case err != nil:
	case e.conversation == nil:
		answer, err = e.first(ctx, string(data))
	default:
		answer, err = e.final(string(data))
		done = err == nil
	}
	e.over = done || err != nil
	return answer, done, err
}

// final checks the client's proof and answers with the server's.
func (e *ServerExchange) final(message string) ([]byte, error) {
	final, err := e.conversation.Step(message)
	switch {
	case err == nil && e.known && e.conversation.Valid():
		e.proven = true
		return []byte(final), nil
	case final == scram.ErrChannelBindingsDontMatch:
		return nil, refusal("the channel binding differs from that of the first message")
	case final == scram.ErrInvalidProof, err == nil: // the same to an unknown user
		return nil, refusal("wrong user name or password")
	}
	return nil, refusal("the final message is malformed")
}

// first answers the client's first message.
func (e *ServerExchange) first(ctx context.Context, message string) ([]byte, error) {
	if err := checkFirst(message); err != nil {
		return nil, err
	}
	var failed error
	library, err := scram.SHA256.NewServer(func(userName string) (scram.StoredCredentials, error) {
		var stored scram.StoredCredentials
		stored, failed = e.credentials(ctx, userName)
		return stored, failed
	})
	if err != nil {
		return nil, fmt.Errorf("scram: %w", err)
	}
	if e.server.nonce != nil {
		library.WithNonceGenerator(e.server.nonce)
	}
	e.conversation = library.NewConversation()
	answer, err := e.conversation.Step(message)
	switch {
	case failed != nil:
		return nil, failed
	case answer == scram.ErrInvalidUsernameEncoding:
		return nil, refusal("the user name is malformed")
	case err != nil:
		return nil, refusal("the first message is malformed")
	}
	if id := e.conversation.AuthzID(); id != "" && id != e.conversation.Username() {
		return nil, refusal("acting for another user is not supported: leave the authorization identity out")
	}
	return []byte(answer), nil
}

// checkFirst checks what the library does not.
func checkFirst(message string) error {
	fields := strings.Split(message, ",")
	switch {
	case strings.HasPrefix(message, "p="):
		return refusal("channel binding is not supported: use " + Name + " with the flag n")
	case len(fields) > 2 && strings.HasPrefix(fields[2], "m="):
		return refusal("an extension that it calls mandatory is not supported")
	case len(fields) > 3 && fields[3] == "r=":
		return refusal("the nonce is empty")
	}
	return nil
}

// credentials looks a user up. For one that does not exist it returns some that nobody
// can meet, and that look like the others.
func (e *ServerExchange) credentials(ctx context.Context, userName string) (scram.StoredCredentials, error) {
	prepared, err := PrepareName(userName)
	if err != nil {
		return scram.StoredCredentials{}, refusal("the user name is malformed")
	}
	credentials, known, err := e.server.lookup(ctx, prepared)
	if err == nil && known && !credentials.valid() {
		err = errors.New("they are incomplete")
	}
	if err != nil {
		return scram.StoredCredentials{}, fmt.Errorf("%w: look up credentials: %w", colibri.ServerUnavailable, err)
	}
	decoy := e.server.decoy(prepared) // always computed: it takes time
	if !known {
		credentials = decoy
	}
	e.userName, e.known = prepared, known
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(credentials.Salt), Iters: credentials.Iterations},
		StoredKey:  credentials.StoredKey, ServerKey: credentials.ServerKey,
	}, nil
}

// decoy returns the credentials of a user that does not exist.
func (s *Server) decoy(userName string) Credentials {
	derived := func(purpose string) []byte {
		mac := hmac.New(sha256.New, s.secret)
		mac.Write([]byte(purpose + "\x00" + userName))
		return mac.Sum(nil)
	}
	return Credentials{Salt: derived("salt")[:saltBytes], Iterations: s.iterations,
		StoredKey: derived("stored key"), ServerKey: derived("server key")}
}

// UserName returns the user name that the client has proven, in its prepared form; empty
// before Step has said done.
func (e *ServerExchange) UserName() string {
	if !e.proven {
		return ""
	}
	return e.userName
}
