package inspect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Explainer says what packets and fields mean, in English or French. The texts are in
// one table for packets and one for fields; both name the section of the standard: of
// MQTT 5.0, or of 3.1.1 for the older versions.
type Explainer struct{ French bool }

// explanation is a row of the tables. A place that is empty in old is that of five.
type explanation struct {
	en, fr    string
	five, old string // sections of 5.0 and of 3.1.1
}

// text returns the text, and the section with the name of the standard.
func (x *explanation) text(french bool, v colibri.Version) (text, section string) {
	text = x.en
	if french {
		text = x.fr
	}
	switch {
	case v != colibri.V5 && x.old != "":
		section = "MQTT 3.1.1, " + x.old
	case x.five != "":
		section = "MQTT 5.0, " + x.five
	}
	return text, section
}

// Field says what a field means, and the section of the standard that says so; "" where
// the name says it all.
func (e *Explainer) Field(f *packet.Field, t packet.Type, v colibri.Version) (text, section string) {
	x, ok := fieldTexts[t.String()+" "+f.Name]
	if !ok && f.Mask != 0 {
		x, ok = fieldTexts["bits "+f.Name]
	}
	if !ok {
		x, ok = fieldTexts[f.Name]
	}
	if !ok {
		return "", ""
	}
	return x.text(e.French, v)
}

// Packet says what a packet does, what follows, and where the standard says so.
func (e *Explainer) Packet(r *Record) string {
	x, ok := packetTexts[situation(r)]
	if !ok {
		x = packetTexts[r.Type.String()]
	}
	text, section := x.text(e.French, r.Version)
	if section != "" {
		text += " (" + section + ")"
	}
	if r.Guessed {
		guess := "The version is a guess, as the CONNECT of this connection was not seen."
		if e.French {
			guess = "La version est une supposition : le CONNECT de cette connexion n'a pas été vu."
		}
		text += " " + guess
	}
	if r.Missing > 0 {
		lack := fmt.Sprintf("%d bytes of it are not in the capture and stand here as zeros.", r.Missing)
		if e.French {
			lack = fmt.Sprintf("%d octets manquent à la capture et figurent ici comme des zéros.", r.Missing)
		}
		text += " " + lack
	}
	return text
}

// situation names the row of packetTexts for what a packet does here.
func situation(r *Record) string {
	name := r.Type.String()
	switch p := r.Packet.(type) {
	case *packet.Connack:
		if p.Code != 0 {
			return name + " refused"
		}
		if p.SessionPresent {
			return name + " present"
		}
	case *packet.Publish:
		return fmt.Sprintf("%s %d", name, p.QoS)
	case *packet.Suback:
		for _, code := range p.Codes {
			if code.Failed() {
				return name + " refused"
			}
		}
	case *packet.Puback:
		if p.Code.Failed() {
			return name + " refused"
		}
	case *packet.Pubrec:
		if p.Code.Failed() {
			return name + " refused"
		}
	case *packet.Disconnect:
		switch {
		case !r.FromClient:
			return name + " server"
		case p.Code == colibri.DisconnectWithWillMessage:
			return name + " will"
		}
	}
	return name
}

// Fault says what is wrong with a packet, and the statement of the standard it breaks.
func (e *Explainer) Fault(fault *colibri.Error) string {
	cause := ""
	if fault.Err != nil {
		cause = fault.Err.Error()
	}
	standard, id := "MQTT 5.0", fault.Rule
	if strings.HasPrefix(id, "MQTT311-") {
		standard = "MQTT 3.1.1"
	}
	if e.French {
		if translated, ok := causeTexts[cause]; ok {
			cause = translated
		}
		text := fmt.Sprintf("Faute : %s : %s. Qui le reçoit répond %s ou ferme la connexion.", fault.Op, cause, fault.Code.Error())
		if id != "" {
			text += fmt.Sprintf(" Règle enfreinte : [%s] de %s.", id, standard)
		}
		return text
	}
	text := fmt.Sprintf("Fault: %s: %s. Who receives it answers %s, or closes the connection.", fault.Op, cause, fault.Code.Error())
	if id != "" {
		text += fmt.Sprintf(" It breaks the rule [%s] of %s.", id, standard)
	}
	return text
}

// FaultOf is Fault for any error of a Record.
func (e *Explainer) FaultOf(err error) string {
	if fault, ok := errors.AsType[*colibri.Error](err); ok {
		return e.Fault(fault)
	}
	return err.Error()
}

// causeTexts are the causes of package packet in French.
var causeTexts = map[string]string{
	"0 is reserved":                             "0 est réservé",
	"5.0 has no mark for a bridge":              "la 5.0 n'a pas de marque pour un pont",
	"bytes follow the last field":               "des octets suivent le dernier champ",
	"goes past the end":                         "dépasse la fin du paquet",
	"holds a wildcard character":                "contient un joker (+ ou #)",
	"holds U+0000":                              "contient le caractère U+0000",
	"is 0":                                      "vaut 0",
	"is empty":                                  "est vide",
	"is longer than 65,535 bytes":               "est plus long que 65 535 octets",
	"is longer than four bytes":                 "est plus long que quatre octets",
	"is more than 2":                            "est plus grand que 2",
	"is more than 268,435,455":                  "est plus grand que 268 435 455",
	"is not well-formed UTF-8":                  "n'est pas de l'UTF-8 bien formé",
	"is set without the User Name Flag":         "est levé sans le drapeau du nom d'utilisateur",
	"is there twice":                            "est là deux fois",
	"is there without an Authentication Method": "est là sans méthode d'authentification",
	"is too large":                              "est trop grand",
	"is neither MQTT nor MQIsdp":                "n'est ni MQTT ni MQIsdp",
	"must be 0000":                              "doit valoir 0000",
	"must be 0010":                              "doit valoir 0010",
	"only 3 goes with MQIsdp":                   "seul 3 va avec MQIsdp",
	"reserved bits are set":                     "des bits réservés sont levés",
	"the reserved bit is set":                   "le bit réservé est levé",
	"takes more bytes than it needs":            "prend plus d'octets qu'il n'en faut",
	"there is none":                             "il n'y en a pas",
}
