package broker_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// everyTen is a broker that publishes $SYS. The time of a scenario begins at a multiple of
// ten seconds.
var everyTen = broker.Config{SysInterval: 10 * time.Second, Version: "colibri version 1.2.3"}

// pastTick waits until the next publication of $SYS is over.
func pastTick() { time.Sleep(10*time.Second + time.Millisecond) }

// sysTopics returns what a new subscriber to filter hears at once: by topic, without
// $SYS/broker/, the text.
func sysTopics(scene *mqtest.Scene, filter string) map[string]string {
	scene.Helper()
	p := scene.Connect("reader of " + filter)
	p.Send(subscribe(1, to(filter, 0)))
	texts := sysTexts(scene, p, true)
	p.Disconnect()
	return texts
}

// sysTexts returns the texts of the PUBLISH packets that p has received, by topic, and
// fails unless all have this RETAIN and no topic came twice.
func sysTexts(scene *mqtest.Scene, p *mqtest.Peer, retain bool) map[string]string {
	scene.Helper()
	texts := map[string]string{}
	for _, one := range p.Received() {
		m, ok := one.(*packet.Publish)
		if !ok {
			continue
		}
		name := strings.TrimPrefix(m.Topic, "$SYS/broker/")
		if _, twice := texts[name]; twice || m.Retain != retain {
			scene.Errorf("%s: came before %v, RETAIN %v; want false and %v", m.Topic, twice, m.Retain, retain)
		}
		texts[name] = string(m.Payload)
	}
	return texts
}

// TestSysOutgoing shows what waits for clients.
func TestSysOutgoing(t *testing.T) {
	mqtest.Run(t, "for one that reads nothing", mqtest.All, everyTen, func(scene *mqtest.Scene) {
		p := scene.DialSize(10)
		p.Connect("slow")
		p.Send(subscribe(1, to("a", 0)))
		p.Expect(suback(1, 0))
		p.Pause()
		pub := scene.Connect("pub")
		for range 50 {
			pub.Send(qos0("a", "hello")) // 10 bytes
		}
		pastTick()
		s := scene.Broker.Stats()
		got := sysTopics(scene, "$SYS/broker/packet/out/+")
		count, _ := strconv.Atoi(got["packet/out/count"])
		bytes, _ := strconv.Atoi(got["packet/out/bytes"])
		if count < 45 || count > 50 || bytes != count*len(pub.Encode(qos0("a", "hello"))) || s.Outgoing != int64(count) || s.OutgoingBytes != int64(bytes) {
			scene.Errorf("got %d packets and %d bytes, in Stats %d and %d; want nearly 50 of 10 bytes, or 11 in 5.0", count, bytes, s.Outgoing, s.OutgoingBytes)
		}
		p.Resume()
		p.Received()
		if s := scene.Broker.Stats(); s.Outgoing != 0 || s.OutgoingBytes != 0 {
			scene.Errorf("afterwards: got %d packets and %d bytes, want none", s.Outgoing, s.OutgoingBytes)
		}
	})
}

