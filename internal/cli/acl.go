package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/topic"
)

// exitDenied is the exit code of acl explain for what is not allowed.
const exitDenied = 1

// aclOptions are what acl is told.
type aclOptions struct {
	verb       string // explain or check
	arguments  []string
	configFile string
	file       string
	roles      string
	client     acl.Client
	json, help bool
}

// flags are those of acl.
func (o *aclOptions) flags() []toolFlag {
	into := func(field *string) func(value string) error {
		return func(value string) error { *field = value; return nil }
	}
	return []toolFlag{
		{names: []string{"-c", "--config-file"}, value: "FILE", file: true, help: "take the rules from the configuration in FILE, as the broker does: acl_file, colibri_roles_file and colibri_firehose", apply: into(&o.configFile)},
		{names: []string{"--file"}, verbs: "explain", value: "ACL", file: true, help: "take the rules from the ACL file ACL", apply: into(&o.file)},
		{names: []string{"--roles"}, value: "JSON", file: true, help: "take the rules from the roles and groups in JSON, a state file of Mosquitto's dynamic security, as colibri_roles_file does", apply: into(&o.roles)},
		{names: []string{"-u", "--user"}, verbs: "explain", value: "USER", help: "User Name of the client; without it, the client is anonymous", apply: into(&o.client.User)},
		{names: []string{"-i", "--client"}, verbs: "explain", value: "ID", help: "Client Identifier, for %c in patterns", apply: into(&o.client.ID)},
		{names: []string{"--json"}, help: "print one JSON object", apply: func(string) error { o.json = true; return nil }},
		{names: []string{"-h", "--help"}, help: "print this help", apply: func(string) error { o.help = true; return nil }},
	}
}

// aclVerbs are the things that acl does.
var aclVerbs = []struct {
	name, arguments, help string
	run                   func(env *invocation, o *aclOptions) int
}{
	{"explain", "{publish | receive | subscribe | unsubscribe} TOPIC", "say whether a client may do it, and which rule decides", explainACL},
	{"check", "[FILE]", "read an ACL file or roles as the broker would, and say what is wrong with them", checkACL},
}

func aclCommand() command {
	return command{
		name:     "acl",
		summary:  "Explain what clients may do, or check an ACL file",
		run:      runACL,
		help:     writeACLHelp,
		complete: completeACL,
	}
}

// aclActions are what explain explains.
var aclActions = []string{"publish", "receive", "subscribe", "unsubscribe"}

