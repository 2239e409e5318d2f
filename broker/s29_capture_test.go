package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

const manyBytes = 64 << 20

// capturing begins a capture that ends with the scene.
func capturing(scene *mqtest.Scene, f broker.CaptureFilter, queueBytes int) *broker.Capture {
	scene.Helper()
	c, err := scene.Broker.Capture(f, queueBytes)
	if err != nil {
		scene.Fatal(err)
	}
	scene.Cleanup(c.Close)
	return c
}

// captured returns what c has got once everybody is idle.
func captured(c *broker.Capture) []broker.TracedPacket {
	synctest.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	packets, _ := c.Next(ctx)
	return packets
}

// told writes packets as in "client > CONNECT", "client < CONNACK" and "client end: why".
func told(packets []broker.TracedPacket) (lines []string) {
	for _, p := range packets {
		who := p.Connection.Client.ClientID
		switch {
		case p.Length == 0:
			lines = append(lines, who+" end: "+p.Reason)
			continue
		case p.ToClient:
			who += " < "
		default:
			who += " > "
		}
		lines = append(lines, who+packet.Type(p.Bytes[0]>>4).String())
	}
	return lines
}

func expectTold(t testing.TB, what string, packets []broker.TracedPacket, want ...string) {
	t.Helper()
	if got := told(packets); !slices.Equal(got, want) {
		t.Errorf("%s: got\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// bytesOf returns what was captured of one direction of a client.
func bytesOf(packets []broker.TracedPacket, clientID string, toClient bool) (all []byte) {
	for _, p := range packets {
		if p.Connection.Client.ClientID == clientID && p.ToClient == toClient {
			all = append(all, p.Bytes...)
		}
	}
	return all
}

func TestCapture(t *testing.T) {
	mqtest.Run(t, "has every byte of both directions", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		c := capturing(scene, broker.CaptureFilter{}, manyBytes)
		sub := scene.Dial()
		sent := sub.Encode(sub.NewConnect("sub", keepAlive(7)))
		sub.SendBytes(sent)
		sub.Received()
		hears := subscribe(1, to("a/#", 2))
		sub.Send(hears)
		sent = append(sent, sub.Encode(hears)...)
		got := sub.Received()
		received := sub.Encode(got...)
		pub := scene.Connect("pub", user("ann", "s3cret-password"))
		large := strings.Repeat("payload ", 40_000)
		for i, m := range []*packet.Publish{qos0("a/0", "zero"), qos1(1, "a/1", "one"), qos2(2, "a/2", "two"), qos0("a/large", large)} {
			pub.Send(m)
			if m.QoS == 1 {
				pub.Expect(puback(1, 0))
			}
			if m.QoS == 2 {
				pub.Expect(pubrec(2, 0))
				pub.Send(pubrel(2, 0))
				pub.Expect(pubcomp(2, 0))
			}
			for _, p := range sub.Received() {
				received = append(received, sub.Encode(p)...)
				publish, ok := p.(*packet.Publish)
				if !ok {
					continue
				}
				switch publish.QoS {
				case 1:
					sub.Send(puback(publish.PacketID, 0))
					sent = append(sent, sub.Encode(puback(publish.PacketID, 0))...)
				case 2:
					sub.Send(pubrec(publish.PacketID, 0))
					sent = append(sent, sub.Encode(pubrec(publish.PacketID, 0))...)
					release := sub.Received()
					received = append(received, sub.Encode(release...)...)
					sub.Send(pubcomp(publish.PacketID, 0))
					sent = append(sent, sub.Encode(pubcomp(publish.PacketID, 0))...)
				}
			}
			if i == 0 {
				sub.Ping()
				sent = append(sent, sub.Encode(&packet.Pingreq{})...)
				received = append(received, sub.Encode(&packet.Pingresp{})...)
			}
		}
		sub.Disconnect()
		sent = append(sent, sub.Encode(&packet.Disconnect{})...)
		packets := captured(c)
		if got := bytesOf(packets, "sub", false); !bytes.Equal(got, sent) {
			scene.Errorf("from the client: got % x\nwant % x", got[:min(200, len(got))], sent[:min(200, len(sent))])
		}
		got2 := bytesOf(packets, "sub", true)
		if _, n, err := packet.Decode(got2, scene.Version); err != nil {
			scene.Error(err)
		} else if !bytes.Equal(got2[n:], received) { // behind the CONNACK
			scene.Errorf("to the client: got % x\nwant % x", got2[n:][:min(200, len(got2)-n)], received[:min(200, len(received))])
		}
		last := packets[len(packets)-1]
		if last.Length != 0 || last.Reason != "the client said goodbye" || last.Connection.Version != scene.Version ||
			last.Connection.KeepAlive != 7 || !last.Connection.Accepted || last.Connection.Transport != "memory" {
			scene.Errorf("the end: got %+v of %+v", last, last.Connection)
		}
		if lost := c.Lost(); lost != (broker.Lost{}) {
			scene.Errorf("lost: got %+v", lost)
		}
	})
	mqtest.Run(t, "begins midway and ends", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client", user("ann", "pw"))
		c := capturing(scene, broker.CaptureFilter{ClientID: "client", UserName: "ann"}, manyBytes)
		other := scene.Connect("other", user("ann", "pw"))
		other.Ping()
		p.Ping()
		c.Close()
		p.Ping()
		packets := captured(c)
		expectTold(scene, "while it went on", packets, "client > PINGREQ", "client < PINGRESP")
		if t := packets[0].Connection; t.Client.UserName != "ann" || t.Version != v5 || !t.CleanStart {
			scene.Errorf("got %+v", t)
		}
	})
	mqtest.Run(t, "of an address", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		c := capturing(scene, broker.CaptureFilter{Address: netip.MustParsePrefix("192.0.2.0/24")}, manyBytes)
		for i, address := range []string{"192.0.2.7:1", "198.51.100.1:1", "[2001:db8::1]:1", "[::ffff:192.0.2.9]:1"} {
			p := scene.DialFrom(address)
			p.Connect(fmt.Sprint("c", i))
		}
		expectTold(scene, "of the network", captured(c), "c0 > CONNECT", "c0 < CONNACK", "c3 > CONNECT", "c3 < CONNACK")
	})
	mqtest.Run(t, "of a topic", mqtest.V5, broker.Config{Limits: broker.Limits{TopicAliases: -1}}, func(scene *mqtest.Scene) {
		pub, sub := scene.Connect("pub"), scene.Connect("sub")
		alias := number(colibri.TopicAlias, 1)
		pub.Send(with(qos0("house/kitchen", "1"), alias)) // before the capture
		c := capturing(scene, broker.CaptureFilter{Topic: "house/+"}, manyBytes)
		sub.Send(subscribe(1, to("garden/#", 0)))
		sub.Send(subscribe(2, to("#", 2)), &packet.Pingreq{})
		sub.Received()
		expectTold(scene, "Subscriptions", captured(c), "sub > SUBSCRIBE", "sub < SUBACK")
		pub.Send(with(qos0("", "2"), alias), qos1(1, "garden/gate", "3"), qos1(1, "house/roof", "4"), qos2(2, "house/cellar", "5"))
		got := sub.Received()
		for _, p := range got {
			if m := p.(*packet.Publish); m.QoS == 1 {
				sub.Send(puback(m.PacketID, 0))
			}
		}
		pub.Received()
		pub.Send(pubrel(2, 0))
		pub.Received()
		expectTold(scene, "messages", captured(c), "pub > PUBLISH", "sub < PUBLISH", // with the alias
			"pub > PUBLISH", "sub < PUBLISH", "pub < PUBACK",
			"pub > PUBLISH", "sub < PUBLISH", "pub < PUBREC", "sub > PUBACK", "pub > PUBREL", "pub < PUBCOMP")
		pub.Send(qos1(1, "garden/gate", "6")) // with the Packet Identifier of one that was taken
		for _, p := range sub.Received() {
			sub.Send(puback(p.(*packet.Publish).PacketID, 0))
		}
		pub.Received()
		expectTold(scene, "another topic", captured(c))
		sub.Send(unsubscribe(3, "house/kitchen/lamp"), unsubscribe(4, "$share/g/house/#"))
		scene.Connect("third").Disconnect()
		pub.Disconnect()
		expectTold(scene, "the end", captured(c), "sub > UNSUBSCRIBE", "sub < UNSUBACK", "pub > DISCONNECT", "pub end: the client said goodbye")
	})
	mqtest.Run(t, "of those who are refused and thrown out", mqtest.V5, broker.Config{Authenticator: gate{}}, func(scene *mqtest.Scene) {
		c := capturing(scene, broker.CaptureFilter{}, manyBytes)
		p := scene.Dial()
		p.Send(p.NewConnect("stranger", user("mallory", "wrong")))
		p.Received()
		p = scene.Connect("twice", user("ann", "right"))
		p.Send(p.NewConnect("twice", user("ann", "right")))
		packets := captured(c)
		expectTold(scene, "refused", packets[:3], "stranger > CONNECT", "stranger < CONNACK", "stranger end: CONNECT: not this one: Not authorized (0x87)")
		if packets[1].Reason == "" || packets[2].Connection.Accepted {
			scene.Errorf("the refusal: got %+v", packets[1:3])
		}
		got := told(packets[3:])
		if len(got) != 5 || !slices.Equal(got[:4], []string{"twice > CONNECT", "twice < CONNACK", "twice > CONNECT", "twice < DISCONNECT"}) || packets[6].Reason == "" {
			scene.Errorf("thrown out: got %q", got)
		}
		noSecrets(scene, packets, "wrong", "right")
	})
}

