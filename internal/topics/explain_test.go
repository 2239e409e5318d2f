package topics

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri/topic"
)

// TestExplain goes through scenarios B1 to B4 and B6, in both languages.
func TestExplain(t *testing.T) {
	for _, test := range []struct {
		why          string
		filter, name string
		level        int    // 0: it matches
		en, fr       string // in the reason, or in the last Why if it matches
		hint         string // the filter that is proposed
	}{
		{"B1", "maison/+/temperature", "maison/salon/temperature", 0, "same", "égal", ""},
		{"B1", "maison/+/temperature", "maison/cuisine/temperature", 0, "same", "égal", ""},
		{"B1 last level", "maison/+/temperature", "maison/salon/humidite", 3, `The filter says "temperature", the topic "humidite".`, `Le filtre dit "temperature", le sujet "humidite".`, ""},
		{"B1 two levels", "maison/+/temperature", "maison/salon/etagere1/temperature", 3, "The topic has 4 levels and the filter 3: + stands for exactly one level, never for several.",
			"Le sujet a 4 niveaux et le filtre 3 : + remplace exactement un niveau, jamais plusieurs.", "maison/+/+/temperature"},
		{"B2", "maison/salon/#", "maison/salon/temperature", 0, "# stands for the rest", "# remplace le reste", ""},
		{"B2", "maison/salon/#", "maison/salon/lumieres/plafond/couleur", 0, "# stands for the rest", "# remplace le reste", ""},
		{"B2 parent", "maison/salon/#", "maison/salon", 0, "# matches its parent level too", "# correspond aussi au niveau parent", ""},
		{"B2 level 2", "maison/salon/#", "maison/cuisine/temperature", 2, `The filter says "salon", the topic "cuisine".`, `Le filtre dit "salon", le sujet "cuisine".`, ""},
		{"B4", "#", "maison", 0, "# stands for the rest", "# remplace le reste", ""},
		{"B4 $SYS", "#", "$SYS/broker/uptime", 1, "a filter that begins with + or # does not match them", "un filtre qui commence par + ou # ne leur correspond pas", "$SYS/#"},
		{"$SYS and +", "+/broker/#", "$SYS/broker/uptime", 1, "the server's own", "ceux du serveur", "$SYS/broker/#"},
		{"shared", "$share/g/maison/#", "maison/x", 0, "# stands for the rest", "# remplace le reste", ""},
		{"shared $SYS", "$share/g/#", "$SYS/x", 1, "the server's own", "ceux du serveur", "$share/g/$SYS/#"},
		{"leading slash", "a", "/a", 1, "The topic begins with /", "Le sujet commence par /", "/a"},
		{"leading slash", "/a", "a", 1, "The filter begins with /", "Le filtre commence par /", "a"},
		{"empty level", "a/b", "a//b", 2, "This level of the topic is empty", "Ce niveau du sujet est vide", ""},
		{"empty level", "a//b", "a/b", 2, "This level of the filter is empty", "Ce niveau du filtre est vide", ""},
		{"empty level", "a/+/b", "a//b", 0, "same", "égal", ""},
		{"trailing slash", "a/b", "a/b/", 3, "The topic ends with /", "Le sujet se termine par /", "a/b/"},
		{"trailing slash", "a/b/", "a/b", 3, "The filter ends with /", "Le filtre se termine par /", "a/b"},
		{"case", "Maison/+", "maison/x", 1, "upper and lower case are different letters", "majuscules et minuscules", "maison/+"},
		{"space", "a/b ", "a/b", 2, "a space counts like any other character", "une espace compte", "a/b"},
		{"longer", "a/b", "a/b/c", 3, `goes on with "c"`, `continue par "c"`, "a/b/#"},
		{"shorter", "a/b/c", "a/b", 3, `the filter goes on with "c"`, `le filtre continue par "c"`, ""},
		{"shorter, +", "a/+", "a", 2, "not for none", "pas zéro", ""},
		{"other wildcards", "a/*", "a/b", 2, `The filter says "*"`, `Le filtre dit "*"`, ""},
		{"full stops", "a.b", "a/b", 1, `The filter says "a.b"`, `Le filtre dit "a.b"`, "a/b"},
		{"accents", "caf\u00e9", "cafe\u0301", 1, "character 4 is U+00E9 in the filter and U+0065 in the topic", "le caractère 4 est U+00E9 dans le filtre et U+0065", ""},
		{"alphabets", "s\u0430lon", "salon", 1, "character 2 is U+0430 in the filter and U+0061", "le caractère 2 est U+0430", ""},
		{"control characters", "a/\x1b[2J", "a/b", 2, `The filter says "␛[2J"`, `Le filtre dit "␛[2J"`, ""},
	} {
		for french, want := range map[bool]string{false: test.en, true: test.fr} {
			e := &Explainer{French: french}
			x := e.Explain(test.filter, test.name)
			got := x.Reason
			if x.Matches {
				got = x.Levels[len(x.Levels)-1].Why
			}
			if !x.Valid || x.Matches != (test.level == 0) || x.Level != test.level || !strings.Contains(got, want) {
				t.Errorf("%s: %q, %q: got %t, level %d and %q, want level %d and %q", test.why, test.filter, test.name, x.Matches, x.Level, got, test.level, want)
			}
			hint := ""
			for _, h := range x.Hints {
				hint += h.Filter
			}
			if hint != test.hint {
				t.Errorf("%s: %q, %q: got the hint %q, want %q", test.why, test.filter, test.name, hint, test.hint)
			}
		}
	}
}

