package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTopicExplain holds what explain prints, and its exit codes. What is said in each case
// is a test of package topics.
func TestTopicExplain(t *testing.T) {
	for _, test := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"maison/+/temperature", "maison/salon/etagere1/temperature"}, 1, `does not match

level   1       2        3             4
filter  maison  /+       /temperature
topic   maison  /salon   /etagere1     /temperature
        same    any one  differs

level 2: + stands for exactly one level, here "salon".
level 3: The filter says "temperature", the topic "etagere1". The topic has 4
         levels and the filter 3: + stands for exactly one level, never for
         several. [MQTT-4.7.3-4]
"maison/+/+/temperature" matches it: one + for each level.
`},
		{[]string{"--lang=fr", "maison/salon/#", "maison/salon"}, 0, `correspond

niveau  1       2       3
filtre  maison  /salon  /#
sujet   maison  /salon
        égal    égal    le reste

niveau 3 : # correspond aussi au niveau parent.
`},
		{[]string{"$share/g/a/+/#", "a//x"}, 0, `matches
A Shared Subscription: of the clients that share the name "g", each message goes
to one. What is compared is the filter behind it, "a/+/#".

level   1     2         3
filter  a     /+        /#
topic   a     /(empty)  /x
        same  any one   the rest

level 2: + stands for exactly one level, here an empty one.
level 3: # stands for the rest, here "x".
`},
		{[]string{"/温度", "温度\x1b[2J"}, 1, `does not match

level   1         2
filter  (empty)   /温度
topic   温度␛[2J
        differs

level 1: The filter begins with /, so that its first level is empty; the topic
         says "温度␛[2J".
`},
		{[]string{"a/b  c", "a/b c"}, 1, `does not match

level   1     2
filter  a     /b  c
topic   a     /b c
        same  differs

level 2: The filter says "b  c", the topic "b c". [MQTT-4.7.3-4]
`},
		{[]string{"maison/#/temperature", "x"}, 2, `invalid
    maison/#/temperature
           ^ must be the last level
  Topic Filter, level 2, character 8: "#" must be the last level [MQTT-4.7.1-1].
  Write "maison/#" for everything from there on, or "maison/+/temperature" where
  one level may be anything.
`},
		{[]string{"--lang", "fr", "a", "a/+"}, 2, `invalide
    a/+
      ^ est un joker, que seul un filtre peut contenir
  Sujet, niveau 2, caractère 3 : "+" est un joker, que seul un filtre peut
  contenir [MQTT-4.7.0-1].
  Un message est publié sur un seul sujet ; seul un abonnement peut contenir des
  jokers.
Peut-être les deux sont-ils inversés : d'abord le filtre, puis le sujet.
`},
		{[]string{"--", "-a", "-a"}, 0, "matches\n\nlevel   1\nfilter  -a\ntopic   -a\n        same\n\n"},
	} {
		exit, stdout, stderr := call(t, append([]string{"colibri", "topic", "explain"}, test.args...)...)
		if diff := cmp.Diff(test.want, stdout); diff != "" || exit != test.exit || stderr != "" {
			t.Errorf("%q: got exit code %d, want %d, standard error %q (-want +got):\n%s", test.args, exit, test.exit, stderr, diff)
		}
	}
}

// TestTopicExplainLong shows that many levels become several blocks, and that very many are
// cut around the one that does not match.
func TestTopicExplainLong(t *testing.T) {
	filter := strings.Repeat("level/", 500) + "x"
	exit, stdout, _ := call(t, "colibri", "topic", "explain", filter, strings.Replace(filter, "x", "y", 1))
	for _, want := range []string{"Of the 501 levels, 438 to 501 are shown.\n", "level 501: The filter says \"x\", the topic \"y\".", "\nlevel   438     439 "} {
		if exit != 1 || !strings.Contains(stdout, want) {
			t.Errorf("got exit code %d, and no %q in\n%s", exit, want, stdout)
		}
	}
	for line := range strings.Lines(stdout) {
		if len(line) > 82 {
			t.Errorf("a line takes %d columns: %s", len(line), line)
		}
	}
}