// gate lets in who knows the password.
type gate struct{}

func (gate) Authenticate(_ context.Context, r *broker.ConnectRequest) error {
	if string(r.Password) == "right" {
		return nil
	}
	return &colibri.Error{Op: "CONNECT", Code: colibri.NotAuthorized, Err: errors.New("not this one")}
}

// noSecrets fails when one of the secrets is in packets, or one of them cannot be decoded.
func noSecrets(t testing.TB, packets []broker.TracedPacket, secrets ...string) {
	t.Helper()
	for _, p := range packets {
		for _, s := range secrets {
			if bytes.Contains(p.Bytes, []byte(s)) {
				t.Errorf("%q is in %s: % x", s, told([]broker.TracedPacket{p}), p.Bytes)
			}
		}
		if p.Length != 0 && p.Length == len(p.Bytes) {
			if _, n, err := packet.Decode(p.Bytes, p.Connection.Version); err != nil || n != p.Length {
				t.Errorf("%s: got %d bytes, %v: % x", told([]broker.TracedPacket{p}), n, err, p.Bytes)
			}
		}
	}
}

func TestCaptureSecrets(t *testing.T) {
	config := riddles(nil)
	config.RecorderBytes = 1
	mqtest.Run(t, "Authentication Data", mqtest.V5, config, func(scene *mqtest.Scene) {
		c := capturing(scene, broker.CaptureFilter{}, manyBytes)
		p := scene.Dial()
		p.Send(p.NewConnect("client", method("riddle", "ask:q1-secret"), user("ann", "pw-secret")))
		p.Received()
		p.Send(auth(further, "ask:q2-secret"))
		p.Received()
		p.Send(auth(further, "in:alice-secret"))
		p.Received()
		p.Send(auth(again, "in:alice-secret"))
		p.Received()
		q := scene.Dial()
		q.Send(q.NewConnect("other", method("riddle", "no:secret")))
		q.Received()
		packets := captured(c)
		if len(packets) < 11 {
			scene.Errorf("got %q", told(packets))
		}
		noSecrets(scene, packets, "secret", "ask:", "welcome", "in:alice")
		noSecrets(scene, flightRecord(scene.Broker, ""), "secret", "ask:", "welcome", "in:alice")
	})
	mqtest.Run(t, "of what is no CONNECT, or a second one", mqtest.All, broker.Config{RecorderBytes: 1}, func(scene *mqtest.Scene) {
		c := capturing(scene, broker.CaptureFilter{}, manyBytes)
		p := scene.Dial()
		whole := p.Encode(p.NewConnect("client", user("ann", "pw-secret")))
		for i := range whole[:12] { // malformed in many ways
			p := scene.Dial()
			broken := slices.Clone(whole)
			broken[i] ^= 0x09
			p.Write(broken)
			synctest.Wait()
			p.Drop()
		}
		p.SendBytes(append(slices.Clone(whole), whole...))
		p.Received()
		synctest.Wait()
		all := append(captured(c), flightRecord(scene.Broker, "")...)
		if len(all) < 4 {
			scene.Errorf("got %q", told(all))
		}
		for _, one := range all {
			if bytes.Contains(one.Bytes, []byte("secret")) {
				scene.Errorf("% x", one.Bytes)
			}
		}
	})
	mqtest.Run(t, "user names that are tokens", mqtest.All, broker.Config{RecorderBytes: 1, SecretUserNames: true}, func(scene *mqtest.Scene) {
		c := capturing(scene, broker.CaptureFilter{}, manyBytes)
		scene.Connect("client", user("token-secret", "pw-secret"))
		noSecrets(scene, captured(c), "secret")
		noSecrets(scene, flightRecord(scene.Broker, ""), "secret")
	})
}

