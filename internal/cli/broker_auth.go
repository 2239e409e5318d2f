package cli

import (
	"context"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// chain returns whom l asks about a client, in their order. An error says in a sentence what
// cannot be read.
func (s *brokerServer) chain(l *config.Listener) (*auth.Chain, error) {
	chain := &auth.Chain{Anonymous: s.config.Anonymous(l)}
	if checker := certificateChecker(l); checker != nil { // first: the certificate says who it is
		chain.Checkers = append(chain.Checkers, checker)
	}
	if path := s.config.Passwords(l); path != "" {
		passwords, err := s.passwords(path)
		if err != nil {
			return nil, err
		}
		chain.Checkers = append(chain.Checkers, passwords)
	}
	return chain, nil
}

// doorkeeper decides who may connect: each listener has its own auth.Chain.
type doorkeeper struct {
	guard *auth.Guard // nil without one
}

// Authenticate asks those whom the listener that the connection came through trusts.
func (d doorkeeper) Authenticate(ctx context.Context, r *broker.ConnectRequest) error {
	a, ok := r.LocalAddr.(boundAddr)
	if !ok {
		return colibri.NotAuthorized
	}
	if d.guard == nil {
		return a.listener.chain.Authenticate(ctx, r)
	}
	return d.guard.Authenticate(ctx, r, a.listener.chain)
}
