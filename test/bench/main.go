// Command bench compares our broker with Debian's mosquitto in one run, by an
// independent load generator that also checks every delivery, and writes the table of
// docs/benchmarks.md. Nothing else may run on the machine meanwhile.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

// contender is a broker under test.
type contender struct {
	name string
	// start returns the command that serves on a port of this machine.
	start func(dir string, port int) (*exec.Cmd, error)
}

func main() {
	source := flag.String("mqload", "", "source `file` of the load generator")
	colibri := flag.String("colibri", "bin/colibri", "our `binary`")
	out := flag.String("out", "docs/benchmarks.md", "`file` whose table is replaced")
	runs := flag.Int("runs", 3, "interleaved runs; the table shows their medians")
	seconds := flag.Float64("seconds", 3, "length of each measurement")
	only := flag.String("only", "", "only rows whose name contains this; the file is not written")
	flag.Parse()
	if err := bench(*source, *colibri, *out, *only, *runs, *seconds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(source, colibri, out, only string, runs int, seconds float64) error {
	dir, err := os.MkdirTemp("", "colibri-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mqload, err := buildGenerator(source, dir)
	if err != nil {
		return err
	}
	mosquitto, err := findMosquitto()
	if err != nil {
		return err
	}
	contenders := []contender{
		colibriBroker(colibri),
		mosquittoBroker("Mosquitto", mosquitto, ""),
		mosquittoBroker("Mosquitto, set_tcp_nodelay", mosquitto, "set_tcp_nodelay true\n"),
	}
	results := make([]result, 0, len(rows))
	for _, r := range rows {
		if !strings.Contains(r.name, only) {
			continue
		}
		measured := result{row: r, values: make([][]float64, len(contenders)), latency: make([][]float64, len(contenders)),
			faults: make([]int, len(contenders))}
		for run := range runs {
			for i := range contenders {
				c := (i + run) % len(contenders) // each goes first in turn
				m, err := measure(contenders[c], mqload, dir, r, seconds)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", contenders[c].name, r.name, err)
				}
				measured.values[c] = append(measured.values[c], m.value)
				measured.latency[c] = append(measured.latency[c], m.p50)
				if !m.ok {
					measured.faults[c]++
				}
			}
		}
		fmt.Fprintln(os.Stdout, measured.line())
		results = append(results, measured)
	}
	if only != "" {
		return nil
	}
	return write(out, results, mosquittoVersion(mosquitto), runs, seconds)
}

func buildGenerator(source, dir string) (string, error) {
	if _, err := os.Stat(source); err != nil {
		return "", fmt.Errorf("the load generator is not there: %w; name its source file with  make bench MQLOAD_C=FILE", err)
	}
	program := filepath.Join(dir, "mqload")
	if text, err := exec.Command("cc", "-O2", "-o", program, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("the load generator does not build: %w\n%s", err, text)
	}
	return program, nil
}

func findMosquitto() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("mosquitto is not there to compare with; run test/interop/setup.sh")
}

func mosquittoVersion(program string) string {
	text, _ := exec.Command(program, "-h").Output()
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func colibriBroker(program string) contender {
	return contender{"Colibri", func(_ string, port int) (*exec.Cmd, error) {
		return exec.Command(program, "broker", "-q", "-p", strconv.Itoa(port)), nil
	}}
}

// mosquittoBroker runs as it comes but for more, without a log and with room in its
// queues for the whole window of the generator, as it drops what does not fit.
func mosquittoBroker(name, program, more string) contender {
	return contender{name, func(dir string, port int) (*exec.Cmd, error) {
		file := filepath.Join(dir, "mosquitto.conf")
		text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_dest none\nmax_queued_messages 0\n%s", port, more)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		return exec.Command(program, "-c", file), nil
	}}
}

// measurement is what one run of the generator says.
type measurement struct {
	value float64
	p50   float64 // µs, of the latency rows
	ok    bool    // everything arrived, once and in order
}

func measure(c contender, mqload, dir string, r row, seconds float64) (measurement, error) {
	port, err := freePort()
	if err != nil {
		return measurement{}, err
	}
	broker, err := c.start(dir, port)
	if err != nil {
		return measurement{}, err
	}
	var said bytes.Buffer
	broker.Stderr = &said
	if err := broker.Start(); err != nil {
		return measurement{}, err
	}
	defer func() {
		broker.Process.Signal(syscall.SIGTERM)
		broker.Wait()
	}()
	if err := answering(port); err != nil {
		return measurement{}, fmt.Errorf("the broker does not answer: %w: %s", err, said.String())
	}
	args := append([]string{"--port", strconv.Itoa(port), "--broker-pid", strconv.Itoa(broker.Process.Pid),
		"--duration", fmt.Sprint(seconds)}, r.args...)
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

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func answering(port int) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return nc.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
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

const (
	tableBegin = "<!-- table: made by make bench -->"
	tableEnd   = "<!-- end of table -->"
)

// write replaces the table in the file and leaves the text around it.
func write(file string, results []result, mosquitto string, runs int, seconds float64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s, %d CPUs, %s; Colibri built by %s; %s with its defaults. %d interleaved runs of %g s each, every one on a freshly started broker.\n\n",
		tableBegin, time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(), runtime.GOOS+"/"+runtime.GOARCH, runtime.Version(), mosquitto, runs, seconds)
	b.WriteString("| broker CPU µs per message (bytes for the last row) | Colibri | Mosquitto | Mosquitto, set_tcp_nodelay | Mosquitto ÷ Colibri |\n|---|---|---|---|---|\n")
	for _, r := range results {
		b.WriteString(r.line() + "\n")
	}
	b.WriteString(tableEnd)
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	text := string(old)
	before, rest, found := strings.Cut(text, tableBegin)
	_, after, closed := strings.Cut(rest, tableEnd)
	if !found || !closed {
		before, after = "# Benchmarks\n\n", "\n"
	}
	return os.WriteFile(file, []byte(before+b.String()+after), 0o644)
}
