package topic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// matchTests serve Match, Explain, Tree and Names alike.
var matchTests = []struct {
	why          string
	filter, name string
	want         bool
}{
	{"B1", "maison/+/temperature", "maison/salon/temperature", true},
	{"B1", "maison/+/temperature", "maison/cuisine/temperature", true},
	{"B1 last level differs", "maison/+/temperature", "maison/salon/humidite", false},
	{"B1 two levels", "maison/+/temperature", "maison/salon/etagere1/temperature", false},
	{"B2", "maison/salon/#", "maison/salon/temperature", true},
	{"B2", "maison/salon/#", "maison/salon/lumieres/etat", true},
	{"B2", "maison/salon/#", "maison/salon/lumieres/plafond/couleur", true},
	{"B2 the parent level", "maison/salon/#", "maison/salon", true},
	{"B2 level 2 differs", "maison/salon/#", "maison/cuisine/temperature", false},
	{"B2 grandparent", "maison/salon/#", "maison", false},
	{"B4", "#", "maison", true},
	{"B4", "#", "maison/salon/lumieres/plafond/couleur", true},
	{"B4 empty level", "#", "/", true},
	{"B4 $ [MQTT-4.7.2-1]", "#", "$SYS/broker/uptime", false},
	{"B4 $ alone [MQTT-4.7.2-1]", "#", "$", false},
	{"$ [MQTT-4.7.2-1]", "+/broker/uptime", "$SYS/broker/uptime", false},
	{"$ [MQTT-4.7.2-1]", "+/#", "$SYS/broker/uptime", false},
	{"$ and a long level [MQTT-4.7.2-1]", "+/x", "$quite-a-long-level/x", false},
	{"$ by name", "$SYS/#", "$SYS/broker/uptime", true},
	{"$ by name", "$SYS/+/uptime", "$SYS/broker/uptime", true},
	{"$ by name, parent", "$SYS/#", "$SYS", true},
	{"$ in a later level", "+/$x", "a/$x", true},
	{"$ in a later level", "a/+", "a/$x", true},
	{"$ in a later level", "#", "a/$x", true},
	{"$ in a later level", "+/+", "/$x", true},
	{"same", "a/b", "a/b", true},
	{"shorter", "a/b", "a", false},
	{"longer", "a", "a/b", false},
	{"prefix of a level", "a", "ab", false},
	{"case [MQTT-4.7.3-4]", "Maison", "maison", false},
	{"no normalization [MQTT-4.7.3-4]", "e\u0301", "\u00e9", false},
	{"a space is a character [MQTT-4.7.3-4]", "a ", "a", false},
	{"leading separator", "/a", "a", false},
	{"trailing separator", "a", "a/", false},
	{"empty levels", "a//b", "a//b", true},
	{"empty levels", "a/+/b", "a//b", true},
	{"empty levels", "+/+/+", "//", true},
	{"empty levels", "+/+", "/a", true},
	{"empty levels", "/+", "/a", true},
	{"empty levels", "+", "/a", false},
	{"empty levels", "a/+", "a/", true},
	{"empty levels", "a/+", "a", false},
	{"empty levels", "a/#", "a/", true},
	{"empty levels", "a/+/#", "a", false},
	{"empty levels", "a/+/#", "a/b", true},
	{"empty levels", "/#", "/", true},
	{"empty levels", "/#", "a", false},
	{"empty levels", "a//#", "a/", true},
	{"empty levels", "a/b", "a//b", false},
	{"level of 15 bytes", "+/abcdefghijklmno", "x/abcdefghijklmno", true},
	{"level of 16 bytes", "+/abcdefghijklmnop", "x/abcdefghijklmnop", true},
	{"levels of 16 bytes differ at the end", "+/abcdefghijklmnop", "x/abcdefghijklmnoq", false},
	{"levels of 15 and 16 bytes", "+/abcdefghijklmno", "x/abcdefghijklmnop", false},
	{"level of 8 bytes", "+/abcdefgh", "x/abcdefgh", true},
	{"level of 7 bytes", "+/abcdefg", "x/abcdefg", true},
	{"levels of 4 and 3 bytes", "+/abcd", "x/abc", false},
	{"U+FEFF is kept [MQTT-1.5.4-3]", "\ufeffa", "a", false},
}

