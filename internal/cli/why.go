package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri/topic"
)

// Exit codes of why, besides exitOK and exitConfig.
const (
	exitWhyNot  = 1 // the client would not get the message, or nothing is known
	exitWhyLost = 2 // no broker answers
)

// whyPackets is how many packets of the flight recorder are shown.
const whyPackets = 20

// whyOptions are what why is told.
type whyOptions struct {
	broker       brokerChoice
	client       string
	address      string
	topic        string
	qos, size    string
	from, expiry string
	retain       bool
	packets      int
	json, help   bool
}

// flags are those of why.
func (o *whyOptions) flags() []toolFlag {
	text := func(field *string) func(value string) error {
		return func(value string) error { *field = value; return nil }
	}
	number := func(field *string, what string, most uint64) func(value string) error {
		return func(value string) error {
			if n, err := strconv.ParseUint(value, 10, 64); err != nil || n > most {
				return usagef("'%s' is not %s; give a number from 0 to %d.", value, what, most)
			}
			*field = value
			return nil
		}
	}
	return append([]toolFlag{
		{names: []string{"-i", "--client"}, value: "ID", help: "Client Identifier of the client that is asked about", apply: text(&o.client)},
		{names: []string{"-t", "--topic"}, value: "TOPIC", help: "would the client get a message of TOPIC?", apply: text(&o.topic)},
		{names: []string{"-q", "--qos"}, value: "QOS", help: "QoS of the message: 0, 1 or 2; 0 by default", apply: number(&o.qos, "a QoS", 2)},
		{names: []string{"-r", "--retain"}, help: "the message is published with the RETAIN flag", apply: func(string) error { o.retain = true; return nil }},
		{names: []string{"--size"}, value: "BYTES", help: "size of its payload; 1 by default", apply: number(&o.size, "a size in bytes", 268_435_455)},
		{names: []string{"--expiry"}, value: "SECONDS", help: "its Message Expiry Interval; none by default", apply: number(&o.expiry, "a time in seconds", 1<<32-1)},
		{names: []string{"--from"}, value: "ID", help: "Client Identifier of who publishes it, for No Local and the rights to publish", apply: text(&o.from)},
		{names: []string{"--address"}, value: "IP", help: "what became of connections from IP whose Client Identifier could not be read?", apply: text(&o.address)},
		{names: []string{"--packets"}, value: "N", help: "show at most N packets of the flight recorder; 20 by default, 0 for none", apply: func(value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 10_000 {
				return usagef("'%s' is not a number of packets; give 0 to 10000.", value)
			}
			o.packets = n
			return nil
		}},
		{names: []string{"--json"}, help: "print the answer as one JSON object", apply: func(string) error { o.json = true; return nil }},
		{names: []string{"-h", "--help"}, help: "print this help", apply: func(string) error { o.help = true; return nil }},
	}, o.broker.flags()...)
}

func whyCommand() command {
	return command{
		name:    "why",
		summary: "Ask a broker why a client does not get a message, or has gone",
		run:     runWhy,
		help:    writeWhyHelp,
		complete: func(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return completeTool((&whyOptions{}).flags(), "", args, typed)
		},
	}
}

func writeWhyHelp(w io.Writer, name string) {
	fmt.Fprintf(w, `%s

Usage:
  %s CLIENT [FLAGS]
  %[2]s --address IP [FLAGS]
  %[2]s --client ID --topic TOPIC [FLAGS]

Examples:
  %[2]s door                                     # what became of its connections?
  %[2]s --address 192.0.2.7                      # and of those without a Client Identifier?
  %[2]s -i door -t house/door/open -q 1          # would it get such a message?
  %[2]s -i door -t house/door/open --from hall   # and if hall publishes it?

Flags:
%s
%s

Exit code:
  0 the client would get the message, or something is known of it; 1 it would not, or nothing
  is known; 2 no broker answers; 3 mistake in the flags.
`, wrapped("Ask a broker of this machine, through its control socket, what has become of the connections of a client and who has ended them, or whether the client would get a message now. Nothing is published or changed by it.", 0),
		name, toolFlagsHelp((&whyOptions{}).flags(), 28),
		wrapped("The broker walks with the message the way that a published one takes, and says at each step what decides there: 'ok' is not in the way, 'no' is, 'note' is worth knowing. The last line is the answer.", 0))
}

