package topics

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri/internal/display"
	"github.com/colibri-mqtt/colibri/topic"
)

// Explainer speaks English, or French.
type Explainer struct{ French bool }

// Explanation says why a Topic Filter matches a Topic Name or does not. Its keys in JSON
// are read by scripts.
type Explanation struct {
	Filter  string  `json:"filter"`
	Topic   string  `json:"topic"`
	Valid   bool    `json:"valid"`
	Faults  []Fault `json:"faults,omitempty"` // if it is not valid: of the filter, then of the name
	Matches bool    `json:"matches"`
	Share   string  `json:"share,omitempty"` // the Share Name of a Shared Subscription
	Inner   string  `json:"inner,omitempty"` // the filter behind it
	Level   int     `json:"level,omitempty"` // the first that does not match, from 1
	Reason  string  `json:"reason,omitempty"`
	Rule    string  `json:"rule,omitempty"` // the statement of the standard behind Reason
	Levels  []Level `json:"levels,omitempty"`
	Hints   []Hint  `json:"hints,omitempty"` // what may have been meant
}

// Level is one level of the two texts, side by side.
type Level struct {
	Filter  *string `json:"filter"` // nil if there is no such level
	Topic   *string `json:"topic"`  // nil if there is no such level; all that is left of it beside a final "#"
	Matches bool    `json:"matches"`
	Why     string  `json:"why"`
	Mark    string  `json:"-"` // Why in a word or two; empty behind the first level that does not match
}

// Hint is something that may have been meant.
type Hint struct {
	Text   string `json:"text"`
	Filter string `json:"filter,omitempty"` // one that matches
}

// quoteColumns is how much of a level a sentence shows.
const quoteColumns = 60

func quoted(text string) string { return display.Quote(text, quoteColumns) }

// say returns the sentence in the language of e, formatted with args, which follow one
// another in the same order in both.
func (e *Explainer) say(en, fr string, args ...any) string {
	if e.French {
		en = fr
	}
	if len(args) == 0 {
		return en
	}
	return fmt.Sprintf(en, args...)
}

// Explain says why filter matches name or does not. A Shared Subscription is taken apart
// first: its inner filter is what is compared.
func (e *Explainer) Explain(filter, name string) *Explanation {
	x := &Explanation{Filter: filter, Topic: name, Valid: true}
	for _, err := range []error{topic.CheckFilter(filter), topic.CheckName(name)} {
		if fault, ok := errors.AsType[*topic.SyntaxError](err); ok {
			x.Valid = false
			x.Faults = append(x.Faults, e.fault(fault))
		}
	}
	if !x.Valid {
		if topic.CheckFilter(name) == nil && topic.CheckName(filter) == nil {
			x.Hints = append(x.Hints, Hint{Text: e.say("Perhaps the two are in the wrong order: the filter comes first, then the topic.",
				"Peut-être les deux sont-ils inversés : d'abord le filtre, puis le sujet.")})
		}
		return x
	}
	compared := filter
	if share, inner, ok := topic.SplitShared(filter); ok {
		x.Share, x.Inner, compared = share, inner, inner
	}
	rows := topic.Explain(compared, name)
	x.Matches = true
	for i, row := range rows {
		level := Level{Matches: row.Matches, Why: e.translated(row.Why)}
		if row.HasFilter {
			level.Filter = &row.Filter
		}
		if row.HasName {
			level.Topic = &row.Name
		}
		if x.Matches {
			level.Mark = e.mark(row)
		}
		if !row.Matches && x.Matches {
			x.Matches, x.Level = false, i+1
		}
		x.Levels = append(x.Levels, level)
	}
	if !x.Matches {
		x.Reason, x.Rule = e.reason(compared, name, rows, x.Level-1)
		x.Hints = e.hints(strings.TrimSuffix(filter, compared), compared, name, rows, x.Level-1)
	}
	return x
}

// mark says in a word or two how the levels of a row compare.
func (e *Explainer) mark(row topic.Level) string {
	switch {
	case !row.Matches && !row.HasFilter:
		return e.say("too many", "en trop")
	case !row.Matches && !row.HasName:
		return e.say("missing", "manque")
	case !row.Matches:
		return e.say("differs", "diffère")
	case row.Filter == "#":
		return e.say("the rest", "le reste")
	case row.Filter == "+":
		return e.say("any one", "un seul")
	}
	return e.say("same", "égal")
}