// TestExplainInvalid goes through scenario B3 and other texts against the rules.
func TestExplainInvalid(t *testing.T) {
	e := &Explainer{}
	x := e.Explain("maison/#/temperature", "a/b+")
	if x.Valid || x.Matches || len(x.Faults) != 2 || x.Levels != nil {
		t.Fatalf("got %+v, want two faults and no levels", x)
	}
	want := Fault{"Topic Filter", "maison/#/temperature", 2, 8, `"#" must be the last level`, "MQTT-4.7.1-1",
		`Write "maison/#" for everything from there on, or "maison/+/temperature" where one level may be anything.`, "maison/#/temperature\n       ^ must be the last level"}
	if diff := cmp.Diff(want, x.Faults[0]); diff != "" {
		t.Errorf("the filter (-want +got):\n%s", diff)
	}
	if got := x.Faults[1]; got.What != "Topic Name" || got.Level != 2 || got.Character != 4 || got.Rule != "MQTT-4.7.0-1" {
		t.Errorf("the name: got %+v", got)
	}
	if x := e.Explain("a/b", "a/+"); x.Valid || len(x.Hints) != 1 || !strings.Contains(x.Hints[0].Text, "wrong order") {
		t.Errorf("in the wrong order: got %+v", x)
	}
	french := &Explainer{French: true}
	for filter, want := range map[string]string{"a/#b": `"#" doit être seul dans son niveau`, "a\xff": "l'octet 0xFF n'est pas de l'UTF-8 bien formé", "": "doit avoir au moins un caractère"} {
		if x := french.Explain(filter, "a"); len(x.Faults) != 1 || x.Faults[0].Reason != want {
			t.Errorf("%q: got %+v, want %q", filter, x.Faults, want)
		}
	}
}

// TestEverythingIsTranslated finds reasons of package topic without a French text.
func TestEverythingIsTranslated(t *testing.T) {
	reasons := map[string]bool{}
	for _, text := range []string{"", strings.Repeat("a", 65536), "\x00", "\xff", "$share/+/a", "$share//a", "$share/", "$share/a", "$share/a/", "a+", "a#", "#/a"} {
		for _, err := range []error{topic.CheckFilter(text), topic.CheckName(text)} {
			if err != nil {
				reasons[err.(*topic.SyntaxError).Reason] = true
			}
		}
	}
	for _, pair := range [][2]string{{"a/+/b/#", "a/x/b/c"}, {"a/#", "a"}, {"a/b/c", "a"}, {"a", "a/b"}, {"+", "a/b"}, {"a/+", "a"}, {"a ", "a"}, {"A", "a"}, {"a", "b"}, {"#", "$a"}} {
		for _, row := range topic.Explain(pair[0], pair[1]) {
			reasons[row.Why] = true
		}
	}
	for reason := range reasons {
		if frenchTexts[reason] == "" {
			t.Errorf("%q has no French text", reason)
		}
	}
	for reason := range frenchTexts {
		if !reasons[reason] {
			t.Errorf("%q is translated, and package topic does not say it", reason)
		}
	}
}

func kinds(v *Verdict) string {
	var list []string
	for _, a := range v.Advice {
		list = append(list, a.Kind)
	}
	return strings.Join(list, " ")
}

