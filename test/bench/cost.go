package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// costRuns is how often each contender runs: the differences are small.
const costRuns = 5

// cost measures what the state on disk costs clients that need none: the default beside
// persistence false, and beside an older binary when there is one.
func cost(o *options, dir string) (string, error) {
	mqload, err := buildGenerator(o.mqload, dir)
	if err != nil {
		return "", err
	}
	contenders := []contender{colibriBroker(o.colibri), configured("persistence false", "persistence false\n", o.colibri, "broker", "-q", "-c")}
	if o.against != "" {
		contenders = append(contenders, contender{"older", func(_ string, port int) (*exec.Cmd, error) {
			return exec.Command(o.against, "broker", "-q", "-p", strconv.Itoa(port)), nil
		}})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %d interleaved runs of %g s each, every one on a freshly started broker.\n\n", where(), costRuns, o.seconds)
	b.WriteString("| broker CPU µs per message | Colibri, its state on disk | persistence false | ÷ |")
	if o.against != "" {
		b.WriteString(" before there was a state | ÷ |")
	}
	b.WriteString("\n|" + strings.Repeat("---|", 2*len(contenders)) + "\n")
	for _, r := range rows {
		if r.figure != perMessage || strings.HasPrefix(r.name, "1,000") {
			continue
		}
		values := make([][]float64, len(contenders))
		err := interleaved(costRuns, len(contenders), func(c int) error {
			m, err := measure(contenders[c], mqload, dir, r, o.seconds)
			if err == nil && !m.ok {
				err = fmt.Errorf("%s, %s: something was lost, doubled or reordered", contenders[c].name, r.name)
			}
			values[c] = append(values[c], m.value)
			return err
		})
		if err != nil {
			return "", err
		}
		cells := []string{r.name}
		for c, of := range values {
			cells = append(cells, spread("%.2f", of, func(v float64) float64 { return v }))
			if c > 0 {
				cells = append(cells, fmt.Sprintf("%.2f", median(values[0])/median(of)))
			}
		}
		line := "| " + strings.Join(cells, " | ") + " |"
		fmt.Fprintln(os.Stdout, line)
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}
