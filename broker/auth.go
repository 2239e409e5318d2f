package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Method is an Authentication Method of 5.0: an enhanced authentication (section 4.12),
// in which client and Server exchange more than a user name and a password.
//
// A client that names a Method in its CONNECT is let in by the Method alone: the
// Authenticator is not asked. A client that names none is the Authenticator's affair.
type Method struct {
	Name string // as clients write it, such as "SCRAM-SHA-256"; upper and lower case differ

	// Begin returns the Server's end of one exchange. r says who asks and must not be
	// changed; for a re-authentication it is what the CONNECT said, without its password
	// and its Authentication Data. Begin is called by many goroutines.
	Begin func(r *ConnectRequest) Exchange
}

// Exchange is the Server's end of one authentication. It is used by one goroutine at a time,
// and by none any more once Step has said done or returned an error.
type Exchange interface {
	// Step takes the Authentication Data of the client (nil when the packet has none) and
	// returns what answers it (no Authentication Data for nil, else 65,535 bytes at most).
	// Without done the answer goes out in an AUTH that asks for more, with done in
	// the CONNACK or AUTH that accepts. An error refuses the client: its
	// colibri.ReasonCode is sent (NotAuthorized when it has none), and the reason of a
	// *colibri.Error is shown to the client. Step may block until ctx ends, which is with
	// Limits.ConnectTime or the Network Connection, and must return then. data is the Exchange's.
	Step(ctx context.Context, data []byte) (answer []byte, done bool, err error)
	// UserName returns what the client has proven to be, once Step has said done. It becomes
	// ClientInfo.UserName, whatever the CONNECT said.
	UserName() string
}

// authSteps is how many packets with Authentication Data one exchange takes.
const authSteps = 16

// checkMethods returns the methods by name.
func checkMethods(methods []Method) (map[string]*Method, error) {
	byName := make(map[string]*Method, len(methods))
	for i := range methods {
		m := &methods[i]
		switch {
		case m.Name == "" || m.Begin == nil:
			return nil, errors.New("broker: a Method needs a Name and a Begin")
		case byName[m.Name] != nil:
			return nil, fmt.Errorf("broker: there are two Methods with the name %q", m.Name)
		}
		byName[m.Name] = m
	}
	return byName, nil
}

// authentication is what a connection keeps of the Authentication Method that its
// CONNECT named.
type authentication struct {
	method  *Method
	request *ConnectRequest
	data    []byte // the answer that goes into the CONNACK; nil without one, and afterwards

	mu     sync.Mutex // guards what follows; a leaf
	again  *exchange  // a re-authentication that is going on; nil without one
	closed bool       // none may begin any more
}

// exchange counts the steps of an Exchange.
type exchange struct {
	Exchange
	steps   int
	stepped bool // a step is going on, so nothing was asked of the client; only for again
	ctx     context.Context
	cancel  context.CancelFunc
}

// step is Step within the bounds.
func (x *exchange) step(ctx context.Context, data []byte) (answer []byte, done bool, err error) {
	if x.steps++; x.steps > authSteps {
		return nil, false, &colibri.Error{Op: "AUTH", Code: colibri.NotAuthorized,
			Err: fmt.Errorf("more than %d steps", authSteps)}
	}
	answer, done, err = x.Step(ctx, data)
	switch {
	case ctx.Err() != nil: // also when Step has just come to its end
		return nil, false, authOver(ctx)
	case err == nil && len(answer) > 65_535:
		return nil, false, errors.New("the Authentication Method answers with more than 65,535 bytes")
	}
	return answer, done, err
}

// authOver returns the error for an exchange whose context has ended.
func authOver(ctx context.Context) error {
	if ctx.Err() == context.Canceled {
		return errShutdown
	}
	return errAuthTime
}

var errAuthTime = &colibri.Error{Op: "AUTH", Code: colibri.NotAuthorized,
	Err: errors.New("the authentication took longer than this Server waits")}

// authData returns a copy of the Authentication Data; nil when there is none.
func authData(ps colibri.Properties) []byte {
	data, ok := ps.Value(colibri.AuthenticationData)
	if !ok {
		return nil
	}
	return append([]byte{}, data...)
}

// properties returns the method and, unless it is nil, the data: what an AUTH and a
// CONNACK carry [MQTT-4.12.0-5].
func (a *authentication) properties(ps colibri.Properties, data []byte) colibri.Properties {
	ps = ps.AppendValue(colibri.AuthenticationMethod, a.method.Name)
	if data != nil {
		ps = ps.AppendValue(colibri.AuthenticationData, string(data))
	}
	return ps
}

// auth returns the bytes of an AUTH, or nil when the client cannot take as many. It has no
// Reason String and no User Property [MQTT-3.15.2-2] [MQTT-3.15.2-3].
func (a *authentication) auth(code colibri.ReasonCode, data []byte, maxPacket uint32) []byte {
	b := appendPacket(nil, &packet.Auth{Code: code, Properties: a.properties(nil, data)}, colibri.V5)
	if maxPacket > 0 && len(b) > int(maxPacket) { // [MQTT-3.1.2-24]
		return nil
	}
	return b
}

