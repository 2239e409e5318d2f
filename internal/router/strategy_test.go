package router

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// crowd are members of one Shared Subscription, numbered from 1: who is online, and what
// they have to do.
type crowd struct {
	router  *Router[int]
	offline map[int]bool
	load    map[int]int
}

func newCrowd(strategy Strategy, members int) *crowd {
	c := &crowd{offline: map[int]bool{}, load: map[int]int{}}
	c.router = New(Options[int]{
		Strategy: strategy,
		Online:   func(s int) bool { return !c.offline[s] },
		Load:     func(s int) int { return c.load[s] },
		Key:      func(s int) uint64 { return Hash(fmt.Sprint("client", s)) },
	})
	for s := 1; s <= members; s++ {
		c.join(s)
	}
	return c
}

func (c *crowd) join(s int)  { c.router.Subscribe(s, colibri.Subscription{Filter: "$share/g/#"}) }
func (c *crowd) leave(s int) { c.router.Unsubscribe(s, "$share/g/#") }

// chosen returns the member that receives a message, 0 when there is none. Peek has to name it
// before, however often it is asked.
func (c *crowd) chosen(name string, publisher int) int {
	var m Matches[int]
	var peeked []int
	for range 2 {
		c.router.Peek(name, publisher, &m)
		peeked = append(peeked, m.List[0].Subscriber)
	}
	c.router.Route(name, publisher, &m)
	if s := m.List[0].Subscriber; peeked[0] != s || peeked[1] != s {
		panic(fmt.Sprintf("Peek says %v, and Route chooses %d", peeked, s))
	}
	return m.List[0].Subscriber
}

// each returns who receives n messages, of as many topics and publishers.
func (c *crowd) each(n int) (chosen []int) {
	for i := range n {
		chosen = append(chosen, c.chosen(fmt.Sprint("topic", i), 1000+i))
	}
	return chosen
}

var strategyNames = map[Strategy]string{RoundRobin: "round robin", LeastInflight: "least in flight", Sticky: "sticky",
	HashClient: "hash of client", HashTopic: "hash of topic"}

// TestStrategiesOnline shows that whatever the strategy only members that are online are
// chosen, and nobody when there is none.
func TestStrategiesOnline(t *testing.T) {
	for strategy, name := range strategyNames {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(strategy, 100)
			for s := range 100 {
				c.offline[s+1] = s%3 != 0
				c.load[s+1] = s % 3 // those who are offline have the least to do, and some the most
			}
			for round := range 200 {
				s := c.chosen(fmt.Sprint("topic", round), 1000+round)
				if c.offline[s] || s == 0 {
					t.Fatalf("message %d went to %d, who is not online", round, s)
				}
				if round%10 == 0 {
					c.offline[s] = true
				}
			}
			for s := range 100 {
				c.offline[s+1] = s != 41
			}
			if got := c.chosen("t", 1); got != 42 {
				t.Errorf("one online: got %d, want 42", got)
			}
			c.offline[42] = true
			if got := c.chosen("t", 1); got != 0 {
				t.Errorf("none online: got %d, want nobody", got)
			}
		})
	}
}

// TestStrategiesSpread shows how many of 10,000 messages, each of another topic and
// publisher, each of ten members gets.
func TestStrategiesSpread(t *testing.T) {
	for strategy, name := range strategyNames {
		least, most := 850, 1150
		switch strategy {
		case RoundRobin, LeastInflight:
			least, most = 1000, 1000
		case Sticky:
			least, most = 0, 10_000
		}
		count := map[int]int{}
		for _, s := range newCrowd(strategy, 10).each(10_000) {
			count[s]++
		}
		for s := 1; s <= 10; s++ {
			if n := count[s]; n < least || n > most {
				t.Errorf("%s: member %d gets %d messages, want %d to %d", name, s, n, least, most)
			}
		}
		if strategy == Sticky && len(count) != 1 {
			t.Errorf("sticky: %d members get messages, want 1", len(count))
		}
	}
}

