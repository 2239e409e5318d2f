package topics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri/topic"
)

// Verdict says whether a text is a legal Topic Filter or Topic Name, and what is to be
// said against it. Its keys in JSON are read by scripts.
type Verdict struct {
	Text   string   `json:"text"`
	What   string   `json:"what"` // "Topic Filter" or "Topic Name", in French too
	Valid  bool     `json:"valid"`
	Fault  *Fault   `json:"fault,omitempty"` // if it is not valid
	Advice []Advice `json:"advice"`          // if it is valid
}

// Advice says what is legal but seldom meant, or costly.
type Advice struct {
	Kind string `json:"kind"` // such as "leading-slash"
	Text string `json:"text"`
}

// From here on a topic is called long, or deep: in bytes, and in levels.
const (
	longBytes  = 256
	deepLevels = 20
)

// Filter checks a Topic Filter.
func (e *Explainer) Filter(filter string) *Verdict {
	v := &Verdict{Text: filter, What: "Topic Filter", Advice: []Advice{}}
	if !e.judge(v, topic.CheckFilter(filter)) {
		return v
	}
	compared := filter
	if share, inner, ok := topic.SplitShared(filter); ok {
		compared = inner
		v.add("shared", e.say("A Shared Subscription: the filter is %s, and of the clients that share the name %s each message goes to one. Servers of MQTT 3.1.1 need not know it.",
			"Un abonnement partagé : le filtre est %s, et parmi les clients qui partagent le nom %s chaque message va à un seul. Les serveurs MQTT 3.1.1 ne le connaissent pas forcément.",
			quoted(inner), quoted(share)))
	}
	switch first, _, _ := strings.Cut(compared, "/"); {
	case compared == "#":
		v.add("firehose", e.say("It asks for every message of the server, but for topics that begin with $: each costs the server a delivery and this client its reading. Servers may refuse or pace it; name the levels that are needed.",
			"Il demande tous les messages du serveur, sauf les sujets qui commencent par $ : chacun coûte une remise au serveur et une lecture au client. Un serveur peut le refuser ou le ralentir ; nommez les niveaux voulus."))
	case strings.Trim(compared, "+/#") == "" && strings.HasSuffix(compared, "#") && first == "+":
		v.add("firehose", e.say("It asks for nearly every message of the server, as # does: name the levels that are needed.",
			"Il demande presque tous les messages du serveur, comme # : nommez les niveaux voulus."))
	case first == "+":
		v.add("broad", e.say("It begins with +: every first level is searched, and topics that begin with $ are not among them.",
			"Il commence par + : tous les premiers niveaux sont parcourus, et les sujets qui commencent par $ n'en sont pas."))
	case first == "$SYS":
		v.add("dollar", e.say("Topics below $SYS are the server's own: they tell how it does, and no client publishes there.",
			"Les sujets sous $SYS sont ceux du serveur : ils disent comment il va, et aucun client n'y publie."))
	case first == "$share" || first == "$queue":
		v.add("dollar", e.say("A Shared Subscription is written $share/NAME/FILTER; this is an ordinary filter, which looks like one.",
			"Un abonnement partagé s'écrit $share/NOM/FILTRE ; ceci est un filtre ordinaire, qui y ressemble."))
	case strings.HasPrefix(first, "$"):
		v.add("dollar", e.say("Topics that begin with $ are the server's own: what lies below %s is for the server to say.",
			"Les sujets qui commencent par $ sont ceux du serveur : lui seul dit ce qu'il y a sous %s.", quoted(first)))
	}
	if strings.ContainsAny(compared, "*>") {
		v.add("no-wildcard", e.say("* and > are ordinary characters: MQTT's wildcards are + for one level and # for the rest.",
			"* et > sont des caractères ordinaires : les jokers de MQTT sont + pour un niveau et # pour le reste."))
	}
	e.style(v, compared)
	return v
}

// Name checks a Topic Name.
func (e *Explainer) Name(name string) *Verdict {
	v := &Verdict{Text: name, What: "Topic Name", Advice: []Advice{}}
	if !e.judge(v, topic.CheckName(name)) {
		return v
	}
	if name[0] == '$' {
		v.add("dollar", e.say("Topics that begin with $ are the server's own: most servers refuse or drop what clients publish there, and no filter that begins with a wildcard finds it.",
			"Les sujets qui commencent par $ sont ceux du serveur : la plupart refusent ou jettent ce que les clients y publient, et aucun filtre qui commence par un joker ne le trouve."))
	}
	e.style(v, name)
	return v
}

// judge enters what package topic says, and reports whether the text is legal.
func (e *Explainer) judge(v *Verdict, err error) bool {
	if fault, ok := errors.AsType[*topic.SyntaxError](err); ok {
		told := e.fault(fault)
		v.Fault = &told
		return false
	}
	v.Valid = true
	return true
}

func (v *Verdict) add(kind, text string) { v.Advice = append(v.Advice, Advice{kind, text}) }

