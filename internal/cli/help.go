package cli

import (
	"fmt"
	"io"
	"strings"
)

// helpColumns is the width that --help is written for.
const helpColumns = 92

// clientHelp is what --help of pub, sub, rr and topic tree says besides the flags.
type clientHelp struct {
	usage    string
	about    string
	examples [][2]string // command line without the program name, and what it does
	after    string      // after the flags
	exits    string      // in place of exitHelp, if it is not empty
}

var clientHelps = map[program]clientHelp{
	pub: {
		usage: "-t TOPIC {-m TEXT | -f FILE | -s | -l | -n} [FLAGS]",
		about: "Publish one message, or one for each line of standard input, and end when the server has all of them.",
		examples: [][2]string{
			{`-t house/kitchen/temperature -m 21.5`, "one message"},
			{`-t house/kitchen/light -m on -q 1 -r`, "acknowledged, and kept for later subscribers"},
			{`-t house/kitchen/light -n -r`, "clear the Retained Message of a topic"},
			{`-h broker.example -t log -l < app.log`, "each line as a message"},
			{`-t a -m 1 -D publish user-property unit C`, "with a property of MQTT 5.0"},
		},
	},
	sub: {
		usage: "-t FILTER [-t FILTER …] [FLAGS]",
		about: "Subscribe to topics and print the payload of each message on a line of its own. When the server goes away, it is tried again until it is back.",
		examples: [][2]string{
			{`-t house/kitchen/temperature`, "one topic"},
			{`-v -t 'house/+/temperature'`, "the same level of every room, with the topics"},
			{`-v -t 'house/#' -T 'house/cellar/#'`, "a whole tree without one branch"},
			{`-t door -C 1 -W 10`, "wait for one message, at most ten seconds"},
			{`-t 'house/#' -F '%I %t %x'`, "time, topic and payload as hex digits"},
			{`-t 'old/#' --remove-retained --retained-only`, "clear the Retained Messages of a tree"},
		},
		after: formatHelp,
	},
	rr: {
		usage: "-t TOPIC -e RESPONSE-TOPIC {-m TEXT | -f FILE | -s | -n} [FLAGS]",
		about: "Publish a request, wait for the first message on the Response Topic, print it and end.",
		examples: [][2]string{
			{`-t clock/ask -e clock/answer/me -m now`, "ask and wait"},
			{`-t clock/ask -e clock/answer/me -m now -W 5`, "give up after five seconds, with exit code 27"},
			{`-t clock/ask -e clock/answer/me -n --latency`, "how long does it take?"},
		},
		after: formatHelp,
	},
	topicTree: {
		usage: "[FLAGS] [FILTER...]",
		about: "Show the topics of a broker as a tree, with the last value of each, how many messages came and how many come each second, how old the last one is, and R where a Retained Message is kept. On a terminal the tree is live: q or Ctrl-C ends, the arrows scroll. Elsewhere it is one snapshot. Without a filter it subscribes to '#', which is everything but topics that begin with $.",
		examples: [][2]string{
			{`-h broker.example`, "everything, live"},
			{`'maison/#' '$SYS/broker/clients/#'`, "two branches"},
			{`-T 'maison/cave/#' 'maison/#'`, "one without a part of it"},
			{`--once -W 10 > tree.txt`, "what comes in ten seconds"},
			{`--json -C 100`, "the first hundred messages, for scripts"},
		},
		after: treeHelp,
		exits: treeExitHelp,
	},
}

const treeHelp = `Columns:
  R a Retained Message is kept (with MQTT 3.1.1: one was kept when the tree began); msg/s
  over the last seconds, of a level with those below it; count of messages; age of the last
  one; value, its beginning, in hex digits behind 0x if it is no text.
`

const treeExitHelp = `Exit code:
  0 success; 1 mistake in the command line, or no connection; 7 the connection was lost, and
  not back at the end. A refused connection or Subscription exits with the code of the
  server: 1 to 5 with MQTT 3.1.1, 128 to 162 with 5.0.
`

const formatHelp = `Format (-F):
  %t topic              %p payload            %x %X payload in hex digits
  %l payload length     %q QoS                %r RETAIN flag, 0 or 1
  %m Packet Identifier  %j JSON               %J JSON, the payload as JSON too
  %f payload as float   %d payload as double  (4 and 8 bytes)
  %I time, ISO 8601     %U time, seconds      @X as strftime(3) has %X; @N nanoseconds
  %A Topic Alias  %C Content Type  %D Correlation Data  %E Message Expiry Interval
  %F Payload Format Indicator  %P User Properties  %R Response Topic  %S Subscription Identifier
  %% @@ \\ for these characters; \0 \a \e \n \r \t \v as in C
  Between % and the letter: "-" pads on the right, "0" with zeros, then the width, then
  "." and the most characters to print. %.2:x puts ":" after each 2 bytes.
`

const exitHelp = `Exit code:
  0 success; 1 mistake in the command line, or no connection; 7 connection lost; 27 time is
  up. A refused connection exits with the code of the server: 1 to 5 with MQTT 3.1.1, 128
  to 162 with 5.0.
`

// writeHelp writes the help of p for a program that is called name.
func writeHelp(w io.Writer, p program, name string) {
	h := clientHelps[p]
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s %s\n\nExamples:\n", wrapped(h.about, 0), name, h.usage)
	longest := 0
	for _, e := range h.examples {
		longest = max(longest, len(e[0]))
	}
	for _, e := range h.examples {
		fmt.Fprintf(&b, "  %s %-*s  # %s\n", name, longest, e[0], e[1])
	}
	for g, title := range groupTitles {
		writeGroup(&b, p, group(g), title)
	}
	if h.after != "" {
		b.WriteString("\n" + h.after)
	}
	exits := exitHelp
	if h.exits != "" {
		exits = h.exits
	}
	fmt.Fprintf(&b, "\n%s\n%s\n", exits, wrapped(fmt.Sprintf("More flags are read from $XDG_CONFIG_HOME/%s, else $HOME/.config/%s, if it is there.",
		optionsFileNames[p], optionsFileNames[p]), 0))
	io.WriteString(w, b.String())
}

// writeGroup writes the flags of one group, or nothing if p has none there.
func writeGroup(b *strings.Builder, p program, g group, title string) {
	var known []string
	begun := false
	for i := range flags {
		f := &flags[i]
		if f.in&p == 0 || f.group != g {
			continue
		}
		if g == groupLater {
			known = append(known, f.names...)
			continue
		}
		if !begun {
			fmt.Fprintf(b, "\n%s:\n", title)
			begun = true
		}
		left := "  " + strings.Join(f.names, ", ")
		if f.value != "" {
			left += " " + f.value
		}
		const indent = 34
		if len(left) >= indent-1 {
			fmt.Fprintf(b, "%s\n%*s", left, indent, "")
		} else {
			fmt.Fprintf(b, "%-*s", indent, left)
		}
		b.WriteString(wrapped(f.help, indent) + "\n")
	}
	if len(known) > 0 {
		fmt.Fprintf(b, "\n%s:\n  %s\n", title, wrapped(strings.Join(known, " "), 2))
	}
}

// wrapped breaks text into lines of at most helpColumns; all but the first begin with
// indent spaces, and the first is thought to begin there too.
func wrapped(text string, indent int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		width := len([]rune(word))
		if i > 0 && column+1+width > helpColumns {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		} else if i > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}
