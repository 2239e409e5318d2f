package acl

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/topic"
)

// TestCovers holds what a rule about Topic Filters speaks of.
func TestCovers(t *testing.T) {
	for _, test := range []struct {
		rule, filter string
		want         bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"#", "#", true}, {"#", "a/+", true}, {"#", "a/#", true}, {"a/#", "a", true}, {"a/#", "a/#", true},
		{"a/#", "#", false}, {"a/#", "+/#", false}, {"a/#", "a/+/#", true}, {"+", "#", false}, {"+", "+", true},
		{"+", "a", true}, {"a", "+", false}, {"+/b", "a/b", true}, {"+/b", "+/b", true}, {"a/+", "a/#", false}, {"a/+", "a", false},
		{"#", "$SYS/#", false}, {"+/#", "$SYS/#", false}, {"$SYS/#", "$SYS/a", true}, {"$SYS/#", "$SYS/#", true},
		{"/#", "/", true}, {"+", "", true},
	} {
		if got := Covers(test.rule, test.filter); got != test.want {
			t.Errorf("Covers(%s, %s): got %v, want %v", test.rule, test.filter, got, test.want)
		}
	}
}

// levels returns up to four levels, each of words.
func levels(r *rand.Rand, words string) string {
	list := strings.Split(words, " ")
	var text []string
	for range 1 + r.IntN(4) {
		text = append(text, list[r.IntN(len(list))])
	}
	return strings.Join(text, "/")
}

// randomFilter returns a Topic Filter.
func randomFilter(r *rand.Rand) string {
	filter := levels(r, "a b + $c %c %u")
	if r.IntN(3) == 0 {
		return filter + "/#"
	}
	return filter
}

// TestCoversRandom holds that a rule speaks of no Topic Filter that matches a topic which
// the rule does not match.
func TestCoversRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	spoke := 0
	for range 200_000 {
		rule, filter, name := randomFilter(r), randomFilter(r), levels(r, "a b c $c %c")
		if Covers(rule, filter) {
			spoke++
			if topic.Match(filter, name) && !topic.Match(rule, name) {
				t.Fatalf("%s speaks of %s, which matches %s, and it does not", rule, filter, name)
			}
		}
	}
	if spoke < 1000 {
		t.Errorf("only %d rules spoke of a filter", spoke)
	}
}

// naive decides as the manual of the file says it, line by line.
func naive(lines []string, c Client, a Action, name string) bool {
	if a == Publish && strings.HasPrefix(name, "$SYS") && !topic.Match("$SYS/broker/connection/+/state", name) {
		return false
	}
	for _, keyword := range []string{"topic", "pattern"} {
		if keyword == "pattern" && strings.ContainsAny(c.ID+c.User, "#+") && strings.Contains(strings.Join(lines, "\n"), "pattern") {
			return false
		}
		for _, round := range []string{"deny", "give"} {
			user := ""
			for _, line := range lines {
				words := strings.Fields(line)
				if words[0] == "user" {
					user = words[1]
					continue
				}
				filter := words[2]
				if words[0] != keyword || (words[1] == "deny") != (round == "deny") || keyword == "topic" && user != c.User {
					continue
				}
				if keyword == "pattern" {
					if strings.Contains(filter, "%u") && c.User == "" {
						continue
					}
					filter = strings.NewReplacer("%u", c.User, "%c", c.ID).Replace(filter)
				}
				right := words[1] == "readwrite" || words[1] == "deny" || (words[1] == "write") == (a == Publish)
				if right && topic.Match(filter, name) {
					return round == "give"
				}
			}
		}
	}
	return false
}

// TestFileRandom compares decisions with those of naive.
func TestFileRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	allowed := 0
	for range 20_000 {
		var lines []string
		for range r.IntN(8) {
			if r.IntN(4) == 0 {
				lines = append(lines, "user "+pick("a", "b"))
				continue
			}
			lines = append(lines, pick("topic", "pattern")+" "+pick("read", "write", "readwrite", "deny")+" "+randomFilter(r))
		}
		f, err := Read("f", strings.NewReader(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			c := Client{ID: pick("a", "b", "c", "+"), User: pick("", "a", "b", "c", "#")}
			a, name := Action(r.IntN(2)), levels(r, "a b c $c")
			got, want := f.Rights(c).Decide(a, name), naive(lines, c, a, name)
			if got.Allowed != want {
				t.Fatalf("%+v %s %s: got %v by %s, want %v, with\n%s", c, a, name, got.Allowed, got.Rule, want, strings.Join(lines, "\n"))
			}
			if want {
				allowed++
			}
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d decisions allowed something", allowed)
	}
}
