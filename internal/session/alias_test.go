package session

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestAliases shows that the client always knows what an alias stands for, that the
// numbers keep to its Topic Alias Maximum [MQTT-3.1.2-26], and that topics which repeat
// most have them.
func TestAliases(t *testing.T) {
	for _, c := range []struct {
		name           string
		most           uint16
		frequent, rare int // topics
		atLeast        float64
	}{
		{"one alias", 1, 1, 1000, 0.8},
		{"as many as frequent topics", 10, 10, 10_000, 0.8},
		{"many more than needed", 100, 10, 1000, 0.8},
		{"fewer than frequent topics", 5, 10, 10_000, 0.3},
	} {
		t.Run(c.name, func(t *testing.T) {
			aliases, random := NewAliases(c.most), rand.New(rand.NewPCG(1, 2))
			client := map[uint16]string{}
			frequent, saved := 0, 0
			for range 50_000 {
				topic, isFrequent := fmt.Sprint("rare/", random.IntN(c.rare)), random.IntN(2) == 0
				if isFrequent {
					topic = fmt.Sprint("frequent/", random.IntN(c.frequent))
					frequent++
				}
				alias, known := aliases.Use(topic)
				switch {
				case alias > c.most:
					t.Fatalf("alias %d, the most is %d", alias, c.most)
				case alias == 0:
				case known && client[alias] != topic:
					t.Fatalf("alias %d stands for %q at the client, want %q", alias, client[alias], topic)
				case known:
					if isFrequent {
						saved++
					}
				default:
					client[alias] = topic
				}
			}
			if share := float64(saved) / float64(frequent); share < c.atLeast {
				t.Errorf("%.2f of the frequent messages went out without their Topic Name, want %.2f", share, c.atLeast)
			}
		})
	}
	t.Run("a change of topics", func(t *testing.T) {
		aliases := NewAliases(2)
		for _, topic := range []string{"first/1", "first/2", "later/1", "later/2"} {
			known := false
			for range 100 {
				_, known = aliases.Use(topic)
			}
			if !known {
				t.Errorf("%s has no alias after 100 messages", topic)
			}
		}
	})
	t.Run("a topic that is shorter than its alias", func(t *testing.T) {
		aliases := NewAliases(2)
		for range 10 {
			if alias, _ := aliases.Use("abcd"); alias != 0 {
				t.Fatalf("got alias %d, want none", alias)
			}
		}
	})
}

// TestAliasCost shows that a topic which is known costs no memory.
func TestAliasCost(t *testing.T) {
	aliases := NewAliases(4)
	for range 10 {
		aliases.Use("house/kitchen")
	}
	if n := testing.AllocsPerRun(100, func() { aliases.Use("house/kitchen") }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
