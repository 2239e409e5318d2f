package broker_test

import (
	"context"
	"errors"
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

// Clients prove with SCRAM-SHA-256 that they know their password, which the broker does
// not have.
func ExampleScramSHA256() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	credentials, err := broker.NewScramCredentials("correct horse", 0)
	if err != nil {
		log.Panic(err)
	}
	users := map[string]broker.ScramCredentials{"alice": credentials}
	lookup := func(_ context.Context, userName string) (broker.ScramCredentials, bool, error) {
		c, ok := users[userName]
		return c, ok, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Panic(err)
	}
	b, err := broker.New(broker.Config{Methods: []broker.Method{broker.ScramSHA256(broker.ScramOptions{Lookup: lookup})}})
	if err != nil {
		log.Panic(err)
	}
	go b.Serve(l)
	defer b.Shutdown(ctx)
	for _, password := range []string{"correct horse", "battery"} {
		method, err := client.ScramSHA256("alice", password)
		if err != nil {
			log.Panic(err)
		}
		c, err := client.Dial(ctx, "tcp://"+l.Addr().String(), client.Options{Method: method})
		if errors.Is(err, colibri.NotAuthorized) {
			fmt.Println("refused")
			continue
		}
		if err != nil {
			log.Panic(err)
		}
		fmt.Println("connected")
		c.Disconnect(ctx, colibri.NormalDisconnection, nil)
	}
	// Output:
	// connected
	// refused
}
