package broker

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/packet"
)

// filed is an Authorizer by an ACL file.
type filed struct{ file *acl.File }

func (f filed) Permissions(c ClientInfo) Permissions {
	return (*filedRights)(f.file.Rights(acl.Client{ID: c.ClientID, User: c.UserName}))
}

type filedRights acl.Rights

func (r *filedRights) Publish(string, colibri.QoS, bool) colibri.ReasonCode { return colibri.Success }

func (r *filedRights) Subscribe(s colibri.Subscription) colibri.ReasonCode {
	return colibri.ReasonCode(s.QoS)
}

func (r *filedRights) Unsubscribe(string) colibri.ReasonCode { return colibri.Success }

func (r *filedRights) Receive(topic string) bool {
	return (*acl.Rights)(r).Decide(acl.Receive, topic).Allowed
}

// BenchmarkFanOut sends QoS 0 messages to 1,000 clients, without what moves bytes: without
// rules, with rules that are the same for all of them, and with a pattern, so that each has
// rules of its own. One operation is one delivery.
func BenchmarkFanOut(b *testing.B) {
	const receivers = 1000
	for _, test := range []struct{ name, file string }{
		{"none", ""},
		{"same", "topic read house/+/state\n"},
		{"own", "pattern read dev/%c/#\npattern read house/+/state\n"},
	} {
		b.Run("rules="+test.name, func(b *testing.B) {
			var config Config
			if test.file != "" {
				file, err := acl.Read("acl", strings.NewReader(test.file))
				if err != nil {
					b.Fatal(err)
				}
				config.Authorizer = filed{file}
			}
			server, err := New(config)
			if err != nil {
				b.Fatal(err)
			}
			defer server.Shutdown(context.Background())
			join := func(clientID string, then ...packet.Packet) *conn {
				var sends []byte
				for _, p := range append([]packet.Packet{&packet.Connect{Version: colibri.V5, ClientID: clientID, CleanStart: true}}, then...) {
					sends = appendPacket(sends, p, colibri.V5)
				}
				server.begin()
				c, early := server.accept(context.Background(), newSink(sends))
				if err := c.begin(early); err != nil {
					b.Fatal(err)
				}
				go c.run()
				return c
			}
			for i := range receivers {
				join(fmt.Sprint("receiver-", i), &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "house/#"}}})
			}
			c := join("publisher")
			data := appendPacket(nil, &packet.Publish{Topic: "house/kitchen/state", Payload: []byte("0123456789abcdef")}, colibri.V5)
			batch := server.takeBatch()
			defer batch.giveBack()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N / receivers {
				if err := c.process(batch, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
