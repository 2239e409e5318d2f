package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// book is an Authorizer: for each User Name, what is forbidden. A line is "publish FILTER",
// "receive FILTER", "subscribe FILTER" or "unsubscribe FILTER".
type book struct {
	mu    sync.Mutex
	lines map[string][]string
}

func forbid(user string, lines ...string) *book {
	b := &book{lines: map[string][]string{}}
	b.set(user, lines...)
	return b
}

func (b *book) set(user string, lines ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines[user] = lines
}

func (b *book) Permissions(c broker.ClientInfo) broker.Permissions {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lines := b.lines[c.UserName]; lines != nil {
		return &page{lines}
	}
	return nil
}

// page is what is forbidden to one client.
type page struct{ lines []string }

func (p *page) forbids(verb, name string) bool {
	return slices.ContainsFunc(p.lines, func(line string) bool {
		filter, ok := strings.CutPrefix(line, verb+" ")
		return ok && (filter == name || topic.Match(filter, name))
	})
}

func (p *page) Publish(name string, _ colibri.QoS, retain bool) colibri.ReasonCode {
	if p.forbids("publish", name) || retain && p.forbids("retain", name) {
		return colibri.NotAuthorized
	}
	return colibri.Success
}

func (p *page) Subscribe(s colibri.Subscription) colibri.ReasonCode {
	if p.forbids("subscribe", s.Filter) {
		return colibri.NotAuthorized
	}
	return colibri.ReasonCode(s.QoS)
}

func (p *page) Unsubscribe(filter string) colibri.ReasonCode {
	switch {
	case p.forbids("unsubscribe", filter):
		return colibri.NotAuthorized
	case p.forbids("odd", filter):
		return colibri.ServerMoved // no code of an UNSUBACK
	}
	return colibri.Success
}

func (p *page) Receive(name string) bool { return !p.forbids("receive", name) }

// as is the option of a client of one user.
func as(name string) func(*packet.Connect) { return user(name, "") }

