package broker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// chance is a broker with a few clients that a seed drives.
type chance struct {
	*mqtest.Scene
	*rand.Rand
	peers map[string]*mqtest.Peer              // those that are connected
	owed  map[string][]uint16                  // Packet Identifiers to acknowledge
	has   map[string]map[string]bool           // payloads that have come, by ClientID
	never map[string]map[string]broker.Verdict // those that must not come at all
}

var (
	chanceClients = []string{"c1", "c2", "c3", "c4"}
	chanceFilters = []string{"a", "a/+", "#", "a/b", "+/b", "$share/g/a/b", "$share/g/#", "$share/h/a", "c"}
	chanceTopics  = []string{"a", "a/b", "b/b", "c", "d/e"}
)

func chanceConfig(r *rand.Rand, b *book) broker.Config {
	c := broker.Config{
		WhenFull:       broker.WhenFull(r.IntN(3)),
		SharedStrategy: broker.SharedStrategy(r.IntN(5)),
		Limits:         broker.Limits{QueueMessages: 1 + r.IntN(4), Inflight: 1 + r.IntN(3), FirehoseRate: r.IntN(3) * 2, QueueBytes: r.IntN(2) * 60},
	}
	if r.IntN(2) == 0 {
		c.Log = &keptLog{}
	}
	if r.IntN(2) == 0 {
		c.Authorizer = b
	}
	return c
}

// TestExplainByChance lets clients do what a seed says, asks before each message who gets it at
// once, later or not, and compares.
func TestExplainByChance(t *testing.T) {
	const seeds = 60
	seen := make(map[broker.Verdict]int)
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := forbid("u", "receive c", "publish d/#")
		mqtest.Run(t, fmt.Sprint("seed ", seed), mqtest.V5, chanceConfig(r, b), func(scene *mqtest.Scene) {
			c := &chance{Scene: scene, Rand: r, peers: map[string]*mqtest.Peer{}, owed: map[string][]uint16{},
				has: map[string]map[string]bool{}, never: map[string]map[string]broker.Verdict{}}
			for _, id := range chanceClients {
				c.has[id], c.never[id] = map[string]bool{}, map[string]broker.Verdict{}
			}
			for step := range 60 {
				c.act()
				if c.IntN(3) == 0 && !scene.Failed() {
					c.publish(step, seen)
				}
			}
		})
	}
	for _, v := range []broker.Verdict{broker.GetsIt, broker.WaitsAway, broker.WaitsWindow, broker.WaitsGroup, broker.MissNotChosen, broker.MissQueueFull, broker.MissWithheld,
		broker.MissRejected, broker.MissNoLocal, broker.MissOffline, broker.MissTooLarge, broker.MissPaced, broker.MissDenied} {
		if seen[v] == 0 {
			t.Errorf("%q did not occur", v)
		}
	}
}

// act lets a client do something.
func (c *chance) act() {
	id := chanceClients[c.IntN(len(chanceClients))]
	p := c.peers[id]
	switch {
	case p == nil:
		options := []func(*packet.Connect){resume}
		if c.IntN(3) == 0 {
			options = append(options, property(colibri.MaximumPacketSize, 30))
		}
		if c.IntN(2) == 0 {
			options = append(options, property(colibri.ReceiveMaximum, uint32(1+c.IntN(3))))
		}
		if id != "c1" {
			options = append(options, as("u"))
		}
		c.peers[id], c.owed[id] = c.Connect(id, options...), nil
	case c.IntN(5) == 0:
		p.Drop()
		c.peers[id] = nil
		if c.IntN(3) == 0 {
			time.Sleep(time.Second)
		}
	case c.IntN(2) == 0:
		filter := chanceFilters[c.IntN(len(chanceFilters))]
		_, _, shared := topic.SplitShared(filter)
		if c.IntN(4) == 0 {
			p.Send(unsubscribe(1000, filter))
		} else {
			p.Send(subscribe(1000, colibri.Subscription{Filter: filter, QoS: colibri.QoS(c.IntN(3)), NoLocal: !shared && c.IntN(3) == 0}))
		}
	default:
		for _, packetID := range c.owed[id] {
			p.Send(puback(packetID, 0))
		}
		c.owed[id] = nil
	}
	c.look()
}

// look takes what has arrived.
func (c *chance) look() {
	synctest.Wait()
	for id, p := range c.peers {
		if p == nil {
			continue
		}
		for _, one := range p.Received() {
			m, ok := one.(*packet.Publish)
			if !ok {
				continue
			}
			text := string(m.Payload)
			c.has[id][text] = true
			if m.QoS > 0 {
				c.owed[id] = append(c.owed[id], m.PacketID)
			}
			if v, ok := c.never[id][text]; ok {
				c.Errorf("%s has got %s, of which %q was said", id, text, v)
			}
		}
	}
}

// publish asks about a message and publishes it.
func (c *chance) publish(step int, seen map[broker.Verdict]int) {
	from := chanceClients[c.IntN(len(chanceClients))]
	p := c.peers[from]
	if p == nil {
		return
	}
	c.look()
	payload := fmt.Sprintf("%04d", step) + strings.Repeat("x", c.IntN(2)*c.IntN(30))
	m := &packet.Publish{Topic: chanceTopics[c.IntN(len(chanceTopics))], QoS: colibri.QoS(c.IntN(2)), Payload: []byte(payload)}
	if m.QoS > 0 {
		m.PacketID = uint16(2000 + step)
	}
	said := make(map[string]*broker.Explanation)
	// Whoever joins later may get what a member gives back, and what waits with a group may be
	// taken at once when a member passes by what it may not have.
	shared := false
	for _, id := range chanceClients {
		e, err := c.Broker.Explain(broker.Question{ClientID: id, From: from, Topic: m.Topic, QoS: m.QoS, Bytes: len(payload)})
		if err != nil {
			c.Fatal(err)
		}
		said[id] = e
		seen[e.Verdict]++
		shared = shared || slices.ContainsFunc(e.Filters, func(f broker.MatchedFilter) bool {
			return f.Matches && strings.HasPrefix(f.Subscription.Filter, "$share/")
		})
	}
	p.Send(m)
	c.look()
	for _, id := range chanceClients {
		e := said[id]
		if got := c.has[id][payload]; got != (e.Verdict == broker.GetsIt) && !(got && shared && e.Verdict.Delivered()) {
			c.Errorf("step %d, %s of %s with %s from %s: %s has it: %v, and this was said: %q: %s\n%v", step, m.Topic, payload, m.QoS, from, id, got, e.Verdict, e.Sentence, e.Checks)
		}
		if !e.Verdict.Delivered() && e.Verdict != broker.MissTooLarge && !shared {
			c.never[id][payload] = e.Verdict
		}
	}
}
