package broker_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// Why names the line that decides.
func (p *page) Why(action broker.Action, name string) string {
	verb := map[broker.Action]string{broker.ActionPublish: "publish", broker.ActionReceive: "receive"}[action]
	if p.forbids(verb, name) {
		return "the book forbids to " + verb + " " + name
	}
	return "the book says nothing of it"
}

// probed is a situation in which a client is asked about.
type probed struct {
	question broker.Question
	publish  *mqtest.Peer                // of the publisher; nil for one that connects now
	client   *mqtest.Peer                // nil while it is not connected
	paused   bool                        // the client does not read
	release  func() (later *mqtest.Peer) // ends what the message waits for; nil when nothing is waited for
	want     broker.Verdict
	sentence string // what it ends with
	checks   []string
}

// explainCase is a row: what is said of a situation, and what really happens then.
type explainCase struct {
	name   string
	config broker.Config
	setup  func(scene *mqtest.Scene) probed
}

// listener connects "c" with Subscriptions.
func listener(scene *mqtest.Scene, subscriptions []colibri.Subscription, options ...func(*packet.Connect)) *mqtest.Peer {
	scene.Helper()
	p := scene.Connect("c", options...)
	takeAll(p, subscriptions)
	return p
}

func takeAll(p *mqtest.Peer, subscriptions []colibri.Subscription) {
	if len(subscriptions) > 0 {
		p.Send(subscribe(1, subscriptions...))
		p.Received()
	}
}

// gone is listener for a Session whose client has gone.
func gone(scene *mqtest.Scene, subscriptions ...colibri.Subscription) {
	scene.Helper()
	listener(scene, subscriptions, resume).Disconnect()
}

func one(filter string, qos colibri.QoS) []colibri.Subscription {
	return []colibri.Subscription{to(filter, qos)}
}

// ask is a Question about "c" with QoS 1.
func ask(name string) broker.Question {
	return broker.Question{ClientID: "c", Topic: name, QoS: colibri.AtLeastOnce, Bytes: 5}
}

func askQoS0(name string) broker.Question {
	q := ask(name)
	q.QoS = colibri.AtMostOnce
	return q
}

func from(q broker.Question, clientID string) broker.Question {
	q.From = clientID
	return q
}

