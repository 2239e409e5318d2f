// Command bench compares our broker with Debian's mosquitto in one run, by an
// independent load generator that also checks every delivery, and writes the tables of
// docs/benchmarks.md. Nothing else may run on the machine meanwhile.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one line of the table: a scenario of the load generator and the figure taken.
type row struct {
	name   string
	args   []string
	figure string // of the generator's JSON
	unit   string
	format string
}

var rows = []row{
	{"fan-out 1→50, QoS 0", load("fanout", 0, "--pubs", "1", "--subs", "50"), perMessage, microseconds, "%.2f"},
	{"fan-out 1→50, QoS 1", load("fanout", 1, "--pubs", "1", "--subs", "50"), perMessage, microseconds, "%.2f"},
	{"fan-out 1→50, QoS 2", load("fanout", 2, "--pubs", "1", "--subs", "50"), perMessage, microseconds, "%.2f"},
	{"fan-in 50→1, QoS 0", load("fanin", 0, "--pubs", "50"), perMessage, microseconds, "%.2f"},
	{"fan-in 50→1, QoS 1", load("fanin", 1, "--pubs", "50"), perMessage, microseconds, "%.2f"},
	{"fan-in 50→1, QoS 2", load("fanin", 2, "--pubs", "50"), perMessage, microseconds, "%.2f"},
	{"pairs 50, QoS 0", load("pairs", 0, "--pubs", "50"), perMessage, microseconds, "%.2f"},
	{"pairs 50, QoS 1", load("pairs", 1, "--pubs", "50"), perMessage, microseconds, "%.2f"},
	{"pairs 50, QoS 2", load("pairs", 2, "--pubs", "50"), perMessage, microseconds, "%.2f"},
	{"1,000 msg/s, QoS 0", load("latency", 0, "--rate", "1000"), perMessage, microseconds, "%.1f"},
	{"1,000 msg/s, QoS 1", load("latency", 1, "--rate", "1000"), perMessage, microseconds, "%.1f"},
	{"1,000 msg/s, QoS 2", load("latency", 2, "--rate", "1000"), perMessage, microseconds, "%.1f"},
	{"idle connection", []string{"--scenario", "idle", "--conns", "15000", "--src-addrs", "4"},
		"rss_per_conn_b", "bytes", "%.0f"},
}

const (
	perMessage   = "broker_us_per_msg"
	microseconds = "µs CPU"
)

func load(scenario string, qos int, more ...string) []string {
	return append([]string{"--scenario", scenario, "--qos", strconv.Itoa(qos)}, more...)
}

// options are what the command line says.
type options struct {
	mqload, colibri, out string
	disk                 string // where the state of a broker lies while it is measured
	row                  string
	against              string // an older binary; empty for none
	runs                 int
	seconds, scale       float64
}

type section struct {
	name string
	// measure returns what stands between the marks of the section. dir is empty and will
	// be removed.
	measure func(o *options, dir string) (text string, err error)
}

// sections are the parts of the page that are measured, in the order of their measuring.
var sections = []section{
	{"live", live},
	{"tls", secure},
	{"logins", logins},
	{"cost", cost},
	{"durable", durable},
	{"shorten", shorten},
	{"start", start},
}

