// Package cli holds the commands of the program colibri, one file each: pub, sub, rr,
// broker, passwd, inspect, capture, top, why, state, acl, topic, pki, version. It is the only package that wires the others together.
//
// One binary is many programs: called by the name of a Mosquitto program, also through
// a link, it behaves as that program.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// command is one row of the table of commands.
type command struct {
	name      string   // as in "colibri NAME"
	mosquitto string   // the Mosquitto program it stands for; may be empty
	summary   string   // one line for the list of commands
	run       runFunc  // reads its own flags, --help too
	help      helpFunc // writes what --help prints

	// complete offers what may follow args for the shell; nil for nothing.
	complete func(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective)
}

// runFunc runs a command with the arguments behind its name and returns the exit code.
type runFunc func(env *invocation, args []string) int

// helpFunc writes the help of a command that is called name.
type helpFunc func(w io.Writer, name string)

// invocation is what a command knows about how it was called.
type invocation struct {
	// ctx is done when the program is asked to end, by SIGINT or SIGTERM.
	ctx context.Context

	name      string // as the person typed it: "colibri pub" or "mosquitto_pub"
	mosquitto bool   // called by the name of a Mosquitto program
	alone     bool   // the process is the program's own: it may become another user's

	stdin          io.Reader
	stdout, stderr io.Writer
}

// commands returns the table of commands, in the order of the list in the help.
func commands() []command {
	return []command{
		clientCommand(pub, "pub", "Publish messages", runPub),
		clientCommand(sub, "sub", "Subscribe to topics and print the messages", runSub),
		clientCommand(rr, "rr", "Send a request and print the answer", runRR),
		brokerCommand(),
		passwdCommand(),
		inspectCommand(),
		captureCommand(),
		topCommand(),
		whyCommand(),
		stateCommand(),
		aclCommand(),
		topicCommand(),
		pkiCommand(),
		versionCommand(),
	}
}

// Main runs the program with args, args[0] being the name it was called by, and
// returns its exit code. SIGINT and SIGTERM end a running command cleanly.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if isHasher(args) {
		return runHasher(args, stdin, stdout)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away is an error of the write
	return (&invocation{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, alone: true}).run(args)
}

// run is Main for a caller that has its own way to end the program, ctx, and whose process
// does other things as well.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return (&invocation{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}).run(args)
}

func (env *invocation) run(args []string) int {
	called := "colibri"
	if len(args) > 0 {
		called = strings.TrimSuffix(filepath.Base(args[0]), ".exe")
		args = args[1:]
	}
	env.name = called
	for _, c := range commands() {
		if c.mosquitto != "" && c.mosquitto == called {
			env.mosquitto = true
			return c.run(env, args)
		}
	}
	return env.runTree(args)
}

// runTree finds the command among args, as in "colibri sub -t a".
func (env *invocation) runTree(args []string) int {
	exit := exitOK
	root := &cobra.Command{
		Use:           "colibri",
		Short:         "An MQTT broker, its clients and its tools in one program",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		},
	}
	root.SetArgs(args)
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetContext(env.ctx)
	for _, c := range commands() {
		leaf := &cobra.Command{
			Use:                c.name,
			Short:              c.summary,
			DisableFlagParsing: true, // -h is the host, and no flag library reads -D
			Run: func(_ *cobra.Command, args []string) {
				named := *env
				named.name = "colibri " + c.name
				exit = c.run(&named, args)
			},
		}
		if c.help != nil {
			leaf.SetHelpFunc(func(*cobra.Command, []string) { c.help(env.stdout, "colibri "+c.name) })
		}
		if c.complete != nil {
			leaf.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return c.complete(args, typed)
			}
		}
		root.AddCommand(leaf)
	}
	var version bool
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.PreRunE = func(*cobra.Command, []string) error {
		if version {
			fmt.Fprintln(env.stdout, versionLine("colibri"))
			return errVersion
		}
		return nil
	}
	switch err := root.Execute(); {
	case err == nil, errors.Is(err, errVersion):
		return exit
	default:
		fmt.Fprintf(env.stderr, "Error: %s, see 'colibri --help'.\n", capitalised(strings.TrimSuffix(err.Error(), ".")))
		return exitUsage
	}
}

// unknownCommand names what was typed and the nearest command.
func unknownCommand(root *cobra.Command, typed string) error {
	best, bestDistance := "", max(2, 1+len(typed)/3)
	for _, c := range root.Commands() {
		if d := distance(typed, c.Name()); d < bestDistance {
			best, bestDistance = c.Name(), d
		}
	}
	if best != "" {
		return fmt.Errorf("unknown command '%s'; the nearest is '%s'", typed, best)
	}
	return fmt.Errorf("unknown command '%s'", typed)
}
