// Package auth decides who a client is: a Chain asks one Checker after the other, such as
// a password file or a token's signature, until one allows or denies.
package auth

import (
	"context"
	"errors"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// Verdict is what a Checker says.
type Verdict uint8

// The verdicts.
const (
	Pass  Verdict = iota // the Checker does not know; the next one is asked
	Allow                // the client is who it says
	Deny                 // it is not, and nobody else is asked
)

// Checker is one way of finding out who a client is. It may block, until ctx ends, and is
// called by many goroutines.
type Checker interface {
	// Name says what is asked, for logs and the answers of explain; it holds no secret.
	Name() string
	// Check decides about r. With Allow it may change r.ClientID and r.UserName to what
	// was proven, and set r.Rights. err says why not, with Deny: its colibri.ReasonCode
	// goes into the CONNACK (NotAuthorized when it has none), and the text of a
	// *colibri.Error is shown to the client, so it tells nothing about other users. An
	// err with Pass is a fault of the Checker itself, such as a server that does not answer:
	// the Chain goes on, and if nobody allows the client, it is refused with this err.
	Check(ctx context.Context, r *broker.ConnectRequest) (v Verdict, err error)
}

// Chain asks its Checkers in their order. It is a broker.Authenticator, and safe for
// concurrent use as long as nobody changes it.
type Chain struct {
	Checkers []Checker
	// Anonymous lets in a client without a User Name about which all Checkers pass.
	// One with a User Name that nobody knows is refused.
	Anonymous bool
	// Methods says that users prove who they are with an Authentication Method, which is not
	// asked here: a User Name is not believed then, although there may be no Checker.
	Methods bool
}

// Authenticate is broker.Authenticator's.
func (c *Chain) Authenticate(ctx context.Context, r *broker.ConnectRequest) error {
	var fault error
	for _, checker := range c.Checkers {
		v, err := checker.Check(ctx, r)
		switch {
		case v == Allow:
			return nil
		case v == Deny && err == nil:
			return refusal("the Server does not know this User Name with this Password")
		case v == Deny:
			return err
		case fault == nil:
			fault = err
		}
	}
	switch {
	case fault != nil:
		return fault
	case c.Anonymous && !r.HasUserName, c.Anonymous && len(c.Checkers) == 0 && !c.Methods:
		return nil
	case r.HasUserName && len(c.Checkers) == 0 && c.Methods:
		return refusal("this Server believes a User Name only from a client that proves it with an Authentication Method")
	case r.HasUserName && len(c.Checkers) == 0:
		return refusal("no user is known to this Server, and this listener lets nobody in without being known")
	case r.HasUserName:
		return refusal("the Server does not know this User Name with this Password")
	}
	return refusal("this listener lets nobody in without a User Name")
}

// refusal is the error for a client that is not let in.
func refusal(reason string) error {
	return &colibri.Error{Op: "CONNECT", Code: colibri.NotAuthorized, Err: errors.New(reason)}
}
