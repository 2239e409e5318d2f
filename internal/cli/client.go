package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// clientCommand makes the row of pub, sub or rr.
func clientCommand(p program, name, summary string, run func(env *invocation, o *options) int) command {
	return command{
		name:      name,
		mosquitto: optionsFileNames[p],
		summary:   summary,
		run: func(env *invocation, args []string) int {
			o, err := parseOptions(p, env.name, args)
			switch {
			case errors.Is(err, errHelp):
				writeHelp(env.stdout, p, env.name)
				return env.askedFor()
			case errors.Is(err, errVersion):
				fmt.Fprintln(env.stdout, versionLine(env.name))
				return env.askedFor()
			case err != nil:
				env.printUsageError(err)
				return exitUsage
			}
			return run(env, o)
		},
		help: func(w io.Writer, name string) { writeHelp(w, p, name) },
		complete: func(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return completeFlags(p, args, typed)
		},
	}
}

// askedFor is the exit code of --help and --version. Mosquitto's programs exit with 1.
func (env *invocation) askedFor() int {
	if env.mosquitto {
		return exitUsage
	}
	return exitOK
}