// TestTopicExplainJSON holds the keys that scripts read.
func TestTopicExplainJSON(t *testing.T) {
	exit, stdout, _ := call(t, "colibri", "topic", "explain", "--json", "$share/g/a/+", "a")
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || exit != 1 {
		t.Fatalf("got exit code %d, %v and %s", exit, err, stdout)
	}
	want := map[string]any{"filter": "$share/g/a/+", "topic": "a", "valid": true, "matches": false, "share": "g", "inner": "a/+", "level": 2.0,
		"reason": "The topic ends here, and + stands for exactly one level: not for none.", "levels": []any{
			map[string]any{"filter": "a", "topic": "a", "matches": true, "why": "same"},
			map[string]any{"filter": "+", "topic": nil, "matches": false, "why": "the topic has no such level; + stands for exactly one"},
		}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	exit, stdout, _ = call(t, "colibri", "topic", "explain", "--json", "a\u009b\u202e\U000e0001+", "a")
	if want := `{"filter":"a\u009b\u202e\udb40\udc01+","topic":"a","valid":false,"faults":[{"what":"Topic Filter",`; exit != 2 || !strings.HasPrefix(stdout, want) {
		t.Errorf("characters that a terminal obeys: got exit code %d and %q, want %q…", exit, stdout, want)
	}
}

// TestTopicCheck holds what check prints, and its exit codes.
func TestTopicCheck(t *testing.T) {
	for _, test := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"maison/+/été", "a b"}, 0, "valid \"maison/+/été\"\nvalid \"a b\" but\n  - It has a space: allowed, but easily overlooked, and other programs and\n    shells trip over it.\n"},
		{[]string{"a", "x#"}, 2, `valid "a"
invalid "x#"
    x#
     ^ must stand alone in its level
  Topic Filter, level 1, character 2: "#" must stand alone in its level
  [MQTT-4.7.1-1].
  Wildcards stand for whole levels: put / before the #, or take all levels above
  it and choose by what comes.
`},
		{[]string{"--name", "a/b"}, 0, "valid \"a/b\"\n"},
		{[]string{"--name", "--lang", "fr", "a/"}, 0, "valide \"a/\" mais\n  - Il se termine par /, son dernier niveau est donc vide : \"a\" est autre chose.\n"},
		{[]string{"a/#", "a/b"}, 0, "valid \"a/#\"\nvalid \"a/b\" but\n  - \"a/#\" asks for all of it already: a client with both may get its messages\n    twice.\n"},
		{[]string{"--json", "+/x"}, 0, `{"ok":true,"checked":[{"text":"+/x","what":"Topic Filter","valid":true,"advice":[{"kind":"broad","text":"It begins with +: every first level is searched, and topics that begin with $ are not among them."}]}]}` + "\n"},
		{[]string{"--json", "--name", "+"}, 2, `{"ok":false,"checked":[{"text":"+","what":"Topic Name","valid":false,"fault":{"what":"Topic Name","text":"+","level":1,"character":1,"reason":"\"+\" is a wildcard, which only a Topic Filter may hold","rule":"MQTT-4.7.0-1","advice":"A message is published to one topic; only a subscription may hold wildcards."},"advice":[]}]}` + "\n"},
	} {
		exit, stdout, stderr := call(t, append([]string{"colibri", "topic", "check"}, test.args...)...)
		if diff := cmp.Diff(test.want, stdout); diff != "" || exit != test.exit || stderr != "" {
			t.Errorf("%q: got exit code %d, want %d, standard error %q (-want +got):\n%s", test.args, exit, test.exit, stderr, diff)
		}
	}
	// A text may be as long as a command line allows, and worse.
	exit, stdout, _ := call(t, "colibri", "topic", "check", strings.Repeat("x/", 40_000), "a\x00\xff")
	if exit != 2 || !strings.Contains(stdout, "character 65536: \"/\" is beyond the limit of 65,535 bytes [MQTT-4.7.3-3]") && !strings.Contains(stdout, "is beyond the limit of 65,535 bytes") {
		t.Errorf("got exit code %d and\n%s", exit, stdout)
	}
}

