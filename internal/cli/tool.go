package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// toolFlag is one flag of a command that is neither a client nor the broker.
type toolFlag struct {
	names  []string
	verbs  string // that have it, with spaces between; empty for all, and for a command without verbs
	value  string // what the value is called in the help; empty without one
	help   string
	values []string // that the value can have, for the shell; nil for any
	file   bool     // the value is the name of a file, for the shell
	dir    bool     // the value is the name of a directory, for the shell
	apply  func(value string) error
}

func (f *toolFlag) belongs(verb string) bool {
	return f.verbs == "" || slices.Contains(strings.Fields(f.verbs), verb)
}

// parseTool reads args. What is no flag goes to argument, in its order; everything behind "--"
// does. verb is where argument puts the verb, so that a flag of another one is refused; nil for a
// command without verbs.
func parseTool(args []string, flags []toolFlag, verb *string, argument func(text string) error) error {
	for len(args) > 0 {
		typed := args[0]
		args = args[1:]
		if typed == "--" {
			for _, text := range args {
				if err := argument(text); err != nil {
					return err
				}
			}
			return nil
		}
		if !strings.HasPrefix(typed, "-") || typed == "-" {
			if err := argument(typed); err != nil {
				return err
			}
			continue
		}
		name, value, joined := strings.Cut(typed, "=")
		i := slices.IndexFunc(flags, func(f toolFlag) bool { return slices.Contains(f.names, name) })
		if i < 0 {
			return unknownToolFlag(flags, name)
		}
		f := &flags[i]
		switch {
		case verb != nil && !f.belongs(*verb):
			return usagef("'%s' belongs behind %s.", name, quotedList(strings.Fields(f.verbs)))
		case f.value == "" && joined:
			return usagef("'%s' takes no value.", name)
		case f.value != "" && !joined && len(args) == 0:
			return usagef("'%s' needs a %s behind it.", name, f.value)
		case f.value != "" && !joined:
			value, args = args[0], args[1:]
		}
		if err := f.apply(value); err != nil {
			if _, ok := errors.AsType[*usageError](err); ok {
				return err
			}
			return usagef("%s", sentence(err.Error()))
		}
	}
	return nil
}

// unknownToolFlag names the flag and the nearest one.
func unknownToolFlag(flags []toolFlag, typed string) error {
	bare := strings.TrimLeft(typed, "-")
	near, limit := "", max(2, 1+len(bare)/3)
	for _, f := range flags {
		for _, known := range f.names {
			if d := distance(bare, strings.TrimLeft(known, "-")); len(known) > 2 && d < limit {
				near, limit = known, d
			}
		}
	}
	if near != "" {
		return usagef("Unknown option '%s'; the nearest is '%s'.", typed, near)
	}
	return usagef("Unknown option '%s'.", typed)
}

// quotedList writes words as in "'a', 'b' or 'c'".
func quotedList(words []string) string {
	text := "'" + words[0] + "'"
	for i, w := range words[1:] {
		if i == len(words)-2 {
			text += " or '" + w + "'"
		} else {
			text += ", '" + w + "'"
		}
	}
	return text
}

// completeVerbs offers the verbs of a command, with their help, that begin with typed.
func completeVerbs(typed string, verbs func(yield func(name, help string) bool)) ([]cobra.Completion, cobra.ShellCompDirective) {
	var offers []cobra.Completion
	for name, help := range verbs {
		if strings.HasPrefix(name, typed) {
			offers = append(offers, cobra.CompletionWithDesc(name, help))
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// valueOf returns the flag whose value is to come behind args; nil when none is.
func valueOf(flags []toolFlag, args []string) *toolFlag {
	for i := range flags {
		if f := &flags[i]; len(args) > 0 && f.value != "" && slices.Contains(f.names, args[len(args)-1]) {
			return f
		}
	}
	return nil
}

// completeTool offers the flags, and what belongs behind them, that a shell can put in place of
// typed, behind args. With verb, those of that verb alone.
func completeTool(flags []toolFlag, verb string, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if f := valueOf(flags, args); f != nil {
		switch {
		case f.values != nil:
			return withPrefix(f.values, typed), cobra.ShellCompDirectiveNoFileComp
		case f.dir:
			return nil, cobra.ShellCompDirectiveFilterDirs
		case f.file:
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []cobra.Completion
	for _, f := range flags {
		for _, name := range f.names {
			if strings.HasPrefix(name, typed) && f.belongs(verb) {
				offers = append(offers, cobra.CompletionWithDesc(name, f.help))
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// toolFlagsHelp is the list of flags as --help prints it, with their texts in that column.
func toolFlagsHelp(flags []toolFlag, column int) string {
	var b strings.Builder
	for _, f := range flags {
		left, help := "  "+strings.TrimSpace(strings.Join(f.names, ", ")+" "+f.value), f.help
		if f.verbs != "" {
			help = "(" + strings.ReplaceAll(f.verbs, " ", ", ") + ") " + help
		}
		fmt.Fprintf(&b, "%-*s%s\n", column, left, wrapped(help, column))
	}
	return b.String()
}