func TestFilterAndName(t *testing.T) {
	e := &Explainer{}
	for _, test := range []struct {
		text         string
		filter, name string // kinds of advice, or the rule that is broken
	}{
		{"maison/salon/temperature", "", ""},
		{"maison/été/温度", "", ""},
		{"#", "firehose", "MQTT-4.7.0-1"},
		{"+/#", "firehose", "MQTT-4.7.0-1"},
		{"+/+", "broad", "MQTT-4.7.0-1"},
		{"maison/#", "", "MQTT-4.7.0-1"},
		{"/maison", "leading-slash", "leading-slash"},
		{"/", "leading-slash", "leading-slash"},
		{"maison/", "trailing-slash", "trailing-slash"},
		{"a//b", "empty-level", "empty-level"},
		{"salle de bain", "space", "space"},
		{"a\tb", "control", "control"},
		{"a\u200bb", "invisible", "invisible"},
		{"cafe\u0301", "accent", "accent"},
		{"$SYS/#", "dollar", "MQTT-4.7.0-1"},
		{"$SYS/x", "dollar", "dollar"},
		{"$queue/x", "dollar", "dollar"},
		{"$share/g/a", "shared", "dollar"},
		{"$share/g/#", "shared firehose", "MQTT-4.7.0-1"},
		{"a/*", "no-wildcard", ""},
		{strings.Repeat("a", 257), "long", "long"},
		{strings.Repeat("a/", 20) + "a", "deep", "deep"},
		{strings.Repeat("a", 65536), "MQTT-4.7.3-3", "MQTT-4.7.3-3"},
		{"a\x00", "MQTT-4.7.3-2", "MQTT-4.7.3-2"},
		{"maison/#/temperature", "MQTT-4.7.1-1", "MQTT-4.7.0-1"},
		{"sensor+", "MQTT-4.7.1-2", "MQTT-4.7.0-1"},
		{"$share/g", "MQTT-4.8.2-2", "dollar"},
		{"", "MQTT-4.7.3-1", "MQTT-4.7.3-1"},
	} {
		for what, v := range map[string]*Verdict{test.filter: e.Filter(test.text), "N" + test.name: e.Name(test.text)} {
			got := kinds(v)
			if v.Fault != nil {
				got = v.Fault.Rule
			}
			if v.What == "Topic Name" {
				got = "N" + got
			}
			if got != what || v.Valid != (v.Fault == nil) {
				t.Errorf("%s %.40q: got %q, want %q", v.What, test.text, got, what)
			}
		}
	}
}

func TestOverlaps(t *testing.T) {
	e := &Explainer{}
	for filters, want := range map[string]string{
		"maison/# maison/salon":         " overlap",
		"maison/salon maison/#":         "overlap ",
		"a/+ a/#":                       "overlap ",
		"a/+/# a/#":                     "overlap ",
		"a/# a/+/#":                     " overlap",
		"a/+ b/+":                       " ",
		"a a":                           " overlap",
		"# $SYS/#":                      "firehose dollar",
		"# $share/g/a":                  "firehose shared",
		"$share/g/a $share/g/a":         "shared shared overlap",
		"a/b/# a/+/#":                   "overlap ",
		"maison/+/x maison/+/x/#":       "overlap ",
		"maison/+/x maison/salon/x":     " overlap",
		"maison/salon/x/# maison/salon": " ",
	} {
		var verdicts []*Verdict
		for f := range strings.FieldsSeq(filters) {
			verdicts = append(verdicts, e.Filter(f))
		}
		e.Overlaps(verdicts)
		if got := kinds(verdicts[0]) + " " + kinds(verdicts[1]); got != want {
			t.Errorf("%s: got %q, want %q", filters, got, want)
		}
	}
}

// FuzzExplain holds that the verdict is that of Match, that what is proposed matches, and
// that what is covered is matched.
func FuzzExplain(f *testing.F) {
	f.Add("maison/+/temperature", "maison/salon/etagere1/temperature")
	f.Add("$share/g/#", "$SYS/x")
	f.Add("a/+/", "/a//b/")
	f.Add("a.b", "a/b")
	f.Fuzz(func(t *testing.T, filter, name string) {
		for _, french := range []bool{false, true} {
			e := &Explainer{French: french}
			x := e.Explain(filter, name)
			if !x.Valid {
				if len(x.Faults) == 0 {
					t.Errorf("%q, %q: not valid, without a fault", filter, name)
				}
				continue
			}
			inner := filter
			if _, shared, ok := topic.SplitShared(filter); ok {
				inner = shared
			}
			if x.Matches != topic.Match(inner, name) || !x.Matches && x.Reason == "" {
				t.Errorf("%q, %q: got %t and %q", filter, name, x.Matches, x.Reason)
			}
			for _, hint := range x.Hints {
				proposed := hint.Filter
				if _, shared, ok := topic.SplitShared(proposed); ok {
					proposed = shared
				}
				if proposed != "" && !topic.Match(proposed, name) {
					t.Errorf("%q, %q: %q is proposed, and does not match", filter, name, hint.Filter)
				}
			}
			for _, v := range []*Verdict{e.Filter(filter), e.Name(name)} {
				for _, a := range v.Advice {
					if !utf8.ValidString(a.Text) {
						t.Errorf("%q: got ill-formed advice %q", v.Text, a.Text)
					}
				}
			}
		}
		if topic.CheckFilter(filter) == nil && covers(filter, name) && topic.CheckName(name) == nil && filter != name && !topic.Match(filter, name) {
			t.Errorf("%q covers %q, and does not match it", filter, name)
		}
	})
}