// TestTopicMistakes holds what is said about mistakes in the command line.
func TestTopicMistakes(t *testing.T) {
	isolate(t)
	const seeHelp = "\nUse 'colibri topic --help' to see usage.\n"
	for args, want := range map[string]string{
		"":                       "Error: Say what to do: explain, check or tree.\n" + seeHelp,
		"grow":                   "Error: Unknown command 'grow'; there are explain, check and tree.\n" + seeHelp,
		"explain a":              "Error: Give a filter and a topic, each in single quotes: a shell takes # for the begin of a comment and $ for that of a variable.\n" + seeHelp,
		"explain a b c":          "Error: There is a third text, 'c'; give a filter and a topic, in quotes when they have spaces.\n" + seeHelp,
		"check":                  "Error: Say what to check, in single quotes: a shell takes # for the begin of a comment and $ for that of a variable.\n" + seeHelp,
		"check -x":               "Error: Unknown option '-x'.\n" + seeHelp,
		"check --lang":           "Error: '--lang' needs a LANGUAGE behind it.\n" + seeHelp,
		"check --lang de a":      "Error: 'de' is no language of ours; there are en and fr.\n" + seeHelp,
		"check --json=yes a":     "Error: '--json' takes no value.\n" + seeHelp,
		"explain --name a b":     "Error: '--name' belongs behind 'check'.\n" + seeHelp,
		"tree --max-topics many": "Error: Invalid number of topics \"many\"; it must be a whole number from 1 to 100000.\n\nUse 'colibri topic tree --help' to see usage.\n",
		"tree -W 0":              "Error: Invalid timeout \"0\"; it must be whole seconds, from 1.\n\nUse 'colibri topic tree --help' to see usage.\n",
		"tree a/#/b":             "Error: Invalid subscription topic 'a/#/b', are all '+' and '#' wildcards correct?\na/#/b\n  ^ must be the last level\n\nUse 'colibri topic tree --help' to see usage.\n",
		"tree --retain":          "Error: Unknown option '--retain', see 'colibri topic tree --help'.\n",
	} {
		exit, stdout, stderr := call(t, append([]string{"colibri", "topic"}, strings.Fields(args)...)...)
		code := exitConfig
		if strings.HasPrefix(args, "tree") {
			code = exitUsage
		}
		if exit != code || stdout != "" || stderr != want {
			t.Errorf("topic %s: got exit code %d, %q and %q, want %d and %q", args, exit, stdout, stderr, code, want)
		}
	}
}

// TestTopicHelp shows that help and completion know topic.
func TestTopicHelp(t *testing.T) {
	isolate(t)
	exit, stdout, _ := call(t, "colibri", "topic", "--help")
	for _, want := range []string{"colibri topic explain [FLAGS] FILTER TOPIC", "--lang LANGUAGE", "Exit code of explain and check:"} {
		if exit != 0 || !strings.Contains(stdout, want) {
			t.Errorf("--help: got exit code %d, and no %q in\n%s", exit, want, stdout)
		}
	}
	for line := range strings.Lines(stdout) {
		if columns := len([]rune(line)); columns > 100 {
			t.Errorf("a line of the help takes %d columns: %s", columns, line)
		}
	}
	for args, want := range map[string]string{
		"topic \x00":                "explain check tree",
		"topic explain \x00--l":     "--lang",
		"topic explain --lang \x00": "en fr",
		"topic explain \x00--n":     "",
		"topic check \x00--n":       "--name",
		"topic tree \x00--max":      "--max-topics",
		"topic tree -V \x003":       "311 31",
	} {
		before, typed, _ := strings.Cut(args, "\x00")
		_, stdout, _ := call(t, append(append([]string{"colibri", "__complete"}, strings.Fields(before)...), typed)...)
		var got []string
		for line := range strings.Lines(stdout) {
			if offer, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); offer != "" && offer[0] != ':' {
				got = append(got, offer)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(strings.Fields(want)) {
			t.Errorf("completion of %q: got %q, want %q", args, got, want)
		}
	}
}

// TestTopicDocs runs what the pages show being typed, and compares the answers.
func TestTopicDocs(t *testing.T) {
	for _, page := range []string{"../../docs/topics.md", "../../docs/fr/topics.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		examples := regexp.MustCompile("(?s)```\n\\$ (colibri topic [^\n]*)\n(.*?)```\n").FindAllStringSubmatch(string(text), -1)
		if len(examples) != 2 {
			t.Errorf("got %d command lines in %s, want 2", len(examples), page)
		}
		for _, example := range examples {
			_, stdout, _ := call(t, quoted(example[1])...)
			if diff := cmp.Diff(example[2], stdout); diff != "" {
				t.Errorf("%s: %s (-page +got):\n%s", page, example[1], diff)
			}
		}
	}
}
