package auth

import (
	"bytes"
	"context"
	"net"

	"github.com/colibri-mqtt/colibri/broker"
)

// Method returns m under the guard: failed exchanges count as failed logins. The name of the
// user is the one that a first message of SCRAM holds; for other methods it is empty.
func (g *Guard) Method(m broker.Method) broker.Method {
	begin := m.Begin
	m.Begin = func(r *broker.ConnectRequest) broker.Exchange {
		return &guarded{Exchange: begin(r), guard: g, from: r.RemoteAddr}
	}
	return m
}

// guarded is an Exchange under a Guard.
type guarded struct {
	broker.Exchange
	guard *Guard
	from  net.Addr
	begun bool
	user  string
}

// Step is broker.Exchange's.
func (x *guarded) Step(ctx context.Context, data []byte) (answer []byte, done bool, err error) {
	if !x.begun {
		x.begun, x.user = true, scramUser(data)
		if err := x.guard.allowed(x.from, x.user); err != nil {
			return nil, false, err
		}
	}
	answer, done, err = x.Exchange.Step(ctx, data)
	if done || err != nil {
		x.guard.learn(x.from, x.user, err)
	}
	return answer, done, err
}

// scramUser returns the name in a first message of SCRAM, "n,,n=NAME,r=...", as it is written
// there.
func scramUser(data []byte) string {
	fields := bytes.SplitN(data, []byte(","), 4)
	if len(fields) < 4 {
		return ""
	}
	name, _ := bytes.CutPrefix(fields[2], []byte("n="))
	return string(name)
}