// TestSysValues shows each topic and its value after traffic that is known.
func TestSysValues(t *testing.T) {
	mqtest.Run(t, "every topic", mqtest.V311, everyTen, func(scene *mqtest.Scene) {
		sub := scene.Connect("sub") // 17 bytes, CONNACK 4
		away := scene.Connect("off", resume)
		away.Send(subscribe(1, to("q", 1))) // 8 bytes, SUBACK 5
		away.Expect(suback(1, 1))
		away.Disconnect() // 2 bytes
		pub := scene.Connect("pub")
		old := scene.ConnectVersion(v5, "old", property(colibri.SessionExpiryInterval, 3)) // 23 bytes
		connackBytes := len(old.Encode(old.Connack))
		old.Drop()
		nobody := scene.Dial()
		connect := nobody.NewConnect("") // 14 bytes, CONNACK 4
		connect.CleanStart = false
		nobody.Send(connect)
		nobody.ExpectClosed(&packet.Connack{Code: 2})
		sub.Send(subscribe(1, to("a", 0), to("$share/g/b", 0))) // 21 bytes, SUBACK 6
		sub.Expect(suback(1, 0, 0))
		pub.Send(qos0("a", "hello"), // 10 bytes, and as many to sub
			qos1(1, "q", "waits"),           // 12 bytes, PUBACK 4
			retain(qos0("r", "kept")),       // 9 bytes
			qos0("$SYS/x", "no"),            // 12 bytes, denied
			qos2(2, "none", ""),             // 10 bytes, PUBREC 4; nobody hears it
			pubrel(2, 0), &packet.Pingreq{}) // 4 and 2 bytes, PUBCOMP 4 and PINGRESP 2
		pub.Expect(puback(1, 0), pubrec(2, 0), pubcomp(2, 0), &packet.Pingresp{})
		sub.Expect(qos0("a", "hello"))
		sub.Send(unsubscribe(2, "a")) // 7 bytes, UNSUBACK 4
		sub.Expect(unsuback(v311, 2))
		stored := scene.Broker.Stats().StoredBytes // changes with each publication of $SYS
		pastTick()

		const bytesReceived = 3*17 + 8 + 2 + 23 + 14 + 21 + 10 + 12 + 9 + 12 + 10 + 4 + 2 + 7
		bytesSent := 4*4 + connackBytes + 5 + 6 + 10 + 4 + 4 + 4 + 2 + 4
		want := map[string]string{
			"version": "colibri version 1.2.3",
			"uptime":  "10 seconds",

			"clients/total": "3", "clients/connected": "2", "clients/active": "2", "clients/disconnected": "1",
			"clients/inactive": "1", "clients/maximum": "3", "clients/expired": "1",
			"connections/socket/count": "5", "subscriptions/count": "2", "shared_subscriptions/count": "1",

			"messages/received": "16", "messages/sent": "13",
			"bytes/received": strconv.Itoa(bytesReceived), "bytes/sent": strconv.Itoa(bytesSent),
			"publish/messages/received": "5", "publish/messages/sent": "1", "publish/messages/dropped": "2",
			"publish/bytes/received": "16", "publish/bytes/sent": "5",

			"mqtt/connect/received": "5", "mqtt/connect/sent": "0", "mqtt/connack/received": "0", "mqtt/connack/sent": "5",
			"mqtt/publish/received": "5", "mqtt/publish/sent": "1", "mqtt/publish/dropped": "2",
			"mqtt/puback/received": "0", "mqtt/puback/sent": "1", "mqtt/pubrec/received": "0", "mqtt/pubrec/sent": "1",
			"mqtt/pubrel/received": "1", "mqtt/pubrel/sent": "0", "mqtt/pubcomp/received": "0", "mqtt/pubcomp/sent": "1",
			"mqtt/subscribe/received": "2", "mqtt/subscribe/sent": "0", "mqtt/suback/received": "0", "mqtt/suback/sent": "2",
			"mqtt/unsubscribe/received": "1", "mqtt/unsubscribe/sent": "0", "mqtt/unsuback/received": "0", "mqtt/unsuback/sent": "1",
			"mqtt/pingreq/received": "1", "mqtt/pingreq/sent": "0", "mqtt/pingresp/received": "0", "mqtt/pingresp/sent": "1",
			"mqtt/disconnect/received": "1", "mqtt/disconnect/sent": "0", "mqtt/auth/received": "0", "mqtt/auth/sent": "0",

			"store/messages/bytes": strconv.Itoa(int(stored)), "packet/out/count": "0", "packet/out/bytes": "0",

			"denied/publish":             "1",
			"clients/pub/dropped/denied": "1", "clients/pub/dropped/no-subscribers": "1",
		}
		for reason := broker.DropReason(0); broker.KnownDropReason(reason); reason++ {
			want["publish/dropped/"+strings.ReplaceAll(reason.String(), " ", "-")] = "0"
		}
		want["publish/dropped/denied"], want["publish/dropped/no-subscribers"] = "1", "1" // as they are written
		for name, counted := range map[string]int{"connections": 5, "sockets": 5, "bytes/received": bytesReceived, "bytes/sent": bytesSent,
			"messages/received": 16, "messages/sent": 13, "publish/received": 5, "publish/sent": 1, "publish/dropped": 2} {
			// In ten seconds an average comes 1 - e^(-10/60) of the way to the rate of the
			// minute, and so on.
			for window, way := range map[string]float64{"1min": 0.15351827511, "5min": 0.03278389952, "15min": 0.01104961071} {
				want["load/"+name+"/"+window] = strconv.FormatFloat(6*float64(counted)*way, 'f', 2, 64)
			}
		}
		all := len(want) - 3 + 5 // with the following and heap, without what came to be with this publication
		want["retained messages/count"] = strconv.Itoa(all + 1)
		want["messages/stored"] = strconv.Itoa(all + 2)
		want["store/messages/count"] = strconv.Itoa(all + 2)

		got := sysTopics(scene, "$SYS/#")
		for _, name := range []string{"heap/current", "heap/maximum"} {
			if n, err := strconv.Atoi(got[name]); err != nil || n < 1000 {
				scene.Errorf("%s: got %q, want the bytes of the heap", name, got[name])
			}
			delete(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			scene.Errorf("$SYS/broker/ (-want +got):\n%s", diff)
		}
	})
	mqtest.Run(t, "load averages rise and fall", mqtest.V311, everyTen, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("$SYS/broker/load/sockets/+", 0)))
		watcher.Received()
		for range 5 {
			scene.Connect("client")
		}
		// Six of them in ten seconds are 36 a minute: 36 (1 - e^(-10/60)) e^(-10n/60) after n
		// ticks more, and so on.
		for i, want := range []map[string]string{
			{"1min": "5.53", "5min": "1.18", "15min": "0.40"},
			{"1min": "4.68", "5min": "1.14", "15min": "0.39"},
			{"1min": "3.96", "5min": "1.10"}, // 0.389 is 0.39 still
			{"1min": "3.35", "5min": "1.07", "15min": "0.38"},
			{"1min": "2.84", "5min": "1.03"},
			{"1min": "2.40", "5min": "1.00"},
		} {
			pastTick()
			got := map[string]string{}
			for name, text := range sysTexts(scene, watcher, false) {
				got[strings.TrimPrefix(name, "load/sockets/")] = text
			}
			if diff := cmp.Diff(want, got); diff != "" {
				scene.Errorf("tick %d (-want +got):\n%s", i+1, diff)
			}
		}
	})
}

