package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/session"
	"github.com/colibri-mqtt/colibri/packet"
)

// ServeConn serves one Network Connection that the caller has opened, until it ends or
// ctx does. It takes nc over and closes it.
func (b *Broker) ServeConn(ctx context.Context, nc net.Conn) {
	if !b.begin() {
		nc.Close()
		return
	}
	c, early := b.accept(ctx, nc)
	if c == nil {
		b.running.Done()
		return
	}
	unwatch := context.AfterFunc(ctx, func() { c.stop(colibri.ServerShuttingDown) })
	defer unwatch()
	if err := c.begin(early); err != nil {
		c.end(err)
		return
	}
	c.run()
}

// serve is ServeConn for a connection of a listener. CONNECT is handled in the
// goroutine that calls it; the reader is a fresh one, whose stack stays small.
func (b *Broker) serve(nc net.Conn) {
	c, early := b.accept(b.lifetime, nc)
	if c == nil {
		b.running.Done()
		return
	}
	if err := c.begin(early); err != nil {
		c.end(err)
		return
	}
	go c.run()
}

// begin processes what the client has sent behind its CONNECT.
func (c *conn) begin(early []byte) error {
	if len(early) == 0 {
		return nil
	}
	b := c.broker.takeBatch()
	defer b.giveBack()
	return c.process(b, early)
}

// accept reads the CONNECT of nc and answers it. It returns the connection and what the
// client has sent behind its CONNECT, or nil when nc was refused and closed.
func (b *Broker) accept(caller context.Context, nc net.Conn) (c *conn, early []byte) {
	b.counters.opened.Add(1)
	v := b.newVisitor(nc)
	b.emit(Opened{Remote: nc.RemoteAddr(), Local: nc.LocalAddr()})
	if remote := nc.RemoteAddr(); !b.origins.Take(remote) {
		b.TurnedAway(remote, LimitAddress)
		b.refuse(nc, v, nil, &colibri.Error{Op: "connection", Code: colibri.QuotaExceeded,
			Err: fmt.Errorf("its address has %d connections, and may not have more", b.limits.PerAddress)})
		return nil, nil
	}
	defer func() {
		if c == nil {
			b.origins.GiveBack(nc.RemoteAddr())
		}
	}()
	defer b.pending.Add(-1)
	if int(b.pending.Add(1)) > b.limits.Unauthenticated {
		b.limited(ClientInfo{}, LimitUnauthenticated)
		b.refuse(nc, v, nil, &colibri.Error{Op: "connection", Code: colibri.QuotaExceeded,
			Err: errors.New("too many connections have not sent their CONNECT yet")})
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(caller, b.limits.ConnectTime)
	defer cancel()
	nc.SetDeadline(time.Now().Add(b.limits.ConnectTime))
	defer context.AfterFunc(b.lifetime, cancel)()
	interrupted := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		nc.SetDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	p, early, err := b.readConnect(nc, v)
	var r *ConnectRequest
	var auth *authentication
	if err == nil {
		r, err = b.admit(nc, p)
	}
	if err == nil && p.Properties.Has(colibri.AuthenticationMethod) {
		auth, early, err = b.authenticate(ctx, nc, v, p, r, early)
	} else if err == nil && b.authenticator != nil {
		err = b.authenticator.Authenticate(ctx, r) // [MQTT-3.1.4-2]
	}
	if err == nil && r.Rights != nil && b.authorizer == nil {
		err = errNoAuthorizer
	}
	if err == nil {
		err = b.admitWill(p, r)
	}
	if err == nil {
		err = b.slowTakeover(ctx, r.ClientID)
	}
	if !unwatch() {
		<-interrupted // what follows sets deadlines of its own
	}
	if err != nil {
		switch {
		case r != nil:
			p.UserName = r.UserName // an Authenticator may have taken a secret out of it
		case p != nil && b.secretUserNames: // nobody was asked
			p.UserName = ""
		}
		late := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errAuthTime)
		if late && caller.Err() == nil && !b.closing.Load() {
			b.limited(ClientInfo{}, LimitConnectTime)
		}
		if reached, ok := errors.AsType[*LimitError](err); ok {
			b.limited(r.client(), reached.Limit)
		}
		b.refuse(nc, v, p, err)
		return nil, nil
	}
	nc.SetDeadline(time.Time{})
	return b.welcome(nc, v, p, r, auth), early
}