// explainCases are made for each run, as some hold a Log.
func explainCases() []explainCase {
	return []explainCase{
		{"at once with QoS 1", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, []colibri.Subscription{to("a/+", 1), to("b", 0)})
			return probed{question: ask("a/b"), client: c, want: broker.GetsIt, sentence: "c gets it at once, with QoS 1",
				checks: []string{"ok subscription: a/+ matches, with QoS 1", "note subscription: b does not match: level 1 is 'b' there and 'a' in the topic (differs)",
					"ok qos: sent with QoS 1", "ok queue: 0 of 100000 messages, 0 of 67108864 bytes wait for it", "ok ledger: no message for it, or from it, was dropped until now"}}
		}},
		{"at once, and the Subscription lowers the QoS", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 0))
			q := ask("a")
			q.Retain = true
			return probed{question: q, client: c, want: broker.GetsIt, sentence: "c gets it at once, with QoS 0",
				checks: []string{"note qos: sent with QoS 0, as the Subscription asks for no more", "ok outbox: its connection has room",
					"note retain: it is retained for those who subscribe later",
					"note retain: it arrives without the RETAIN flag, as the Subscription has no Retain As Published"}}
		}},
		{"at once, when it is recorded", broker.Config{Log: &keptLog{}}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 1), resume)
			return probed{question: ask("a"), client: c, want: broker.GetsIt}
		}},
		{"no Session", broker.Config{}, func(scene *mqtest.Scene) probed {
			return probed{question: ask("a"), want: broker.MissNoSession, sentence: "there is no Session of this Client Identifier"}
		}},
		{"no Subscription", broker.Config{}, func(scene *mqtest.Scene) probed {
			return probed{question: ask("a"), client: listener(scene, nil), want: broker.MissNoMatch, sentence: "it has no Subscription"}
		}},
		{"no match", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, []colibri.Subscription{to("x", 1), to("house/+/Light", 1), to("house/+", 1), to("y", 1), to("z", 1)})
			return probed{question: ask("house/kitchen/light"), client: c, want: broker.MissNoMatch,
				sentence: "none of its 5 Subscriptions matches; the nearest is house/+/Light, where level 3 is 'Light' there and 'light' in the topic (differs in upper and lower case)",
				checks: []string{"no subscription: house/+ does not match: level 3 is 'light' in the topic (the topic has more levels; + stands for exactly one)",
					"note subscription: 2 Subscriptions more, further away"}}
		}},
		{"No Local", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, []colibri.Subscription{{Filter: "a", QoS: 1, NoLocal: true}})
			return probed{question: from(ask("a"), "c"), client: c, publish: c, want: broker.MissNoLocal,
				sentence: "it is the publisher, and its Subscription to a has No Local"}
		}},
		{"the publisher may not", broker.Config{Authorizer: forbid("bob", "publish a")}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 1))
			return probed{question: from(ask("a"), "bobs"), client: c, publish: scene.Connect("bobs", as("bob")), want: broker.MissDenied,
				sentence: "bobs may not publish to a: the book forbids to publish a"}
		}},
		{"below $SYS", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("$SYS/x", 1))
			return probed{question: from(ask("$SYS/x"), "p"), client: c, publish: scene.Connect("p"), want: broker.MissDenied,
				sentence: "p may not publish to $SYS/x: topics below $SYS are the broker's own to write"}
		}},
		{"the client may not", broker.Config{Authorizer: forbid("carl", "receive a")}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 1), as("carl"))
			return probed{question: ask("a"), client: c, want: broker.MissWithheld,
				sentence: "it may not receive messages of this topic: the book forbids to receive a",
				checks:   []string{"note publisher: whether its publisher may send it was not looked at: say who that is"}}
		}},
		{"both may", broker.Config{Authorizer: forbid("carl", "receive b")}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 1), as("carl"))
			return probed{question: from(ask("a"), "p"), client: c, publish: scene.Connect("p", as("carl")), want: broker.GetsIt,
				checks: []string{"ok may publish: p may publish to a: the book says nothing of it", "ok may receive: it may receive messages of this topic: the book says nothing of it"}}
		}},
		{"too many levels", broker.Config{Limits: broker.Limits{TopicLevels: 2}}, func(scene *mqtest.Scene) probed {
			return probed{question: ask("a/b/c"), client: listener(scene, one("#", 1)), want: broker.MissInvalid, sentence: "it is refused: the Topic Name has more than 2 levels"}
		}},
		{"too large for the broker", broker.Config{Limits: broker.Limits{PacketBytes: 100}}, func(scene *mqtest.Scene) probed {
			q := ask("a")
			q.Bytes = 95
			return probed{question: q, client: listener(scene, one("a", 1)), want: broker.MissInvalid,
				sentence: "the broker closes the connection of its publisher, as the packet has 103 bytes, and this Server takes 100"}
		}},
		{"a QoS that is not offered", broker.Config{Without: broker.WithoutQoS1}, func(scene *mqtest.Scene) probed {
			return probed{question: ask("a"), client: listener(scene, one("a", 1)), want: broker.MissInvalid,
				sentence: "the broker closes the connection of its publisher: this Server takes no messages of this QoS"}
		}},
		{"expired", broker.Config{}, func(scene *mqtest.Scene) probed {
			q := ask("a")
			q.Expiry = new(uint32)
			return probed{question: q, client: listener(scene, one("a", 1)), want: broker.MissExpired, sentence: "its Message Expiry Interval is 0, so it has expired when it comes"}
		}},
		{"away with QoS 0", broker.Config{}, func(scene *mqtest.Scene) probed {
			gone(scene, to("a", 1))
			return probed{question: askQoS0("a"), release: back(scene), want: broker.MissOffline, sentence: "it is not connected, and with QoS 0 nothing waits for it"}
		}},
		{"away", broker.Config{}, func(scene *mqtest.Scene) probed {
			gone(scene, to("a", 1))
			return probed{question: ask("a"), release: back(scene), want: broker.WaitsAway,
				sentence: "c gets it when it connects again with Clean Start 0: it waits in its queue, until " + after(time.Hour) + ", when its Session ends",
				checks:   []string{"note session: not connected since " + after(0) + "; its Session expires at " + after(time.Hour)}}
		}},
		{"away, and the message expires", broker.Config{}, func(scene *mqtest.Scene) probed {
			gone(scene, to("a", 1))
			q := ask("a")
			q.Expiry = new(uint32)
			*q.Expiry = 60
			return probed{question: q, release: back(scene), want: broker.WaitsAway, sentence: "until " + after(time.Minute) + ", when the message expires"}
		}},
		{"the window is full", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 1), property(colibri.ReceiveMaximum, 2))
			send(scene.Connect("other"), "1 2 3")
			ids := idsOf(c.Received())
			return probed{question: ask("a"), client: c, want: broker.WaitsWindow, sentence: "c gets it when it has acknowledged: 2 messages are in flight, 2 may be, and 1 wait before it",
				checks: []string{"note in flight: 2 of 2 messages are on their way and not acknowledged"},
				release: func() *mqtest.Peer {
					for _, id := range ids {
						c.Send(puback(id, 0))
					}
					return c
				}}
		}},
		{"the connection is full", broker.Config{Limits: broker.Limits{OutboxBytes: 5000}}, func(scene *mqtest.Scene) probed {
			c := stuffed(scene)
			return probed{question: ask("a"), client: c, want: broker.WaitsOutbox, sentence: "c gets it when it has read what waits: more than 5000 bytes do for its connection",
				paused: true, release: func() *mqtest.Peer { c.Resume(); return c }}
		}},
		{"a slow consumer", broker.Config{Limits: broker.Limits{OutboxBytes: 5000}}, func(scene *mqtest.Scene) probed {
			c := stuffed(scene)
			return probed{question: askQoS0("a"), client: c, want: broker.MissSlow, sentence: "it does not read as fast as it is sent to: more than 5000 bytes wait for its connection",
				paused: true, release: func() *mqtest.Peer { c.Resume(); return c }}
		}},
		{"paced", broker.Config{Limits: broker.Limits{FirehoseRate: 2}}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("#", 0))
			scene.Connect("other").Send(qos0("a", "1"), qos0("a", "2"))
			c.Received()
			return probed{question: askQoS0("a"), client: c, want: broker.MissPaced, sentence: "it subscribes to '#' and has had the 2 QoS 0 messages of this second"}
		}},
		{"not paced yet", broker.Config{Limits: broker.Limits{FirehoseRate: 2}}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("#", 0))
			scene.Connect("other").Send(qos0("a", "1"))
			c.Received()
			return probed{question: askQoS0("a"), client: c, want: broker.GetsIt}
		}},
		{"too large for the client", broker.Config{}, func(scene *mqtest.Scene) probed {
			q := ask("a")
			q.Bytes = 50
			return probed{question: q, client: listener(scene, one("a", 1), property(colibri.MaximumPacketSize, 50)), want: broker.MissTooLarge,
				sentence: "the packet has 58 bytes, and its Maximum Packet Size is 50"}
		}},
		{"too large for the client with QoS 0", broker.Config{}, func(scene *mqtest.Scene) probed {
			q := askQoS0("a")
			q.Bytes = 50
			return probed{question: q, client: listener(scene, one("a", 0), property(colibri.MaximumPacketSize, 50)), want: broker.MissTooLarge,
				sentence: "the packet has 56 bytes, and its Maximum Packet Size is 50"}
		}},
		{"too large for the client when its turn comes", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 1), property(colibri.MaximumPacketSize, 50), property(colibri.ReceiveMaximum, 1))
			send(scene.Connect("other"), "1")
			ids := idsOf(c.Received())
			q := ask("a")
			q.Bytes = 50
			return probed{question: q, client: c, want: broker.MissTooLarge, release: func() *mqtest.Peer { c.Send(puback(ids[0], 0)); return c },
				sentence: "its Maximum Packet Size is 50; it waits, and is dropped when its turn comes, unless the client has connected with a larger one by then"}
		}},
		{"just as large as the client takes", broker.Config{}, func(scene *mqtest.Scene) probed {
			q := ask("a")
			q.Bytes = 42
			return probed{question: q, client: listener(scene, one("a", 1), property(colibri.MaximumPacketSize, 50)), want: broker.GetsIt,
				checks: []string{"ok packet size: 50 bytes; its Maximum Packet Size is 50"}}
		}},
		{"the queue is full", broker.Config{Limits: broker.Limits{QueueMessages: 2}}, func(scene *mqtest.Scene) probed {
			gone(scene, to("a", 1))
			send(scene.Connect("other"), "1 2 3")
			return probed{question: ask("a"), release: back(scene), want: broker.MissQueueFull,
				sentence: "its queue has no place for it: 2 of 2 messages, 4 of 67108864 bytes wait for it, and the newest message is dropped",
				checks:   []string{"note ledger: dropped until now (queue full): 1, the last one at " + after(0)}}
		}},
		{"the oldest gives way", broker.Config{WhenFull: broker.FullDropOldest, Limits: broker.Limits{QueueMessages: 2}}, func(scene *mqtest.Scene) probed {
			gone(scene, to("a", 1))
			send(scene.Connect("other"), "1 2")
			return probed{question: ask("a"), release: back(scene), want: broker.WaitsAway, checks: []string{"note queue: 1 message of the queue, the oldest, would give way to it"}}
		}},
		{"rejected", broker.Config{WhenFull: broker.FullReject, Limits: broker.Limits{QueueMessages: 1}}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("a", 1))
			full := scene.Connect("full", resume)
			full.Send(subscribe(1, to("a", 1)))
			full.Expect(suback(1, 1))
			full.Disconnect()
			send(scene.Connect("other"), "1")
			c.Received()
			return probed{question: ask("a"), client: c, want: broker.MissRejected, sentence: "it is refused for everybody, as the queue of a subscriber is full and the broker rejects then"}
		}},
		{"the state is full", broker.Config{Log: &keptLog{}, LogQuota: 1000}, func(scene *mqtest.Scene) probed {
			gone(scene, to("a", 1))
			other := scene.Connect("other")
			other.Send(qos1(1, "a", strings.Repeat("x", 1000)))
			other.Expect(puback(1, 0))
			return probed{question: ask("a"), release: back(scene), want: broker.MissStateFull, sentence: "it is refused, as the state of this Server has no room for it"}
		}},
		{"a Shared Subscription: chosen", broker.Config{}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("$share/s/a", 1))
			share(scene, "d", 1)
			return probed{question: ask("a"), client: c, want: broker.GetsIt,
				checks: []string{"ok shared: $share/s/a has 2 members, 2 connected: c, d; who gets a message: one after the other", "ok shared: c is chosen"}}
		}},
		{"a Shared Subscription: another is chosen", broker.Config{}, func(scene *mqtest.Scene) probed {
			share(scene, "d", 1)
			c := listener(scene, one("$share/s/a", 1))
			return probed{question: ask("a"), client: c, want: broker.MissNotChosen, sentence: "another member of $share/s/a is chosen: d"}
		}},
		{"a Shared Subscription: away, and another is there", broker.Config{}, func(scene *mqtest.Scene) probed {
			gone(scene, to("$share/s/a", 1))
			share(scene, "d", 1)
			return probed{question: ask("a"), release: back(scene), want: broker.MissNotChosen,
				sentence: "it is not connected, so another member of $share/s/a is chosen: d",
				checks:   []string{"ok shared: $share/s/a has 2 members, 1 connected: c (away), d; who gets a message: one after the other"}}
		}},
		{"a Shared Subscription: nobody is connected", broker.Config{}, func(scene *mqtest.Scene) probed {
			gone(scene, to("$share/s/a", 1))
			return probed{question: ask("a"), release: back(scene), want: broker.WaitsGroup,
				sentence: "c gets it if it is the first member of $share/s/a that is connected and has room: it waits for all of them together"}
		}},
		{"a Shared Subscription: nobody is connected, with QoS 0", broker.Config{}, func(scene *mqtest.Scene) probed {
			gone(scene, to("$share/s/a", 1))
			return probed{question: askQoS0("a"), release: back(scene), want: broker.MissOffline,
				sentence: "no member of $share/s/a is connected that may have it, and with QoS 0 nothing waits"}
		}},
		{"a Shared Subscription: its queue is full", broker.Config{Limits: broker.Limits{QueueMessages: 1}}, func(scene *mqtest.Scene) probed {
			gone(scene, to("$share/s/a", 1))
			send(scene.Connect("other"), "1")
			return probed{question: ask("a"), release: back(scene), want: broker.MissQueueFull,
				sentence: "the queue of its Shared Subscription has no place for it: 1 of 1 messages, 2 of 67108864 bytes wait for $share/s/a, and the newest message is dropped"}
		}},
		{"a Shared Subscription: it may not receive", broker.Config{Authorizer: forbid("carl", "receive a")}, func(scene *mqtest.Scene) probed {
			c := listener(scene, one("$share/s/a", 1), as("carl"))
			share(scene, "d", 1)
			return probed{question: ask("a"), client: c, want: broker.MissWithheld}
		}},
		{"two ways: the own one counts", broker.Config{}, func(scene *mqtest.Scene) probed {
			share(scene, "d", 1)
			c := listener(scene, []colibri.Subscription{to("$share/s/a", 1), to("a", 0)})
			return probed{question: ask("a"), client: c, want: broker.GetsIt, sentence: "c gets it at once, with QoS 0"}
		}},
		{"two Shared Subscriptions: one of them is enough", broker.Config{}, func(scene *mqtest.Scene) probed {
			share(scene, "d", 1)
			c := listener(scene, []colibri.Subscription{to("$share/s/a", 1), to("$share/t/a", 1)})
			return probed{question: ask("a"), client: c, want: broker.GetsIt, checks: []string{"no shared: another member of $share/s/a is chosen: d"}}
		}},
		{"a Shared Subscription: others wait before", broker.Config{}, func(scene *mqtest.Scene) probed {
			gone(scene, to("$share/s/a", 1))
			send(scene.Connect("other"), "1 2 3")
			c := scene.Connect("c", resume, property(colibri.ReceiveMaximum, 1))
			ids := idsOf(c.Received())
			return probed{question: ask("a"), client: c, want: broker.WaitsGroup, checks: []string{"note shared: 2 of 100000 messages, 4 of 67108864 bytes wait for $share/s/a"},
				release: func() *mqtest.Peer {
					for range 3 {
						for _, id := range ids {
							c.Send(puback(id, 0))
						}
						synctest.Wait()
						ids[0]++
					}
					return c
				}}
		}},
		{"larger than the queue in which it waits for the Log", broker.Config{Log: &keptLog{}, Limits: broker.Limits{QueueBytes: 4}}, func(scene *mqtest.Scene) probed {
			return probed{question: ask("a"), client: listener(scene, one("a", 1), resume), want: broker.MissQueueFull}
		}},
		{"a publisher that nobody knows", broker.Config{}, func(scene *mqtest.Scene) probed {
			return probed{question: from(ask("a"), "nobody"), client: listener(scene, one("a", 1)), want: broker.GetsIt,
				checks: []string{"note publisher: there is no Session of nobody now"}}
		}},
		{"notes about the publisher", broker.Config{Authorizer: forbid("x"), Limits: broker.Limits{MessageRate: 9}}, func(scene *mqtest.Scene) probed {
			return probed{question: from(ask("a"), "nobody"), client: listener(scene, one("a", 1)), want: broker.GetsIt,
				checks: []string{"note publisher: there is no Session of nobody, so it is not known by which rules it may publish",
					"note rate: of one client the broker takes 9 messages a second; what is more is read later"}}
		}},
		{"a publisher that is away", broker.Config{}, func(scene *mqtest.Scene) probed {
			scene.Connect("p", resume).Disconnect()
			return probed{question: from(ask("a"), "p"), client: listener(scene, one("a", 1)), want: broker.GetsIt,
				checks: []string{"note publisher: p is not connected now", "ok may publish: p may publish to a"}}
		}},
	}
}

