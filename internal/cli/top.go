package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The least columns and rows that a report is made for: a smaller terminal shows a part of it.
const (
	topColumns = 20
	topRows    = 5
)

// exitTopLost is the exit code of top when no broker answers, or not any more.
const exitTopLost = 1

// topOptions are what top is told.
type topOptions struct {
	broker     brokerChoice
	every      time.Duration
	clients    int // that are shown; 0 for as many as there is room for
	once, json bool
	help       bool
}

// flags are those of top.
func (o *topOptions) flags() []toolFlag {
	return append(o.broker.flags(), []toolFlag{
		{names: []string{"--every"}, value: "SECONDS", help: "time from one report to the next, and of the rates; 2 by default", apply: func(value string) error {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil || seconds < topLeast.Seconds() || seconds > 3600 {
				return usagef("'%s' is not a time between two reports; give 0.1 to 3600 seconds.", value)
			}
			o.every = time.Duration(seconds * float64(time.Second))
			return nil
		}},
		{names: []string{"--clients"}, value: "N", help: "show the N busiest clients; as many as there is room for by default, 20 without a terminal", apply: func(value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > topClients {
				return usagef("'%s' is not a number of clients; give 1 to %d.", value, topClients)
			}
			o.clients = n
			return nil
		}},
		{names: []string{"--once"}, help: "print one report and end", apply: func(string) error { o.once = true; return nil }},
		{names: []string{"--json"}, help: "print each report as one line of JSON", apply: func(string) error { o.json = true; return nil }},
		{names: []string{"-h", "--help"}, help: "print this help", apply: func(string) error { o.help = true; return nil }},
	}...)
}

func topCommand() command {
	return command{
		name:    "top",
		summary: "Watch a broker of this machine: rates, clients, queues, drops",
		run:     runTop,
		help:    writeTopHelp,
		complete: func(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return completeTool((&topOptions{}).flags(), "", args, typed)
		},
	}
}

func writeTopHelp(w io.Writer, name string) {
	fmt.Fprintf(w, `%s

Usage:
  %s [FLAGS]

Examples:
  %[2]s                            # the broker on port 1883, until q or Ctrl-C
  %[2]s -p 1884                    # that on another port
  %[2]s --once --json | jq .sent   # one report, for a script

Flags:
%s
%s

Exit code:
  0 ended as it was told to; 1 no broker answers; 3 mistake in the flags.
`, wrapped("Watch a broker of this machine, through its control socket: what goes in and out each second, who is busiest, what waits, what was dropped and why, and why clients have left.", 0),
		name, toolFlagsHelp((&topOptions{}).flags(), 28),
		wrapped("In the list, IN/s and OUT/s are PUBLISH packets from and to a client, QUEUE are messages that wait for it, INFLIGHT those that it has not acknowledged, and DROPS those that it did not get or that were refused.", 0))
}

// runTop is the command.
func runTop(env *invocation, args []string) int {
	o := &topOptions{every: 2 * time.Second}
	err := parseTool(args, o.flags(), nil, func(text string) error { return usagef("'%s' is too much: top takes flags only.", text) })
	switch {
	case o.help:
		writeTopHelp(env.stdout, env.name)
		return exitOK
	case err != nil:
		env.printUsageError(err)
		return exitConfig
	}
	out := plainFile(env.stdout)
	live := !o.once && !o.json && out != nil && term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"
	clients := o.clients
	switch {
	case clients == 0 && live:
		clients = 200 // the screen may grow
	case clients == 0:
		clients = 20
	}
	ask := url.Values{"every": {o.every.String()}, "clients": {strconv.Itoa(clients)}}
	if o.once {
		ask.Set("count", "1")
	}
	answer, err := o.broker.ask(env.ctx, "top", ask)
	if err != nil {
		if env.ctx.Err() != nil {
			return exitOK
		}
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(escaped(err.Error(), 1<<12)))
		return exitTopLost
	}
	defer answer.Close()
	if live {
		return env.topLive(o, answer, out)
	}
	return env.topLines(o, answer)
}

// topLines prints the reports one after the other.
func (env *invocation) topLines(o *topOptions, answer io.Reader) int {
	reports := bufio.NewReader(answer)
	for n := 0; ; n++ {
		line, err := reports.ReadBytes('\n')
		if err != nil {
			return env.topEnds(o, n, err)
		}
		if o.json {
			if _, err := env.stdout.Write(line); err != nil {
				return exitOK // nobody reads any more
			}
			continue
		}
		var r topReport
		if err := json.Unmarshal(line, &r); err != nil {
			return env.topEnds(o, n, err)
		}
		if n > 0 {
			fmt.Fprintln(env.stdout)
		}
		if _, err := io.WriteString(env.stdout, strings.Join(r.lines(80, len(r.Clients)), "\n")+"\n"); err != nil {
			return exitOK
		}
	}
}

// topEnds says why there are no more reports after n of them.
func (env *invocation) topEnds(o *topOptions, n int, err error) int {
	switch {
	case env.ctx.Err() != nil, o.once && n == 1 && errors.Is(err, io.EOF):
		return exitOK
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		fmt.Fprintln(env.stderr, "The broker has ended.")
	default:
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(fmt.Sprintf("the broker's report cannot be read: %v", err)))
	}
	return exitTopLost
}

// topLive shows the reports on a terminal until q, Ctrl-C or the end of the broker.
func (env *invocation) topLive(o *topOptions, answer io.ReadCloser, out *os.File) int {
	screen := openScreen(env.stdin, out)
	reports := make(chan *topReport)
	failed := make(chan error, 1)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		lines := json.NewDecoder(answer)
		for {
			r := new(topReport)
			if err := lines.Decode(r); err != nil {
				failed <- err
				return
			}
			select {
			case reports <- r:
			case <-gone:
				return
			}
		}
	}()
	for {
		select {
		case r := <-reports:
			columns, rows := screen.size()
			columns, rows = max(columns, topColumns), max(rows, topRows)
			room := o.clients
			if room == 0 {
				room = len(r.Clients)
			}
			lines := r.lines(columns, room)
			lines = slices.Concat(lines[:min(len(lines), rows-1)], []string{"q ends"})
			screen.show(slices.Concat(lines, make([]string, rows-len(lines))))
		case k := <-screen.keys:
			if k == keyQuit {
				screen.close()
				return exitOK
			}
		case <-env.ctx.Done():
			screen.close()
			return exitOK
		case err := <-failed:
			screen.close()
			return env.topEnds(o, 0, err)
		}
	}
}
