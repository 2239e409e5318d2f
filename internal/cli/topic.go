package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes of topic explain and topic check, besides exitOK and exitConfig.
const (
	exitNoMatch      = 1 // the filter does not match the topic
	exitTopicInvalid = 2 // a filter or a topic is against the rules
)

// topicOptions are what topic explain and topic check are told.
type topicOptions struct {
	verb      string // explain or check
	arguments []string
	names     bool // check Topic Names
	french    bool
	json      bool
	help      bool
}

// flags are those of topic explain and topic check.
func (o *topicOptions) flags() []toolFlag {
	return []toolFlag{
		{names: []string{"--name"}, verbs: "check", help: "check Topic Names, to which messages are published, instead of Topic Filters",
			apply: func(string) error { o.names = true; return nil }},
		{names: []string{"--lang"}, value: "LANGUAGE", values: languages, help: "the language of the answer: en or fr",
			apply: func(value string) (err error) {
				o.french, err = parseLanguage(value)
				return err
			}},
		{names: []string{"--json"}, help: "print one JSON object",
			apply: func(string) error { o.json = true; return nil }},
		{names: []string{"-h", "--help"}, help: "print this help",
			apply: func(string) error { o.help = true; return nil }},
	}
}

// topicVerbs are the things that topic does.
var topicVerbs = []struct{ name, usage, help string }{
	{"explain", "explain [FLAGS] FILTER TOPIC", "say why a filter matches a topic or does not, level by level"},
	{"check", "check [--name] [FLAGS] FILTER...", "say whether filters are right, what is wrong with them, and what is seldom meant"},
	{"tree", "tree [FLAGS OF sub] [FILTER...]", "show the topics of a broker as a live tree, with values and rates; see 'topic tree --help'"},
}

func topicCommand() command {
	return command{
		name:     "topic",
		summary:  "Explain filters, check topics, and show a broker's topics as a tree",
		run:      runTopic,
		help:     writeTopicHelp,
		complete: completeTopic,
	}
}

// completeTopic offers what a shell can put in place of typed, behind args.
func completeTopic(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeVerbs(typed, func(yield func(name, help string) bool) {
			for _, v := range topicVerbs {
				if !yield(v.name, v.help) {
					return
				}
			}
		})
	}
	if args[0] == "tree" {
		return completeFlags(topicTree, args[1:], typed)
	}
	flags := (&topicOptions{}).flags()
	if strings.HasPrefix(typed, "-") || valueOf(flags, args) != nil {
		return completeTool(flags, args[0], args, typed)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// parseTopicOptions reads the command line of topic explain and topic check.
func parseTopicOptions(args []string) (*topicOptions, error) {
	o := &topicOptions{}
	err := parseTool(args, o.flags(), &o.verb, func(text string) error {
		if o.verb == "" {
			o.verb = text
		} else {
			o.arguments = append(o.arguments, text)
		}
		return nil
	})
	if err != nil || o.help {
		return o, err
	}
	return o, o.check()
}

// check refuses what is missing, and what is too much.
func (o *topicOptions) check() error {
	switch o.verb {
	case "":
		return usagef("Say what to do: explain, check or tree.")
	case "explain":
		switch {
		case len(o.arguments) < 2:
			return usagef("Give a filter and a topic, each in single quotes: a shell takes # for the begin of a comment and $ for that of a variable.")
		case len(o.arguments) > 2:
			return usagef("There is a third text, '%s'; give a filter and a topic, in quotes when they have spaces.", shown(o.arguments[2]))
		}
	case "check":
		if len(o.arguments) == 0 {
			return usagef("Say what to check, in single quotes: a shell takes # for the begin of a comment and $ for that of a variable.")
		}
	default:
		return usagef("Unknown command '%s'; there are explain, check and tree.", shown(o.verb))
	}
	return nil
}

// runTopic is the command.
func runTopic(env *invocation, args []string) int {
	if len(args) > 0 && args[0] == "tree" {
		named := *env
		named.name += " tree"
		return runTopicTree(&named, args[1:])
	}
	o, err := parseTopicOptions(args)
	switch {
	case o.help:
		writeTopicHelp(env.stdout, env.name)
		return exitOK
	case err != nil:
		env.printUsageError(err)
		return exitConfig
	case o.verb == "explain":
		return explainTopic(env, o)
	}
	return checkTopics(env, o)
}

// runTopicTree is "topic tree", whose flags are those of the clients.
func runTopicTree(env *invocation, args []string) int {
	o, err := parseOptions(topicTree, env.name, args)
	switch {
	case errors.Is(err, errHelp):
		writeHelp(env.stdout, topicTree, env.name)
		return exitOK
	case errors.Is(err, errVersion):
		fmt.Fprintln(env.stdout, versionLine(env.name))
		return exitOK
	case err != nil:
		env.printUsageError(err)
		return exitUsage
	}
	return runTree(env, o)
}

func writeTopicHelp(w io.Writer, name string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", wrapped("Why does this filter not match this topic? Is it right at all? And which topics are there? explain and check need no broker.", 0))
	for _, v := range topicVerbs {
		fmt.Fprintf(&b, "  %s %s\n", name, v.usage)
	}
	b.WriteString("\nCommands:\n")
	for _, v := range topicVerbs {
		fmt.Fprintf(&b, "  %-12s%s\n", v.name, wrapped(v.help, 14))
	}
	b.WriteString("\nExamples:\n")
	for _, e := range [][2]string{
		{"explain 'maison/+/temperature' maison/salon/etagere1/temperature", "why not?"},
		{"explain --lang fr 'maison/#' '$SYS/broker/uptime'", "the same in French"},
		{"check 'maison/#/temperature' /maison '#'", "what is wrong with them?"},
		{"check --name 'maison/salon/lumières'", "may it be published to?"},
		{"tree -h broker.example", "its topics, live"},
		{"tree --json -W 10 'maison/#' '$SYS/#'", "for scripts, after ten seconds"},
	} {
		fmt.Fprintf(&b, "  # %s\n  %s %s\n", e[1], name, e[0])
	}
	b.WriteString("\nFlags of explain and check:\n")
	b.WriteString(toolFlagsHelp((&topicOptions{}).flags(), 22))
	fmt.Fprintf(&b, `
%s

Exit code of explain and check:
  0 it matches, or all are right, with or without advice; 1 it does not match; 2 a filter or
  a topic is against the rules; 3 mistake in the flags.
`, wrapped("Put filters in single quotes: a shell takes # for the begin of a comment and $ for that of a variable. In a Shared Subscription, $share/NAME/FILTER, what is compared is FILTER. A filter or topic that begins with - stands behind --.", 0))
	io.WriteString(w, b.String())
}
