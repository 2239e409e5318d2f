// Package mqtest holds test peers: the other end of a Network Connection, driven packet
// by packet, so that a scenario reads as a conversation with the broker:
//
//	mqtest.Run(t, "a retained message greets a subscriber", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
//		p := scene.Connect("client")
//		p.Send(&packet.Publish{Topic: "a", Payload: []byte("1"), Retain: true})
//		p.Send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a"}}})
//		p.Expect(&packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{0}},
//			&packet.Publish{Topic: "a", Payload: []byte("1"), Retain: true})
//	})
//
// A scenario runs in a bubble of testing/synctest over connections in memory. What a peer
// expects has to be there once everybody is idle: nothing depends on how fast the machine
// is, and no time passes except in time.Sleep and Peer.ExpectNothing.
package mqtest