var errAuthTooLarge = &colibri.Error{Op: "AUTH", Code: colibri.PacketTooLarge, Rule: "MQTT-3.1.2-24",
	Err: errors.New("the answer is larger than your Maximum Packet Size")}

// authenticate lets the method that p names decide about r. It reads the AUTH packets of
// the client, of which early is the beginning, and returns what came behind the last one.
// The Network Connection has its deadline.
func (b *Broker) authenticate(ctx context.Context, nc net.Conn, v *visitor, p *packet.Connect, r *ConnectRequest, early []byte) (*authentication, []byte, error) {
	name, _ := p.Properties.Value(colibri.AuthenticationMethod)
	method := b.methods[name]
	if method == nil {
		return nil, nil, &colibri.Error{Op: "CONNECT", Code: colibri.BadAuthenticationMethod, Rule: "MQTT-4.12.0-1",
			Err: errors.New("this Server does not know the Authentication Method")}
	}
	a := &authentication{method: method}
	maxPacket, _ := p.Properties.Number(colibri.MaximumPacketSize)
	x := &exchange{Exchange: method.Begin(r)}
	for ps := p.Properties; ; {
		answer, done, err := x.step(ctx, authData(ps))
		if err != nil {
			return nil, nil, err
		}
		if done {
			r.UserName = x.UserName() // only what is proven counts
			r.HasUserName = r.UserName != ""
			a.request, a.data = requestAgain(r), answer
			return a, early, nil
		}
		more := a.auth(colibri.ContinueAuthentication, answer, maxPacket) // [MQTT-4.12.0-2]
		if more == nil {
			return nil, nil, errAuthTooLarge
		}
		_, err = nc.Write(more)
		b.counters.sent(packet.AUTH, len(more))
		v.see(true, more, &packet.Auth{}, "")
		if err != nil {
			return nil, nil, &departed{err}
		}
		var auth *packet.Auth
		if auth, early, err = b.readAuth(nc, v, early); err != nil {
			switch {
			case ctx.Err() != nil:
				err = authOver(ctx)
			case errors.Is(err, os.ErrDeadlineExceeded):
				err = errAuthTime
			}
			return nil, nil, err
		}
		if err := a.checkAuth(auth, colibri.ContinueAuthentication); err != nil {
			return nil, nil, err
		}
		ps = auth.Properties
	}
}

// requestAgain returns what of a CONNECT is kept for re-authentications: nothing that
// may be secret, and nothing that holds on to the packet.
func requestAgain(r *ConnectRequest) *ConnectRequest {
	again := *r
	again.HasPassword, again.Password, again.Properties, again.conn = false, nil, nil, nil
	for _, property := range r.Properties {
		if property.ID != colibri.AuthenticationData {
			again.Properties = append(again.Properties, property)
		}
	}
	again.Properties = again.Properties.Clone()
	return &again
}

// departed is the end of a client whose CONNECT is not answered yet, and will not be.
type departed struct{ err error }

func (d *departed) Error() string { return "while authenticating: " + d.err.Error() }

func (d *departed) Unwrap() error { return d.err }

// checkAuth checks an AUTH of the client against the method of its CONNECT.
func (a *authentication) checkAuth(p *packet.Auth, code colibri.ReasonCode) error {
	if name, _ := p.Properties.Value(colibri.AuthenticationMethod); name != a.method.Name {
		return &colibri.Error{Op: "AUTH", Code: colibri.ProtocolError, Rule: "MQTT-4.12.0-5",
			Err: errors.New("the Authentication Method is not that of the CONNECT")}
	}
	if p.Code != code {
		return &colibri.Error{Op: "AUTH", Code: colibri.ProtocolError,
			Err: fmt.Errorf("%s is not expected here", p.Code)}
	}
	return nil
}

// readAuth reads the next packet of a client whose CONNECT is not answered yet: an AUTH,
// or a DISCONNECT [MQTT-3.1.2-30], which departs. buf is what has come of it, rest
// what came behind it. The packet keeps its memory.
func (b *Broker) readAuth(nc net.Conn, v *visitor, buf []byte) (p *packet.Auth, rest []byte, err error) {
	for {
		kind, size, err := packet.Size(buf)
		switch {
		case err == io.ErrUnexpectedEOF:
		case err != nil:
			return nil, nil, err
		case kind != packet.AUTH && kind != packet.DISCONNECT:
			return nil, nil, &colibri.Error{Op: kind.String(), Code: colibri.ProtocolError, Rule: "MQTT-3.1.2-30",
				Err: errors.New("the authentication is not complete")}
		case size > b.limits.ConnectBytes:
			return nil, nil, b.authBytes(size)
		case len(buf) >= size:
			b.counters.received(kind, size)
			p, rest, err := decodeAuth(bytes.Clone(buf[:size]), buf[size:])
			v.see(false, buf[:size], &packet.Auth{}, "")
			return p, rest, err
		}
		var chunk [512]byte
		n, err := nc.Read(chunk[:])
		buf = append(buf, chunk[:n]...)
		if n == 0 && err != nil {
			return nil, nil, &departed{err}
		}
	}
}