// parseWhy reads the command line.
func parseWhy(args []string) (*whyOptions, error) {
	o := &whyOptions{packets: whyPackets}
	err := parseTool(args, o.flags(), nil, func(text string) error {
		if o.client != "" {
			return usagef("There is a second client, '%s'; ask about one.", shown(text))
		}
		o.client = text
		return nil
	})
	if err != nil || o.help {
		return o, err
	}
	about := o.qos + o.size + o.expiry + o.from
	switch {
	case o.client == "" && o.address == "":
		return o, usagef("Say which client.")
	case o.client != "" && o.address != "":
		return o, usagef("Give a client or an address, not both.")
	case o.topic == "" && (about != "" || o.retain):
		return o, usagef("Say with --topic which topic the message has.")
	case o.topic != "" && o.address != "":
		return o, usagef("Say with --client who would get the message.")
	case o.topic == "":
		return o, nil
	}
	if err := topic.CheckName(o.topic); err != nil {
		return o, usagef("'%s' cannot be used: %s.", shown(o.topic), err)
	}
	return o, nil
}

// runWhy is the command.
func runWhy(env *invocation, args []string) int {
	o, err := parseWhy(args)
	switch {
	case o.help:
		writeWhyHelp(env.stdout, env.name)
		return exitOK
	case err != nil:
		env.printUsageError(err)
		return exitConfig
	}
	if o.topic != "" {
		return env.whyMessage(o)
	}
	return env.whyGone(o)
}

// whyAsk asks the broker and reads the answer into into. raw is the answer as it came.
func (env *invocation) whyAsk(o *whyOptions, name string, ask url.Values, into any) (raw []byte, err error) {
	answer, err := o.broker.ask(env.ctx, name, ask)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	if raw, err = io.ReadAll(answer); err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return nil, fmt.Errorf("the answer of the broker cannot be read: %w", err)
	}
	return raw, nil
}

// whyFails says why there is no answer.
func (env *invocation) whyFails(err error) int {
	if env.ctx.Err() == nil {
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(escaped(err.Error(), 1<<12)))
	}
	return exitWhyLost
}

// whyMessage asks whether a client would get a message.
func (env *invocation) whyMessage(o *whyOptions) int {
	ask := url.Values{"client": {o.client}, "topic": {o.topic}, "size": {"1"}}
	for name, value := range map[string]string{"qos": o.qos, "size": o.size, "expiry": o.expiry, "from": o.from} {
		if value != "" {
			ask.Set(name, value)
		}
	}
	if o.retain {
		ask.Set("retain", "1")
	}
	var answer whyAnswer
	raw, err := env.whyAsk(o, "why", ask, &answer)
	switch {
	case err != nil:
		return env.whyFails(err)
	case o.json:
		env.stdout.Write(raw)
	default:
		env.printChecks(answer.Checks)
		fmt.Fprintln(env.stdout, whySentence(answer.Sentence, o.client))
	}
	if !answer.Gets {
		return exitWhyNot
	}
	return exitOK
}

// whyGone asks what became of the connections of a client, or of an address.
func (env *invocation) whyGone(o *whyOptions) int {
	ask := url.Values{"address": {o.address}}
	if o.client != "" {
		ask = url.Values{"client": {o.client}}
	}
	var answer whyHistory
	raw, err := env.whyAsk(o, "history", ask, &answer)
	switch {
	case err != nil:
		return env.whyFails(err)
	case o.json:
		env.stdout.Write(raw)
	default:
		if answer.Forgotten > 0 {
			fmt.Fprintf(env.stdout, "%d older ones are forgotten.\n", answer.Forgotten)
		}
		for _, r := range answer.Records {
			fmt.Fprintln(env.stdout, escaped(r.Line, 1<<12))
		}
		env.printChecks(answer.Checks)
		if o.client != "" && o.packets > 0 {
			env.printRecorded(o)
		}
		fmt.Fprintln(env.stdout, whySentence(answer.Sentence, o.client))
	}
	if !answer.Known {
		return exitWhyNot
	}
	return exitOK
}

// whySentence returns the last line. A ClientID at its beginning keeps its first letter.
func whySentence(text, client string) string {
	text = escaped(strings.TrimSuffix(text, "."), 1<<13) + "."
	if client != "" && strings.HasPrefix(text, escaped(client, 1<<13)) {
		return text
	}
	return capitalised(text)
}
