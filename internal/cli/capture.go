package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/colibri-mqtt/colibri/internal/capture"
	"github.com/colibri-mqtt/colibri/topic"
)

// Exit codes of capture, besides exitOK and exitConfig.
const (
	exitCaptureFailed = 1 // no broker answers, or the file cannot be written
	exitCapturePart   = 2 // packets are missing in it
)

// captureOptions are what capture is told.
type captureOptions struct {
	broker                       brokerChoice
	client, user, topic, address string
	file                         string // "-" for standard output; empty for what is best
	seconds, packets, size       string
	recorded, help               bool
}

// flags are those of capture.
func (o *captureOptions) flags() []toolFlag {
	text := func(into *string) func(string) error {
		return func(value string) error {
			if value == "" {
				return usagef("A flag has an empty value; leave it out for all.")
			}
			*into = value
			return nil
		}
	}
	number := func(into *string, what string) func(string) error {
		return func(value string) error {
			if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 1 || n > 1<<40 {
				return usagef("'%s' is not a number of %s; give 1 or more.", value, what)
			}
			*into = value
			return nil
		}
	}
	return append([]toolFlag{
		{names: []string{"--client"}, value: "CLIENT", help: "only packets from and to the client with this Client Identifier", apply: text(&o.client)},
		{names: []string{"--user"}, value: "NAME", help: "only packets from and to clients that were let in with this user name", apply: text(&o.user)},
		{names: []string{"--address"}, value: "NETWORK", help: "only packets from and to clients at this IP address, or in this network, as in 192.0.2.0/24", apply: func(value string) error {
			if _, err := parseNetwork(value); err != nil {
				return usagef("%s", sentence(err.Error()))
			}
			o.address = value
			return nil
		}},
		{names: []string{"--topic"}, value: "FILTER", help: "only PUBLISH packets to topics that FILTER matches, SUBSCRIBE and UNSUBSCRIBE packets with a filter that can match such a topic, their acknowledgements, and the ends of the connections that had one", apply: func(value string) error {
			if err := topic.CheckFilter(value); err != nil {
				return usagef("%s", sentence(err.Error()))
			}
			if _, _, shared := topic.SplitShared(value); shared {
				return usagef("Give the filter without '$share/NAME/'.")
			}
			o.topic = value
			return nil
		}},
		{names: []string{"-w", "--write"}, value: "FILE", file: true, help: "write a pcapng file; '-' is standard output", apply: text(&o.file)},
		{names: []string{"--recorded"}, help: "what the broker's flight recorder has of the last packets: their first 64 bytes", apply: func(string) error { o.recorded = true; return nil }},
		{names: []string{"--seconds"}, value: "N", help: "end after N seconds", apply: number(&o.seconds, "seconds")},
		{names: []string{"--packets"}, value: "N", help: "end after N packets", apply: number(&o.packets, "packets")},
		{names: []string{"--size"}, value: "BYTES", help: "end before the capture is larger than BYTES", apply: number(&o.size, "bytes")},
	}, append(o.broker.flags(),
		toolFlag{names: []string{"-h", "--help"}, help: "print this help", apply: func(string) error { o.help = true; return nil }})...)
}

func captureCommand() command {
	return command{
		name:    "capture",
		summary: "Capture the packets of a broker of this machine, decrypted",
		run:     runCapture,
		help:    writeCaptureHelp,
		complete: func(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return completeTool((&captureOptions{}).flags(), "", args, typed)
		},
	}
}

func writeCaptureHelp(w io.Writer, name string) {
	fmt.Fprintf(w, `%s

Usage:
  %s [FLAGS]

Examples:
  %[2]s --client thermostat                # watch one client, until Ctrl-C
  %[2]s --client thermostat -w t.pcapng    # into a file, for Wireshark or 'colibri inspect'
  %[2]s --topic 'house/#' --seconds 60 -w house.pcapng
  %[2]s --user ann | colibri inspect - --explain
  %[2]s | tshark -r -
  %[2]s --recorded --client thermostat     # what it did before somebody watched

Flags:
%s
%s

%s

Exit code:
  0 ended as it was told to; 1 no broker answers, or the file cannot be written; 2 packets are
  missing, which is said on standard error; 3 mistake in the flags.
`, wrapped("Capture packets as a broker of this machine sees them, whatever carries them: also those inside TLS and WebSockets. Asked through its control socket. On a terminal it is the table of 'colibri inspect'; into a file or a pipe it is pcapng, in which all looks like plain TCP to port 1883, and comments say what it was, whose it is, and why a connection has ended.", 0),
		name, toolFlagsHelp((&captureOptions{}).flags(), 28),
		wrapped("With several flags that choose packets all must hold. Clients that connect later are captured, too. Of a connection that was open before, a CONNECT is reconstructed, and says so in its comment: so the file tells the version. What others must not read, passwords and Authentication Data, is overwritten with asterisks; payloads are not.", 0),
		wrapped("A capture never holds the broker up: packets that come faster than they are read are left out, counted, and told.", 0))
}