// reason says why row number i, the first that does not match, does not, and names the
// statement behind it if there is one.
func (e *Explainer) reason(filter, name string, rows []topic.Level, i int) (text, rule string) {
	row := rows[i]
	switch {
	case i == 0 && name[0] == '$' && (filter[0] == '+' || filter[0] == '#'):
		return e.say("Topics that begin with $ are the server's own: a filter that begins with + or # does not match them.",
			"Les sujets qui commencent par $ sont ceux du serveur : un filtre qui commence par + ou # ne leur correspond pas."), "MQTT-4.7.2-1"
	case !row.HasFilter && row.Name == "" && i == len(rows)-1:
		return e.say("The topic ends with /, which makes one more level, an empty one; the filter has no such level.",
			"Le sujet se termine par /, ce qui fait un niveau de plus, vide ; le filtre n'a pas ce niveau."), ""
	case !row.HasFilter:
		text = e.say("The filter ends here, and the topic goes on with %s.", "Le filtre s'arrête là, et le sujet continue par %s.", quoted(row.Name))
	case !row.HasName && row.Filter == "":
		return e.say("The filter ends with /, which asks for one more level, an empty one; the topic has no such level.",
			"Le filtre se termine par /, ce qui demande un niveau de plus, vide ; le sujet n'a pas ce niveau."), ""
	case !row.HasName && row.Filter == "+":
		return e.say("The topic ends here, and + stands for exactly one level: not for none.",
			"Le sujet s'arrête là, et + remplace exactement un niveau : pas zéro."), ""
	case !row.HasName:
		return e.say("The topic ends here, and the filter goes on with %s.", "Le sujet s'arrête là, et le filtre continue par %s.", quoted(row.Filter)), ""
	case row.Name == "" && i == 0:
		return e.say("The topic begins with /, so that its first level is empty; the filter says %s.",
			"Le sujet commence par /, son premier niveau est donc vide ; le filtre dit %s.", quoted(row.Filter)), ""
	case row.Filter == "" && i == 0:
		return e.say("The filter begins with /, so that its first level is empty; the topic says %s.",
			"Le filtre commence par /, son premier niveau est donc vide ; le sujet dit %s.", quoted(row.Name)), ""
	case row.Name == "":
		return e.say("This level of the topic is empty, and an empty level counts like any other; the filter says %s.",
			"Ce niveau du sujet est vide, et un niveau vide compte comme les autres ; le filtre dit %s.", quoted(row.Filter)), ""
	case row.Filter == "":
		return e.say("This level of the filter is empty, and an empty level counts like any other; the topic says %s.",
			"Ce niveau du filtre est vide, et un niveau vide compte comme les autres ; le sujet dit %s.", quoted(row.Name)), ""
	default:
		text, rule = e.difference(row), "MQTT-4.7.3-4"
	}
	if levels(name) > levels(filter) && strings.Contains("/"+filter+"/", "/+/") && !strings.HasSuffix(filter, "#") {
		text += e.say(" The topic has %d levels and the filter %d: + stands for exactly one level, never for several.",
			" Le sujet a %d niveaux et le filtre %d : + remplace exactement un niveau, jamais plusieurs.", levels(name), levels(filter))
	}
	return text, rule
}

// difference says how two levels differ that are both there and not empty.
func (e *Explainer) difference(row topic.Level) string {
	f, n := quoted(row.Filter), quoted(row.Name)
	switch {
	case strings.TrimSpace(row.Filter) == strings.TrimSpace(row.Name):
		return e.say("The filter says %s and the topic %s: a space counts like any other character.",
			"Le filtre dit %s et le sujet %s : une espace compte comme tout autre caractère.", f, n)
	case strings.EqualFold(row.Filter, row.Name):
		return e.say("The filter says %s and the topic %s: upper and lower case are different letters.",
			"Le filtre dit %s et le sujet %s : majuscules et minuscules sont des lettres différentes.", f, n)
	}
	text := e.say("The filter says %s, the topic %s.", "Le filtre dit %s, le sujet %s.", f, n)
	if at, inFilter, inTopic, alike := lookAlike(row.Filter, row.Name); alike {
		text += e.say(" They may look alike, but character %d is %s in the filter and %s in the topic; topics are compared byte by byte.",
			" Ils peuvent se ressembler, mais le caractère %d est %s dans le filtre et %s dans le sujet ; la comparaison se fait octet par octet.", at, inFilter, inTopic)
	}
	return text
}

