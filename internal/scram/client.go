package scram

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/xdg-go/scram"
)

// Client authenticates a user to servers. It is safe for concurrent use.
type Client struct {
	userName, password string

	mu      sync.Mutex
	library *scram.Client // remembers what it has computed
	begun   int           // exchanges of library
	nonce   func() string // nil for random ones
}

// rememberExchanges bounds what the library remembers: one result for each salt that a
// server names.
const rememberExchanges = 64

// NewClient returns a Client. The error says that SASLprep (RFC 4013) does not take the
// user name or the password, or that one is empty; it shows neither.
func NewClient(userName, password string) (*Client, error) {
	if userName == "" {
		return nil, errors.New("scram: the user name is empty")
	}
	library, err := newLibraryClient(userName, password)
	if err != nil {
		return nil, err
	}
	return &Client{userName: userName, password: password, library: library}, nil
}

// Begin returns the client's end of one exchange.
func (c *Client) Begin() *ClientExchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun == rememberExchanges {
		if fresh, err := newLibraryClient(c.userName, c.password); err == nil { // it was taken before
			c.library, c.begun = fresh, 0
		}
	}
	c.begun++
	if c.nonce != nil {
		c.library.WithNonceGenerator(c.nonce)
	}
	return &ClientExchange{conversation: c.library.NewConversation()}
}

// ClientExchange proves to one server who the client is, and takes its proof. It is not
// safe for concurrent use.
type ClientExchange struct {
	conversation *scram.ClientConversation
	steps        int
}

// Step returns the message to send after data, which the server has sent: first after
// nothing, then after the server's first message. The second one takes as long as the
// server's iterations take, unless the same Client has computed them before.
func (e *ClientExchange) Step(data []byte) ([]byte, error) {
	e.steps++
	switch e.steps {
	case 1:
		if len(data) > 0 {
			return nil, errors.New("scram: the server must not speak first")
		}
	case 2:
		if err := checkServerFirst(data); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("scram: the server asks for more than the method has")
	}
	answer, err := e.conversation.Step(string(data))
	if err != nil {
		return nil, errors.New("scram: the server's first message does not fit: it is malformed, or its nonce is not made of ours")
	}
	return []byte(answer), nil
}

// checkServerFirst bounds the work that a server may ask for.
func checkServerFirst(data []byte) error {
	if err := checkMessage(data); err != nil {
		return err
	}
	fields := strings.Split(string(data), ",")
	if len(fields) < 3 {
		return errors.New("scram: the server's first message is malformed")
	}
	iterations, err := strconv.Atoi(strings.TrimPrefix(fields[2], "i="))
	if err != nil || iterations < MinIterations || iterations > MaxIterations {
		return fmt.Errorf("scram: the server asks for a number of iterations that is not %d to %d", MinIterations, MaxIterations)
	}
	return nil
}

// Finish takes the server's last message. Only when it returns nil is the server the one
// that holds the user's credentials.
func (e *ClientExchange) Finish(data []byte) error {
	_, err := e.conversation.Step(string(data))
	if err != nil || !e.conversation.Valid() { // without an error when the end comes too early
		return errors.New("scram: the server has not proven that it knows the user")
	}
	return nil
}