func TestMatch(t *testing.T) {
	for _, test := range matchTests {
		if got := Match(test.filter, test.name); got != test.want {
			t.Errorf("%s: Match(%q, %q): got %t, want %t", test.why, test.filter, test.name, got, test.want)
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	deep := strings.Repeat("a/", 30000)
	below := deep + "#"
	got := testing.AllocsPerRun(10, func() {
		if !Match("maison/+/#", "maison/salon/temperature") || !Match(below, deep) {
			t.Error("got no match")
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func TestExplain(t *testing.T) {
	tests := []struct {
		why          string
		filter, name string
		want         []Level
	}{
		{"B1", "maison/+/temperature", "maison/salon/temperature", []Level{
			{"maison", true, "maison", true, true, "same"},
			{"+", true, "salon", true, true, "+ stands for exactly one level"},
			{"temperature", true, "temperature", true, true, "same"},
		}},
		{"B1 last level", "maison/+/temperature", "maison/salon/humidite", []Level{
			{"maison", true, "maison", true, true, "same"},
			{"+", true, "salon", true, true, "+ stands for exactly one level"},
			{"temperature", true, "humidite", true, false, "differs"},
		}},
		{"B1 two levels", "maison/+/temperature", "maison/salon/etagere1/temperature", []Level{
			{"maison", true, "maison", true, true, "same"},
			{"+", true, "salon", true, true, "+ stands for exactly one level"},
			{"temperature", true, "etagere1", true, false, "differs"},
			{"", false, "temperature", true, false, "the topic has more levels; + stands for exactly one"},
		}},
		{"B2", "maison/salon/#", "maison/salon/lumieres/etat", []Level{
			{"maison", true, "maison", true, true, "same"},
			{"salon", true, "salon", true, true, "same"},
			{"#", true, "lumieres/etat", true, true, "# stands for the rest"},
		}},
		{"B2 parent", "maison/#", "maison", []Level{
			{"maison", true, "maison", true, true, "same"},
			{"#", true, "", false, true, "# matches its parent level too"},
		}},
		{"B2 grandparent", "maison/salon/#", "maison", []Level{
			{"maison", true, "maison", true, true, "same"},
			{"salon", true, "", false, false, "the topic has no such level"},
			{"#", true, "", false, false, "the topic has no such level"},
		}},
		{"B2 level 2", "maison/salon/#", "maison/cuisine", []Level{
			{"maison", true, "maison", true, true, "same"},
			{"salon", true, "cuisine", true, false, "differs"},
			{"#", true, "", false, true, "# matches its parent level too"},
		}},
		{"B4 [MQTT-4.7.2-1]", "#", "$SYS/broker", []Level{
			{"#", true, "$SYS/broker", true, false, "wildcards at the start do not match topics that begin with $"},
		}},
		{"[MQTT-4.7.2-1]", "+/broker", "$SYS/broker", []Level{
			{"+", true, "$SYS", true, false, "wildcards at the start do not match topics that begin with $"},
			{"broker", true, "broker", true, true, "same"},
		}},
		{"short", "a/+", "a", []Level{
			{"a", true, "a", true, true, "same"},
			{"+", true, "", false, false, "the topic has no such level; + stands for exactly one"},
		}},
		{"long", "a", "a/", []Level{
			{"a", true, "a", true, true, "same"},
			{"", false, "", true, false, "the topic has more levels than the filter"},
		}},
		{"near misses [MQTT-4.7.3-4]", "Maison/salon ", "maison/salon", []Level{
			{"Maison", true, "maison", true, false, "differs in upper and lower case"},
			{"salon ", true, "salon", true, false, "differs by a space"},
		}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, Explain(test.filter, test.name)); diff != "" {
			t.Errorf("%s: Explain(%q, %q) (-want +got):\n%s", test.why, test.filter, test.name, diff)
		}
	}
	for _, test := range matchTests {
		if got := explained(test.filter, test.name); got != test.want {
			t.Errorf("%s: Explain(%q, %q): got %t, want %t", test.why, test.filter, test.name, got, test.want)
		}
	}
}

// explained is the verdict of Explain as a whole.
func explained(filter, name string) bool {
	for _, level := range Explain(filter, name) {
		if !level.Matches {
			return false
		}
	}
	return true
}

func FuzzExplainAgreesWithMatch(f *testing.F) {
	for _, test := range matchTests {
		f.Add(test.filter, test.name)
	}
	f.Add("a/#/b", "a/#/b") // illegal, yet they agree
	f.Fuzz(func(t *testing.T, filter, name string) {
		if got, want := explained(filter, name), Match(filter, name); got != want {
			t.Errorf("filter %q, name %q: Explain says %t, Match says %t", filter, name, got, want)
		}
		for _, level := range Explain(filter, name) {
			if level.Why == "" || !level.HasFilter && !level.HasName {
				t.Errorf("filter %q, name %q: got an empty row %+v", filter, name, level)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for b.Loop() {
		if !Match("maison/+/lumieres/#", "maison/salon/lumieres/plafond/couleur") {
			b.Fatal("got no match")
		}
	}
}