// lookAlike finds the first character in which two texts differ. alike says that the
// difference may not be seen: one of the two characters is not ASCII, as with an accent
// of its own beside a letter, or a letter of another alphabet.
func lookAlike(filter, name string) (at int, inFilter, inTopic string, alike bool) {
	a, b := []rune(filter), []rune(name)
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	show := func(text []rune) string {
		if at == len(text) {
			return "-"
		}
		return fmt.Sprintf("U+%04X", text[at])
	}
	odd := func(text []rune) bool { return at < len(text) && text[at] >= utf8.RuneSelf }
	sameLength := len(a) == len(b) || hasMark(a) != hasMark(b)
	return at + 1, show(a), show(b), (odd(a) || odd(b)) && sameLength
}

// hasMark reports whether text has a combining accent.
func hasMark(text []rune) bool {
	for _, r := range text {
		if unicode.In(r, unicode.Mn) {
			return true
		}
	}
	return false
}

func levels(text string) int { return 1 + strings.Count(text, "/") }

// hints proposes filters that match, and names mistakes of people who come from elsewhere.
// share is what stands before the filter in a Shared Subscription.
func (e *Explainer) hints(share, filter, name string, rows []topic.Level, i int) []Hint {
	row := rows[i]
	var hints []Hint
	propose := func(proposal, en, fr string) bool {
		if proposal == filter || topic.CheckFilter(proposal) != nil || !topic.Match(proposal, name) {
			return false
		}
		hints = append(hints, Hint{e.say(en, fr, quoted(share+proposal)), share + proposal})
		return true
	}
	first, _, _ := strings.Cut(name, "/")
	_, rest, more := strings.Cut(filter, "/")
	extra := levels(name) - levels(filter)
	switch {
	case i == 0 && name[0] == '$' && filter[0] == '#':
		propose(first+"/#", "%s matches it.", "%s lui correspond.")
	case i == 0 && name[0] == '$' && filter[0] == '+' && more:
		propose(first+"/"+rest, "%s matches it.", "%s lui correspond.")
	case row.HasFilter && strings.ContainsAny(row.Filter, "*>"):
		hints = append(hints, Hint{Text: e.say("MQTT's wildcards are + for one level and # for the rest; * and > are ordinary characters.",
			"Les jokers de MQTT sont + pour un niveau et # pour le reste ; * et > sont des caractères ordinaires.")})
	case !strings.Contains(filter, "/") && propose(strings.ReplaceAll(filter, ".", "/"), "Levels are separated by /, not by a full stop: %s matches it.",
		"Les niveaux sont séparés par /, pas par un point : %s lui correspond."):
	case !row.HasFilter && row.Name == "" && i == len(rows)-1:
		propose(filter+"/", "%s matches it; better, publish without the / at the end.", "%s lui correspond ; mieux : publier sans le / final.")
	case !row.HasFilter:
		propose(filter+"/#", "%s matches it.", "%s lui correspond.")
	case extra > 0 && extra <= 16:
		if at := strings.Index("/"+filter+"/", "/+/"); at >= 0 {
			propose(filter[:at]+strings.Repeat("+/", extra)+filter[at:], "%s matches it: one + for each level.", "%s lui correspond : un + par niveau.")
		}
	case extra < 0 && i == 0 && row.Filter == "":
		propose(filter[1:], "%s matches it: without the / at the beginning.", "%s lui correspond : sans le / initial.")
	case extra < 0 && !row.HasName && row.Filter == "":
		propose(strings.TrimSuffix(filter, "/"), "%s matches it: without the / at the end.", "%s lui correspond : sans le / final.")
	case strings.EqualFold(row.Filter, row.Name) || strings.TrimSpace(row.Filter) == strings.TrimSpace(row.Name):
		exact := strings.Split(filter, "/")
		exact[i] = row.Name
		propose(strings.Join(exact, "/"), "%s matches it.", "%s lui correspond.")
	}
	if extra > 0 && i == 0 && row.Name == "" {
		propose("/"+filter, "%s matches it; better, publish without the / at the beginning.", "%s lui correspond ; mieux : publier sans le / initial.")
	}
	return hints
}