func TestCaptureBounds(t *testing.T) {
	mqtest.Run(t, "the queue", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		c := capturing(scene, broker.CaptureFilter{}, 10_000)
		message := qos0("a", strings.Repeat("x", 1000))
		size := int64(len(p.Encode(message)))
		for range 100 {
			p.Send(message)
		}
		synctest.Wait()
		lost := c.Lost()
		got := captured(c)
		if len(got) == 0 || len(got) > 10 || lost.Packets != int64(100-len(got)) || lost.Bytes != lost.Packets*size {
			scene.Errorf("got %d packets, lost %+v, want 100 in all and 10 at most in the queue", len(got), lost)
		}
		p.Send(message)
		if got := captured(c); len(got) != 1 || c.Lost() != lost {
			scene.Errorf("with room again: got %d packets, lost %+v", len(got), c.Lost())
		}
	})
	mqtest.Run(t, "how many", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		for range 8 {
			capturing(scene, broker.CaptureFilter{}, 1)
		}
		_, err := scene.Broker.Capture(broker.CaptureFilter{}, 1)
		if want := "8 captures are going on already; end one"; err == nil || err.Error() != want {
			scene.Errorf("got %v, want %s", err, want)
		}
		for _, filter := range []string{"a/#/b", "$share/g/a"} {
			if _, err := scene.Broker.Capture(broker.CaptureFilter{Topic: filter}, 1); err == nil || strings.Contains(err.Error(), "going on") {
				scene.Errorf("%s: got %v", filter, err)
			}
		}
	})
}
