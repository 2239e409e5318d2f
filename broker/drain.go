package broker

import (
	"context"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// moved sends clients to another Server.
type moved struct{ reference string }

func (m *moved) Error() string { return "use another server: " + m.reference }

// Unwrap makes it a Reason Code.
func (m *moved) Unwrap() error { return colibri.UseAnotherServer }

// drainPause is the time between two clients that Drain sends away, so that they do not
// all come to the other Server at once.
const drainPause = time.Millisecond

// Drain sends all clients to another Server: new ones are refused and those that are
// connected are disconnected, one after another, with Reason Code 0x9C and the Server
// Reference that is given, such as "broker2.example:1883"; empty for none. Clients before
// 5.0 are only told by the end of their connection. It returns when no client is left, or
// with the error of ctx. Sessions stay until Shutdown.
func (b *Broker) Drain(ctx context.Context, reference string) error {
	to := &moved{reference}
	b.draining.Store(to)
	for {
		all := b.conns.which(func(c *conn) bool { return c.ending.Load() == nil })
		for _, c := range all {
			c.stop(to)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(drainPause):
			}
		}
		if b.conns.len() == 0 {
			return nil
		}
		if len(all) == 0 { // they are writing their last bytes
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * drainPause):
			}
		}
	}
}

// withReference adds the Server Reference to the answer if err sends the client away.
func withReference(ps colibri.Properties, err error) colibri.Properties {
	if to, ok := err.(*moved); ok && to.reference != "" {
		ps = ps.AppendValue(colibri.ServerReference, to.reference)
	}
	return ps
}
