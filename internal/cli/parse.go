package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// setting is one flag of a command line or options file with its values.
type setting struct {
	flag   *flag
	typed  string // the name as it was typed
	values []string
	file   string // options file it stands in; empty for the command line
	line   int
}

// parseOptions reads the options file and then the command line, and checks the whole.
// name is how the program was called, for error texts.
func parseOptions(p program, name string, args []string) (*options, error) {
	o := newOptions(p)
	typed, mistake := scan(p, name, args)
	// What comes before a mistake counts: --help does, wherever the mistake is.
	if err := applyQuestions(o, typed); err != nil {
		return nil, err
	}
	if mistake != nil {
		return nil, mistake
	}
	path, given, err := chosenOptionsFile(p, typed)
	if err != nil {
		return nil, err
	}
	settings, err := readOptionsFile(p, name, path, given)
	if err != nil {
		return nil, err
	}
	for _, s := range append(settings, typed...) {
		if err := s.applyTo(o); err != nil {
			return nil, err
		}
	}
	return o, o.check()
}

// applyQuestions answers --help and --version before anything else is looked at.
func applyQuestions(o *options, settings []setting) error {
	for _, s := range settings {
		if s.flag.apply == nil || s.flag.value != "" || s.flag.group != groupOther {
			continue
		}
		if err := s.flag.apply(o, ""); err != nil {
			return err
		}
	}
	return nil
}

// scan cuts a command line into flags and their values. With an error it returns what
// it understood before.
func scan(p program, name string, args []string) ([]setting, error) {
	var settings []setting
	for len(args) > 0 {
		f := lookup(p, args[0])
		if f == nil && p == topicTree && !strings.HasPrefix(args[0], "-") {
			settings = append(settings, setting{flag: lookup(p, "-t"), typed: args[0], values: args[:1]})
			args = args[1:]
			continue
		}
		if f == nil {
			return settings, unknownFlag(p, name, args[0])
		}
		s := setting{flag: f, typed: args[0]}
		args = args[1:]
		switch {
		case f.applyList != nil:
			used := propertyArguments(args)
			if used > len(args) {
				return settings, usagef("--property argument given but not enough arguments specified.")
			}
			s.values, args = args[:used], args[used:]
		case f.value != "":
			if len(args) == 0 {
				return settings, usagef("%s argument given but no %s specified.", s.typed, f.missing)
			}
			s.values, args = args[:1], args[1:]
		}
		settings = append(settings, s)
	}
	return settings, nil
}

// applyTo writes s into o. Errors of an options file begin with its name and line.
func (s *setting) applyTo(o *options) error {
	var err error
	switch {
	case s.flag.applyList != nil:
		err = s.flag.applyList(o, s.values)
	case len(s.values) > 0:
		err = s.flag.apply(o, s.values[0])
	default:
		err = s.flag.apply(o, "")
	}
	var later *refusedError
	if errors.As(err, &later) {
		err = &usageError{text: fmt.Sprintf("'%s' is known, but %s.", s.typed, later), hasHelp: true}
	}
	if err != nil && s.file != "" {
		return atLine(err, s.file, s.line)
	}
	return err
}

// atLine puts the name of a file and a line number before the text of a usage error.
func atLine(err error, file string, line int) error {
	var usage *usageError
	if !errors.As(err, &usage) {
		return err
	}
	placed := *usage
	placed.text = fmt.Sprintf("%s:%d: %s", file, line, usage.text)
	return &placed
}

// unknownFlag names the flag, the nearest one that exists, and where help is, in one
// sentence.
func unknownFlag(p program, name, typed string) error {
	text := fmt.Sprintf("Unknown option '%s'", typed)
	if near := nearestFlag(p, typed); near != "" {
		text += fmt.Sprintf("; the nearest is '%s'", near)
	}
	return &usageError{text: text + fmt.Sprintf(", see '%s --help'.", name), hasHelp: true}
}

// nearestFlag returns the flag of p that was probably meant by typed, or "": a flag
// that differs in few letters, or one that begins with what was typed.
func nearestFlag(p program, typed string) string {
	bare := strings.ToLower(strings.TrimLeft(typed, "-"))
	if before, _, ok := strings.Cut(bare, "="); ok {
		bare = before
	}
	best, limit := "", max(2, 1+len(bare)/3)
	if !strings.HasPrefix(typed, "-") {
		limit = 1 // a word is meant as a flag only if it is the name of one
	}
	for _, name := range flagNames(p) {
		known := strings.ToLower(strings.TrimLeft(name, "-"))
		if len(known) == 1 {
			continue // one letter is near any other letter
		}
		d := distance(bare, known)
		if len(bare) >= 3 && strings.HasPrefix(known, bare) {
			d = min(d, 1)
		}
		if d < limit {
			best, limit = name, d
		}
	}
	return best
}

// flagNames returns all names of the flags of p, in the order of the table.
func flagNames(p program) []string {
	var names []string
	for i := range flags {
		if flags[i].in&p != 0 && flags[i].group != groupLater {
			names = append(names, flags[i].names...)
		}
	}
	return names
}

// distance is the number of letters to insert, remove, replace, or swap with their
// neighbour, to turn a into b.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = slices.Min([]int{next[j] + 1, row[j+1] + 1, row[j] + cost})
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