// TestLeastInflight shows that those with the least to do take turns.
func TestLeastInflight(t *testing.T) {
	c := newCrowd(LeastInflight, 5)
	c.load = map[int]int{1: 7, 2: 3, 3: 9, 4: 3, 5: 4}
	count := map[int]int{}
	for _, s := range c.each(100) {
		count[s]++
	}
	if count[2]+count[4] != 100 || count[2] < 30 || count[4] < 30 {
		t.Errorf("members 2 and 4 have the least to do: got %v, want about half of 100 each", count)
	}
	for range 100 { // as if nobody ever acknowledged
		c.load[c.chosen("t", 1)]++
	}
	low, high := math.MaxInt, 0
	for s := 1; s <= 5; s++ {
		low, high = min(low, c.load[s]), max(high, c.load[s])
	}
	if high-low > 1 {
		t.Errorf("after 100 messages: loads %v, want them alike", c.load)
	}
}

// TestSticky shows that one member keeps the messages until it goes, whoever comes, and
// wherever its entry moves; and that one who has left gets nothing any more.
func TestSticky(t *testing.T) {
	c := newCrowd(Sticky, 3)
	stays := func(when string, want int) {
		t.Helper()
		for range 3 {
			if got := c.chosen("t", 1); got != want {
				t.Errorf("%s: got %d, want %d", when, got, want)
			}
		}
	}
	stays("at first", 1)
	c.offline[1] = true
	stays("the first is offline", 2)
	c.offline[1] = false
	stays("it is back", 2)
	c.join(4)
	c.leave(1) // the last entry takes its place
	stays("others come and go", 2)
	c.leave(3)
	c.join(3)
	stays("others move", 2)
	c.router.Subscribe(2, colibri.Subscription{Filter: "$share/g/#", QoS: 2})
	var m Matches[int]
	if c.router.Route("t", 1, &m); m.List[0].QoS != 2 || m.List[0].Subscriber != 2 {
		t.Errorf("subscribed again: got %+v, want member 2 with QoS 2", m.List[0])
	}
	c.leave(2)
	next := c.chosen("t", 1)
	if next == 2 || next == 0 {
		t.Fatalf("after it has left: got %d", next)
	}
	c.join(2)
	stays("it is a member again", next)
}

// TestStickyMoves shows that the member is found where another's leaving has put it.
func TestStickyMoves(t *testing.T) {
	c := newCrowd(Sticky, 3)
	c.offline[1], c.offline[2] = true, true
	if got := c.chosen("t", 1); got != 3 {
		t.Fatalf("one online: got %d, want 3", got)
	}
	clear(c.offline)
	c.leave(1) // 3 is the first now
	c.join(4)  // and 4 is where it was
	if got := c.chosen("t", 1); got != 3 {
		t.Errorf("after 1 has left and 4 has come: got %d, want 3", got)
	}
}

// TestHashClient and TestHashTopic show what a member depends on.
func TestHashClient(t *testing.T) {
	c := newCrowd(HashClient, 10)
	if a, b := c.chosen("a", 7), c.chosen("b", 7); a != b {
		t.Errorf("one publisher: got %d and %d", a, b)
	}
}

func TestHashTopic(t *testing.T) {
	c := newCrowd(HashTopic, 10)
	if a, b := c.chosen("a", 7), c.chosen("a", 8); a != b {
		t.Errorf("one topic: got %d and %d", a, b)
	}
}

// TestHashFewMoves shows that members who come and go move nothing between the others.
func TestHashFewMoves(t *testing.T) {
	for _, strategy := range []Strategy{HashClient, HashTopic} {
		name := strategyNames[strategy]
		c := newCrowd(strategy, 10)
		before := c.each(2000)
		c.offline[4] = true
		for i, s := range c.each(2000) {
			if before[i] != 4 && s != before[i] {
				t.Fatalf("%s: 4 is offline, and message %d moves from %d to %d", name, i, before[i], s)
			}
		}
		c.leave(4)
		c.join(11)
		moved := 0
		for i, s := range c.each(2000) {
			if before[i] == 4 {
				continue
			}
			if s != before[i] {
				moved++
				if s != 11 {
					t.Fatalf("%s: 11 has come, and message %d moves from %d to %d", name, i, before[i], s)
				}
			}
		}
		if moved == 0 || moved > 300 {
			t.Errorf("%s: %d of 2,000 messages move to one new member among ten, want about 180", name, moved)
		}
	}
}

// TestHash holds the function: a publisher keeps its member from one version of the
// broker to the next.
func TestHash(t *testing.T) {
	for name, want := range map[string]uint64{"": 0xCBF29CE484222325, "a": 0xAF63DC4C8601EC8C, "foobar": 0x85944171F73967E8} {
		if got := Hash(name); got != want {
			t.Errorf("Hash(%q): got %#x, want %#x", name, got, want)
		}
	}
}

