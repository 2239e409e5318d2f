package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// toolFlag is one flag of a command that is neither a client nor the broker.
type toolFlag struct {
	names []string
	value string // what the value is called in the help; empty without one
	help  string
	file  bool // the value is the name of a file, for the shell
	apply func(value string) error
}

// parseTool reads args. What is no flag goes to argument, in its order; everything behind "--"
// does.
func parseTool(args []string, flags []toolFlag, argument func(text string) error) error {
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
		case f.value == "" && joined:
			return usagef("'%s' takes no value.", name)
		case f.value != "" && !joined && len(args) == 0:
			return usagef("'%s' needs a %s behind it.", name, f.value)
		case f.value != "" && !joined:
			value, args = args[0], args[1:]
		}
		if err := f.apply(value); err != nil {
			return err
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

// completeTool offers what a shell can put in place of typed, behind args.
func completeTool(flags []toolFlag, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		for _, f := range flags {
			if f.value != "" && slices.Contains(f.names, args[len(args)-1]) {
				if f.file {
					return nil, cobra.ShellCompDirectiveDefault
				}
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
		}
	}
	var offers []cobra.Completion
	for _, f := range flags {
		for _, name := range f.names {
			if strings.HasPrefix(name, typed) {
				offers = append(offers, cobra.CompletionWithDesc(name, f.help))
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// toolFlagsHelp is the list of flags as --help prints it.
func toolFlagsHelp(flags []toolFlag) string {
	var b strings.Builder
	for _, f := range flags {
		left := "  " + strings.TrimSpace(strings.Join(f.names, ", ")+" "+f.value)
		fmt.Fprintf(&b, "%-28s%s\n", left, wrapped(f.help, 28))
	}
	return b.String()
}