// TestReceive shows that a client is not sent what it may not receive, although its
// Subscription stands, and that this is counted and told to nobody else.
func TestReceive(t *testing.T) {
	withheld := func(scene *mqtest.Scene, clientID string, n int64) {
		scene.Helper()
		synctest.Wait()
		if got := scene.Broker.Stats().Dropped; got[broker.DropWithheld] != n || n > 0 && len(got) != 1 {
			scene.Errorf("dropped: got %v, want %d withheld and nothing else", got, n)
		}
		if client, _ := scene.Broker.Client(clientID); client.Dropped[broker.DropWithheld] != n {
			scene.Errorf("withheld from %s: got %v, want %d", clientID, client.Dropped, n)
		}
	}
	config := func() broker.Config {
		rules := forbid("guest", "receive secret/#")
		rules.set("owner", "receive nothing")
		return broker.Config{Authorizer: rules}
	}
	mqtest.Run(t, "live", mqtest.All, config(), func(scene *mqtest.Scene) {
		guest, owner := scene.Connect("guest", as("guest")), scene.Connect("owner", as("owner"))
		for _, p := range []*mqtest.Peer{guest, owner} {
			p.Send(subscribe(1, to("#", 2)))
			p.Expect(suback(1, 2))
		}
		p := scene.Connect("p")
		p.Send(qos0("secret/a", "1"), qos1(1, "secret/b", "2"), qos1(2, "open", "3"), qos0("secret", "4"))
		p.Expect(puback(1, 0), puback(2, 0))
		guest.Expect(qos1(0, "open", "3"))
		owner.Expect(qos0("secret/a", "1"), qos1(0, "secret/b", "2"), qos1(0, "open", "3"), qos0("secret", "4"))
		withheld(scene, "guest", 3)
	})
	mqtest.Run(t, "nobody else has asked: the publisher hears as much as without subscribers", mqtest.All, config(), func(scene *mqtest.Scene) {
		guest := scene.Connect("guest", as("guest"))
		guest.Send(subscribe(1, to("#", 2)))
		guest.Expect(suback(1, 2))
		p := scene.Connect("p")
		p.Send(qos1(1, "secret", "1"))
		p.Expect(puback(1, in(scene.Version, colibri.NoMatchingSubscribers)))
		guest.ExpectNothing(time.Minute)
		withheld(scene, "guest", 1)
	})
	mqtest.Run(t, "retained", mqtest.All, config(), func(scene *mqtest.Scene) {
		p := scene.Connect("p")
		p.Send(retain(qos0("secret/a", "1")), retain(qos0("open", "2")))
		guest := scene.Connect("guest", as("guest"))
		guest.Send(subscribe(1, to("#", 0)))
		guest.Expect(suback(1, 0), retain(qos0("open", "2")))
	})
	mqtest.Run(t, "away", mqtest.All, config(), func(scene *mqtest.Scene) {
		guest := scene.Connect("guest", as("guest"), resume)
		guest.Send(subscribe(1, to("#", 1)))
		guest.Expect(suback(1, 1))
		guest.Disconnect()
		p := scene.Connect("p")
		p.Send(qos1(1, "secret", "1"), qos1(2, "open", "2"))
		p.Expect(puback(1, in(scene.Version, colibri.NoMatchingSubscribers)), puback(2, 0))
		withheld(scene, "guest", 1)
		scene.Connect("guest", as("guest"), resume).Expect(qos1(0, "open", "2"))
	})
	mqtest.Run(t, "another user takes the Session over", mqtest.All, config(), func(scene *mqtest.Scene) {
		p := scene.Connect("p")
		owner := scene.Connect("shared-id", as("owner"), resume)
		owner.Send(subscribe(1, to("#", 1)))
		owner.Expect(suback(1, 1))
		p.Send(qos1(1, "secret/sent", "1")) // sent, and not acknowledged
		p.Expect(puback(1, 0))
		owner.Expect(qos1(0, "secret/sent", "1"))
		owner.Disconnect()
		p.Send(qos1(2, "secret/queued", "2"), qos1(3, "open", "3"))
		p.Expect(puback(2, 0), puback(3, 0))
		scene.Connect("shared-id", as("guest"), resume).Expect(qos1(0, "open", "3"))
		withheld(scene, "shared-id", 2)
	})
	full := config()
	full.WhenFull, full.Limits.QueueMessages = broker.FullReject, 1
	mqtest.Run(t, "a full queue of one that may not receive it rejects nothing", mqtest.V5, full, func(scene *mqtest.Scene) {
		guest := scene.Connect("guest", as("guest"), resume)
		guest.Send(subscribe(1, to("#", 1)))
		guest.Expect(suback(1, 1))
		guest.Disconnect()
		p := scene.Connect("p")
		p.Send(qos1(1, "open", "1"), qos1(2, "secret", "2"), qos1(3, "open", "3"))
		p.Expect(puback(1, 0), puback(2, colibri.NoMatchingSubscribers), puback(3, colibri.QuotaExceeded))
	})
}

// TestReceiveAfterRestart shows that a broker which does not know yet whose a Session is
// looks at what it holds when the client connects.
func TestReceiveAfterRestart(t *testing.T) {
	mqtest.Run(t, "restart", mqtest.All, broker.Config{}, func(scene *mqtest.Scene) {
		log := &keptLog{}
		rules := forbid("guest")
		scene.Use(mqtest.New(t, broker.Config{Log: log, Authorizer: rules}))
		guest := scene.Connect("guest", as("guest"), resume)
		guest.Send(subscribe(1, to("#", 1), to("gone", 1)))
		guest.Expect(suback(1, 1, 1))
		guest.Disconnect()
		p := scene.Connect("p")
		p.Send(qos1(1, "secret", "1"))
		p.Expect(puback(1, 0))
		log = log.crash(false)
		rules.set("guest", "receive secret", "subscribe gone")
		scene.Use(mqtest.New(t, broker.Config{Log: log, Authorizer: rules}))
		p = scene.Connect("p")
		p.Send(qos1(1, "secret", "2"), qos1(2, "open", "3"))
		p.Expect(puback(1, 0), puback(2, 0))
		guest = scene.Connect("guest", as("guest"), resume)
		guest.Expect(qos1(0, "open", "3"))
		if client, _ := scene.Broker.Client("guest"); client.Dropped[broker.DropWithheld] != 2 || client.Subscriptions != 1 {
			scene.Errorf("got %+v, want 2 withheld and one Subscription", client)
		}
		guest.Disconnect()
		log = log.crash(false) // what was withheld does not come back
		scene.Use(mqtest.New(t, broker.Config{Log: log}))
		scene.Connect("guest", resume).Expect(dup(qos1(0, "open", "3")))
		if client, _ := scene.Broker.Client("guest"); client.Subscriptions != 1 {
			scene.Errorf("got %d Subscriptions, want 1", client.Subscriptions)
		}
	})
}