// runCapture is the command.
func runCapture(env *invocation, args []string) int {
	o := &captureOptions{}
	err := parseTool(args, o.flags(), nil, func(text string) error {
		return usagef("'%s' is too much: capture takes flags only; a file stands behind -w.", text)
	})
	out := plainFile(env.stdout)
	terminal := out != nil && term.IsTerminal(int(out.Fd()))
	switch {
	case o.help:
		writeCaptureHelp(env.stdout, env.name)
		return exitOK
	case err == nil && o.recorded && o.topic != "":
		err = usagef("The flight recorder knows the beginnings of packets only: choose by --client, --user or --address.")
	case err == nil && o.file == "-" && terminal:
		err = usagef("A capture is not for a terminal: give a file behind -w, or leave -w out to see a table.")
	}
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	ask := url.Values{}
	for name, value := range map[string]string{"client": o.client, "user": o.user, "topic": o.topic, "address": o.address,
		"seconds": o.seconds, "packets": o.packets, "size": o.size} {
		if value != "" {
			ask.Set(name, value)
		}
	}
	question := "capture"
	if o.recorded {
		question = "recording"
	}
	answer, err := o.broker.ask(env.ctx, question, ask)
	if err != nil {
		if env.ctx.Err() != nil {
			return exitOK
		}
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(escaped(err.Error(), 1<<12)))
		return exitCaptureFailed
	}
	defer answer.Close()
	if o.file == "" && terminal {
		return env.captureShown(o, answer)
	}
	return env.captureWritten(o, answer)
}

// captureWritten copies the capture to where it is wanted.
func (env *invocation) captureWritten(o *captureOptions, answer io.Reader) int {
	to := env.stdout
	if o.file != "" && o.file != "-" {
		file, err := os.OpenFile(o.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			var path *os.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			fmt.Fprintf(env.stderr, "Error: %s\n", sentence(fmt.Sprintf("the file %s cannot be written: %v", o.file, err)))
			return exitCaptureFailed
		}
		defer file.Close()
		to = file
		if !o.recorded {
			fmt.Fprintf(env.stderr, "Capturing into %s; Ctrl-C ends it.\n", o.file)
		}
	}
	counts, err := capture.Copy(to, answer)
	switch {
	case errors.Is(err, capture.ErrWrite) && to == env.stdout:
		return exitOK // nobody reads any more
	case errors.Is(err, capture.ErrWrite):
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(fmt.Sprintf("the capture cannot be written: %v", err)))
		return exitCaptureFailed
	}
	if to != env.stdout {
		fmt.Fprintf(env.stderr, "%d frames.\n", counts.Frames)
	}
	return env.captureEnds(o, counts.Lost, err)
}

// captureEnds says how a capture has ended. err is what has ended the stream; nil at its end.
func (env *invocation) captureEnds(o *captureOptions, lost uint64, err error) int {
	exit := exitOK
	if lost > 0 {
		fmt.Fprintf(env.stderr, "%d packets are missing: they came faster than they were read. Choose fewer with --client, --user, --address or --topic.\n", lost)
		exit = exitCapturePart
	}
	switch {
	case env.ctx.Err() != nil:
	case err == nil && !o.recorded && o.seconds == "" && o.packets == "" && o.size == "":
		fmt.Fprintln(env.stderr, "The broker has ended.")
		exit = exitCaptureFailed
	case err != nil:
		fmt.Fprintln(env.stderr, "The broker has ended, or the capture was not read for 10 seconds.")
		exit = exitCaptureFailed
	}
	return exit
}

// captureShown shows the capture as a table.
func (env *invocation) captureShown(asked *captureOptions, answer io.Reader) int {
	reader, writer := io.Pipe()
	var counts capture.Counts
	copied := make(chan error, 1)
	go func() {
		var err error
		counts, err = capture.Copy(writer, answer)
		writer.Close()
		copied <- err
	}()
	o := &inspectOptions{file: "-", form: "table"}
	exit := inspectCapture(env, o, newShow(env, o), reader, 0)
	reader.Close()
	if env.ctx.Err() != nil {
		return exit
	}
	if ended := env.captureEnds(asked, counts.Lost, <-copied); ended != exitOK {
		return ended
	}
	return exit
}
