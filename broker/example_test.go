package broker_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/client"
)

// A broker inside a program, and a client of it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Panic(err)
	}
	b, err := broker.New(broker.Config{})
	if err != nil {
		log.Panic(err)
	}
	go b.Serve(l)
	defer b.Shutdown(ctx)
	c, err := client.Dial(ctx, "tcp://"+l.Addr().String(), client.Options{})
	if err != nil {
		log.Panic(err)
	}
	s, err := c.Subscribe(ctx, colibri.Subscription{Filter: "maison/#"})
	if err != nil {
		log.Panic(err)
	}
	if err := b.Publish(&colibri.Message{Topic: "maison/salon", Payload: []byte("21")}); err != nil {
		log.Panic(err)
	}
	if m, err := s.Next(ctx); err == nil {
		fmt.Printf("%s %s\n", m.Topic, m.Payload)
	}
	// Output: maison/salon 21
}
