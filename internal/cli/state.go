package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/wal"
)

// Exit codes of state, besides exitOK and exitConfig.
const (
	exitStateBad    = 1 // the state is damaged, or cannot be read
	exitStateUntold = 2 // repair has something to cut, and was not told --yes
)

// stateOptions are what state is told.
type stateOptions struct {
	verb       string // check, dump or repair
	dir        string // empty for the broker's own
	configFile string
	json, yes  bool
	help       bool
}

// flags are those of state.
func (o *stateOptions) flags() []toolFlag {
	return []toolFlag{
		{names: []string{"-c", "--config-file"}, value: "FILE", file: true, help: "take the directory from the configuration in FILE, as the broker does",
			apply: func(value string) error { o.configFile = value; return nil }},
		{names: []string{"--json"}, verbs: "check", help: "print the summary, or the fault, as one JSON object",
			apply: func(string) error { o.json = true; return nil }},
		{names: []string{"--yes"}, verbs: "repair", help: "cut what is torn; without it, repair only says what it would cut",
			apply: func(string) error { o.yes = true; return nil }},
		{names: []string{"-h", "--help"}, help: "print this help",
			apply: func(string) error { o.help = true; return nil }},
	}
}

// stateVerbs are the things that state does.
var stateVerbs = []struct {
	name, help string
	run        func(env *invocation, o *stateOptions) int
}{
	{"check", "read all of it as the broker would, and say what it holds", checkState},
	{"dump", "print every entry as one line of JSON, in the order in which they were written", dumpState},
	{"repair", "cut what a crash has left of the last write; nothing else is ever changed", repairState},
}

func stateCommand() command {
	return command{
		name:     "state",
		summary:  "Check, print or repair what a broker keeps on disk",
		run:      runState,
		help:     writeStateHelp,
		complete: completeState,
	}
}

// completeState offers what a shell can put in place of typed, behind args.
func completeState(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeVerbs(typed, func(yield func(name, help string) bool) {
			for _, v := range stateVerbs {
				if !yield(v.name, v.help) {
					return
				}
			}
		})
	}
	flags := (&stateOptions{}).flags()
	if strings.HasPrefix(typed, "-") || valueOf(flags, args) != nil {
		return completeTool(flags, args[0], args, typed)
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// parseStateOptions reads the command line of state.
func parseStateOptions(args []string) (*stateOptions, error) {
	o := &stateOptions{}
	err := parseTool(args, o.flags(), &o.verb, func(text string) error {
		switch {
		case o.verb == "":
			o.verb = text
		case o.dir == "":
			o.dir = text
		default:
			return usagef("There is a second directory, '%s'; give one.", text)
		}
		return nil
	})
	if err != nil {
		return o, err
	}
	switch {
	case o.help:
	case o.verb == "":
		return o, usagef("Say what to do: check, dump or repair.")
	case o.dir != "" && o.configFile != "":
		return o, usagef("Give a directory or a configuration, not both.")
	}
	return o, nil
}

// runState is the command.
func runState(env *invocation, args []string) int {
	o, err := parseStateOptions(args)
	if o.help {
		writeStateHelp(env.stdout, env.name)
		return exitOK
	}
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	for _, v := range stateVerbs {
		if v.name != o.verb {
			continue
		}
		if o.dir, err = o.directory(); err != nil {
			fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
			return exitConfig
		}
		return v.run(env, o)
	}
	env.printUsageError(usagef("Unknown command '%s'; there are check, dump and repair.", o.verb))
	return exitConfig
}

// directory returns where the state lies.
func (o *stateOptions) directory() (string, error) {
	if o.dir != "" {
		return o.dir, nil
	}
	c := config.Default()
	if o.configFile != "" {
		var err error
		if c, err = config.Read(o.configFile); err != nil {
			return "", err
		}
	}
	s := &brokerServer{config: c, options: &brokerOptions{}}
	name := s.stateName()
	if name == "" {
		return "", errors.New("a broker of this configuration keeps no state, as its port changes with each start")
	}
	return stateDirectory(c, name, "")
}

// stateFault is a fault of a state, and where it is.
type stateFault struct {
	File   string // empty when no file is at fault
	Offset int64
	err    error
}

// Error returns a sentence. It never begins with the name of a file, whose first letter
// would not stay as it is.
func (f *stateFault) Error() string {
	if f.File != "" {
		return sentence("the state cannot be read: " + f.err.Error())
	}
	return sentence(f.err.Error())
}

func (f *stateFault) Unwrap() error { return f.err }

// faultOf finds out where a fault is.
func faultOf(err error) *stateFault {
	if fault, ok := errors.AsType[*stateFault](err); ok {
		return fault
	}
	if corrupt, ok := errors.AsType[*wal.CorruptError](err); ok {
		return &stateFault{corrupt.File, corrupt.Offset, corrupt}
	}
	if version, ok := errors.AsType[*wal.VersionError](err); ok {
		return &stateFault{version.File, 0, version}
	}
	return &stateFault{err: err}
}

// noState says that a directory has none of the files of a state.
func noState(dir string) error {
	inner := filepath.Join(dir, "colibri")
	if _, err := os.Stat(inner); err == nil {
		return fmt.Errorf("there is no state in %s: did you mean %s", dir, inner)
	}
	return fmt.Errorf("there is no state in %s: a broker keeps it in the directory colibri of its persistence_location, or in colibri/PORT where it has none", dir)
}

func writeStateHelp(w io.Writer, name string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s {check | dump | repair} [DIR] [FLAGS]\n\nCommands:\n", wrapped(
		"Look at what a broker keeps on disk, without a broker. DIR is the directory that the broker names when it starts: colibri in its persistence_location. Without DIR it is the one of a broker that was started without a configuration, on port 1883.", 0), name)
	for _, v := range stateVerbs {
		fmt.Fprintf(&b, "  %-12s%s\n", v.name, wrapped(v.help, 14))
	}
	b.WriteString("\nExamples:\n")
	for _, e := range [][2]string{
		{"check", "is it whole, and what is in it?"},
		{"check -c my.conf --json", "for scripts, where my.conf says"},
		{"dump /var/lib/mosquitto/colibri", "what has been written, and when"},
		{"repair --yes", "cut a torn end, as the broker does when it starts"},
	} {
		fmt.Fprintf(&b, "  %s %-32s # %s\n", name, e[0], e[1])
	}
	b.WriteString("\nFlags:\n")
	b.WriteString(toolFlagsHelp((&stateOptions{}).flags(), 28))
	fmt.Fprintf(&b, `
%s

Exit code:
  0 the state is whole; 1 it is damaged or cannot be read; 2 repair would cut something and
  was not told --yes; 3 mistake in the flags or the configuration.
`, wrapped("check and dump change nothing and need no broker to be stopped; but one that runs writes on meanwhile, so that they may see a torn end, or fail when it lets go of a file. repair refuses while a broker runs. What is damaged before the end is never repaired: bring it back from a copy.", 0))
	io.WriteString(w, b.String())
}