// TestShareOfMatch shows that a match names its Shared Subscription, whether somebody is
// there or not, and then with the highest QoS of those who are not.
func TestShareOfMatch(t *testing.T) {
	offline := map[string]bool{"anna": true}
	r := New(Options[string]{Online: func(s string) bool { return !offline[s] }})
	for _, s := range []subscribed{on("anna", "$share/g/a", 1), on("ben", "$share/g/a", 2).id(7).rap(), on("anna", "a", 0)} {
		r.Subscribe(s.who, s.sub)
	}
	var m Matches[string]
	expect := func(want string) {
		t.Helper()
		r.Route("a", "pub", &m)
		var got []string
		for i := range m.List {
			got = append(got, strings.TrimSpace(m.List[i].Share+" "+strings.TrimSpace(line(&m.List[i]))))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("got %s, want %s", text, want)
		}
	}
	expect("anna QoS 0, $share/g/a ben QoS 2 RAP ids [7]")
	offline["ben"] = true
	expect("anna QoS 0, $share/g/a QoS 2")
}

// TestMembers shows that all members are yielded, until yield has enough.
func TestMembers(t *testing.T) {
	c := newCrowd(RoundRobin, 100)
	c.router.Subscribe(101, colibri.Subscription{Filter: "$share/h/#"})
	c.router.Subscribe(102, colibri.Subscription{Filter: "#"})
	c.offline[7] = true
	for _, test := range []struct {
		filter     string
		stop, want int
	}{{"$share/g/#", 1000, 100}, {"$share/g/#", 3, 3}, {"$share/h/#", 10, 1}, {"$share/i/#", 10, 0}, {"$share/g/a", 10, 0}} {
		seen := map[int]bool{}
		c.router.Members(test.filter, func(s int) bool {
			seen[s] = true
			return len(seen) < test.stop
		})
		if len(seen) != test.want {
			t.Errorf("Members(%s) until %d: got %d, want %d", test.filter, test.stop, len(seen), test.want)
		}
	}
}

// TestStrategyAllocations holds that choosing a member costs no memory.
func TestStrategyAllocations(t *testing.T) {
	for strategy, name := range strategyNames {
		for _, online := range []bool{true, false} {
			r := New(Options[int]{Strategy: strategy, Online: func(int) bool { return online },
				Load: func(s int) int { return s }, Key: func(s int) uint64 { return uint64(s) }})
			with(r, "$share/g/house/#", 100)
			var m Matches[int]
			r.Route("house/kitchen", -1, &m)
			if got := testing.AllocsPerRun(100, func() { r.Route("house/kitchen", -1, &m) }); got != 0 {
				t.Errorf("%s, online %v: Route allocates %v times, want 0", name, online, got)
			}
		}
	}
}

// TestStrategiesConcurrent routes while members come and go: nobody is chosen who was no
// member, and the race detector looks on.
func TestStrategiesConcurrent(t *testing.T) {
	for strategy, name := range strategyNames {
		r := New(Options[int]{Strategy: strategy, Online: func(s int) bool { return s%2 == 0 },
			Load: func(s int) int { return s }, Key: func(s int) uint64 { return uint64(s) }})
		with(r, "$share/g/a", 70)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				var m Matches[int]
				for range 2000 {
					r.Route("a", -1, &m)
					if s := m.List[0].Subscriber; s%2 != 0 || s >= 100 {
						t.Errorf("%s: %d is chosen", name, s)
					}
				}
			})
		}
		all.Go(func() {
			for i := range 2000 {
				s := 2 + i%98
				r.Unsubscribe(s, "$share/g/a")
				r.Subscribe(s, colibri.Subscription{Filter: "$share/g/a"})
			}
		})
		all.Wait()
	}
}

// BenchmarkStrategy chooses one of 100 members.
func BenchmarkStrategy(b *testing.B) {
	for strategy, name := range strategyNames {
		b.Run(name, func(b *testing.B) {
			r := New(Options[int]{Strategy: strategy, Online: func(int) bool { return true },
				Load: func(s int) int { return s }, Key: func(s int) uint64 { return uint64(s) }})
			benchmarkRoute(b, with(r, "$share/g/house/#", 100))
		})
	}
}
