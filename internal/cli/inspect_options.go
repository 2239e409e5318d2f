package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
)

// inspectOptions are what inspect is told.
type inspectOptions struct {
	file      string // "-" for standard input
	iface     string // of a live capture; empty for none
	form      string // table, tree or json
	hex       bool
	explain   bool
	secrets   bool
	showPorts bool
	filter    string
	selection inspect.Filter
	follow    string
	following bool
	french    bool // --lang
	hexInput  string
	version   colibri.Version // of hexInput
	ports     []uint16
	keyLog    string
	help      bool
}

// live reports whether frames come as they happen.
func (o *inspectOptions) live() bool { return o.file == "-" || o.iface != "" }

// inspectFlag is one flag of inspect.
type inspectFlag struct {
	names  []string
	value  string
	values []string // for completion
	help   string
	apply  func(o *inspectOptions, value string) error
}

var inspectFlags = []inspectFlag{
	{names: []string{"-i", "--interface"}, value: "IFACE", help: "capture this network interface of a Linux machine live, or all with 'any', until Ctrl-C; needs root or CAP_NET_RAW",
		apply: func(o *inspectOptions, value string) error { o.iface = value; return nil }},
	{names: []string{"--tree"}, help: "the layers of each frame with every field, its value and its bytes",
		apply: func(o *inspectOptions, _ string) error { o.form = "tree"; return nil }},
	{names: []string{"--hex"}, help: "the tree with the bytes beside each field; with --json, the bytes of each packet",
		apply: func(o *inspectOptions, _ string) error { o.hex = true; return nil }},
	{names: []string{"--json"}, help: "one JSON object for each packet, on one line",
		apply: func(o *inspectOptions, _ string) error { o.form = "json"; return nil }},
	{names: []string{"--explain"}, help: "say what each packet does and what each field means, with the section of the standard, and which rule is broken; shows the tree, unless another form is asked for",
		apply: func(o *inspectOptions, _ string) error { o.explain = true; return nil }},
	{names: []string{"--follow"}, value: "CLIENT", help: "the conversation of the client with this id: its packets on the left, the server's on the right",
		apply: func(o *inspectOptions, value string) error { o.follow, o.following = value, true; return nil }},
	{names: []string{"--filter"}, value: "CONDITIONS", help: "only the packets for which all conditions hold; see below",
		apply: func(o *inspectOptions, value string) error {
			o.filter = strings.TrimSpace(o.filter + " " + value)
			return nil
		}},
	{names: []string{"--hex-input"}, value: "BYTES", help: "show the packets in these bytes, written as hex digits, instead of a capture",
		apply: func(o *inspectOptions, value string) error { o.hexInput = value; return nil }},
	{names: []string{"-V", "--version"}, value: "VERSION", values: []string{"5", "311", "31"}, help: "the version of --hex-input: 5, 311 or 31; without it, it is guessed where no CONNECT says it",
		apply: func(o *inspectOptions, value string) (err error) {
			version, ok := inspectVersions[strings.ToLower(value)]
			if !ok {
				return usagef("'%s' is no version; there are 5, 311 and 31.", value)
			}
			o.version = version
			return nil
		}},
	{names: []string{"--port"}, value: "PORT", help: "expect MQTT on this port too, besides 1883, 8883, 8083, 8084 and 9001; on others it is found by its CONNECT. May be given several times",
		apply: func(o *inspectOptions, value string) error {
			port, err := strconv.ParseUint(value, 10, 16)
			if err != nil || port == 0 {
				return usagef("'%s' is no port: it is a number from 1 to 65535.", value)
			}
			o.ports = append(o.ports, uint16(port))
			return nil
		}},
	{names: []string{"--keylog"}, value: "FILE", help: "the secrets of TLS connections, as programs write them that are told SSLKEYLOGFILE",
		apply: func(o *inspectOptions, value string) error { o.keyLog = value; return nil }},
	{names: []string{"--ports"}, help: "ports behind the addresses of the table",
		apply: func(o *inspectOptions, _ string) error { o.showPorts = true; return nil }},
	{names: []string{"--secrets"}, help: "show passwords and Authentication Data, which are hidden otherwise",
		apply: func(o *inspectOptions, _ string) error { o.secrets = true; return nil }},
	{names: []string{"--lang"}, value: "LANGUAGE", values: languages, help: "the language of explanations: en or fr",
		apply: func(o *inspectOptions, value string) (err error) {
			o.french, err = parseLanguage(value)
			return err
		}},
	{names: []string{"-h", "--help"}, help: "print this help",
		apply: func(o *inspectOptions, _ string) error { o.help = true; return nil }},
}

