package client

import (
	"errors"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/scram"
	"github.com/colibri-mqtt/colibri/packet"
)

// Method is an Authentication Method of 5.0 (section 4.12) as a Client uses it: each
// Network Connection and each re-authentication begins an Exchange of its own. It holds no
// state of an exchange, so that several Clients may share it.
type Method struct {
	Name string // of the CONNECT's Authentication Method, such as "SCRAM-SHA-256"

	// Begin returns the Client's end of one exchange.
	Begin func() Exchange
}

// Exchange is the Client's end of one authentication. Its methods must return soon, must
// not call methods of the Client, and get the Authentication Data of a packet, or nil
// when it has none; the data is valid during the call. An error ends the connection.
type Exchange interface {
	// Step returns the Authentication Data to send: first with nil for that of the CONNECT or
	// of the AUTH that re-authenticates, then for each AUTH of the Server that asks for
	// more. No Authentication Data is sent for nil.
	Step(data []byte) ([]byte, error)
	// Finish takes the data of the CONNACK or AUTH that accepts. It returns an error when the
	// Server has not proven what it has to prove.
	Finish(data []byte) error
}

// ScramSHA256 returns the Method "SCRAM-SHA-256" (RFC 7677) without channel binding, for
// Options.Method. The Server does not learn the password, and one that does not know the
// user's credentials is not accepted. Without TLS who listens can still guess passwords.
//
// The result of the Server's iterations (4,096 to 2,000,000) is remembered for later
// exchanges. The error says that user name or password is empty, or not taken by
// SASLprep (RFC 4013); it shows neither.
func ScramSHA256(userName, password string) (*Method, error) {
	c, err := scram.NewClient(userName, password)
	if err != nil {
		return nil, err
	}
	return &Method{Name: scram.Name, Begin: func() Exchange { return c.Begin() }}, nil
}

// begin begins an exchange and returns it with the properties of its first packet.
func (m *Method) begin() (Exchange, colibri.Properties, error) {
	x := m.Begin()
	data, err := x.Step(nil)
	if err != nil {
		return nil, nil, authFailed("authenticate", err)
	}
	return x, m.properties(data), nil
}

// properties returns the Authentication Method [MQTT-4.12.1-1], and the data unless it is nil.
func (m *Method) properties(data []byte) colibri.Properties {
	ps := colibri.Properties{}.AppendValue(colibri.AuthenticationMethod, m.Name)
	if data != nil {
		ps = ps.AppendValue(colibri.AuthenticationData, string(data))
	}
	return ps
}

// step answers an AUTH that asks for more.
func (m *Method) step(x Exchange, p *packet.Auth) (*packet.Auth, error) {
	data, err := m.received("AUTH", p.Properties)
	if err != nil {
		return nil, err
	}
	answer, err := x.Step(data)
	if err != nil {
		return nil, authFailed("AUTH", err)
	}
	return &packet.Auth{Code: colibri.ContinueAuthentication, Properties: m.properties(answer)}, nil // [MQTT-4.12.0-3]
}

// finish checks the packet that accepts.
func (m *Method) finish(x Exchange, op string, ps colibri.Properties) error {
	data, err := m.received(op, ps)
	if err != nil {
		return err
	}
	if err := x.Finish(data); err != nil {
		return authFailed(op, err)
	}
	return nil
}

// received returns the Authentication Data of a packet that must name the method
// [MQTT-4.12.0-5].
func (m *Method) received(op string, ps colibri.Properties) ([]byte, error) {
	if name, _ := ps.Value(colibri.AuthenticationMethod); name != m.Name {
		return nil, &colibri.Error{Op: op, Code: colibri.ProtocolError, Rule: "MQTT-4.12.0-5",
			Err: errors.New("the Authentication Method is not that of the CONNECT")}
	}
	data, ok := ps.Value(colibri.AuthenticationData)
	if !ok {
		return nil, nil
	}
	return []byte(data), nil
}

// authFailed returns the error for an authentication that the Client ends.
func authFailed(op string, err error) error {
	return &colibri.Error{Op: op, Code: colibri.UnspecifiedError, Rule: "MQTT-4.12.1-2", Err: err}
}
