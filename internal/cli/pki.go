package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri/internal/pki"
)

// Exit codes of pki, besides exitOK and exitConfig.
const (
	exitPKIFailed = 1 // nothing was made or changed, or the file cannot be read
	exitPKIEnded  = 2 // show: a certificate is not valid now
)

// pkiOptions are what pki is told.
type pkiOptions struct {
	verb     string // init, client, server, revoke or show
	argument string // what stands behind it
	dir      string
	hosts    pki.Hosts // besides those of this machine
	clients  []string
	json     bool
	help     bool
}

// standardDirectory is where pki works when nobody says it.
const standardDirectory = "pki"

// flags are those of pki.
func (o *pkiOptions) flags() []toolFlag {
	return []toolFlag{
		{names: []string{"-d", "--dir"}, verbs: "init client server revoke", value: "DIR", dir: true, help: "the directory of the authority (pki)",
			apply: func(value string) error { o.dir = value; return nil }},
		{names: []string{"--name"}, verbs: "init server", value: "NAME", help: "a further DNS name by which clients reach the server; may be given many times",
			apply: func(value string) error { return o.hosts.AddName(value) }},
		{names: []string{"--address"}, verbs: "init server", value: "ADDRESS", help: "a further IP address of the server; may be given many times",
			apply: func(value string) error { return o.hosts.AddAddress(value) }},
		{names: []string{"--client"}, verbs: "init", value: "NAME", help: "make a certificate for the client NAME, not for one called client; may be given many times",
			apply: func(value string) error {
				o.clients = append(o.clients, value)
				return pki.CheckName(value)
			}},
		{names: []string{"--json"}, help: "print what was made or found as one JSON object",
			apply: func(string) error { o.json = true; return nil }},
		{names: []string{"-h", "--help"}, help: "print this help",
			apply: func(string) error { o.help = true; return nil }},
	}
}

// pkiVerbs are the things that pki does.
var pkiVerbs = []struct {
	name, argument, help string
	needed               bool // the argument is
	run                  func(env *invocation, o *pkiOptions) int
}{
	{"init", "[DIR]", "make an authority, a server's certificate for the names and addresses of this machine, and one client's", false, initPKI},
	{"client", "NAME", "make a certificate for one more client; NAME can be its User Name", true, makeClient},
	{"server", "[NAME]", "make one more server's certificate, in the files NAME.crt and NAME.key; without NAME, server", false, makeServer},
	{"revoke", "NAME|FILE", "put a certificate onto the list that tells brokers whom to refuse", true, revokeCertificate},
	{"show", "FILE", "print whose a certificate is, what for and how long", true, showCertificates},
}

func pkiCommand() command {
	return command{
		name:     "pki",
		summary:  "Make certificates for a first try of TLS, and look at them",
		run:      runPKI,
		help:     writePKIHelp,
		complete: completePKI,
	}
}