// after returns what a clock says then; in a bubble time begins always at the same moment.
func after(d time.Duration) string {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Local().Format("2006-01-02 15:04:05")
}

// back connects c again.
func back(scene *mqtest.Scene) func() *mqtest.Peer {
	return func() *mqtest.Peer { return scene.Connect("c", resume) }
}

func idsOf(packets []packet.Packet) (ids []uint16) {
	for _, p := range packets {
		if p, ok := p.(*packet.Publish); ok && p.PacketID != 0 {
			ids = append(ids, p.PacketID)
		}
	}
	return ids
}

// stuffed connects c, which does not read and has more than 5000 bytes before it.
func stuffed(scene *mqtest.Scene) *mqtest.Peer {
	c := scene.DialSize(100)
	c.Connect("c")
	c.Send(subscribe(1, to("a", 1)))
	c.Expect(suback(1, 1))
	c.Pause()
	other := scene.Connect("other")
	for range 10 {
		other.Send(qos0("a", strings.Repeat("x", 1000)))
	}
	other.Ping()
	return c
}

// TestExplain asks about a message, publishes it then, and compares: for each verdict.
func TestExplain(t *testing.T) {
	seen := make(map[broker.Verdict]bool)
	for _, row := range explainCases() {
		mqtest.Run(t, row.name, mqtest.V5, row.config, func(scene *mqtest.Scene) {
			s := row.setup(scene)
			if s.publish == nil {
				s.publish = scene.Connect("publisher")
			}
			synctest.Wait()
			before := scene.Broker.Stats().Dropped
			var e *broker.Explanation
			for range 3 { // asking changes nothing
				var err error
				if e, err = scene.Broker.Explain(s.question); err != nil {
					scene.Fatal(err)
				}
				if e.Verdict != s.want || !strings.HasSuffix(e.Sentence, s.sentence) {
					scene.Errorf("got %q: %q\nwant %q: %q", e.Verdict, e.Sentence, s.want, s.sentence)
				}
			}
			seen[e.Verdict] = true
			var lines []string
			for _, c := range e.Checks {
				lines = append(lines, c.Result.String()+" "+c.About+": "+c.Text)
			}
			for _, want := range s.checks {
				if !slices.Contains(lines, want) {
					scene.Errorf("%q is missing in:\n%s", want, strings.Join(lines, "\n"))
				}
			}
			if got := scene.Broker.Stats().Dropped; !maps.Equal(got, before) {
				scene.Errorf("dropped by asking: %v, before %v", got, before)
			}
			really(scene, &s)
		})
	}
	for v := range broker.Verdicts {
		if v := broker.Verdict(v); !seen[v] {
			t.Errorf("no row ends with %q", v)
		}
	}
}

