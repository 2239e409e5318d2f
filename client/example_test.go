package client_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// A program names its broker, as in "tcp://localhost:1883", and leaves out Dial.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, "memory", client.Options{Dial: echo})
	if err != nil {
		log.Panic(err)
	}
	defer c.Disconnect(ctx, colibri.NormalDisconnection, nil)
	s, err := c.Subscribe(ctx, colibri.Subscription{Filter: "house/+", QoS: colibri.AtLeastOnce})
	if err != nil {
		log.Panic(err)
	}
	m := &colibri.Message{Topic: "house/kitchen", Payload: []byte("21.5"), QoS: colibri.AtLeastOnce}
	if _, err := c.Publish(ctx, m); err != nil {
		log.Panic(err)
	}
	if m, err := s.Next(ctx); err == nil {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
	}
	// Output: house/kitchen: 21.5
}

// echo connects to a Server in this process that says yes to everything and sends
// every message back.
func echo(context.Context, string) (net.Conn, error) {
	near, far := transport.Pipe()
	go func() {
		defer far.Close()
		var in []byte
		for b := make([]byte, 4096); ; {
			n, err := far.Read(b)
			if err != nil {
				return
			}
			in = append(in, b[:n]...)
			var out []byte
			for {
				p, n, err := packet.Decode(in, colibri.V5)
				if err != nil {
					break
				}
				switch p := p.(type) {
				case *packet.Connect:
					out, _ = packet.Append(out, &packet.Connack{}, colibri.V5)
				case *packet.Subscribe:
					out, _ = packet.Append(out, &packet.Suback{PacketID: p.PacketID, Codes: []colibri.ReasonCode{1}}, colibri.V5)
				case *packet.Publish:
					out, _ = packet.Append(out, &packet.Puback{PacketID: p.PacketID}, colibri.V5)
					out, _ = packet.Append(out, p, colibri.V5)
				case *packet.Disconnect:
					return
				}
				in = in[n:]
			}
			if _, err := far.Write(out); err != nil {
				return
			}
		}
	}()
	return near, nil
}
