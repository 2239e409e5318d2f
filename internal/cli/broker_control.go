package cli

import (
	"fmt"
	"path/filepath"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/control"
)

// controlName is the name of the control socket in the directory of the state.
const controlName = "control"

// questions are those that the control socket answers, by name; see control.Handler.
func (s *brokerServer) questions(b *broker.Broker) map[string]control.Handler {
	return map[string]control.Handler{
		"top":       s.answerTop(b),
		"why":       s.answerWhy(b),
		"history":   s.answerHistory(b),
		"capture":   s.answerCapture(b),
		"recording": s.answerRecording(b),
	}
}

// openControl opens the control socket, and returns what closes it. It is an error only when the
// configuration asks for the socket: a broker without one serves all the same.
func (s *brokerServer) openControl(b *broker.Broker) (closeIt func(), err error) {
	path := s.config.Own.Control
	wanted := path != ""
	switch {
	case path == config.None || !wanted && s.stateDir == "":
		return func() {}, nil
	case !wanted:
		path = filepath.Join(s.stateDir, controlName)
	}
	c, err := control.Listen(path)
	switch {
	case err != nil && wanted:
		return nil, fmt.Errorf("the control socket cannot be opened: %w%s", err, s.account.advice(err))
	case err != nil:
		s.log.printf(logWarning, "The broker answers no questions of this machine, as its control socket cannot be opened: %v. Write 'colibri_control PATH' to have it elsewhere.", err)
		return func() {}, nil
	}
	for name, h := range s.questions(b) {
		c.Handle(name, h)
	}
	go c.Serve()
	return c.Close, nil
}