// really publishes the message, and compares what becomes of it with the verdict.
func really(scene *mqtest.Scene, s *probed) {
	scene.Helper()
	q := s.question
	m := &packet.Publish{QoS: q.QoS, Retain: q.Retain, Topic: q.Topic, Payload: make([]byte, q.Bytes)}
	if q.QoS > 0 {
		m.PacketID = 77
	}
	if q.Expiry != nil {
		m.Properties = number(colibri.MessageExpiryInterval, *q.Expiry)
	}
	has := func(p *mqtest.Peer) bool {
		return p != nil && slices.ContainsFunc(p.Received(), func(one packet.Packet) bool {
			got, ok := one.(*packet.Publish)
			return ok && got.Topic == q.Topic && string(got.Payload) == string(m.Payload)
		})
	}
	s.publish.Send(m)
	synctest.Wait()
	atOnce, later := !s.paused && has(s.client), false
	if !atOnce && s.release != nil {
		later = has(s.release())
	}
	want := s.want.Delivered()
	if atOnce != (s.want == broker.GetsIt) || (atOnce || later) != want {
		scene.Errorf("%q was said, and really: at once %v, later %v", s.want, atOnce, later)
	}
}

// TestExplainRetained shows what is said of Retained Messages.
func TestExplainRetained(t *testing.T) {
	mqtest.Run(t, "each Retain Handling", mqtest.V5, broker.Config{Limits: broker.Limits{Retained: 1}}, func(scene *mqtest.Scene) {
		p := scene.Connect("p")
		p.Send(with(retain(qos0("a", "12345")), number(colibri.MessageExpiryInterval, 60)))
		p.Ping()
		listener(scene, []colibri.Subscription{{Filter: "a"}, {Filter: "+", RetainHandling: 1}, {Filter: "#", RetainHandling: 2}, to("$share/g/a", 0)})
		expect := func(q broker.Question, wanted ...string) {
			scene.Helper()
			e, err := scene.Broker.Explain(q)
			if err != nil {
				scene.Fatal(err)
			}
			for _, want := range wanted {
				if !slices.Contains(e.Checks, broker.Check{About: strings.Fields(want)[0], Result: broker.CheckNote, Text: want[strings.Index(want, ":")+2:]}) {
					scene.Errorf("%q is missing in %v", want, e.Checks)
				}
			}
		}
		expect(askQoS0("a"), "retained : a message of 5 bytes is retained for the topic and expires at "+after(time.Minute),
			"retained : the Subscription to a gets it with each SUBSCRIBE (Retain Handling 0)",
			"retained : the Subscription to + gets it when it is new, and not when the client subscribes again (Retain Handling 1)",
			"retained : the Subscription to # never gets it (Retain Handling 2)",
			"retained : the Subscription to $share/g/a does not get it, as Shared Subscriptions get no Retained Messages")
		q := askQoS0("b")
		q.Retain = true
		expect(q, "retain : it is delivered and not retained, as too much is retained already")
		q.Topic, q.Bytes = "a", 0
		expect(q, "retain : without a payload it removes what is retained for the topic")
	})
}

