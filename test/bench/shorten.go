package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// shorten measures what clients notice of a state that is shortened while they wait for
// their PUBACKs: beside never, as it is by default, and all the time.
func shorten(o *options, dir string) (string, error) {
	const publishers = 64
	length := time.Duration(3 * o.seconds * float64(time.Second))
	ours := keeping("", o.colibri, "broker", "-q", "-c")
	contenders := []struct {
		how string
		contender
	}{
		{"never", ours.with("colibri_checkpoint 2000000000\n")},
		{"from 48 MiB on, the default", ours},
		{"from 64 KiB on", ours.with("colibri_checkpoint 65536\n")},
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s. File system %s. %d interleaved runs of %g s each, %d publishers, every run on a freshly started broker with an empty directory.\n\n",
		where(), fileSystem(dir), o.runs, length.Seconds(), publishers)
	b.WriteString("| shortened | messages a second | broker CPU µs per message | PUBACK p50, ms | p99, ms | p99.9, ms | longest, ms |\n|---|---|---|---|---|---|---|\n")
	results := make([][]queued, len(contenders))
	err := interleaved(o.runs, len(contenders), func(c int) error {
		q, err := queueOnce(contenders[c].contender, dir, publishers, length)
		if err != nil {
			return fmt.Errorf("shortened %s: %w", contenders[c].how, err)
		}
		results[c] = append(results[c], q)
		return nil
	})
	if err != nil {
		return "", err
	}
	for c, runs := range results {
		line := fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |", contenders[c].how,
			spread("%.0f", runs, func(q queued) float64 { return q.rate }),
			spread("%.1f", runs, func(q queued) float64 { return q.cpu }),
			spread("%.2f", runs, func(q queued) float64 { return q.p50 }),
			spread("%.2f", runs, func(q queued) float64 { return q.p99 }),
			spread("%.1f", runs, func(q queued) float64 { return q.p999 }),
			spread("%.0f", runs, func(q queued) float64 { return q.longest }))
		fmt.Fprintln(os.Stdout, line)
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}
