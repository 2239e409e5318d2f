package client_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	// In a program: client.Dial(ctx, "tcp://localhost:1883", client.Options{…}).
	c, err := client.Dial(ctx, "memory", client.Options{KeepAlive: time.Minute, Dial: echo})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	s, err := c.Subscribe(ctx, colibri.Subscription{Filter: "house/+", QoS: colibri.AtLeastOnce})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := &colibri.Message{Topic: "house/kitchen", Payload: []byte("21.5"), QoS: colibri.AtLeastOnce}
	if _, err := c.Publish(ctx, m); err != nil {
		fmt.Println(err)
		return
	}
	for m, err := range s.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
		break
	}
	if err := c.Disconnect(ctx, colibri.NormalDisconnection, nil); err != nil {
		fmt.Println(err)
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