// style gives the advice that filters and names share. text is legal.
func (e *Explainer) style(v *Verdict, text string) {
	if strings.HasPrefix(text, "/") {
		advice := e.say("It begins with /, so that its first level is empty: one level more, and nothing in it.",
			"Il commence par /, son premier niveau est donc vide : un niveau de plus, sans rien dedans.")
		if bare := text[1:]; bare != "" {
			advice += e.say(" %s is something else.", " %s est autre chose.", quoted(bare))
		}
		if v.What == "Topic Filter" {
			advice += e.say(" If it was $NAME/… in a shell, put it in single quotes.", " Si c'était $NOM/… dans un shell, mettez-le entre apostrophes.")
		}
		v.add("leading-slash", advice)
	}
	if len(text) > 1 && strings.HasSuffix(text, "/") {
		v.add("trailing-slash", e.say("It ends with /, so that its last level is empty: %s is something else.",
			"Il se termine par /, son dernier niveau est donc vide : %s est autre chose.", quoted(text[:len(text)-1])))
	}
	if strings.Contains(strings.Trim(text, "/"), "//") {
		v.add("empty-level", e.say("It has an empty level: // is a level without a name, and not the same as /.",
			"Il a un niveau vide : // est un niveau sans nom, et n'équivaut pas à /."))
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) && !unicode.IsControl(r) }) {
		v.add("space", e.say("It has a space: allowed, but easily overlooked, and other programs and shells trip over it.",
			"Il contient une espace : permis, mais facile à manquer, et d'autres programmes et shells trébuchent dessus."))
	}
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		v.add("control", e.say("It has a control character, %s: servers may close the connection for it.",
			"Il contient un caractère de contrôle, %s : un serveur peut fermer la connexion pour cela.", codePoint(text[i:])))
	}
	if i := strings.IndexFunc(text, invisible); i >= 0 {
		v.add("invisible", e.say("It has a character that is not seen, %s: another text that looks the same is another topic.",
			"Il contient un caractère qui ne se voit pas, %s : un autre texte d'apparence égale est un autre sujet.", codePoint(text[i:])))
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Mn) }) {
		v.add("accent", e.say("It has an accent that is a character of its own; the same letter in one character is another topic, as bytes are compared.",
			"Il contient un accent qui est un caractère à part ; la même lettre en un seul caractère est un autre sujet, car on compare les octets."))
	}
	if len(text) > longBytes {
		v.add("long", e.say("It is %d bytes long, which travel with each message: keep topics short, or use a Topic Alias of MQTT 5.0.",
			"Il fait %d octets, qui voyagent avec chaque message : gardez les sujets courts, ou prenez un alias de sujet de MQTT 5.0.", len(text)))
	}
	if n := levels(text); n > deepLevels {
		v.add("deep", e.say("It has %d levels: some servers take fewer.", "Il a %d niveaux : certains serveurs en acceptent moins.", n))
	}
}

// maxOverlaps is how many filters are compared with one another.
const maxOverlaps = 1000

// Overlaps adds advice to the filters of which another of verdicts takes everything too.
// It looks at 1,000 filters at most.
func (e *Explainer) Overlaps(verdicts []*Verdict) {
	verdicts = verdicts[:min(len(verdicts), maxOverlaps)]
	for i, v := range verdicts {
		j := slices.IndexFunc(verdicts, func(other *Verdict) bool {
			return other != v && v.Valid && other.Valid && covers(other.Text, v.Text)
		})
		switch {
		case j < 0 || verdicts[j].Text == v.Text && j > i: // of two that are the same, the later is superfluous
		case verdicts[j].Text == v.Text:
			v.add("overlap", e.say("It is there twice.", "Il est là deux fois."))
		default:
			v.add("overlap", e.say("%s asks for all of it already: a client with both may get its messages twice.",
				"%s demande déjà tout cela : un client avec les deux peut recevoir ses messages deux fois.", quoted(verdicts[j].Text)))
		}
	}
}

// covers reports whether wide matches every topic that narrow matches. It may miss some
// pairs, such as "+/#" and "#", and finds none that is wrong. Shared Subscriptions are
// covered by nothing but themselves.
func covers(wide, narrow string) bool {
	if wide == narrow {
		return true
	}
	if strings.HasPrefix(narrow, "$share/") || !topic.Match(wide, narrow) {
		return false
	}
	return !strings.HasSuffix(narrow, "#") || strings.HasSuffix(wide, "#") && levels(wide) <= levels(narrow)
}

// invisible reports whether r shows nothing, though it is no control character.
func invisible(r rune) bool {
	return !unicode.IsPrint(r) && !unicode.IsControl(r) && !unicode.IsSpace(r)
}

// codePoint names the first character of text, as U+00E9.
func codePoint(text string) string {
	r, _ := utf8.DecodeRuneInString(text)
	return fmt.Sprintf("U+%04X", r)
}