// TestSysPublication shows who gets the topics of $SYS, and when.
func TestSysPublication(t *testing.T) {
	mqtest.Run(t, "what has not changed is not published again", mqtest.All, everyTen, func(scene *mqtest.Scene) {
		watcher := scene.Connect("watcher")
		watcher.Send(subscribe(1, to("$SYS/broker/clients/#", 2), to("$SYS/broker/version", 2)))
		pastTick()
		watcher.Received()
		watcher.ExpectNothing(time.Minute)
		scene.Connect("client")
		watcher.Expect()
		pastTick()
		two := func(name string) packet.Packet { return qos2(0, "$SYS/broker/clients/"+name, "2") }
		watcher.Expect(two("total"), two("connected"), two("active"), two("maximum"))
	})
	mqtest.Run(t, "a late subscriber gets what is retained, with QoS 2 [MQTT-3.3.1-9] [MQTT311-3.3.1-6]", mqtest.All, everyTen, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("$SYS/broker/version", 2), to("$SYS/broker/uptime", 1)))
		p.Expect(suback(1, 2, 1), retain(qos2(0, "$SYS/broker/version", "colibri version 1.2.3")),
			retain(qos1(0, "$SYS/broker/uptime", "0 seconds")))
		got := sysTopics(scene, "$SYS/#")
		if all := strconv.Itoa(len(got)); got["retained messages/count"] != all || got["store/messages/count"] != all {
			scene.Errorf("retained and stored: got %q and %q, want the %s that there are", got["retained messages/count"], got["store/messages/count"], all)
		}
	})
	mqtest.Run(t, "wildcards in the first level get none [MQTT-4.7.2-1] [MQTT311-4.7.2-1]", mqtest.All, everyTen, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("#", 2), to("+/broker/uptime", 2), to("+/#", 2)))
		p.Expect(suback(1, 2, 2, 2))
		p.ExpectNothing(time.Minute)
	})
	mqtest.Run(t, "at multiples of the interval", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		time.Sleep(13700 * time.Millisecond)
		scene.Use(mqtest.New(t, everyTen))
		p := scene.Connect("client")
		p.Send(subscribe(1, to("$SYS/broker/uptime", 0)))
		p.Expect(suback(1, 0), retain(qos0("$SYS/broker/uptime", "0 seconds")))
		p.ExpectNothing(6 * time.Second)
		time.Sleep(time.Second)
		p.Expect(qos0("$SYS/broker/uptime", "6 seconds")) // 6.3
		p.ExpectNothing(9 * time.Second)
		time.Sleep(time.Second)
		p.Expect(qos0("$SYS/broker/uptime", "16 seconds"))
	})
	mqtest.Run(t, "none with an interval of 0", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(subscribe(1, to("$SYS/#", 2)))
		p.Expect(suback(1, 2))
		p.ExpectNothing(time.Hour)
		if got := scene.Broker.Stats().RetainedSys; got != 0 {
			scene.Errorf("retained under $SYS: got %d, want none", got)
		}
	})
	limited := everyTen
	limited.Limits.Retained = 1
	mqtest.Run(t, "beside the limit of Retained Messages", mqtest.V311, limited, func(scene *mqtest.Scene) {
		if got := sysTopics(scene, "$SYS/broker/uptime"); got["uptime"] != "0 seconds" {
			scene.Errorf("uptime: got %q, want 0 seconds", got["uptime"])
		}
		p := scene.Connect("client")
		p.Send(retain(qos0("a", "fits")), retain(qos0("b", "not")), subscribe(1, to("#", 0)))
		p.Expect(suback(1, 0), retain(qos0("a", "fits")))
		s := scene.Broker.Stats()
		if s.Retained != 1 || s.Dropped[broker.DropRetained] != 1 {
			scene.Errorf("got %d retained and %d not, want 1 and 1", s.Retained, s.Dropped[broker.DropRetained])
		}
	})
	rejecting := everyTen
	rejecting.WhenFull, rejecting.Limits.QueueMessages = broker.FullReject, 1
	mqtest.Run(t, "also when a subscriber's queue is full", mqtest.V311, rejecting, func(scene *mqtest.Scene) {
		p := scene.Connect("client", resume)
		p.Send(subscribe(1, to("$SYS/broker/uptime", 2)))
		p.Received()
		p.Disconnect()
		for range 3 {
			pastTick()
		}
		if got := sysTopics(scene, "$SYS/broker/uptime"); got["uptime"] != "30 seconds" {
			scene.Errorf("uptime: got %q, want 30 seconds", got["uptime"])
		}
	})
	open := limited
	open.Authorizer = rules{}
	mqtest.Run(t, "a client that may write there keeps to the limit", mqtest.V311, open, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		p.Send(retain(qos0("$SYS/of/a/client", "x")))
		if got := scene.Broker.Stats().Dropped[broker.DropRetained]; got != 1 {
			scene.Errorf("not retained: got %d, want 1", got)
		}
	})
	mqtest.Run(t, "is not recorded", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		log := &heldLog{}
		recorded := everyTen
		recorded.Log = log
		scene.Use(mqtest.New(t, recorded))
		pastTick()
		log.mu.Lock()
		defer log.mu.Unlock()
		if got := len(log.waiting); got != 0 {
			scene.Errorf("got %d appends to the Log, want none", got)
		}
	})
}