// TestReceiveShared shows who gets the messages of a Shared Subscription some of whose
// members may not receive them.
func TestReceiveShared(t *testing.T) {
	for name, strategy := range map[string]broker.SharedStrategy{"in turn": broker.SharedRoundRobin, "least in flight": broker.SharedLeastInflight,
		"sticky": broker.SharedSticky, "by client": broker.SharedHashClient, "by topic": broker.SharedHashTopic} {
		config := broker.Config{Authorizer: forbid("guest", "receive secret"), SharedStrategy: strategy}
		mqtest.Run(t, "a member that may not is not chosen, "+name, mqtest.All, config, func(scene *mqtest.Scene) {
			guest, owner := scene.Connect("guest", as("guest")), scene.Connect("owner", as("owner"))
			for _, p := range []*mqtest.Peer{guest, owner} {
				p.Send(subscribe(1, to("$share/g/#", 1)))
				p.Expect(suback(1, 1))
			}
			p := scene.Connect("p")
			var want []packet.Packet
			for i := range 6 {
				p.Send(qos1(uint16(i+1), "secret", fmt.Sprint(i)))
				want = append(want, qos1(0, "secret", fmt.Sprint(i)))
			}
			owner.Expect(want...)
			guest.ExpectNothing(time.Minute)
			if got := scene.Broker.Stats().Dropped; len(got) != 0 {
				scene.Errorf("dropped: got %v, want nothing", got)
			}
		})
	}
	config := broker.Config{Authorizer: forbid("guest", "receive secret")}
	mqtest.Run(t, "what waits for others does not stop a member", mqtest.All, config, func(scene *mqtest.Scene) {
		guest, owner := scene.Connect("guest", as("guest")), scene.Connect("owner", as("owner"), resume)
		for _, p := range []*mqtest.Peer{guest, owner} {
			p.Send(subscribe(1, to("$share/g/#", 1)))
			p.Expect(suback(1, 1))
		}
		owner.Disconnect()
		p := scene.Connect("p")
		p.Send(qos1(1, "secret", "1"), qos1(2, "secret", "2"), qos1(3, "open", "3"), qos1(4, "secret", "4"), qos1(5, "open", "5"))
		p.Received()
		guest.Expect(qos1(0, "open", "3"), qos1(0, "open", "5"))
		owner = scene.Connect("owner", as("owner"), resume)
		owner.Expect(qos1(0, "secret", "1"), qos1(0, "secret", "2"), qos1(0, "secret", "4"))
		owner.Disconnect() // it gives back what it has not acknowledged
		guest.ExpectNothing(time.Minute)
		scene.Connect("owner", as("owner"), resume).Expect(qos1(0, "secret", "1"), qos1(0, "secret", "2"), qos1(0, "secret", "4"))
	})
	mqtest.Run(t, "no member may", mqtest.All, config, func(scene *mqtest.Scene) {
		guest := scene.Connect("guest", as("guest"))
		guest.Send(subscribe(1, to("$share/g/#", 1)))
		guest.Expect(suback(1, 1))
		p := scene.Connect("p")
		p.Send(qos1(1, "secret", "1"))
		p.Expect(puback(1, in(scene.Version, colibri.NoMatchingSubscribers)))
		if got := scene.Broker.Stats().Dropped; got[broker.DropWithheld] != 1 || len(got) != 1 {
			scene.Errorf("dropped: got %v, want one withheld", got)
		}
	})
}