// parseInspectOptions reads the command line of inspect.
func parseInspectOptions(args []string) (*inspectOptions, error) {
	o := &inspectOptions{}
	for len(args) > 0 {
		typed := args[0]
		args = args[1:]
		if typed == "-" || !strings.HasPrefix(typed, "-") {
			if o.file != "" {
				return o, usagef("There is a second capture, '%s'; give one.", typed)
			}
			o.file = typed
			continue
		}
		name, value, joined := strings.Cut(typed, "=")
		f := findInspectFlag(name)
		if f == nil {
			return o, usagef("Unknown option '%s'%s.", typed, nearestInspectFlag(name))
		}
		switch {
		case f.value == "" && joined:
			return o, usagef("'%s' takes no value.", name)
		case f.value != "" && !joined:
			if len(args) == 0 {
				return o, usagef("'%s' needs a %s behind it.", typed, f.value)
			}
			value, args = args[0], args[1:]
		}
		if err := f.apply(o, value); err != nil {
			return o, err
		}
	}
	if o.help {
		return o, nil
	}
	sources := 0
	for _, source := range []string{o.file, o.iface, o.hexInput} {
		if source != "" {
			sources++
		}
	}
	switch {
	case sources == 0:
		return o, usagef("Say what to read: a capture file, '-' for standard input, an interface behind -i, or bytes behind --hex-input.")
	case sources > 1:
		return o, usagef("Give one of a capture, -i and --hex-input.")
	case o.following && (o.form != "" || o.hex):
		return o, usagef("--follow has a form of its own; leave --tree, --hex and --json out.")
	}
	if o.form == "" {
		o.form = "table"
		if o.explain && !o.following || o.hex || o.hexInput != "" {
			o.form = "tree"
		}
	}
	return o, nil
}

// nearestInspectFlag names the flag that is most like what was typed.
func nearestInspectFlag(typed string) string {
	best, bestDistance := "", max(2, 1+len(typed)/3)
	for _, f := range inspectFlags {
		for _, name := range f.names {
			if d := distance(typed, name); d < bestDistance {
				best, bestDistance = name, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return "; the nearest is '" + best + "'"
}

func writeInspectHelp(w io.Writer, name string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s {FILE | - | -i IFACE} [FLAGS]\n  %s --hex-input BYTES [FLAGS]\n", wrapped(
		"Show the MQTT packets of a capture, pcap or pcapng, and explain them. Without a flag it is the table that packet analysers show, one row for each frame in which a packet ends.", 0), name, name)
	b.WriteString("\nExamples:\n")
	examples := [][2]string{
		{name + " session.pcapng", "the table"},
		{name + " session.pcapng --hex", "every field with its bytes"},
		{name + " session.pcapng --explain --lang fr", "and what each means"},
		{name + " session.pcapng --follow thermostat", "one client's conversation"},
		{name + " session.pcapng --filter 'type=CONNACK reason=failed'", "who was refused"},
		{name + " --hex-input 'c0 00' --explain", "a packet from elsewhere"},
		{name + " -i any", "live, on Linux as root"},
		{"tcpdump -i any -U -w - port 1883 | " + name + " -", "live, elsewhere"},
	}
	for _, e := range examples {
		fmt.Fprintf(&b, "  %-62s # %s\n", e[0], e[1])
	}
	b.WriteString("\nFlags:\n")
	for _, f := range inspectFlags {
		left := "  " + strings.TrimSpace(strings.Join(f.names, ", ")+" "+f.value)
		fmt.Fprintf(&b, "%-28s%s\n", left, wrapped(f.help, 28))
	}
	b.WriteString("\nConditions of --filter, as NAME=VALUE or NAME!=VALUE:\n")
	for _, f := range inspect.FilterNames {
		fmt.Fprintf(&b, "  %-12s%s\n", f[0], wrapped(f[1], 14))
	}
	fmt.Fprintf(&b, `
%s

Exit code:
  0 all of it was read; 1 it cannot be read; 2 a part was left out, which is said on standard
  error; 3 mistake in the flags.
`, wrapped("Packets that are spread over segments, sent again, out of order or cut off by the capture are put together as far as they are there. When a capture begins in the middle of a connection, its version is guessed, and said to be a guess.", 0))
	io.WriteString(w, b.String())
}
