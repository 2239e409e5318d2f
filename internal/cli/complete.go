package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// completeFlags offers what a shell can put in place of typed, the word that follows
// args on the command line of p: the values of the flag before it, else the flags.
func completeFlags(p program, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if f, values := openFlag(p, args); f != nil {
		switch {
		case f.applyList != nil:
			return completeProperty(values, typed), cobra.ShellCompDirectiveNoFileComp
		case f.file:
			return nil, cobra.ShellCompDirectiveDefault
		}
		return withPrefix(f.values, typed), cobra.ShellCompDirectiveNoFileComp
	}
	var offers []cobra.Completion
	for i := range flags {
		f := &flags[i]
		if f.in&p == 0 || f.group == groupLater {
			continue
		}
		for _, name := range f.names {
			if strings.HasPrefix(name, typed) {
				offers = append(offers, cobra.CompletionWithDesc(name, f.help))
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// openFlag returns the flag at the end of args that still wants values, and those it
// has already; nil if the next word is a flag.
func openFlag(p program, args []string) (f *flag, values []string) {
	for len(args) > 0 {
		f = lookup(p, args[0])
		args = args[1:]
		wants := 0
		switch {
		case f == nil:
		case f.applyList != nil:
			wants = propertyArguments(args)
		case f.value != "":
			wants = 1
		}
		if len(args) < wants {
			return f, args
		}
		args = args[wants:]
	}
	return nil, nil
}

// completeProperty offers the command, or the properties that it may have.
func completeProperty(values []string, typed string) []cobra.Completion {
	var offers []string
	switch len(values) {
	case 0:
		offers = []string{"connect", "publish", "subscribe", "unsubscribe", "disconnect", "will"}
	case 1:
		for id := colibri.PropertyID(0); id <= colibri.SharedSubscriptionAvailable; id++ {
			allowed := packet.PropertyAllowed(id, propertyCommands[values[0]])
			if values[0] == "will" {
				allowed = packet.WillProperty(id)
			}
			if allowed {
				offers = append(offers, propertyName(id))
			}
		}
	}
	return withPrefix(offers, typed)
}

func withPrefix(words []string, prefix string) []cobra.Completion {
	var found []cobra.Completion
	for _, word := range words {
		if strings.HasPrefix(word, prefix) {
			found = append(found, word)
		}
	}
	return found
}