// TestReauthorize shows what becomes of Sessions when the rules change.
func TestReauthorize(t *testing.T) {
	var events []broker.Denied
	var mu sync.Mutex
	rules := forbid("guest")
	config := broker.Config{Authorizer: rules, Events: func(e broker.Event) {
		if d, ok := e.(broker.Denied); ok {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, d)
		}
	}}
	told := func(scene *mqtest.Scene, want ...string) {
		scene.Helper()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprintf("%s %d %s", e.Client.UserName, e.Action, e.Topic))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			scene.Errorf("Denied (-want +got):\n%s", diff)
		}
		events = nil
	}
	run := func(name string, scenario func(scene *mqtest.Scene)) {
		mqtest.Run(t, name, mqtest.All, config, func(scene *mqtest.Scene) {
			rules.set("guest", []string{}...)
			events = nil
			scenario(scene)
		})
	}
	run("Subscriptions that may not stand", func(scene *mqtest.Scene) {
		guest, owner := scene.Connect("guest", as("guest")), scene.Connect("owner", as("owner"))
		for _, p := range []*mqtest.Peer{guest, owner} {
			p.Send(subscribe(1, to("a", 1), to("b", 1), to("$share/g/c", 1)))
			p.Expect(suback(1, 1, 1, 1))
		}
		rules.set("guest", "subscribe a", "subscribe $share/g/c")
		scene.Broker.Reauthorize()
		told(scene, "guest 2 a", "guest 2 $share/g/c")
		p := scene.Connect("p")
		p.Send(qos1(1, "a", "1"), qos1(2, "b", "2"), qos1(3, "c", "3"), qos1(4, "c", "4"))
		p.Expect(puback(1, 0), puback(2, 0), puback(3, 0), puback(4, 0))
		guest.Expect(qos1(0, "b", "2"))
		owner.Expect(qos1(0, "a", "1"), qos1(0, "b", "2"), qos1(0, "c", "3"), qos1(0, "c", "4"))
		guest.Send(subscribe(2, to("a", 1), to("b", 1)))
		refused := colibri.ReasonCode(0x80)
		if scene.Version == v5 {
			refused = colibri.NotAuthorized
		}
		guest.Expect(suback(2, refused, 1))
		told(scene, "guest 1 a")
		if s := scene.Broker.Stats(); s.Subscriptions != 4 || s.SharedSubscriptions != 1 {
			scene.Errorf("got %d Subscriptions, %d shared, want 4 and 1", s.Subscriptions, s.SharedSubscriptions)
		}
	})
	run("deliveries", func(scene *mqtest.Scene) {
		guest := scene.Connect("guest", as("guest"), resume)
		guest.Send(subscribe(1, to("#", 1)))
		guest.Expect(suback(1, 1))
		p := scene.Connect("p")
		p.Send(qos0("a", "1"))
		guest.Expect(qos0("a", "1"))
		rules.set("guest", "receive a")
		scene.Broker.Reauthorize()
		p.Send(qos0("a", "2"), qos0("b", "3"))
		guest.Expect(qos0("b", "3"))
		guest.Disconnect()
		p.Send(qos1(1, "b", "4"), qos1(2, "c", "5"))
		p.Expect(puback(1, 0), puback(2, 0))
		rules.set("guest", "receive b")
		scene.Broker.Reauthorize()
		guest = scene.Connect("guest", as("guest"), resume)
		guest.Expect(qos1(0, "c", "5"))
		told(scene)
	})
	run("what a client publishes, and its Will Message", func(scene *mqtest.Scene) {
		owner := scene.Connect("owner", as("owner"))
		owner.Send(subscribe(1, to("#", 0)))
		owner.Expect(suback(1, 0))
		guest := scene.Connect("guest", as("guest"), will(qos0("last", "words")))
		guest.Send(qos0("a", "1"), retain(qos0("b", "2")))
		owner.Expect(qos0("a", "1"), qos0("b", "2"))
		rules.set("guest", "publish a", "publish last", "retain b")
		scene.Broker.Reauthorize()
		guest.Send(qos0("a", "3"), retain(qos0("b", "4")), qos0("b", "5"))
		owner.Expect(qos0("b", "5"))
		guest.Drop()
		owner.ExpectNothing(time.Minute)
		told(scene, "guest 0 a", "guest 0 b", "guest 0 last")
	})
}