// TestExplainMistakes shows what is no question.
func TestExplainMistakes(t *testing.T) {
	mqtest.Run(t, "refused", mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
		for _, q := range []broker.Question{{Topic: "a/+"}, {Topic: ""}, {Topic: "a", QoS: 3}, {Topic: "a", Bytes: -1}, {Topic: "a", Bytes: 1 << 29}} {
			if e, err := scene.Broker.Explain(q); err == nil {
				scene.Errorf("%+v: got %v, want an error", q, e)
			}
		}
		q := ask("a") // no memory is taken for it
		q.Bytes = 268_435_455
		if e, err := scene.Broker.Explain(q); err != nil || !strings.Contains(e.Checks[1].Text, "as the packet has 268435455 bytes, and this Server takes 2000000") {
			scene.Errorf("got %v, %v", e, err)
		}
	})
}

// TestExplainMeanwhile asks while messages come, clients connect and go. It shows nothing but what
// the race detector sees.
func TestExplainMeanwhile(t *testing.T) {
	config := broker.Config{Authorizer: forbid("x", "receive none"), WhenFull: broker.FullReject, Log: &keptLog{},
		Limits: broker.Limits{QueueMessages: 5, FirehoseRate: 100, OutboxBytes: 2000}}
	mqtest.Run(t, "traffic", mqtest.V5, config, func(scene *mqtest.Scene) {
		d, p := share(scene, "d", 1, resume), scene.Connect("p")
		for range 10 {
			for range 2 {
				go func() {
					for i := range 60 {
						q := broker.Question{ClientID: []string{"c", "d", "p", "nobody"}[i%4], From: "p", Topic: "a", QoS: colibri.QoS(i % 3), Retain: i%2 == 0}
						if _, err := scene.Broker.Explain(q); err != nil {
							t.Error(err)
						}
					}
				}()
			}
			c := scene.Connect("c", resume, as("x"))
			c.Send(subscribe(1, to("$share/s/a", 1), to("a", 2), to("#", 0)))
			for i := range uint16(5) {
				p.Send(qos0("a", "0"), retain(qos1(i+1, "a", "1")), qos1(i+10, "a", "2"))
			}
			for _, got := range d.Received() {
				if p, ok := got.(*packet.Publish); ok && p.QoS == colibri.AtLeastOnce {
					d.Send(puback(p.PacketID, 0))
				}
			}
			c.Send(unsubscribe(2, "#", "$share/s/a"))
			c.Drop()
		}
	})
}
