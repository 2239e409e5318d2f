package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/topic"
)

// Exit codes of inspect, besides exitOK and exitConfig.
const (
	exitInspectUnread = 1 // the capture cannot be read at all
	exitInspectPart   = 2 // a part of it was left out: it is damaged, or cut off
)

func inspectCommand() command {
	return command{
		name:     "inspect",
		summary:  "Show and explain the MQTT packets of a capture",
		run:      runInspect,
		help:     writeInspectHelp,
		complete: completeInspect,
	}
}

// completeInspect offers what a shell can put in place of typed, behind args.
func completeInspect(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		if f := findInspectFlag(args[len(args)-1]); f != nil && f.value != "" {
			if f.value == "FILE" {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return withPrefix(f.values, typed), cobra.ShellCompDirectiveNoFileComp
		}
	}
	if !strings.HasPrefix(typed, "-") {
		return []cobra.Completion{"pcap", "pcapng"}, cobra.ShellCompDirectiveFilterFileExt
	}
	var offers []cobra.Completion
	for _, f := range inspectFlags {
		for _, name := range f.names {
			if strings.HasPrefix(name, typed) {
				offers = append(offers, cobra.CompletionWithDesc(name, f.help))
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

func findInspectFlag(name string) *inspectFlag {
	if i := slices.IndexFunc(inspectFlags, func(f inspectFlag) bool { return slices.Contains(f.names, name) }); i >= 0 {
		return &inspectFlags[i]
	}
	return nil
}

// runInspect is the command.
func runInspect(env *invocation, args []string) int {
	o, err := parseInspectOptions(args)
	if err == nil && !o.help {
		o.selection, err = inspect.ParseFilter(o.filter, topic.Match)
		if err != nil {
			err = usagef("%s", sentence(err.Error()))
		}
	}
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	if o.help {
		writeInspectHelp(env.stdout, env.name)
		return exitOK
	}
	show := newShow(env, o)
	if o.hexInput != "" {
		return inspectHex(env, o, show)
	}
	if o.iface != "" {
		return inspectLive(env, o, show)
	}
	source, size, err := openCapture(env, o)
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
		return exitInspectUnread
	}
	defer source.Close()
	return inspectCapture(env, o, show, source, size)
}

// openCapture opens what is to be read; size is 0 when nobody knows it.
func openCapture(env *invocation, o *inspectOptions) (source io.ReadCloser, size int64, err error) {
	if o.file == "-" {
		return io.NopCloser(env.stdin), 0, nil
	}
	file, err := os.Open(o.file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			return nil, 0, fmt.Errorf("the capture %s cannot be opened: %w", o.file, path.Err)
		}
		return nil, 0, err
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	} else if err == nil && info.IsDir() {
		file.Close()
		return nil, 0, fmt.Errorf("%s is a directory: give a capture file", o.file)
	}
	return file, size, nil
}

// inspectCapture shows a capture.
func inspectCapture(env *invocation, o *inspectOptions, show *show, source io.Reader, size int64) int {
	reader, err := pcap.NewReader(source)
	switch {
	case errors.Is(err, io.EOF):
		fmt.Fprintln(env.stderr, "Error: The capture is empty: not even a header is in it.")
		return exitInspectUnread
	case errors.Is(err, pcap.ErrFormat):
		fmt.Fprintf(env.stderr, "Error: %s is no capture: it is neither pcap nor pcapng. Save it in one of these formats, or give bytes with --hex-input.\n", o.named())
		return exitInspectUnread
	case err != nil:
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
		return exitInspectUnread
	}
	keys, err := readKeyLog(o)
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
		return exitInspectUnread
	}
	reader.Secrets = keys.Add
	in := inspect.New(inspect.Config{Ports: o.ports, Packet: show.packet, Event: show.event, KeyLog: keys})
	progress := newProgress(env, size)
	var frame *pcap.Frame
	for env.ctx.Err() == nil && !show.failed {
		if frame, err = reader.Next(); err != nil {
			break
		}
		in.Frame(frame)
		if o.live() {
			show.flush()
		}
		progress.at(reader.Offset())
	}
	summary := in.Finish()
	progress.clear()
	show.finish()
	if err == nil || errors.Is(err, io.EOF) {
		err = nil
	}
	return show.leftOut(summary, err)
}

// inspectHex shows the packets of --hex-input.
func inspectHex(env *invocation, o *inspectOptions, show *show) int {
	b, err := parseHex(o.hexInput)
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	in := inspect.New(inspect.Config{Packet: show.packet})
	err = in.Raw(b, o.version)
	show.finish()
	if err != nil {
		fmt.Fprintf(env.stderr, "%s\n", sentence(err.Error()))
		return exitInspectPart
	}
	return exitOK
}

// parseHex reads bytes as people paste them: "10 0c 00", "0x10,0x0c", "100c00", also with
// the offsets and the text columns of a hex dump left out.
func parseHex(text string) ([]byte, error) {
	var digits []byte
	text = strings.NewReplacer("0x", "", "0X", "", `\x`, "").Replace(text)
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= '0' && c <= '9':
			digits = append(digits, c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			digits = append(digits, c|0x20-'a'+10)
		case strings.IndexByte(" \t\r\n,:;-", c) >= 0:
		default:
			return nil, usagef("'%s' is no hex digit in --hex-input: write bytes such as 'c0 00'.", quoteTyped(text[i:]))
		}
	}
	if len(digits)%2 != 0 {
		return nil, usagef("--hex-input has %d hex digits: a byte has two.", len(digits))
	}
	b := make([]byte, len(digits)/2)
	for i := range b {
		b[i] = digits[2*i]<<4 | digits[2*i+1]
	}
	return b, nil
}

// quoteTyped returns the first character of what a person has typed.
func quoteTyped(text string) string {
	for _, c := range text {
		return string(c)
	}
	return ""
}

// named is how texts name the input.
func (o *inspectOptions) named() string {
	if o.file == "-" {
		return "What came on standard input"
	}
	return "The file " + o.file
}

// versions are the values of -V.
var inspectVersions = map[string]colibri.Version{
	"3.1": colibri.V31, "31": colibri.V31, "mqttv31": colibri.V31,
	"3.1.1": colibri.V311, "311": colibri.V311, "mqttv311": colibri.V311,
	"5": colibri.V5, "5.0": colibri.V5, "mqttv5": colibri.V5,
}
