package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// crowds are how many publishers wait for their PUBACKs at the same time.
var crowds = []int{1, 64, 1000}

// durable measures QoS 1 publishing to a Session whose client is away.
func durable(o *options, dir string) (string, error) {
	mosquitto, err := findMosquitto()
	if err != nil {
		return "", err
	}
	contenders := []contender{
		keeping("Colibri", o.colibri, "broker", "-q", "-c"),
		keeping("Colibri, colibri_sync interval", o.colibri, "broker", "-q", "-c").with("colibri_sync interval\n"),
		keeping("Mosquitto, never synced", mosquitto, "-c"),
	}
	if os.Getuid() == 0 {
		contenders[2] = contenders[2].with("user root\n") // who may write into the directory
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s. File system %s. %d interleaved runs of %g s each, every one on a freshly started broker with an empty directory.\n\n",
		where(), mosquittoVersion(mosquitto), fileSystem(dir), o.runs, o.seconds)
	b.WriteString("| publishers | broker | messages a second | broker CPU µs per message | PUBACK p50, ms | PUBACK p99, ms |\n|---|---|---|---|---|---|\n")
	for _, publishers := range crowds {
		results := make([][]queued, len(contenders))
		err := interleaved(o.runs, len(contenders), func(c int) error {
			q, err := queueOnce(contenders[c], dir, publishers, time.Duration(o.seconds*float64(time.Second)))
			if err != nil {
				return fmt.Errorf("%s, %d publishers: %w", contenders[c].name, publishers, err)
			}
			results[c] = append(results[c], q)
			return nil
		})
		if err != nil {
			return "", err
		}
		for c, runs := range results {
			line := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", thousands(publishers), contenders[c].name,
				spread("%.0f", runs, func(q queued) float64 { return q.rate }),
				spread("%.1f", runs, func(q queued) float64 { return q.cpu }),
				spread("%.2f", runs, func(q queued) float64 { return q.p50 }),
				spread("%.2f", runs, func(q queued) float64 { return q.p99 }))
			fmt.Fprintln(os.Stdout, line)
			b.WriteString(line + "\n")
		}
	}
	return b.String(), nil
}

// keeping is a broker that keeps its state in the directory in which it is started. The
// name of its file of options follows its arguments.
func keeping(name, program string, args ...string) contender {
	return contender{name, func(dir string, port int) (*exec.Cmd, error) {
		file := filepath.Join(dir, "broker.conf")
		text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_dest none\nmax_queued_messages 0\nmax_queued_bytes 0\n"+
			"persistence true\npersistence_location %s/\n", port, dir)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		return exec.Command(program, append(slices.Clone(args), file)...), nil
	}}
}

// with returns the contender with more lines in its file of options.
func (c contender) with(more string) contender {
	start := c.start
	return contender{c.name, func(dir string, port int) (*exec.Cmd, error) {
		command, err := start(dir, port)
		if err != nil {
			return nil, err
		}
		file, err := os.OpenFile(filepath.Join(dir, "broker.conf"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		_, err = file.WriteString(more)
		if closed := file.Close(); err == nil {
			err = closed
		}
		return command, err
	}}
}

// queueOnce is one run on a freshly started broker.
func queueOnce(c contender, parent string, publishers int, length time.Duration) (queued, error) {
	dir, err := os.MkdirTemp(parent, "state-")
	if err != nil {
		return queued{}, err
	}
	defer os.RemoveAll(dir)
	broker, err := c.serve(dir)
	if err != nil {
		return queued{}, err
	}
	defer broker.stop()
	return queue(broker, publishers, length)
}

// spread writes the median of a figure and its range.
func spread[T any](format string, runs []T, figure func(T) float64) string {
	values := make([]float64, len(runs))
	for i, r := range runs {
		values[i] = figure(r)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(values), slices.Min(values), slices.Max(values))
}

// thousands writes 1000 as "1,000".
func thousands(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
