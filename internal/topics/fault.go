package topics

import (
	"strings"

	"github.com/colibri-mqtt/colibri/topic"
)

// Fault says what is wrong with a Topic Filter or Topic Name, and where.
type Fault struct {
	What      string `json:"what"`      // "Topic Filter" or "Topic Name", in French too
	Text      string `json:"text"`      // the whole text
	Level     int    `json:"level"`     // from 1
	Character int    `json:"character"` // from 1; behind the last if something is missing at the end
	Reason    string `json:"reason"`    // begins with the character, as in `"#" must be the last level`
	Rule      string `json:"rule"`      // the statement of the standard
	Advice    string `json:"advice,omitempty"`
	Pointer   string `json:"-"` // two lines: the text, and a "^" under the character
}

// fault makes a Fault of what package topic says.
func (e *Explainer) fault(err *topic.SyntaxError) Fault {
	translated := *err
	translated.Reason = e.translated(err.Reason)
	f := Fault{
		What: err.What, Text: err.Text, Level: err.Level(), Character: err.Character(),
		Reason: translated.Reason, Rule: err.Rule, Pointer: translated.Pointer(), Advice: e.remedy(err),
	}
	if offender := err.Offender(); offender != "" {
		if e.French {
			offender = strings.Replace(offender, "byte ", "l'octet ", 1)
		}
		f.Reason = offender + " " + f.Reason
	}
	return f
}

// remedy says what to write instead; "" where that is plain.
func (e *Explainer) remedy(err *topic.SyntaxError) string {
	before, after := err.Text[:err.Offset], err.Text[err.Offset:]
	switch err.Rule {
	case "MQTT-4.7.1-1":
		if parent, last := strings.CutSuffix(before, "/"); last && strings.HasPrefix(after, "#/") || before == "" && strings.HasPrefix(after, "#/") {
			all, one := "#", "+"+after[1:]
			if last {
				all, one = parent+"/#", parent+"/+"+after[1:]
			}
			if topic.CheckFilter(all) == nil && topic.CheckFilter(one) == nil {
				return e.say("Write %s for everything from there on, or %s where one level may be anything.",
					"Écrivez %s pour tout ce qui suit, ou %s là où un seul niveau est libre.", quoted(all), quoted(one))
			}
		}
		return e.say("Wildcards stand for whole levels: put / before the #, or take all levels above it and choose by what comes.",
			"Les jokers remplacent des niveaux entiers : mettez / avant le #, ou prenez tout le niveau et choisissez parmi ce qui vient.")
	case "MQTT-4.7.1-2":
		return e.say("Wildcards stand for whole levels, never for a part of one: make what varies a level of its own.",
			"Les jokers remplacent des niveaux entiers, jamais une partie : faites de ce qui varie un niveau à part.")
	case "MQTT-4.7.0-1":
		return e.say("A message is published to one topic; only a subscription may hold wildcards.",
			"Un message est publié sur un seul sujet ; seul un abonnement peut contenir des jokers.")
	case "MQTT-4.7.3-1":
		return e.say("In a shell, put it in single quotes: an unquoted # begins a comment, and \"$NAME\" is replaced by a variable.",
			"Dans un shell, mettez-le entre apostrophes : un # sans guillemets commence un commentaire, et \"$NOM\" est remplacé par une variable.")
	case "MQTT-4.8.2-1", "MQTT-4.8.2-2":
		return e.say("A Shared Subscription is written $share/NAME/FILTER.", "Un abonnement partagé s'écrit $share/NOM/FILTRE.")
	}
	return ""
}

// translated returns a text of package topic in the language of e.
func (e *Explainer) translated(text string) string {
	if french, ok := frenchTexts[text]; ok && e.French {
		return french
	}
	return text
}

// frenchTexts are the reasons of package topic in French.
var frenchTexts = map[string]string{
	"same":                                                         "égal",
	"+ stands for exactly one level":                               "+ remplace exactement un niveau",
	"# stands for the rest":                                        "# remplace le reste",
	"# matches its parent level too":                               "# correspond aussi au niveau parent",
	"the topic has no such level":                                  "le sujet n'a pas ce niveau",
	"the topic has more levels than the filter":                    "le sujet a plus de niveaux que le filtre",
	"the topic has more levels; + stands for exactly one":          "le sujet a plus de niveaux ; + en remplace exactement un",
	"the topic has no such level; + stands for exactly one":        "le sujet n'a pas ce niveau ; + en remplace exactement un",
	"differs by a space":                                           "diffère d'une espace",
	"differs in upper and lower case":                              "diffère en majuscules et minuscules",
	"differs":                                                      "diffère",
	"wildcards at the start do not match topics that begin with $": "un joker au début ne correspond pas aux sujets qui commencent par $",
	"is a wildcard, which only a Topic Filter may hold":            "est un joker, que seul un filtre peut contenir",
	"must be at least one character long":                          "doit avoir au moins un caractère",
	"is beyond the limit of 65,535 bytes":                          "dépasse la limite de 65 535 octets",
	"is not allowed":                                               "n'est pas permis",
	"is not well-formed UTF-8":                                     "n'est pas de l'UTF-8 bien formé",
	"must not be in a Share Name":                                  "ne peut pas être dans un nom de partage",
	"must come after a Share Name":                                 "doit suivre un nom de partage",
	`must go on with a Share Name, "/" and a Topic Filter`:         `doit continuer par un nom de partage, « / » et un filtre`,
	`must go on with "/" and a Topic Filter`:                       `doit continuer par « / » et un filtre`,
	"must go on with a Topic Filter":                               "doit continuer par un filtre",
	"must stand alone in its level":                                "doit être seul dans son niveau",
	"must be the last level":                                       "doit être le dernier niveau",
}
