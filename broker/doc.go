// Package broker is the MQTT server: Network Connections, Sessions, the routing of
// messages, Retained Messages and Will Messages, for MQTT 3.1, 3.1.1 and 5.0.
//
// Every packet takes one road, walked by the goroutine that read it:
//
//	Read    all packets that have arrived, and step the Session
//	Decide  authorize, and route what the Session asks for
//	Record  append what must survive to the Log, once for the whole batch
//	Reply   put acknowledgements and deliveries into the outboxes, flush each once
//
// A program embeds it with New, Serve and Shutdown:
//
//	b, err := broker.New(broker.Config{})
//	go b.Serve(listener)
//	…
//	b.Shutdown(ctx)
//
// All exported methods are safe for concurrent use.
package broker