// completeACL offers what a shell can put in place of typed, behind args.
func completeACL(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeVerbs(typed, func(yield func(name, help string) bool) {
			for _, v := range aclVerbs {
				if !yield(v.name, v.help) {
					return
				}
			}
		})
	}
	flags := (&aclOptions{}).flags()
	switch {
	case strings.HasPrefix(typed, "-") || valueOf(flags, args) != nil:
		return completeTool(flags, args[0], args, typed)
	case args[0] == "check":
		return nil, cobra.ShellCompDirectiveDefault
	}
	var offers []cobra.Completion
	for _, action := range aclActions {
		if strings.HasPrefix(action, typed) && !slices.Contains(args, action) {
			offers = append(offers, action)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// parseACLOptions reads the command line of acl.
func parseACLOptions(args []string) (*aclOptions, error) {
	o := &aclOptions{}
	err := parseTool(args, o.flags(), &o.verb, func(text string) error {
		if o.verb == "" {
			o.verb = text
		} else {
			o.arguments = append(o.arguments, text)
		}
		return nil
	})
	if err != nil {
		return o, err
	}
	switch {
	case o.help:
	case o.verb == "":
		return o, usagef("Say what to do: explain or check.")
	case o.file != "" && o.configFile != "":
		return o, usagef("Give an ACL file or a configuration, not both.")
	case o.roles != "" && o.configFile != "":
		return o, usagef("Give roles or a configuration, not both.")
	}
	return o, nil
}

// runACL is the command.
func runACL(env *invocation, args []string) int {
	o, err := parseACLOptions(args)
	if o.help {
		writeACLHelp(env.stdout, env.name)
		return exitOK
	}
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	for _, v := range aclVerbs {
		if v.name == o.verb {
			return v.run(env, o)
		}
	}
	env.printUsageError(usagef("Unknown command '%s'; there are explain and check.", o.verb))
	return exitConfig
}

// rules returns the rules that the command line names, with the configuration that they
// belong to.
func (o *aclOptions) rules() (*config.Config, *acl.Set, error) {
	c := config.Default()
	if o.configFile != "" {
		var err error
		if c, err = config.Read(o.configFile); err != nil {
			return nil, nil, err
		}
		set, err := readRules(c)
		return c, set, err
	}
	set := &acl.Set{}
	var err error
	if o.file != "" {
		if set.File, err = acl.ReadFile(o.file); err != nil {
			return nil, nil, err
		}
	}
	if o.roles != "" {
		set.Model, err = readRoles(o.roles)
	}
	return c, set, err
}

// readRoles reads a file of roles and groups.
func readRoles(path string) (*acl.Model, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	model, err := acl.ReadModel(source)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", path, err)
	}
	return model, nil
}

// checkACL is "acl check".
func checkACL(env *invocation, o *aclOptions) int {
	switch {
	case len(o.arguments) > 1:
		env.printUsageError(usagef("There is a second file, '%s'; give one.", o.arguments[1]))
		return exitConfig
	case len(o.arguments) == 1 && o.configFile != "":
		env.printUsageError(usagef("Give an ACL file or a configuration, not both."))
		return exitConfig
	case len(o.arguments) == 1:
		o.file = o.arguments[0]
	case o.configFile+o.roles == "":
		env.printUsageError(usagef("Say which ACL file, or --roles and a file of roles, or -c and a configuration."))
		return exitConfig
	}
	_, set, err := o.rules()
	return reportACL(env, o, set, err)
}

// explainACL is "acl explain".
func explainACL(env *invocation, o *aclOptions) int {
	action, err := o.asked()
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	c, set, err := o.rules()
	if err != nil {
		return reportACL(env, o, nil, err)
	}
	text := o.arguments[1]
	d, looked := firehoses[c.Access.Firehose].Explain(set.Rights(o.client, nil), action, text)
	if o.json {
		return printExplanation(env, o, action, d, looked)
	}
	verdict := "denied"
	if d.Allowed {
		verdict = "allowed"
	}
	fmt.Fprintf(env.stdout, "%s: %s\n", verdict, escaped(d.Rule.String(), 1<<12))
	fmt.Fprintln(env.stdout, "Looked at, in this order:")
	for i := range looked {
		fmt.Fprintf(env.stdout, "  %s\n", consideredLine(&looked[i]))
	}
	if !d.Allowed {
		return exitDenied
	}
	return exitOK
}

// consideredLine says in a line what a rule says about what was asked.
func consideredLine(c *acl.Considered) string {
	line := c.Rule.Text
	if place := c.Rule.Place(); place != "" {
		line = place + ": " + line
	}
	if c.Filter != "" && !strings.Contains(c.Rule.Text, c.Filter) {
		line += ", which is " + c.Filter + " for this client"
	}
	says := "speaks of other topics"
	switch {
	case c.Decides && c.Allows:
		says = "allows it"
	case c.Decides:
		says = "denies it"
	}
	return escaped(line, 1<<12) + " - " + says
}

// asked returns what explain is to explain.
func (o *aclOptions) asked() (acl.Action, error) {
	switch {
	case len(o.arguments) < 2:
		return 0, usagef("Say what to explain: publish, receive, subscribe or unsubscribe, and a topic.")
	case len(o.arguments) > 2:
		return 0, usagef("There is a second topic, '%s'; give one, in quotes when it has spaces.", o.arguments[2])
	case !slices.Contains(aclActions, o.arguments[0]):
		return 0, usagef("'%s' is none of publish, receive, subscribe and unsubscribe.", o.arguments[0])
	case o.file+o.configFile+o.roles == "":
		return 0, usagef("Say where the rules are: --file and an ACL file, --roles and a file of roles, or -c and a configuration.")
	}
	action, _ := acl.ParseAction(o.arguments[0])
	check := topic.CheckName
	if action == acl.Subscribe || action == acl.Unsubscribe {
		check = topic.CheckFilter
	}
	if err := check(o.arguments[1]); err != nil {
		return 0, usagef("'%s' cannot be used: %s.", shown(o.arguments[1]), err)
	}
	return action, nil
}

func writeACLHelp(w io.Writer, name string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", wrapped("Find out what the rules of an ACL file and of roles let a client do, without a broker.", 0))
	for _, v := range aclVerbs {
		fmt.Fprintf(&b, "  %s %s [FLAGS] %s\n", name, v.name, v.arguments)
	}
	b.WriteString("\nCommands:\n")
	for _, v := range aclVerbs {
		fmt.Fprintf(&b, "  %-12s%s\n", v.name, wrapped(v.help, 14))
	}
	b.WriteString("\nExamples:\n")
	for _, e := range [][2]string{
		{"explain -c my.conf -u anna -i c1 publish house/door", "may anna publish there?"},
		{"explain --file house.acl -u anna receive house/door", "is she sent what others publish?"},
		{"explain --roles roles.json -u anna subscribe 'house/#'", "do her roles let her subscribe?"},
		{"check house.acl", "is the file right?"},
	} {
		fmt.Fprintf(&b, "  # %s\n  %s %s\n", e[1], name, e[0])
	}
	b.WriteString("\nFlags:\n")
	b.WriteString(toolFlagsHelp((&aclOptions{}).flags(), 28))
	fmt.Fprintf(&b, `
%s

Exit code:
  0 allowed, or the file is right; 1 denied; 3 mistake in the flags, the configuration, the
  ACL file or the roles.
`, wrapped("An ACL file never refuses a Subscription: it decides which messages come with it, so ask about receive. subscribe tells about colibri_firehose and roles. With both, roles decide first, and the ACL file where no rule of theirs speaks and their default access denies.", 0))
	io.WriteString(w, b.String())
}