// TestSysClients shows the topics of single clients that have not got everything.
func TestSysClients(t *testing.T) {
	denied := func(scene *mqtest.Scene, clientID string) *mqtest.Peer {
		p := scene.Connect(clientID)
		p.Send(qos0("$SYS/x", "no"))
		return p
	}
	single := func(scene *mqtest.Scene) map[string]string {
		return sysTopics(scene, "$SYS/broker/clients/+/dropped/#")
	}
	mqtest.Run(t, "by reason, while the Session is there", mqtest.V311, everyTen, func(scene *mqtest.Scene) {
		check := func(when string, want map[string]string) {
			scene.Helper()
			if diff := cmp.Diff(want, single(scene)); diff != "" {
				scene.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		scene.Connect("happy").Send(retain(qos0("a", "x")))
		p := denied(scene, "p")
		p.Send(qos0("$SYS/x", "no"), qos0("nobody", "hears it"))
		odd := denied(scene, "a/+%#\u0085é")
		check("before the publication", map[string]string{})
		pastTick()
		both := map[string]string{"clients/p/dropped/denied": "2", "clients/p/dropped/no-subscribers": "1",
			"clients/a%2F%2B%25%23%C2%85é/dropped/denied": "1"}
		check("after it", both)
		pastTick()
		check("later", both)
		odd.Disconnect()
		pastTick()
		check("after the end of one", map[string]string{"clients/p/dropped/denied": "2", "clients/p/dropped/no-subscribers": "1"})
		denied(scene, "p").Send(qos0("$SYS/x", "no"))
		pastTick()
		check("after a new Session", map[string]string{"clients/p/dropped/denied": "2"})
	})
	mqtest.Run(t, "for the thousand with the most recent drops", mqtest.V311, everyTen, func(scene *mqtest.Scene) {
		var peers []*mqtest.Peer
		for i := range 1003 {
			peers = append(peers, denied(scene, "p"+strconv.Itoa(i)))
		}
		pastTick()
		got := single(scene)
		for _, name := range []string{"p0", "p1", "p2"} {
			if _, there := got["clients/"+name+"/dropped/denied"]; there || len(got) != 1000 {
				scene.Errorf("%s is there: %v, and so are %d topics; want false and 1000", name, there, len(got))
			}
		}
		peers[4].Send(qos0("$SYS/x", "no"))
		pastTick()
		if got := len(single(scene)); got != 1000 {
			scene.Errorf("after more of one of them: got %d topics, want 1000", got)
		}
		peers[0].Send(qos0("$SYS/x", "no"))
		peers[1].Send(qos0("$SYS/x", "no"))
		pastTick()
		got = single(scene)
		for name, want := range map[string]string{"p0": "2", "p1": "2", "p3": "", "p4": "2", "p5": "", "p6": "1"} {
			if text := got["clients/"+name+"/dropped/denied"]; text != want {
				scene.Errorf("%s in the end: got %q, want %q", name, text, want)
			}
		}
	})
	mqtest.Run(t, "not for a ClientID that is too long", mqtest.V311, everyTen, func(scene *mqtest.Scene) {
		denied(scene, strings.Repeat("/", 342))
		fits := strings.Repeat("%2F", 341)
		denied(scene, strings.Repeat("/", 341))
		pastTick()
		if diff := cmp.Diff(map[string]string{"clients/" + fits + "/dropped/denied": "1"}, single(scene)); diff != "" {
			scene.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestStats shows the counters that $SYS shows in sums only, or without what they are made
// of.
func TestStats(t *testing.T) {
	mqtest.Run(t, "what is retained", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		p := scene.Connect("client")
		for _, row := range []struct {
			topic, payload string
			retained       int
			bytes          int64 // topics and payloads
			payloads       int64
		}{
			{"a", "12345", 1, 6, 5}, {"bc", "123", 2, 11, 8}, {"a", "1", 2, 7, 4}, {"never", "", 2, 7, 4}, {"bc", "", 1, 2, 1}, {"a", "", 0, 0, 0},
		} {
			p.Send(retain(qos0(row.topic, row.payload)))
			if s := scene.Broker.Stats(); s.Retained != row.retained || s.RetainedBytes != row.bytes || s.StoredBytes != row.payloads {
				scene.Errorf("after %q on %s: got %d messages of %d bytes, %d of payloads; want %d of %d, %d", row.payload, row.topic,
					s.Retained, s.RetainedBytes, s.StoredBytes, row.retained, row.bytes, row.payloads)
			}
		}
	})
	mqtest.Run(t, "what waits in Sessions", mqtest.V5, broker.Config{Limits: broker.Limits{QueueMessages: 4}}, func(scene *mqtest.Scene) {
		check := func(when string, messages, bytes int64) {
			scene.Helper()
			if s := scene.Broker.Stats(); s.Queued != messages || s.StoredBytes != bytes {
				scene.Errorf("%s: got %d messages of %d bytes, want %d of %d", when, s.Queued, s.StoredBytes, messages, bytes)
			}
		}
		for _, name := range []string{"one", "two", "three"} {
			p := scene.Connect(name, fresh)
			p.Send(subscribe(1, to("a", 1)))
			p.Expect(suback(1, 1))
			p.Disconnect()
		}
		other := scene.Connect("other")
		other.Send(qos1(1, "a", "1"), with(qos1(2, "a", "22"), number(colibri.MessageExpiryInterval, 1)), qos1(3, "a", "333"), qos1(4, "a", "4444"))
		check("all away", 12, 30)
		other.Send(qos1(5, "a", "does not fit"))
		check("full", 12, 30)
		time.Sleep(2 * time.Second)
		p := scene.Connect("one", resume, property(colibri.ReceiveMaximum, 2))
		check("one has two, and one has expired", 9, 24)
		p.Expect(qos1(1, "a", "1"), qos1(2, "a", "333"))
		p.Send(puback(1, 0))
		check("one has all", 8, 20)
		scene.Connect("two", fresh)
		check("two has begun anew", 4, 10)
		time.Sleep(2 * time.Hour)
		check("three has expired", 0, 0)
		if got := scene.Broker.Stats().SessionsExpired; got != 1 {
			scene.Errorf("expired: got %d Sessions, want 1", got)
		}
	})
	mqtest.Run(t, "what waits in a queue whose oldest gives way", mqtest.V311,
		broker.Config{WhenFull: broker.FullDropOldest, Limits: broker.Limits{QueueMessages: 2}}, func(scene *mqtest.Scene) {
			p := scene.Connect("client", resume)
			p.Send(subscribe(1, to("a", 1)))
			p.Expect(suback(1, 1))
			p.Disconnect()
			scene.Connect("other").Send(qos1(1, "a", "1"), qos1(2, "a", "22"), qos1(3, "a", "4444"))
			if s := scene.Broker.Stats(); s.Queued != 2 || s.StoredBytes != 6 {
				scene.Errorf("got %d messages of %d bytes, want 2 of 6", s.Queued, s.StoredBytes)
			}
		})
	mqtest.Run(t, "who was refused, by Reason Code", mqtest.V5, broker.Config{Limits: broker.Limits{Connections: 2}}, func(scene *mqtest.Scene) {
		first, second := scene.Connect("first"), scene.Connect("second")
		for range 2 {
			p := scene.Dial()
			p.Send(p.NewConnect("more"))
			p.ExpectClosed(&packet.Connack{Code: colibri.QuotaExceeded})
		}
		p := scene.Dial()
		p.Send(&packet.Pingreq{})
		p.ExpectClosed()
		first.Drop()
		second.Drop()
		scene.Connect("third")
		s := scene.Broker.Stats()
		if diff := cmp.Diff(map[colibri.ReasonCode]int64{colibri.QuotaExceeded: 2, colibri.ProtocolError: 1}, s.Refused); diff != "" {
			scene.Errorf("refused (-want +got):\n%s", diff)
		}
		if s.Opened != 6 || s.Accepted != 3 || s.ConnectionsMaximum != 2 {
			scene.Errorf("got %d opened, %d accepted, %d at a time; want 6, 3 and 2", s.Opened, s.Accepted, s.ConnectionsMaximum)
		}
	})
	mqtest.Run(t, "a DISCONNECT of ours", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		first := scene.Connect("client")
		scene.Connect("client")
		got := first.Received()
		s := scene.Broker.Stats()
		connacks := 2 * len(first.Encode(first.Connack))
		if want := int64(connacks + len(first.Encode(got...))); s.Sent.Packets[packet.DISCONNECT] != 1 || s.Sent.Bytes != want {
			scene.Errorf("got %d DISCONNECT and %d bytes sent, want 1 and %d", s.Sent.Packets[packet.DISCONNECT], s.Sent.Bytes, want)
		}
	})
}
