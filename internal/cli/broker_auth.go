package cli

import (
	"context"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// chain returns whom l asks about a client, in their order.
func (s *brokerServer) chain(l *config.Listener) *auth.Chain {
	c := &auth.Chain{Anonymous: s.config.Anonymous(l)}
	if checker := certificateChecker(l); checker != nil { // first: the certificate says who it is
		c.Checkers = append(c.Checkers, checker)
	}
	return c
}

// doorkeeper decides who may connect: each listener has its own auth.Chain.
type doorkeeper struct{}

// Authenticate asks those whom the listener that the connection came through trusts.
func (doorkeeper) Authenticate(ctx context.Context, r *broker.ConnectRequest) error {
	a, ok := r.LocalAddr.(boundAddr)
	if !ok {
		return colibri.NotAuthorized
	}
	return a.listener.chain.Authenticate(ctx, r)
}
