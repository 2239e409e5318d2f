package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// lines returns the report as text, each line with at most columns characters, and with that
// many clients at most.
func (r *topReport) lines(columns, clients int) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fitted(fmt.Sprintf(format, args...), columns)) }
	add("colibri %s  %s  up %s  %s", r.Version, shown(strings.Join(r.Listeners, " ")), upTime(r.Seconds), r.Time.Local().Format("15:04:05"))
	add("clients   %d connected (most %d), Sessions %d, Subscriptions %d (shared %d)", r.Connected, r.ConnectedMaximum, r.Sessions, r.Subscriptions, r.SharedSubscriptions)
	add("messages  in %s/s  out %s/s   bytes  in %s/s  out %s/s", rate(r.Received.PublishRate), rate(r.Sent.PublishRate), amount(r.Received.BytesRate), amount(r.Sent.BytesRate))
	add("since     in %d  out %d   bytes  in %s  out %s", r.Received.Publish, r.Sent.Publish, amount(float64(r.Received.Bytes)), amount(float64(r.Sent.Bytes)))
	add("waiting   %d queued, %d packets (%s) on their way", r.Queued, r.Outgoing, amount(float64(r.OutgoingBytes)))
	add("memory    heap %s, of which %d Retained Messages %s", amount(float64(r.HeapBytes)), r.Retained, amount(float64(r.RetainedBytes)))
	add("dropped   %s/s  %s", rate(r.DroppedRate), most(r.Dropped))
	handshakes := ""
	if len(r.Handshakes) > 0 {
		handshakes = "; failed handshakes: " + most(r.Handshakes)
	}
	add("refused   %s%s", most(r.Refused), handshakes)
	add("left      %s", most(r.Disconnected))
	add("limits    %s", most(r.Limited))
	add("")
	name := max(16, min(columns-58, 40))
	add("%-*s %-14s %7s %7s %7s %8s %7s", name, "CLIENT", "USER", "IN/s", "OUT/s", "QUEUE", "INFLIGHT", "DROPS")
	for _, c := range r.Clients[:min(clients, len(r.Clients))] {
		id := shown(c.ClientID)
		if !c.Connected {
			id = "(away) " + id
		}
		add("%-*s %-14s %7s %7s %7d %8d %7d", name, fitted(id, name), fitted(shown(c.UserName), 14), rate(c.PublishRate), rate(c.DeliverRate), c.Queued, c.Inflight, c.Dropped)
	}
	if r.Unseen > 0 {
		add("%d more clients were not looked at.", r.Unseen)
	}
	return lines
}

// most returns counts by their names, the largest first, and "nothing" for none.
func most(counts map[string]int64) string {
	if len(counts) == 0 {
		return "nothing"
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(-cmp.Compare(counts[a], counts[b]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}

// fitted returns text, cut if it has more than n characters.
func fitted(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:max(0, n-1)]) + "~"
}

// rate returns a number of things a second, in seven characters at most.
func rate(perSecond float64) string {
	switch {
	case perSecond >= 999_950:
		return fmt.Sprintf("%.1fM", perSecond/1e6)
	case perSecond >= 9_999.5:
		return fmt.Sprintf("%.1fk", perSecond/1e3)
	case perSecond >= 99.95 || perSecond == 0:
		return fmt.Sprintf("%.0f", perSecond)
	}
	return fmt.Sprintf("%.1f", perSecond)
}

// amount returns a number of bytes with its unit.
func amount(bytes float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if bytes >= unit.size {
			return fmt.Sprintf("%.1f %s", bytes/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.0f B", bytes)
}

// upTime returns a time in its two largest units.
func upTime(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