// turning are Permissions that change while they are asked.
type turning struct {
	page
	turn func()
}

func (p *turning) Subscribe(s colibri.Subscription) colibri.ReasonCode {
	p.turn()
	return colibri.ReasonCode(s.QoS)
}

// once is an Authorizer: the first answer, and from then on the second.
type once struct {
	first, then broker.Permissions
	asked       bool
}

func (o *once) Permissions(broker.ClientInfo) broker.Permissions {
	if o.asked {
		return o.then
	}
	o.asked = true
	return o.first
}

// TestReauthorizeMeanwhile shows that a Subscription which the old rules have allowed does
// not stand when the rules change before it is entered.
func TestReauthorizeMeanwhile(t *testing.T) {
	var scene *mqtest.Scene
	rules := &once{then: &page{[]string{"subscribe a"}}}
	rules.first = &turning{turn: func() { scene.Broker.Reauthorize() }}
	mqtest.Run(t, "SUBSCRIBE", mqtest.V5, broker.Config{Authorizer: rules}, func(s *mqtest.Scene) {
		scene = s
		p := s.Connect("client")
		p.Send(subscribe(1, to("a", 1), to("b", 1)))
		p.Expect(suback(1, colibri.NotAuthorized, 1))
		if n := s.Broker.Stats().Subscriptions; n != 1 {
			s.Errorf("got %d Subscriptions, want 1", n)
		}
	})
}

// TestReauthorizeRunning changes the rules again and again while clients subscribe, publish
// and come back: when it is over, nobody holds or receives what the last rules forbid.
func TestReauthorizeRunning(t *testing.T) {
	rules := forbid("guest")
	mqtest.Run(t, "under load", mqtest.V5, broker.Config{Authorizer: rules}, func(scene *mqtest.Scene) {
		const guests = 8
		for round := range 100 {
			var peers []*mqtest.Peer
			for range guests {
				peers = append(peers, scene.Dial())
			}
			var all sync.WaitGroup
			all.Go(func() {
				for range 20 {
					rules.set("guest", []string{}...)
					scene.Broker.Reauthorize()
					rules.set("guest", "subscribe a", "receive b/c", "subscribe $share/g/a")
					scene.Broker.Reauthorize()
				}
			})
			for i, p := range peers { // nobody waits: what they send is decided beside Reauthorize
				p.Write(p.Encode(p.NewConnect(fmt.Sprint("guest", i), as("guest"), resume),
					subscribe(1, to("a", 1), to("$share/g/a", 1), to("b/#", 0)), retain(qos1(1, "a", fmt.Sprint(round))), qos1(2, "b/c", "x")))
			}
			all.Wait()
			for _, p := range peers {
				p.Drop()
			}
		}
		synctest.Wait()
		if s := scene.Broker.Stats(); s.SharedSubscriptions != 0 || s.Subscriptions > guests {
			scene.Errorf("got %d Subscriptions, %d shared; want at most %d and none", s.Subscriptions, s.SharedSubscriptions, guests)
		}
		for c := range scene.Broker.Clients {
			if c.Subscriptions > 1 {
				scene.Errorf("%s has %d Subscriptions, want at most one", c.Client.ClientID, c.Subscriptions)
			}
		}
	})
}

// TestRightsWithoutAuthorizer shows that rights which nobody would ask do not get lost.
func TestRightsWithoutAuthorizer(t *testing.T) {
	config := broker.Config{Authenticator: authenticate(func(r *broker.ConnectRequest) error {
		r.Rights = &page{}
		return nil
	})}
	mqtest.Run(t, "refused", mqtest.V5, config, func(scene *mqtest.Scene) {
		p := scene.Dial()
		p.Send(p.NewConnect("client"))
		p.ExpectClosed(&packet.Connack{Code: colibri.NotAuthorized})
	})
	config.Authorizer = forbid("nobody")
	mqtest.Run(t, "taken", mqtest.V5, config, func(scene *mqtest.Scene) {
		scene.Connect("client")
	})
}