func main() {
	var o options
	flag.StringVar(&o.mqload, "mqload", "", "source `file` of the load generator of the section live")
	flag.StringVar(&o.colibri, "colibri", "bin/colibri", "our `binary`")
	flag.StringVar(&o.out, "out", "docs/benchmarks.md", "`file` whose sections are replaced")
	flag.StringVar(&o.disk, "disk", "", "`directory` on the disk that the sections but live use (default a temporary one)")
	flag.StringVar(&o.row, "row", "", "only rows of the section live whose name contains this; that section is not written")
	flag.StringVar(&o.against, "against", "", "an older `binary` to measure beside ours in the section cost")
	flag.IntVar(&o.runs, "runs", 3, "interleaved runs; the tables show their medians")
	flag.Float64Var(&o.seconds, "seconds", 3, "length of each measurement")
	flag.Float64Var(&o.scale, "scale", 1, "of the numbers in the section start; less than 1 for a trial")
	only := flag.String("only", "", "only these of the sections live, tls, logins, cost, durable, shorten and start, with commas between; the others of the file stay")
	port := flag.String("storm", "", "be the clients of the section logins, on this `port`; the program says that to itself")
	flag.Parse()
	if *port != "" {
		if err := storm(*port); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := bench(&o, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(o *options, only string) error {
	chosen := strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
	for _, name := range chosen {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			return fmt.Errorf("there is no section %q; they are live, tls, logins, cost, durable, shorten and start", name)
		}
	}
	if err := findDisk(&o.disk); err != nil {
		return err
	}
	for _, s := range sections {
		if len(chosen) > 0 && !slices.Contains(chosen, s.name) {
			continue
		}
		dir, err := os.MkdirTemp(o.disk, "colibri-bench-")
		if err != nil {
			return err
		}
		text, err := s.measure(o, dir)
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if s.name == "live" && o.row != "" {
			continue
		}
		if err := replaceSection(o.out, s.name, text); err != nil {
			return err
		}
	}
	return nil
}

// live measures what the brokers cost while everybody is there and nothing is kept.
func live(o *options, dir string) (string, error) {
	mqload, err := buildGenerator(o.mqload, dir)
	if err != nil {
		return "", err
	}
	mosquitto, err := findMosquitto()
	if err != nil {
		return "", err
	}
	contenders := []contender{
		colibriBroker(o.colibri),
		mosquittoBroker("Mosquitto", mosquitto, ""),
		mosquittoBroker("Mosquitto, set_tcp_nodelay", mosquitto, "set_tcp_nodelay true\n"),
	}
	results := make([]result, 0, len(rows))
	for _, r := range rows {
		if !strings.Contains(r.name, o.row) {
			continue
		}
		measured := result{row: r, values: make([][]float64, len(contenders)), latency: make([][]float64, len(contenders)),
			faults: make([]int, len(contenders))}
		err := interleaved(o.runs, len(contenders), func(c int) error {
			m, err := measure(contenders[c], mqload, dir, r, o.seconds)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", contenders[c].name, r.name, err)
			}
			measured.values[c] = append(measured.values[c], m.value)
			measured.latency[c] = append(measured.latency[c], m.p50)
			if !m.ok {
				measured.faults[c]++
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		fmt.Fprintln(os.Stdout, measured.line())
		results = append(results, measured)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s with its defaults. %d interleaved runs of %g s each, every one on a freshly started broker.\n\n",
		where(), mosquittoVersion(mosquitto), o.runs, o.seconds)
	b.WriteString("| broker CPU µs per message (bytes for the last row) | Colibri | Mosquitto | Mosquitto, set_tcp_nodelay | Mosquitto ÷ Colibri |\n|---|---|---|---|---|\n")
	for _, r := range results {
		b.WriteString(r.line() + "\n")
	}
	return b.String(), nil
}

// interleaved calls measure once for each contender in each run.
func interleaved(runs, contenders int, measure func(c int) error) error {
	for run := range runs {
		for i := range contenders {
			if err := measure((i + run) % contenders); err != nil { // each goes first in turn
				return err
			}
		}
	}
	return nil
}

// where says when and on what the measurement was made.
func where() string {
	return fmt.Sprintf("%s, %d CPUs, %s/%s; Colibri built by %s", time.Now().UTC().Format("2 January 2006"),
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func buildGenerator(source, dir string, more ...string) (string, error) {
	if _, err := os.Stat(source); err != nil {
		return "", fmt.Errorf("the load generator is not there: %w; name its source file with  make bench MQLOAD_C=FILE", err)
	}
	program := filepath.Join(dir, "mqload")
	if text, err := exec.Command("cc", append([]string{"-O2", "-o", program, source}, more...)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("the load generator does not build: %w\n%s", err, text)
	}
	return program, nil
}

// measurement is what one run of the generator says.
type measurement struct {
	value float64
	p50   float64 // µs, of the latency rows
	ok    bool    // everything arrived, once and in order
}

// measure is one run of the generator against a freshly started broker; seconds are 0 for a
// row that ends by itself.
func measure(c contender, mqload, dir string, r row, seconds float64) (measurement, error) {
	broker, err := c.serve(dir)
	if err != nil {
		return measurement{}, err
	}
	defer broker.stop()
	args := append([]string{"--port", strconv.Itoa(broker.port), "--broker-pid", strconv.Itoa(broker.pid())}, r.args...)
	if seconds > 0 {
		args = append(args, "--duration", fmt.Sprint(seconds))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	text, err := exec.CommandContext(ctx, mqload, args...).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) { // 2: something was lost, which the JSON says
		return measurement{}, fmt.Errorf("%w: %s", err, text)
	}
	var report map[string]any
	if err := json.Unmarshal(text, &report); err != nil {
		return measurement{}, err
	}
	m := measurement{ok: report["ok"] == true}
	m.value, _ = report[r.figure].(float64)
	if latency, ok := report["lat_us"].(map[string]any); ok && strings.Contains(strings.Join(r.args, " "), "latency") {
		m.p50, _ = latency["p50"].(float64)
	}
	return m, nil
}

// result is a row with what was measured: by contender, a value for each run.
type result struct {
	row     row
	values  [][]float64
	latency [][]float64
	faults  []int // runs in which something was lost, doubled, reordered or refused
}

func (r result) line() string {
	cells := []string{r.row.name}
	for i := range r.values {
		cells = append(cells, r.cell(i))
	}
	cells = append(cells, fmt.Sprintf("%.1f", median(r.values[1])/median(r.values[0])))
	return "| " + strings.Join(cells, " | ") + " |"
}

func (r result) cell(i int) string {
	text := fmt.Sprintf(r.row.format, median(r.values[i]))
	spread := fmt.Sprintf(" (%s–%s)", fmt.Sprintf(r.row.format, slices.Min(r.values[i])), fmt.Sprintf(r.row.format, slices.Max(r.values[i])))
	text += spread
	if p50 := median(r.latency[i]); p50 > 0 {
		text += fmt.Sprintf(", p50 %.0f µs", p50)
	}
	if r.faults[i] > 0 {
		text += fmt.Sprintf(" **!%d**", r.faults[i])
	}
	return text
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}
