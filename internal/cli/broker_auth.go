package cli

import (
	"context"
	"maps"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// chain returns whom l asks about a client, in the order of colibri_auth_order. An error says
// in a sentence what cannot be read.
func (s *brokerServer) chain(l *config.Listener) (*auth.Chain, error) {
	known := maps.Clone(s.askers.byName)
	if checker := certificateChecker(l); checker != nil {
		known["certificate"] = checker
	}
	if path := s.config.Passwords(l); path != "" {
		passwords, err := s.passwords(path)
		if err != nil {
			return nil, err
		}
		known["password"] = passwords
	}
	return &auth.Chain{Checkers: inOrder(s.config.Remote.Order, known), Anonymous: s.config.Anonymous(l), Methods: s.config.Login.Scram != ""}, nil
}

// doorkeeper decides who may connect: each listener has its own auth.Chain.
type doorkeeper struct {
	guard  *auth.Guard // nil without one
	tokens bool        // a User Name may be a token
}

// Authenticate asks those whom the listener that the connection came through trusts.
func (d doorkeeper) Authenticate(ctx context.Context, r *broker.ConnectRequest) error {
	a, ok := r.LocalAddr.(boundAddr)
	if !ok {
		return colibri.NotAuthorized
	}
	chain := a.listener.chain
	var err error
	if d.guard == nil || len(chain.Checkers) == 0 { // nobody proves anything there
		err = chain.Authenticate(ctx, r)
	} else {
		err = d.guard.Authenticate(ctx, r, chain)
	}
	if err != nil && d.tokens {
		r.UserName = "" // whoever refused it may not have seen that it is one
	}
	return err
}
