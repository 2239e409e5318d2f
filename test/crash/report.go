package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// faultsShown is how many faults of each kind the report shows.
const faultsShown = 5

// write writes the report for people.
func (o *outcome) write(w io.Writer, seed uint64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "kills                 %d in %s, seed %d\n", o.kills, seconds(o.lasted), seed)
	for _, line := range []struct {
		name  string
		count int
	}{
		{"state shortened", o.shortened},
		{"acknowledged", o.acknowledged},
		{"delivered", o.delivered},
		{"lost", o.countOfFaults[lost]},
		{"QoS 1 duplicates", o.qos1Doubled},
		{"QoS 2 duplicates", o.countOfFaults[doubled]},
		{"out of order", o.countOfFaults[reordered]},
		{"retained wrong", o.countOfFaults[retainedWrong]},
		{"subscriptions wrong", o.countOfFaults[subscriptionWrong]},
		{"sessions lost", o.countOfFaults[sessionLost]},
	} {
		fmt.Fprintf(&b, "%-21s %d\n", line.name, line.count)
	}
	fmt.Fprintf(&b, "restart to CONNACK    median %s, at most %s\n", milliseconds(median(o.restarts)), milliseconds(most(o.restarts)))
	if o.refused > 0 {
		fmt.Fprintf(&b, "refused               %d\n", o.refused)
	}
	for _, k := range []kind{unanswered, notAsked, protocol, broken} {
		if o.countOfFaults[k] > 0 {
			fmt.Fprintf(&b, "%-21s %d\n", k, o.countOfFaults[k])
		}
	}
	shown := map[kind]int{}
	for _, f := range o.faults {
		if shown[f.Kind]++; shown[f.Kind] <= faultsShown {
			b.WriteString("  " + f.line())
		}
	}
	if o.dir != "" {
		fmt.Fprintf(&b, "State, broker.log and faults.txt are in %s\n", o.dir)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line returns a fault as a line.
func (f fault) line() string {
	if f.Session == "" {
		return fmt.Sprintf("%s at %s: %s\n", f.Kind, seconds(f.At), f.Text)
	}
	return fmt.Sprintf("%s at %s, %s: %s\n", f.Kind, seconds(f.At), f.Session, f.Text)
}

// allFaults returns the faults that were kept, by time.
func (o *outcome) allFaults() string {
	slices.SortStableFunc(o.faults, func(a, b fault) int { return int(a.At - b.At) })
	var b strings.Builder
	for _, f := range o.faults {
		b.WriteString(f.line())
	}
	return b.String()
}

// writeJSON writes the report for programs.
func (o *outcome) writeJSON(w io.Writer, seed uint64) error {
	return json.NewEncoder(w).Encode(struct {
		Kills              int     `json:"kills"`
		Seed               uint64  `json:"seed"`
		Seconds            float64 `json:"seconds"`
		Shortened          int     `json:"state_shortened"`
		Acknowledged       int     `json:"acknowledged"`
		Refused            int     `json:"refused"`
		Delivered          int     `json:"delivered"`
		Lost               int     `json:"lost"`
		QoS1Duplicates     int     `json:"qos1_duplicates"`
		QoS2Duplicates     int     `json:"qos2_duplicates"`
		OutOfOrder         int     `json:"out_of_order"`
		RetainedWrong      int     `json:"retained_wrong"`
		SubscriptionsWrong int     `json:"subscriptions_wrong"`
		SessionsLost       int     `json:"sessions_lost"`
		OtherFaults        int     `json:"other_faults"`
		RestartMedian      float64 `json:"restart_median_ms"`
		RestartMost        float64 `json:"restart_max_ms"`
		Faults             []fault `json:"faults"`
		Directory          string  `json:"directory,omitempty"`
	}{
		Kills: o.kills, Seed: seed, Seconds: o.lasted.Seconds(), Shortened: o.shortened, Acknowledged: o.acknowledged, Refused: o.refused,
		Delivered: o.delivered, Lost: o.countOfFaults[lost], QoS1Duplicates: o.qos1Doubled, QoS2Duplicates: o.countOfFaults[doubled],
		OutOfOrder: o.countOfFaults[reordered], RetainedWrong: o.countOfFaults[retainedWrong],
		SubscriptionsWrong: o.countOfFaults[subscriptionWrong], SessionsLost: o.countOfFaults[sessionLost],
		OtherFaults:   o.countOfFaults[unanswered] + o.countOfFaults[notAsked] + o.countOfFaults[protocol] + o.countOfFaults[broken],
		RestartMedian: float64(median(o.restarts)) / 1e6, RestartMost: float64(most(o.restarts)) / 1e6,
		Faults: o.faults, Directory: o.dir,
	})
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func median(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(of))[len(of)/2]
}

func most(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return slices.Max(of)
}