// authBytes returns the error for an AUTH of that size.
func (b *Broker) authBytes(size int) error {
	b.limited(ClientInfo{}, LimitConnectBytes)
	return &colibri.Error{Op: "AUTH", Code: colibri.PacketTooLarge,
		Err: fmt.Errorf("%d bytes, and this Server takes %d", size, b.limits.ConnectBytes)}
}

func decodeAuth(b, rest []byte) (*packet.Auth, []byte, error) {
	p, _, err := packet.Decode(b, colibri.V5)
	if err == io.ErrUnexpectedEOF {
		err = errors.New("AUTH: shorter than its Fixed Header says")
	}
	switch p := p.(type) {
	case *packet.Auth:
		return p, rest, err
	case *packet.Disconnect:
		return nil, nil, &departed{&goodbye{code: p.Code}}
	}
	return nil, nil, err
}

// reauthenticate takes an AUTH of a connected client. What it asks for is done by another
// goroutine: the reader goes on.
func (c *conn) reauthenticate(p *packet.Auth) error {
	a := c.auth
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.again
	code := colibri.ReAuthenticate
	if x != nil {
		code = colibri.ContinueAuthentication
	}
	switch err := a.checkAuth(p, code); {
	case err != nil: // [MQTT-4.12.1-1]
		return err
	case x != nil && x.stepped:
		return &colibri.Error{Op: "AUTH", Code: colibri.ProtocolError,
			Err: errors.New("the one before has not been answered")}
	case a.closed:
		return net.ErrClosed
	case x == nil:
		x = &exchange{}
		x.ctx, x.cancel = context.WithTimeout(c.broker.lifetime, c.broker.limits.ConnectTime)
		a.again = x
		context.AfterFunc(x.ctx, func() {
			if x.ctx.Err() == context.DeadlineExceeded {
				c.stop(reauthFailed(errAuthTime))
			}
		})
	}
	x.stepped = true
	c.broker.running.Add(1) // the reader is counted, so Shutdown still waits
	go c.reauthStep(x, authData(p.Properties))
	return nil
}

// reauthStep is one step of a re-authentication, in a goroutine of its own.
func (c *conn) reauthStep(x *exchange, data []byte) {
	defer c.broker.running.Done()
	a := c.auth
	if x.Exchange == nil {
		x.Exchange = a.method.Begin(a.request)
	}
	answer, done, err := x.step(x.ctx, data)
	if err == nil && done && x.UserName() != c.client.UserName {
		err = &colibri.Error{Op: "AUTH", Code: colibri.NotAuthorized,
			Err: errors.New("the user is not the one that connected")}
	}
	code := colibri.ContinueAuthentication // [MQTT-4.12.0-2]
	if done {
		code = colibri.Success
	}
	var reply []byte
	if err == nil {
		if reply = a.auth(code, answer, c.maxPacket); reply == nil {
			err = errAuthTooLarge
		}
	}
	if err != nil {
		x.cancel()
		c.stop(reauthFailed(err)) // [MQTT-4.12.1-2]
		return
	}
	if done {
		x.cancel()
	}
	a.mu.Lock()
	x.stepped = false // before the client can answer
	if done {
		a.again = nil
	}
	a.mu.Unlock()
	c.broker.counters.sent(packet.AUTH, len(reply))
	c.sent(reply, &packet.Auth{}, "")
	if c.out.add(func(b []byte) []byte { return append(b, reply...) }) {
		w := writers.Get().(*writer)
		c.flush(w)
		writers.Put(w)
	}
}

// reauthFailed returns the error that ends a connection after a failed
// re-authentication. NotAuthorized stands for every code that a DISCONNECT does not have.
func reauthFailed(err error) error {
	code, ok := errors.AsType[colibri.ReasonCode](err)
	if ok && code.Failed() && packet.ReasonCodeAllowed(packet.DISCONNECT, code) {
		return err
	}
	if wrong, ok := errors.AsType[*colibri.Error](err); ok { // keep what the client may read
		return &colibri.Error{Op: wrong.Op, Code: colibri.NotAuthorized, Rule: wrong.Rule, Err: wrong.Err}
	}
	return fmt.Errorf("re-authentication: %w: %w", colibri.NotAuthorized, err)
}

// authEnds ends a re-authentication with its connection.
func (c *conn) authEnds() {
	if c.auth == nil {
		return
	}
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	c.auth.closed = true
	if c.auth.again != nil {
		c.auth.again.cancel()
	}
}