// errNoAuthorizer refuses a client whose rights would be lost.
var errNoAuthorizer = refusal(colibri.NotAuthorized, "", "the client has rights of its own, and this Server has nobody who knows them")

// connectBytes is what a connection holds that has not sent its CONNECT. It grows with what
// comes.
const connectBytes = 512

// readConnect reads the first packet of a Network Connection, which must be a CONNECT
// [MQTT-3.1.0-1]. p is not nil when enough of a CONNECT was read to answer it.
func (b *Broker) readConnect(nc net.Conn, v *visitor) (p *packet.Connect, early []byte, err error) {
	buf := make([]byte, connectBytes)
	for n := 0; ; {
		m, err := nc.Read(buf[n:])
		n += m
		if m > 0 {
			kind, size, bad := packet.Size(buf[:n])
			switch {
			case bad == io.ErrUnexpectedEOF:
			case foreign(buf[:n]) != "":
				return nil, nil, &colibri.Error{Op: "first packet", Code: colibri.ProtocolError, Rule: "MQTT-3.1.0-1",
					Err: errors.New(foreign(buf[:n]))}
			case bad != nil:
				return nil, nil, bad
			case kind != packet.CONNECT:
				return nil, nil, &colibri.Error{Op: kind.String(), Code: colibri.ProtocolError, Rule: "MQTT-3.1.0-1",
					Err: errors.New("the first packet must be CONNECT")}
			case size > b.limits.ConnectBytes:
				b.limited(ClientInfo{}, LimitConnectBytes)
				return nil, nil, &colibri.Error{Op: "CONNECT", Code: colibri.PacketTooLarge,
					Err: fmt.Errorf("%d bytes, and this Server takes %d", size, b.limits.ConnectBytes)}
			case n >= size:
				b.counters.received(packet.CONNECT, size)
				p, early, err := decodeConnect(append([]byte(nil), buf[:size]...), append([]byte(nil), buf[size:n]...))
				v.connect(buf[:size], p, err)
				return p, early, err
			case n == len(buf):
				buf = append(make([]byte, 0, min(size, 2*n)), buf...)
				buf = buf[:cap(buf)]
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// foreign names another protocol that begins with b, in the words of the commonest
// mistakes; empty when b may be MQTT.
func foreign(b []byte) string {
	switch {
	case len(b) > 1 && b[0] == 0x16 && b[1] == 0x03:
		return "the client speaks TLS, and this port does not"
	case bytes.HasPrefix(b, []byte("GET ")), bytes.HasPrefix(b, []byte("POST ")), bytes.HasPrefix(b, []byte("HEAD ")):
		return "the client speaks HTTP or WebSocket, and this port does not"
	}
	return ""
}

// decodeConnect decodes a CONNECT, which may keep aliasing b.
func decodeConnect(b, early []byte) (*packet.Connect, []byte, error) {
	p, _, err := packet.Decode(b, 0)
	connect, _ := p.(*packet.Connect)
	if err == io.ErrUnexpectedEOF {
		err = errors.New("CONNECT: shorter than its Fixed Header says")
	}
	return connect, early, err
}

// refusal returns the error that refuses a CONNECT.
func refusal(code colibri.ReasonCode, rule, reason string) error {
	return &colibri.Error{Op: "CONNECT", Code: code, Rule: rule, Err: errors.New(reason)}
}

// admit checks a CONNECT against what this broker takes, whoever it comes from.
func (b *Broker) admit(nc net.Conn, p *packet.Connect) (*ConnectRequest, error) {
	client := ClientInfo{ClientID: strings.Clone(p.ClientID)} // of events
	if !b.secretUserNames {
		client.UserName = strings.Clone(p.UserName)
	}
	switch {
	case b.closing.Load():
		return nil, refusal(colibri.ServerShuttingDown, "", "this Server is shutting down")
	case b.failed.Load():
		return nil, refusal(colibri.ServerUnavailable, "", "the log of this Server cannot be written")
	case b.draining.Load() != nil:
		return nil, b.draining.Load()
	case b.limits.ConnectRate > 0 && b.rate.exceeded(time.Now(), b.limits.ConnectRate):
		b.limited(client, LimitConnectRate)
		return nil, refusal(colibri.ConnectionRateExceeded, "", fmt.Sprintf("this Server takes %d connections a second", b.limits.ConnectRate))
	case b.limits.Connections > 0 && b.conns.len() >= b.limits.Connections:
		b.limited(client, LimitConnections)
		return nil, refusal(colibri.QuotaExceeded, "", "this Server has as many connections as it may have")
	case b.full() && wantsSession(p) && !b.registry.knows(p.ClientID):
		return nil, refusal(colibri.QuotaExceeded, "", "the state of this Server has no room for another Session that lasts")
	case p.ClientID == "" && p.Version == colibri.V31:
		return nil, refusal(colibri.ClientIdentifierNotValid, "", "MQTT 3.1 requires a Client Identifier")
	case p.ClientID == "" && p.Version == colibri.V311 && !p.CleanStart:
		return nil, refusal(colibri.ClientIdentifierNotValid, "MQTT311-3.1.3-8", "an empty Client Identifier needs Clean Session")
	case p.Version < colibri.V5 && b.limits.KeepAlive > 0 && (p.KeepAlive == 0 || p.KeepAlive > b.limits.KeepAlive):
		b.limited(client, LimitKeepAlive)
		return nil, refusal(colibri.ClientIdentifierNotValid, "", fmt.Sprintf("Keep Alive must be 1 to %d seconds", b.limits.KeepAlive))
	}
	r := &ConnectRequest{Version: p.Version, ClientID: strings.Clone(p.ClientID), HasUserName: p.HasUserName, UserName: strings.Clone(p.UserName),
		HasPassword: p.HasPassword, Password: p.Password, RemoteAddr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr(),
		Properties: p.Properties, conn: nc}
	if secure, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok { // a *tls.Conn, or what wraps one
		if state := secure.ConnectionState(); state.HandshakeComplete {
			r.TLS = &state
		}
	}
	if proxied, ok := nc.(interface{ ProxiedTLS() *ProxiedTLS }); ok {
		r.ProxiedTLS = proxied.ProxiedTLS()
	}
	if r.ClientID == "" {
		r.ClientID, r.Assigned = newClientID(), true
	}
	return r, nil
}

// wantsSession reports whether p asks for a Session that outlives its connection.
func wantsSession(p *packet.Connect) bool {
	if p.Version < colibri.V5 {
		return !p.CleanStart
	}
	interval, _ := p.Properties.Number(colibri.SessionExpiryInterval)
	return interval > 0
}

// client returns what is known of the client once it is let in.
func (r *ConnectRequest) client() ClientInfo {
	return ClientInfo{ClientID: r.ClientID, UserName: r.UserName, Rights: r.Rights}
}

// admitWill checks that the client may publish the Will Message of its CONNECT.
func (b *Broker) admitWill(p *packet.Connect, r *ConnectRequest) error {
	if p.Will != nil {
		if code, why := b.without.message(p.Will.QoS, p.Will.Retain); code.Failed() { // [MQTT-3.2.2-12] [MQTT-3.2.2-13]
			return refusal(code, "", "Will Message: "+why)
		}
		will, _ := willMessage(p.Will)
		if result := b.mayPublish(r.client(), b.permissionsOf(r.client()), will); result.code.Failed() {
			return refusal(sendable(packet.CONNACK, result.code), "", "Will Message: "+result.reason)
		}
	}
	return nil
}

// newClientID returns a Client Identifier that no other Session has [MQTT-3.2.2-16].
func newClientID() string {
	var random [16]byte
	rand.Read(random[:])
	return "auto-" + hex.EncodeToString(random[:])
}

// refuse answers a CONNECT that is not accepted, as far as its sender can understand it,
// and closes the Network Connection.
func (b *Broker) refuse(nc net.Conn, v *visitor, p *packet.Connect, err error) {
	var client ClientInfo
	if p != nil {
		client = ClientInfo{ClientID: strings.Clone(p.ClientID), UserName: strings.Clone(p.UserName)}
		if answer := refusalConnack(p, err); answer != nil {
			nc.SetWriteDeadline(time.Now().Add(closeTime))
			nc.Write(answer)
			b.counters.sent(packet.CONNACK, len(answer))
			v.see(true, answer, &packet.Connack{}, b.inWords(err))
		}
	}
	nc.Close()
	v.is(client)
	v.refused(err)
	b.counters.refused[codeOf(err)].Add(1)
	b.emit(Refused{Client: client, Remote: nc.RemoteAddr(), Code: codeOf(err), Err: err})
}

// refusalConnack returns the CONNACK that refuses p, nil when there is to be none.
func refusalConnack(p *packet.Connect, err error) []byte {
	if _, ok := errors.AsType[*departed](err); ok {
		return nil
	}
	code := codeOf(err)
	if _, ok := errors.AsType[colibri.ReasonCode](err); !ok {
		code = colibri.NotAuthorized // an Authenticator that says no more
	}
	switch {
	case code == colibri.ServerShuttingDown: // not a code of CONNACK [MQTT-3.2.2-8]
		code = colibri.ServerUnavailable
	case !code.Failed() || !packet.ReasonCodeAllowed(packet.CONNACK, code):
		code = colibri.UnspecifiedError
	}
	if p.Version < colibri.V5 {
		returnCode, ok := code.ConnectReturnCode()
		if !ok { // [MQTT311-3.1.4-1], [MQTT311-3.2.2-6]
			return nil
		}
		return appendPacket(nil, &packet.Connack{Code: colibri.ReasonCode(returnCode)}, colibri.V311) // [MQTT311-3.2.2-4]
	}
	answer := &packet.Connack{Code: code, Properties: withReference(nil, err)} // [MQTT-3.2.2-6]
	bytes := appendPacket(nil, answer, colibri.V5)
	if most, ok := p.Properties.Number(colibri.MaximumPacketSize); ok && len(bytes) > int(most) { // [MQTT-3.1.2-24]
		return nil
	}
	if reason := reasonOf(err); reason != "" && wantsReasons(p) {
		answer.Properties = answer.Properties.AppendValue(colibri.ReasonString, reason)
		full := appendPacket(nil, answer, colibri.V5)
		if most, ok := p.Properties.Number(colibri.MaximumPacketSize); !ok || len(full) <= int(most) { // [MQTT-3.2.2-19]
			bytes = full
		}
	}
	return bytes
}

// wantsReasons reports whether a client did not decline Reason Strings. In a CONNACK
// they are allowed all the same [MQTT-3.1.2-29].
func wantsReasons(p *packet.Connect) bool {
	wants, ok := p.Properties.Number(colibri.RequestProblemInformation)
	return !ok || wants != 0
}

// welcome opens the Session of an admitted client and sends the CONNACK. It returns nil
// when the client takes no packet of that size.
func (b *Broker) welcome(nc net.Conn, v *visitor, p *packet.Connect, r *ConnectRequest, auth *authentication) *conn {
	c := &conn{auth: auth, broker: b, nc: nc, raw: rawConn(nc), framed: framedConn(nc), version: p.Version, keepAlive: p.KeepAlive, opened: time.Now(),
		number: v.number, cleanStart: p.CleanStart}
	c.client = r.client()
	if !r.Expires.IsZero() {
		c.expires = max(1, r.Expires.Unix())
	}
	c.lastRead.Store(c.opened.UnixNano())
	o := session.Options{Version: p.Version, ReceiveMaximum: 65_535}
	switch {
	case p.Version < colibri.V5 && !p.CleanStart:
		o.ExpiryInterval = session.NeverExpires // [MQTT311-3.1.2-4]
	case p.Version == colibri.V5:
		o.ExpiryInterval, _ = p.Properties.Number(colibri.SessionExpiryInterval)
		if n, ok := p.Properties.Number(colibri.ReceiveMaximum); ok {
			o.ReceiveMaximum = uint16(n)
		}
		c.maxPacket, _ = p.Properties.Number(colibri.MaximumPacketSize)
		if wanted, ok := p.Properties.Number(colibri.RequestProblemInformation); ok && wanted == 0 {
			o.NoReasons = true // [MQTT-3.1.2-29]
		}
		most, _ := p.Properties.Number(colibri.TopicAliasMaximum)
		if most := min(int(most), b.limits.TopicAliases); most > 0 { // [MQTT-3.1.2-26] [MQTT-3.1.2-27]
			c.out.aliases = session.NewAliases(uint16(min(most, 65_535)))
		}
	}
	if most := b.limits.SessionExpiry; most > 0 && o.ExpiryInterval > most {
		o.ExpiryInterval = most
		b.limited(c.client, LimitSessionExpiry)
	}
	if b.limits.MessageRate > 0 || b.limits.ByteRate > 0 {
		c.throttle = new(throttle)
	}
	if p.Will != nil {
		o.Will, o.WillDelay = willMessage(p.Will)
	}
	if p.Version == colibri.V5 && b.limits.KeepAlive > 0 && (c.keepAlive == 0 || c.keepAlive > b.limits.KeepAlive) {
		c.keepAlive = b.limits.KeepAlive
		b.limited(c.client, LimitKeepAlive)
	}
	if n := len(b.connack(c, p, r, o, false)); c.maxPacket > 0 && n > int(c.maxPacket) { // [MQTT-3.1.2-24]
		b.refuse(nc, v, p, &colibri.Error{Op: "CONNACK", Code: colibri.PacketTooLarge,
			Err: fmt.Errorf("%d bytes, and the Client takes %d", n, c.maxPacket)})
		return nil
	}
	_, present := b.join(c, r.ClientID, p.CleanStart, o, func(present bool) []byte {
		answer := b.connack(c, p, r, o, present)
		b.counters.sent(packet.CONNACK, len(answer))
		if auth == nil {
			v.see(true, answer, &packet.Connack{}, "")
		} else {
			v.see(true, answer, &packet.Connack{Properties: auth.properties(nil, auth.data)}, "")
		}
		v.tell(c)
		return answer
	})
	if auth != nil {
		auth.data = nil // the CONNACK has it
	}
	b.counters.accepted.Add(1)
	b.emit(Connected{Client: c.client, Remote: r.RemoteAddr, Local: r.LocalAddr, Version: p.Version,
		CleanStart: p.CleanStart, SessionPresent: present, KeepAlive: c.keepAlive, Will: p.Will != nil})
	if present {
		c.firehoseResumes()
	}
	return c
}

// connack returns the CONNACK of an accepted client: in 5.0 with what differs from what
// it asked for, or from what the standard assumes.
func (b *Broker) connack(c *conn, p *packet.Connect, r *ConnectRequest, o session.Options, present bool) []byte {
	answer := &packet.Connack{SessionPresent: present && p.Version >= colibri.V311} // [MQTT-3.2.2-2], [MQTT-3.2.2-3]
	if p.Version == colibri.V5 {
		ps := colibri.Properties{}
		if asked, _ := p.Properties.Number(colibri.SessionExpiryInterval); asked != o.ExpiryInterval {
			ps = ps.AppendNumber(colibri.SessionExpiryInterval, o.ExpiryInterval)
		}
		ps = ps.AppendNumber(colibri.ReceiveMaximum, uint32(b.limits.ReceiveMaximum))
		ps = ps.AppendNumber(colibri.MaximumPacketSize, uint32(b.limits.PacketBytes))
		if p.ClientID == "" {
			ps = ps.AppendValue(colibri.AssignedClientIdentifier, r.ClientID) // [MQTT-3.1.3-7]
		}
		ps = ps.AppendNumber(colibri.TopicAliasMaximum, uint32(b.limits.TopicAliasMaximum))
		ps = b.without.announce(ps)
		if asked, _ := p.Properties.Number(colibri.RequestResponseInformation); asked == 1 && b.responseInformation != nil {
			if information := b.responseInformation(c.client); information != "" { // [MQTT-3.1.2-28]
				ps = ps.AppendValue(colibri.ResponseInformation, information)
			}
		}
		if c.keepAlive != p.KeepAlive {
			ps = ps.AppendNumber(colibri.ServerKeepAlive, uint32(c.keepAlive)) // [MQTT-3.2.2-21]
		}
		if c.auth != nil {
			ps = c.auth.properties(ps, c.auth.data) // [MQTT-4.12.0-5]; without a method nothing [MQTT-4.12.0-6]
		}
		answer.Properties = ps
	}
	return appendPacket(nil, answer, p.Version)
}

// willMessage returns the Will Message of a CONNECT and its delay in seconds.
func willMessage(w *packet.Will) (m *colibri.Message, delay uint32) {
	view := colibri.Message{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain} // [MQTT-3.1.2-14], [MQTT-3.1.2-15]
	for _, property := range w.Properties {
		if property.ID == colibri.WillDelayInterval {
			delay = property.Number
			continue
		}
		view.Properties = append(view.Properties, property)
	}
	return view.Clone(), delay
}
