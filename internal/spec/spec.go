// Package spec is the list of the normative statements of MQTT 5.0 and 3.1.1, in
// our words, and finds the tests that cover each. Only tests and the command that
// writes docs/CONFORMANCE.md use it.
//
// A statement of 5.0 has the id that the standard gives it, such as MQTT-3.1.0-1.
// The standard of 3.1.1 numbers its own statements the same way, with other
// meanings; their ids begin with MQTT311- here.
package spec

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
)

// Statement is one normative statement of a standard.
type Statement struct {
	ID      string // as the tests name it, without brackets
	Binds   Party
	Section string // of the standard, such as "3.1.2", as far as the id tells it
	Short   string // what must hold, in our words
}

// Party is whom a statement binds. It is our reading: the standard does not say it
// in one place.
type Party string

// The parties. A statement on the form of a packet binds Both: one end must send
// it so, the other must refuse it otherwise.
const (
	Server Party = "Server"
	Client Party = "Client"
	Both   Party = "Both"
)

//go:embed statements5.tsv
var text5 string

//go:embed statements311.tsv
var text311 string

var (
	statements5   = parse(text5)
	statements311 = parse(text311)
	byID          = index(statements5, statements311)
)

// Statements5 returns the 251 statements of MQTT 5.0 in the order of the standard.
// The slice is the caller's.
func Statements5() []Statement { return slices.Clone(statements5) }

// Statements311 returns the 140 statements of MQTT 3.1.1 in the order of the
// standard. The slice is the caller's.
func Statements311() []Statement { return slices.Clone(statements311) }

// Lookup returns the statement with this id, which has no brackets.
func Lookup(id string) (Statement, bool) {
	s, ok := byID[id]
	return s, ok
}

// idPattern matches what looks like the id of a statement, known or not.
var idPattern = regexp.MustCompile(`MQTT(?:311)?-[0-9]+(?:\.[0-9]+)+-[0-9]+`)

// Named returns what text names in the form of a statement id, in its order. Not
// all of it need be an id that exists.
func Named(text string) []string { return idPattern.FindAllString(text, -1) }

// parse reads one of the embedded lists. A line that is not as it should be is a
// mistake in this package, so it panics.
func parse(text string) []Statement {
	var all []Statement
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			panic("spec: want id, whom it binds and what must hold, with tabs between: " + line)
		}
		all = append(all, Statement{
			ID:      fields[0],
			Binds:   Party(fields[1]),
			Section: section(fields[0]),
			Short:   fields[2],
		})
	}
	return all
}

// section returns the section that an id names: "3.1" for MQTT-3.1.0-2.
func section(id string) string {
	first, last := strings.Index(id, "-"), strings.LastIndex(id, "-")
	number := id[first+1 : last]
	for strings.HasSuffix(number, ".0") {
		number = strings.TrimSuffix(number, ".0")
	}
	return number
}

func index(lists ...[]Statement) map[string]Statement {
	byID := map[string]Statement{}
	for _, s := range slices.Concat(lists...) {
		byID[s.ID] = s
	}
	return byID
}
