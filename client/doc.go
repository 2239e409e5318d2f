// Package client is an MQTT client for programs, for versions 3.1, 3.1.1 and 5.0.
//
// [Dial] connects, [Client.Publish] returns when the Quality of Service is fulfilled,
// [Client.Subscribe] returns a [Subscription] whose messages a loop takes,
// [Client.Disconnect] ends it all:
//
//	c, err := client.Dial(ctx, "tcp://localhost:1883", client.Options{KeepAlive: time.Minute})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	s, err := c.Subscribe(ctx, colibri.Subscription{Filter: "house/#", QoS: colibri.AtLeastOnce})
//	if err != nil {
//		return err
//	}
//	for m, err := range s.All(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
//	}
//
// A Client and everything that it returns are safe for concurrent use.
//
// # Sessions
//
// With Options.Reconnect a Client outlives its Network Connection. What was sent and
// not acknowledged is sent again when the Server has kept the Session [MQTT-4.4.0-1].
// When it has not, the state is discarded [MQTT-3.2.2-5]: the Subscriptions are made
// anew, messages of QoS 1 are sent as new ones, and those of QoS 2 end with
// [ErrSessionLost], as sending them once more could deliver them twice. The state lives
// in memory: it ends with the Client.
//
// A Session Present that cannot be true ends the connection [MQTT-3.2.2-4]. For the
// first connection that is so with CleanStart only: without it, the Session may be one
// of an earlier process, of which this Client carries on what it can.
//
// # A program that does not read
//
// A message of QoS 1 or 2 is acknowledged when the program has taken it, in the order
// of arrival over all Subscriptions [MQTT-4.6.0-2] [MQTT-4.6.0-3], so that a program
// which does not read holds back acknowledgements, and with them the Server. When
// Options.MaxQueued messages wait, the Client reads no more from the Network
// Connection; it goes on sending PINGREQ. While it waits for an acknowledgement itself
// it has to read on, and drops messages of QoS 0 for which there is no room.
//
// # Goroutines
//
// Dial starts one goroutine per Client, which reads, connects again and ends when the
// Client has ended, and it one per Network Connection, which writes, sends PINGREQ and
// ends with the connection. [Client.Done] is closed after both have ended.
package client