// completePKI offers what a shell can put in place of typed, behind args.
func completePKI(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeVerbs(typed, func(yield func(name, help string) bool) {
			for _, v := range pkiVerbs {
				if !yield(v.name, v.help) {
					return
				}
			}
		})
	}
	flags := (&pkiOptions{}).flags()
	if strings.HasPrefix(typed, "-") || valueOf(flags, args) != nil {
		return completeTool(flags, args[0], args, typed)
	}
	switch args[0] {
	case "init":
		return nil, cobra.ShellCompDirectiveFilterDirs
	case "revoke", "show":
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// parsePKIOptions reads the command line of pki.
func parsePKIOptions(args []string) (*pkiOptions, error) {
	o := &pkiOptions{}
	err := parseTool(args, o.flags(), &o.verb, func(text string) error {
		switch {
		case o.verb == "":
			o.verb = text
		case o.argument == "":
			o.argument = text
		default:
			return usagef("'%s' is one too many behind '%s': give one.", text, o.verb)
		}
		return nil
	})
	if err != nil {
		return o, err
	}
	return o, o.check()
}

// check completes o.
func (o *pkiOptions) check() error {
	switch {
	case o.help:
		return nil
	case o.verb == "":
		return usagef("Say what to do: init, client, server, revoke or show.")
	case o.verb == "init" && o.argument != "" && o.dir != "":
		return usagef("The directory is given twice, '%s' and '%s'; give one.", o.argument, o.dir)
	case o.verb == "init" && o.argument != "":
		o.dir = o.argument
	}
	if o.dir == "" {
		o.dir = standardDirectory
	}
	if o.verb == "init" && len(o.clients) == 0 {
		o.clients = []string{"client"}
	}
	return nil
}

// runPKI is the command.
func runPKI(env *invocation, args []string) int {
	o, err := parsePKIOptions(args)
	if o.help {
		writePKIHelp(env.stdout, env.name)
		return exitOK
	}
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	for _, v := range pkiVerbs {
		if v.name != o.verb {
			continue
		}
		if v.needed && o.argument == "" {
			env.printUsageError(usagef("'%s' needs %s behind it.", v.name, v.argument))
			return exitConfig
		}
		return v.run(env, o)
	}
	env.printUsageError(usagef("Unknown command '%s'; there are init, client, server, revoke and show.", o.verb))
	return exitConfig
}

// pkiFailed says why nothing was done.
func (env *invocation) pkiFailed(err error) int {
	fmt.Fprintf(env.stderr, "Error: %s\n", sentence(pathError(err)))
	return exitPKIFailed
}

// pathError returns the text of err; what package os says about a file is put into words
// that begin with neither the name of a system call nor that of a file.
func pathError(err error) string {
	file, ok := err.(*os.PathError) // and not an error around one, which has words of its own
	switch {
	case !ok:
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no %s: check the name", file.Path)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Sprintf("there is a directory by the name of %s: name a file in it", file.Path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("this user may not use %s: become another user, or choose another directory", file.Path)
	}
	return err.Error()
}

// makeClient is "pki client".
func makeClient(env *invocation, o *pkiOptions) int {
	return env.makeOne(o, "client", func(a *pki.Authority) (pki.Issued, error) {
		return a.Client(o.argument, time.Now())
	})
}

// makeServer is "pki server".
func makeServer(env *invocation, o *pkiOptions) int {
	return env.makeOne(o, "server", func(a *pki.Authority) (pki.Issued, error) {
		hosts, err := o.allHosts()
		if err != nil {
			return pki.Issued{}, err
		}
		name := o.argument
		if name == "" {
			name = "server"
		}
		return a.Server(name, hosts, time.Now())
	})
}

// allHosts returns those of this machine and those of the command line.
func (o *pkiOptions) allHosts() (pki.Hosts, error) {
	hosts, err := pki.Machine()
	if err != nil {
		return hosts, err
	}
	for _, name := range o.hosts.Names {
		if err := hosts.AddName(name); err != nil {
			return hosts, err
		}
	}
	for _, ip := range o.hosts.Addresses {
		if err := hosts.AddAddress(ip.String()); err != nil {
			return hosts, err
		}
	}
	return hosts, nil
}

func writePKIHelp(w io.Writer, name string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", wrapped(
		"Make a private certificate authority and certificates of it, for a first try of TLS and for tests. For a fleet take an authority whose key lies elsewhere.", 0))
	for _, v := range pkiVerbs {
		fmt.Fprintf(&b, "  %s %s [FLAGS]\n", name, v.name+" "+v.argument)
	}
	b.WriteString("\nCommands:\n")
	for _, v := range pkiVerbs {
		fmt.Fprintf(&b, "  %-12s%s\n", v.name, wrapped(v.help, 14))
	}
	b.WriteString("\nExamples:\n")
	for _, e := range [][2]string{
		{"init", "all that is needed, in the directory pki"},
		{"init --name broker.example --client alice", "with a name of DNS, and whose client it is"},
		{"client bob", "one more client"},
		{"revoke bob", "and no more"},
		{"show pki/server.crt", "how long is it valid?"},
	} {
		fmt.Fprintf(&b, "  %s %-43s # %s\n", name, e[0], e[1])
	}
	b.WriteString("\nFlags:\n")
	b.WriteString(toolFlagsHelp((&pkiOptions{}).flags(), 22))
	fmt.Fprintf(&b, `
%s

Exit code:
  0 success; 1 nothing was made or changed, or a file cannot be read; 2 show: a certificate
  is not valid now; 3 mistake in the command line.
`, wrapped("Nothing is overwritten, but for the list of revoked certificates. Keys can be read by their owner only. The authority is valid for 10 years, the others for 397 days: programs that are strict with servers take 398 at most. Make new ones under other names before that.", 0))
	io.WriteString(w, b.String())
}
