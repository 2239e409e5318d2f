package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// start measures how long our broker needs until it serves from a state directory, and how
// much memory it has then.
func start(o *options, dir string) (string, error) {
	const million, many = 1_000_000, 100_000
	size := func(n int) int { return max(int(float64(n)*o.scale), 1) }
	messages, sessions, retained := size(million), size(many), size(many)
	rows := []struct {
		name string
		state
		each int // things of which the memory of one is a figure; 0 for none
	}{
		{"empty", state{}, 0},
		{thousands(messages) + " queued messages in 1 Session", state{queued: messages}, messages},
		{thousands(sessions) + " Sessions with a Subscription each", state{sessions: sessions}, sessions},
		{thousands(retained) + " Retained Messages", state{retained: retained}, retained},
		{"all three", state{messages, sessions, retained}, 0},
	}
	broker := keeping("Colibri", o.colibri, "broker", "-q", "-c")
	results := make([][]started, len(rows))
	err := interleaved(o.runs, len(rows), func(i int) error {
		s, err := startOnce(broker, dir, rows[i].state)
		if err != nil {
			return fmt.Errorf("%s: %w", rows[i].name, err)
		}
		results[i] = append(results[i], s)
		return nil
	})
	if err != nil {
		return "", err
	}
	empty := make([]float64, 0, o.runs)
	for _, s := range results[0] {
		empty = append(empty, s.resident)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s. File system %s, the directory freshly written and so in the system's cache. %d runs. Payloads of %d bytes.\n\n",
		where(), fileSystem(dir), o.runs, payloadBytes)
	b.WriteString("| state | directory, MB | first CONNACK after, ms | RSS then, MB | most RSS until then, MB | bytes of RSS for each, above empty |\n|---|---|---|---|---|---|\n")
	for i, r := range rows {
		each := "–"
		if r.each > 0 {
			each = spread("%.0f", results[i], func(s started) float64 { return (s.resident - median(empty)) / float64(r.each) })
		}
		line := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", r.name,
			spread("%.1f", results[i], func(s started) float64 { return s.directory / 1e6 }),
			spread("%.0f", results[i], func(s started) float64 { return milliseconds(s.ready) }),
			spread("%.0f", results[i], func(s started) float64 { return s.resident / 1e6 }),
			spread("%.0f", results[i], func(s started) float64 { return s.peak / 1e6 }),
			each)
		fmt.Fprintln(os.Stdout, line)
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}

// started is what one start has measured; sizes are in bytes.
type started struct {
	ready                     time.Duration // until the first CONNACK
	resident, peak, directory float64
}

// startOnce writes a state, starts the broker on it and has a client connect. Then it looks
// whether the broker has the state.
func startOnce(c contender, parent string, of state) (s started, err error) {
	dir, err := os.MkdirTemp(parent, "state-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "colibri")
	if err := of.write(log); err != nil {
		return s, fmt.Errorf("writing the state: %w", err)
	}
	if s.directory, err = directoryBytes(log); err != nil {
		return s, err
	}
	began := time.Now()
	broker, err := c.launch(dir)
	if err != nil {
		return s, err
	}
	defer broker.stop()
	nc, _, err := connect(broker, "bench-first", true)
	if err != nil {
		return s, err
	}
	defer nc.Close()
	s.ready = time.Since(began)
	if s.resident, err = broker.memory("VmRSS"); err != nil {
		return s, err
	}
	if s.peak, err = broker.memory("VmHWM"); err != nil {
		return s, err
	}
	return s, of.check(broker)
}
